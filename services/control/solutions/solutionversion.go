package solutions

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// solutionVersions are trained models. The retrainer trains them.
type solutionVersions struct{ *crud.Env }

func (s solutionVersions) row() crud.Row {
	return crud.Kind[*catalog.SolutionVersion]{
		Taggable:  true,
		Pending:   s.pending,
		Reconcile: s.completeStop,
		Cleanup:   s.cleanup,
		Operations: []crud.Operation{
			crud.Handle("CreateSolutionVersion", s.create),
			crud.Handle("DescribeSolutionVersion", s.describe),
			crud.Handle("ListSolutionVersions", s.list),
			crud.Handle("StopSolutionVersionCreation", s.stopCreation),
			crud.Handle("GetSolutionMetrics", s.metrics),
		},
	}.Row()
}

func (s solutionVersions) create(
	ctx context.Context, req *personalize.CreateSolutionVersionRequest,
) (*personalize.CreateSolutionVersionResponse, error) {
	var solution *catalog.Solution
	version, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.SolutionVersion]{
		Name: awsapi.Text(req.Name), Tags: req.Tags, RandomARN: true, JobLimit: s.Quotas.RunningTrainings,
		Resolve: func() (err error) {
			solution, err = crud.FindCreated[*catalog.Solution](ctx, s.Env, "solutionArn", *req.SolutionArn)
			return err
		},
		ARN: func() string {
			id := solution.Name + "/" + crud.ShortID()
			return crud.SiblingARN(solution.ARN, resource.SolutionVersion, id)
		},
		Parents: func(string) []crud.Parent {
			return []crud.Parent{crud.Under(solution, crud.ValidateActive)}
		},
		Build: func(m catalog.Metadata) (version *catalog.SolutionVersion, err error) {
			if err := crud.CheckNotDeleting(ctx, s.Env, solution.DatasetGroupARN); err != nil {
				return nil, err
			}
			version = newVersion(solution, m)
			version.TrainingMode, err = s.trainingMode(awsapi.Text(req.TrainingMode), solution)
			return version, err
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateSolutionVersionResponse{SolutionVersionArn: &version.ARN}, nil
}

func (s solutionVersions) pending(v *catalog.SolutionVersion) bool {
	return v.Status == status.CreateStopping && !v.Leased(time.Now())
}

// newVersion returns a version of a solution that is to be trained in full.
func newVersion(solution *catalog.Solution, m catalog.Metadata) *catalog.SolutionVersion {
	return &catalog.SolutionVersion{
		Metadata:    m,
		SolutionARN: solution.ARN, RecipeARN: solution.RecipeARN, DatasetGroupARN: solution.DatasetGroupARN,
		PerformHPO: solution.PerformHPO, PerformAutoML: solution.PerformAutoML,
		PerformIncrementalUpdate: solution.PerformIncrementalUpdate, EventType: solution.EventType, Config: solution.Config,
		TrainingMode: mode.TrainingFull, TrainingType: mode.TrainingManual,
	}
}

// updatable lists the recipes whose models can add new items without a full training.
var updatable = []string{
	"arn:aws:personalize:::recipe/aws-user-personalization",
	"arn:aws:personalize:::recipe/aws-hrnn-coldstart",
}

func (s solutionVersions) trainingMode(requested string, solution *catalog.Solution) (string, error) {
	switch requested {
	case "", mode.TrainingFull:
		return mode.TrainingFull, nil
	case mode.TrainingAutotrain:
		return "", awsapi.InvalidInput("trainingMode AUTOTRAIN is for automatic trainings only")
	}
	if !slices.Contains(updatable, solution.RecipeARN) {
		return "", awsapi.InvalidInput("trainingMode UPDATE is not possible with %s", orAutoML(solution.RecipeARN))
	}
	trained := func(v *catalog.SolutionVersion) bool {
		return v.TrainingMode != mode.TrainingUpdate && v.Status == status.Active
	}
	if !slices.ContainsFunc(versionsOf(s.View, solution.ARN), trained) {
		return "", awsapi.InvalidInput("trainingMode UPDATE needs an ACTIVE solution version that was trained with trainingMode FULL")
	}
	return mode.TrainingUpdate, nil
}

func orAutoML(recipeARN string) string {
	if recipeARN == "" {
		return "performAutoML"
	}
	return recipeARN
}

func (s solutionVersions) describe(ctx context.Context, req *personalize.DescribeSolutionVersionRequest) (*personalize.DescribeSolutionVersionResponse, error) {
	v, err := findVersion(ctx, s.Env, *req.SolutionVersionArn)
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
func findVersion(ctx context.Context, e *crud.Env, arn string) (*catalog.SolutionVersion, error) {
	if resource.TypeOf(arn) == resource.Solution {
		return nil, crud.NotFound(arn)
	}
	return crud.Find[*catalog.SolutionVersion](ctx, e, "solutionVersionArn", arn)
}

func summaryOf(v *catalog.SolutionVersion) personalize.SolutionVersionSummary {
	return personalize.SolutionVersionSummary{
		SolutionVersionArn: &v.ARN, TrainingMode: &v.TrainingMode, TrainingType: &v.TrainingType,
		Status: &v.Status, FailureReason: awsapi.Present(v.FailureReason),
		CreationDateTime: awsapi.At(v.CreatedAt), LastUpdatedDateTime: awsapi.At(v.UpdatedAt),
	}
}

func (s solutionVersions) list(ctx context.Context, req *personalize.ListSolutionVersionsRequest) (*personalize.ListSolutionVersionsResponse, error) {
	solution := awsapi.Text(req.SolutionArn)
	if solution != "" {
		if _, err := crud.Find[*catalog.Solution](ctx, s.Env, "solutionArn", solution); err != nil {
			return nil, err
		}
	}
	versions, next, err := crud.List(s.Env, crud.Page{Scope: "ListSolutionVersions " + solution, Token: req.NextToken, Size: req.MaxResults},
		func(v *catalog.SolutionVersion) bool {
			return !crud.IsHidden(v.ARN) && (solution == "" || v.SolutionARN == solution)
		}, summaryOf)
	return &personalize.ListSolutionVersionsResponse{SolutionVersions: versions, NextToken: next}, err
}

// stopCreation stops a version that waits at once, and asks the worker of one that runs to stop.
func (s solutionVersions) stopCreation(ctx context.Context, req *personalize.StopSolutionVersionCreationRequest) (*awsapi.Empty, error) {
	if _, err := findVersion(ctx, s.Env, *req.SolutionVersionArn); err != nil {
		return nil, err
	}
	_, err := s.Store.SolutionVersions.Update(ctx, *req.SolutionVersionArn, stopVersion)
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

func (s solutionVersions) metrics(ctx context.Context, req *personalize.GetSolutionMetricsRequest) (*personalize.GetSolutionMetricsResponse, error) {
	v, err := findVersion(ctx, s.Env, *req.SolutionVersionArn)
	if err != nil {
		return nil, err
	}
	if err := crud.ValidateActive(v); err != nil {
		return nil, err
	}
	metrics := v.Metrics
	if metrics == nil {
		metrics = map[string]float64{}
	}
	return &personalize.GetSolutionMetricsResponse{SolutionVersionArn: &v.ARN, Metrics: metrics}, nil
}

// cleanup deletes the folder of a version's model.
func (s solutionVersions) cleanup(ctx context.Context, v *catalog.SolutionVersion) error {
	_, id, ok := strings.Cut(v.ARN, ":solution/")
	if !ok {
		return nil
	}
	return s.DeletePrefix(ctx, "models/"+id+"/")
}

// stopLease is more than the one write that ends an abandoned training.
const stopLease = 30 * time.Second

// completeStop ends a training whose worker is gone and that was asked to stop.
func (s solutionVersions) completeStop(ctx context.Context, v *catalog.SolutionVersion) error {
	held, err := s.Store.SolutionVersions.Acquire(ctx, v.ARN, "control-"+crud.ShortID(), stopLease)
	if err != nil {
		return err
	}
	return held.Release(ctx, func(v *catalog.SolutionVersion) error {
		if v.Status == status.CreateStopping {
			v.Status = status.CreateStopped
		}
		return nil
	})
}

// stopAll stops what a recommender is being trained with, because it is not asked for before it is deleted. A worker
// whose version went away under it would leave a model behind.
func (s solutionVersions) stopAll(ctx context.Context, versions []*catalog.SolutionVersion) error {
	stopping := false
	for _, v := range versions {
		if v.Finished() || v.Deleting() {
			continue
		}
		stopped, err := s.Store.SolutionVersions.Update(ctx, v.ARN, stopVersion)
		if err != nil && !crud.IsRefusal(err) && !errors.Is(err, catalog.ErrNotFound) {
			return err
		}
		stopping = stopping || err != nil || !stopped.Finished()
	}
	if stopping {
		return crud.ErrWaiting
	}
	return nil
}

// versionsOf returns the versions of a solution, oldest first.
func versionsOf(view *catalog.View, solutionARN string) []*catalog.SolutionVersion {
	versions := catalog.All[*catalog.SolutionVersion](view)
	return slices.DeleteFunc(versions, func(v *catalog.SolutionVersion) bool { return v.SolutionARN != solutionARN })
}

// newestSeen returns the newest version of a solution that is ACTIVE in the view.
func newestSeen(view *catalog.View, solutionARN string) *catalog.SolutionVersion {
	versions := versionsOf(view, solutionARN)
	for _, v := range slices.Backward(versions) {
		if v.Status == status.Active {
			return v
		}
	}
	return nil
}

// newestActive returns the newest ACTIVE version of a solution, or nil.
func newestActive(ctx context.Context, e *crud.Env, solutionARN string) (*catalog.SolutionVersion, error) {
	versions := versionsOf(e.View, solutionARN)
	for i := len(versions) - 1; i >= 0; i-- {
		v := versions[i]
		if !v.Finished() {
			// The view may be a moment behind, and a client who saw it ACTIVE expects it to be used.
			read, err := e.Store.SolutionVersions.Get(ctx, v.ARN)
			if err != nil {
				return nil, err
			}
			v = read
		}
		if v.Status == status.Active {
			return v, nil
		}
	}
	return nil, nil
}
