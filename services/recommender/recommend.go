package recommender

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
)

// GetRecommendations answers which items suit a visitor, or go with an item, best first.
func (s *Service) GetRecommendations(ctx context.Context, req *personalizeruntime.GetRecommendationsRequest) (*personalizeruntime.GetRecommendationsResponse, error) {
	given, _, err := s.recommend(ctx, req)
	if err != nil {
		return nil, err
	}
	s.shown.offer(given)
	s.shadows.offer(given, func(ctx context.Context, serving *modelstore.Serving, asked question) (*answer, error) {
		shadow, _, err := s.recommendFrom(ctx, serving, asked)
		return shadow, err
	})
	return &personalizeruntime.GetRecommendationsResponse{RecommendationId: &given.id, ItemList: given.items}, nil
}

// recommend is the way from a request to an answer, and the story of it.
func (s *Service) recommend(ctx context.Context, req *personalizeruntime.GetRecommendationsRequest) (*answer, *story, error) {
	asked, err := readRecommendations(req)
	if err != nil {
		return nil, nil, err
	}
	asked, serving, err := s.assign(ctx, asked)
	if err != nil {
		return nil, nil, err
	}
	return s.recommendFrom(ctx, serving, asked)
}

// recommendFrom is the part of that way that comes after the model is chosen.
func (s *Service) recommendFrom(ctx context.Context, serving *modelstore.Serving, asked question) (*answer, *story, error) {
	if err := suitsRecommendations(serving.Loaded.Recipe, asked); err != nil {
		return nil, nil, err
	}
	plan, err := s.plan(ctx, serving, asked)
	if err != nil {
		return nil, nil, err
	}

	visitor := s.visitor(ctx, serving, asked, plan)
	subject, err := s.subject(ctx, serving, asked, visitor, plan.filter, plan.promoted)
	if err != nil {
		return nil, nil, err
	}
	query := s.query(ctx, serving, asked, visitor)
	scores, done, err := s.score(ctx, serving, query)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	explored := s.explore(serving, asked, scores)

	told := &story{
		serving: serving, visitor: visitor, query: query, plan: plan, explored: explored, diversified: s.diversify(serving, plan),
	}
	picks := choose(serving, asked, plan, subject, scores, told)
	explored.judge(picks, scores)
	answer := newAnswer(ctx, serving, asked, visitor.fallback)
	answer.addPicks(serving.Loaded, picks, scores, asked, explored)
	answer.addMetadata(plan)
	return answer, told, nil
}

// pick is one item on its way into an answer.
type pick struct {
	item     int32  // of the model; -1 for one that it does not know
	id       string // where the model does not know it
	promoted bool
}

// choose picks the items of an answer: the promotion's from its filter alone, the others from the request's filter. Only the
// others are made diverse: what is promoted was ordered.
func choose(serving *modelstore.Serving, asked question, plan *plan, subject filter.Subject, scores []float32, told *story) []pick {
	var promoted []pick
	if p := asked.promotion; p != nil {
		from := newEligible(serving, asked, plan, plan.promoted, subject)
		told.promoted = from.selection
		promoted = from.picks(scores, p.slots(asked.numResults), nil)
	}
	from := newEligible(serving, asked, plan, plan.filter, subject)
	told.selection, told.hidden = from.selection, len(from.never)
	for i := range promoted {
		promoted[i].promoted = true
		from.leaveOut(promoted[i].name(from.items))
	}
	others := from.picks(scores, asked.numResults-len(promoted), told.diversified)
	return mix(promoted, others, exploration.Seed(asked.userID, asked.itemID, serving.Loaded.ModelID))
}

func (p *pick) name(items *model.Items) string {
	if p.item < 0 {
		return p.id
	}
	return items.ID(int(p.item))
}

// newEligible is what one filter (nil: none) leaves for this visitor.
func newEligible(serving *modelstore.Serving, asked question, plan *plan, f *boundFilter, subject filter.Subject) *eligible {
	e := &eligible{items: serving.Loaded.Model.Items()}
	e.hide(subject.History, serving.Loaded.Recipe.HidesEvents)
	if f == nil {
		return e
	}
	e.aligned, e.selection = plan.aligned, f.bound.Select(plan.aligned.table.Table, subject)
	if asked.itemID != "" && serving.Loaded.Recipe.Type == recipe.RelatedItems {
		e.leaveOut(asked.itemID)
	}
	return e
}

