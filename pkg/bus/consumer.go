package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

const (
	commitInterval = time.Second
	commitTimeout  = 3 * time.Second
	leaveTimeout   = 2 * time.Second
	// Topics are looked at this often, at once when reading them fails, and often while one is awaited.
	topicInterval   = 5 * time.Second
	missingInterval = time.Second
	minTopicPause   = 50 * time.Millisecond
)

// errNoTopic means that the topic is not, or not any more, the one that was assigned.
var errNoTopic = errors.New("the topic is gone")

// A Consumer shares the partitions of its topics with the other members of its group, and works on those it is
// assigned, each in a goroutine of its own, so that a partition whose handler fails holds up no other.
//
//	  member (group)            reader (no group)
//	assigns, revokes          fetches from exact offsets
//	      │    ▲ commits             │ records      ▲ from where, pause, resume
//	      ▼    │                     ▼              │
//	   Consumer ── starts, stops ──▶ runner (one a partition) ──▶ PartitionConsumer
//
// A revoked partition is stopped, flushed and committed before the group hands it on; a lost one is dropped. A topic
// that is deleted ends its partitions, and one made again under the name starts new ones.
type Consumer struct {
	cfg          ConsumerConfig
	log          *zap.Logger
	newPartition func(Assignment) PartitionConsumer
	metrics      *consumerMetrics
	reader       *reader
	member       *kgo.Client

	wakeTopics chan struct{} // holds a token when the topics should be looked at

	mu       sync.Mutex
	wanted   map[string]bool         // the topics of SetTopics
	joined   map[string]TopicInfo    // the topics the member takes part in
	assigned map[TopicPartition]bool // by the group
	runners  map[TopicPartition]*runner
	closing  bool

	// commits orders commits and the end of runners: see commitRunners.
	commits sync.Mutex
}

// NewConsumer returns a consumer. newPartition makes the handler of an assigned partition, in the goroutine that uses
// it.
func NewConsumer(cfg ConsumerConfig, newPartition func(Assignment) PartitionConsumer) (*Consumer, error) {
	if cfg.Client == nil || cfg.Group == "" {
		return nil, errors.New("making a consumer: it needs a client and a group")
	}
	if cfg.FetchMinBytes <= 0 {
		cfg.FetchMinBytes = 1
	}
	if cfg.FetchMaxBytes <= 0 {
		cfg.FetchMaxBytes = 16 << 20
	}
	if cfg.FetchMaxWait <= 0 {
		cfg.FetchMaxWait = 500 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	return &Consumer{
		cfg:          cfg,
		log:          cfg.Log,
		newPartition: newPartition,
		wakeTopics:   make(chan struct{}, 1),
		wanted:       make(map[string]bool),
		joined:       make(map[string]TopicInfo),
		assigned:     make(map[TopicPartition]bool),
		runners:      make(map[TopicPartition]*runner),
		metrics:      newConsumerMetrics(),
	}, nil
}

// SetTopics sets the topics to consume: the whole set. It may be called before and during Run, and takes effect at
// once. A topic that doesn't exist is consumed as soon as it does.
func (c *Consumer) SetTopics(topics ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = make(map[string]bool, len(topics))
	for _, topic := range topics {
		c.wanted[topic] = true
	}
	c.refreshTopics()
}

// Run consumes until ctx ends. It returns when all partitions are stopped and their offsets are committed. It runs
// once.
func (c *Consumer) Run(ctx context.Context) error {
	if err := c.open(); err != nil {
		return fmt.Errorf("starting the consumer %s: %w", c.cfg.Group, err)
	}
	if err := c.metrics.register(c); err != nil {
		c.member.Close()
		c.reader.client.Close()
		return fmt.Errorf("registering the metrics of the consumer %s: %w", c.cfg.Group, err)
	}
	defer c.metrics.unregister(c)

	readerCtx, stopReader := context.WithCancel(context.Background())
	defer stopReader()
	var reading, working sync.WaitGroup
	reading.Go(func() { c.reader.run(readerCtx) })
	working.Go(func() { c.watchTopics(ctx) })
	working.Go(func() { c.watchMember(ctx) })
	working.Go(func() { c.commitPeriodically(ctx) })

	<-ctx.Done()
	working.Wait()
	c.mu.Lock()
	c.closing = true // what the group still assigns starts nothing
	all := slices.Collect(maps.Keys(c.runners))
	c.mu.Unlock()
	c.release(all, false) // stop, flush, commit
	c.leaveGroup()
	stopReader()
	reading.Wait()
	return nil
}

// leaveGroup leaves the group explicitly, so that others take over at once instead of after the session's timeout.
func (c *Consumer) leaveGroup() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := c.member.LeaveGroupContext(ctx); err != nil {
		c.log.Warn("leaving the Kafka group failed; it will notice by itself", zap.String("group", c.cfg.Group), zap.Error(err))
	}
	c.member.Close()
}

