package ials

import (
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
			if moved := after[i] / before[at]; moved < 0.98 || moved > 1.02 {
				t.Errorf("the score of %s has moved from %g to %g", id, before[at], after[i])
			}
		} else if after[i] != 0 {
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
