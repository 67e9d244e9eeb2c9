package ranking

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// bind compiles an expression without parameters.
func bind(t *testing.T, expression string, schemas filter.Schemas) *filter.Bound {
	t.Helper()
	compiled, err := filter.Compile(expression, schemas)
	if err != nil {
		t.Fatal(err)
	}
	bound, err := compiled.Bind(nil)
	if err != nil {
		t.Fatal(err)
	}
	return bound
}

func TestUseCasesHideEvents(t *testing.T) {
	t.Parallel()
	pool := &candidates{catalogue: &Catalogue{items: model.NewItems([]string{"a", "b", "c"})}}
	pool.excludeEvents([]reco.RecentInteraction{
		{ItemID: "a", EventType: "purchase"}, {ItemID: "b", EventType: "View"}, {ItemID: "x", EventType: "Purchase"},
	}, []string{"Purchase"})
	if got := pool.best(ScoresOf([]float32{3, 2, 1}), 3); !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("left are %v", got)
	}
	if !pool.excludedIDs["x"] {
		t.Error("an item that the model does not know is not hidden")
	}
}

// TestSelectionsAgree compares the two ways of taking the best of a selection on random data.
func TestSelectionsAgree(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 1 + random.IntN(200)
		scores := make([]float32, n)
		for i := range scores {
			scores[i] = float32(random.IntN(10))
		}
		pool, all := selectionOf(t, n, func(int) bool { return random.IntN(20) == 0 })
		var want []int32
		for _, item := range model.TopK(scores, n, nil) {
			if all[item] && len(want) < 7 {
				want = append(want, item)
			}
		}
		if got := pool.best(ScoresOf(scores), 7); !slices.Equal(got, want) {
			t.Fatalf("the best are %v, want %v", got, want)
		}
	}
}

// selectionOf selects some of n items, whose rows are in another order.
func selectionOf(t *testing.T, n int, kept func(int) bool) (*candidates, map[int32]bool) {
	t.Helper()
	items := &schema.Schema{
		Type: schema.Items, Fields: []schema.Field{{Name: "ITEM_ID"}, {Name: "KEPT", Categorical: true}},
	}
	table := filter.NewTable(items)
	c := &Catalogue{table: table, rows: make([]int32, n), byRow: make([]int32, n)}
	all := map[int32]bool{}
	for row, item := range rand.New(rand.NewPCG(3, uint64(n))).Perm(n) {
		c.rows[item], c.byRow[row] = int32(row), int32(item)
		e := reco.Entity{ID: fmt.Sprint(item), Properties: map[string]any{"KEPT": "no"}}
		if kept(item) {
			e.Properties["KEPT"], all[int32(item)] = "yes", true
		}
		table.Put(e)
	}
	bound := bind(t, `INCLUDE ItemID WHERE Items.KEPT IN ("yes")`, filter.Schemas{"ITEMS": items})
	return &candidates{catalogue: c, selection: bound.Select(table, filter.Subject{})}, all
}
