package content

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Config holds the settings of the component.
type Config struct {
	// Decay is the factor by which an item of the history counts less with every event after it; see Model.Fading.
	Decay float64
	// Events is how many of the newest events of a history count.
	Events int
	// NumberWeight is what a column of numbers weighs beside one category.
	NumberWeight float64
	// Terms is how many terms of an item count at most, those that weigh most.
	Terms int
	// Progress may be nil.
	Progress func(done float64)
}

// DefaultConfig is what did best on held-back events.
func DefaultConfig() Config { return Config{Decay: 0.8, Events: 500, NumberWeight: 1, Terms: 100} }

// Model is the component that knows what items are: it scores them by the cosine of their vector and the user's
// profile, which is the sum of the vectors of their history, the newer ones weighing more. Items that nobody had yet
// are scored like all others. It implements model.Model.
type Model struct {
	items  *model.Items
	decay  float64
	events int
	// vectors has a row for each item, and holders a row for each term.
	vectors, holders linear.Rows
}

// Train weighs the categories and numbers of the Items dataset. Without such data all items score zero.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*Model, error) {
	progress := model.NewProgress(1, c.Progress)
	items, _ := model.Popular(ts)
	v := newVectors(bags(ts, items, c.NumberWeight), c.Terms)
	// Of terms that no item kept nothing is to be stored.
	used := slices.Compact(slices.Sorted(slices.Values(v.term)))
	lists := make([][]linear.Entry, items.Len())
	for i := range lists {
		for e := v.start[i]; e < v.start[i+1]; e++ {
			t, _ := slices.BinarySearch(used, v.term[e])
			lists[i] = append(lists[i], linear.Entry{Column: int32(t), Value: v.weight[e]})
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("weighing what items are: %w", err)
	}
	progress(1)
	return newModel(items, c.Decay, c.Events, linear.NewRows(lists), len(used))
}

func newModel(items *model.Items, decay float64, events int, vectors linear.Rows, terms int) (*Model, error) {
	if !(decay > 0 && decay <= 1) {
		return nil, fmt.Errorf("decay %g is not above 0 and at most 1", decay)
	}
	return &Model{items: items, decay: decay, events: events, vectors: vectors, holders: vectors.Transposed(terms)}, nil
}

// bags are the terms of each item: categories, and for each number the two nearest of the column's knots, the nearer
// one weighing more, so that items whose numbers are near have terms in common, and the more the nearer they are.
func bags(ts *trainingset.Set, items *model.Items, numberWeight float64) [][]weighted {
	columns, position := Columns(ts), positions(ts)
	knots := map[string][]float64{}
	for name, sort := range columns {
		if sort == Number {
			knots[name] = quantiles(ts.ItemRows, name)
		}
	}
	all := make([][]weighted, items.Len())
	for i := range all {
		var bag []weighted
		for name, value := range row(ts, position, items.ID(i)).Properties {
			switch columns[name] {
			case Category:
				for _, v := range Values(value) {
					bag = append(bag, weighted{name + "=" + v, 1})
				}
			case Number:
				if f, ok := number(value); ok {
					bag = append(bag, near(name, knots[name], f, numberWeight)...)
				}
			}
		}
		slices.SortFunc(bag, func(a, b weighted) int { return cmp.Compare(a.term, b.term) })
		all[i] = slices.CompactFunc(bag, func(a, b weighted) bool { return a.term == b.term })
	}
	return all
}

// near divides a number among the knots around it, such that the vector has the length weight wherever it lies.
func near(column string, knots []float64, f, weight float64) []weighted {
	if len(knots) == 0 {
		return nil
	}
	term := func(k int) string { return fmt.Sprintf("%s~%d", column, k) }
	above, exact := slices.BinarySearch(knots, f)
	switch {
	case exact || above == 0:
		return []weighted{{term(above), weight}}
	case above == len(knots):
		return []weighted{{term(above - 1), weight}}
	}
	part := (f - knots[above-1]) / (knots[above] - knots[above-1])
	if !(part > 0 && part < 1) { // the knots lie beyond what a float can tell apart
		return []weighted{{term(above), weight}}
	}
	return []weighted{{term(above - 1), weight * math.Sqrt(1-part)}, {term(above), weight * math.Sqrt(part)}}
}

// Fading is the model with another decay. Both share their vectors.
func (m *Model) Fading(decay float64) (*Model, error) {
	if !(decay > 0 && decay <= 1) {
		return nil, fmt.Errorf("decay %g is not above 0 and at most 1", decay)
	}
	other := *m
	other.decay = decay
	return &other, nil
}

