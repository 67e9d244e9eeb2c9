package solutions

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// solutions are recipes with their settings, by which solution versions are trained.
type solutions struct{ *crud.Env }

func (s solutions) row() crud.Row {
	return crud.Kind[*catalog.Solution]{
		Taggable:  true,
		Pending:   s.pending,
		Reconcile: s.reconcile,
		Cleanup:   s.cleanup,
		Operations: []crud.Operation{
			crud.Handle("CreateSolution", s.create),
			crud.Handle("DescribeSolution", s.describe),
			crud.Handle("ListSolutions", s.list),
			crud.Handle("UpdateSolution", s.update),
			crud.Handle("DeleteSolution", s.delete),
		},
	}.Row()
}

func (s solutions) create(
	ctx context.Context, req *personalize.CreateSolutionRequest,
) (*personalize.CreateSolutionResponse, error) {
	var chosen *recipe.Recipe
	var group *catalog.DatasetGroup
	solution, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.Solution]{
		Name: *req.Name, Tags: req.Tags,
		Resolve: func() (err error) {
			if chosen, err = solutionRecipe(req); err != nil {
				return err
			}
			group, err = crud.Find[*catalog.DatasetGroup](ctx, s.Env, "datasetGroupArn", *req.DatasetGroupArn)
			return err
		},
		ARN: func() string { return crud.SiblingARN(group.ARN, resource.Solution, *req.Name) },
		Parents: func(arn string) []crud.Parent {
			return []crud.Parent{crud.Under(group, func(g *catalog.DatasetGroup) error {
				return crud.CheckQuota(visible(g.Children).Count(resource.Solution, arn), s.Quotas.SolutionsPerGroup)
			}, crud.ValidateActive)}
		},
		Build: func(m catalog.Metadata) (*catalog.Solution, error) {
			return &catalog.Solution{
				Metadata: m, DatasetGroupARN: group.ARN, RecipeARN: awsapi.Text(req.RecipeArn),
				PerformHPO: flag(req.PerformHPO), PerformAutoML: flag(req.PerformAutoML),
				PerformIncrementalUpdate: flag(req.PerformIncrementalUpdate),
				PerformAutoTraining:      req.PerformAutoTraining == nil || *req.PerformAutoTraining,
				EventType:                awsapi.Text(req.EventType), Config: req.SolutionConfig,
			}, validateSolution(ctx, s.Env, req, chosen, group)
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateSolutionResponse{SolutionArn: &solution.ARN}, nil
}

func (s solutions) pending(r *catalog.Solution) bool {
	return r.Status == status.CreatePending || recommenderTraining(s).abandoned(r)
}

func (s solutions) reconcile(ctx context.Context, r *catalog.Solution) error {
	if r.OwnedBy != "" {
		return recommenderTraining(s).deleteAbandoned(ctx, r)
	}
	return crud.Activate(ctx, s.Env, r)
}

// solutionRecipe returns the recipe that a request names, or nil if training will choose one.
func solutionRecipe(req *personalize.CreateSolutionRequest) (*recipe.Recipe, error) {
	if flag(req.PerformAutoML) {
		if req.RecipeArn != nil {
			return nil, awsapi.InvalidInput("recipeArn must be absent when performAutoML is true")
		}
		return nil, nil
	}
	if req.RecipeArn == nil {
		return nil, awsapi.InvalidInput("recipeArn is required unless performAutoML is true")
	}
	return crud.FindRecipe("recipeArn", *req.RecipeArn)
}

func (s solutions) describe(
	ctx context.Context, req *personalize.DescribeSolutionRequest,
) (*personalize.DescribeSolutionResponse, error) {
	r, err := crud.Find[*catalog.Solution](ctx, s.Env, "solutionArn", *req.SolutionArn)
	if err != nil {
		return nil, err
	}
	described := &personalize.Solution{
		Name: &r.Name, SolutionArn: &r.ARN, DatasetGroupArn: &r.DatasetGroupARN, RecipeArn: awsapi.Present(r.RecipeARN),
		PerformHPO: &r.PerformHPO, PerformAutoML: &r.PerformAutoML,
		PerformAutoTraining: &r.PerformAutoTraining, PerformIncrementalUpdate: &r.PerformIncrementalUpdate,
		EventType: awsapi.Present(r.EventType), SolutionConfig: r.Config,
		Status: &r.Status, CreationDateTime: awsapi.At(r.CreatedAt), LastUpdatedDateTime: awsapi.At(r.UpdatedAt),
	}
	if u := r.LatestUpdate; u != nil {
		described.LatestSolutionUpdate = &personalize.SolutionUpdateSummary{
			PerformAutoTraining: u.PerformAutoTraining, PerformIncrementalUpdate: u.PerformIncrementalUpdate,
			SolutionUpdateConfig: u.Config,
			Status:               &u.Status, FailureReason: awsapi.Present(u.FailureReason),
			CreationDateTime: awsapi.At(u.CreatedAt), LastUpdatedDateTime: awsapi.At(u.UpdatedAt),
		}
	}
	if r.PerformAutoML {
		best, err := newestActive(ctx, s.Env, r.ARN)
		if err != nil {
			return nil, err
		}
		if best != nil && best.RecipeARN != "" {
			described.AutoMLResult = &personalize.AutoMLResult{BestRecipeArn: &best.RecipeARN}
		}
	}
	if versions := versionsOf(s.View, r.ARN); len(versions) > 0 {
		// Read again: a client who just saw the version's new status must see it here too.
		newest, err := s.Store.SolutionVersions.Get(ctx, versions[len(versions)-1].ARN)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			described.LatestSolutionVersion = new(summaryOf(newest))
		}
	}
	return &personalize.DescribeSolutionResponse{Solution: described}, nil
}

