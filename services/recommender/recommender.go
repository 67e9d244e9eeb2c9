// Package recommender answers GetRecommendations, GetPersonalizedRanking and GetActionRecommendations: campaign → model →
// visitor → scores → list. recommend.go is that way, in this order; actions.go is that of actions. results.go looks up what batch jobs have computed.
//
// It holds nothing that others could not have. Models come from modelstore.Registry, visitors from Redis, the attributes of
// items and users, where filters or metadata ask for them, from attributes.Live, and an answer is also told to the dataset
// group's recommendations topic: under its recommendationId stands there which items were shown, by which model, to whom.
// Replicas need not know each other. Once it has a good model it keeps answering: without Redis as to an unknown visitor
// (with a header that says so), without S3 from what is in memory, without Kafka untold. Only a request with a filter whose
// attributes were never loaded is refused with 503, rather than answered with what it does not want.
//
// A filter is applied before the best are taken, so that lists are full as long as enough items pass. Items that pass and
// that the model does not know fill the rest up, the newest first and without a score.
//
// An experiment is asked as a campaign is: experiments.go finds the arm that answers the user, shadows.go what others would have
// answered.
//
// context is checked and changes nothing, as no recipe here reads it.
package recommender

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// Config is what a recommender works with. The clients stay the caller's, who closes them after Run has returned.
type Config struct {
	// Models is followed by someone else: its Run is not called here.
	Models *modelstore.Registry
	// View is followed by someone else, too.
	View   *catalog.View
	Users  *userstate.Store
	Bus    *bus.Client
	Bucket *blob.Bucket
	// AttributesLimit bounds the memory of what is known of items and users, in bytes; 0: no bound.
	AttributesLimit int64
	// Explore lets recipes that explore show cold items, as their campaigns' explorationWeight says. Without it equal state
	// gives equal lists.
	Explore bool
	// UserStateTimeout bounds the wait for a visitor's state; then he is answered as an unknown one. 0: 200 ms.
	UserStateTimeout time.Duration
	// Now is the clock; nil: time.Now.
	Now        func() time.Time
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Service is the recommender.
type Service struct {
	config      Config
	metrics     *metrics
	buffers     buffers
	shown       *shown
	partitions  *partitions
	filters     *filters
	attributes  *attributes.Live
	alignments  *alignments
	impressions *impressions
	shadows     *shadows
	turns       chan struct{} // holds those who score
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
	source := attributes.Source{Bucket: config.Bucket, Bus: config.Bus, View: config.View}
	s := &Service{
		config: config, metrics: m, turns: make(chan struct{}, turnsPerCPU*runtime.GOMAXPROCS(0)),
		partitions:  newPartitions(config.Bus, config.Log),
		filters:     &filters{source: source, compiled: map[string]compiledFilter{}},
		impressions: &impressions{bus: config.Bus, log: config.Log, counts: map[string]map[string]uint32{}},
		alignments:  &alignments{known: map[alignment]*aligned{}},
		shown:       &shown{bus: config.Bus, log: config.Log, metrics: m, now: config.Now, queue: make(chan *answer, shownQueue)},
	}
	s.shadows = &shadows{service: s, queue: make(chan shadow, shadowQueue)}
	s.attributes, err = attributes.NewLive(attributes.Config{
		Source: source, Needs: s.needs, Limit: config.AttributesLimit, Log: config.Log, Registerer: config.Registerer,
	})
	return s, err
}

// Register makes the router answer the runtime operations.
func (s *Service) Register(r *awsapi.Router) {
	awsapi.HandlePath(r, "/recommendations", "GetRecommendations", timed(s, "GetRecommendations", s.GetRecommendations), awsapi.MaxBody(maxBody))
	awsapi.HandlePath(r, ExplainPath, "ExplainRecommendations", timed(s, "ExplainRecommendations", s.ExplainRecommendations), awsapi.MaxBody(maxBody))
	awsapi.HandlePath(r, BatchResultPath, "GetBatchResult", timed(s, "GetBatchResult", s.GetBatchResult), awsapi.MaxBody(maxBody))
	awsapi.HandlePath(r, "/action-recommendations", "GetActionRecommendations", timed(s, "GetActionRecommendations", s.GetActionRecommendations), awsapi.MaxBody(maxBody))
	awsapi.HandlePath(r, "/personalize-ranking", "GetPersonalizedRanking", timed(s, "GetPersonalizedRanking", s.GetPersonalizedRanking), awsapi.MaxBody(maxBody))
}

// Name implements process.Service.
func (s *Service) Name() string { return "recommender" }

// Run publishes what is answered, and follows what filters ask about, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	unsubscribe := s.config.View.Subscribe(s.filters.changed)
	defer unsubscribe()
	var running sync.WaitGroup
	running.Go(func() { s.partitions.run(ctx) })
	running.Go(func() { s.shown.run(ctx) })
	running.Go(func() { s.impressions.run(ctx, s.exploring) })
	running.Go(func() { s.shadows.run(ctx) })
	err := s.attributes.Run(ctx)
	running.Wait()
	return err
}

// Ready returns nil when every active campaign has a good model, or there is none; Redis may be away.
func (s *Service) Ready(context.Context) error { return s.config.Models.Ready() }
