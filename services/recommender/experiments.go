package recommender

import (
	"context"
	"errors"
	"fmt"

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
	// counts is set if the arm is credited with what is shown: not after the experiment was stopped, nor where the
	// control answers because the user's arm cannot.
	counts bool
}

// assign finds the model that answers a request. For an experiment it is the model of the user's arm, which the request
// is assigned to. The arm depends on the experiment and the user's id alone, so every recommender assigns the same. A
// campaign that is on trial may fail: its users are then answered by the control.
func (s *Service) assign(ctx context.Context, req *request) (*modelstore.Serving, error) {
	if resource.TypeOf(req.arn) != resource.Experiment {
		return s.serving(ctx, req)
	}
	e, err := s.experiment(ctx, req.arn)
	if err != nil {
		return nil, err
	}
	if req.userID == "" {
		return nil, awsapi.InvalidInput("userId is required when campaignArn names an experiment: " +
			"the user, or an anonymous visitor's session, decides who answers")
	}
	arm := e.Answers(req.userID)
	req.assigned = &assignment{experiment: e, arm: arm, counts: !e.Stopped()}
	req.arn = arm.CampaignARN
	serving, err := s.serving(ctx, req)
	if err == nil {
		return serving, nil
	}
	control := e.Control()
	if control.CampaignARN == arm.CampaignARN || ctx.Err() != nil {
		return nil, err
	}
	req.assigned, req.arn = &assignment{experiment: e, arm: control}, control.CampaignARN
	if serving, err = s.serving(ctx, req); err != nil {
		return nil, err
	}
	s.reportFallback(ctx, fallbackArm)
	return serving, nil
}

// serving finds the model that answers for the campaign or recommender.
func (s *Service) serving(ctx context.Context, req *request) (*modelstore.Serving, error) {
	find := s.config.Models.Campaign
	if req.recommender {
		find = s.config.Models.Recommender
	}
	serving, err := find(ctx, req.arn)
	switch {
	case errors.Is(err, modelstore.ErrNotDeployed):
		return nil, awsapi.ResourceNotFound("Resource not found: %s", req.arn)
	case errors.Is(err, modelstore.ErrNotActive):
		return nil, awsapi.InvalidInput("%s cannot answer: %v", req.arn, err)
	case errors.Is(err, modelstore.ErrUnavailable):
		s.metrics.unavailable.Inc()
		return nil, awsapi.ServiceUnavailable("the model of %s is being loaded", req.arn)
	case err != nil:
		return nil, fmt.Errorf("finding the model: %w", err)
	}
	return serving, nil
}

// experiment finds an experiment in the view, and in the catalog itself where the view would refuse it: the notice may
// still be under way.
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
