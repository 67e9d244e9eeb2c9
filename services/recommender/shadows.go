package recommender

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/resource"
)

// shadows has the shadow campaigns of experiments answer what was asked of the experiment, beside the requests' way, and tells the
// recommendations topic. A request is over before its shadows begin; they are computed one at a time, and only while the
// recommender has time for it. What there is no time for is dropped and counted.
type shadows struct {
	service *Service
	queue   chan shadow
	failing bool // run's alone
}

// shadow is one answer that a shadow campaign is to give.
type shadow struct {
	campaignARN string
	shown       *answer
	answer      answering
}

// answering answers a question from a model.
type answering func(ctx context.Context, serving *modelstore.Serving, asked question) (*answer, error)

const (
	// shadowQueue bounds those that wait.
	shadowQueue = 256
	// shadowTimeout bounds one.
	shadowTimeout = 2 * time.Second

	shadowAnswered = "answered"
	shadowDropped  = "dropped"
	shadowFailed   = "failed"
)

// offer never waits.
func (s *shadows) offer(shown *answer, answer answering) {
	assigned := shown.asked.assigned
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

// run answers until ctx ends. What waits then is left.
func (s *shadows) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case next := <-s.queue:
			outcome := shadowDropped
			if !s.busy() {
				outcome = s.give(ctx, next)
			}
			s.service.metrics.shadows.WithLabelValues(outcome).Inc()
		}
	}
}

// busy says whether requests keep all processors busy.
func (s *shadows) busy() bool { return len(s.service.turns) >= runtime.GOMAXPROCS(0) }

// give answers one. A state that lasts is logged once.
func (s *shadows) give(ctx context.Context, next shadow) (outcome string) {
	answer, err := s.compute(ctx, next)
	switch {
	case err != nil && ctx.Err() != nil:
		return shadowDropped
	case err != nil:
		if !s.failing {
			s.service.config.Log.Warn("a shadow campaign does not answer; requests are answered all the same", zap.String("campaign", next.campaignARN), zap.Error(err))
		}
		s.failing = true
		return shadowFailed
	}
	s.failing = false
	answer.shadowOf = next.shown.id
	s.service.shown.offer(answer)
	s.service.metrics.overlap.WithLabelValues(answer.serving.Name()).Observe(overlap(next.shown, answer))
	return shadowAnswered
}

// compute keeps what is wrong with a campaign on trial away from the process: a panic there would end it, unlike one in a request.
func (s *shadows) compute(ctx context.Context, next shadow) (given *answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, shadowTimeout)
	defer cancel()
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("answering from %s: panic: %v", next.campaignARN, broken)
		}
	}()
	asked := next.shown.asked
	asked.arn, asked.assigned = next.campaignARN, nil
	serving, err := s.service.serving(ctx, asked)
	if err != nil {
		return nil, err
	}
	if serving.Group != next.shown.serving.Group || resource.TypeOf(asked.arn) != resource.Campaign {
		return nil, fmt.Errorf("%s is no campaign of the experiment's dataset group", next.campaignARN)
	}
	return next.answer(ctx, serving, asked)
}

// overlap is the share of an answer's items that another has, too.
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
