// Package modeltest is what every recipe's model promises, as one suite: pkg/recipe runs it for each row of its table, so
// a new model is tested by being in the table. It holds test code only.
package modeltest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
)

// The shop that the suite trains on: each visitor stays mostly in one department.
const (
	departments        = 4
	itemsADepartment   = 20
	visitors           = 300
	clicksAVisitor     = 12
	neverSoldItem      = "never sold"
	shareOfDepartment  = 0.9
	recommendedTo      = 10 // items
	expectedDepartment = 7  // of them
)

func itemID(department, i int) string { return fmt.Sprintf("d%d-%02d", department, i) }

func clicks() []reco.Interaction {
	random := rand.New(rand.NewPCG(7, 11))
	var all []reco.Interaction
	for v := range visitors {
		for k := range clicksAVisitor {
			department := v % departments
			if random.Float64() > shareOfDepartment {
				department = random.IntN(departments)
			}
			// Squaring makes the low numbers popular.
			item := int(math.Pow(random.Float64(), 2) * itemsADepartment)
			all = append(all, reco.Interaction{
				EventID: fmt.Sprintf("e%04d-%02d", v, k), UserID: fmt.Sprintf("v%03d", v), ItemID: itemID(department, item),
				TimestampMS: int64(1_700_000_000_000 + v*1000 + k),
			})
		}
	}
	return all
}

// TrainingSet is the shop's events, and one item without any.
func TrainingSet(t testing.TB) *dataset.TrainingSet { return build(t, clicks()) }

