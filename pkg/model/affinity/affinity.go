// Package affinity is the model of the user segmentation recipes aws-item-affinity and aws-item-attribute-affinity:
// which users are drawn to an item, or to the items with some attributes. It is a matrix factorisation (package ials)
// with the vector of every user of the training beside it.
//
// A user is the more likely to choose an item the more it suits them, which is what the factors say, and the more they
// choose at all. Users are ordered by the sum of the item's logit and the logarithm of the number of their
// interactions, which finds more of those who choose it later than the logit alone does.
//
// Users' vectors are what makes such a model large, so they are kept as whole numbers from -127 to 127 with one factor
// a user: about 150 bytes a user instead of 600, at an error that does not change who comes first.
package affinity

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/model/ials"
	"github.com/penchant-io/penchant/pkg/simd"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// foldDecay is the weight of an interaction relative to the next one in a user's vector. It is far closer to 1 than in
// recommendations: a segment is about what a person likes, not about what they look for at the moment.
const foldDecay = 0.98

// Config holds the recipe's parameters.
type Config struct {
	// Dim is the number of factors.
	Dim     int
	Seed    int64
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// Model implements model.Model and model.Segmenter. Its scores are those of the factorisation.
type Model struct {
	factors *ials.Model
	users   []string // ascending
	// vector holds the users' vectors, one after the other; each is to be multiplied by the user's scale.
	vector []int8
	scale  []float32
	// active is the logarithm of a user's number of interactions.
	active []float32
	// holders are the catalogue's items that have an attribute, ascending; columns are in upper case.
	holders map[model.Attribute][]int32
	// weight is how much an item counts among those with an attribute.
	weight []float32
}

// Train factorises the training set and folds every user.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*Model, error) {
	f := ials.DefaultConfig()
	f.Dim, f.FoldDecay, f.Seed, f.Threads = c.Dim, foldDecay, c.Seed, c.Threads
	const factorised = 0.9
	if c.Progress != nil {
		f.Progress = func(done float64) { c.Progress(factorised * done) }
	}
	factors, err := ials.Train(ctx, ts, f)
	if err != nil {
		return nil, err
	}
	m := &Model{factors: factors, users: ts.Users, holders: content.Attributes(ts, factors.Items())}
	m.vector = make([]int8, len(ts.Users)*factors.Dim())
	m.scale, m.active = make([]float32, len(ts.Users)), make([]float32, len(ts.Users))
	progress := model.NewProgress(max(len(ts.Users), 1), func(done float64) {
		if c.Progress != nil {
			c.Progress(factorised + (1-factorised)*done)
		}
	})
	err = model.Blocks(ctx, len(ts.Users), 256, c.Threads, func(_, from, to int) {
		vector := make([]float32, factors.Dim())
		for u := from; u < to; u++ {
			factors.Fold(ts.History(u), vector)
			start, end := ts.UserEvents(u)
			m.active[u] = float32(math.Log(float64(end - start)))
			m.scale[u] = quantise(vector, m.vector[u*len(vector):(u+1)*len(vector)])
		}
		progress(to - from)
	})
	if err != nil {
		return nil, fmt.Errorf("folding users: %w", err)
	}
	if len(ts.Users) == 0 {
		progress(1)
	}
	m.weigh()
	return m, nil
}

// quantise writes whole numbers in proportion to a vector, and returns what they are to be multiplied by.
func quantise(vector []float32, to []int8) float32 {
	largest := float32(0)
	for _, v := range vector {
		largest = max(largest, v, -v)
	}
	if largest == 0 {
		clear(to)
		return 0
	}
	for k, v := range vector {
		to[k] = int8(math.Round(float64(v / largest * math.MaxInt8)))
	}
	return largest / math.MaxInt8
}

// weigh gives items the square root of their popularity, which the catalogue's cold scores tell: an attribute is what
// its well-known items have in common, but not its best-seller alone.
func (m *Model) weigh() {
	m.weight = make([]float32, m.factors.Items().Len())
	if m.factors.Score(model.Query{}, m.weight) != nil {
		return // only for scores of another length than the catalogue's
	}
	for i, logShare := range m.weight {
		m.weight[i] = float32(math.Exp(float64(logShare) / 2))
	}
}

// Items is the catalogue.
func (m *Model) Items() *model.Items { return m.factors.Items() }

// Score scores items for a user, as the factorisation does.
func (m *Model) Score(q model.Query, scores []float32) error { return m.factors.Score(q, scores) }

// Segment orders users by the item's logit and how active they are. For attributes, the item is a typical one of those
// that have all of them: its vector is the weighted mean of theirs. Equal users are in the order of their ids.
func (m *Model) Segment(q model.SegmentQuery, k int) ([]model.ScoredUser, error) {
	wanted := m.wanted(q)
	if !slices.ContainsFunc(wanted, func(v float32) bool { return v != 0 }) {
		return nil, nil
	}
	scores := make([]float32, len(m.users))
	for u := range scores {
		sum := float32(0)
		for d, v := range m.vector[u*len(wanted) : (u+1)*len(wanted)] {
			sum += float32(v) * wanted[d]
		}
		scores[u] = sum*m.scale[u]/float32(m.factors.Temperature()) + m.active[u]
	}
	best := model.TopK(scores, k, nil)
	segment := make([]model.ScoredUser, len(best))
	for n, u := range best {
		segment[n] = model.ScoredUser{UserID: m.users[u], Score: scores[u]}
	}
	return segment, nil
}

// wanted is the vector that users are compared with: zero for items and attributes that nobody has chosen.
func (m *Model) wanted(q model.SegmentQuery) []float32 {
	wanted := make([]float32, m.factors.Dim())
	if q.ItemID != "" || len(q.Attributes) == 0 {
		if i, ok := m.Items().Index(q.ItemID); ok {
			copy(wanted, m.factors.Factors(i))
		}
		return wanted
	}
	items, total := m.having(q.Attributes), float32(0)
	for _, i := range items {
		total += m.weight[i]
	}
	for _, i := range items {
		simd.Axpy(m.weight[i]/total, m.factors.Factors(int(i)), wanted)
	}
	return wanted
}

// having lists the items that have all attributes.
func (m *Model) having(attributes []model.Attribute) []int32 {
	items := m.holders[attributes[0]]
	for _, a := range attributes[1:] {
		others := m.holders[a]
		var both []int32
		for _, i := range items {
			if _, ok := slices.BinarySearch(others, i); ok {
				both = append(both, i)
			}
		}
		items = both
	}
	return items
}
