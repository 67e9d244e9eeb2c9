package control

import (
	"context"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// The requests; how a recommender trains and moves from status to status stands in training.go.

func (s *Service) createRecommender(ctx context.Context, req *personalize.CreateRecommenderRequest) (*personalize.CreateRecommenderResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	r, err := findRecipe("recipeArn", *req.RecipeArn)
	if err != nil {
		return nil, err
	}
	group, err := find[*catalog.DatasetGroup](ctx, s, "datasetGroupArn", *req.DatasetGroupArn, resource.DatasetGroup)
	if err != nil {
		return nil, err
	}
	arn := beside(group.ARN, resource.Recommender, *req.Name)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underGroup, err := place(ctx, s, group, func(g *catalog.DatasetGroup) error {
		return within(g.Children.Count(resource.Recommender, arn), s.quotas.RecommendersPerGroup, inAnyState)
	}, mustBeActiveGroup)
	if err != nil {
		return nil, err
	}
	if err := checkUseCase(r, group); err != nil {
		return nil, err
	}
	if err := s.checkRecommenderConfig(ctx, req.RecommenderConfig, r.ARN(), group.ARN); err != nil {
		return nil, err
	}
	recommender := &catalog.Recommender{
		Metadata:        pending(arn, *req.Name, tags),
		DatasetGroupARN: group.ARN, RecipeARN: r.ARN(), Config: req.RecommenderConfig,
	}
	if err := createUnder(ctx, s, recommender, underGroup); err != nil {
		return nil, err
	}
	return &personalize.CreateRecommenderResponse{RecommenderArn: &arn}, nil
}

// checkUseCase refuses a recipe that is no use case of the group's domain.
func checkUseCase(r *recipe.Recipe, group *catalog.DatasetGroup) error {
	switch {
	case group.Domain == "":
		return awsapi.InvalidInput("Recommenders need a dataset group with a domain, and %s has none: create a solution and a campaign in it", group.ARN)
	case r.Domain == "":
		return awsapi.InvalidInput("Recipe %s is no use case of a domain: create a solution with it", r.Name)
	case r.Domain != group.Domain:
		return awsapi.InvalidInput("Recipe %s is a use case of domain %s, and the dataset group's is %s", r.Name, r.Domain, group.Domain)
	}
	return nil
}

// minCutOff is the least explorationItemAgeCutOff of a recommender, in days.
const minCutOff = 1

func (s *Service) checkRecommenderConfig(ctx context.Context, config *personalize.RecommenderConfig, recipeARN, groupARN string) error {
	if config == nil {
		return nil
	}
	if err := s.checkExploration(ctx, config.ItemExplorationConfig, recipeARN, groupARN); err != nil {
		return err
	}
	if cutOff, ok := config.ItemExplorationConfig[itemAgeCutOff]; ok {
		if days, _ := finite(cutOff); days < minCutOff { // checked to be a number
			return awsapi.InvalidInput("%s %q of a recommender is not a number of days from %d", itemAgeCutOff, cutOff, minCutOff)
		}
	}
	return s.checkTrainingColumns(ctx, config.TrainingDataConfig, groupARN)
}

func (s *Service) describeRecommender(ctx context.Context, req *personalize.DescribeRecommenderRequest) (*personalize.DescribeRecommenderResponse, error) {
	r, err := find[*catalog.Recommender](ctx, s, "recommenderArn", *req.RecommenderArn, resource.Recommender)
	if err != nil {
		return nil, err
	}
	described := &personalize.Recommender{
		Name: &r.Name, RecommenderArn: &r.ARN, DatasetGroupArn: &r.DatasetGroupARN, RecipeArn: &r.RecipeARN, RecommenderConfig: r.Config,
		ModelMetrics: r.Metrics,
		Status:       &r.Status, FailureReason: awsapi.Present(r.FailureReason),
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

func (s *Service) listRecommenders(_ context.Context, req *personalize.ListRecommendersRequest) (*personalize.ListRecommendersResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	recommenders, next, err := list(s, page{"ListRecommenders " + group, req.NextToken, req.MaxResults},
		func(r *catalog.Recommender) bool { return group == "" || r.DatasetGroupARN == group },
		func(r *catalog.Recommender) personalize.RecommenderSummary {
			return personalize.RecommenderSummary{
				Name: &r.Name, RecommenderArn: &r.ARN, DatasetGroupArn: &r.DatasetGroupARN, RecipeArn: &r.RecipeARN, RecommenderConfig: r.Config,
				Status: &r.Status, CreationDateTime: awsapi.At(r.CreatedAt), LastUpdatedDateTime: awsapi.At(r.UpdatedAt),
			}
		})
	return &personalize.ListRecommendersResponse{Recommenders: recommenders, NextToken: next}, err
}

// updateRecommender records the change; the reconciler carries it out, and the recommender serves as before meanwhile.
func (s *Service) updateRecommender(ctx context.Context, req *personalize.UpdateRecommenderRequest) (*personalize.UpdateRecommenderResponse, error) {
	recommender, err := find[*catalog.Recommender](ctx, s, "recommenderArn", *req.RecommenderArn, resource.Recommender)
	if err != nil {
		return nil, err
	}
	if err := mustBeIn(recommender, status.Active); err != nil {
		return nil, err
	}
	if err := s.checkRecommenderConfig(ctx, req.RecommenderConfig, recommender.RecipeARN, recommender.DatasetGroupARN); err != nil {
		return nil, err
	}
	_, err = s.store.Recommenders.Update(ctx, recommender.ARN, func(r *catalog.Recommender) error {
		if err := mustBeIn(r, status.Active); err != nil {
			return err
		}
		now := time.Now().UTC()
		r.LatestUpdate = &catalog.RecommenderUpdate{Config: req.RecommenderConfig, Status: status.CreatePending, CreatedAt: now, UpdatedAt: now}
		return nil
	})
	return &personalize.UpdateRecommenderResponse{RecommenderArn: &recommender.ARN}, err
}

// mustBeIn refuses a recommender in another status, or one that is being updated.
func mustBeIn(r *catalog.Recommender, status string) error {
	switch {
	case r.Status != status:
		return awsapi.ResourceInUse("Recommender %s is %s, it must be %s", r.ARN, r.Status, status)
	case r.LatestUpdate.Pending():
		return awsapi.ResourceInUse("Recommender %s is being updated", r.ARN)
	}
	return nil
}

func (s *Service) startRecommender(ctx context.Context, req *personalize.StartRecommenderRequest) (*personalize.StartRecommenderResponse, error) {
	err := s.moveRecommender(ctx, *req.RecommenderArn, status.Inactive, status.StartPending)
	return &personalize.StartRecommenderResponse{RecommenderArn: req.RecommenderArn}, err
}

func (s *Service) stopRecommender(ctx context.Context, req *personalize.StopRecommenderRequest) (*personalize.StopRecommenderResponse, error) {
	err := s.moveRecommender(ctx, *req.RecommenderArn, status.Active, status.StopPending)
	return &personalize.StopRecommenderResponse{RecommenderArn: req.RecommenderArn}, err
}

// moveRecommender begins a change of status; the reconciler completes it.
func (s *Service) moveRecommender(ctx context.Context, arn, from, to string) error {
	if _, err := find[*catalog.Recommender](ctx, s, "recommenderArn", arn, resource.Recommender); err != nil {
		return err
	}
	_, err := s.store.Recommenders.Update(ctx, arn, func(r *catalog.Recommender) error {
		if err := mustBeIn(r, from); err != nil {
			return err
		}
		r.Status = to
		return nil
	})
	return err
}

func (s *Service) deleteRecommender(ctx context.Context, req *personalize.DeleteRecommenderRequest) (*awsapi.Empty, error) {
	return nil, markDeleting(ctx, s, "recommenderArn", *req.RecommenderArn, resource.Recommender, func(r *catalog.Recommender) error {
		return mustBeIn(r, r.Status) // in any, but not while it is being updated
	})
}