// Items is the catalogue.
func (m *Model) Items() *model.Items { return m.items }

// forgotten is the weight below which an event of the history no longer counts.
const forgotten = 1e-3

// Score gives each item the cosine of its vector and the profile of the history. An item that the model does not know
// ages those before it.
func (m *Model) Score(q model.Query, scores []float32) error {
	if err := model.CheckScores(m.items, scores); err != nil {
		return err
	}
	clear(scores)
	profile := make([]float32, m.holders.Len())
	weight := 1.0
	for age := 0; age < min(len(q.History), m.events) && weight >= forgotten; age++ {
		if i, ok := m.items.Index(q.History[len(q.History)-1-age].ItemID); ok {
			m.vectors.Add(profile, float32(weight), i)
		}
		weight *= m.decay
	}
	square := 0.0
	for _, v := range profile {
		square += float64(v) * float64(v)
	}
	if square == 0 {
		return nil
	}
	length := math.Sqrt(square)
	for t, v := range profile {
		if v != 0 {
			m.holders.Add(scores, float32(float64(v)/length), t)
		}
	}
	return nil
}

const (
	// maxLikes is how many others an item without interactions takes after, at most.
	maxLikes = 50
	// fewInteractions is how many interactions an item must have for half of its cosine to count: of items with few,
	// models know little.
	fewInteractions = 30
	// maxHolders bounds the work for terms that very many items have: only the most popular of them are found by it.
	maxHolders = 10_000
)

// Likes are what items that nothing else is known of can be compared with: of each of the given items the others that
// are most like it, up to 50. All items are numbered as in the catalogue. The shares of a row, which sum to 1, are the
// cosines, each times n/(n+30) for an item with n interactions. Those without any are nobody's likes, and items that
// the model does not know have none.
func (m *Model) Likes(
	ctx context.Context, catalogue *model.Items, of []int32, interactions func(item int32) int64, threads int,
) (linear.Rows, error) {
	number, count := make([]int32, m.items.Len()), make([]int64, m.items.Len()) // by the model's numbers
	for i := range number {
		if at, known := catalogue.Index(m.items.ID(i)); known {
			number[i], count[i] = int32(at), interactions(int32(at))
		}
	}
	likes, err := linear.Fill(ctx, linear.Shape{Rows: len(of), Columns: m.items.Len()}, threads, func(int) {},
		func(r int, s *linear.Sum) []linear.Entry {
			item, known := m.items.Index(catalogue.ID(int(of[r])))
			if !known {
				return nil
			}
			terms, weights := m.vectors.Row(item)
			for t, term := range terms {
				holders, values := m.holders.Row(int(term))
				for h, holder := range holders[:min(len(holders), maxHolders)] {
					if int(holder) != item && count[holder] > 0 {
						s.Add(holder, weights[t]*values[h])
					}
				}
			}
			return s.Take(maxLikes, linear.Identity, nil)
		})
	if err != nil {
		return linear.Rows{}, fmt.Errorf("looking for the likes of items: %w", err)
	}
	for r := range likes.Len() {
		columns, shares := likes.Row(r)
		total := float32(0)
		for k, c := range columns {
			n := float32(count[c])
			shares[k] *= n / (n + fewInteractions)
			total += shares[k]
			columns[k] = number[c]
		}
		for k := range shares {
			shares[k] /= total
		}
	}
	return likes, nil
}

// Kind names the model's part.
const Kind = "content"

const version = 1

// Parts encodes the model: how a history is read, the number of terms, then the items' vectors.
func (m *Model) Parts() ([]model.Part, error) {
	w := codec.NewWriter(Kind, version)
	w.Float64(m.decay)
	w.Len(m.events)
	w.Len(m.holders.Len())
	m.vectors.Encode(w)
	return []model.Part{model.EncodeItems(m.items), {Name: Kind, Data: w.Bytes()}}, nil
}

// Load decodes the parts of a model.
func Load(parts map[string][]byte) (*Model, error) {
	items, err := model.DecodeItems(parts)
	if err != nil {
		return nil, err
	}
	r := codec.NewReader(parts[Kind], Kind, version)
	decay, events := r.Float64(), r.Len(math.MaxInt32)
	// Every term is in some vector, hence in the part: what it claims cannot exceed its size.
	terms := r.Len(len(parts[Kind]))
	vectors := linear.DecodeRows(r, items.Len(), terms)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding vectors of terms: %w", err)
	}
	m, err := newModel(items, decay, events, vectors, terms)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", codec.ErrCorrupt, Kind, err)
	}
	return m, nil
}
