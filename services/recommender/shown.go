package recommender

import (
	"context"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/recipe"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// shown publishes answers to the recommendations topic of the dataset group, in the background. Its queue is bounded:
// an answer that finds it full is not published, but counted.
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

// offer queues an answer. It never waits.
func (s *shown) offer(a *answer) {
	a.at = s.now()
	if assigned := a.req.assigned; assigned != nil && assigned.counts {
		s.metrics.assigned.WithLabelValues(assigned.experiment.Name, assigned.arm.Name).Inc()
	}
	select {
	case s.queue <- a:
	default:
		s.metrics.shown.WithLabelValues("dropped").Inc()
	}
}

// run publishes the queue until ctx ends, and then the rest of it.
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

// gather waits for an answer and takes those that are queued behind it. It reports false when ctx has ended and the
// queue is empty.
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

// publish sends a batch and reports whether that failed. A failure that lasts is logged once.
func (s *shown) publish(ctx context.Context, batch []*answer, failing bool) bool {
	// Answers given before the end are still published, within the time of a shutdown.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shownTimeout)
	defer cancel()
	records := make([]bus.Record, len(batch))
	for i, a := range batch {
		records[i] = a.record()
	}
	if err := s.bus.Publish(ctx, records...); err != nil {
		s.metrics.shown.WithLabelValues("failed").Add(float64(len(batch)))
		if !failing {
			s.log.Warn("answers are given, but not published to the recommendations topic", zap.Error(err))
		}
		return true
	}
	s.metrics.shown.WithLabelValues("published").Add(float64(len(batch)))
	if failing {
		s.log.Info("answers are published to the recommendations topic again")
	}
	return false
}

func (a *answer) record() bus.Record {
	message := &penchantv1.RecommendationShown{
		RecommendationId: a.id, TimestampMs: a.at.UnixMilli(), CampaignArn: a.serving.ARN(),
		SolutionVersionArn: a.serving.Version.ARN, ModelId: a.serving.Loaded.ModelID, UserId: a.req.userID,
		ItemId: a.req.itemID, Fallback: a.fallback, ShadowOf: a.shadowOf, ItemIds: make([]string, len(a.items)),
	}
	if assigned := a.req.assigned; assigned != nil && assigned.counts {
		message.Experiment = &penchantv1.ExperimentArm{
			Arn: assigned.experiment.ARN, Id: assigned.experiment.ID, Arm: assigned.arm.Name,
			Phase: int32(assigned.experiment.Phase()),
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
		// Only a string that is not UTF-8 fails, and ids come from JSON.
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
			{Key: "traceparent", Value: []byte(a.traceParent)},
		},
	}
}