// open makes the two connections.
func (c *Consumer) open() error {
	cfg := c.cfg.Client.cfg
	cfg.Log = c.log
	reader, err := newReader(cfg, readerOptions{c.cfg.FetchMinBytes, c.cfg.FetchMaxBytes, c.cfg.FetchMaxWait}, c.refreshTopics)
	if err != nil {
		return err
	}
	c.reader = reader
	c.member, err = kgo.NewClient(append(connectionOptions(cfg),
		kgo.ConsumerGroup(c.cfg.Group),
		kgo.SessionTimeout(15*time.Second),
		kgo.HeartbeatInterval(time.Second),
		kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), // a partition that stays isn't interrupted
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) { c.assign(partitionsOf(added)) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { c.revoke(partitionsOf(gone), false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { c.revoke(partitionsOf(gone), true) }),
		// The member fetches nothing: from nowhere. The reader does.
		kgo.AdjustFetchOffsetsFn(func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			return nil, nil
		}),
	)...)
	if err != nil {
		reader.client.Close()
		return fmt.Errorf("opening the Kafka group: %w", err)
	}
	return nil
}

func partitionsOf(topics map[string][]int32) []TopicPartition {
	var tps []TopicPartition
	for topic, partitions := range topics {
		for _, partition := range partitions {
			tps = append(tps, TopicPartition{topic, partition})
		}
	}
	return tps
}

func (c *Consumer) assign(added []TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tp := range added {
		c.assigned[tp] = true
		c.startRunner(tp)
	}
}

// startRunner starts a runner for an assigned partition of a topic we take part in. c.mu is held.
func (c *Consumer) startRunner(tp TopicPartition) {
	if _, joined := c.joined[tp.Topic]; c.closing || !joined || c.runners[tp] != nil {
		return
	}
	r := newRunner(c, tp)
	c.runners[tp] = r
	go r.run()
}

func (c *Consumer) revoke(gone []TopicPartition, lost bool) {
	c.mu.Lock()
	for _, tp := range gone {
		delete(c.assigned, tp)
	}
	c.mu.Unlock()
	c.release(gone, lost)
}

// release stops the runners of the partitions, all at once, waits for them, and commits their offsets.
func (c *Consumer) release(gone []TopicPartition, lost bool) {
	c.mu.Lock()
	var runners []*runner
	for _, tp := range gone {
		if r := c.runners[tp]; r != nil {
			r.stop(lost)
			runners = append(runners, r)
		}
	}
	c.mu.Unlock()
	for _, r := range runners {
		<-r.done
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	c.commitRunners(ctx, runners)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range runners {
		if c.runners[r.tp] == r {
			delete(c.runners, r.tp)
		}
	}
}

// commitPeriodically commits the runners' new offsets at each commitInterval.
func (c *Consumer) commitPeriodically(ctx context.Context) {
	ticker := time.NewTicker(commitInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.mu.Lock()
			runners := slices.Collect(maps.Values(c.runners))
			c.mu.Unlock()
			timely, cancel := context.WithTimeout(ctx, commitTimeout)
			c.commitRunners(timely, runners)
			cancel()
		}
	}
}

