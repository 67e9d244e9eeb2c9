package hrnn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// TestGradients compares the gradients of one stretch with differences of the loss.
func TestGradients(t *testing.T) {
	t.Parallel()
	for _, unroll := range []int{0, 1000} {
		gradients(t, unroll)
	}
}

func gradients(t *testing.T, unroll int) {
	random := rand.New(rand.NewPCG(1, 2))
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range 4 {
		at := int64(0)
		for k := range 9 {
			at += 1000
			if k%4 == 3 {
				at += 2 * sessionGapMS
			}
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(k), UserID: fmt.Sprint(u), ItemID: fmt.Sprint(random.IntN(20)), TimestampMS: at,
			})
		}
	}
	for i := range 20 {
		b.AddItem(reco.Entity{ID: fmt.Sprint(i), Properties: map[string]any{"KIND": fmt.Sprint(i % 3)}})
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrainer(ts, Config{Dim: 8, Metadata: true, Unroll: unroll, Recency: true, Users: model.All, Seed: 1})
	batch := newBatch(&tr.net, 2)
	// the second is divided, the last not finished
	pieces := [][]piece{{{0, 0, 9}, {1, 9, 14}}, {{1, 14, 18}, {2, 18, 24}}}
	shared := func() *drawn { return tr.sampler.draw(rand.New(rand.NewPCG(3, 4)), tr) }
	// The same source drops the same values.
	learn := func() *drawn {
		d := shared()
		batch.arrange(tr, pieces)
		d.look(tr)
		if _, err := batch.learn(t.Context(), tr, d, 5); err != nil {
			t.Fatal(err)
		}
		return d
	}
	loss := func() float64 {
		learn()
		sum := 0.0
		for k, next := range batch.targetItem[:batch.positions] {
			if next < 0 {
				continue
			}
			// The gradient of the target's bias is weight times (its share - 1).
			weight := float64(tr.sequence.weight[k+1])
			sum -= weight * math.Log(1+float64(batch.ofTargetBias[k])/weight)
		}
		return sum
	}
	d := learn()
	batch.collect(tr, d)
	check := func(name string, values, gradient []float32) {
		t.Helper()
		for range 12 {
			k := random.IntN(len(values))
			if gradient[k] == 0 {
				continue
			}
			const h = 3e-3
			before := values[k]
			values[k] = before + h
			up := loss()
			values[k] = before - h
			down := loss()
			values[k] = before
			if want := (up - down) / (2 * h); math.Abs(want-float64(gradient[k])) > 0.02*math.Abs(want)+0.01 {
				t.Errorf("%s %d: the gradient is %g, the loss changes by %g", name, k, gradient[k], want)
			}
		}
	}
	dense := make([][]float32, len(tr.dense))
	for w := range dense {
		dense[w] = slices.Clone(tr.dense[w].gradient)
	}
	for w, name := range []string{"linear", "in", "out", "in bias", "out bias"} {
		check(name, tr.dense[w].values, dense[w])
	}
	check("inputs", tr.inputs.values, tr.inputs.gradient)
	check("outputs", tr.outputs.values, tr.outputs.gradient)
	check("bias", tr.bias.values, tr.bias.gradient)
}

// TestRowsMissNoSteps: a row that steps pass by moves as if each had moved it with a gradient of zero.
func TestRowsMissNoSteps(t *testing.T) {
	t.Parallel()
	const width, rate, last = 8, 1e-3, 60
	random := rand.New(rand.NewPCG(13, 14))
	rested := newTable(make([]float32, 2*width), width)
	moved := newOptimised(make([]float32, width))
	gradient := make([]float32, width)
	for step := range last {
		clear(moved.gradient)
		if step == 3 || step == 4 || step == 30 || step == 45 {
			for k := range gradient {
				gradient[k] = float32(random.NormFloat64())
			}
			copy(moved.gradient, gradient)
			rested.wake(1, rate, step)
			rested.add(1, 1, gradient)
			rested.update(rate, step, 0.5)
		}
		moved.update(rate, step, 0.5)
	}
	rested.wake(1, rate, last)
	for k, want := range moved.values {
		// The corrections change a little while a row rests, which it leaves out of account.
		if got := rested.row(1)[k]; math.Abs(float64(got-want)) > 0.05*math.Abs(float64(want))+rate {
			t.Errorf("weight %d is %g, want %g", k, got, want)
		}
		if got, want := rested.mean[width+k], moved.mean[k]; math.Abs(float64(got-want)) > 1e-5 {
			t.Errorf("mean %d is %g, want %g", k, got, want)
		}
	}
}

