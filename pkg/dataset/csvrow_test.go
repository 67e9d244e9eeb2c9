package dataset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// What is written as CSV is imported as what it was.
func TestRowsComeBackThroughCSV(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	events, err := schema.Parse(`{"type":"record","name":"Interactions","namespace":"x","fields":[
		{"name":"TIMESTAMP","type":"long"},{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},
		{"name":"EVENT_TYPE","type":"string"},{"name":"EVENT_VALUE","type":["float","null"]},{"name":"IMPRESSION","type":["null","string"]},
		{"name":"RECOMMENDATION_ID","type":["null","string"]},{"name":"DEVICE","type":["null","string"],"categorical":true},
		{"name":"PAGES","type":["null","int"]},{"name":"PAID","type":["null","boolean"]}],"version":"1.0"}`, "")
	if err != nil {
		t.Fatal(err)
	}
	big, small := 1e21, -0.1
	interactions := []reco.Interaction{
		{UserID: "a,b", ItemID: `i"1"`, TimestampMS: 1_700_000_000_000, EventType: "click\nhere", EventValue: &big, Impression: []string{"x", "y z"},
			RecommendationID: "RID-1", Properties: map[string]any{"DEVICE": "a|b", "PAGES": int64(-3), "PAID": true}},
		{
			UserID: "ü", ItemID: ` i\2 `, TimestampMS: -1000, EventType: "view", EventValue: &small,
			Properties: map[string]any{"DEVICE": nil, "PAGES": nil, "PAID": false},
		},
		{
			UserID: "u", ItemID: "i", TimestampMS: 0, EventType: "view",
			Properties: map[string]any{"DEVICE": nil, "PAGES": nil, "PAID": nil},
		},
	}
	rows := NewCSVRows(events)
	csv := rows.Header()
	for i := range interactions {
		csv = rows.AppendInteraction(csv, &interactions[i])
	}
	s.put("in/events.csv", string(csv))
	v := s.mustImport(s.request(events, "in/events.csv"))
	var got []reco.Interaction
	for i, err := range Interactions(t.Context(), s.bucket, v) {
		if err != nil {
			t.Fatal(err)
		}
		i.EventID = ""
		for name, value := range map[string]any{"DEVICE": nil, "PAGES": nil, "PAID": nil} {
			if _, ok := i.Properties[name]; !ok {
				if i.Properties == nil {
					i.Properties = map[string]any{}
				}
				i.Properties[name] = value
			}
		}
		got = append(got, i)
	}
	if diff := cmp.Diff(interactions, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("interactions (-written +imported):\n%s", diff)
	}

	items, err := schema.Parse(`{"type":"record","name":"Items","namespace":"x","fields":[
		{"name":"ITEM_ID","type":"string"},{"name":"TEXT","type":["null","string"],"textual":true},{"name":"PRICE","type":"double"},
		{"name":"NOTE","type":["null","string"]}],"version":"1.0"}`, "")
	if err != nil {
		t.Fatal(err)
	}
	entities := []reco.Entity{
		{
			ID:         "1",
			Properties: map[string]any{"TEXT": `a \ "quoted" \\ path, C:\new`, "PRICE": 0.1, "NOTE": `raw \" stays`},
		},
		{ID: "2", Properties: map[string]any{"TEXT": `ends with \`, "PRICE": 1e-9, "NOTE": "line\nbreak"}},
	}
	rows = NewCSVRows(items)
	csv = rows.Header()
	for i := range entities {
		csv = rows.AppendEntity(csv, &entities[i])
	}
	s.put("in/items.csv", string(csv))
	v = s.mustImport(s.request(items, "in/items.csv"))
	var back []reco.Entity
	for e, err := range Entities(t.Context(), s.bucket, v) {
		if err != nil {
			t.Fatal(err)
		}
		back = append(back, e)
	}
	if diff := cmp.Diff(entities, back); diff != "" {
		t.Errorf("items (-written +imported):\n%s", diff)
	}
}
