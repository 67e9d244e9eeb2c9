package control

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
)

func (s *Service) createSolution(ctx context.Context, req *personalize.CreateSolutionRequest) (*personalize.CreateSolutionResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	r, err := solutionRecipe(req)
	if err != nil {
		return nil, err
	}
	group, err := find[*catalog.DatasetGroup](ctx, s, "datasetGroupArn", *req.DatasetGroupArn, resource.DatasetGroup)
	if err != nil {
		return nil, err
	}
	arn := beside(group.ARN, resource.Solution, *req.Name)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underGroup, err := place(ctx, s, group, func(g *catalog.DatasetGroup) error {
		return within(visible(g.Children).Count(resource.Solution, arn), s.quotas.SolutionsPerGroup, inAnyState)
	}, mustBeActiveGroup)
	if err != nil {
		return nil, err
	}
	if err := s.checkSolution(ctx, req, r, group); err != nil {
		return nil, err
	}
	solution := &catalog.Solution{
		Metadata:        pending(arn, *req.Name, tags),
		DatasetGroupARN: group.ARN, RecipeARN: awsapi.Text(req.RecipeArn),
		PerformHPO: flag(req.PerformHPO), PerformAutoML: flag(req.PerformAutoML), PerformIncrementalUpdate: flag(req.PerformIncrementalUpdate),
		PerformAutoTraining: req.PerformAutoTraining == nil || *req.PerformAutoTraining,
		EventType:           awsapi.Text(req.EventType), Config: req.SolutionConfig,
	}
	if err := createUnder(ctx, s, solution, underGroup); err != nil {
		return nil, err
	}
	return &personalize.CreateSolutionResponse{SolutionArn: &arn}, nil
}

// solutionRecipe is the recipe that a request names, nil where training is to choose one.
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
	return findRecipe("recipeArn", *req.RecipeArn)
}

func (s *Service) describeSolution(ctx context.Context, req *personalize.DescribeSolutionRequest) (*personalize.DescribeSolutionResponse, error) {
	r, err := find[*catalog.Solution](ctx, s, "solutionArn", *req.SolutionArn, resource.Solution)
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
			PerformAutoTraining: u.PerformAutoTraining, PerformIncrementalUpdate: u.PerformIncrementalUpdate, SolutionUpdateConfig: u.Config,
			Status: &u.Status, FailureReason: awsapi.Present(u.FailureReason),
			CreationDateTime: awsapi.At(u.CreatedAt), LastUpdatedDateTime: awsapi.At(u.UpdatedAt),
		}
	}
	if r.PerformAutoML {
		best, err := s.newestActive(ctx, r.ARN)
		if err != nil {
			return nil, err
		}
		if best != nil && best.RecipeARN != "" {
			described.AutoMLResult = &personalize.AutoMLResult{BestRecipeArn: &best.RecipeARN}
		}
	}
	if versions := s.versionsOf(r.ARN); len(versions) > 0 {
		// Read again: a client who just saw the version's new status must see it here too.
		newest, err := s.store.SolutionVersions.Get(ctx, versions[len(versions)-1].ARN)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			described.LatestSolutionVersion = new(summaryOf(newest))
		}
	}
	return &personalize.DescribeSolutionResponse{Solution: described}, nil
}

// versionsOf are the versions of a solution, oldest first.
func (s *Service) versionsOf(solutionARN string) []*catalog.SolutionVersion {
	versions := catalog.All[*catalog.SolutionVersion](s.view)
	return slices.DeleteFunc(versions, func(v *catalog.SolutionVersion) bool { return v.SolutionARN != solutionARN })
}

// visible are the reservations of what clients have made.
func visible(children catalog.Children) catalog.Children {
	children = maps.Clone(children)
	maps.DeleteFunc(children, func(_ string, child catalog.Child) bool { return isHidden(child.ARN) })
	return children
}

func (s *Service) listSolutions(_ context.Context, req *personalize.ListSolutionsRequest) (*personalize.ListSolutionsResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	solutions, next, err := list(s, page{"ListSolutions " + group, req.NextToken, req.MaxResults},
		func(r *catalog.Solution) bool { return r.OwnedBy == "" && (group == "" || r.DatasetGroupARN == group) },
		func(r *catalog.Solution) personalize.SolutionSummary {
			return personalize.SolutionSummary{
				Name: &r.Name, SolutionArn: &r.ARN, RecipeArn: awsapi.Present(r.RecipeARN), Status: &r.Status,
				CreationDateTime: awsapi.At(r.CreatedAt), LastUpdatedDateTime: awsapi.At(r.UpdatedAt),
			}
		})
	return &personalize.ListSolutionsResponse{Solutions: solutions, NextToken: next}, err
}

// updateSolution changes how the next versions are trained. Nothing runs that would have to be waited for, so the update is ACTIVE
// at once.
func (s *Service) updateSolution(ctx context.Context, req *personalize.UpdateSolutionRequest) (*personalize.UpdateSolutionResponse, error) {
	solution, err := find[*catalog.Solution](ctx, s, "solutionArn", *req.SolutionArn, resource.Solution)
	if err != nil {
		return nil, err
	}
	if err := mustBeActive(solution); err != nil {
		return nil, err
	}
	if err := checkSolutionUpdate(req, solution); err != nil {
		return nil, err
	}
	_, err = s.store.Solutions.Update(ctx, solution.ARN, func(r *catalog.Solution) error {
		if err := mustBeActive(r); err != nil {
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
		PerformAutoTraining: req.PerformAutoTraining, PerformIncrementalUpdate: req.PerformIncrementalUpdate, Config: req.SolutionUpdateConfig,
		Status: status.Active, CreatedAt: now, UpdatedAt: now,
	}
}

func (s *Service) deleteSolution(ctx context.Context, req *personalize.DeleteSolutionRequest) (*awsapi.Empty, error) {
	return nil, markDeleting[*catalog.Solution](ctx, s, "solutionArn", *req.SolutionArn, resource.Solution)
}
