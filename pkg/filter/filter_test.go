package filter

import (
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

func TestFilterSelects(t *testing.T) {
	items := &schema.Schema{Type: schema.Items, Fields: []schema.Field{{Name: "ITEM_ID"}, {Name: "GENRES", Categorical: true}, {Name: "YEAR", Kind: schema.Int}}}
	schemas := Schemas{"ITEMS": items, "INTERACTIONS": {Type: schema.Interactions, Fields: []schema.Field{{Name: "EVENT_TYPE"}}}}
	table := NewTable(items)
	table.Put(reco.Entity{ID: "a", Properties: map[string]any{"GENRES": "Comedy|Drama", "YEAR": int64(1970)}})
	table.Put(reco.Entity{ID: "b", Properties: map[string]any{"GENRES": "Drama", "YEAR": int64(1980)}})
	table.Add("c")
	subject := Subject{History: []reco.RecentInteraction{{ItemID: "b", EventType: "Click"}}}
	for _, c := range []struct {
		text string
		want []string
	}{
		{`INCLUDE ItemID WHERE Items.GENRES IN ("Comedy")`, []string{"a"}},
		{`INCLUDE ItemID WHERE Items.GENRES NOT IN ("Comedy")`, []string{"b", "c"}},
		{`EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`, []string{"a", "c"}},
		{`include itemid where interactions.event_type not in ("view")`, []string{"b"}},
		{`INCLUDE ItemID WHERE Items.YEAR > 1970 | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`, nil},
	} {
		f, err := Compile(c.text, schemas)
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.Bind(nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for row := range b.Select(table, subject).Rows() {
			got = append(got, table.ID(row))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.text, got, c.want)
		}
	}
}
