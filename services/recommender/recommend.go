package recommender

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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

	query, fallback := s.query(ctx, serving, asked)
	scores, done, err := s.score(ctx, serving, query)
	if err != nil {
		return nil, err
	}
	defer done()

	best := model.TopK(scores, asked.numResults, nil)
	var shares []float64
	if serving.Loaded.Recipe.Scores == recipe.CatalogueScores {
		shares = sharesOf(scores, best)
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

	query, fallback := s.query(ctx, serving, asked)
	scores, done, err := s.score(ctx, serving, query)
	if err != nil {
		return nil, err
	}
	defer done()

	items := serving.Loaded.Model.Items()
	known, unknown := divide(items, req.InputList)
	ranked, shares := rank(scores, known)
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
	case errors.Is(err, modelstore.ErrNotDeployed):
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

// query is what the model is asked. Where the visitor's state cannot be read, it asks for an unknown visitor and fallback
// says why.
func (s *Service) query(ctx context.Context, serving *modelstore.Serving, asked question) (query model.Query, fallback string) {
	query.ItemID = asked.itemID
	if serving.Loaded.Recipe.Realtime {
		query.History, query.Vector, fallback = s.visitor(ctx, serving, asked.userID)
	}
	if fallback != "" {
		s.metrics.fallbacks.WithLabelValues(fallback).Inc()
		awsapi.SetHeader(ctx, fallbackHeader, fallback)
	}
	return query, fallback
}

// score has the model score its whole catalogue. The scores may be used until done is called. Only so many requests score
// at once: more would not be answered sooner, and each holds a vector as long as the catalogue.
func (s *Service) score(ctx context.Context, serving *modelstore.Serving, query model.Query) (scores []float32, done func(), err error) {
	if err := s.takeTurn(ctx); err != nil {
		return nil, nil, err
	}
	buffer := s.buffers.get(serving.Loaded.Model.Items().Len())
	done = func() {
		s.buffers.put(buffer)
		<-s.turns
	}
	if err := serving.Loaded.Model.Score(query, *buffer); err != nil {
		done()
		return nil, nil, fmt.Errorf("scoring with model %s: %w", serving.Loaded.ModelID, err)
	}
	return *buffer, done, nil
}

// takeTurn waits until the request may score, but not for long: who waits longer had better ask another replica.
func (s *Service) takeTurn(ctx context.Context) error {
	select {
	case s.turns <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(turnTimeout)
	defer patience.Stop()
	select {
	case s.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		s.metrics.overloaded.Inc()
		return awsapi.ServiceUnavailable("more recommendations are asked for than this recommender can compute")
	}
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
