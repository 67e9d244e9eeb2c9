package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/services/penchant/operator"
	"github.com/penchant-io/penchant/services/recommender"
)

func TestFilterExpressionsAreChecked(t *testing.T) {
	process, group, _ := startOperated(t)
	check := asked[operator.FilterCheck](process, 0, "filter", "check", `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($TYPES)`, "--dataset-group", group)
	if check.Error != "" || check.Selects != "ItemID" || !slices.Equal(check.Parameters, []string{"TYPES"}) || !slices.Equal(check.Fields, []string{"INTERACTIONS.EVENT_TYPE"}) {
		t.Errorf("a valid filter: %+v", check)
	}
	wrong := process.penchant(1, "filter", "check", `EXCLUDE ItemID WHERE Interactions.NOPE IN ("a")`, "--dataset-group", group)
	lines := strings.Split(wrong.stdout, "\n")
	if len(lines) < 2 || strings.Index(lines[1], "^") != strings.Index(lines[0], "NOPE") {
		t.Errorf("the place of the error is not marked:\n%s", wrong.stdout)
	}
	process.penchant(2, "filter", "check", "x", "--dataset-group", "no-such-group")
	if o := process.penchant(2, "explain", "arn:aws:personalize:us-east-1:000000000000:campaign/none", "--user", "ada"); !strings.Contains(o.stderr, "ResourceNotFound") {
		t.Errorf("an absent campaign: %s", o.stderr)
	}
}

func TestExplanationsHaveAPage(t *testing.T) {
	id, score := "item-1", 0.25
	e := explanation{recommender.Explanation{
		Recipe: "aws-sims", Fallback: "user-state-timeout", HiddenItems: 2, ColdItems: 3, ExplorationWeight: 0.3, DiversityWeight: 0.4,
		Filter: &recommender.FilterEffect{FilterARN: "arn", Selected: 7, Clauses: []recommender.ClauseEffect{
			{Expression: "INCLUDE a", Applied: true, Matched: 8, Removed: 4}, {Expression: "EXCLUDE b"}, {Expression: "EXCLUDE c", Missing: "P"},
		}},
		ItemList:             []recommender.ExplainedAnswer{{ItemId: &id, Score: &score, Reason: []string{"Exploration"}}},
		RanksBeforeDiversity: []recommender.ItemRank{{ItemID: id, Rank: 7}},
	}}
	page := e.Page()
	for _, want := range []string{"aws-sims", "user-state-timeout", "2 items that", "3 cold items, weight 0.3", "7 items selected by arn",
		"matched 8 items, removed 4", "its IF does not hold", "$P has no value", "diverse   weight 0.4", "   1  item-1  0.25000  (Exploration)  was 7"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page:\n%s", want, page)
		}
	}
}
