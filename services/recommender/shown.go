package recommender

import (
	"context"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// answer is one answer on its way to the client and to the recommendations topic.
type answer struct {
	id       string
	serving  *modelstore.Serving
	asked    question
	fallback string
	trace    string // W3C traceparent of the request
	at       time.Time
	shadowOf string // the answer that was given where this one was not
	items    []personalizeruntime.PredictedItem
}

// shown tells the dataset group's recommendations topic what was answered, beside the answers' way: its queue is bounded,
// and an answer that finds it full is not told about, but counted.
type shown struct {
	bus     *bus.Client
	log     *zap.Logger
	metrics *metrics
	now     func() time.Time
	queue   chan *answer
}

const (
	// shownQueue bounds the answers that wait: some seconds of a busy process, some tens of MiB at most.
	shownQueue = 8192
	shownBatch = 512
	// shownTimeout bounds the wait for one batch's acknowledgement; what is not acknowledged by then counts as failed.
	shownTimeout = 10 * time.Second
)

// offer never waits.
func (s *shown) offer(a *answer) {
	a.at = s.now()
	if assigned := a.asked.assigned; assigned != nil && assigned.counts {
		s.metrics.assigned.WithLabelValues(assigned.experiment.Name, assigned.arm.Name).Inc()
	}
	select {
	case s.queue <- a:
	default:
		s.metrics.shown.WithLabelValues("dropped").Inc()
	}
}

// run publishes what is offered until ctx ends, and then what is left.
func (s *shown) run(ctx context.Context) {
	failing := false
	for {
		batch, more := s.gather(ctx)
		if len(batch) > 0 {
			failing = s.publish(ctx, batch, failing)
		}
		if !more {
			return
		}
	}
}

// gather waits for an answer and takes what else is there. It reports false when there is nothing left to wait for.
func (s *shown) gather(ctx context.Context) (batch []*answer, more bool) {
	select {
	case a := <-s.queue:
		batch = append(batch, a)
	case <-ctx.Done():
	}
	for len(batch) < shownBatch {
		select {
		case a := <-s.queue:
			batch = append(batch, a)
		default:
			return batch, ctx.Err() == nil
		}
	}
	return batch, true
}

// publish sends a batch and reports whether that failed. A state that lasts is logged once.
func (s *shown) publish(ctx context.Context, batch []*answer, failing bool) bool {
	// What was answered before the end is still told, within the time of a shutdown.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shownTimeout)
	defer cancel()
	records := make([]bus.Record, len(batch))
	for i, a := range batch {
		records[i] = a.record()
	}
	if err := s.bus.Publish(ctx, records...); err != nil {
		s.metrics.shown.WithLabelValues("failed").Add(float64(len(batch)))
		if !failing {
			s.log.Warn("answers are given, but not told to the recommendations topic", zap.Error(err))
		}
		return true
	}
	s.metrics.shown.WithLabelValues("published").Add(float64(len(batch)))
	if failing {
		s.log.Info("answers are told to the recommendations topic again")
	}
	return false
}

func (a *answer) record() bus.Record {
	message := &penchantv1.RecommendationShown{
		RecommendationId: a.id, TimestampMs: a.at.UnixMilli(), CampaignArn: a.serving.ARN(),
		SolutionVersionArn: a.serving.Version.ARN, ModelId: a.serving.Loaded.ModelID, UserId: a.asked.userID,
		ItemId: a.asked.itemID, Fallback: a.fallback, ShadowOf: a.shadowOf, ItemIds: make([]string, len(a.items)),
	}
	if assigned := a.asked.assigned; assigned != nil && assigned.counts {
		message.Experiment = &penchantv1.ExperimentArm{
			Arn: assigned.experiment.ARN, Id: assigned.experiment.ID, Arm: assigned.arm.Name, Phase: int32(assigned.experiment.Phase()),
		}
	}
	for i, item := range a.items {
		message.ItemIds[i] = *item.ItemId
	}
	if a.serving.Loaded.Recipe.Type == recipe.PersonalizedActions {
		message.ActionIds, message.ItemIds = message.ItemIds, nil
	}
	value, err := proto.Marshal(message)
	if err != nil {
		// Only a string that is no UTF-8 does that; ids come from JSON and are.
		value = nil
	}
	return bus.Record{
		Topic: bus.RecommendationsTopic(a.serving.Group), Key: []byte(a.id), Value: value,
		Headers: []bus.Header{
			{Key: "content-type", Value: []byte("application/protobuf")},
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_id", Value: []byte(a.id)},
			{Key: "ce_type", Value: []byte("penchant.recommendation.v1")},
			{Key: "ce_source", Value: []byte(a.serving.ARN())},
			{Key: "ce_time", Value: a.at.UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z07:00")},
			{Key: "penchant-format", Value: []byte("1")},
			{Key: "traceparent", Value: []byte(a.trace)},
		},
	}
}
