package eventfile

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

func shopSchema() *schema.Schema {
	return &schema.Schema{Type: "Interactions", Fields: []schema.Field{
		{Name: "USER_ID", Kind: schema.String},
		{Name: "ITEM_ID", Kind: schema.String},
		{Name: "TIMESTAMP", Kind: schema.Long},
		{Name: "EVENT_TYPE", Kind: schema.String},
		{Name: "DEVICE", Kind: schema.String, Nullable: true, Categorical: true},
		{Name: "PRICE", Kind: schema.Float, Nullable: true},
		{Name: "QUANTITY", Kind: schema.Int, Nullable: true},
		{Name: "GIFT", Kind: schema.Boolean, Nullable: true},
		{Name: "SESSION_ID", Kind: schema.String, Nullable: true}, // the name of a fixed column
	}}
}

func randomInteraction(r *rand.Rand, offset int64) reco.Interaction {
	i := reco.Interaction{
		EventID:     fmt.Sprintf("event-%d", offset),
		ItemID:      fmt.Sprintf("item-%d", r.IntN(50)),
		EventType:   []string{"click", "purchase", "Kauf für 5 €"}[r.IntN(3)],
		TimestampMS: r.Int64N(4e12) - 1e12, // also before 1970
		Origin:      reco.Origin{Partition: 3, Offset: offset, Arrival: time.UnixMilli(1.7e12 + offset).UTC()},
	}
	maybe := func(set func()) {
		if r.IntN(2) == 0 {
			set()
		}
	}
	maybe(func() { i.UserID = fmt.Sprintf("user-%d", r.IntN(50)) })
	maybe(func() { i.SessionID = fmt.Sprintf("session-%d", r.IntN(50)) })
	maybe(func() { v := r.NormFloat64(); i.EventValue = &v })
	maybe(func() { i.RecommendationID = fmt.Sprintf("rec-%d", r.IntN(9)) })
	maybe(func() { i.EventAttributionSource = "banner" })
	for range r.IntN(4) {
		i.Impression = append(i.Impression, []string{"item-1", `a|b`, `back\slash`, `\|`, "ü", ""}[r.IntN(6)])
	}
	set := func(name string, value any) {
		if i.Properties == nil {
			i.Properties = map[string]any{}
		}
		i.Properties[name] = value
	}
	maybe(func() { set("DEVICE", []string{"phone", "tablet", ""}[r.IntN(3)]) })
	maybe(func() { set("PRICE", r.NormFloat64()) })
	maybe(func() { set("QUANTITY", r.Int64()-r.Int64()) })
	maybe(func() { set("GIFT", r.IntN(2) == 0) })
	maybe(func() { set("SESSION_ID", strings.Repeat("long ", r.IntN(40))) })
	return i
}

func collect[T any](t *testing.T, rows iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for row, err := range rows {
		if err != nil {
			t.Fatalf("after %d rows: %v", len(all), err)
		}
		all = append(all, row)
	}
	return all
}

func decodedInteractions(t *testing.T, data []byte) []reco.Interaction {
	t.Helper()
	return collect(t, DecodeInteractions(bytes.NewReader(data), int64(len(data))))
}

func TestInteractionsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		var rows []reco.Interaction
		for offset := range r.Int64N(1000) {
			rows = append(rows, randomInteraction(r, offset))
		}
		for name, s := range map[string]*schema.Schema{"schema": shopSchema(), "no schema": nil} {
			data, err := EncodeInteractions(s, rows)
			if err != nil {
				t.Fatalf("seed %d, %s: %v", seed, name, err)
			}
			if diff := cmp.Diff(rows, decodedInteractions(t, data), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("seed %d, %s: (-written +read)\n%s", seed, name, diff)
			}
		}
	}
}

func TestActionInteractionsHaveTheirOwnColumns(t *testing.T) {
	t.Parallel()
	s := &schema.Schema{Type: schema.ActionInteractions, Fields: []schema.Field{
		{Name: "USER_ID", Kind: schema.String}, {Name: "ACTION_ID", Kind: schema.String}, {Name: "TIMESTAMP", Kind: schema.Long},
		{Name: "EVENT_TYPE", Kind: schema.String}, {Name: "EVENT_VALUE", Kind: schema.Float, Nullable: true},
	}}
	rows := []reco.Interaction{
		{EventID: "e1", UserID: "u", ItemID: "offer", EventType: "TAKEN", TimestampMS: 1500, Impression: []string{"offer", "x|y"}, RecommendationID: "r",
			Properties: map[string]any{"EVENT_VALUE": 0.5}, Origin: reco.Origin{Offset: 1, Arrival: time.UnixMilli(9).UTC()}},
		{EventID: "e2", SessionID: "s", ItemID: "offer", EventType: "VIEWED"},
	}
	data, err := EncodeInteractions(s, rows)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, f := range file.Schema().Fields() {
		columns = append(columns, f.Name())
	}
	want := strings.Fields("USER_ID ACTION_ID TIMESTAMP EVENT_TYPE IMPRESSION EVENT_VALUE EVENT_ID SESSION_ID RECOMMENDATION_ID ARRIVAL_TIME EVENT_TIME KAFKA_PARTITION KAFKA_OFFSET")
	if diff := cmp.Diff(want, columns); diff != "" {
		t.Errorf("columns (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(rows, decodedInteractions(t, data)); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
}

func TestImportedRowsHaveNoOrigin(t *testing.T) {
	t.Parallel()
	rows := []reco.Interaction{{UserID: "u", ItemID: "i", EventType: "click", TimestampMS: 1000}}
	data, err := EncodeInteractions(nil, rows)
	if err != nil {
		t.Fatal(err)
	}
	if got := decodedInteractions(t, data)[0].Origin; got != (reco.Origin{}) {
		t.Errorf("origin %+v, want none", got)
	}
}

func TestEntitiesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	items := &schema.Schema{Type: "Items", Fields: []schema.Field{
		{Name: "ITEM_ID", Kind: schema.String},
		{Name: "USER_ID", Kind: schema.String}, // the seller: not the id of an item
		{Name: "DESCRIPTION", Kind: schema.String, Textual: true},
	}}
	rows := []reco.Entity{
		{ID: "a", Properties: map[string]any{"USER_ID": "seller", "DESCRIPTION": strings.Repeat("text ", 3000)}},
		{ID: "b", Origin: reco.Origin{Partition: 1, Offset: 7, Arrival: time.UnixMilli(1.7e12).UTC()}},
	}
	data, err := EncodeEntities(items, rows)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, collect(t, DecodeEntities(bytes.NewReader(data), int64(len(data))))); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
}

