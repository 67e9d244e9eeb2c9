package attributes

import (
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Strings that no filter can spell cost a table little, equal what they equalled, and are whole where they are shown.
func TestLongStringsAreKeptShort(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse(`{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","version":"1.0","fields":[
		{"name":"ITEM_ID","type":"string"},{"name":"NOTE","type":["null","string"]}]}`, "")
	if err != nil {
		t.Fatal(err)
	}
	long, other := strings.Repeat("n", 1<<20), strings.Repeat("n", 1<<20)+"o"
	spelt := strings.Repeat("é", longestSpelt/2) // as long as an expression
	for _, whole := range []bool{false, true} {
		table := newTable(s, whole, &budget{})
		notes := map[string]string{"a": long, "b": long, "c": other, "d": spelt}
		for id, note := range notes {
			if err := table.put(reco.Entity{ID: id, Properties: map[string]any{"NOTE": note}}, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
		kept := func(id string) string {
			row, _ := table.Row(id)
			note, _ := table.Attribute(row, "NOTE").(string)
			return note
		}
		if kept("a") != kept("b") || kept("a") == kept("c") || kept("d") != spelt {
			t.Errorf("whole %v: equal strings differ, others are equal, or one that a filter spells is changed", whole)
		}
		if whole {
			for id, note := range notes {
				if kept(id) != note {
					t.Errorf("%s is not shown as it was put", id)
				}
			}
		} else if table.bytes > 2*longestSpelt {
			t.Errorf("the table takes %d bytes", table.bytes)
		}
	}
}