// TestThreadsDoNotMatter: the same data and seed give the same bytes.
func TestThreadsDoNotMatter(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(15, 16))
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range 300 {
		for k := range 30 {
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(k), UserID: fmt.Sprint(u), ItemID: fmt.Sprint(random.IntN(60)),
				TimestampMS: int64(k) * 1000,
			})
		}
	}
	c := DefaultConfig()
	c.Passes = 1
	var first []model.Part
	for _, threads := range []int{1, 3, 3} {
		c.Threads = threads
		parts, err := train(t, b, c).Parts()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = parts
		} else if !reflect.DeepEqual(parts, first) {
			t.Errorf("another model with %d threads", threads)
		}
	}
}

// TestOrderIsLearned plants a rule that only the order tells: after x comes x+1, whatever was before.
func TestOrderIsLearned(t *testing.T) {
	t.Parallel()
	const items = 40
	random := rand.New(rand.NewPCG(7, 8))
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range 200 {
		item := random.IntN(items)
		for k := range 20 {
			b.Add(&reco.Interaction{
				EventID: fmt.Sprintf("%02d", k), UserID: fmt.Sprint(u), ItemID: fmt.Sprint(item),
				TimestampMS: int64(k) * 1000,
			})
			item = (item + 1) % items
		}
	}
	m := train(t, b, DefaultConfig())
	right := 0
	for i := range items {
		if slices.Contains(best(t, m, 3, fmt.Sprint((i+20)%items), fmt.Sprint(i)), fmt.Sprint((i+1)%items)) {
			right++
		}
	}
	if right < items*9/10 {
		t.Errorf("the next item is among the best three for %d of %d", right, items)
	}
}

func train(t *testing.T, b *trainingset.Builder, c Config) *Model {
	t.Helper()
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	c.Seed = 1
	m, err := Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// best are the k best items after a history.
func best(t *testing.T, m *Model, k int, history ...string) (ids []string) {
	t.Helper()
	scores := make([]float32, m.Items().Len())
	var recent []reco.RecentInteraction
	for k, id := range history {
		recent = append(recent, reco.RecentInteraction{ItemID: id, TimestampMS: int64(k) * 1000})
	}
	if err := m.Score(model.Query{History: recent}, scores); err != nil {
		t.Fatal(err)
	}
	for _, i := range model.TopK(scores, k, nil) {
		ids = append(ids, m.Items().ID(int(i)))
	}
	return ids
}

// TestSessionsAreTold: the same items mean another state when a pause divides them.
func TestSessionsAreTold(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(9, 10))
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range 50 {
		for k := range 10 {
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(k), UserID: fmt.Sprint(u), ItemID: fmt.Sprint(random.IntN(30)),
				TimestampMS: int64(k) * sessionGapMS * 2 / 3,
			})
		}
	}
	m := train(t, b, DefaultConfig())
	fold := func(pause int64) []float32 {
		v := make([]float32, m.Dim())
		m.Fold([]reco.RecentInteraction{{ItemID: "1", TimestampMS: 0}, {ItemID: "2", TimestampMS: pause}}, v)
		return v
	}
	one, again, two := fold(1000), fold(sessionGapMS), fold(sessionGapMS+1)
	if !slices.Equal(one, again) {
		t.Error("a pause within a session counts")
	}
	if slices.Equal(one, two) {
		t.Error("a pause that ends a session does not count")
	}
}

// TestMetadataPlacesNewItems: an item that nobody has chosen yet follows those of its kind, and does so high up if it
// is lifted.
func TestMetadataPlacesNewItems(t *testing.T) {
	t.Parallel()
	const kinds, perKind = 4, 12
	random := rand.New(rand.NewPCG(11, 12))
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range 300 {
		for k := range 12 {
			item := fmt.Sprintf("%d-%d", u%kinds, random.IntN(perKind))
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(k), UserID: fmt.Sprint(u), ItemID: item, TimestampMS: int64(k) * 1000,
			})
		}
	}
	for kind := range kinds {
		for i := range perKind {
			b.AddItem(reco.Entity{
				ID: fmt.Sprintf("%d-%d", kind, i), Properties: map[string]any{"KIND": fmt.Sprint(kind)},
			})
		}
		b.AddItem(reco.Entity{ID: fmt.Sprint("new ", kind), Properties: map[string]any{"KIND": fmt.Sprint(kind)}})
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.Metadata = true
	rank := func(c Config, kind, of int) int {
		m, err := Train(t.Context(), ts, c)
		if err != nil {
			t.Fatal(err)
		}
		for k, id := range best(t, m, m.Items().Len(), fmt.Sprintf("%d-1", of), fmt.Sprintf("%d-5", of)) {
			if id == fmt.Sprint("new ", kind) {
				return k
			}
		}
		return -1
	}
	plain := rank(c, 2, 2)
	if other := rank(c, 1, 2); plain >= other {
		t.Errorf("among those of another kind it stands at %d, among its own at %d", other, plain)
	}
	c.Lift = func(id string) bool { return id == "new 2" }
	if lifted := rank(c, 2, 2); lifted > perKind || lifted > plain {
		t.Errorf("lifted it stands at %d, otherwise at %d", lifted, plain)
	}
}
