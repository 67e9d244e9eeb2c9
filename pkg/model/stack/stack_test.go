package stack

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// shop has three departments, users who stay in theirs, and in each an item that nobody has had.
func shop(t *testing.T, users int, more ...reco.Entity) *trainingset.Set {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range users {
		for k := range 6 {
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(k), UserID: fmt.Sprintf("u%03d", u),
				ItemID: fmt.Sprintf("%d-%02d", u%3, random.IntN(15)), TimestampMS: int64(k),
			})
		}
	}
	for d := range 3 {
		for i := range 15 {
			b.AddItem(reco.Entity{ID: fmt.Sprintf("%d-%02d", d, i), Properties: map[string]any{"KIND": fmt.Sprint(d)}})
		}
		b.AddItem(reco.Entity{ID: fmt.Sprintf("%d-new", d), Properties: map[string]any{"KIND": fmt.Sprint(d)}})
	}
	for _, e := range more {
		b.AddItem(e)
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func trained(t *testing.T, ts *trainingset.Set) model.Model {
	t.Helper()
	m, err := Train(t.Context(), ts, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func scored(t *testing.T, m model.Model, items ...string) map[string]float64 {
	t.Helper()
	var q model.Query
	for k, id := range items {
		q.History = append(q.History, reco.RecentInteraction{ItemID: id, TimestampMS: int64(k)})
	}
	scores := make([]float32, m.Items().Len())
	if err := m.Score(q, scores); err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for i, s := range scores {
		all[m.Items().ID(i)] = float64(s)
	}
	return all
}

func TestNewItemsAreRankedByWhatTheyAre(t *testing.T) {
	t.Parallel()
	m := trained(t, shop(t, 100))
	extended := m.(model.Extender).Extend(
		shop(t, 120, reco.Entity{ID: "1-newer", Properties: map[string]any{"KIND": "1"}}),
	)
	for name, m := range map[string]model.Model{"trained": m, "extended": extended} {
		s := scored(t, m, "1-01", "1-02", "1-03")
		if s["1-new"] <= s["0-new"] {
			t.Errorf(
				"%s: the new item of the user's department has score %g, the other %g", name, s["1-new"], s["0-new"],
			)
		}
	}
	if s := scored(t, extended, "1-01", "1-02", "1-03"); s["1-newer"] <= s["0-new"] {
		t.Errorf(
			"the item that the extension added has score %g, one of the other department %g", s["1-newer"], s["0-new"],
		)
	}
}

func TestTensOfUsersAreEnough(t *testing.T) {
	t.Parallel()
	for _, users := range []int{1, 2, 20} {
		s := scored(t, trained(t, shop(t, users)), "0-01", "0-02")
		for id, v := range s {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%d users: %s has score %g", users, id, v)
			}
		}
	}
}

func TestContributionsAreTheScore(t *testing.T) {
	t.Parallel()
	m := trained(t, shop(t, 100))
	history := []reco.RecentInteraction{{ItemID: "0-01"}, {ItemID: "0-05"}}
	scores := make([]float32, m.Items().Len())
	if err := m.Score(model.Query{History: history}, scores); err != nil {
		t.Fatal(err)
	}
	var all []int32
	for i := range scores {
		all = append(all, int32(i))
	}
	told, err := m.(model.Explainer).Explain(model.Query{History: history}, all)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range scores {
		sum := 0.0
		for _, c := range told[i] {
			sum += c.Score
		}
		if math.Abs(sum-float64(want)) > 1e-4 {
			t.Errorf("the terms of %s are %v, its score is %g", m.Items().ID(i), told[i], want)
		}
	}
}

// TestOneAloneDecidesWhereItIsBetter has a component that knows the answers, and others whose weights were learned from
// what does not hold in the other half.
func TestOneAloneDecidesWhereItIsBetter(t *testing.T) {
	t.Parallel()
	f := &fitter{model: &Model{components: []component{{kind: kind{name: "a"}}, {kind: kind{name: "b"}}}}}
	var examples []example
	for k := range 200 {
		misleading := float32(3)
		if k >= 100 {
			misleading = -3
		}
		// Two candidates with features a and b and the four extras; the first is right.
		examples = append(examples, example{
			target: 0, weight: 1, gains: []float64{1, 0, 0},
			features: []float32{0.1, misleading, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		})
	}
	if best, err := f.better(t.Context(), examples); err != nil || best != 0 {
		t.Errorf("component %d is better alone, want 0; error %v", best, err)
	}
	if w, err := f.decide(t.Context(), examples); err != nil || w[0] <= 0 || w[1] != 0 {
		t.Errorf("the weights are %v, want the first alone; error %v", w, err)
	}
	for k := range examples {
		examples[k].gains[0] = 0
	}
	if best, err := f.better(t.Context(), examples); err != nil || best != -1 {
		t.Errorf("component %d is better alone, want none; error %v", best, err)
	}
	if w, err := f.decide(t.Context(), examples); err != nil || w[1] == 0 {
		t.Errorf("the weights are %v, want both; error %v", w, err)
	}
}

// TestWeightsAreFoundFromFarAway has what sparse data have: hundreds of candidates with no score, and some whose score
// lies a hundred standard deviations away, where the first weights put all of the softmax on one candidate.
func TestWeightsAreFoundFromFarAway(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	f := &fitter{model: &Model{}}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		f.model.components = append(f.model.components, component{kind: kind{name: name, sparse: true}})
	}
	var examples []example
	for range 200 {
		const candidates = 300
		e := example{target: random.IntN(candidates), weight: 1, gains: make([]float64, 6)}
		for c := range candidates {
			features := make([]float32, f.size())
			related := random.IntN(40) == 0 || c == e.target && random.IntN(3) == 0
			for k := range f.model.components {
				if related && random.IntN(2) == 0 {
					features[k] = 110 * random.Float32()
					features[5+k] = bent(features[k])
				}
			}
			features[10] = float32(random.NormFloat64())
			e.features = append(e.features, features...)
		}
		examples = append(examples, e)
	}
	w, err := f.fit(t.Context(), examples, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := likelihood{ctx: t.Context(), examples: examples, center: f.prior()}
	for k := range w {
		l.free = append(l.free, k)
	}
	before, _, _ := l.at(f.prior())
	loss, grad, _ := l.at(w)
	if loss > before/2 {
		t.Errorf("the loss is %g, with the first weights it was %g", loss, before)
	}
	for k := range w {
		if g := grad.AtVec(k); math.Abs(g) > 0.1 {
			t.Errorf("weight %d is %g, where the gradient is %g: it is not the best", k, w[k], g)
		}
	}
}

func TestHeldBackEventsAreUnknownToTheComponents(t *testing.T) {
	t.Parallel()
	ts := shop(t, 50)
	items, _ := model.Popular(ts)
	c := DefaultConfig()
	c.HoldBack = 20
	rest, held := holdBack(ts, items, c)
	if len(held) != 20 || rest.Events() != ts.Events()-20 {
		t.Fatalf("%d events are held back, %d of %d are left", len(held), rest.Events(), ts.Events())
	}
	shorter := 0
	for u := range ts.Users {
		whole, left := ts.History(u), rest.History(u)
		if len(left) == len(whole) {
			continue
		}
		shorter++
		last := whole[len(whole)-1]
		if !slices.ContainsFunc(held, func(h heldBack) bool {
			return items.ID(h.item) == last.ItemID && slices.Equal(h.history, whole[:len(whole)-1]) &&
				slices.Equal(h.history, left)
		}) {
			t.Errorf("of %s the last event, and what came before it, are not held back", ts.Users[u])
		}
	}
	if shorter != 20 {
		t.Errorf("%d users have lost an event", shorter)
	}
}

// TestOwnItemsAreNotOutOfProportion has a component that knows the user's own item and next to nothing of any other.
func TestOwnItemsAreNotOutOfProportion(t *testing.T) {
	t.Parallel()
	m := trained(t, shop(t, 100)).(folding).Model
	c := m.components[0]
	n := m.items.Len()
	lists := make([][]linear.Entry, n)
	own, _ := m.items.Index("0-01")
	other, _ := m.items.Index("0-02")
	lists[own] = []linear.Entry{{Column: int32(own), Value: 1}}
	lists[own] = append(lists[own], linear.Entry{Column: int32(other), Value: 1e-3})
	slices.SortFunc(lists[own], func(a, b linear.Entry) int { return int(a.Column - b.Column) })
	known, err := linear.New("rules", m.items, linear.Reading{Decays: []float64{1}, Events: 10}, linear.NewRows(lists))
	if err != nil {
		t.Fatal(err)
	}
	c.model, c.at = known, nil
	mem := m.scratch.Get().(*memory)
	history := []reco.RecentInteraction{{ItemID: "0-01"}}
	if !m.begin(mem, history) {
		t.Fatal("the item is unknown")
	}
	if err := m.standardise(mem, &c, model.Query{History: history}); err != nil {
		t.Fatal(err)
	}
	if z := mem.raw[own]; z != farthest {
		t.Errorf("the user's own item lies %g standard deviations away, want %d", z, farthest)
	}
	if z := mem.raw[other]; z <= 0 || z >= farthest {
		t.Errorf("the other item lies %g standard deviations away", z)
	}
}
