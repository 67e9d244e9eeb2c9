// Package modeltest is what every recipe's model promises, as one suite: pkg/recipe runs it for each row of its table,
// so a new model is tested by being in the table. It holds test code only.
package modeltest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/nextaction"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
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
				EventID: fmt.Sprintf("e%04d-%02d", v, k), UserID: fmt.Sprintf("v%03d", v),
				ItemID:      itemID(department, item),
				TimestampMS: int64(1_700_000_000_000 + v*1000 + k),
			})
		}
	}
	return all
}

// answers are those of the visitors to one action for each department: who stays in it mostly takes it.
func answers() []reco.Interaction {
	random := rand.New(rand.NewPCG(13, 17))
	var all []reco.Interaction
	for v := range visitors {
		for department := range departments {
			chance := 0.1
			if v%departments == department {
				chance = 0.9
			}
			answer := nextaction.NotTaken
			if random.Float64() < chance {
				answer = nextaction.Taken
			}
			all = append(all, reco.Interaction{
				EventID: fmt.Sprintf("a%04d-%02d", v, department), UserID: fmt.Sprintf("v%03d", v),
				ItemID:    fmt.Sprintf("offer %d", department),
				EventType: answer, TimestampMS: int64(1_700_000_000_500 + v*1000 + department),
			})
		}
	}
	return all
}

// words are what the descriptions of a department's items are made of.
var words = [departments][]string{
	{"chair", "wooden", "table", "cushion", "shelf"}, {"kettle", "steel", "toaster", "blender", "pan"},
	{"football", "racket", "running", "helmet", "tent"}, {"novel", "poems", "atlas", "cookbook", "biography"},
}

// itemSchema describes the shop's items.
var itemSchema = &schema.Schema{Type: schema.Items, Fields: []schema.Field{
	{Name: "ITEM_ID"}, {Name: "DEPARTMENT", Categorical: true}, {Name: "DESCRIPTION", Textual: true},
	{Name: "CREATION_TIMESTAMP", Kind: schema.Long},
}}

func goods() []reco.Entity {
	var all []reco.Entity
	for d := range departments {
		for i := range itemsADepartment {
			all = append(all, reco.Entity{ID: itemID(d, i), Properties: map[string]any{
				"DEPARTMENT": fmt.Sprintf("department %d|sale", d),
				"DESCRIPTION": fmt.Sprintf(
					"A fine %s for every %s and the %s", words[d][i%5], words[d][(i+1)%5], words[d][(i/5+2)%5],
				),
				"CREATION_TIMESTAMP": int64(1_700_000_000 + i),
			}})
		}
	}
	return append(all, reco.Entity{ID: neverSoldItem})
}

// TrainingSet is the shop's events, its items, one of them without any event, and its visitors' answers to actions.
func TrainingSet(t testing.TB) *trainingset.Set { return build(t, clicks(), goods(), answers()) }

