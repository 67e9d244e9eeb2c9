// Package recommender answers GetRecommendations and GetPersonalizedRanking: campaign → model → visitor → scores → list.
// recommend.go is that way, in this order.
//
// It holds nothing of its own. Models come from modelstore.Registry, visitors from Redis, and an answer is also told to
// the dataset group's recommendations topic. Replicas need not know each other. Once it has a good model it keeps
// answering: without Redis as to an unknown visitor (with a header that says so), without S3 from the models in memory,
// without Kafka untold.
//
// Answers are exploitation only: equal state gives equal lists, whatever a campaign's explorationWeight. Exploration of
// cold items needs to know what was shown, and comes with impressions and filters. context is accepted and changes
// nothing, as no recipe here reads it.
package recommender

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// Config is what a recommender works with. The clients stay the caller's, who closes them after Run has returned.
type Config struct {
	// Models is followed by someone else: its Run is not called here.
	Models *modelstore.Registry
	Users  *userstate.Store
	Bus    *bus.Client
	// UserStateTimeout bounds the wait for a visitor's state; then he is answered as an unknown one. 0: 200 ms.
	UserStateTimeout time.Duration
	// Now is the clock; nil: time.Now.
	Now        func() time.Time
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Service is the recommender.
type Service struct {
	config     Config
	metrics    *metrics
	buffers    buffers
	shown      *shown
	partitions *partitions
	turns      chan struct{} // holds those who score
}

const (
	defaultUserStateTimeout = 200 * time.Millisecond
	// turnsPerCPU keeps every processor busy although some who score are not running at a moment.
	turnsPerCPU = 4
	// turnTimeout bounds the wait for a turn to score.
	turnTimeout = time.Second
)

// New returns a recommender. It answers as soon as it is registered; Run tells what it answered.
func New(config Config) (*Service, error) {
	if config.UserStateTimeout <= 0 {
		config.UserStateTimeout = defaultUserStateTimeout
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	m, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, err
	}
	return &Service{
		config: config, metrics: m, turns: make(chan struct{}, turnsPerCPU*runtime.GOMAXPROCS(0)),
		partitions: newPartitions(config.Bus, config.Log),
		shown:      &shown{bus: config.Bus, log: config.Log, metrics: m, now: config.Now, queue: make(chan *answer, shownQueue)},
	}, nil
}

// Register makes the router answer the runtime operations.
func (s *Service) Register(r *awsapi.Router) {
	awsapi.HandlePath(r, "/recommendations", "GetRecommendations", timed(s, "GetRecommendations", s.GetRecommendations), awsapi.MaxBody(maxBody))
	awsapi.HandlePath(r, "/personalize-ranking", "GetPersonalizedRanking", timed(s, "GetPersonalizedRanking", s.GetPersonalizedRanking), awsapi.MaxBody(maxBody))
}

// Name implements process.Service.
func (s *Service) Name() string { return "recommender" }

// Run publishes what is answered until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { s.partitions.run(ctx) })
	s.shown.run(ctx)
	running.Wait()
	return nil
}

// Ready returns nil when every active campaign has a good model, or there is none; Redis may be away.
func (s *Service) Ready(context.Context) error { return s.config.Models.Ready() }