// commitRunners commits the offsets that the runners have reached since their last commit.
//
// It is called by the ticker and, for partitions that are given up, before the group hands them on. One at a time: else
// the ticker could gather an offset, be overtaken by the revocation, and commit after the next owner has; the group
// would take it, since the rebalance left us a member in good standing, and the next owner's commit would be undone. A
// runner that has ended is committed for the last time under the same lock and reports no offset afterwards.
func (c *Consumer) commitRunners(ctx context.Context, runners []*runner) {
	c.commits.Lock()
	defer c.commits.Unlock()
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	said := make(map[*runner]int64)
	for _, r := range runners {
		offset, ok := r.toCommit()
		if !ok {
			continue
		}
		if offsets[r.tp.Topic] == nil {
			offsets[r.tp.Topic] = make(map[int32]kgo.EpochOffset)
		}
		offsets[r.tp.Topic][r.tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
		said[r] = offset
	}
	if len(offsets) == 0 {
		return
	}
	var failure error
	c.member.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		failure = commitError(response, err)
	})
	if failure == nil {
		for r, offset := range said {
			r.wasCommitted(offset)
		}
		return
	}
	if ctx.Err() == nil {
		// Nothing is lost by it: the handlers know where they are, and what is committed is a hint.
		c.log.Warn("committing offsets failed", zap.String("group", c.cfg.Group), zap.Error(failure))
	}
}

// position says what a partition holds, under the identity of its topic that we take part in.
func (c *Consumer) position(ctx context.Context, tp TopicPartition) (TopicID, OffsetRange, error) {
	c.mu.Lock()
	joined, ok := c.joined[tp.Topic]
	c.mu.Unlock()
	if !ok {
		return TopicID{}, OffsetRange{}, errNoTopic
	}
	held, err := c.cfg.Client.Offsets(ctx, tp.Topic)
	if err != nil {
		return TopicID{}, OffsetRange{}, err
	}
	// After the offsets: they are that topic's if it is still the same.
	topics, err := c.cfg.Client.Topics(ctx, tp.Topic)
	if err != nil {
		return TopicID{}, OffsetRange{}, err
	}
	here, ok := held[tp]
	if !ok || topics[tp.Topic].ID != joined.ID {
		c.refreshTopics()
		return TopicID{}, OffsetRange{}, errNoTopic
	}
	return joined.ID, here, nil
}

// lookUp says all that the handler of a partition is told about it.
func (c *Consumer) lookUp(ctx context.Context, tp TopicPartition) (Assignment, error) {
	id, held, err := c.position(ctx, tp)
	if err != nil {
		return Assignment{}, err
	}
	committed, err := c.cfg.Client.committed(ctx, c.cfg.Group, tp.Topic)
	if err != nil {
		return Assignment{}, err
	}
	a := Assignment{TopicPartition: tp, TopicID: id, Committed: -1, Start: held.Start, End: held.End}
	if offset, ok := committed[tp]; ok {
		a.Committed = offset
	}
	return a, nil
}

// Lag says how many records of each assigned partition aren't safely handled yet: the partition's end less what its
// handler said could be committed.
func (c *Consumer) Lag() map[TopicPartition]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	lag := make(map[TopicPartition]int64, len(c.runners))
	for tp, r := range c.runners {
		lag[tp] = r.lag()
	}
	return lag
}

// watchMember logs what goes wrong in the group. The library goes on trying by itself.
func (c *Consumer) watchMember(ctx context.Context) {
	var last time.Time
	for ctx.Err() == nil {
		fetches := c.member.PollFetches(ctx)
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil && time.Since(last) > 10*time.Second {
				last = time.Now()
				c.log.Warn("taking part in the Kafka group failed, retrying", zap.String("group", c.cfg.Group), zap.Error(err))
			}
		})
	}
}
