package filter

import (
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

var tableSchema = &schema.Schema{Type: schema.Items, Fields: []schema.Field{
	{Name: "ITEM_ID"}, {Name: "TAGS", Categorical: true}, {Name: "NAME"}, {Name: "PRICE", Kind: schema.Float}, {Name: "YEAR", Kind: schema.Int},
	{Name: "ADULT", Kind: schema.Boolean}, {Name: "ABOUT", Textual: true},
}}

func TestRowSetIsASet(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 3000, 100_000} {
		random := rand.New(rand.NewPCG(3, uint64(size)))
		var set rowSet
		want := make(map[int32]bool)
		denseOnce, sparseAgain := false, false
		for step := range 30_000 {
			row := int32(random.IntN(size))
			// A long time of adding, then one of removing, so that the set becomes bits and a list again.
			if add := step/6000%2 == 0; add == (random.IntN(5) > 0) {
				set.add(row)
				want[row] = true
			} else {
				for range 4 {
					set.remove(row)
					delete(want, row)
					row = int32(random.IntN(size))
				}
			}
			denseOnce = denseOnce || set.dense != nil
			sparseAgain = sparseAgain || denseOnce && set.dense == nil
			if step%500 == 0 {
				checkRowSet(t, &set, want, size)
			}
		}
		checkRowSet(t, &set, want, size)
		if size == 3000 && (!denseOnce || !sparseAgain) {
			t.Errorf("the set was bits: %v, and a list again: %v", denseOnce, sparseAgain)
		}
	}
}

func checkRowSet(t *testing.T, set *rowSet, want map[int32]bool, size int) {
	t.Helper()
	b := make(bitset, words(size))
	set.addTo(b)
	if got, rows := slices.Collect(b.rows()), slices.Sorted(maps.Keys(want)); !slices.Equal(got, rows) || set.size != len(rows) {
		t.Fatalf("the set has %d rows and says %d, want %d", len(got), set.size, len(rows))
	}
}

func TestPutReplacesTheWholeRecord(t *testing.T) {
	t.Parallel()
	table := NewTable(tableSchema)
	full := map[string]any{"TAGS": "a||b|a", "NAME": "x|y", "PRICE": 1.5, "YEAR": int64(1970), "ADULT": false, "ABOUT": ""}
	want := func(record map[string]any) {
		t.Helper()
		row, ok := table.Row("i")
		if !ok || row != 1 || table.ID(row) != "i" || table.Len() != 3 {
			t.Fatalf("row %d (%v) of %d", row, ok, table.Len())
		}
		for _, f := range tableSchema.Fields {
			if got := table.Attribute(row, f.Name); got != record[f.Name] {
				t.Errorf("%s is %#v, want %#v", f.Name, got, record[f.Name])
			}
		}
	}
	table.Add("h", "i", "j", "i")
	want(nil)
	table.Put(reco.Entity{ID: "i", Properties: full})
	want(full)
	table.Add("i")
	want(full)
	table.Put(reco.Entity{ID: "i", Properties: map[string]any{"TAGS": "b", "YEAR": int64(7), "MORE": "not in the schema", "NAME": nil, "ADULT": true, "ABOUT": "long"}})
	want(map[string]any{"TAGS": "b", "YEAR": int64(7), "ADULT": true, "ABOUT": "long"})
	// Values of another type, as an older schema may have left them: what fits is kept.
	table.Put(reco.Entity{ID: "i", Properties: map[string]any{"TAGS": int64(3), "PRICE": int64(3), "YEAR": 8.0, "ADULT": "yes"}})
	want(map[string]any{"PRICE": 3.0, "YEAR": int64(8)})
	table.Put(reco.Entity{ID: "i", Properties: map[string]any{"YEAR": 8.5}})
	want(nil)
	if _, ok := table.Row("k"); ok {
		t.Error("there is a row for an id never put")
	}
	if got := table.Attribute(0, "NOPE"); got != nil {
		t.Errorf("an unknown column holds %v", got)
	}
}

func TestTableWithoutSchema(t *testing.T) {
	t.Parallel()
	table := NewTable(nil)
	table.Put(reco.Entity{ID: "a", Properties: map[string]any{"X": "y"}})
	table.Add("b")
	if table.Len() != 2 || table.Attribute(0, "X") != nil {
		t.Errorf("%d rows, X is %v", table.Len(), table.Attribute(0, "X"))
	}
	if got := mustBind(t, `EXCLUDE ItemID WHERE Items.TAGS IN ("y")`).Select(table, Subject{}).Count(); got != 2 {
		t.Errorf("a filter leaves %d rows, want 2", got)
	}
	if got := mustBind(t, `INCLUDE ItemID WHERE Items.YEAR > 1`).Select(NewTable(tableSchema), Subject{}).Count(); got != 0 {
		t.Errorf("an empty table has %d selected rows", got)
	}
}

