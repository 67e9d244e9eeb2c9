// Package experiments is the part of the control plane that holds experiments, which compare campaigns. They are an
// extension: Amazon Personalize has no such operations. Their shapes (api.go) follow those of its API.
package experiments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/experiment"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/services/control/crud"
)

// experiments compare campaigns. The recommenders answer by them, and the retrainers count and, where the guard metric
// asks for it, stop them; here they are only recorded. An experiment holds its campaigns: none can be deleted under it,
// even after it was stopped, since it is still called.
type experiments struct{ *crud.Env }

// Rows returns the row of experiments.
func Rows(env *crud.Env) []crud.Row { return []crud.Row{experiments{env}.row()} }

func (s experiments) row() crud.Row {
	return crud.Kind[*catalog.Experiment]{
		Taggable:  true,
		Pending:   crud.CreatePending[*catalog.Experiment],
		Reconcile: crud.Activator[*catalog.Experiment](s.Env),
		Cleanup: func(ctx context.Context, e *catalog.Experiment) error {
			return s.DeletePrefix(ctx, e.TallyPrefix())
		},
		Operations: []crud.Operation{
			crud.Handle("CreateExperiment", s.create),
			crud.Handle("DescribeExperiment", s.describe),
			crud.Handle("ListExperiments", s.list),
			crud.Handle("UpdateExperiment", s.update),
			crud.Handle("DeleteExperiment", s.delete),
		},
	}.Row()
}

func (s experiments) create(ctx context.Context, req *CreateRequest) (*CreateResponse, error) {
	var campaigns []*catalog.Campaign
	var group *catalog.DatasetGroup
	created, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.Experiment]{
		Name: *req.Name, Tags: req.Tags,
		Resolve: func() (err error) {
			if campaigns, err = s.findCampaigns(ctx, req.Arms, req.ShadowCampaignArns); err != nil {
				return err
			}
			group, err = s.Store.DatasetGroups.Get(ctx, campaigns[0].DatasetGroupARN)
			return err
		},
		ARN: func() string { return crud.SiblingARN(group.ARN, resource.Experiment, *req.Name) },
		Parents: func(arn string) []crud.Parent {
			parents := []crud.Parent{crud.Under(group,
				crud.Limit[*catalog.DatasetGroup](arn, s.Quotas.ExperimentsPerGroup), crud.ValidateActive)}
			for _, campaign := range campaigns {
				parents = append(parents, crud.Under(campaign, crud.ValidateActive))
			}
			return parents
		},
		Build: func(m catalog.Metadata) (*catalog.Experiment, error) {
			if err := s.validateSameRequests(ctx, campaigns, group.ARN); err != nil {
				return nil, err
			}
			created := newExperiment(m, group.ARN, req)
			return created, divide(created, req.Arms)
		},
	})
	if err != nil {
		return nil, err
	}
	return &CreateResponse{ExperimentArn: &created.ARN}, nil
}

func newExperiment(m catalog.Metadata, groupARN string, req *CreateRequest) *catalog.Experiment {
	seconds := orElse(req.AttributionWindowSeconds, int64(defaultWindow/time.Second))
	return &catalog.Experiment{
		Metadata: m, DatasetGroupARN: groupARN,
		Metric: newMetric(req.Metric), Guard: newGuard(req.GuardMetric), ShadowCampaignARNs: req.ShadowCampaignArns,
		Window:     time.Duration(seconds) * time.Second,
		Effect:     orElse(req.ExpectedEffect, defaultEffect),
		Confidence: orElse(req.Confidence, defaultConfidence),
	}
}

// findCampaigns finds the campaigns of arms and shadows, each once.
func (s experiments) findCampaigns(ctx context.Context, arms []Arm, shadows []string) ([]*catalog.Campaign, error) {
	var campaigns []*catalog.Campaign
	found := map[string]bool{}
	add := func(member, arn string) error {
		if found[arn] {
			return nil
		}
		found[arn] = true
		campaign, err := crud.Find[*catalog.Campaign](ctx, s.Env, member, arn)
		campaigns = append(campaigns, campaign)
		return err
	}
	for i, arm := range arms {
		if err := add(fmt.Sprintf("arms.%d.member.campaignArn", i+1), *arm.CampaignArn); err != nil {
			return nil, err
		}
	}
	for i, arn := range shadows {
		if err := add(fmt.Sprintf("shadowCampaignArns.%d.member", i+1), arn); err != nil {
			return nil, err
		}
	}
	return campaigns, nil
}

