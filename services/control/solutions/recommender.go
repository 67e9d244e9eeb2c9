package solutions

import (
	"context"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// recommenders are models for a use case of a domain that train and serve by themselves. The requests are here,
// training and the changes of status in recommendertraining.go.
type recommenders struct{ *crud.Env }

func (s recommenders) row() crud.Row {
	training := recommenderTraining(s)
	return crud.Kind[*catalog.Recommender]{
		Taggable:   true,
		Pending:    training.pending,
		Reconcile:  training.reconcile,
		Cleanup:    training.cleanup,
		Dependents: training.dependents,
		Operations: []crud.Operation{
			crud.Handle("CreateRecommender", s.create),
			crud.Handle("DescribeRecommender", s.describe),
			crud.Handle("ListRecommenders", s.list),
			crud.Handle("UpdateRecommender", s.update),
			crud.Handle("StartRecommender", s.start),
			crud.Handle("StopRecommender", s.stop),
			crud.Handle("DeleteRecommender", s.delete),
		},
	}.Row()
}

func (s recommenders) create(
	ctx context.Context, req *personalize.CreateRecommenderRequest,
) (*personalize.CreateRecommenderResponse, error) {
	var chosen *recipe.Recipe
	var group *catalog.DatasetGroup
	recommender, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.Recommender]{
		Name: *req.Name, Tags: req.Tags,
		Resolve: func() (err error) {
			if chosen, err = crud.FindRecipe("recipeArn", *req.RecipeArn); err != nil {
				return err
			}
			group, err = crud.Find[*catalog.DatasetGroup](ctx, s.Env, "datasetGroupArn", *req.DatasetGroupArn)
			return err
		},
		ARN: func() string { return crud.SiblingARN(group.ARN, resource.Recommender, *req.Name) },
		Parents: func(arn string) []crud.Parent {
			return []crud.Parent{crud.Under(group,
				crud.Limit[*catalog.DatasetGroup](arn, s.Quotas.RecommendersPerGroup), crud.ValidateActive)}
		},
		Build: func(m catalog.Metadata) (*catalog.Recommender, error) {
			if err := validateUseCase(chosen, group); err != nil {
				return nil, err
			}
			return &catalog.Recommender{
				Metadata: m, DatasetGroupARN: group.ARN, RecipeARN: chosen.ARN(), Config: req.RecommenderConfig,
			}, s.validateConfig(ctx, req.RecommenderConfig, chosen.ARN(), group.ARN)
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateRecommenderResponse{RecommenderArn: &recommender.ARN}, nil
}

// validateUseCase refuses a recipe that is no use case of the group's domain.
func validateUseCase(r *recipe.Recipe, group *catalog.DatasetGroup) error {
	switch {
	case group.Domain == "":
		return awsapi.InvalidInput(
			"Recommenders need a dataset group with a domain, and %s has none: create a solution and a campaign in it",
			group.ARN,
		)
	case r.Domain == "":
		return awsapi.InvalidInput("Recipe %s is no use case of a domain: create a solution with it", r.Name)
	case r.Domain != group.Domain:
		return awsapi.InvalidInput(
			"Recipe %s is a use case of domain %s, and the dataset group's is %s", r.Name, r.Domain, group.Domain,
		)
	}
	return nil
}

// minCutOff is the least explorationItemAgeCutOff of a recommender, in days.
const minCutOff = 1

func (s recommenders) validateConfig(
	ctx context.Context, config *personalize.RecommenderConfig, recipeARN, groupARN string,
) error {
	if config == nil {
		return nil
	}
	if err := validateExploration(ctx, s.Env, config.ItemExplorationConfig, recipeARN, groupARN); err != nil {
		return err
	}
	if cutOff, ok := config.ItemExplorationConfig[itemAgeCutOff]; ok {
		if days, _ := parseFinite(cutOff); days < minCutOff { // checked to be a number
			return awsapi.InvalidInput(
				"%s %q of a recommender is not a number of days from %d", itemAgeCutOff, cutOff, minCutOff,
			)
		}
	}
	return validateTrainingColumns(ctx, s.Env, config.TrainingDataConfig, groupARN)
}

func (s recommenders) describe(
	ctx context.Context, req *personalize.DescribeRecommenderRequest,
) (*personalize.DescribeRecommenderResponse, error) {
	r, err := crud.Find[*catalog.Recommender](ctx, s.Env, "recommenderArn", *req.RecommenderArn)
	if err != nil {
		return nil, err
	}
	described := &personalize.Recommender{
		Name: &r.Name, RecommenderArn: &r.ARN, DatasetGroupArn: &r.DatasetGroupARN, RecipeArn: &r.RecipeARN,
		RecommenderConfig: r.Config,
		ModelMetrics:      r.Metrics,
		Status:            &r.Status, FailureReason: awsapi.Present(r.FailureReason),
		CreationDateTime: awsapi.At(r.CreatedAt), LastUpdatedDateTime: awsapi.At(r.UpdatedAt),
	}
	if u := r.LatestUpdate; u != nil {
		described.LatestRecommenderUpdate = &personalize.RecommenderUpdateSummary{
			RecommenderConfig: u.Config, Status: &u.Status, FailureReason: awsapi.Present(u.FailureReason),
			CreationDateTime: awsapi.At(u.CreatedAt), LastUpdatedDateTime: awsapi.At(u.UpdatedAt),
		}
	}
	return &personalize.DescribeRecommenderResponse{Recommender: described}, nil
}

func (s recommenders) list(
	_ context.Context, req *personalize.ListRecommendersRequest,
) (*personalize.ListRecommendersResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	recommenders, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListRecommenders " + group, Token: req.NextToken, Size: req.MaxResults},
		func(r *catalog.Recommender) bool { return group == "" || r.DatasetGroupARN == group },
		func(r *catalog.Recommender) personalize.RecommenderSummary {
			return personalize.RecommenderSummary{
				Name: &r.Name, RecommenderArn: &r.ARN, DatasetGroupArn: &r.DatasetGroupARN, RecipeArn: &r.RecipeARN,
				RecommenderConfig: r.Config,
				Status:            &r.Status, CreationDateTime: awsapi.At(r.CreatedAt),
				LastUpdatedDateTime: awsapi.At(r.UpdatedAt),
			}
		},
	)
	return &personalize.ListRecommendersResponse{Recommenders: recommenders, NextToken: next}, err
}

// update records the change; the reconciler carries it out, and the recommender serves as before meanwhile.
func (s recommenders) update(
	ctx context.Context, req *personalize.UpdateRecommenderRequest,
) (*personalize.UpdateRecommenderResponse, error) {
	recommender, err := crud.Find[*catalog.Recommender](ctx, s.Env, "recommenderArn", *req.RecommenderArn)
	if err != nil {
		return nil, err
	}
	if err := validateStatus(recommender, status.Active); err != nil {
		return nil, err
	}
	if err := s.validateConfig(ctx, req.RecommenderConfig, recommender.RecipeARN, recommender.DatasetGroupARN); err != nil {
		return nil, err
	}
	_, err = s.Store.Recommenders.Update(ctx, recommender.ARN, func(r *catalog.Recommender) error {
		if err := validateStatus(r, status.Active); err != nil {
			return err
		}
		now := time.Now().UTC()
		r.LatestUpdate = &catalog.RecommenderUpdate{
			Config:    req.RecommenderConfig,
			Status:    status.CreatePending,
			CreatedAt: now,
			UpdatedAt: now,
		}
		return nil
	})
	return &personalize.UpdateRecommenderResponse{RecommenderArn: &recommender.ARN}, err
}

// validateStatus refuses a recommender in another status, or one that is being updated.
func validateStatus(r *catalog.Recommender, status string) error {
	switch {
	case r.Status != status:
		return awsapi.ResourceInUse("Recommender %s is %s, it must be %s", r.ARN, r.Status, status)
	case r.LatestUpdate.Pending():
		return awsapi.ResourceInUse("Recommender %s is being updated", r.ARN)
	}
	return nil
}

func (s recommenders) start(
	ctx context.Context, req *personalize.StartRecommenderRequest,
) (*personalize.StartRecommenderResponse, error) {
	err := s.changeStatus(ctx, *req.RecommenderArn, status.Inactive, status.StartPending)
	return &personalize.StartRecommenderResponse{RecommenderArn: req.RecommenderArn}, err
}

func (s recommenders) stop(
	ctx context.Context, req *personalize.StopRecommenderRequest,
) (*personalize.StopRecommenderResponse, error) {
	err := s.changeStatus(ctx, *req.RecommenderArn, status.Active, status.StopPending)
	return &personalize.StopRecommenderResponse{RecommenderArn: req.RecommenderArn}, err
}

// changeStatus begins a change of status; the reconciler completes it.
func (s recommenders) changeStatus(ctx context.Context, arn, from, to string) error {
	if _, err := crud.Find[*catalog.Recommender](ctx, s.Env, "recommenderArn", arn); err != nil {
		return err
	}
	_, err := s.Store.Recommenders.Update(ctx, arn, func(r *catalog.Recommender) error {
		if err := validateStatus(r, from); err != nil {
			return err
		}
		r.Status = to
		return nil
	})
	return err
}

func (s recommenders) delete(ctx context.Context, req *personalize.DeleteRecommenderRequest) (*awsapi.Empty, error) {
	return nil, crud.MarkDeleting(
		ctx,
		s.Env,
		"recommenderArn",
		*req.RecommenderArn,
		func(r *catalog.Recommender) error {
			return validateStatus(r, r.Status) // in any, but not while it is being updated
		},
	)
}
