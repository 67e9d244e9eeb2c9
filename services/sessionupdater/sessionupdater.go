// Package sessionupdater folds interactions, with items and with actions, into user states as they arrive, so that a
// visitor's next request sees his last click.
//
//	interactions topics ──▶ bus.Consumer ──▶ partition (one per assigned partition)
//	                                          decode ─▶ group by user ─▶ load ─▶ fold ─▶ save ─▶ watermark
//	                                            │                          ▲       ▲
//	                                            └─▶ undecodable:           │       └── models (vectors)
//	                                                dead-letter topic      │
//	after a loss: archive ─────────────────────▶ rebuild ──────────────────┤
//	a new dataset version: imported data ──────▶ importer (one a process) ─┘
//
// Progress is what the watermarks beside the users say, not the offset committed to Kafka, which only feeds lag displays
// and tells how far the log may be trimmed: whatever Redis lost, the watermark lost as well, and the partition is folded
// again from there, out of the archive as far as the log no longer reaches. Folding is a join (see userstate), so none of
// this counts an event twice.
package sessionupdater

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// ConsumerGroup is the session-updater's name in Kafka.
const ConsumerGroup = "penchant-session-updater"

// Models knows the models that serve a dataset group. modelstore.Registry does.
type Models interface {
	Group(group string) []*modelstore.Loaded
}

// Config is what the session-updater works with. Settings that are zero have the defaults given.
type Config struct {
	Bus    *bus.Client
	Bucket *blob.Bucket // holds the archive and the imported data
	Users  *userstate.Store
	View   *catalog.View
	Models Models

	// ImportRows bounds the imported interactions held in memory while they are merged (1 000 000, at about 150 bytes);
	// larger data is read several times.
	ImportRows int

	Log        *zap.Logger
	Registerer prometheus.Registerer
}

const (
	defaultImportRows = 1_000_000
	// checkInterval is how often watermarks are written, and looked at for losses.
	checkInterval = time.Second
	// parallelReplays bounds how many partitions read the archive at once: each holds a file of it in memory.
	parallelReplays = 2
)

// Service is the session-updater. It implements process.Service.
type Service struct {
	config   Config
	log      *zap.Logger
	metrics  *metrics
	consumer *bus.Consumer
	importer *importer
	replays  chan struct{} // a token for each running replay

	mu      sync.Mutex
	streams map[string]stream // by topic; a topic once known stays, its partition may still have to stop
}

// New prepares the session-updater; Run starts it.
func New(config Config) (*Service, error) {
	if config.ImportRows <= 0 {
		config.ImportRows = defaultImportRows
	}
	if config.Log == nil {
		config.Log = zap.NewNop()
	}
	s := &Service{
		config: config, log: config.Log,
		replays: make(chan struct{}, parallelReplays),
		streams: map[string]stream{},
	}
	s.importer = newImporter(s)
	var err error
	if s.metrics, err = newMetrics(config.Registerer); err != nil {
		return nil, err
	}
	s.consumer, err = bus.NewConsumer(bus.ConsumerConfig{
		Client: config.Bus, Group: ConsumerGroup,
		FetchMinBytes: 1, // anything above makes freshness equal to the fetch's wait
		Tick:          checkInterval,
		Log:           config.Log, Registerer: config.Registerer,
	}, s.newPartition)
	if err != nil {
		return nil, fmt.Errorf("preparing the consumer: %w", err)
	}
	return s, nil
}

// Name is the service's name.
func (s *Service) Name() string { return "session-updater" }

// Run folds until ctx ends, then finishes the batches at hand.
func (s *Service) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	unsubscribe := s.config.View.Subscribe(func(arn string) {
		switch resource.TypeOf(arn) {
		case resource.DatasetGroup:
			nudge(changed)
		case resource.Dataset:
			nudge(s.importer.wake)
		}
	})
	defer unsubscribe()
	if err := s.config.View.WaitReady(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.setTopics()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.consumer.Run(ctx) })
	group.Go(func() error { return s.importer.run(ctx) })
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

// nudge wakes the reader of a channel with room for one. Nudges that come before it looks are one.
func nudge(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// Ready says whether events can be folded: the catalog is loaded, and Redis and the log answer.
func (s *Service) Ready(ctx context.Context) error {
	if !s.config.View.Ready() {
		return errors.New("the catalog is not loaded yet")
	}
	if err := s.config.Users.Ping(ctx); err != nil {
		return err
	}
	if err := s.config.Bus.Ping(ctx); err != nil {
		return fmt.Errorf("the log does not answer: %w", err)
	}
	return nil
}

// setTopics tells the consumer which topics there are.
func (s *Service) setTopics() {
	var topics []string
	s.mu.Lock()
	for _, group := range catalog.All[*catalog.DatasetGroup](s.config.View) {
		if group.Status == status.Active {
			for _, t := range schema.InteractionTypes() {
				topic := t.Topic(group.GroupKey())
				s.streams[topic] = stream{group.GroupKey(), t}
				topics = append(topics, topic)
			}
		}
	}
	s.mu.Unlock()
	s.consumer.SetTopics(topics...)
}

func (s *Service) newPartition(a bus.Assignment) bus.PartitionConsumer {
	s.mu.Lock()
	defer s.mu.Unlock()
	stream, ok := s.streams[a.Topic]
	if !ok {
		// The consumer subscribes only to topics of setTopics.
		panic("an assignment of a topic that was not asked for: " + a.Topic)
	}
	return &partition{
		service: s, assignment: a, stream: stream,
		source: userstate.Log{TopicID: a.TopicID, Partition: a.Partition, Type: stream.data}, buried: a.Committed - 1,
		log: s.log.With(zap.String("topic", a.Topic), zap.Int32("partition", a.Partition)),
	}
}
