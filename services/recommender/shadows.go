package recommender

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/resource"
)

// shadows has the shadow campaigns of experiments answer the experiment's requests in the background, and publishes
// those answers to the recommendations topic. A request has been answered before its shadows begin; they are computed
// one at a time, and only while the recommender has time for it. What there is no time for is dropped and counted.
type shadows struct {
	service *Service
	queue   chan shadow
	failing bool // used by run alone
}

// shadow is one answer that a shadow campaign is to give.
type shadow struct {
	campaignARN string
	shown       *answer
	answer      answering
}

// answering answers a request from a model.
type answering func(ctx context.Context, serving *modelstore.Serving, req *request) (*answer, error)

const (
	// shadowQueue bounds the shadows that wait.
	shadowQueue = 256
	// shadowTimeout bounds the computation of one.
	shadowTimeout = 2 * time.Second

	shadowAnswered = "answered"
	shadowDropped  = "dropped"
	shadowFailed   = "failed"
)

// offer queues the shadows of an answer. It never waits.
func (s *shadows) offer(shown *answer, answer answering) {
	assigned := shown.req.assigned
	if assigned == nil {
		return
	}
	for _, arn := range assigned.experiment.ShadowCampaignARNs {
		select {
		case s.queue <- shadow{arn, shown, answer}:
		default:
			s.service.metrics.shadows.WithLabelValues(shadowDropped).Inc()
		}
	}
}

// run answers until ctx ends. Shadows that wait then are not answered.
func (s *shadows) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case next := <-s.queue:
			outcome := shadowDropped
			if !s.service.slots.busy() {
				outcome = s.publish(ctx, next)
			}
			s.service.metrics.shadows.WithLabelValues(outcome).Inc()
		}
	}
}

// publish computes one shadow and publishes it. A failure that lasts is logged once.
func (s *shadows) publish(ctx context.Context, next shadow) (outcome string) {
	a, err := s.compute(ctx, next)
	switch {
	case err != nil && ctx.Err() != nil:
		return shadowDropped
	case err != nil:
		if !s.failing {
			s.service.config.Log.Warn("a shadow campaign does not answer; requests are not affected",
				zap.String("campaign", next.campaignARN), zap.Error(err))
		}
		s.failing = true
		return shadowFailed
	}
	s.failing = false
	a.shadowOf = next.shown.id
	s.service.shown.offer(a)
	s.service.metrics.overlap.WithLabelValues(a.serving.Name()).Observe(overlap(next.shown, a))
	return shadowAnswered
}

// compute answers the request again. It recovers from a panic of a campaign on trial, which unlike one in a request's
// handler would end the process.
func (s *shadows) compute(ctx context.Context, next shadow) (a *answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, shadowTimeout)
	defer cancel()
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("answering from %s: panic: %v", next.campaignARN, broken)
		}
	}()
	req := *next.shown.req
	req.arn, req.assigned = next.campaignARN, nil
	serving, err := s.service.serving(ctx, &req)
	if err != nil {
		return nil, err
	}
	if serving.Group != next.shown.serving.Group || resource.TypeOf(req.arn) != resource.Campaign {
		return nil, fmt.Errorf("%s is not a campaign of the experiment's dataset group", next.campaignARN)
	}
	return next.answer(ctx, serving, &req)
}

// overlap returns the share of an answer's items that the other answer has as well.
func overlap(shown, other *answer) float64 {
	if len(shown.items) == 0 {
		return 0
	}
	has := map[string]bool{}
	for _, item := range other.items {
		has[*item.ItemId] = true
	}
	both := 0
	for _, item := range shown.items {
		if has[*item.ItemId] {
			both++
		}
	}
	return float64(both) / float64(len(shown.items))
}
