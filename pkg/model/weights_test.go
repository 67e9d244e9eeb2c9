package model

import (
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// weighted is a set in which a is clicked five times and b is bought once, each by another user.
func weighted(t *testing.T, click, buy float64) *trainingset.Set {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{
		Events: []trainingset.EventRule{{Type: "click", Weight: click}, {Type: "buy", Weight: buy}},
	})
	for u := range 5 {
		b.Add(&reco.Interaction{UserID: string(rune('u' + u)), ItemID: "a", EventType: "click", TimestampMS: 1})
	}
	b.Add(&reco.Interaction{UserID: "u", ItemID: "b", EventType: "buy", TimestampMS: 2})
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func TestWeightsDecideWhatIsPopular(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		click, buy float64
		ids        []string
		counts     []int64
	}{
		{1, 1, []string{"a", "b"}, []int64{5, 1}},
		{0.1, 1, []string{"b", "a"}, []int64{1, 1}}, // 0.5 and 1
		{0.05, 0.5, []string{"b", "a"}, []int64{1, 1}},
		{1, 0.1, []string{"a", "b"}, []int64{5, 1}}, // 5 and 0.1
		{0, 1, []string{"b"}, []int64{1}},
	} {
		items, counts := Popular(weighted(t, c.click, c.buy))
		var ids []string
		for i := range items.Len() {
			ids = append(ids, items.ID(i))
		}
		if !slices.Equal(ids, c.ids) || !slices.Equal(counts, c.counts) {
			t.Errorf("weights %v and %v: %v with %v, want %v with %v", c.click, c.buy, ids, counts, c.ids, c.counts)
		}
	}
}

func TestMatrixAddsUpWeights(t *testing.T) {
	t.Parallel()
	m := NewMatrix(weighted(t, 0.25, 1), MatrixOptions{Users: All}) // items a, b
	if !slices.Equal(m.Item, []int32{0, 1, 0, 0, 0, 0}) ||
		!slices.Equal(m.Weight, []float32{0.25, 1, 0.25, 0.25, 0.25, 0.25}) {
		t.Errorf("items %v with %v", m.Item, m.Weight)
	}
}
