package recommender

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
)

// GetRecommendations answers which items suit a visitor, or go with an item, best first.
func (s *Service) GetRecommendations(ctx context.Context, req *personalizeruntime.GetRecommendationsRequest) (*personalizeruntime.GetRecommendationsResponse, error) {
	asked, err := s.readRecommendations(req)
	if err != nil {
		return nil, err
	}
	serving, err := s.serving(ctx, asked)
	if err != nil {
		return nil, err
	}
	if err := suitsRecommendations(serving.Loaded.Recipe, asked); err != nil {
		return nil, err
	}

	scores := s.buffers.get(serving.Loaded.Model.Items().Len())
	defer s.buffers.put(scores)
	fallback, err := s.score(ctx, serving, asked, *scores)
	if err != nil {
		return nil, err
	}

	best := model.TopK(*scores, asked.numResults, nil)
	var shares []float64
	if serving.Loaded.Recipe.Scores == recipe.CatalogueScores {
		shares = sharesOf(*scores, best)
	}
	answer := newAnswer(ctx, serving, asked, fallback)
	answer.addScored(serving.Loaded.Model.Items(), best, shares)
	s.shown.offer(answer)
	return &personalizeruntime.GetRecommendationsResponse{RecommendationId: &answer.id, ItemList: answer.items}, nil
}

// GetPersonalizedRanking puts a list of items into the order in which they suit a visitor. Items that the model does not
// know come last, as they came in and without a score; an item given twice is answered once.
func (s *Service) GetPersonalizedRanking(ctx context.Context, req *personalizeruntime.GetPersonalizedRankingRequest) (*personalizeruntime.GetPersonalizedRankingResponse, error) {
	asked, err := s.readRanking(req)
	if err != nil {
		return nil, err
	}
	serving, err := s.serving(ctx, asked)
	if err != nil {
		return nil, err
	}
	if err := suitsRanking(serving.Loaded.Recipe); err != nil {
		return nil, err
	}

	items := serving.Loaded.Model.Items()
	scores := s.buffers.get(items.Len())
	defer s.buffers.put(scores)
	fallback, err := s.score(ctx, serving, asked, *scores)
	if err != nil {
		return nil, err
	}

	known, unknown := divide(items, req.InputList)
	ranked, shares := rank(*scores, known)
	answer := newAnswer(ctx, serving, asked, fallback)
	answer.addScored(items, ranked, shares)
	answer.addUnscored(unknown)
	s.shown.offer(answer)
	return &personalizeruntime.GetPersonalizedRankingResponse{RecommendationId: &answer.id, PersonalizedRanking: answer.items}, nil
}

// serving finds the model that answers for the campaign.
func (s *Service) serving(ctx context.Context, asked question) (*modelstore.Serving, error) {
	serving, err := s.config.Models.Campaign(ctx, asked.campaignARN)
	switch {
	case errors.Is(err, modelstore.ErrNoCampaign):
		return nil, awsapi.ResourceNotFound("Resource not found: %s", asked.campaignARN)
	case errors.Is(err, modelstore.ErrNotActive):
		return nil, awsapi.InvalidInput("Campaign %s: %v", asked.campaignARN, err)
	case errors.Is(err, modelstore.ErrUnavailable):
		s.metrics.unavailable.Inc()
		return nil, awsapi.ServiceUnavailable("the model of campaign %s is being loaded", asked.campaignARN)
	case err != nil:
		return nil, fmt.Errorf("finding the campaign's model: %w", err)
	}
	return serving, s.checkMetadata(serving, asked)
}

// score has the model score its whole catalogue for the question. Where the visitor's state cannot be read, the scores
// are those of an unknown visitor and fallback says why.
func (s *Service) score(ctx context.Context, serving *modelstore.Serving, asked question, scores []float32) (fallback string, err error) {
	query := model.Query{ItemID: asked.itemID}
	if serving.Loaded.Recipe.Realtime {
		query.History, query.Vector, fallback = s.visitor(ctx, serving, asked.userID)
	}
	if err := serving.Loaded.Model.Score(query, scores); err != nil {
		return "", fmt.Errorf("scoring with model %s: %w", serving.Loaded.ModelID, err)
	}
	if fallback != "" {
		s.metrics.fallbacks.WithLabelValues(fallback).Inc()
		awsapi.SetHeader(ctx, fallbackHeader, fallback)
	}
	return fallback, nil
}

// newAnswer starts an answer with an id that no other answer has.
func newAnswer(ctx context.Context, serving *modelstore.Serving, asked question, fallback string) *answer {
	return &answer{
		id: "RID-" + uuid.NewString(), serving: serving, asked: asked, fallback: fallback, trace: awsapi.TraceParent(ctx),
	}
}

// addScored appends items of the catalogue, best first, with their shares unless the recipe shows none.
func (a *answer) addScored(catalogue *model.Items, best []int32, shares []float64) {
	ids := make([]string, len(best))
	a.items = slices.Grow(a.items, len(best))
	for rank, item := range best {
		ids[rank] = catalogue.ID(int(item))
		predicted := personalizeruntime.PredictedItem{ItemId: &ids[rank]}
		if shares != nil {
			predicted.Score = &shares[rank]
		}
		a.items = append(a.items, predicted)
	}
}

// addUnscored appends items that the model does not know.
func (a *answer) addUnscored(ids []string) {
	for i := range ids {
		a.items = append(a.items, personalizeruntime.PredictedItem{ItemId: &ids[i]})
	}
}
