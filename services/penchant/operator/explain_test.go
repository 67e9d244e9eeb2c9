package operator

import (
	"strings"
	"testing"

	"github.com/penchant-io/penchant/services/recommender"
)

func TestExplanationsHaveAPage(t *testing.T) {
	t.Parallel()
	id, score := "item-1", 0.25
	e := Explanation{recommender.Explanation{
		Recipe: "aws-sims", Fallback: "user-state-timeout", HiddenItems: 2, ColdItems: 3, ExplorationWeight: 0.3,
		DiversityWeight: 0.4,
		Filter: &recommender.FilterEffect{FilterARN: "arn", Selected: 7, Clauses: []recommender.ClauseEffect{
			{Expression: "INCLUDE a", Applied: true, Matched: 8, Removed: 4}, {Expression: "EXCLUDE b"},
			{Expression: "EXCLUDE c", Missing: "P"},
		}},
		ItemList: []recommender.ExplainedAnswer{{ItemId: &id, Score: &score,
			Reason: []string{"Exploration"}}},
		RanksBeforeDiversity: []recommender.ItemRank{{ItemID: id, Rank: 7}},
	}}
	page := e.Page()
	for _, want := range []string{"aws-sims", "user-state-timeout", "2 items that", "3 cold items, weight 0.3",
		"7 items selected by arn",
		"matched 8 items, removed 4", "its IF does not hold", "$P has no value", "diverse   weight 0.4",
		"   1  item-1  0.25000  (Exploration)  was 7"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page:\n%s", want, page)
		}
	}
}
