package recommender

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
)

// ExplainPath is the path of ExplainRecommendations, an operation that Amazon Personalize does not have.
const ExplainPath = "/explain-recommendations"

// Explanation describes how the answer to a GetRecommendations call comes about.
type Explanation struct {
	// ARN of the campaign or recommender, and the model that answers for it.
	ARN                string `json:"arn"`
	SolutionVersionARN string `json:"solutionVersionArn"`
	ModelID            string `json:"modelId"`
	Recipe             string `json:"recipe"`
	// CatalogueSize is the number of items that the model scores.
	CatalogueSize int `json:"catalogueSize"`
	// HistoryLength is the number of the visitor's recent interactions that were considered.
	HistoryLength int `json:"historyLength"`
	// Fallback is the reason why the visitor was answered as a stranger, empty if they were not.
	Fallback string `json:"fallback,omitempty"`
	// HiddenItems is the number of items that the use case hides from this visitor.
	HiddenItems int `json:"hiddenItems,omitempty"`
	// ExplorationWeight is 0 where nothing is explored. ColdItems is the number of items that were lifted.
	ExplorationWeight float64 `json:"explorationWeight,omitempty"`
	ColdItems         int     `json:"coldItems,omitempty"`
	// DiversityWeight is 0 where the list was not made diverse.
	DiversityWeight float64           `json:"diversityWeight,omitempty"`
	Filter          *FilterEffect     `json:"filter,omitempty"`
	Promotion       *FilterEffect     `json:"promotion,omitempty"`
	ItemList        []ExplainedAnswer `json:"itemList"`
	// RanksBeforeDiversity are the ranks that the items of a diverse list had by their scores alone, without promoted
	// ones.
	RanksBeforeDiversity []ItemRank `json:"ranksBeforeDiversity,omitempty"`
	// Contributions are, for each item of the list, the terms of its score before exploration and objective. Models
	// that do not consist of several parts have none.
	Contributions []ItemContributions `json:"contributions,omitempty"`
}

// ItemRank is an item's rank, from 1.
type ItemRank struct {
	ItemID string `json:"itemId"`
	Rank   int    `json:"rank"`
}

// ItemContributions are the terms of an item's score.
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

// FilterEffect describes what a filter did.
type FilterEffect struct {
	FilterARN  string `json:"filterArn"`
	Expression string `json:"expression"`
	// Selected is the number of items that passed, of those that are in the Items dataset or known to the model.
	Selected int            `json:"selected"`
	Clauses  []ClauseEffect `json:"clauses"`
}

// ClauseEffect describes what one expression of a filter did.
type ClauseEffect struct {
	Expression string `json:"expression"`
	Kind       string `json:"kind"`
	// Applied is false where the IF did not hold or an EXCLUDE lacked the parameter Missing.
	Applied bool   `json:"applied"`
	Missing string `json:"missing,omitempty"`
	// Matched is the number of items that the condition matched, Removed the number that it removed of those that
	// earlier expressions left.
	Matched int `json:"matched"`
	Removed int `json:"removed"`
}

// ExplainRecommendations answers as GetRecommendations does and explains how the answer came about. It is not published
// as shown.
func (s *Service) ExplainRecommendations(
	ctx context.Context, req *personalizeruntime.GetRecommendationsRequest,
) (*Explanation, error) {
	a, t, err := s.recommend(ctx, req)
	if err != nil {
		return nil, err
	}
	return t.explain(a.items)
}

// explain describes how an answer with these items came about.
func (t *trace) explain(items []ExplainedAnswer) (*Explanation, error) {
	loaded := t.serving.Loaded
	e := &Explanation{
		ARN: t.serving.ARN(), SolutionVersionARN: t.serving.Version.ARN, ModelID: loaded.ModelID,
		Recipe: loaded.Recipe.Name, CatalogueSize: loaded.Model.Items().Len(),
		HistoryLength: len(t.visitor.history), Fallback: t.visitor.fallback, HiddenItems: t.list.Excluded,
		Filter: effectOf(t.filter, t.list.Selection), Promotion: effectOf(t.promoted, t.list.Promoted),
		ItemList: items,
	}
	if t.exploration != nil {
		e.ExplorationWeight, e.ColdItems = t.exploration.Settings.Weight, t.list.Lifted
	}
	if t.diversity != nil {
		e.DiversityWeight = diversitySettings(t.serving).Weight
		for _, r := range t.list.Reordered {
			e.RanksBeforeDiversity = append(e.RanksBeforeDiversity, ItemRank{r.ID, r.Rank})
		}
	}
	var err error
	e.Contributions, err = t.contributions(items)
	return e, err
}

// contributions returns how much each part of the model contributed to the items; nil if the model has no parts.
func (t *trace) contributions(list []ExplainedAnswer) ([]ItemContributions, error) {
	m := t.serving.Loaded.Model
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
	terms, err := explainer.Explain(t.query, items)
	if err != nil {
		return nil, fmt.Errorf("explaining the items: %w", err)
	}
	if terms == nil {
		return nil, nil
	}
	all := make([]ItemContributions, len(items))
	for k, item := range items {
		all[k].ItemID = m.Items().ID(int(item))
		for _, term := range terms[k] {
			all[k].Terms = append(all[k].Terms, Contribution(term))
		}
	}
	return all, nil
}

func effectOf(f *boundFilter, selection *filter.Selection) *FilterEffect {
	if f == nil {
		return nil
	}
	effect := &FilterEffect{
		FilterARN: f.stored.ARN, Expression: f.stored.Expression, Selected: selection.Count(),
	}
	for _, c := range selection.Explain() {
		effect.Clauses = append(effect.Clauses, ClauseEffect{
			Expression: c.Text, Kind: c.Kind, Applied: c.Applied(), Missing: c.Missing,
			Matched: c.Matched, Removed: c.Removed,
		})
	}
	return effect
}
