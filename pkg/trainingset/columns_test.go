package trainingset

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

func TestColumnsHideWhatModelsMayNotSee(t *testing.T) {
	t.Parallel()
	value := 2.0
	items := &schema.Schema{
		Type:   schema.Items,
		Fields: []schema.Field{{Name: "ITEM_ID"}, {Name: "GENRES"}, {Name: "PRICE", Kind: schema.Float}},
	}
	build := func(columns Columns) *Set {
		b := NewBuilder(Options{EventType: "view", EventValueThreshold: &value, Columns: columns, ItemSchema: items})
		b.Add(&reco.Interaction{UserID: "u", ItemID: "a", EventType: "view", EventValue: &value})
		b.Add(&reco.Interaction{UserID: "u", ItemID: "b", EventType: "buy", EventValue: &value})
		b.AddItem(reco.Entity{ID: "a", Properties: map[string]any{"GENRES": "x", "PRICE": 2.5}})
		b.AddUser(reco.Entity{ID: "u", Properties: map[string]any{"AGE": int64(3)}})
		b.AddAction(reco.Entity{ID: "call", Properties: map[string]any{"VALUE": int64(1)}})
		ts, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ts.Items, []string{"a"}) {
			t.Fatalf("items %v: what is hidden still selects", ts.Items)
		}
		return ts
	}
	type seen struct {
		Item, User, Action map[string]any
		Schema             []string
		Types              []string
		Value              bool
	}
	all := seen{
		map[string]any{"GENRES": "x", "PRICE": 2.5}, map[string]any{"AGE": int64(3)}, map[string]any{"VALUE": int64(1)},
		[]string{"ITEM_ID", "GENRES", "PRICE"}, []string{"view"}, true,
	}
	for name, c := range map[string]struct {
		columns Columns
		want    func(*seen)
	}{
		"all": {Columns{}, func(*seen) {}},
		"an item's column": {Columns{Excluded: map[string][]string{"ITEMS": {"price"}}}, func(s *seen) {
			s.Item, s.Schema = map[string]any{"GENRES": "x"}, []string{"ITEM_ID", "GENRES"}
		}},
		"all but one": {Columns{Included: map[string][]string{"ITEMS": {"PRICE"}}}, func(s *seen) {
			s.Item, s.Schema = map[string]any{"PRICE": 2.5}, []string{"ITEM_ID", "PRICE"}
		}},
		"users and actions": {Columns{
			Excluded: map[string][]string{"USERS": {"AGE"}, "ACTIONS": {"VALUE"}},
		}, func(s *seen) {
			s.User, s.Action = map[string]any{}, map[string]any{}
		}},
		"types and values": {Columns{
			Excluded: map[string][]string{"INTERACTIONS": {"EVENT_TYPE", "EVENT_VALUE"}},
		}, func(s *seen) {
			s.Types, s.Value = []string{""}, false
		}},
		"nothing of interactions": {Columns{Included: map[string][]string{"INTERACTIONS": {}}}, func(s *seen) {
			s.Types, s.Value = []string{""}, false
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ts := build(c.columns)
			got := seen{
				Item: ts.ItemRows[0].Properties, User: ts.UserRows[0].Properties, Action: ts.Actions.Rows[0].Properties,
				Types: ts.EventTypes, Value: !math.IsNaN(float64(ts.Value[0])),
			}
			for _, f := range ts.ItemSchema.Fields {
				got.Schema = append(got.Schema, f.Name)
			}
			want := all
			c.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.columns, ts.Columns); diff != "" {
				t.Errorf("recorded: %s", diff)
			}
		})
	}
}

func TestEventRules(t *testing.T) {
	t.Parallel()
	four := 4.0
	of := func(n int64, kind string, value float64) reco.Interaction {
		i := imported(n, "u", string(rune('a'+n)), n)
		i.EventType, i.EventValue = kind, &value
		return i
	}
	events := []reco.Interaction{
		of(0, "click", 1), of(1, "buy", 1), of(2, "buy", 4), of(3, "view", 9), of(4, "Click", 1),
	}
	for _, c := range []struct {
		rules  []EventRule
		want   string
		weight []float32
	}{
		{nil, "u: a b c d e", nil},
		{[]EventRule{{Type: "click", Weight: 1}, {Type: "buy", Weight: 1}}, "u: a b c", nil},
		{[]EventRule{{Type: "click", Weight: 0.1}, {Type: "buy", Weight: 0.4}}, "u: a b c", []float32{0.25, 1, 1}},
		{
			[]EventRule{{Type: "click", Weight: 0.1}, {Type: "buy", Threshold: &four, Weight: 0.2}}, "u: a c",
			[]float32{0.5, 1},
		},
		{[]EventRule{{Type: "click", Weight: 0}, {Type: "buy", Weight: 0.2}}, "u: b c", nil},
		{[]EventRule{{Type: "view", Weight: 0}}, "", nil},
	} {
		ts := build(t, Options{Events: c.rules}, events...)
		if got := histories(ts); got != c.want || !slices.Equal(ts.Weight, c.weight) {
			t.Errorf("%+v: %s with %v, want %s with %v", c.rules, got, ts.Weight, c.want, c.weight)
		}
	}
}
