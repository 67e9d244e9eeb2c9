package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A reader fetches the partitions it is told to, each from an exact offset, and gives each partition's records to that
// partition's sink.
//
// It is a connection of its own that belongs to no group. In a group, the library would start every partition at the
// committed offset, and a seek from there comes after the first records may be under way already; here there is nothing
// to undo.
type reader struct {
	client *kgo.Client
	log    *zap.Logger
	// missed is called, from the reader's goroutine, when a topic seems to be gone or to be another one by now.
	missed func()

	mu       sync.Mutex
	commands []func()           // what to do before the next fetch
	wake     context.CancelFunc // ends the wait for the current one

	// Only the reader's goroutine touches these. A command and the handing over of records never overlap, so a sink
	// that was removed gets nothing more, and one that was added gets nothing from before.
	sinks    map[TopicPartition]*feed
	lastWarn map[string]time.Time
}

// sink takes the records of one partition. Its methods don't block.
type sink interface {
	// deliver takes records in order, and the partition's end offset. full asks for a pause until resume.
	deliver(records []Record, end int64) (full bool)
	// outOfRange says that the log doesn't hold the offset that was to be read next. Nothing more will come.
	outOfRange()
}

// feed is a sink and what is known about its partition.
type feed struct {
	sink
	tp TopicPartition
	id TopicID
}

type readerOptions struct {
	minBytes, maxBytes int32
	maxWait            time.Duration
}

func newReader(cfg Config, options readerOptions, missed func()) (*reader, error) {
	client, err := kgo.NewClient(append(connectionOptions(cfg),
		kgo.FetchMinBytes(options.minBytes),
		kgo.FetchMaxBytes(options.maxBytes),
		kgo.FetchMaxPartitionBytes(min(options.maxBytes, 1<<20)),
		kgo.FetchMaxWait(options.maxWait),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // an offset out of range is for the sink to judge
	)...)
	if err != nil {
		return nil, fmt.Errorf("opening the Kafka consumer: %w", err)
	}
	return &reader{
		client:   client,
		log:      cfg.Log,
		missed:   missed,
		sinks:    make(map[TopicPartition]*feed),
		lastWarn: make(map[string]time.Time),
	}, nil
}

// run fetches until ctx ends.
func (r *reader) run(ctx context.Context) {
	defer r.client.Close()
	for {
		wait, wake := context.WithCancel(ctx)
		r.mu.Lock()
		commands := r.commands
		r.commands, r.wake = nil, wake
		r.mu.Unlock()
		for _, command := range commands {
			command()
		}
		fetches := r.client.PollFetches(wait)
		wake()
		if ctx.Err() != nil {
			return
		}
		for _, fetch := range fetches {
			for i := range fetch.Topics {
				r.dispatch(&fetch.Topics[i])
			}
		}
	}
}

// do runs a command in the reader's goroutine, soon. Commands run in the order they are given.
func (r *reader) do(command func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commands = append(r.commands, command)
	if r.wake != nil {
		r.wake()
	}
}

// add starts reading a partition of the topic with the id, at the offset.
func (r *reader) add(tp TopicPartition, id TopicID, offset int64, to sink) {
	r.do(func() {
		r.drop(tp)
		r.sinks[tp] = &feed{sink: to, tp: tp, id: id}
		r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{
			tp.Topic: {tp.Partition: kgo.NewOffset().At(offset)},
		})
	})
}

// remove stops reading the partition for the sink. It does nothing when the partition has another sink by now.
func (r *reader) remove(tp TopicPartition, from sink) {
	r.do(func() {
		if f := r.sinks[tp]; f != nil && f.sink == from {
			r.drop(tp)
		}
	})
}

func (r *reader) drop(tp TopicPartition) {
	if r.sinks[tp] == nil {
		return
	}
	delete(r.sinks, tp)
	r.client.RemoveConsumePartitions(map[string][]int32{tp.Topic: {tp.Partition}})
	r.client.ResumeFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}}) // a pause would outlive the removal
}

// forget makes the library drop what it knows of topics, so that it can read a topic that was made again under the
// name.
func (r *reader) forget(topics ...string) {
	r.do(func() {
		for tp := range r.sinks {
			for _, topic := range topics {
				if tp.Topic == topic {
					r.drop(tp)
				}
			}
		}
		r.client.PurgeTopicsFromConsuming(topics...)
	})
}

// resume goes on after a pause that the sink asked for. It is a command like the others because the pause comes a
// moment after the sink has asked: a resume from another goroutine could come first, and the pause would never end.
func (r *reader) resume(tp TopicPartition, to sink) {
	r.do(func() {
		if f := r.sinks[tp]; f != nil && f.sink == to {
			r.client.ResumeFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}})
		}
	})
}

func (r *reader) dispatch(topic *kgo.FetchTopic) {
	for i := range topic.Partitions {
		fetched := &topic.Partitions[i]
		tp := TopicPartition{topic.Topic, fetched.Partition}
		if fetched.Err != nil {
			r.failed(tp, fetched.Err)
		}
		if len(fetched.Records) == 0 {
			continue
		}
		f := r.sinks[tp]
		if f == nil {
			continue
		}
		if topic.TopicID != (TopicID{}) && topic.TopicID != f.id {
			r.missed() // these are another topic's records
			continue
		}
		if f.deliver(fromKafka(fetched.Records, f.id), fetched.HighWatermark) {
			r.client.PauseFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}})
		}
	}
}

func (r *reader) failed(tp TopicPartition, err error) {
	switch {
	case errors.Is(err, context.Canceled): // of a wait that was cut short
	case errors.Is(err, kgo.ErrClientClosed):
	case errors.Is(err, kerr.OffsetOutOfRange):
		if f := r.sinks[tp]; f != nil {
			r.drop(tp)
			f.outOfRange()
		}
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.InconsistentTopicID):
		r.missed()
	default:
		// The library goes on trying. Say so now and then, not at each try.
		if key := err.Error(); time.Since(r.lastWarn[key]) > 10*time.Second {
			if len(r.lastWarn) > 100 {
				clear(r.lastWarn)
			}
			r.lastWarn[key] = time.Now()
			r.log.Warn("reading from Kafka failed, retrying", zap.String("topic", tp.Topic), zap.Int32("partition", tp.Partition), zap.Error(err))
		}
	}
}

// fromKafka converts records without copying their bytes.
func fromKafka(fetched []*kgo.Record, id TopicID) []Record {
	records := make([]Record, len(fetched))
	for i, k := range fetched {
		records[i] = Record{
			Topic:     k.Topic,
			Partition: k.Partition,
			Offset:    k.Offset,
			TopicID:   id,
			Key:       k.Key,
			Value:     k.Value,
			Arrival:   k.Timestamp,
		}
		if len(k.Headers) > 0 {
			headers := make([]Header, len(k.Headers))
			for j, h := range k.Headers {
				headers[j] = Header{Key: h.Key, Value: h.Value}
			}
			records[i].Headers = headers
		}
	}
	return records
}
