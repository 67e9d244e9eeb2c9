// Package firehose archives what the log holds: every interaction, with items and with actions, and every item, user
// and action record of every active dataset group goes to the bucket, exactly once.
//
//	bus.Consumer ──▶ partition (one per assigned partition)
//	                  decode ─▶ drop repeats ─▶ buffer ──flush: size, age, memory, stop──▶ archive.Chain ─▶ bucket
//	                    │                                                                     ▲
//	                    └─▶ undecodable: dead-letter topic + archive-errors/          one for all crashes:
//	                                                                                  names are offsets
//
// The archive is its own log of progress: at assignment a partition goes on where its chain in the bucket ends,
// whatever offset is committed to Kafka, which is only kept for lag displays. Two sinks on one partition do no harm;
// the slower one finds the next name taken, drops what the other has covered and goes on. While the bucket is away,
// nothing is committed, nothing more is buffered than the bounds allow, and the same batch is tried again without end.
package firehose

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// ConsumerGroup is the firehose's name in Kafka.
const ConsumerGroup = "penchant-firehose"

// Config is what the firehose works with. Settings that are zero have the defaults given.
type Config struct {
	Bus    *bus.Client
	Bucket *blob.Bucket
	View   *catalog.View

	Options
	// MemoryBytes bounds roughly what all buffers together take (256 MiB); above it, the largest is written early.
	MemoryBytes int64
	// DedupWindow is how many records of a partition back a repeated event id is noticed (100 000). It takes about 50
	// bytes a record.
	DedupWindow int

	Log        *zap.Logger
	Registerer prometheus.Registerer
}

const (
	defaultFlushInterval = time.Minute
	defaultMemory        = 256 << 20
	defaultDedupWindow   = 100_000
)

// Service is the firehose. It implements process.Service.
type Service struct {
	config   Config
	log      *zap.Logger
	metrics  *metrics
	budget   *budget
	schemas  schemas
	consumer *bus.Consumer
	now      func() time.Time

	mu      sync.Mutex
	targets map[string]target // by topic; a topic once known stays, its partition may still have to stop
	live    map[*partition]struct{}
}

// New prepares the firehose; Run starts it.
func New(config Config) (*Service, error) {
	s, err := newService(config)
	if err != nil {
		return nil, err
	}
	// Few large fetches: nobody waits for the archive's freshness below its flush interval.
	s.consumer, err = bus.NewConsumer(bus.ConsumerConfig{
		Client:        config.Bus,
		Group:         ConsumerGroup,
		FetchMinBytes: 64 << 10,
		FetchMaxWait:  min(500*time.Millisecond, s.config.FlushInterval),
		Tick:          min(time.Second, max(10*time.Millisecond, s.config.FlushInterval/4)),
		Log:           s.log,
		Registerer:    config.Registerer,
	}, s.newPartition)
	if err != nil {
		return nil, fmt.Errorf("preparing the consumer: %w", err)
	}
	return s, nil
}

func newService(config Config) (*Service, error) {
	if config.FlushBytes <= 0 || config.FlushBytes > archive.MaxFileBytes {
		config.FlushBytes = archive.MaxFileBytes
	}
	if config.FlushInterval <= 0 {
		config.FlushInterval = defaultFlushInterval
	}
	if config.MemoryBytes <= 0 {
		config.MemoryBytes = defaultMemory
	}
	if config.DedupWindow <= 0 {
		config.DedupWindow = defaultDedupWindow
	}
	if config.Log == nil {
		config.Log = zap.NewNop()
	}
	s := &Service{
		config:  config,
		log:     config.Log,
		budget:  newBudget(config.MemoryBytes),
		schemas: schemas{view: config.View, log: config.Log},
		now:     time.Now,
		targets: map[string]target{},
		live:    map[*partition]struct{}{},
	}
	var err error
	if s.metrics, err = newMetrics(config.Registerer, s.collectLive); err != nil {
		return nil, err
	}
	return s, nil
}

// Name is the service's name.
func (s *Service) Name() string { return "firehose" }

// Run archives until ctx ends, then writes what is buffered.
func (s *Service) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	cancel := s.config.View.Subscribe(func(arn string) {
		if resource.TypeOf(arn) == resource.DatasetGroup {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	})
	defer cancel()
	if err := s.config.View.WaitReady(ctx); err != nil {
		return fmt.Errorf("waiting for the catalog: %w", err)
	}
	s.setTopics()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.consumer.Run(ctx) })
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
				s.setTopics()
			}
		}
	})
	return group.Wait()
}

// Ready returns an error unless records can be archived: the catalog is loaded, and the bucket and the log answer.
func (s *Service) Ready(ctx context.Context) error {
	if !s.config.View.Ready() {
		return errors.New("the catalog is not loaded yet")
	}
	if _, err := s.config.Bucket.Head(ctx, "archive/ready"); err != nil && !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("the bucket does not answer: %w", err)
	}
	if err := s.config.Bus.Ping(ctx); err != nil {
		return fmt.Errorf("the log does not answer: %w", err)
	}
	return nil
}

// setTopics subscribes the consumer to the topics of all dataset groups.
func (s *Service) setTopics() {
	var topics []string
	s.mu.Lock()
	for _, group := range catalog.All[*catalog.DatasetGroup](s.config.View) {
		if group.Status != status.Active {
			continue
		}
		for topic, t := range targetsOf(group) {
			s.targets[topic] = t
			topics = append(topics, topic)
		}
	}
	s.mu.Unlock()
	s.consumer.SetTopics(topics...)
}

func (s *Service) newPartition(a bus.Assignment) bus.PartitionConsumer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.targets[a.Topic]
	if !ok {
		// The consumer subscribes only to topics of setTopics.
		panic("an assignment of a topic that was not asked for: " + a.Topic)
	}
	return newPartition(s, t, a)
}

// enter and leave keep the set of partitions that metrics look at and memory is counted for.
func (s *Service) enter(p *partition) {
	s.mu.Lock()
	s.live[p] = struct{}{}
	s.mu.Unlock()
}

func (s *Service) leave(p *partition) {
	s.mu.Lock()
	delete(s.live, p)
	s.mu.Unlock()
	s.budget.remove(p)
}
