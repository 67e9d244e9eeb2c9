package ranking

import (
	"slices"
	"testing"
)

func TestPromotedItemsStandAnywhere(t *testing.T) {
	t.Parallel()
	others, promoted := make([]Pick, 8), []Pick{{Item: 100, Promoted: true}, {Item: 101, Promoted: true}}
	places := map[int]bool{}
	for seed := range uint64(200) {
		list := mix(promoted, others, seed)
		first := slices.IndexFunc(list, func(p Pick) bool { return p.Promoted })
		if len(list) != 10 || list[first].Item != 100 {
			t.Fatalf("mixed %v", list)
		}
		places[first] = true
	}
	if len(places) < 8 {
		t.Errorf("the first promoted item stands only at %v", places)
	}
}