func build(t testing.TB, events []reco.Interaction, items []reco.Entity, answers []reco.Interaction) *trainingset.Set {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{ItemSchema: itemSchema})
	for i := range events {
		b.Add(&events[i])
	}
	for _, e := range items {
		b.AddItem(e)
	}
	for i := range answers {
		b.AddActionInteraction(&answers[i])
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// Train trains a recipe on the shop with its default parameters.
func Train(t testing.TB, r *recipe.Recipe, ts *trainingset.Set, o recipe.Options) model.Model {
	t.Helper()
	return train(t, of(t, r), ts, o)
}

// Component is a model that belongs to no recipe by itself, and makes up one together with others.
type Component struct {
	Train func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (model.Model, error)
	Load  func(parts map[string][]byte) (model.Model, error)
}

// NewComponent makes one of a package's own functions.
func NewComponent[M model.Model](
	train func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (M, error),
	load func(parts map[string][]byte) (M, error),
) Component {
	return Component{
		Train: func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (model.Model, error) {
			return model.Of(train(ctx, ts, o))
		},
		Load: func(parts map[string][]byte) (model.Model, error) { return model.Of(load(parts)) },
	}
}

// subject is what the suite is run on.
type subject struct {
	Component
	// kind is the recipe's type, which says what to expect of its model.
	kind string
}

// of is a recipe with its default parameters.
func of(t testing.TB, r *recipe.Recipe) subject {
	t.Helper()
	params, err := r.ParseParams(nil)
	if err != nil {
		t.Fatal(err)
	}
	return subject{kind: r.Type, Component: Component{
		Load: r.Load,
		Train: func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (model.Model, error) {
			return r.Train(ctx, ts, params, o)
		},
	}}
}

func train(t testing.TB, r subject, ts *trainingset.Set, o recipe.Options) model.Model {
	t.Helper()
	m, err := r.Train(context.Background(), ts, o)
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
func Run(t *testing.T, r *recipe.Recipe) { run(t, of(t, r)) }

// RunComponent is the suite for a component, of which is expected what is of a recipe for users.
func RunComponent(t *testing.T, c Component) {
	run(t, subject{kind: recipe.UserPersonalization, Component: c})
}

func run(t *testing.T, r subject) {
	ts := TrainingSet(t)
	m := train(t, r, ts, recipe.Options{Seed: 1})

	t.Run("items are numbered by popularity, then id", func(t *testing.T) { numbering(t, m, r, ts) })
	t.Run("every item has a score that can be ranked", func(t *testing.T) { rankable(t, m) })
	t.Run("scores of another length are refused", func(t *testing.T) {
		if m.Score(model.Query{}, make([]float32, m.Items().Len()-1)) == nil {
			t.Error("no error")
		}
	})
	if r.kind != recipe.PersonalizedActions {
		t.Run("who is unknown gets what is popular", func(t *testing.T) { popularForUnknown(t, m) })
	}
	switch r.kind {
	case recipe.PopularItems:
	case recipe.PersonalizedActions:
		t.Run("actions have propensities", func(t *testing.T) { propensities(t, m) })
	default:
		t.Run("tastes are found", func(t *testing.T) { tastes(t, m, r) })
	}
	if r.kind == recipe.UserSegmentation {
		t.Run("users are found for items", func(t *testing.T) { segments(t, m) })
	}
	t.Run("a fold is what scoring makes of the history", func(t *testing.T) { folds(t, m) })
	t.Run("concurrent scoring changes nothing", func(t *testing.T) { concurrent(t, m) })
	t.Run("decoding gives back the model", func(t *testing.T) { decoding(t, m, r) })
	t.Run("same data and seed, same bytes", func(t *testing.T) { reproducible(t, m, r) })
	t.Run("damaged parts are refused", func(t *testing.T) { damaged(t, m, r) })
	t.Run("progress rises to the end", func(t *testing.T) { progress(t, r, ts) })
	t.Run("a training can be stopped", func(t *testing.T) { stopped(t, r, ts) })
	t.Run("an empty set trains an empty model", func(t *testing.T) {
		empty, err := trainingset.NewBuilder(trainingset.Options{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		scores(t, train(t, r, empty, recipe.Options{}), model.Query{History: history("a"), ItemID: "a"})
	})
}

func numbering(t *testing.T, m model.Model, r subject, ts *trainingset.Set) {
	counts, catalogue := map[string]int{}, ts.Items
	for _, i := range ts.Item {
		counts[ts.Items[i]]++
	}
	if r.kind == recipe.PersonalizedActions {
		catalogue = ts.Actions.IDs
		for _, e := range ts.Actions.Events {
			counts[catalogue[e.Action]]++
		}
	}
	if m.Items().Len() != len(catalogue) {
		t.Fatalf("%d items, want %d", m.Items().Len(), len(catalogue))
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

func tastes(t *testing.T, m model.Model, r subject) {
	for d := range departments {
		q := model.Query{History: history(itemID(d, 2), itemID(d, 7), itemID(d, 4))}
		if r.kind == recipe.RelatedItems {
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

// propensities holds the actions' scores to what they are: probabilities, the highest for the department's own action.
func propensities(t *testing.T, m model.Model) {
	for d := range departments {
		got := scores(t, m, model.Query{History: history(itemID(d, 2), itemID(d, 7), itemID(d, 4))})
		for i, p := range got {
			if p < 0 || p > 1 {
				t.Errorf("action %q has propensity %g", m.Items().ID(i), p)
			}
		}
		if best := m.Items().ID(int(model.TopK(got, 1, nil)[0])); best != fmt.Sprintf("offer %d", d) {
			t.Errorf("department %d: the best action is %q", d, best)
		}
	}
}

// segments asks for the users of each department, by an item and by an attribute.
func segments(t *testing.T, m model.Model) {
	s, ok := m.(model.Segmenter)
	if !ok {
		t.Fatal("the model segments nobody")
	}
	const wanted = 30
	for d := range departments {
		for name, q := range map[string]model.SegmentQuery{
			"item": {ItemID: itemID(d, 3)},
			"attribute": {
				Attributes: []model.Attribute{
					{Column: "DEPARTMENT", Value: fmt.Sprintf("department %d", d)},
					{Column: "DEPARTMENT", Value: "sale"},
				},
			},
		} {
			found, err := s.Segment(q, wanted)
			if err != nil || len(found) != wanted {
				t.Fatalf("%s: %d users, error %v", name, len(found), err)
			}
			requireSegment(t, name, found, d)
		}
	}
	for name, q := range map[string]model.SegmentQuery{
		"unknown item": {ItemID: "gone"}, "item without events": {ItemID: neverSoldItem}, "nothing": {},
		"unknown attribute": {Attributes: []model.Attribute{{Column: "DEPARTMENT", Value: "garden"}}},
		"no item has both": {
			Attributes: []model.Attribute{
				{Column: "DEPARTMENT", Value: "department 1"}, {Column: "DEPARTMENT", Value: "department 2"},
			},
		},
	} {
		if found, err := s.Segment(q, wanted); err != nil || len(found) != 0 {
			t.Errorf("%s: %d users, error %v", name, len(found), err)
		}
	}
	if found, err := s.Segment(model.SegmentQuery{ItemID: itemID(0, 0)}, 10*visitors); err != nil ||
		len(found) != visitors {
		t.Errorf("asked for more than there are: %d users, error %v", len(found), err)
	}
}

// requireSegment checks that users are ordered by their scores and that nearly all are from a department.
func requireSegment(t *testing.T, name string, found []model.ScoredUser, department int) {
	t.Helper()
	right := 0
	for k, u := range found {
		if v, err := strconv.Atoi(u.UserID[1:]); err == nil && v%departments == department {
			right++
		}
		if k > 0 && u.Score > found[k-1].Score {
			t.Errorf("%s: user %d has a higher score than the one before", name, k)
		}
	}
	if right < len(found)*8/10 {
		t.Errorf("%s of department %d: %d of %d users are from there", name, department, right, len(found))
	}
}

func folds(t *testing.T, m model.Model) {
	f, ok := model.As[model.Folder](m)
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
		if got := scores(
			t, m, model.Query{History: q.History, Vector: vector, ItemID: q.ItemID},
		); !slices.Equal(got, want) {
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

// Parts are the parts of a model by their names, as Load takes them.
func Parts(t testing.TB, m model.Model) map[string][]byte {
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

func decoding(t *testing.T, m model.Model, r subject) {
	loaded, err := r.Load(Parts(t, m))
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range queries() {
		if !slices.Equal(scores(t, loaded, q), scores(t, m, q)) {
			t.Errorf("%s: the decoded model scores otherwise", name)
		}
	}
	requireSameParts(t, Parts(t, loaded), Parts(t, m))
	if s, ok := m.(model.Segmenter); ok {
		q := model.SegmentQuery{ItemID: itemID(1, 1)}
		want, _ := s.Segment(q, 20)
		if got, err := loaded.(model.Segmenter).Segment(q, 20); err != nil || !slices.Equal(got, want) {
			t.Errorf("the decoded model finds other users: %v, want %v; error %v", got, want, err)
		}
	}
}

func reproducible(t *testing.T, m model.Model, r subject) {
	events, items, answers := clicks(), goods(), answers()
	random := rand.New(rand.NewPCG(3, 4))
	random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	random.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	random.Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
	for _, threads := range []int{1, 2, 5} {
		again := train(t, r, build(t, events, items, answers), recipe.Options{Seed: 1, Threads: threads})
		requireSameParts(t, Parts(t, again), Parts(t, m))
	}
}

// damaged cuts and changes the parts; the fuzz targets go further.
func damaged(t *testing.T, m model.Model, r subject) {
	whole := Parts(t, m)
	try := func(what, name string, data []byte) {
		t.Helper()
		broken := maps.Clone(whole)
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

func progress(t *testing.T, r subject, ts *trainingset.Set) {
	last := 0.0
	train(t, r, ts, recipe.Options{Threads: 3, Progress: func(done float64) {
		if done <= last {
			t.Errorf("progress %g after %g", done, last)
		}
		last = done
	}})
	if last != 1 {
		t.Errorf("progress ends at %g", last)
	}
}

func stopped(t *testing.T, r subject, ts *trainingset.Set) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if m, err := r.Train(ctx, ts, recipe.Options{}); err == nil || m != nil {
		t.Errorf("a cancelled training gives model %v, error %v", m, err)
	}
}

// FuzzLoad feeds a recipe's Load with broken parts. It must not panic, nor need memory beyond a small multiple of what
// it reads, and what it accepts must answer queries and encode again.
func FuzzLoad(f *testing.F, recipeName string) {
	r, ok := recipe.ByName(recipeName)
	if !ok {
		f.Fatalf("no recipe %s", recipeName)
	}
	fuzz(f, of(f, r))
}

// FuzzComponent does the same with a component's.
func FuzzComponent(f *testing.F, c Component) { fuzz(f, subject{Component: c}) }

func fuzz(f *testing.F, r subject) {
	f.Helper()
	m := train(f, r, small(f), recipe.Options{})
	list, err := m.Parts()
	if err != nil {
		f.Fatal(err)
	}
	// The last part is the recipe's own; others may be those of a model that it contains.
	whole, body := Parts(f, m), list[len(list)-1].Name
	f.Add(whole[model.ItemsPart], whole[body])
	f.Add(whole[model.ItemsPart], whole[body][:len(whole[body])/2])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, items, data []byte) {
		broken := maps.Clone(whole)
		broken[model.ItemsPart], broken[body] = items, data
		m, err := r.Load(broken)
		if err != nil {
			return
		}
		known := "a"
		if m.Items().Len() > 0 {
			known = m.Items().ID(0)
		}
		scores(
			t, m, model.Query{History: history(known, "?", known), ActionHistory: history(known, "?"), ItemID: known},
		)
		if s, ok := m.(model.Segmenter); ok {
			if _, err := s.Segment(model.SegmentQuery{ItemID: known}, 3); err != nil {
				t.Error(err)
			}
		}
		Parts(t, m)
	})
}

// small is a set whose models have few bytes, for a fuzzer to play with.
func small(t testing.TB) *trainingset.Set {
	var events []reco.Interaction
	for u := range 5 {
		for _, item := range []string{"a", "b", "c"}[:2+u%2] {
			events = append(
				events, reco.Interaction{EventID: item, UserID: fmt.Sprint(u), ItemID: item, TimestampMS: int64(u)},
			)
		}
	}
	answer := reco.Interaction{EventID: "1", UserID: "1", ItemID: "offer", EventType: nextaction.Taken}
	return build(
		t, events, []reco.Entity{{ID: "a", Properties: map[string]any{"DEPARTMENT": "x"}}}, []reco.Interaction{answer},
	)
}