// visible returns the reservations of resources that clients created.
func visible(children catalog.Children) catalog.Children {
	children = maps.Clone(children)
	maps.DeleteFunc(children, func(_ string, child catalog.Child) bool { return crud.IsHidden(child.ARN) })
	return children
}

func (s solutions) list(
	_ context.Context, req *personalize.ListSolutionsRequest,
) (*personalize.ListSolutionsResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	solutions, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListSolutions " + group, Token: req.NextToken, Size: req.MaxResults},
		func(r *catalog.Solution) bool { return r.OwnedBy == "" && (group == "" || r.DatasetGroupARN == group) },
		func(r *catalog.Solution) personalize.SolutionSummary {
			return personalize.SolutionSummary{
				Name: &r.Name, SolutionArn: &r.ARN, RecipeArn: awsapi.Present(r.RecipeARN), Status: &r.Status,
				CreationDateTime: awsapi.At(r.CreatedAt), LastUpdatedDateTime: awsapi.At(r.UpdatedAt),
			}
		},
	)
	return &personalize.ListSolutionsResponse{Solutions: solutions, NextToken: next}, err
}

// update changes how the next versions are trained. Nothing runs that would have to be waited for, so the update is
// ACTIVE at once.
func (s solutions) update(
	ctx context.Context, req *personalize.UpdateSolutionRequest,
) (*personalize.UpdateSolutionResponse, error) {
	solution, err := crud.Find[*catalog.Solution](ctx, s.Env, "solutionArn", *req.SolutionArn)
	if err != nil {
		return nil, err
	}
	if err := crud.ValidateActive(solution); err != nil {
		return nil, err
	}
	if err := validateSolutionUpdate(req, solution); err != nil {
		return nil, err
	}
	_, err = s.Store.Solutions.Update(ctx, solution.ARN, func(r *catalog.Solution) error {
		if err := crud.ValidateActive(r); err != nil {
			return err
		}
		applySolutionUpdate(r, req)
		return nil
	})
	return &personalize.UpdateSolutionResponse{SolutionArn: &solution.ARN}, err
}

func applySolutionUpdate(r *catalog.Solution, req *personalize.UpdateSolutionRequest) {
	if req.PerformAutoTraining != nil {
		r.PerformAutoTraining = *req.PerformAutoTraining
	}
	if req.PerformIncrementalUpdate != nil {
		r.PerformIncrementalUpdate = *req.PerformIncrementalUpdate
	}
	if update := req.SolutionUpdateConfig; update != nil {
		if r.Config == nil {
			r.Config = &personalize.SolutionConfig{}
		}
		if update.AutoTrainingConfig != nil {
			r.Config.AutoTrainingConfig = update.AutoTrainingConfig
		}
		if update.EventsConfig != nil {
			r.Config.EventsConfig = update.EventsConfig
		}
	}
	now := time.Now().UTC()
	r.LatestUpdate = &catalog.SolutionUpdate{
		PerformAutoTraining: req.PerformAutoTraining, PerformIncrementalUpdate: req.PerformIncrementalUpdate,
		Config: req.SolutionUpdateConfig,
		Status: status.Active, CreatedAt: now, UpdatedAt: now,
	}
}

func (s solutions) delete(ctx context.Context, req *personalize.DeleteSolutionRequest) (*awsapi.Empty, error) {
	return nil, crud.MarkDeleting[*catalog.Solution](ctx, s.Env, "solutionArn", *req.SolutionArn)
}

// cleanup deletes a solution's versions and their batch jobs. None can come to it since its deletion was accepted, and
// then none was being trained but a recommender's.
func (s solutions) cleanup(ctx context.Context, solution *catalog.Solution) error {
	versions, err := s.Store.SolutionVersions.List(ctx)
	if err != nil {
		return err
	}
	versions = slices.DeleteFunc(
		versions, func(v *catalog.SolutionVersion) bool { return v.SolutionARN != solution.ARN },
	)
	if solution.OwnedBy != "" {
		if err := solutionVersions(s).stopAll(ctx, versions); err != nil {
			return err
		}
	}
	for _, version := range versions {
		if err := crud.DeleteAll(ctx, s.Env, func(j *catalog.BatchInferenceJob) bool { return j.SolutionVersionARN == version.ARN }); err != nil {
			return err
		}
		if err := crud.DeleteAll(ctx, s.Env, func(j *catalog.BatchSegmentJob) bool { return j.SolutionVersionARN == version.ARN }); err != nil {
			return err
		}
		if err := crud.Delete(ctx, s.Env, version, solutionVersions(s).cleanup); err != nil {
			return err
		}
	}
	return nil
}
