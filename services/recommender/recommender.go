// Package recommender answers GetRecommendations, GetPersonalizedRanking and GetActionRecommendations. Each request
// takes the same way, which recommend.go shows in this order and actions.go for actions:
//
//	request.go → experiments.go → trace.go, visitor.go, filters.go → score.go → pkg/ranking → answer.go
//	 (parse)      (which model)     (what the answer depends on)      (slot)      (the list)
//
// explain.go describes an answer from its trace, and results.go looks up what batch jobs have computed.
//
// The service holds no state of its own. Models come from modelstore.Registry, visitors from Redis, the attributes of
// items and users, where filters or metadata ask for them, from attributes.Live. Each answer is also published to the
// dataset group's recommendations topic: under its recommendationId, the record has the items that were shown, by which
// model and to whom. Replicas need not know each other. Once it has a good model the service keeps answering: without
// Redis as to an unknown visitor (with a header that says so), without S3 from what is in memory, without Kafka
// unpublished. Only a request with a filter whose attributes were never loaded is refused with 503, rather than
// answered with items that the filter may exclude.
//
// A filter is applied before the best items are taken, so that lists are full as long as enough items pass. Items that
// pass and that the model does not know fill up the rest, the newest first and without a score.
//
// Experiments are called like campaigns: experiments.go finds the arm that answers the user, shadows.go computes what
// others would have answered.
//
// The context of requests is validated and changes nothing, as no recipe here reads it.
package recommender

import (
	"context"
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

// Config holds the settings and clients of a recommender. The caller closes the clients after Run has returned.
type Config struct {
	// Models and View are run by the caller.
	Models *modelstore.Registry
	View   *catalog.View
	Users  *userstate.Store
	Bus    *bus.Client
	Bucket *blob.Bucket
	Options
	// Explore lets recipes that explore show cold items, by their campaigns' explorationWeight. Without it equal state
	// gives equal lists.
	Explore bool
	// UserStateTimeout bounds the wait for a visitor's state; then they are answered as an unknown one. 0: 200 ms.
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
	slots       slots
	buffers     buffers
	partitions  *partitions
	filters     *attributes.Filters
	attributes  *attributes.Live
	catalogues  *catalogues
	impressions *impressions
	shown       *shown
	shadows     *shadows
}

const defaultUserStateTimeout = 200 * time.Millisecond

// New returns a recommender. It answers as soon as it is registered; Run publishes what it has answered.
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
		config: config, metrics: m, slots: newSlots(),
		partitions:  newPartitions(config.Bus, config.Log),
		filters:     attributes.NewFilters(source),
		catalogues:  newCatalogues(),
		impressions: &impressions{bus: config.Bus, log: config.Log, counts: map[string]map[string]uint32{}},
		shown: &shown{
			bus: config.Bus, log: config.Log, metrics: m, now: config.Now, queue: make(chan *answer, shownQueue),
		},
	}
	s.shadows = &shadows{service: s, queue: make(chan shadow, shadowQueue)}
	s.attributes, err = attributes.NewLive(attributes.Config{
		Source: source, Needs: s.needs, Limit: int64(config.AttributesBytes),
		Log: config.Log, Registerer: config.Registerer,
	})
	return s, err
}

// Register makes the router answer the runtime operations.
func (s *Service) Register(r *awsapi.Router) {
	handle(s, r, "/recommendations", "GetRecommendations", s.GetRecommendations)
	handle(s, r, ExplainPath, "ExplainRecommendations", s.ExplainRecommendations)
	handle(s, r, BatchResultPath, "GetBatchResult", s.GetBatchResult)
	handle(s, r, "/action-recommendations", "GetActionRecommendations", s.GetActionRecommendations)
	handle(s, r, "/personalize-ranking", "GetPersonalizedRanking", s.GetPersonalizedRanking)
}

func handle[Req, Resp any](
	s *Service, r *awsapi.Router, path, operation string, handler func(context.Context, *Req) (*Resp, error),
) {
	awsapi.HandlePath(r, path, operation, timed(s, operation, handler), awsapi.MaxBody(maxBody))
}

// Name implements process.Service.
func (s *Service) Name() string { return "recommender" }

// Run publishes answers, and follows the attributes that filters ask about, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	unsubscribe := s.config.View.Subscribe(s.filters.Changed)
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

// Ready returns nil when every active campaign has a good model, or there is no campaign; Redis may be down.
func (s *Service) Ready(context.Context) error { return s.config.Models.Ready() }
