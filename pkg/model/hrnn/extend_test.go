package hrnn

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

func TestExtendTakesInNewItems(t *testing.T) {
	t.Parallel()
	build := func(events ...string) *trainingset.Set { // user and item, a letter each
		b := trainingset.NewBuilder(trainingset.Options{})
		for n, e := range events {
			b.Add(&reco.Interaction{
				EventID: string(rune('0' + n)), UserID: e[:1], ItemID: e[1:], TimestampMS: int64(n),
			})
		}
		b.AddItem(reco.Entity{ID: "z"})
		ts, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	m, err := Train(t.Context(), build("ux", "uy", "vx", "vy", "wx", "wq"), DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	// q is gone, k is new
	extended := m.Extend(build("ux", "uy", "vx", "vy", "wx", "uk", "vk", "wk", "ak", "uy")).(*Model)
	var ids []string
	for i := range extended.Items().Len() {
		ids = append(ids, extended.Items().ID(i))
	}
	if !slices.Equal(ids, []string{"k", "x", "y", "q", "z"}) || !slices.Equal(extended.counts, []int64{4, 3, 3, 0, 0}) {
		t.Errorf("items %v with %v interactions", ids, extended.counts)
	}
	before, after := make([]float32, m.Items().Len()), make([]float32, extended.Items().Len())
	history := []reco.RecentInteraction{{ItemID: "x"}}
	if err := m.Score(model.Query{History: history}, before); err != nil {
		t.Fatal(err)
	}
	if err := extended.Score(model.Query{History: history}, after); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if at, known := m.Items().Index(id); known {
			if after[i] != before[at] {
				t.Errorf("the score of %s has moved from %g to %g", id, before[at], after[i])
			}
		} else if after[i] != slices.Min(m.net.bias) {
			t.Errorf("the new item %s has score %g", id, after[i])
		}
	}
	parts, err := extended.Parts()
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string][]byte{}
	for _, p := range parts {
		stored[p.Name] = p.Data
	}
	loaded, err := Load(stored)
	if err != nil {
		t.Fatal(err)
	}
	again := make([]float32, len(after))
	if err := loaded.Score(model.Query{History: history}, again); err != nil || !slices.Equal(after, again) {
		t.Errorf("loaded it scores %v, not %v: %v", again, after, err)
	}
}

// TestItemsWithoutInteractionsStandAmongTheirLikes: with metadata, they are wanted as those are on average, whether
// they were there in the training or came later.
func TestItemsWithoutInteractionsStandAmongTheirLikes(t *testing.T) {
	t.Parallel()
	build := func(more ...reco.Entity) *trainingset.Set {
		b := trainingset.NewBuilder(trainingset.Options{})
		for u := range 40 {
			for e := range 6 {
				b.Add(&reco.Interaction{
					EventID: fmt.Sprint(u, "-", e), UserID: fmt.Sprint("u", u),
					ItemID: fmt.Sprintf("%s%d", []string{"a", "b"}[u%2], (u+e)%4), TimestampMS: int64(e),
				})
			}
		}
		for n := range 4 {
			b.AddItem(reco.Entity{ID: fmt.Sprint("a", n), Properties: map[string]any{"KIND": "a"}})
			b.AddItem(reco.Entity{ID: fmt.Sprint("b", n), Properties: map[string]any{"KIND": "b"}})
		}
		b.AddItem(reco.Entity{ID: "a-new", Properties: map[string]any{"KIND": "a"}})
		b.AddItem(reco.Entity{ID: "unlike", Properties: map[string]any{"KIND": "c"}})
		for _, e := range more {
			b.AddItem(e)
		}
		ts, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	c := DefaultConfig()
	c.Metadata = true
	trained, err := Train(t.Context(), build(), c)
	if err != nil {
		t.Fatal(err)
	}
	extended := trained.Extend(build(reco.Entity{ID: "b-newer", Properties: map[string]any{"KIND": "b"}}))
	for name, m := range map[string]model.Model{"trained": trained, "extended": extended} {
		scores := make([]float32, m.Items().Len())
		if err := m.Score(
			model.Query{History: []reco.RecentInteraction{{ItemID: "a1"}, {ItemID: "a-new"}}}, scores,
		); err != nil {
			t.Fatal(err)
		}
		of := func(id string) float64 {
			i, known := m.Items().Index(id)
			if !known {
				t.Fatalf("%s: %s is not in the catalogue", name, id)
			}
			return float64(scores[i])
		}
		mean := func(kind string) (sum float64) {
			for n := range 4 {
				sum += of(fmt.Sprint(kind, n)) / 4
			}
			return sum
		}
		if got, want := of("a-new"), mean("a"); math.Abs(got-want) > 1e-4 {
			t.Errorf("%s: a-new has score %g, its likes %g", name, got, want)
		}
		if name == "extended" {
			if got, want := of("b-newer"), mean("b"); math.Abs(got-want) > 1e-4 {
				t.Errorf("b-newer has score %g, its likes %g", got, want)
			}
		}
		if of("a-new") <= mean("b") {
			t.Errorf("%s: a-new is wanted no more than b's by one who had a's", name)
		}
	}
}