func TestStringsThatNoRowHasAreForgotten(t *testing.T) {
	t.Parallel()
	table := NewTable(tableSchema)
	for i := range 20_000 {
		table.Put(reco.Entity{ID: fmt.Sprint(i % 10), Properties: map[string]any{"NAME": fmt.Sprint("name ", i), "TAGS": fmt.Sprintf("t%d|u%d|common", i, i)}})
	}
	for name, most := range map[string]int{"NAME": 20, "TAGS": 40} {
		c := table.columns[name].(*textColumn)
		if len(c.numbers) > most || len(c.strings) > most || len(c.lists) > 4096 {
			t.Errorf("%s keeps %d strings in %d places and %d list entries", name, len(c.numbers), len(c.strings), len(c.lists))
		}
	}
	if got := table.Attribute(3, "TAGS"); got != "t19993|u19993|common" {
		t.Errorf("TAGS is %v", got)
	}
}

// TestSelectManyRows has rows enough for each form of posting lists and for whole blocks of numbers.
func TestSelectManyRows(t *testing.T) {
	t.Parallel()
	const rows = 50_001
	table := NewTable(tableSchema)
	put := func(row int, tags string) {
		table.Put(reco.Entity{ID: fmt.Sprint(row), Properties: map[string]any{"TAGS": tags, "YEAR": int64(row), "PRICE": float64(row) / 2}})
	}
	for row := range rows {
		put(row, "all|wrong")
	}
	tags := func(row int) string {
		list := []string{"all"}
		for _, n := range []int{2, 3, 50, 1000} {
			if row%n == 0 {
				list = append(list, fmt.Sprint("every", n))
			}
		}
		return strings.Join(list, "|")
	}
	for row := range rows {
		put(row, tags(row))
	}
	for _, c := range []struct {
		where string
		holds func(row int) bool
	}{
		{`Items.TAGS IN ("all")`, func(int) bool { return true }},
		{`Items.TAGS IN ("wrong")`, func(int) bool { return false }},
		{`Items.TAGS NOT IN ("wrong")`, func(int) bool { return true }},
		{`Items.TAGS NOT IN ("every2")`, func(row int) bool { return row%2 != 0 }},
		{`Items.TAGS IN ("every2") AND Items.TAGS IN ("every3")`, func(row int) bool { return row%6 == 0 }},
		{`Items.TAGS IN ("every50") AND Items.TAGS NOT IN ("every3", "every1000")`, func(row int) bool { return row%50 == 0 && row%3 != 0 && row%1000 != 0 }},
		{`Items.TAGS IN ("every1000") OR Items.TAGS IN ("every3")`, func(row int) bool { return row%1000 == 0 || row%3 == 0 }},
		{`Items.YEAR < 1000 AND Items.TAGS IN ("every50")`, func(row int) bool { return row < 1000 && row%50 == 0 }},
		{`Items.YEAR >= 49999`, func(row int) bool { return row >= 49999 }},
		{`Items.PRICE > 24999.5`, func(row int) bool { return float64(row)/2 > 24999.5 }},
		{`Items.PRICE >= 10 AND Items.PRICE < 20 AND Items.YEAR != 30`, func(row int) bool { return row >= 20 && row < 40 && row != 30 }},
		{`Items.YEAR IN (1,64,65,50000,77777)`, func(row int) bool { return slices.Contains([]int{1, 64, 65, 50000}, row) }},
		{`Items.YEAR NOT IN (0,1,2,3,4,5,6,7,8,9,10,11,12,13,64)`, func(row int) bool { return row > 13 && row != 64 }},
	} {
		selection := mustBind(t, "INCLUDE ItemID WHERE "+c.where).Select(table, Subject{})
		count := 0
		for row := range rows {
			if selection.Has(int32(row)) != c.holds(row) {
				t.Fatalf("%s: row %d is selected: %v", c.where, row, selection.Has(int32(row)))
			}
			if c.holds(row) {
				count++
			}
		}
		if selection.Count() != count {
			t.Errorf("%s: %d rows, want %d", c.where, selection.Count(), count)
		}
		if opposite := mustBind(t, "EXCLUDE ItemID WHERE "+c.where).Select(table, Subject{}).Count(); opposite != rows-count {
			t.Errorf("%s: EXCLUDE leaves %d rows, want %d", c.where, opposite, rows-count)
		}
	}
}

