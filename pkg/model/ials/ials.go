// Package ials is implicit matrix factorisation by alternating least squares, a part of the stacks of personalisation
// and ranking and what user segments and next best actions are made of: Hu, Koren, Volinsky, "Collaborative filtering
// for implicit feedback datasets" (ICDM 2008), sections 4 and 4.1, with the objective and the frequency-scaled
// regularisation of Rendle, Krichene, Zhang, Koren, "Revisiting the performance of iALS on item recommendation
// benchmarks" (RecSys 2022), section 3.
//
// Rows of interactions and items get vectors x_r and y_i that minimise
//
//	sum over interactions of w_ri (1 - x_r·y_i)² + a · sum over all rows and items of (x_r·y_i)²
//	  + sum_r l_r |x_r|² + sum_i l_i |y_i|²
//
// where a is the weight of what was not observed and l grows with how much was observed (Config). With one side fixed,
// each vector of the other is the solution of a small linear system; the sides alternate. A system is solved by a few
// steps of conjugate gradient from the last vector: Takács, Pilászy, Tikk, "Applications of the conjugate gradient
// method for implicit feedback collaborative filtering" (RecSys 2011), section 4.
//
// Only the item vectors are kept. A user's vector is that same solve on their history (fold-in), so it is made alike
// for users of the training and for later ones, and moves with each event.
//
// Two things go beyond the papers, and together they more than double the hit rate for the next item on MovieLens 1M
// without hurting anywhere that was measured (docs/benchmarks.md):
//
//   - A row of the training is not a whole user but a window of some 50 consecutive interactions of one, so that factors
//     describe what is chosen together, rather than what one person chose in years.
//   - In a fold-in an interaction weighs the less the more others came after it. It is the order that counts, not time.
//
// Event values do not weigh: they select, by the solution's threshold, which interactions are learned from. Types of
// event weigh as the training set says.
package ials

import (
	"math"
	"slices"
	"sync"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/simd"
)

// Model is a trained factorisation. It implements model.Model and model.Folder.
type Model struct {
	items *model.Items
	// counts is the number of interactions of each item, by which an unknown user's items are ranked.
	counts []int64
	// factors holds the item vectors, one after the other; an item without interactions has the zero vector.
	factors []float32
	system  system
	fold    foldConfig
	// temperature divides the inner products, so that their softmax fits what users chose (see calibrate).
	temperature float64
	// cold is the scores of a user of whom nothing is known: their softmax is each item's share of all interactions.
	cold []float32
	// decays holds the powers of the fold's decay, by age.
	decays []float64
	// scratch holds *folding.
	scratch sync.Pool
}

// foldConfig is how a history becomes a linear system.
type foldConfig struct {
	// history is how many of the newest interactions count.
	history int
	// decay is the weight of an interaction relative to that of the next one.
	decay float64
	// steps of conjugate gradient, from zero.
	steps int
}

func newModel(items *model.Items, counts []int64, factors []float32, s system, f foldConfig) *Model {
	m := &Model{
		items: items, counts: counts, factors: factors, system: s, fold: f, temperature: 1, cold: coldScores(counts),
	}
	m.decays = make([]float64, f.history)
	for age := range m.decays {
		m.decays[age] = math.Pow(f.decay, float64(age))
	}
	m.scratch.New = func() any { return &folding{solver: newSolver(s.dim), vector: make([]float32, s.dim)} }
	return m
}

// coldScores are the logarithms of the items' shares of all interactions, with half an interaction added to each.
func coldScores(counts []int64) []float32 {
	total := 0.0
	for _, n := range counts {
		total += float64(n) + 0.5
	}
	scores := make([]float32, len(counts))
	for i, n := range counts {
		scores[i] = float32(math.Log((float64(n) + 0.5) / total))
	}
	return scores
}

// Items is the catalogue.
func (m *Model) Items() *model.Items { return m.items }

// Dim is the length of a user vector: hidden_dimension, rounded up to whole vector registers.
func (m *Model) Dim() int { return m.system.dim }

// Factors is the vector of item i, which must be in range. It is zero where the item has no interactions, and must not
// be modified.
func (m *Model) Factors(i int) []float32 { return m.factors[i*m.Dim() : (i+1)*m.Dim()] }

// Temperature divides inner products of vectors before they are logits.
func (m *Model) Temperature() float64 { return m.temperature }

// Score writes the inner products of the user's vector with the items' vectors, over the temperature. A user of whom
// nothing is known gets the logarithms of the items' shares of all interactions.
func (m *Model) Score(q model.Query, scores []float32) error {
	if err := model.CheckScores(m.items, scores); err != nil {
		return err
	}
	f := m.scratch.Get().(*folding)
	defer m.scratch.Put(f)
	if len(q.Vector) == m.Dim() {
		copy(f.vector, q.Vector)
	} else {
		m.foldWith(f, q.History, f.vector)
	}
	if !slices.ContainsFunc(f.vector, func(v float32) bool { return v != 0 }) {
		copy(scores, m.cold)
		return nil
	}
	for k := range f.vector {
		f.vector[k] = float32(float64(f.vector[k]) / m.temperature)
	}
	simd.MatVec(scores, m.factors, f.vector)
	return nil
}

// folding is the memory of one fold.
type folding struct {
	solver  solver
	events  []foldEvent
	rows    []int32
	weights []float32
	// vector is for Score, when the query has none.
	vector []float32
}

// foldEvent is an interaction with a known item; age is the number of later interactions.
type foldEvent struct{ item, age int32 }

// Fold solves for the user's vector. Unknown items are ignored, though they age the others.
func (m *Model) Fold(history []reco.RecentInteraction, vector []float32) {
	f := m.scratch.Get().(*folding)
	defer m.scratch.Put(f)
	m.foldWith(f, history, vector)
}

func (m *Model) foldWith(f *folding, history []reco.RecentInteraction, vector []float32) {
	f.events = f.events[:0]
	history = history[max(0, len(history)-m.fold.history):]
	for k, h := range history {
		if i, ok := m.items.Index(h.ItemID); ok {
			f.events = append(f.events, foldEvent{item: int32(i), age: int32(len(history) - 1 - k)})
		}
	}
	m.foldEvents(f, vector)
}

// foldEvents gives each item the decayed sum of its interactions as weight, and solves. Items are sorted, so that the
// sums over them do not depend on the order of events more than their ages do.
func (m *Model) foldEvents(f *folding, vector []float32) {
	slices.SortFunc(f.events, func(a, b foldEvent) int {
		if a.item != b.item {
			return int(a.item) - int(b.item)
		}
		return int(a.age) - int(b.age)
	})
	f.rows, f.weights = f.rows[:0], f.weights[:0]
	for k := 0; k < len(f.events); {
		item, sum := f.events[k].item, 0.0
		for ; k < len(f.events) && f.events[k].item == item; k++ {
			sum += m.decays[f.events[k].age]
		}
		f.rows, f.weights = append(f.rows, item), append(f.weights, confidence(sum))
	}
	clear(vector)
	if len(f.rows) > 0 {
		m.system.solve(&f.solver, m.factors, observations{f.rows, f.weights}, vector, m.fold.steps)
	}
}

// confidence is the weight of an item from the sum of its interactions' weights: repetition adds to it, but slowly.
func confidence(sum float64) float32 {
	if sum <= 1 {
		return float32(sum)
	}
	return float32(1 + math.Log(sum))
}