// validateSameRequests refuses campaigns that no request could go to all of.
func (s experiments) validateSameRequests(ctx context.Context, campaigns []*catalog.Campaign, groupARN string) error {
	var first string
	for i, c := range campaigns {
		if c.DatasetGroupARN != groupARN {
			return awsapi.InvalidInput("%s and %s belong to different dataset groups", campaigns[0].ARN, c.ARN)
		}
		version, err := s.Store.SolutionVersions.Get(ctx, c.SolutionVersionARN)
		if err != nil {
			return err
		}
		known, ok := recipe.ByARN(version.RecipeARN)
		switch {
		case !ok:
			return fmt.Errorf(
				"solution version %s has recipe %s, which there is none of", version.ARN, version.RecipeARN,
			)
		case i == 0:
			first = known.Type
		case asks(known.Type) != asks(first):
			return awsapi.InvalidInput(
				"%s and %s cannot answer the same requests: one is of type %s, the other of %s", campaigns[0].ARN,
				c.ARN, first, known.Type,
			)
		}
	}
	return nil
}

// asks names the requests that recipes of a type answer: those of the last group are all asked for a user.
func asks(recipeType string) string {
	switch recipeType {
	case recipe.RelatedItems, recipe.PersonalizedRanking, recipe.PersonalizedActions, recipe.UserSegmentation:
		return recipeType
	}
	return recipe.UserPersonalization
}

// divide gives an experiment the arms and shares of a request, and so a further phase.
func divide(e *catalog.Experiment, arms []Arm) error {
	seen := map[string]bool{}
	shares := make([]experiment.Share, len(arms))
	for i, arm := range arms {
		if seen[*arm.Name] {
			return awsapi.InvalidInput("Arm %s is named twice", *arm.Name)
		}
		seen[*arm.Name] = true
		shares[i] = experiment.Share{Arm: *arm.Name, Share: *arm.Share}
		known, ok := e.Arm(*arm.Name)
		switch {
		case ok && known.CampaignARN != *arm.CampaignArn:
			return awsapi.InvalidInput(
				"Arm %s has campaign %s, which cannot be changed: its results are that campaign's", known.Name,
				known.CampaignARN,
			)
		case !ok:
			e.Arms = append(e.Arms, catalog.ExperimentArm{Name: *arm.Name, CampaignARN: *arm.CampaignArn})
		}
	}
	for _, arm := range e.Arms {
		if !seen[arm.Name] {
			return awsapi.InvalidInput("Arm %s is missing: an arm that is to answer nobody has share 0", arm.Name)
		}
	}
	if len(e.Arms) > maxArms {
		return awsapi.InvalidInput("An experiment has at most %d arms", maxArms)
	}
	allocation, err := e.Allocation.Reallocate(shares)
	if err != nil {
		return awsapi.InvalidInput("arms: %v", err)
	}
	e.Allocation, e.Phases = allocation, append(e.Phases, shares)
	if len(e.Phases) > maxPhases {
		return awsapi.LimitExceeded("The shares of an experiment can be changed %d times", maxPhases-1)
	}
	return nil
}

// maxPhases bounds the shares that an experiment remembers.
const maxPhases = 100

