package control

import (
	"context"
	"errors"
	"slices"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

func (s *Service) createSolutionVersion(ctx context.Context, req *personalize.CreateSolutionVersionRequest) (*personalize.CreateSolutionVersionResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	solution, err := findCreated[*catalog.Solution](ctx, s, "solutionArn", *req.SolutionArn, resource.Solution)
	if err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underAccount, err := s.placeJob(ctx, versionARN(solution), s.quotas.RunningTrainings)
	if err != nil {
		return nil, err
	}
	underSolution, err := place(ctx, s, solution, func(r *catalog.Solution) error { return mustBeActive(r) })
	if err != nil {
		return nil, err
	}
	if err := s.mustNotDeleteUsers(ctx, solution.DatasetGroupARN); err != nil {
		return nil, err
	}
	mode, err := s.trainingMode(awsapi.Text(req.TrainingMode), solution)
	if err != nil {
		return nil, err
	}
	for range idAttempts {
		version := newVersion(solution, versionARN(solution))
		version.Name, version.Tags, version.TrainingMode = awsapi.Text(req.Name), tags, mode
		err = s.store.Create(ctx, version, underAccount, underSolution)
		if err == nil {
			s.wakeWorkers(ctx, version.ARN)
			return &personalize.CreateSolutionVersionResponse{SolutionVersionArn: &version.ARN}, nil
		}
		if !errors.Is(err, catalog.ErrExists) {
			return nil, err
		}
	}
	return nil, err
}

// newVersion is a version of a solution to be trained in full, with everything that training needs.
func newVersion(solution *catalog.Solution, arn string) *catalog.SolutionVersion {
	return &catalog.SolutionVersion{
		Metadata:    pending(arn, "", nil),
		SolutionARN: solution.ARN, RecipeARN: solution.RecipeARN, DatasetGroupARN: solution.DatasetGroupARN,
		PerformHPO: solution.PerformHPO, PerformAutoML: solution.PerformAutoML,
		PerformIncrementalUpdate: solution.PerformIncrementalUpdate, EventType: solution.EventType, Config: solution.Config,
		TrainingMode: catalog.TrainingFull, TrainingType: catalog.TrainingManual,
	}
}

// versionARN is a random one.
func versionARN(solution *catalog.Solution) string {
	return beside(solution.ARN, resource.SolutionVersion, solution.Name+"/"+shortID())
}

// updatable are the recipes whose models can take in new items without a full training.
var updatable = []string{
	"arn:aws:personalize:::recipe/aws-user-personalization",
	"arn:aws:personalize:::recipe/aws-hrnn-coldstart",
}

func (s *Service) trainingMode(mode string, solution *catalog.Solution) (string, error) {
	switch mode {
	case "", catalog.TrainingFull:
		return catalog.TrainingFull, nil
	case catalog.TrainingAutotrain:
		return "", awsapi.InvalidInput("trainingMode AUTOTRAIN is for automatic trainings only")
	}
	if !slices.Contains(updatable, solution.RecipeARN) {
		return "", awsapi.InvalidInput("trainingMode UPDATE is not possible with %s", orAutoML(solution.RecipeARN))
	}
	trained := func(v *catalog.SolutionVersion) bool {
		return v.TrainingMode != catalog.TrainingUpdate && v.Status == status.Active
	}
	if !slices.ContainsFunc(s.versionsOf(solution.ARN), trained) {
		return "", awsapi.InvalidInput("trainingMode UPDATE needs an ACTIVE solution version that was trained with trainingMode FULL")
	}
	return catalog.TrainingUpdate, nil
}

func orAutoML(recipeARN string) string {
	if recipeARN == "" {
		return "performAutoML"
	}
	return recipeARN
}

func (s *Service) describeSolutionVersion(ctx context.Context, req *personalize.DescribeSolutionVersionRequest) (*personalize.DescribeSolutionVersionResponse, error) {
	v, err := findVersion(ctx, s, *req.SolutionVersionArn)
	if err != nil {
		return nil, err
	}
	described := &personalize.SolutionVersion{
		Name: awsapi.Present(v.Name), SolutionVersionArn: &v.ARN, SolutionArn: &v.SolutionARN, RecipeArn: awsapi.Present(v.RecipeARN), DatasetGroupArn: &v.DatasetGroupARN,
		PerformHPO: &v.PerformHPO, PerformAutoML: &v.PerformAutoML, PerformIncrementalUpdate: &v.PerformIncrementalUpdate,
		EventType: awsapi.Present(v.EventType), SolutionConfig: v.Config, TrainingMode: &v.TrainingMode, TrainingType: &v.TrainingType,
		Status: &v.Status, FailureReason: awsapi.Present(v.FailureReason),
		CreationDateTime: awsapi.At(v.CreatedAt), LastUpdatedDateTime: awsapi.At(v.UpdatedAt),
	}
	if v.Status == status.Active {
		described.TrainingHours = &v.TrainingHours
	}
	if v.TunedHyperParameters != nil {
		described.TunedHPOParams = &personalize.TunedHPOParams{AlgorithmHyperParameters: v.TunedHyperParameters}
	}
	return &personalize.DescribeSolutionVersionResponse{SolutionVersion: described}, nil
}

// findVersion is find for an ARN that may be a solution's, which then names no version.
func findVersion(ctx context.Context, s *Service, arn string) (*catalog.SolutionVersion, error) {
	if resource.TypeOf(arn) == resource.Solution {
		return nil, notFound(arn)
	}
	return find[*catalog.SolutionVersion](ctx, s, "solutionVersionArn", arn, resource.SolutionVersion)
}

func summaryOf(v *catalog.SolutionVersion) personalize.SolutionVersionSummary {
	return personalize.SolutionVersionSummary{
		SolutionVersionArn: &v.ARN, TrainingMode: &v.TrainingMode, TrainingType: &v.TrainingType,
		Status: &v.Status, FailureReason: awsapi.Present(v.FailureReason),
		CreationDateTime: awsapi.At(v.CreatedAt), LastUpdatedDateTime: awsapi.At(v.UpdatedAt),
	}
}

func (s *Service) listSolutionVersions(ctx context.Context, req *personalize.ListSolutionVersionsRequest) (*personalize.ListSolutionVersionsResponse, error) {
	solution := awsapi.Text(req.SolutionArn)
	if solution != "" {
		if _, err := find[*catalog.Solution](ctx, s, "solutionArn", solution, resource.Solution); err != nil {
			return nil, err
		}
	}
	versions, next, err := list(s, page{"ListSolutionVersions " + solution, req.NextToken, req.MaxResults},
		func(v *catalog.SolutionVersion) bool {
			return !isHidden(v.ARN) && (solution == "" || v.SolutionARN == solution)
		}, summaryOf)
	return &personalize.ListSolutionVersionsResponse{SolutionVersions: versions, NextToken: next}, err
}

// stopSolutionVersionCreation stops a version that waits at once, and asks the worker of one that runs to stop.
func (s *Service) stopSolutionVersionCreation(ctx context.Context, req *personalize.StopSolutionVersionCreationRequest) (*awsapi.Empty, error) {
	if _, err := findVersion(ctx, s, *req.SolutionVersionArn); err != nil {
		return nil, err
	}
	_, err := s.store.SolutionVersions.Update(ctx, *req.SolutionVersionArn, stopVersion)
	return nil, err
}

func stopVersion(v *catalog.SolutionVersion) error {
	switch v.Status {
	case status.CreatePending:
		v.Status = status.CreateStopped
	case status.CreateInProgress:
		v.Status = status.CreateStopping
	default:
		return awsapi.ResourceInUse("Solution version %s is %s, it must be CREATE PENDING or CREATE IN_PROGRESS", v.ARN, v.Status)
	}
	return nil
}

func (s *Service) getSolutionMetrics(ctx context.Context, req *personalize.GetSolutionMetricsRequest) (*personalize.GetSolutionMetricsResponse, error) {
	v, err := findVersion(ctx, s, *req.SolutionVersionArn)
	if err != nil {
		return nil, err
	}
	if err := mustBeActive(v); err != nil {
		return nil, err
	}
	metrics := v.Metrics
	if metrics == nil {
		metrics = map[string]float64{}
	}
	return &personalize.GetSolutionMetricsResponse{SolutionVersionArn: &v.ARN, Metrics: metrics}, nil
}
