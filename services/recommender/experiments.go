package recommender

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// assignment is the arm that answers a request to an experiment.
type assignment struct {
	experiment *catalog.Experiment
	arm        catalog.ExperimentArm
	// counts is whether what is shown is the arm's doing: not after the experiment was stopped, nor where the control answers
	// because the user's arm cannot.
	counts bool
}

// assign finds the model that answers a request. Of an experiment it is that of the user's arm; which one that is follows from the
// experiment and the user's id alone, and so is the same for every recommender. A campaign that is on trial may fail, and its
// users are answered all the same: by the control.
func (s *Service) assign(ctx context.Context, asked question) (question, *modelstore.Serving, error) {
	if resource.TypeOf(asked.arn) != resource.Experiment {
		serving, err := s.serving(ctx, asked)
		return asked, serving, err
	}
	e, err := s.experiment(ctx, asked.arn)
	if err != nil {
		return asked, nil, err
	}
	if asked.userID == "" {
		return asked, nil, awsapi.InvalidInput("userId is required when campaignArn names an experiment: the user, or an anonymous visitor's session, decides who answers")
	}
	arm := e.Answers(asked.userID)
	asked.assigned = &assignment{experiment: e, arm: arm, counts: !e.Stopped()}
	asked.arn = arm.CampaignARN
	serving, err := s.serving(ctx, asked)
	if err == nil {
		return asked, serving, nil
	}
	control := e.Control()
	if control.CampaignARN == arm.CampaignARN || ctx.Err() != nil {
		return asked, nil, err
	}
	asked.assigned, asked.arn = &assignment{experiment: e, arm: control}, control.CampaignARN
	if serving, err = s.serving(ctx, asked); err != nil {
		return asked, nil, err
	}
	s.tellFallback(ctx, visitor{fallback: fallbackArm})
	return asked, serving, nil
}

// experiment finds an experiment in the view, and in the catalog itself where the view would refuse: the notice may still be under way.
func (s *Service) experiment(ctx context.Context, arn string) (*catalog.Experiment, error) {
	view := s.config.View
	if !view.Ready() {
		s.metrics.unavailable.Inc()
		return nil, awsapi.ServiceUnavailable("the catalog is being read")
	}
	e, known := catalog.Lookup[*catalog.Experiment](view, arn)
	if !known || e.Status != status.Active {
		err := view.Fetch(ctx, arn)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) && !errors.Is(err, resource.ErrBadARN) {
			s.metrics.unavailable.Inc()
			return nil, awsapi.ServiceUnavailable("the experiment %s cannot be looked up", arn)
		}
		e, known = catalog.Lookup[*catalog.Experiment](view, arn)
	}
	switch {
	case !known:
		return nil, awsapi.ResourceNotFound("Resource not found: %s", arn)
	case e.Status != status.Active:
		return nil, awsapi.InvalidInput("%s cannot answer: its status is %s", arn, e.Status)
	}
	return e, nil
}
