package filter_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/filter/filtertest"
	"github.com/penchant-io/penchant/pkg/schema"
)

func TestExplainSaysWhatEachExpressionDid(t *testing.T) {
	t.Parallel()
	const (
		comedies  = `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy")`
		dramas    = `include itemid where Items.GENRES in ("Drama")`
		children  = `INCLUDE ItemID WHERE Items.GENRES = "comedy" IF CurrentUser.AGE < 18`
		watched   = `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch") IF CurrentUser.AGE >= 18`
		expensive = `EXCLUDE ItemID WHERE Items.PRICE > $MOST`
		old       = `EXCLUDE ItemID WHERE Items.YEAR < 1975`
	)
	text := old + " | " + comedies + "|" + children + " | " + watched + "\n| " + expensive + " | " + dramas
	_, selection := selected(t, text, filtertest.Case{User: "ann"})
	want := []filter.Clause{
		// i01 and i10 of 1970, i07 of 1950, i09 of -44, of which the first three are included.
		{Text: old, Kind: "EXCLUDE", IfHeld: true, Matched: 4, Removed: 3},
		{Text: comedies, Kind: "INCLUDE", IfHeld: true, Matched: 3},
		{Text: children, Kind: "INCLUDE", HasIf: true},
		// i02 and i03.
		{Text: watched, Kind: "EXCLUDE", HasIf: true, IfHeld: true, Matched: 2, Removed: 2},
		{Text: expensive, Kind: "EXCLUDE", Missing: "MOST"},
		// i02, i03, i07, i10; 7 of 13 items are neither comedy nor drama.
		{Text: dramas, Kind: "INCLUDE", IfHeld: true, Matched: 4, Removed: 7},
	}
	if diff := cmp.Diff(want, selection.Explain()); diff != "" {
		t.Error(diff)
	}
	if selection.Count() != 1 {
		t.Errorf("%d items are left, want 1", selection.Count())
	}
}

func TestFilterDescribesItself(t *testing.T) {
	t.Parallel()
	f, err := filter.Compile(`INCLUDE ItemID WHERE items.price < CurrentItem.YEAR AND Items.genres IN ("a", $B, $A) AND Items.PRICE > $B
		| EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ('x\'y') IF CurrentUser.age > $C AND CurrentUser.AGE < 90`, filtertest.Schemas())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Fields(), []string{"ITEMS.PRICE", "ITEMS.YEAR", "ITEMS.GENRES", "INTERACTIONS.EVENT_TYPE", "USERS.AGE"}; !slices.Equal(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
	if got, want := f.Parameters(), []string{"B", "A", "C"}; !slices.Equal(got, want) {
		t.Errorf("parameters %v, want %v", got, want)
	}
	for datasetType, want := range map[string]bool{"ITEMS": true, "USERS": true, "INTERACTIONS": true, "ACTIONS": false, "ACTION_INTERACTIONS": false} {
		if f.Uses(datasetType) != want {
			t.Errorf("uses %s: %v", datasetType, !want)
		}
	}
	if !f.UsesCurrentItem() || f.Target() != schema.Items {
		t.Errorf("current item %v, target %v", f.UsesCurrentItem(), f.Target())
	}
	want := `INCLUDE ItemID WHERE Items.PRICE < CurrentItem.YEAR AND Items.GENRES IN ("a",$B,$A) AND Items.PRICE > $B` +
		` | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("x'y") IF CurrentUser.AGE > $C AND CurrentUser.AGE < 90`
	if f.String() != want {
		t.Errorf("printed as %s\nwant       %s", f, want)
	}
}
