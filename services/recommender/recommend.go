package recommender

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking"
)

// GetRecommendations lists the items that suit a visitor, or go with an item, best first.
func (s *Service) GetRecommendations(
	ctx context.Context, req *personalizeruntime.GetRecommendationsRequest,
) (*personalizeruntime.GetRecommendationsResponse, error) {
	a, _, err := s.recommend(ctx, req)
	if err != nil {
		return nil, err
	}
	s.shown.offer(a)
	s.shadows.offer(a, func(ctx context.Context, serving *modelstore.Serving, req *request) (*answer, error) {
		shadow, _, err := s.recommendWith(ctx, serving, req)
		return shadow, err
	})
	return &personalizeruntime.GetRecommendationsResponse{RecommendationId: &a.id, ItemList: a.items}, nil
}

// recommend answers a request and returns how the answer came about.
func (s *Service) recommend(
	ctx context.Context, apiRequest *personalizeruntime.GetRecommendationsRequest,
) (*answer, *trace, error) {
	req, err := parseRecommendations(apiRequest)
	if err != nil {
		return nil, nil, err
	}
	serving, err := s.assign(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	return s.recommendWith(ctx, serving, req)
}

// recommendWith answers a request from a model that was chosen.
func (s *Service) recommendWith(
	ctx context.Context, serving *modelstore.Serving, req *request,
) (*answer, *trace, error) {
	if err := validateRecommendations(serving.Loaded.Recipe, req); err != nil {
		return nil, nil, err
	}
	t, err := s.prepare(ctx, serving, req)
	if err != nil {
		return nil, nil, err
	}
	scorer, err := s.acquireScorer(ctx, serving.Loaded, t.query)
	if err != nil {
		return nil, nil, err
	}
	defer scorer.release()
	t.list, err = t.catalogue.List(&ranking.Request{
		Scorer: scorer, Results: req.numResults, Subject: t.subject, Filter: t.filter.ranking(),
		Promotion: t.promotion(), Exploration: t.exploration, Diversity: t.diversity,
	})
	if err != nil {
		return nil, nil, err
	}
	a := newAnswer(ctx, t)
	a.addList(t)
	a.addMetadata(t)
	return a, t, nil
}

// GetPersonalizedRanking orders a list of items by how well they suit a visitor. Items that the model does not know
// come last, in the order of the list and without a score. An item given twice is answered once, and one that the
// filter does not select is not answered.
func (s *Service) GetPersonalizedRanking(
	ctx context.Context, apiRequest *personalizeruntime.GetPersonalizedRankingRequest,
) (*personalizeruntime.GetPersonalizedRankingResponse, error) {
	req, err := parseRanking(apiRequest)
	if err != nil {
		return nil, err
	}
	serving, err := s.assign(ctx, req)
	if err != nil {
		return nil, err
	}
	a, err := s.rankWith(ctx, serving, req)
	if err != nil {
		return nil, err
	}
	s.shown.offer(a)
	s.shadows.offer(a, s.rankWith)
	return &personalizeruntime.GetPersonalizedRankingResponse{
		RecommendationId: &a.id, PersonalizedRanking: a.items,
	}, nil
}

// rankWith orders a list by the scores of a model that was chosen.
func (s *Service) rankWith(ctx context.Context, serving *modelstore.Serving, req *request) (*answer, error) {
	if err := validateRanking(serving.Loaded.Recipe); err != nil {
		return nil, err
	}
	t, err := s.prepare(ctx, serving, req)
	if err != nil {
		return nil, err
	}
	scorer, err := s.acquireScorer(ctx, serving.Loaded, t.query)
	if err != nil {
		return nil, err
	}
	defer scorer.release()
	ranked, err := t.catalogue.Rank(scorer, req.inputList, t.filter.ranking(), &t.subject)
	if err != nil {
		return nil, err
	}
	a := newAnswer(ctx, t)
	a.addRanked(ranked)
	a.addMetadata(t)
	return a, nil
}
