package recommender

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking"
	"github.com/penchant-io/penchant/pkg/recipe"
)

// answer is one answer on its way to the client and to the recommendations topic.
type answer struct {
	id          string
	serving     *modelstore.Serving
	req         *request
	fallback    string
	traceParent string // W3C traceparent of the request
	at          time.Time
	shadowOf    string // the id of the answer that was given instead of this one
	items       []personalizeruntime.PredictedItem
}

// newAnswer starts an answer with an id that no other answer has.
func newAnswer(ctx context.Context, t *trace) *answer {
	return &answer{
		id: "RID-" + uuid.NewString(), serving: t.serving, req: t.req, fallback: t.visitor.fallback,
		traceParent: awsapi.TraceParent(ctx),
	}
}

// Reasons of items in the answers of version 2 recipes.
const (
	reasonPromoted = "Promoted item"
	reasonExplored = "Exploration"
	reasonFilling  = "Popular item" // a placeholder without a score
)

// addList appends the items of the list, with their shares of the whole catalogue where the recipe shows scores.
func (a *answer) addList(t *trace) {
	r, picks := t.serving.Loaded.Recipe, t.list.Picks
	giveReasons := strings.HasSuffix(r.Name, "-v2")
	var explored map[int32]bool
	if giveReasons {
		explored = t.list.Explored()
	}
	a.items = slices.Grow(a.items, len(picks))
	for i := range picks {
		p := &picks[i]
		predicted := personalizeruntime.PredictedItem{ItemId: &p.ID}
		if r.Scores == recipe.CatalogueScores && p.Known() {
			predicted.Score = &p.Share
		}
		if p.Promoted {
			predicted.PromotionName = t.req.promotion.name
		}
		if giveReasons {
			predicted.Reason = reasons(p, explored[p.Item])
		}
		a.items = append(a.items, predicted)
	}
}

func reasons(p *ranking.Pick, explored bool) (reasons []string) {
	if p.Promoted {
		reasons = append(reasons, reasonPromoted)
	}
	if explored {
		reasons = append(reasons, reasonExplored)
	}
	if !p.Known() {
		reasons = append(reasons, reasonFilling)
	}
	return reasons
}

// addRanked appends the items of a ranking with their shares of the list.
func (a *answer) addRanked(ranked []ranking.Pick) {
	a.items = slices.Grow(a.items, len(ranked))
	for i := range ranked {
		predicted := personalizeruntime.PredictedItem{ItemId: &ranked[i].ID}
		if ranked[i].Known() {
			predicted.Score = &ranked[i].Share
		}
		a.items = append(a.items, predicted)
	}
}

// addActions appends actions with their propensities.
func (a *answer) addActions(actions []ranking.Pick) {
	for i := range actions {
		score := float64(actions[i].Score)
		a.items = append(a.items, personalizeruntime.PredictedItem{ItemId: &actions[i].ID, Score: &score})
	}
}

// addMetadata gives the answer's items the columns that were asked for.
func (a *answer) addMetadata(t *trace) {
	if len(t.columns) == 0 {
		return
	}
	for i := range a.items {
		a.items[i].Metadata = metadataOf(t.items, *a.items[i].ItemId, t.columns)
	}
}