func build(t testing.TB, events []reco.Interaction) *dataset.TrainingSet {
	t.Helper()
	b := dataset.NewBuilder(dataset.BuilderOptions{})
	for i := range events {
		b.Add(&events[i])
	}
	b.AddItem(reco.Entity{ID: neverSoldItem})
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// Train trains a recipe on the shop with its default parameters.
func Train(t testing.TB, r *recipe.Recipe, ts *dataset.TrainingSet, o recipe.Options) model.Model {
	t.Helper()
	params, err := r.ParseParams(nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Train(context.Background(), ts, params, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func history(items ...string) []reco.RecentInteraction {
	var h []reco.RecentInteraction
	for k, id := range items {
		h = append(h, reco.RecentInteraction{EventID: fmt.Sprint(k), ItemID: id, TimestampMS: int64(k)})
	}
	return h
}

// queries are of every sort that a model must answer.
func queries() map[string]model.Query {
	return map[string]model.Query{
		"history":             {History: history(itemID(1, 3), itemID(1, 5), itemID(1, 8))},
		"one item":            {History: history(itemID(2, 0))},
		"repeated item":       {History: history(itemID(2, 0), itemID(2, 1), itemID(2, 0), itemID(2, 0))},
		"some unknown":        {History: history("gone", itemID(2, 1), "gone too")},
		"item without events": {History: history(itemID(0, 1), neverSoldItem), ItemID: neverSoldItem},
		"related":             {ItemID: itemID(3, 1)},
		"history and related": {History: history(itemID(0, 1)), ItemID: itemID(3, 1)},
		"nothing":             {},
		"only unknown":        {History: history("gone", "gone too"), ItemID: "gone"},
	}
}

func scores(t testing.TB, m model.Model, q model.Query) []float32 {
	t.Helper()
	s := make([]float32, m.Items().Len())
	if err := m.Score(q, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Run is the suite.
func Run(t *testing.T, r *recipe.Recipe) {
	ts := TrainingSet(t)
	m := Train(t, r, ts, recipe.Options{Seed: 1})

	t.Run("items are numbered by popularity, then id", func(t *testing.T) { numbering(t, m, ts) })
	t.Run("every item has a score that can be ranked", func(t *testing.T) { rankable(t, m) })
	t.Run("scores of another length are refused", func(t *testing.T) {
		if m.Score(model.Query{}, make([]float32, m.Items().Len()-1)) == nil {
			t.Error("no error")
		}
	})
	t.Run("who is unknown gets what is popular", func(t *testing.T) { popularForUnknown(t, m) })
	t.Run("tastes are found", func(t *testing.T) {
		if r.Type != recipe.PopularItems {
			tastes(t, m, r)
		}
	})
	t.Run("a fold is what scoring makes of the history", func(t *testing.T) { folds(t, m) })
	t.Run("concurrent scoring changes nothing", func(t *testing.T) { concurrent(t, m) })
	t.Run("decoding gives back the model", func(t *testing.T) { decoding(t, m, r) })
	t.Run("same data and seed, same bytes", func(t *testing.T) { reproducible(t, m, r) })
	t.Run("damaged parts are refused", func(t *testing.T) { damaged(t, m, r) })
	t.Run("progress rises to the end", func(t *testing.T) { progress(t, r, ts) })
	t.Run("a training can be stopped", func(t *testing.T) { stopped(t, r, ts) })
	t.Run("an empty set trains an empty model", func(t *testing.T) {
		empty, err := dataset.NewBuilder(dataset.BuilderOptions{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		scores(t, Train(t, r, empty, recipe.Options{}), model.Query{History: history("a"), ItemID: "a"})
	})
}

func numbering(t *testing.T, m model.Model, ts *dataset.TrainingSet) {
	counts := map[string]int{}
	for _, i := range ts.Item {
		counts[ts.Items[i]]++
	}
	if m.Items().Len() != len(ts.Items) {
		t.Fatalf("%d items, want %d", m.Items().Len(), len(ts.Items))
	}
	for i := range m.Items().Len() {
		id := m.Items().ID(i)
		if at, ok := m.Items().Index(id); !ok || at != i {
			t.Errorf("item %q has index %d, found under %d, %v", id, i, at, ok)
		}
		if i == 0 {
			continue
		}
		before := m.Items().ID(i - 1)
		if counts[before] < counts[id] || counts[before] == counts[id] && before >= id {
			t.Errorf("%q (%d events) stands before %q (%d events)", before, counts[before], id, counts[id])
		}
	}
}

func rankable(t *testing.T, m model.Model) {
	for name, q := range queries() {
		for i, s := range scores(t, m, q) {
			if math.IsNaN(float64(s)) || math.IsInf(float64(s), 1) {
				t.Errorf("%s: item %q has score %g", name, m.Items().ID(i), s)
			}
			if s == model.Never && m.Items().ID(i) != q.ItemID {
				t.Errorf("%s: item %q can never be recommended", name, m.Items().ID(i))
			}
		}
	}
}

func popularForUnknown(t *testing.T, m model.Model) {
	for _, name := range []string{"nothing", "only unknown"} {
		got := model.TopK(scores(t, m, queries()[name]), 25, nil)
		if !slices.IsSorted(got) || len(got) != 25 || got[24] != 24 {
			t.Errorf("%s: items %v, want the 25 most popular in order", name, got)
		}
	}
}

func tastes(t *testing.T, m model.Model, r *recipe.Recipe) {
	for d := range departments {
		q := model.Query{History: history(itemID(d, 2), itemID(d, 7), itemID(d, 4))}
		if r.Type == recipe.RelatedItems {
			q = model.Query{ItemID: itemID(d, 4)}
		}
		same := 0
		top := model.TopK(scores(t, m, q), recommendedTo, nil)
		for _, i := range top {
			if id := m.Items().ID(int(i)); id[1] == itemID(d, 0)[1] {
				same++
			}
		}
		if same < expectedDepartment {
			t.Errorf("department %d: %d of %d recommendations are from it", d, same, len(top))
		}
	}
}

func folds(t *testing.T, m model.Model) {
	f, ok := m.(model.Folder)
	if !ok {
		t.Skip("this model folds nothing")
	}
	for name, q := range queries() {
		want := scores(t, m, q)
		vector := make([]float32, f.Dim())
		for k := range vector {
			vector[k] = 1 // what stood there before must not matter
		}
		f.Fold(q.History, vector)
		if got := scores(t, m, model.Query{Vector: vector, ItemID: q.ItemID}); !slices.Equal(got, want) {
			t.Errorf("%s: scores of the folded vector differ from those of the history", name)
		}
	}
}

func concurrent(t *testing.T, m model.Model) {
	want := map[string][]float32{}
	for name, q := range queries() {
		want[name] = scores(t, m, q)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got := make([]float32, m.Items().Len())
			for range 20 {
				for name, q := range queries() {
					if err := m.Score(q, got); err != nil || !slices.Equal(got, want[name]) {
						t.Errorf("%s: other scores (error %v) than alone", name, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
}

func parts(t testing.TB, m model.Model) map[string][]byte {
	t.Helper()
	list, err := m.Parts()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string][]byte{}
	for _, p := range list {
		byName[p.Name] = p.Data
	}
	if len(byName) != len(list) {
		t.Fatal("two parts have the same name")
	}
	return byName
}

func requireSameParts(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d parts, want %d", len(got), len(want))
	}
	for name := range want {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("part %s differs", name)
		}
	}
}

func decoding(t *testing.T, m model.Model, r *recipe.Recipe) {
	loaded, err := r.Load(parts(t, m))
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range queries() {
		if !slices.Equal(scores(t, loaded, q), scores(t, m, q)) {
			t.Errorf("%s: the decoded model scores otherwise", name)
		}
	}
	requireSameParts(t, parts(t, loaded), parts(t, m))
}

func reproducible(t *testing.T, m model.Model, r *recipe.Recipe) {
	events := clicks()
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	for _, threads := range []int{1, 2, 5} {
		again := Train(t, r, build(t, events), recipe.Options{Seed: 1, Threads: threads})
		requireSameParts(t, parts(t, again), parts(t, m))
	}
}

// damaged cuts and changes the parts; the fuzz targets go further.
func damaged(t *testing.T, m model.Model, r *recipe.Recipe) {
	whole := parts(t, m)
	try := func(what, name string, data []byte) {
		t.Helper()
		broken := map[string][]byte{}
		for n, d := range whole {
			broken[n] = d
		}
		broken[name] = data
		if loaded, err := r.Load(broken); err == nil || loaded != nil {
			t.Errorf("part %s, %s: loaded %v, error %v", name, what, loaded, err)
		}
	}
	for name, data := range whole {
		try("missing", name, nil)
		for _, n := range []int{0, 3, 10, len(data) / 2, len(data) - 1} {
			try(fmt.Sprintf("cut to %d of %d bytes", n, len(data)), name, data[:n])
		}
		try("with a byte too many", name, append(slices.Clone(data), 0))
		other := slices.Clone(data)
		other[0]++
		try("with another magic", name, other)
	}
}

func progress(t *testing.T, r *recipe.Recipe, ts *dataset.TrainingSet) {
	last := 0.0
	Train(t, r, ts, recipe.Options{Threads: 3, Progress: func(done float64) {
		if done <= last {
			t.Errorf("progress %g after %g", done, last)
		}
		last = done
	}})
	if last != 1 {
		t.Errorf("progress ends at %g", last)
	}
}

func stopped(t *testing.T, r *recipe.Recipe, ts *dataset.TrainingSet) {
	params, err := r.ParseParams(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if m, err := r.Train(ctx, ts, params, recipe.Options{}); err == nil || m != nil {
		t.Errorf("a cancelled training gives model %v, error %v", m, err)
	}
}

// FuzzLoad feeds a recipe's Load with broken parts. It must not panic, nor need memory beyond a small multiple of what it
// reads, and what it accepts must answer queries and encode again.
func FuzzLoad(f *testing.F, recipeName string) {
	r, ok := recipe.ByName(recipeName)
	if !ok {
		f.Fatalf("no recipe %s", recipeName)
	}
	whole := parts(f, Train(f, r, small(f), recipe.Options{}))
	var body string
	for name := range whole {
		if name != model.ItemsPart {
			body = name
		}
	}
	f.Add(whole[model.ItemsPart], whole[body])
	f.Add(whole[model.ItemsPart], whole[body][:len(whole[body])/2])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, items, data []byte) {
		m, err := r.Load(map[string][]byte{model.ItemsPart: items, body: data})
		if err != nil {
			return
		}
		known := "a"
		if m.Items().Len() > 0 {
			known = m.Items().ID(0)
		}
		scores(t, m, model.Query{History: history(known, "?", known), ItemID: known})
		parts(t, m)
	})
}

// small is a set whose models have few bytes, for a fuzzer to play with.
func small(t testing.TB) *dataset.TrainingSet {
	var events []reco.Interaction
	for u := range 5 {
		for _, item := range []string{"a", "b", "c"}[:2+u%2] {
			events = append(events, reco.Interaction{EventID: item, UserID: fmt.Sprint(u), ItemID: item, TimestampMS: int64(u)})
		}
	}
	return build(t, events)
}