func TestSelectionDoesNotChange(t *testing.T) {
	t.Parallel()
	table := NewTable(tableSchema)
	for i := range 70 {
		table.Put(reco.Entity{ID: fmt.Sprint(i), Properties: map[string]any{"NAME": "x"}})
	}
	selection := mustBind(t, `INCLUDE ItemID WHERE Items.NAME IN ("x")`).Select(table, Subject{})
	table.Put(reco.Entity{ID: "0"})
	table.Put(reco.Entity{ID: "new", Properties: map[string]any{"NAME": "x"}})
	table.Add(slices.Collect(func(yield func(string) bool) {
		for i := range 200 {
			if !yield(fmt.Sprint("more", i)) {
				return
			}
		}
	})...)
	if !selection.Has(0) || selection.Has(70) || selection.Has(200) || selection.Has(-1) || selection.Count() != 70 || len(slices.Collect(selection.Rows())) != 70 {
		t.Errorf("the selection changed with the table: %d rows", selection.Count())
	}
}

// TestSelectWhileRecordsArrive has one writer and several readers; each record says the same in three columns, so a
// reader that met half of one would see it.
func TestSelectWhileRecordsArrive(t *testing.T) {
	t.Parallel()
	table := NewTable(tableSchema)
	torn := mustBind(t, `INCLUDE ItemID WHERE Items.TAGS IN ("even") AND Items.YEAR != 0 | INCLUDE ItemID WHERE Items.TAGS IN ("odd") AND Items.NAME != "odd"`)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				if n := torn.Select(table, Subject{}).Count(); n != 0 {
					t.Errorf("%d torn records", n)
				}
				if n := table.Len(); n > 0 {
					table.Attribute(int32(n-1), "TAGS")
					if row, ok := table.Row(table.ID(int32(n - 1))); !ok || row != int32(n-1) {
						t.Errorf("row %d (%v), want %d", row, ok, n-1)
					}
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(5, 5))
	for i := range 6000 {
		parity := int64(random.IntN(2))
		name := []string{"even", "odd"}[parity]
		table.Put(reco.Entity{ID: fmt.Sprint(random.IntN(i + 1)), Properties: map[string]any{"TAGS": name + "|all", "NAME": name, "YEAR": parity}})
	}
	close(done)
	readers.Wait()
}

func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0", "-0", "+7", "7.", "7.0", "-7.5", "1e3", "1E+3", "12.5e1", "1e-3", "-1e-3", "123e-2", "1e18", "1e19", "-1e19", "9223372036854775807", "9223372036854775807.000",
		"9223372036854775807.5", "9223372036854775808", "-9223372036854775808", "-9223372036854775808.5", "-9223372036854775809", "922337203685477580.7e1", "1e308", "-1e308", "5e-324", "1e-400", "000123", "0.0000000000000000000000001e25"} {
		n, err := parseNumber(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		exact, _ := new(big.Rat).SetString(text)
		if n.beyond != 0 {
			if beyond := beyondInt64(exact); beyond != n.beyond {
				t.Errorf("%s lies beyond int64 on side %d, want %d", text, n.beyond, beyond)
			}
			continue
		}
		floor := new(big.Rat).SetInt64(n.floor)
		next := new(big.Rat).Add(floor, big.NewRat(1, 1))
		if floor.Cmp(exact) > 0 || next.Cmp(exact) <= 0 || n.integral != (floor.Cmp(exact) == 0) {
			t.Errorf("%s has the floor %d, itself: %v", text, n.floor, n.integral)
		}
	}
	for _, text := range []string{"", "-", "+", ".", ".5", "e5", "1e", "1e+", "1e5.5", "--1", "+-1", "1 ", " 1", "1_000", "0x1p4", "Inf", "nan", "1.5.5", "1e400", "-1e400", "१"} {
		if n, err := parseNumber(text); err == nil {
			t.Errorf("%q is read as %+v", text, n)
		}
	}
}

// beyondInt64 is the side on which no integer lies between the number and the ends of int64.
func beyondInt64(exact *big.Rat) int {
	switch {
	case exact.Cmp(new(big.Rat).SetInt64(1<<63-1)) > 0:
		return 1
	case exact.Cmp(new(big.Rat).SetInt64(-1<<63)) < 0:
		return -1
	}
	return 0
}

func mustBind(t *testing.T, text string) *Bound {
	t.Helper()
	f, err := Compile(text, Schemas{"ITEMS": tableSchema})
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Bind(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
