package recommender

import (
	"context"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Bounds of GetActionRecommendations.
const (
	defaultActions = 5
	maxActions     = 100
)

// GetActionRecommendations answers which actions a user is most likely to take, best first. An action that has expired is
// never among them, nor is one that he has had to do with within its REPEAT_FREQUENCY.
func (s *Service) GetActionRecommendations(ctx context.Context, req *personalizeruntime.GetActionRecommendationsRequest) (*personalizeruntime.GetActionRecommendationsResponse, error) {
	asked, err := readActions(req)
	if err != nil {
		return nil, err
	}
	asked, serving, err := s.assign(ctx, asked)
	if err != nil {
		return nil, err
	}
	if r := serving.Loaded.Recipe; r.Type != recipe.PersonalizedActions {
		return nil, awsapi.InvalidInput("A campaign on recipe %s does not recommend actions", r.Name)
	}
	given, err := s.recommendActions(ctx, serving, asked)
	if err != nil {
		return nil, err
	}
	s.shown.offer(given)
	s.shadows.offer(given, s.recommendActions)
	resp := &personalizeruntime.GetActionRecommendationsResponse{RecommendationId: &given.id}
	for _, action := range given.items {
		resp.ActionList = append(resp.ActionList, personalizeruntime.PredictedAction{ActionId: action.ItemId, Score: action.Score})
	}
	return resp, nil
}

func readActions(req *personalizeruntime.GetActionRecommendationsRequest) (question, error) {
	q := question{arn: value(req.CampaignArn), userID: value(req.UserId), numResults: defaultActions}
	switch {
	case req.CampaignArn == nil:
		return q, awsapi.InvalidInput("campaignArn is required")
	case q.userID == "":
		return q, awsapi.InvalidInput("userId is required")
	}
	if err := campaignOrExperiment(q.arn); err != nil {
		return q, err
	}
	switch n := value(req.NumResults); {
	case n > maxActions:
		return q, awsapi.InvalidInput("numResults is %d; it must be at most %d", n, maxActions)
	case n > 0: // 0 is the default
		q.numResults = int(n)
	}
	var err error
	if q.filter, err = readFilter(req.FilterArn, req.FilterValues); q.filter != nil {
		q.filter.target = schema.Actions
	}
	return q, err
}

func (s *Service) recommendActions(ctx context.Context, serving *modelstore.Serving, asked question) (*answer, error) {
	var bound *boundFilter
	var err error
	if asked.filter != nil {
		if bound, err = s.bind(ctx, serving, *asked.filter); err != nil {
			return nil, err
		}
		if err := bound.suits(serving.Loaded.Recipe, asked); err != nil {
			return nil, err
		}
	}
	actions, err := s.table(ctx, serving.Group, schema.Actions)
	if err != nil {
		return nil, err
	}
	v := s.lookUp(ctx, serving, asked.userID)
	if v.fallback == "" && !s.config.Users.Healthy(ctx, serving.Group, schema.ActionInteractions, 0) {
		v.fallback = fallbackRebuilding
	}
	s.tellFallback(ctx, v)
	subject, err := s.subject(ctx, serving, asked, v, bound)
	if err != nil {
		return nil, err
	}
	query := s.query(ctx, serving, asked, v)
	query.ActionHistory = v.actions
	scores, done, err := s.score(ctx, serving, query)
	if err != nil {
		return nil, err
	}
	defer done()

	catalogue := serving.Loaded.Model.Items()
	offer := newOffer(catalogue, actions.Table, v.actions, s.config.Now())
	if bound != nil {
		offer.selection = bound.bound.Select(actions.Table, subject)
	}
	answer := newAnswer(ctx, serving, asked, v.fallback)
	answer.addActions(catalogue, model.TopK(scores, asked.numResults, offer.withheld), scores)
	return answer, nil
}

// addActions appends actions, best first, with their propensities.
func (a *answer) addActions(catalogue *model.Items, best []int32, scores []float32) {
	for _, action := range best {
		id, score := catalogue.ID(int(action)), float64(scores[action])
		a.items = append(a.items, personalizeruntime.PredictedItem{ItemId: &id, Score: &score})
	}
}

// Columns of the Actions dataset that say when an action may be offered.
const (
	expirationColumn = "ACTION_EXPIRATION_TIMESTAMP"
	repeatColumn     = "REPEAT_FREQUENCY"
)

const msPerDay = 24 * 60 * 60 * 1000

// offer says which actions of a model may be offered to a user at a moment.
type offer struct {
	catalogue *model.Items
	table     *filter.Table
	selection *filter.Selection // nil: without a filter
	now       time.Time
	// met is when the user last had to do with an action, whatever it was: a view tells that it was offered. In
	// milliseconds since the Unix epoch.
	met map[string]int64
}

func newOffer(catalogue *model.Items, table *filter.Table, history []reco.RecentInteraction, now time.Time) *offer {
	o := &offer{catalogue: catalogue, table: table, now: now, met: map[string]int64{}}
	for _, h := range history {
		o.met[h.ItemID] = max(o.met[h.ItemID], h.TimestampMS)
	}
	// Filters select rows: actions that nobody has described need one, too.
	var unknown []string
	for i := range catalogue.Len() {
		if id := catalogue.ID(i); !hasRow(table, id) {
			unknown = append(unknown, id)
		}
	}
	table.Add(unknown...)
	return o
}

func hasRow(table *filter.Table, id string) bool {
	_, ok := table.Row(id)
	return ok
}

// withheld reports whether an action must not be offered.
func (o *offer) withheld(action int) bool {
	id := o.catalogue.ID(action)
	row, ok := o.table.Row(id)
	if !ok || o.selection != nil && !o.selection.Has(row) {
		return true
	}
	if expires, ok := o.table.Attribute(row, expirationColumn).(int64); ok && o.now.Unix() >= expires {
		return true
	}
	days, ok := o.table.Attribute(row, repeatColumn).(int64)
	last, met := o.met[id]
	return ok && met && days > 0 && (o.now.UnixMilli()-last)/msPerDay < days
}
