// Package diversity makes lists of items less alike: it re-ranks the best items of a model by their categories, as far
// as the itemExplorationConfig of a campaign, recommender or batch inference job asks for. Amazon Personalize has no
// such setting.
//
// It is greedy maximal marginal relevance (Carbonell, Goldstein: "The use of MMR, diversity-based reranking for
// reordering documents and producing summaries", SIGIR 1998). From a pool of the best items the list takes, one after
// the other, the one with the highest
//
//	(1-weight) · relevance - weight · similarity
//
// where relevance is the item's score, scaled so that the best of the pool has 1 and the worst 0, and similarity is
// that to the most similar item in the list so far: the number of categories that both have, divided by the number that
// either has (Jaccard). An item without categories resembles nothing. Of equal items the one that stood before comes
// first, so the best item of the pool stays the first of the list.
package diversity

import (
	"math"
	"slices"
	"strconv"

	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Settings are how much a list is to vary. The zero value leaves it as it is.
type Settings struct {
	// Weight is 0 to 1.
	Weight float64
	// Column of the Items dataset is the one whose values are an item's categories; "" means all categorical columns.
	Column string
}

// Read reads an itemExplorationConfig, which the control plane has checked. It is read for each request: what says
// nothing of diversity costs no more than to look the name up.
func Read(config map[string]string) Settings {
	text, given := config["diversityWeight"]
	if !given {
		return Settings{}
	}
	weight, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Settings{}
	}
	return Settings{Weight: weight, Column: config["diversityColumn"]}
}

// Columns are those of an Items dataset whose values are categories; none where there is no dataset.
func (s Settings) Columns(items *schema.Schema) []string {
	if items == nil {
		return nil
	}
	var columns []string
	for _, f := range items.Metadata() {
		if f.Name == s.Column || s.Column == "" && f.Categorical {
			columns = append(columns, f.Name)
		}
	}
	return columns
}

// The pool is poolFactor times the list, within bounds: a larger one costs time and brings items that have no relevance
// left, a smaller one leaves nothing to choose from.
const (
	poolFactor   = 5
	smallestPool = 100
	largestPool  = 1000
)

// Pool is how many of the best items k are to be chosen from.
func Pool(k int) int { return max(k, min(max(poolFactor*k, smallestPool), largestPool)) }

// Categories numbers the categories of columns. Categories of the same name in two columns are two.
type Categories struct {
	columns []string
	numbers []map[string]int32 // by column
	next    int32
}

// NewCategories numbers the categories of these columns.
func NewCategories(columns []string) *Categories {
	c := &Categories{columns: columns, numbers: make([]map[string]int32, len(columns))}
	for i := range c.numbers {
		c.numbers[i] = map[string]int32{}
	}
	return c
}

// Of returns the set of an item's categories. value looks up a column; nil means that it has no value.
func (c *Categories) Of(value func(column string) any) []int32 {
	var set []int32
	for i, column := range c.columns {
		for _, name := range content.Values(value(column)) {
			number, known := c.numbers[i][name]
			if !known {
				number = c.next
				c.numbers[i][name] = number
				c.next++
			}
			if !slices.Contains(set, number) { // a value can name a category twice
				set = append(set, number)
			}
		}
	}
	return set
}

// Choose chooses up to k items of a pool, which is ordered best first, and returns their places in the pool in the
// order of the list. scores are by item, and so are the sets of categories.
func (s Settings) Choose(pool []int32, scores []float32, categories func(item int32) []int32, k int) []int {
	k = min(k, len(pool))
	if k <= 0 {
		return nil
	}
	relevance, near := relevances(pool, scores), newNearness(pool, categories)
	chosen, taken := make([]int, 0, k), make([]bool, len(pool))
	for {
		next := s.next(relevance, near.most, taken)
		chosen, taken[next] = append(chosen, next), true
		if len(chosen) == k {
			return chosen
		}
		near.chose(next)
	}
}

// next is the place of the item with the highest marginal relevance, the first of equal ones. One must be left.
func (s Settings) next(relevance, similarity []float64, taken []bool) int {
	next, best := -1, math.Inf(-1)
	for place, r := range relevance {
		// The conversions forbid to fuse the operations, which gives other roundings on other processors.
		marginal := float64((1 - s.Weight) * r)
		if marginal <= best {
			break // and so are all behind it, which are no more relevant, whatever they resemble
		}
		if taken[place] {
			continue
		}
		if marginal -= float64(s.Weight * similarity[place]); marginal > best {
			next, best = place, marginal
		}
	}
	return next
}

// relevances are the scores of the pool, scaled: 1 for the best, 0 for the worst; all 1 where there is no difference.
func relevances(pool []int32, scores []float32) []float64 {
	best, worst := float64(scores[pool[0]]), float64(scores[pool[len(pool)-1]])
	scaled := make([]float64, len(pool))
	for place, item := range pool {
		scaled[place] = 1
		if best > worst {
			scaled[place] = (float64(scores[item]) - worst) / (best - worst)
		}
	}
	return scaled
}

// nearness holds how similar each item of a pool is to the most similar one that was chosen.
type nearness struct {
	most    []float64 // by place
	sets    [][]int32 // by place
	holders map[int32][]int32
	// shared is scratch memory: by place, how many categories are also the chosen item's. touched are the places where
	// there are any.
	shared  []int32
	touched []int32
}

func newNearness(pool []int32, categories func(item int32) []int32) *nearness {
	n := &nearness{
		most: make([]float64, len(pool)), sets: make([][]int32, len(pool)), holders: map[int32][]int32{},
		shared: make([]int32, len(pool)),
	}
	for place, item := range pool {
		n.sets[place] = categories(item)
		for _, category := range n.sets[place] {
			n.holders[category] = append(n.holders[category], int32(place))
		}
	}
	return n
}

// chose counts a chosen item. Only what has a category in common with it is looked at.
func (n *nearness) chose(chosen int) {
	n.touched = n.touched[:0]
	for _, category := range n.sets[chosen] {
		for _, place := range n.holders[category] {
			if n.shared[place] == 0 {
				n.touched = append(n.touched, place)
			}
			n.shared[place]++
		}
	}
	for _, place := range n.touched {
		both := float64(n.shared[place])
		either := float64(len(n.sets[place])+len(n.sets[chosen])) - both
		n.most[place] = max(n.most[place], both/either)
		n.shared[place] = 0
	}
}
