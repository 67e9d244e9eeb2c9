package filter_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/filter/filtertest"
)

// selected are the ids that an expression selects, in ascending order.
func selected(t *testing.T, text string, c filtertest.Case) ([]string, *filter.Selection) {
	t.Helper()
	f, err := filter.Compile(text, filtertest.Schemas())
	if err != nil {
		t.Fatalf("compiling %s: %v", text, err)
	}
	b, err := f.Bind(c.Values)
	if err != nil {
		t.Fatalf("binding %v: %v", c.Values, err)
	}
	table := filtertest.Table(f.Target())
	selection := b.Select(table, filtertest.Subject(c.User, c.Item))
	ids := []string{}
	for row := range selection.Rows() {
		ids = append(ids, table.ID(row))
	}
	slices.Sort(ids)
	return ids, selection
}

func TestCases(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, c := range filtertest.Cases() {
		if names[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		names[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			got, selection := selected(t, c.Expression, c)
			if !slices.Equal(got, c.Want) {
				t.Errorf("%s\nselects %v\nwant    %v", c.Expression, got, c.Want)
			}
			checkExplanation(t, c.Expression, selection)
			f, err := filter.Compile(c.Expression, filtertest.Schemas())
			if err != nil {
				t.Fatal(err)
			}
			again, _ := selected(t, f.String(), c)
			if !slices.Equal(again, c.Want) {
				t.Errorf("%s, printed as\n%s,\nselects %v\nwant    %v", c.Expression, f, again, c.Want)
			}
		})
	}
	if len(names) < 150 {
		t.Errorf("only %d cases", len(names))
	}
}

// checkExplanation compares what holds for every explanation: the expressions remove what is not selected, and their
// texts are the pieces of the filter.
func checkExplanation(t *testing.T, text string, selection *filter.Selection) {
	t.Helper()
	removed := 0
	rest := text
	total := 0
	for row := int32(0); row < 20; row++ {
		if selection.Has(row) {
			total++
		}
	}
	if total != selection.Count() {
		t.Errorf("Has finds %d rows, Count says %d", total, selection.Count())
	}
	for _, c := range selection.Explain() {
		removed += c.Removed
		_, after, found := strings.Cut(rest, c.Text)
		if !found {
			t.Errorf("the explanation names %q, which is not part of %q", c.Text, rest)
		}
		rest = after
		if !c.Applied() && (c.Matched != 0 || c.Removed != 0) {
			t.Errorf("%+v did something", c)
		}
	}
	if strings.Trim(rest, " \n") != "" {
		t.Errorf("the explanation leaves %q out", rest)
	}
	f, err := filter.Compile(text, filtertest.Schemas())
	if err != nil {
		t.Fatal(err)
	}
	if rows := filtertest.Table(f.Target()).Len(); rows-removed != selection.Count() {
		t.Errorf("of %d rows %d were removed, but %d are left: %+v", rows, removed, selection.Count(), selection.Explain())
	}
}
