package ranking

import (
	"github.com/penchant-io/penchant/pkg/model"
)

// Scorer scores items for one list. Requests differ in which items they need: a ranking needs those of its list, any
// other request all that may be recommended. A Scorer may score more than it is asked for.
type Scorer interface {
	// Score returns the scores of the given items, or of the whole catalogue for nil. The list that is made from them
	// may change them.
	Score(items []int32) (Scores, error)
}

// Scores are the scores of items for one list.
type Scores struct {
	values []float32 // by item of the catalogue
}

// ScoresOf returns scores that a model has written: item i of its catalogue has values[i].
func ScoresOf(values []float32) Scores { return Scores{values} }

// ModelScorer returns a Scorer that has a model answer a query with the scores of its whole catalogue, in a buffer of
// the catalogue's length.
func ModelScorer(m model.Model, query model.Query, buffer []float32) Scorer {
	return modelScorer{m, query, buffer}
}

type modelScorer struct {
	model  model.Model
	query  model.Query
	buffer []float32
}

// Score implements Scorer.
func (s modelScorer) Score([]int32) (Scores, error) {
	if err := s.model.Score(s.query, s.buffer); err != nil {
		return Scores{}, err
	}
	return ScoresOf(s.buffer), nil
}

// of returns an item's score.
func (s Scores) of(item int32) float32 { return s.values[item] }

// best returns the k best items, best first, without those for which skip (nil: none) reports true.
func (s Scores) best(k int, skip func(item int) bool) []int32 { return model.TopK(s.values, k, skip) }

// bestOf returns the k best of some items, best first. The items are in ascending order, so of equal scores the lower
// item wins, as everywhere.
func (s Scores) bestOf(items []int32, k int) []int32 {
	theirs := make([]float32, len(items))
	for i, item := range items {
		theirs[i] = s.values[item]
	}
	best := model.TopK(theirs, k, nil)
	for i, place := range best {
		best[i] = items[place]
	}
	return best
}

// addShares gives the picks that the model knows their shares of all scores.
func addShares(picks []Pick, scores Scores) {
	known := make([]int32, 0, len(picks))
	for i := range picks {
		if picks[i].Item != unknownItem {
			known = append(known, picks[i].Item)
		}
	}
	shares := model.Shares(scores.values, known)
	for i := range picks {
		if picks[i].Item != unknownItem {
			picks[i].Share, shares = shares[0], shares[1:]
		}
	}
}