// picks are the k best, made diverse, and filled up with what the filter selects and the model does not know.
func (e *eligible) picks(scores []float32, k int, d *diversified) []pick {
	best := d.best(e, scores, k)
	picks := make([]pick, len(best), max(k, 0))
	for i, item := range best {
		picks[i] = pick{item: item}
	}
	for _, id := range e.unknown(k - len(best)) {
		picks = append(picks, pick{item: -1, id: id})
	}
	return picks
}

// GetPersonalizedRanking puts a list of items into the order in which they suit a visitor. Items that the model does not
// know come last, as they came in and without a score; an item given twice is answered once, and one that the filter
// does not select is not answered.
func (s *Service) GetPersonalizedRanking(ctx context.Context, req *personalizeruntime.GetPersonalizedRankingRequest) (*personalizeruntime.GetPersonalizedRankingResponse, error) {
	asked, err := readRanking(req)
	if err != nil {
		return nil, err
	}
	asked, serving, err := s.assign(ctx, asked)
	if err != nil {
		return nil, err
	}
	given, err := s.rankFrom(ctx, serving, asked, req.InputList)
	if err != nil {
		return nil, err
	}
	s.shown.offer(given)
	s.shadows.offer(given, func(ctx context.Context, serving *modelstore.Serving, asked question) (*answer, error) {
		return s.rankFrom(ctx, serving, asked, req.InputList)
	})
	return &personalizeruntime.GetPersonalizedRankingResponse{RecommendationId: &given.id, PersonalizedRanking: given.items}, nil
}

// rankFrom puts a list into the order of a model that is chosen.
func (s *Service) rankFrom(ctx context.Context, serving *modelstore.Serving, asked question, list []string) (*answer, error) {
	if err := suitsRanking(serving.Loaded.Recipe); err != nil {
		return nil, err
	}
	plan, err := s.plan(ctx, serving, asked)
	if err != nil {
		return nil, err
	}

	visitor := s.visitor(ctx, serving, asked, plan)
	if plan.filter != nil {
		subject, err := s.subject(ctx, serving, asked, visitor, plan.filter)
		if err != nil {
			return nil, err
		}
		list = passed(plan.filter, plan.items, subject, list)
	}
	scores, done, err := s.score(ctx, serving, s.query(ctx, serving, asked, visitor))
	if err != nil {
		return nil, err
	}
	defer done()

	items := serving.Loaded.Model.Items()
	known, unknown := model.Divide(items, list)
	ranked, shares := model.Rank(scores, known)
	answer := newAnswer(ctx, serving, asked, visitor.fallback)
	answer.addScored(items, ranked, shares)
	answer.addUnscored(unknown)
	answer.addMetadata(plan)
	return answer, nil
}

// serving finds the model that answers for the campaign or recommender.
func (s *Service) serving(ctx context.Context, asked question) (*modelstore.Serving, error) {
	find := s.config.Models.Campaign
	if asked.recommender {
		find = s.config.Models.Recommender
	}
	serving, err := find(ctx, asked.arn)
	switch {
	case errors.Is(err, modelstore.ErrNotDeployed):
		return nil, awsapi.ResourceNotFound("Resource not found: %s", asked.arn)
	case errors.Is(err, modelstore.ErrNotActive):
		return nil, awsapi.InvalidInput("%s cannot answer: %v", asked.arn, err)
	case errors.Is(err, modelstore.ErrUnavailable):
		s.metrics.unavailable.Inc()
		return nil, awsapi.ServiceUnavailable("the model of %s is being loaded", asked.arn)
	case err != nil:
		return nil, fmt.Errorf("finding the model: %w", err)
	}
	return serving, nil
}

// plan is what an answer is restricted and adorned by: the parts of a request that need the catalog or attributes. A
// request that asks for none of it has an empty one.
type plan struct {
	filter   *boundFilter
	promoted *boundFilter
	items    *attributes.Table // nil where nothing asks for them
	aligned  *aligned          // nil without a filter
	columns  []schema.Field
}

