package filter_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/filter/filtertest"
	"github.com/penchant-io/penchant/pkg/schema"
)

// FuzzCompile holds Compile to never panicking, to errors that stand within the expression, and to filters that,
// printed, compile to the same.
func FuzzCompile(f *testing.F) {
	for _, c := range filtertest.Cases() {
		f.Add(c.Expression)
	}
	for _, c := range filtertest.InvalidExpressions() {
		f.Add(c.Expression)
	}
	f.Add(strings.Repeat("\x9c", 2*filter.MaxExpression))
	schemas := filtertest.Schemas()
	f.Fuzz(func(t *testing.T, text string) {
		compiled, err := filter.Compile(text, schemas)
		var wrong *filter.Error
		if errors.As(err, &wrong) {
			if wrong.Offset < 0 || wrong.Offset > len(text) || wrong.Message == "" {
				t.Fatalf("%q: error %+v", text, wrong)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: an error of another type: %v", text, err)
		}
		again, err := filter.Compile(compiled.String(), schemas)
		if err != nil {
			if len(compiled.String()) > filter.MaxExpression {
				return
			}
			t.Fatalf("%q is printed as %q, which fails: %v", text, compiled, err)
		}
		if again.String() != compiled.String() {
			t.Fatalf("%q is printed as %q, and that as %q", text, compiled, again)
		}
		for _, of := range []func(*filter.Filter) any{
			func(f *filter.Filter) any { return f.Target() },
			func(f *filter.Filter) any { return f.Parameters() },
			func(f *filter.Filter) any { return f.Fields() },
			func(f *filter.Filter) any { return f.UsesCurrentItem() },
		} {
			if !reflect.DeepEqual(of(compiled), of(again)) {
				t.Fatalf("%q has %v, but printed and compiled again %v", text, of(compiled), of(again))
			}
		}
	})
}

// FuzzBind holds Bind to never panicking, and to values that can be evaluated.
func FuzzBind(f *testing.F) {
	for _, c := range filtertest.Cases() {
		for _, value := range c.Values {
			f.Add(value)
		}
	}
	for _, c := range filtertest.InvalidValues() {
		for _, value := range c.Values {
			f.Add(value)
		}
	}
	var filters []*filter.Filter
	for _, text := range []string{
		`INCLUDE ItemID WHERE Items.GENRES IN ($P)`, `EXCLUDE ItemID WHERE Items.STOCK = $P`, `INCLUDE ItemID WHERE Items.SERIAL IN ($P)`,
		`INCLUDE ItemID WHERE Items.PRICE < $P`, `INCLUDE ItemID WHERE Interactions.EVENT_TYPE NOT IN ($P)`, `INCLUDE ItemID WHERE Items.ITEM_ID IN ($P)`,
		`EXCLUDE ItemID WHERE Items.PRICE < 10 IF CurrentUser.AGE = $P`,
	} {
		compiled, err := filter.Compile(text, filtertest.Schemas())
		if err != nil {
			f.Fatal(err)
		}
		filters = append(filters, compiled)
	}
	table := filtertest.Table(schema.Items)
	subject := filtertest.Subject("ann", "i01")
	f.Fuzz(func(t *testing.T, value string) {
		for _, compiled := range filters {
			b, err := compiled.Bind(map[string]string{"P": value})
			var wrong *filter.Error
			if errors.As(err, &wrong) {
				if wrong.Parameter != "P" || wrong.Offset < 0 || wrong.Offset > len(value) || wrong.Message == "" {
					t.Fatalf("%s with %q: error %+v", compiled, value, wrong)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s with %q: an error of another type: %v", compiled, value, err)
			}
			if n := b.Select(table, subject).Count(); n < 0 || n > table.Len() {
				t.Fatalf("%s with %q selects %d rows", compiled, value, n)
			}
		}
	})
}

// FuzzSelect compares Select with an evaluation row by row, for filters, schemas, records and subjects made from the
// fuzzer's bytes.
func FuzzSelect(f *testing.F) {
	for i := range 20 {
		f.Add(fmt.Appendf(nil, "%d", i))
	}
	f.Fuzz(func(t *testing.T, data []byte) { compareScenario(t, data) })
}

func compareScenario(t *testing.T, data []byte) {
	s := newScenario(data)
	compiled, err := filter.Compile(s.text, s.schemas)
	if err != nil {
		var wrong *filter.Error
		if errors.As(err, &wrong) && (len(s.text) > filter.MaxExpression || strings.HasSuffix(wrong.Message, "different fields")) {
			return
		}
		t.Fatalf("compiling %s: %v", s.text, err)
	}
	bound, err := compiled.Bind(s.values)
	if err != nil {
		t.Fatalf("binding %v to %s: %v", s.values, s.text, err)
	}
	selection := bound.Select(s.table, s.subject)
	want, verdicts := s.judge()
	for row, id := range s.ids {
		if s.table.ID(int32(row)) != id {
			t.Fatalf("row %d is %s, want %s", row, s.table.ID(int32(row)), id)
		}
		if selection.Has(int32(row)) != want[id] {
			t.Fatalf("%s\nwith %v\nselects row %s: %v, want %v\nrecord %v\nsubject %+v", s.text, s.values, id, selection.Has(int32(row)), want[id], s.records[id], s.subject)
		}
		for _, f := range s.schemas[s.target.DatasetType()].Fields {
			if got := s.table.Attribute(int32(row), f.Name); got != s.records[id][f.Name] {
				t.Fatalf("%s of %s is %v, want %v", f.Name, id, got, s.records[id][f.Name])
			}
		}
	}
	if selection.Count() != len(want) {
		t.Fatalf("%s selects %d rows, want %d", s.text, selection.Count(), len(want))
	}
	removed := 0
	for i, c := range selection.Explain() {
		removed += c.Removed
		if c.Applied() != verdicts[i].applies || c.Matched != len(verdicts[i].matched) {
			t.Fatalf("expression %d of %s: explained as %+v, want %v and %d rows", i, s.text, c, verdicts[i].applies, len(verdicts[i].matched))
		}
	}
	if len(s.ids)-removed != len(want) {
		t.Fatalf("%s: %d of %d rows removed, %d left", s.text, removed, len(s.ids), len(want))
	}
	again, err := filter.Compile(compiled.String(), s.schemas)
	if err != nil {
		if len(compiled.String()) > filter.MaxExpression {
			return
		}
		t.Fatalf("compiling %s: %v", compiled, err)
	}
	rebound, err := again.Bind(s.values)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Collect(rebound.Select(s.table, s.subject).Rows()), slices.Collect(selection.Rows())) {
		t.Fatalf("%s selects other rows than %s", compiled, s.text)
	}
}

// TestSelectAgainstRows runs what FuzzSelect does on some hundred scenarios.
func TestSelectAgainstRows(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	for range 600 {
		data := make([]byte, random.IntN(8))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		compareScenario(t, data)
	}
}