func TestAFileWithoutRowsIsReadable(t *testing.T) {
	t.Parallel()
	data, err := EncodeInteractions(shopSchema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if rows := decodedInteractions(t, data); len(rows) != 0 {
		t.Errorf("%d rows, want none", len(rows))
	}
}

func TestValuesThatDoNotFitTheSchemaWidenTheColumn(t *testing.T) {
	t.Parallel()
	property := func(values ...any) (rows []reco.Interaction) {
		for _, v := range values {
			rows = append(rows, reco.Interaction{ItemID: "i", Properties: map[string]any{"QUANTITY": v}})
		}
		return rows
	}
	for _, test := range []struct{ written, read []any }{
		{[]any{int64(1), int64(2)}, []any{int64(1), int64(2)}},
		{[]any{int64(1), 2.5}, []any{1.0, 2.5}},
		{[]any{int64(1), "two", true, 0.5}, []any{"1", "two", "true", "0.5"}},
	} {
		data, err := EncodeInteractions(shopSchema(), property(test.written...))
		if err != nil {
			t.Fatalf("%v: %v", test.written, err)
		}
		if diff := cmp.Diff(property(test.read...), decodedInteractions(t, data)); diff != "" {
			t.Errorf("%v: (-want +got)\n%s", test.written, diff)
		}
	}
}

func TestWhatIsNoColumnIsRefused(t *testing.T) {
	t.Parallel()
	for name, properties := range map[string]map[string]any{
		"name with a comma": {"A,B": "x"},
		"no name":           {"": "x"},
		"name with a dot":   {"A.B": int64(1)},
		"unknown type":      {"A": []int{1}},
	} {
		if _, err := EncodeInteractions(nil, []reco.Interaction{{ItemID: "i", Properties: properties}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestWriterSplitsIntoRowGroupsAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w, err := NewInteractionWriter(&file, nil)
	if err != nil {
		t.Fatal(err)
	}
	const rows = rowGroupRows + 5000
	for i := range rows {
		if err := w.Write(reco.Interaction{EventID: fmt.Sprint(i), ItemID: "i", TimestampMS: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	for row, err := range DecodeInteractions(bytes.NewReader(file.Bytes()), int64(file.Len())) {
		if err != nil {
			t.Fatal(err)
		}
		if row.TimestampMS != next || row.EventID != fmt.Sprint(next) {
			t.Fatalf("row %d is event %s of %d", next, row.EventID, row.TimestampMS)
		}
		next++
	}
	if next != rows {
		t.Errorf("%d rows, want %d", next, rows)
	}
}

func TestFewLongRowsEndARowGroup(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w, err := NewEntityWriter(&file, &schema.Schema{Type: schema.Items, Fields: []schema.Field{
		{Name: "ITEM_ID", Kind: schema.String}, {Name: "NOTE", Kind: schema.String},
	}})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("n", rowGroupBytes/4)
	rows := make([]reco.Entity, 9)
	for i := range rows {
		rows[i] = reco.Entity{ID: fmt.Sprint(i), Properties: map[string]any{"NOTE": long}}
	}
	if err := errors.Join(w.Write(rows...), w.Close()); err != nil {
		t.Fatal(err)
	}
	read, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if groups := len(read.RowGroups()); groups != 3 {
		t.Errorf("nine rows of a quarter of a group each make %d row groups", groups)
	}
}

func TestWriterRefusesUnknownColumns(t *testing.T) {
	t.Parallel()
	w, err := NewInteractionWriter(&bytes.Buffer{}, shopSchema())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(reco.Interaction{ItemID: "i", Properties: map[string]any{"COLOUR": "red"}}); err == nil {
		t.Error("a property without a column was accepted")
	}
}

func TestReadingCanStopEarly(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var rows []reco.Interaction
	for offset := range int64(2000) {
		rows = append(rows, randomInteraction(r, offset))
	}
	data, err := EncodeInteractions(nil, rows)
	if err != nil {
		t.Fatal(err)
	}
	for range DecodeInteractions(bytes.NewReader(data), int64(len(data))) {
		break
	}
}

func TestSplitIDsUndoesJoinIDs(t *testing.T) {
	t.Parallel()
	for _, ids := range [][]string{{"a"}, {"a", "b"}, {""}, {"", ""}, {`a|b`, `\`}, {`\|`, `|`}, {`ends with \`, "x"}} {
		if got := splitIDs(joinIDs(ids)); !slices.Equal(got, ids) {
			t.Errorf("%q came back as %q", ids, got)
		}
	}
}
