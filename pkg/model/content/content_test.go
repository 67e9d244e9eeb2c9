package content_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

func build(t *testing.T, s *schema.Schema, rows ...reco.Entity) (*trainingset.Set, *model.Items) {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{ItemSchema: s})
	for _, e := range rows {
		b.AddItem(e)
	}
	b.Add(&reco.Interaction{UserID: "u", ItemID: "unknown"}) // the most popular, without metadata
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	items, _ := model.Popular(ts)
	return ts, items
}

var films = []reco.Entity{
	{
		ID: "a",
		Properties: map[string]any{
			"GENRE": "Comedy|Action|Comedy", "YEAR": int64(1990), "ADULT": false, "PLOT": "A man walks into a bar",
			"SKU": "x1", "CREATION_TIMESTAMP": int64(5),
		},
	},
	{
		ID: "b",
		Properties: map[string]any{
			"GENRE": "Drama", "YEAR": int64(2020), "ADULT": true, "PLOT": nil, "SKU": "x2",
			"CREATION_TIMESTAMP": int64(6),
		},
	},
}

var filmSchema = &schema.Schema{Type: schema.Items, Fields: []schema.Field{
	{Name: "ITEM_ID"}, {Name: "GENRE", Categorical: true}, {Name: "YEAR", Kind: schema.Int},
	{Name: "ADULT", Kind: schema.Boolean},
	{Name: "PLOT", Textual: true, Nullable: true}, {Name: "SKU"}, {Name: "CREATION_TIMESTAMP", Kind: schema.Long},
}}

func TestColumns(t *testing.T) {
	t.Parallel()
	ts, _ := build(t, filmSchema, films...)
	want := map[string]content.Sort{
		"GENRE": content.Category, "YEAR": content.Number, "ADULT": content.Category, "PLOT": content.Prose,
		"SKU": content.Ignored, "CREATION_TIMESTAMP": content.Ignored,
	}
	if diff := cmp.Diff(want, content.Columns(ts)); diff != "" {
		t.Errorf("declared columns differ (-want +got):\n%s", diff)
	}
	// Without a schema, a string that is not prose can only be a category.
	ts, _ = build(t, nil, films...)
	want["SKU"] = content.Category
	if diff := cmp.Diff(want, content.Columns(ts)); diff != "" {
		t.Errorf("judged columns differ (-want +got):\n%s", diff)
	}
}

// A file without a schema gives texts only.
func TestColumnsOfTexts(t *testing.T) {
	t.Parallel()
	ts, _ := build(t, nil,
		reco.Entity{ID: "a", Properties: map[string]any{"YEAR": "1995", "PRICE": "9", "BRAND": "17", "GENRE": "1|2"}},
		reco.Entity{ID: "b", Properties: map[string]any{"YEAR": "2001", "PRICE": "9.5", "BRAND": "1900", "GENRE": "2"}})
	want := map[string]content.Sort{
		"YEAR": content.Number, "PRICE": content.Number, "BRAND": content.Category, "GENRE": content.Category,
		"CREATION_TIMESTAMP": content.Ignored,
	}
	if diff := cmp.Diff(want, content.Columns(ts)); diff != "" {
		t.Errorf("judged columns differ (-want +got):\n%s", diff)
	}
}

func TestWhatItemsHave(t *testing.T) {
	t.Parallel()
	ts, items := build(t, filmSchema, films...)
	wantCategories := [][]string{
		nil, {"ADULT=false", "GENRE=Action", "GENRE=Comedy", "YEAR#0"}, {"ADULT=true", "GENRE=Drama", "YEAR#1"},
	}
	if diff := cmp.Diff(wantCategories, content.Categories(ts, items)); diff != "" {
		t.Errorf("categories differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"", "A man walks into a bar", ""}, content.Texts(ts, items)); diff != "" {
		t.Errorf("texts differ (-want +got):\n%s", diff)
	}
	wantHolders := map[model.Attribute][]int32{
		{Column: "GENRE", Value: "Comedy"}: {1}, {Column: "GENRE", Value: "Action"}: {1},
		{Column: "GENRE", Value: "Drama"}: {2},
		{Column: "YEAR", Value: "1990"}:   {1}, {Column: "YEAR", Value: "2020"}: {2},
		{Column: "ADULT", Value: "false"}: {1},
		{Column: "ADULT", Value: "true"}:  {2}, {Column: "SKU", Value: "x1"}: {1}, {Column: "SKU", Value: "x2"}: {2},
	}
	if diff := cmp.Diff(wantHolders, content.Attributes(ts, items)); diff != "" {
		t.Errorf("attributes differ (-want +got):\n%s", diff)
	}
}

func TestHas(t *testing.T) {
	t.Parallel()
	ts, _ := build(t, filmSchema, films...)
	if !content.Has(ts, content.Prose) {
		t.Error("there is prose")
	}
	ts, _ = build(t, filmSchema, films[1]) // whose PLOT is null
	if content.Has(ts, content.Prose) {
		t.Error("there is no prose")
	}
}

func TestNearestByHand(t *testing.T) {
	t.Parallel()
	// x is in two of four items, y in two, z in one; "all" is in all, which says nothing.
	v := content.NewCategoryVectors([][]string{{"all", "x", "y"}, {"all", "x"}, {"all", "y", "z"}, {"all"}}, 100)
	got, err := v.Nearest(t.Context(), 10, 2, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	two, one := math.Log(1+4./2), math.Log(1+4./1)
	first := math.Hypot(two, two)
	want := []map[int32]float64{
		{1: two / first, 2: two / first * two / math.Hypot(two, one)}, {0: two / first},
		{0: two / first * two / math.Hypot(two, one)}, {},
	}
	for i, near := range got {
		if len(near) != len(want[i]) {
			t.Errorf("item %d is near %v, want %v", i, near, want[i])
		}
		for _, n := range near {
			if math.Abs(float64(n.Score)-want[i][n.Item]) > 1e-6 {
				t.Errorf("items %d and %d have cosine %g, want %g", i, n.Item, n.Score, want[i][n.Item])
			}
		}
	}
}

func TestNearestKeepsTheBest(t *testing.T) {
	t.Parallel()
	v := content.NewCategoryVectors([][]string{{"a", "b"}, {"a"}, {"a", "b"}, {"c"}, {"c"}, {"d"}, {"e"}}, 100)
	got, err := v.Nearest(t.Context(), 1, 1, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(got[0]) != 1 || got[0][0].Item != 2 {
		t.Errorf("nearest to the first is %v, want the third alone", got[0])
	}
}
