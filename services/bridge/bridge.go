// Package bridge makes events of the records that a web server already writes to a Kafka topic of its own: JSON, in
// whatever shape, which a mapping file (Mapping) turns into PutEvents. `penchant bridge` runs it.
//
//	web server ─▶ [its Kafka topic] ─▶ bridge ── PutEvents, signed as an SDK does ──▶ tracker
//	                                     └─▶ [dead-letter topic]: what can't become an event, with the reason
//
// It knows the tracker only by its API, so that everything that holds for events of SDKs (validation, schemas, 200 only
// once the log has them) holds for these. Delivery is at-least-once: an offset is committed after the tracker has
// acknowledged the events before it. A repeat is the same event, since its id follows from the record's place
// (EventID); the archive, the user's state and trainings count an id once. The order of a user's records in a partition
// is kept.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/bus"
)

// ConsumerGroup is the Kafka group of a bridge that was not given another name, and what the others' should begin with:
// the operator's lag display knows them by it.
const ConsumerGroup = "penchant-bridge"

// DeadLetterTopic is where records of a topic go that can't become events, unless another is named.
func DeadLetterTopic(topic string) string { return topic + ".penchant-deadletter" }

// Config is what a bridge works with. The clients stay the caller's, who closes them after Run has returned.
type Config struct {
	Options
	// Bus is the Kafka that has the source topics, and takes the dead letters.
	Bus     *bus.Client
	Mapping *Mapping
	// Tracker is the API whose event tracker has the TrackingID.
	Tracker *awsapi.Client

	Log        *zap.Logger
	Registerer prometheus.Registerer
}

const (
	defaultConcurrency = 16
	// tick has what was read committed soon, also where nothing comes.
	tick = time.Second
)

// Service is the bridge.
type Service struct {
	config   Config
	metrics  *metrics
	consumer *bus.Consumer
	calls    chan struct{} // holds a token for each call under way

	mu sync.Mutex
	// away is why the tracker does not take events; nil while it does.
	away error
}

// New makes a bridge. It neither reads nor sends anything before Run.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Bus == nil || cfg.Tracker == nil || cfg.Mapping == nil:
		return nil, errors.New("the bridge needs a Kafka, a tracker and a mapping")
	case len(cfg.Topics) == 0:
		return nil, errors.New("the bridge needs a topic to read")
	case cfg.TrackingID == "" || len(cfg.TrackingID) > 256:
		return nil, errors.New("the bridge needs a tracking id, of at most 256 characters")
	}
	if cfg.Group == "" {
		cfg.Group = ConsumerGroup
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	s := &Service{config: cfg, calls: make(chan struct{}, cfg.Concurrency)}
	var err error
	if s.metrics, err = newMetrics(cfg.Registerer); err != nil {
		return nil, err
	}
	s.consumer, err = bus.NewConsumer(bus.ConsumerConfig{
		Client: cfg.Bus, Group: cfg.Group, Tick: tick, Log: cfg.Log, Registerer: cfg.Registerer,
	}, func(a bus.Assignment) bus.PartitionConsumer {
		return &partition{service: s, Assignment: a, next: unknown}
	})
	if err != nil {
		return nil, err
	}
	s.consumer.SetTopics(cfg.Topics...)
	return s, nil
}

// Name implements process.Service.
func (s *Service) Name() string { return "bridge" }

// Run implements process.Service.
func (s *Service) Run(ctx context.Context) error {
	specs := make([]bus.TopicSpec, 0, len(s.config.Topics))
	for _, topic := range s.config.Topics {
		specs = append(specs, bus.TopicSpec{Name: s.deadLetterTopic(topic), Partitions: 1})
	}
	for attempt := 0; ; attempt++ {
		err := s.config.Bus.EnsureTopics(ctx, specs...)
		if err == nil {
			return s.consumer.Run(ctx)
		}
		s.config.Log.Warn("creating the dead-letter topics failed and is repeated", zap.Error(err))
		if retryPace.Wait(ctx, attempt) != nil {
			return nil
		}
	}
}

// Ready implements process.Service: the brokers answer, and the tracker took the events that it was sent last.
func (s *Service) Ready(ctx context.Context) error {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away != nil {
		return fmt.Errorf("the tracker does not take events: %w", away)
	}
	return s.config.Bus.Ping(ctx)
}

func (s *Service) deadLetterTopic(topic string) string {
	if s.config.DeadLetterTopic != "" {
		return s.config.DeadLetterTopic
	}
	return DeadLetterTopic(topic)
}

// reached notes how a call ended, for Ready, and reports whether that is news.
func (s *Service) reached(err error) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = (s.away == nil) != (err == nil)
	s.away = err
	return news
}

// retryPace spaces the repeats of calls to brokers and tracker.
var retryPace = backoff.Exponential{First: 100 * time.Millisecond, Max: 5 * time.Second}
