// Package stack is the default model for users: several models that were trained on the same interactions (components)
// and a weight for each, learned per data set from events that none of them has seen. No single model suits all data:
// where order tells much a recurrent network leads, in sparse shops neighbours and content do.
//
// The last events of some hundred users are held back. Components are trained once on the rest, weights are fitted to
// the held-back events by a multinomial logit (Train), and the same components serve: what was held back enters users'
// histories at serving time. Nothing is trained twice, and nothing leaks.
//
// A component's scores count in units of their standard deviation over the user's list, so that the weights fit all
// users. Beside them count how popular an item is, also with the length of the history, and whether the user has had
// the item, where the data show that users come back to items. Scores are logits.
//
// What these weights learned from items with interactions says nothing about items without: those are ranked among
// themselves by what their metadata tell, with weights of their own, and stand among the others as items with few
// interactions do; see unseen.go.
package stack

import (
	"math"
	"slices"
	"sync"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/reco"
)

// component is a model of the stack.
type component struct {
	kind
	model model.Model
	// at is the component's number of each item of the stack's catalogue, -1 where it does not know the item; nil where
	// the numbers are the same.
	at []int32
	// weight counts a score's distance from the mean in standard deviations, bend the logarithm of what is above the
	// mean.
	weight, bend float64
	// decay is how fast it forgets, of the kind's choices; 0 where there are none.
	decay float64
}

// Names of what has weights beside the components.
const (
	Popularity      = "popularity"
	PopularityDepth = "popularity x history length"
	Repetition      = "repetition"
	Recency         = "repetition recency"
	// Metadata carries the items without interactions.
	Metadata = "metadata"
)

// extras are the weights of what is no component.
type extras struct{ popularity, depth, repetition, recency float64 }

// Model implements model.Model, model.Extender and model.Explainer.
type Model struct {
	items  *model.Items
	counts []int64
	// seen marks the items that components have learned from: not those all of whose interactions were held back, or
	// came after the training.
	seen       []bool
	components []component
	extras     extras
	// popular is the standardised logarithm of each item's number of interactions, unknown the scores of a user of whom
	// nothing is known.
	popular, unknown []float32
	// tail are the least popular of the items that components have seen: the place for those that they have not.
	tail    []int32
	unseen  []int32
	ranking unseenRanking
	// likeness is how much items have in common with all of a history; nil where nothing is known of items.
	likeness *component
	scratch  sync.Pool
}

// folding is a Model whose vector is that of one of its components.
type folding struct {
	*Model
	model.Folder
}

// memory is what one query needs.
type memory struct {
	raw, other []float32
	// cold is for the likeness of items to the history, wanted the network's scores of the unseen.
	cold, wanted []float32
	// values and sum are of the unseen alone, in their order.
	values, sum []float32
	own         []ownItem
	isOwn       []bool
}

// ownItem is an item of the history; age is the number of events after the newest with it.
type ownItem struct {
	item, age int32
}

// farthest bounds the scores of a user's own items, in standard deviations. Where a sparse component knows hardly any
// other item, theirs would lie billions of them away, and no weight could be found.
const farthest = 30

// tailShare is the share of the items that are the tail.
const tailShare = 0.2

// learned is what a stack has learned, from which the rest of a Model is derived.
type learned struct {
	items  *model.Items
	counts []int64
	// seen marks the items that components were trained on.
	seen       []bool
	components []component
	extras     extras
	ranking    unseenRanking
}

// assemble derives what scoring needs.
func assemble(l learned) *Model {
	m := &Model{
		items: l.items, counts: l.counts, seen: l.seen, components: l.components, extras: l.extras, ranking: l.ranking,
	}
	m.countPopularity()
	for k := range m.components {
		m.components[k].at = numbers(m.items, m.components[k].model.Items())
		if c, ok := m.components[k].model.(*content.Model); ok {
			if all, err := c.Fading(1); err == nil { // 1 is allowed
				m.likeness = &component{model: all, at: m.components[k].at}
			}
		}
	}
	n := m.items.Len()
	m.scratch.New = func() any {
		return &memory{
			raw: make([]float32, n), cold: make([]float32, n), wanted: make([]float32, n), isOwn: make([]bool, n),
			values: make([]float32, len(m.unseen)), sum: make([]float32, len(m.unseen)),
		}
	}
	folder := -1
	for k, c := range m.components {
		if c.folds {
			folder = k
		}
	}
	for k := range m.components {
		m.components[k].folds = k == folder
	}
	return m
}

