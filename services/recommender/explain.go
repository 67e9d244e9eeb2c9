package recommender

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
)

// ExplainPath is where ExplainRecommendations, an operation that Amazon Personalize does not have, is answered.
const ExplainPath = "/explain-recommendations"

// story is how an answer came about.
type story struct {
	serving  *modelstore.Serving
	visitor  visitor
	query    model.Query
	plan     *plan
	explored *explored
	// diversified is nil where the list was not made diverse.
	diversified *diversified
	// selection and promoted are what the filters selected; nil where there was none.
	selection, promoted *filter.Selection
	hidden              int
}

// Explanation tells how the answer to a GetRecommendations call comes about.
type Explanation struct {
	// ARN of the campaign or recommender, and what answers for it.
	ARN                string `json:"arn"`
	SolutionVersionARN string `json:"solutionVersionArn"`
	ModelID            string `json:"modelId"`
	Recipe             string `json:"recipe"`
	// CatalogueSize is the number of items that the model scores.
	CatalogueSize int `json:"catalogueSize"`
	// HistoryLength is the number of recent interactions of the visitor that were looked at.
	HistoryLength int `json:"historyLength"`
	// Fallback is why the visitor was taken for a stranger, empty if he was not.
	Fallback string `json:"fallback,omitempty"`
	// HiddenItems is how many items the use case hides from this visitor.
	HiddenItems int `json:"hiddenItems,omitempty"`
	// ExplorationWeight is 0 where nothing is explored, and ColdItems how many items were lifted.
	ExplorationWeight float64 `json:"explorationWeight,omitempty"`
	ColdItems         int     `json:"coldItems,omitempty"`
	// DiversityWeight is 0 where the list was not made diverse.
	DiversityWeight float64           `json:"diversityWeight,omitempty"`
	Filter          *FilterEffect     `json:"filter,omitempty"`
	Promotion       *FilterEffect     `json:"promotion,omitempty"`
	ItemList        []ExplainedAnswer `json:"itemList"`
	// RanksBeforeDiversity are those that the items of a diverse list had by their scores alone, promoted ones left out.
	RanksBeforeDiversity []ItemRank `json:"ranksBeforeDiversity,omitempty"`
	// Contributions are, for each item of the list, the terms of its score before exploration and objective, where the model
	// consists of several; without them, it does not.
	Contributions []ItemContributions `json:"contributions,omitempty"`
}

// ItemRank is an item's rank, from 1.
type ItemRank struct {
	ItemID string `json:"itemId"`
	Rank   int    `json:"rank"`
}

// ItemContributions is what the parts of a model said about an item.
type ItemContributions struct {
	ItemID string         `json:"itemId"`
	Terms  []Contribution `json:"terms"`
}

// Contribution is one term of an item's score; the score's exponential is in proportion to the item's share.
type Contribution struct {
	Name  string  `json:"name"`
	Score float64 `json:"score"`
}

// ExplainedAnswer is one item of the answer.
type ExplainedAnswer = personalizeruntime.PredictedItem

// FilterEffect is what a filter did.
type FilterEffect struct {
	FilterARN  string `json:"filterArn"`
	Expression string `json:"expression"`
	// Selected is how many items passed, of those that are in the Items dataset or known to the model.
	Selected int            `json:"selected"`
	Clauses  []ClauseEffect `json:"clauses"`
}

// ClauseEffect is what one expression of a filter did.
type ClauseEffect struct {
	Expression string `json:"expression"`
	Kind       string `json:"kind"`
	// Applied is false where the IF did not hold or an EXCLUDE lacked the parameter Missing.
	Applied bool   `json:"applied"`
	Missing string `json:"missing,omitempty"`
	// Matched is how many items the condition matched, Removed how many it took away from what the earlier ones left.
	Matched int `json:"matched"`
	Removed int `json:"removed"`
}

// ExplainRecommendations answers as GetRecommendations does, tells how the answer came about, and tells nobody that it was
// shown.
func (s *Service) ExplainRecommendations(ctx context.Context, req *personalizeruntime.GetRecommendationsRequest) (*Explanation, error) {
	answer, told, err := s.recommend(ctx, req)
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		ARN: told.serving.ARN(), SolutionVersionARN: told.serving.Version.ARN, ModelID: told.serving.Loaded.ModelID,
		Recipe: told.serving.Loaded.Recipe.Name, CatalogueSize: told.serving.Loaded.Model.Items().Len(),
		HistoryLength: len(told.visitor.history), Fallback: told.visitor.fallback, HiddenItems: told.hidden,
		Filter: effectOf(told.plan.filter, told.selection), Promotion: effectOf(told.plan.promoted, told.promoted),
		ItemList: answer.items,
	}
	if told.explored != nil {
		e.ExplorationWeight, e.ColdItems = told.explored.weight, len(told.explored.before)
	}
	if d := told.diversified; d != nil {
		e.DiversityWeight = d.settings.Weight
		for i, item := range d.chosen {
			e.RanksBeforeDiversity = append(e.RanksBeforeDiversity, ItemRank{told.serving.Loaded.Model.Items().ID(int(item)), d.places[i] + 1})
		}
	}
	if e.Contributions, err = contributions(told, e.ItemList); err != nil {
		return nil, err
	}
	return e, nil
}

// contributions asks the model which of its parts carried the items; nil if it has none.
func contributions(told *story, list []ExplainedAnswer) ([]ItemContributions, error) {
	m := told.serving.Loaded.Model
	explainer, ok := model.As[model.Explainer](m)
	if !ok {
		return nil, nil
	}
	var items []int32
	for _, answer := range list {
		if item, known := m.Items().Index(*answer.ItemId); known {
			items = append(items, int32(item))
		}
	}
	terms, err := explainer.Explain(told.query, items)
	if err != nil {
		return nil, fmt.Errorf("explaining the items: %w", err)
	}
	if terms == nil {
		return nil, nil
	}
	all := make([]ItemContributions, len(items))
	for k, item := range items {
		all[k].ItemID = m.Items().ID(int(item))
		for _, t := range terms[k] {
			all[k].Terms = append(all[k].Terms, Contribution(t))
		}
	}
	return all, nil
}

func effectOf(f *boundFilter, selection *filter.Selection) *FilterEffect {
	if f == nil {
		return nil
	}
	effect := &FilterEffect{FilterARN: f.resource.ARN, Expression: f.resource.Expression, Selected: selection.Count()}
	for _, c := range selection.Explain() {
		effect.Clauses = append(effect.Clauses, ClauseEffect{
			Expression: c.Text, Kind: c.Kind, Applied: c.Applied(), Missing: c.Missing, Matched: c.Matched, Removed: c.Removed,
		})
	}
	return effect
}