func (s *Service) plan(ctx context.Context, serving *modelstore.Serving, asked question) (*plan, error) {
	p := &plan{}
	if err := checkMetadata(serving, asked.metadata); err != nil {
		return nil, err
	}
	bind := func(use filterUse) (*boundFilter, error) {
		f, err := s.bind(ctx, serving, use)
		if err == nil {
			err = f.suits(serving.Loaded.Recipe, asked)
		}
		return f, err
	}
	var err error
	if asked.filter != nil {
		if p.filter, err = bind(*asked.filter); err != nil {
			return nil, err
		}
	}
	if asked.promotion != nil {
		if p.promoted, err = bind(asked.promotion.filter); err != nil {
			return nil, err
		}
		if asked.promotion.percent == 0 {
			return nil, awsapi.InvalidInput("A promotion must have percentPromotedItems, from 1 to 100")
		}
	}
	if p.filter == nil && p.promoted == nil && len(asked.metadata) == 0 {
		return p, nil
	}
	if p.items, err = s.table(ctx, serving.Group, schema.Items); err != nil {
		return nil, err
	}
	if p.columns, err = metadataFields(p.items, asked.metadata); err != nil {
		return nil, err
	}
	if p.filter != nil || p.promoted != nil {
		p.aligned = s.alignments.of(serving, p.items, s.config.Models.All)
	}
	return p, nil
}

// usesVisitor reports whether a filter looks at the visitor's events, or at whether there are any.
func (p *plan) usesVisitor() bool {
	return p.filter != nil && p.filter.usesVisitor() || p.promoted != nil && p.promoted.usesVisitor()
}

// query is what the model is asked.
func (s *Service) query(ctx context.Context, serving *modelstore.Serving, asked question, v visitor) model.Query {
	query := model.Query{ItemID: asked.itemID}
	if !serving.Loaded.Recipe.Realtime {
		return query
	}
	query.History, query.Vector = v.history, v.vector
	if asked.userID != "" && model.AsksUser(serving.Loaded.Model, v.history) {
		// Without the attributes he is answered as somebody who has none.
		if users, err := s.attributes.Table(ctx, serving.Group, schema.Users); err == nil {
			query.User = users.Record(asked.userID)
		}
	}
	return query
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
	scored := false
	defer func() {
		if !scored { // also if the model panics, or its turn would be nobody's for ever
			done()
		}
	}()
	if err := serving.Loaded.Model.Score(query, *buffer); err != nil {
		return nil, nil, fmt.Errorf("scoring with model %s: %w", serving.Loaded.ModelID, err)
	}
	scored = true
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

// Reasons of items in the answers of version 2 recipes.
const (
	reasonPromoted = "Promoted item"
	reasonExplored = "Exploration"
	reasonFilling  = "Popular item" // a placeholder without a score
)

// addPicks appends picks in their order, with their shares of the whole catalogue where the recipe shows scores.
func (a *answer) addPicks(loaded *modelstore.Loaded, picks []pick, scores []float32, asked question, explored *explored) {
	catalogue := loaded.Model.Items()
	var shares []float64
	if loaded.Recipe.Scores == recipe.CatalogueScores {
		shares = sharesOf(scores, picks)
	}
	giveReasons := strings.HasSuffix(loaded.Recipe.Name, "-v2")
	ids := make([]string, len(picks))
	a.items = slices.Grow(a.items, len(picks))
	for i := range picks {
		p := &picks[i]
		ids[i] = p.name(catalogue)
		predicted := personalizeruntime.PredictedItem{ItemId: &ids[i]}
		if shares != nil && p.item >= 0 {
			predicted.Score = &shares[i]
		}
		if p.promoted {
			predicted.PromotionName = asked.promotion.name
		}
		if giveReasons {
			predicted.Reason = reasonsOf(p, explored)
		}
		a.items = append(a.items, predicted)
	}
}

func reasonsOf(p *pick, explored *explored) (reasons []string) {
	if p.promoted {
		reasons = append(reasons, reasonPromoted)
	}
	if explored.lifted(p.item) {
		reasons = append(reasons, reasonExplored)
	}
	if p.item < 0 {
		reasons = append(reasons, reasonFilling)
	}
	return reasons
}

// addMetadata gives the answer's items the columns that were asked for.
func (a *answer) addMetadata(p *plan) {
	if len(p.columns) == 0 {
		return
	}
	for i := range a.items {
		a.items[i].Metadata = metadataOf(p.items, *a.items[i].ItemId, p.columns)
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