// countPopularity derives what the numbers of interactions say about the items.
func (m *Model) countPopularity() {
	n := m.items.Len()
	total, logs := 0.0, make([]float64, n)
	var known []int32
	for i, c := range m.counts {
		total += float64(c) + 0.5
		logs[i] = math.Log(float64(c) + 1)
		if m.seen[i] {
			known = append(known, int32(i))
		} else {
			m.unseen = append(m.unseen, int32(i))
		}
	}
	sum, square := 0.0, 0.0
	for _, i := range known {
		sum += logs[i]
		square += logs[i] * logs[i]
	}
	mean, deviation := moments(sum, square, len(known))
	m.popular, m.unknown = make([]float32, n), make([]float32, n)
	for i := range n {
		if deviation > 0 {
			m.popular[i] = float32((logs[i] - mean) / deviation)
		}
		m.unknown[i] = float32(math.Log((float64(m.counts[i]) + 0.5) / total))
	}
	if len(known) > 0 {
		m.tail = known[min(int(float64(len(known))*(1-tailShare)), len(known)-1):]
	}
}

// folded is the model as one that folds, if a component does.
func (m *Model) folded() model.Model {
	for _, c := range m.components {
		if c.folds {
			return folding{m, c.model.(model.Folder)}
		}
	}
	return m
}

// numbers are the component's number of each item, nil where they are equal.
func numbers(items, component *model.Items) []int32 {
	at, same := make([]int32, items.Len()), items.Len() == component.Len()
	for i := range at {
		at[i] = -1
		if k, known := component.Index(items.ID(i)); known {
			at[i] = int32(k)
		}
		same = same && at[i] == int32(i)
	}
	if same {
		return nil
	}
	return at
}

func moments(sum, square float64, n int) (mean, deviation float64) {
	if n == 0 {
		return 0, 0
	}
	mean = sum / float64(n)
	variance := square/float64(n) - mean*mean
	// What remains of rounding is no difference.
	if !(variance > 1e-10*square/float64(n)) {
		return mean, 0
	}
	return mean, math.Sqrt(variance)
}

// Items is the catalogue.
func (m *Model) Items() *model.Items { return m.items }

// Score adds up the components' scores. The vector of the query, if there is one, is that of the component that folds.
func (m *Model) Score(q model.Query, scores []float32) error {
	if err := model.CheckScores(m.items, scores); err != nil {
		return err
	}
	mem := m.scratch.Get().(*memory)
	defer m.scratch.Put(mem)
	if !m.begin(mem, q.History) {
		copy(scores, m.unknown)
		return nil
	}
	defer m.end(mem)
	clear(scores)
	for k := range m.components {
		c := &m.components[k]
		if err := m.standardise(mem, c, q); err != nil {
			return err
		}
		c.add(mem.raw, scores)
		if c.name == networkName {
			copy(mem.wanted, mem.raw)
		}
	}
	m.addExtras(mem, len(q.History), scores)
	return m.place(mem, q, scores)
}

// add adds a component's share of the scores, whose standardised scores are z.
func (c *component) add(z, scores []float32) {
	weight, bend := float32(c.weight), float32(c.bend)
	switch {
	case bend == 0 && weight == 0:
	case bend == 0:
		for i, v := range z {
			scores[i] += weight * v
		}
	default:
		for i, v := range z {
			scores[i] += weight*v + bend*bent(v)
		}
	}
}

// bent is the logarithm of a score that is above the mean: sparse components have few of them, and some that are very
// high.
func bent(z float32) float32 {
	if z <= 0 {
		return 0
	}
	return float32(math.Log1p(float64(z)))
}

// begin notes the items of a history, and reports whether any is known.
func (m *Model) begin(mem *memory, history []reco.RecentInteraction) bool {
	mem.own = mem.own[:0]
	for age := range min(len(history), maxHistory) {
		i, known := m.items.Index(history[len(history)-1-age].ItemID)
		if known && !mem.isOwn[i] {
			mem.isOwn[i] = true
			mem.own = append(mem.own, ownItem{int32(i), int32(age)})
		}
	}
	known := slices.ContainsFunc(mem.own, func(o ownItem) bool { return m.seen[o.item] })
	if !known {
		m.end(mem)
	}
	return known
}

func (m *Model) end(mem *memory) {
	for _, o := range mem.own {
		mem.isOwn[o.item] = false
	}
}

