// Package sessionupdater folds interactions, with items and with actions, into user states as they arrive, so that a
// visitor's next request sees their last click.
//
//	interactions topics ──▶ bus.Consumer ──▶ partition (one per assigned partition)
//	                                          decode ─▶ group by user ─▶ load ─▶ fold ─▶ save ─▶ watermark
//	                                            │                          ▲       ▲
//	                                            └─▶ undecodable:           │       └── models (vectors)
//	                                                dead-letter topic      │
//	after a loss: archive ─────────────────────▶ rebuild ──────────────────┤
//	a new dataset version: imported data ──────▶ importer (one a process) ─┘
//
// The watermarks next to the users define the progress, not the offset committed to Kafka, which only feeds lag
// displays and bounds how far the log may be trimmed: whatever Redis lost, it lost the watermark as well, and the
// partition is folded again from there, from the archive where the log no longer reaches. Folding is a join (see
// userstate), so none of this counts an event twice.
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

// Models returns the models that serve a dataset group. modelstore.Registry implements it.
type Models interface {
	Group(group string) []*modelstore.Loaded
}

// Config holds the clients and settings of the session-updater. A setting of zero means its default.
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
	// checkInterval is how often watermarks are written, and checked for losses.
	checkInterval = time.Second
	// parallelReplays bounds how many partitions read the archive at once, each with one of its files in memory.
	parallelReplays = 2
)

// Service is the session-updater. It implements process.Service.
type Service struct {
	config   Config
	log      *zap.Logger
	metrics  *metrics
	consumer *bus.Consumer
	importer *importer
	replays  chan struct{} // holds a token for each running replay

	mu      sync.Mutex
	streams map[string]stream // by topic; never shrinks, because a deleted topic's partition may still have to stop
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

// Name returns the service's name.
func (s *Service) Name() string { return "session-updater" }

// Run folds until ctx ends, then finishes the batches in hand.
func (s *Service) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	unsubscribe := s.config.View.Subscribe(func(arn string) {
		switch resource.TypeOf(arn) {
		case resource.DatasetGroup:
			signal(changed)
		case resource.Dataset:
			signal(s.importer.wake)
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

// signal wakes the reader of a channel with room for one. Signals before the reader wakes up collapse into one.
func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// Ready returns an error unless events can be folded: the catalog is loaded, and Redis and the log answer.
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

// setTopics subscribes the consumer to the topics of all active dataset groups.
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
		panic("assigned a topic that setTopics did not subscribe to: " + a.Topic)
	}
	return &partition{
		service: s, assignment: a, stream: stream,
		source:           userstate.Log{TopicID: a.TopicID, Partition: a.Partition, Type: stream.data},
		lastDeadLettered: a.Committed - 1,
		log:              s.log.With(zap.String("topic", a.Topic), zap.Int32("partition", a.Partition)),
	}
}
