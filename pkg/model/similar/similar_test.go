package similar_test

import (
	"fmt"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/similar"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

func set(t *testing.T, histories [][]string, attributes map[string]string) *trainingset.Set {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{})
	for u, items := range histories {
		for k, id := range items {
			b.Add(&reco.Interaction{EventID: fmt.Sprint(k), UserID: fmt.Sprint(u), ItemID: id, TimestampMS: int64(k)})
		}
	}
	for id, tags := range attributes {
		b.AddItem(reco.Entity{ID: id, Properties: map[string]any{"TAGS": tags}})
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// similarTo returns the items with positive scores, best first.
func similarTo(t *testing.T, ts *trainingset.Set, c similar.Config, item string) []string {
	t.Helper()
	if c.Neighbours == 0 {
		c.Neighbours = 100
	}
	if c.Attributes == 0 {
		c.Attributes = 100
	}
	m, err := similar.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, m.Items().Len())
	if err := m.Score(model.Query{ItemID: item}, scores); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, i := range model.TopK(scores, len(scores), func(i int) bool { return scores[i] <= 0 }) {
		ids = append(ids, m.Items().ID(int(i)))
	}
	return ids
}

func repeat(n int, history ...string) (all [][]string) {
	for range n {
		all = append(all, history)
	}
	return all
}

func TestWhatStandsNearCountsMore(t *testing.T) {
	t.Parallel()
	// b follows a at once; c comes five steps later with the same people.
	ts := set(t, repeat(20, "a", "b", "1", "2", "3", "c"), nil)
	got := similarTo(t, ts, similar.Config{}, "a")
	if len(got) != 5 || got[0] != "b" || got[4] != "c" {
		t.Errorf("similar to a are %v, want b first and c last", got)
	}
	// It counts backwards, too, but not from one user to the next.
	if got := similarTo(t, ts, similar.Config{}, "b"); got[0] != "1" && got[0] != "a" || len(got) != 5 {
		t.Errorf("similar to b are %v", got)
	}
}

func TestPopularityIsDiscounted(t *testing.T) {
	t.Parallel()
	histories := append(repeat(20, "a", "special"), repeat(20, "a", "hit")...)
	ts := set(t, append(histories, repeat(500, "hit")...), nil)
	if got := similarTo(t, ts, similar.Config{}, "a"); got[0] != "special" {
		t.Errorf("similar to a are %v, want what others have not", got)
	}
}

func TestNewItemsGoByTheirMetadata(t *testing.T) {
	t.Parallel()
	histories := append(repeat(30, "tent", "rope", "stove"), repeat(30, "pen", "ink", "paper")...)
	ts := set(t, histories, map[string]string{
		"tent": "camping|green", "stove": "camping|fire", "pen": "office|blue", "paper": "office|white",
		"new tent": "camping|green", "new pen": "office|blue",
	})
	if got := similarTo(t, ts, similar.Config{Content: 0.1}, "new tent"); got[0] != "tent" || got[1] != "stove" {
		t.Errorf("similar to the new tent are %v", got)
	}
	got := similarTo(t, ts, similar.Config{Content: 0.1}, "tent")
	if got[0] != "rope" {
		t.Errorf("similar to the tent are %v, want what is bought with it first", got)
	}
	found := false
	for _, id := range got {
		found = found || id == "new tent"
	}
	if !found {
		t.Errorf("similar to the tent are %v, without the new one", got)
	}
	if got := similarTo(t, ts, similar.Config{Content: 0.9}, "tent"); got[0] != "new tent" {
		t.Errorf("similar to the tent by metadata are %v", got)
	}
}

func TestNeighboursBoundAVector(t *testing.T) {
	t.Parallel()
	ts := set(t, repeat(20, "a", "b", "c", "d", "e"), nil)
	if got := similarTo(t, ts, similar.Config{Neighbours: 2}, "a"); len(got) != 2 {
		t.Errorf("similar to a are %v, want two", got)
	}
}
