package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// idleCheck is after how long without records ReadRange asks whether the missing ones still exist.
const idleCheck = 3 * time.Second

// ReadRange hands over the records of one topic whose offsets are, in each partition of the map, at least the range's
// Start and below its End: a part of the log that is finished, read without a group. Each partition's records come in
// order; batches of different partitions alternate. Records that retention or compaction has removed are left out. It
// returns when the ranges are through, or with the first error, handle's included.
func (c *Client) ReadRange(ctx context.Context, topic string, ranges map[int32]OffsetRange, handle func(records []Record) error) error {
	r := rangeReader{client: c, topic: topic, left: map[int32]OffsetRange{}}
	from := map[int32]kgo.Offset{}
	for partition, offsets := range ranges {
		if offsets.Start < offsets.End {
			r.left[partition], from[partition] = offsets, kgo.NewOffset().At(offsets.Start)
		}
	}
	if len(r.left) == 0 {
		return nil
	}
	topics, err := c.Topics(ctx, topic)
	if err != nil {
		return err
	}
	r.id = topics[topic].ID
	kafka, err := kgo.NewClient(append(connectionOptions(c.cfg),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // where retention was faster, what is left
	)...)
	if err != nil {
		return fmt.Errorf("reading topic %s: %w", topic, err)
	}
	defer kafka.CloseAllowingRebalance()
	r.kafka = kafka
	if err := r.run(ctx, handle); err != nil {
		return fmt.Errorf("reading topic %s: %w", topic, err)
	}
	return nil
}

type rangeReader struct {
	client *Client
	kafka  *kgo.Client
	topic  string
	id     TopicID
	left   map[int32]OffsetRange // by partition: what has not been handed over
}

func (r *rangeReader) run(ctx context.Context, handle func([]Record) error) error {
	for len(r.left) > 0 {
		waiting, cancel := context.WithTimeout(ctx, idleCheck)
		fetches := r.kafka.PollFetches(waiting)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetches.Err0(); errors.Is(err, context.DeadlineExceeded) {
			if err := r.dropRemoved(ctx); err != nil {
				return err
			}
			continue
		}
		var failed error
		fetches.EachError(func(_ string, partition int32, err error) {
			failed = errors.Join(failed, fmt.Errorf("partition %d: %w", partition, err))
		})
		if failed != nil {
			return failed
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if failed == nil {
				failed = r.take(p, handle)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// take hands over what belongs into a partition's range. The range is through when an offset at or behind its last one
// was seen: the newest record of a partition is never compacted away, so one comes.
func (r *rangeReader) take(p kgo.FetchTopicPartition, handle func([]Record) error) error {
	offsets, wanted := r.left[p.Partition]
	if !wanted || len(p.Records) == 0 {
		return nil
	}
	batch := make([]Record, 0, len(p.Records))
	for _, k := range p.Records {
		if k.Offset >= offsets.Start && k.Offset < offsets.End {
			record := Record{
				Topic: k.Topic, Partition: k.Partition, Offset: k.Offset, TopicID: r.id, Key: k.Key, Value: k.Value, Arrival: k.Timestamp,
			}
			for _, h := range k.Headers {
				record.Headers = append(record.Headers, Header{Key: h.Key, Value: h.Value})
			}
			batch = append(batch, record)
		}
	}
	offsets.Start = p.Records[len(p.Records)-1].Offset + 1
	r.left[p.Partition] = offsets
	if offsets.Start >= offsets.End {
		delete(r.left, p.Partition)
		r.kafka.RemoveConsumePartitions(map[string][]int32{r.topic: {p.Partition}})
	}
	if len(batch) == 0 {
		return nil
	}
	return handle(batch)
}

// dropRemoved gives up ranges that retention has removed as a whole since they were asked for.
func (r *rangeReader) dropRemoved(ctx context.Context) error {
	held, err := r.client.Offsets(ctx, r.topic)
	if err != nil {
		return err
	}
	for partition, offsets := range r.left {
		if now, exists := held[TopicPartition{r.topic, partition}]; !exists || now.Start >= offsets.End {
			delete(r.left, partition)
		}
	}
	return nil
}
