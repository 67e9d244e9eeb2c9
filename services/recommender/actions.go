package recommender

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Bounds of GetActionRecommendations.
const (
	defaultActions = 5
	maxActions     = 100
)

// GetActionRecommendations lists the actions that a user is most likely to take, best first. An action that has expired
// is never among them, nor is one that they have had to do with within its REPEAT_FREQUENCY.
func (s *Service) GetActionRecommendations(
	ctx context.Context, apiRequest *personalizeruntime.GetActionRecommendationsRequest,
) (*personalizeruntime.GetActionRecommendationsResponse, error) {
	req, err := parseActions(apiRequest)
	if err != nil {
		return nil, err
	}
	serving, err := s.assign(ctx, req)
	if err != nil {
		return nil, err
	}
	if r := serving.Loaded.Recipe; r.Type != recipe.PersonalizedActions {
		return nil, awsapi.InvalidInput("A campaign on recipe %s does not recommend actions", r.Name)
	}
	a, err := s.recommendActions(ctx, serving, req)
	if err != nil {
		return nil, err
	}
	s.shown.offer(a)
	s.shadows.offer(a, s.recommendActions)
	resp := &personalizeruntime.GetActionRecommendationsResponse{RecommendationId: &a.id}
	for _, action := range a.items {
		predicted := personalizeruntime.PredictedAction{ActionId: action.ItemId, Score: action.Score}
		resp.ActionList = append(resp.ActionList, predicted)
	}
	return resp, nil
}

func parseActions(in *personalizeruntime.GetActionRecommendationsRequest) (*request, error) {
	req := &request{arn: value(in.CampaignArn), userID: value(in.UserId), numResults: defaultActions}
	switch {
	case in.CampaignArn == nil:
		return nil, awsapi.InvalidInput("campaignArn is required")
	case req.userID == "":
		return nil, awsapi.InvalidInput("userId is required")
	}
	if err := validateCampaignARN(req.arn); err != nil {
		return nil, err
	}
	switch n := value(in.NumResults); {
	case n > maxActions:
		return nil, awsapi.InvalidInput("numResults is %d; it must be at most %d", n, maxActions)
	case n > 0: // 0 is the default
		req.numResults = int(n)
	}
	var err error
	if req.filter, err = parseFilter(in.FilterArn, in.FilterValues); req.filter != nil {
		req.filter.target = schema.Actions
	}
	return req, err
}

// recommendActions answers a request from a model that was chosen.
func (s *Service) recommendActions(ctx context.Context, serving *modelstore.Serving, req *request) (*answer, error) {
	t := &trace{req: req, serving: serving}
	if err := s.bindFilters(ctx, t); err != nil {
		return nil, err
	}
	actions, err := s.table(ctx, serving.Group, schema.Actions)
	if err != nil {
		return nil, err
	}
	t.visitor = s.lookUp(ctx, serving, req.userID)
	if t.visitor.fallback == "" && !s.config.Users.Healthy(ctx, serving.Group, schema.ActionInteractions, 0) {
		t.visitor.fallback = fallbackRebuilding
	}
	s.reportFallback(ctx, t.visitor.fallback)
	if t.subject, err = s.subject(ctx, t); err != nil {
		return nil, err
	}
	t.query = s.query(ctx, t)
	t.query.ActionHistory = t.visitor.actions
	scorer, err := s.acquireScorer(ctx, serving.Loaded, t.query)
	if err != nil {
		return nil, err
	}
	defer scorer.release()
	picks, err := ranking.ListActions(&ranking.ActionRequest{
		Actions: serving.Loaded.Model.Items(), Table: actions.Table, Scorer: scorer, Results: req.numResults,
		Filter: t.filter.ranking(), Subject: t.subject, Now: s.config.Now(),
	})
	if err != nil {
		return nil, err
	}
	a := newAnswer(ctx, t)
	a.addActions(picks)
	return a, nil
}