// update changes the shares, adds arms or shadows, or ends the experiment. It takes effect when the recommenders see
// it, a moment later; nothing runs that would have to be waited for, so the experiment stays ACTIVE.
func (s experiments) update(ctx context.Context, req *UpdateRequest) (*CreateResponse, error) {
	current, err := crud.Find[*catalog.Experiment](ctx, s.Env, "experimentArn", *req.ExperimentArn)
	if err != nil {
		return nil, err
	}
	campaigns, err := s.findCampaigns(ctx, req.Arms, req.ShadowCampaignArns)
	if err != nil {
		return nil, err
	}
	if err := applyExperimentUpdate(current, req); err != nil {
		return nil, err
	}
	control, err := s.Store.Campaigns.Get(ctx, current.Control().CampaignARN)
	if err != nil {
		return nil, err
	}
	if err := s.validateSameRequests(ctx, append([]*catalog.Campaign{control}, campaigns...), current.DatasetGroupARN); err != nil {
		return nil, err
	}
	for _, campaign := range campaigns {
		if slices.Contains(current.Parents, campaign.ARN) {
			continue
		}
		if err := s.Store.Attach(ctx, current.Meta(), catalog.Under(campaign.ARN, crud.ValidateActive[*catalog.Campaign])); err != nil {
			return nil, err
		}
	}
	var left []string
	updated, err := s.Store.Experiments.Update(ctx, current.ARN, func(e *catalog.Experiment) error {
		if err := applyExperimentUpdate(e, req); err != nil {
			return err
		}
		left = e.Hold()
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, campaign := range left {
		if err := s.Store.Detach(ctx, updated.Meta(), campaign); err != nil {
			s.Log.Warn(
				"a campaign is held by an experiment that it left until it is swept",
				zap.String("campaign", campaign), zap.Error(err),
			)
		}
	}
	return &CreateResponse{ExperimentArn: &current.ARN}, nil
}

func applyExperimentUpdate(e *catalog.Experiment, req *UpdateRequest) error {
	if err := crud.ValidateActive(e); err != nil {
		return err
	}
	if e.Stopped() {
		return awsapi.ResourceInUse("Experiment %s was stopped and cannot be changed any more", e.ARN)
	}
	if req.StopAndServe != nil {
		arm, ok := e.Arm(*req.StopAndServe)
		if !ok {
			return awsapi.InvalidInput("stopAndServe: the experiment has no arm %s", *req.StopAndServe)
		}
		e.Stop(arm.Name, manualStop(arm.Name), time.Now())
		return nil
	}
	if req.ShadowCampaignArns != nil {
		e.ShadowCampaignARNs = req.ShadowCampaignArns
	}
	if req.Arms == nil {
		return nil
	}
	return divide(e, req.Arms)
}

func (s experiments) describe(ctx context.Context, req *Request) (*DescribeResponse, error) {
	e, err := crud.Find[*catalog.Experiment](ctx, s.Env, "experimentArn", *req.ExperimentArn)
	if err != nil {
		return nil, err
	}
	results, err := s.results(ctx, e)
	if err != nil {
		return nil, err
	}
	described := Description{
		Name: e.Name, ExperimentArn: e.ARN, DatasetGroupArn: e.DatasetGroupARN, Status: e.Status,
		FailureReason: e.FailureReason, State: stateOf(e),
		CreationDateTime: awsapi.At(e.CreatedAt), LastUpdatedDateTime: awsapi.At(e.UpdatedAt),
		Metric: shapeMetric(e.Metric), GuardMetric: shapeGuard(e.Guard),
		ShadowCampaignArns: e.ShadowCampaignARNs, AttributionWindowSeconds: int64(e.Window / time.Second),
		ExpectedEffect: e.Effect, Confidence: e.Confidence, StopReason: e.StopReason, ServingArm: e.ServingArm,
		Results: results,
	}
	if e.Stopped() {
		described.StopDateTime = awsapi.At(e.StoppedAt)
	}
	shares := map[string]float64{}
	for _, share := range e.Phases[e.Phase()] {
		shares[share.Arm] = share.Share
	}
	for _, arm := range e.Arms {
		share := shares[arm.Name]
		described.Arms = append(described.Arms, Arm{Name: &arm.Name, CampaignArn: &arm.CampaignARN, Share: &share})
	}
	return &DescribeResponse{Experiment: described}, nil
}

// results reads what the retrainers have counted so far.
func (s experiments) results(ctx context.Context, e *catalog.Experiment) (experiment.Results, error) {
	tally, _, err := e.Tally(s.Bucket).Read(ctx)
	if errors.Is(err, blob.ErrNotFound) {
		return experiment.NewTally(e.Plan()).Results(), nil
	}
	if err != nil {
		return experiment.Results{}, fmt.Errorf("reading the results of %s: %w", e.ARN, err)
	}
	return tally.Results(), nil
}

func (s experiments) list(_ context.Context, req *ListRequest) (*ListResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	experiments, next, err := crud.List(
		s.Env, crud.Page{Scope: "ListExperiments " + group, Token: req.NextToken, Size: req.MaxResults},
		func(e *catalog.Experiment) bool { return group == "" || e.DatasetGroupARN == group }, shapeExperiment,
	)
	return &ListResponse{Experiments: experiments, NextToken: next}, err
}

func (s experiments) delete(ctx context.Context, req *Request) (*awsapi.Empty, error) {
	return nil, crud.MarkDeleting[*catalog.Experiment](ctx, s.Env, "experimentArn", *req.ExperimentArn)
}