// score writes a component's scores of the stack's items, 0 for those that it does not know.
func (c *component) score(mem *memory, q model.Query, scores []float32) error {
	if c.at == nil {
		return c.model.Score(q, scores)
	}
	n := c.model.Items().Len()
	mem.other = slices.Grow(mem.other[:0], n)[:n]
	if err := c.model.Score(q, mem.other); err != nil {
		return err
	}
	for i, k := range c.at {
		scores[i] = 0
		if k >= 0 {
			scores[i] = mem.other[k]
		}
	}
	return nil
}

// standardise writes a component's scores, as distances from their mean in standard deviations, into mem.raw. Both are
// those of the items that components have learned from and the user has not had: their own items have scores out of all
// proportion.
func (m *Model) standardise(mem *memory, c *component, q model.Query) error {
	if !c.folds {
		q.Vector = nil // it is another component's
	}
	if err := c.score(mem, q, mem.raw); err != nil {
		return err
	}
	sum, square, n := 0.0, 0.0, len(m.seen)-len(m.unseen)
	for i, s := range mem.raw {
		if m.seen[i] {
			sum += float64(s)
			square += float64(s) * float64(s)
		}
	}
	for _, o := range mem.own {
		if m.seen[o.item] {
			s := float64(mem.raw[o.item])
			sum, square, n = sum-s, square-s*s, n-1
		}
	}
	mean, deviation := moments(sum, square, n)
	if deviation == 0 {
		clear(mem.raw)
		return nil
	}
	shift, scale := float32(mean), float32(1/deviation)
	for i := range mem.raw {
		mem.raw[i] = (mem.raw[i] - shift) * scale
	}
	for _, o := range mem.own {
		mem.raw[o.item] = max(min(mem.raw[o.item], farthest), -farthest)
	}
	return nil
}

// addExtras adds what is no component's.
func (m *Model) addExtras(mem *memory, length int, scores []float32) {
	if w := float32(m.extras.popularity + m.extras.depth*depth(length)); w != 0 {
		for i, p := range m.popular {
			scores[i] += w * p
		}
	}
	for _, o := range mem.own {
		scores[o.item] += float32(m.extras.repetition + m.extras.recency*recency(o.age))
	}
}

// depth is how long a history is, about 0 for one of usual length.
func depth(length int) float64 { return (math.Log1p(float64(min(length, maxHistory))) - 3) / 2 }

// recency is 1 for the newest item of a history, and falls.
func recency(age int32) float64 { return 1 / (1 + float64(age)) }

// Explain tells what each component adds to the items' scores, for a user of whom nothing is known nothing. What all
// items have in common is left out.
func (m *Model) Explain(q model.Query, items []int32) ([][]model.Contribution, error) {
	mem := m.scratch.Get().(*memory)
	defer m.scratch.Put(mem)
	told := make([][]model.Contribution, len(items))
	tell := func(k int, name string, score float64) {
		told[k] = append(told[k], model.Contribution{Name: name, Score: score})
	}
	if !m.begin(mem, q.History) {
		for k, item := range items {
			tell(k, Popularity, float64(m.unknown[item]))
		}
		return told, nil
	}
	defer m.end(mem)
	for n := range m.components {
		c := &m.components[n]
		if err := m.standardise(mem, c, q); err != nil {
			return nil, err
		}
		for k, item := range items {
			if m.seen[item] {
				z := mem.raw[item]
				tell(k, c.name, c.weight*float64(z)+c.bend*float64(bent(z)))
			}
		}
	}
	for k, item := range items {
		if !m.seen[item] {
			continue
		}
		tell(k, Popularity, (m.extras.popularity+m.extras.depth*depth(len(q.History)))*float64(m.popular[item]))
		for _, o := range mem.own {
			if o.item == item {
				tell(k, Repetition, m.extras.repetition+m.extras.recency*recency(o.age))
			}
		}
	}
	return told, m.explainUnseen(q, items, tell)
}

// Weights are what was learned: by component, the weight of its scores in standard deviations.
func (m *Model) Weights() map[string]float64 {
	w := map[string]float64{
		Popularity: m.extras.popularity, PopularityDepth: m.extras.depth, Repetition: m.extras.repetition,
		Recency: m.extras.recency,
	}
	for _, c := range m.components {
		w[c.name] = c.weight
		if c.sparse {
			w["log "+c.name] = c.bend
		}
	}
	if m.likeness != nil {
		for name, weight := range m.ranking.named() {
			w[name] = weight
		}
	}
	return w
}
