package wire_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/wire"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

func TestInteractionSurvivesTheWire(t *testing.T) {
	t.Parallel()
	zero, value := 0.0, 2.5
	for name, i := range map[string]reco.Interaction{
		"anonymous": {EventID: "e", SessionID: "s", ItemID: "i", EventType: "click", TimestampMS: 1},
		"value 0":   {EventID: "e", UserID: "u", ItemID: "i", EventValue: &zero},
		"all": {
			EventID: "e", UserID: "u", SessionID: "s", ItemID: "i", EventType: "click", EventValue: &value,
			TimestampMS:      1700000000123,
			RecommendationID: "r", Impression: []string{"i", "j"}, EventAttributionSource: "mail",
			Properties: map[string]any{
				"TEXT": "ü", "EMPTY": "", "LONG": int64(math.MaxInt64), "FLOAT": 0.1, "YES": true, "NO": false,
				"NULL": nil,
			},
		},
	} {
		encoded, err := wire.MarshalInteraction(&i)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := wire.UnmarshalInteraction(encoded)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(i, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestActionInteractionSurvivesTheWire(t *testing.T) {
	t.Parallel()
	for name, i := range map[string]reco.Interaction{
		"anonymous": {EventID: "e", SessionID: "s", ItemID: "a", EventType: "TAKEN", TimestampMS: 1},
		"all": {
			EventID: "e", UserID: "u", SessionID: "s", ItemID: "a", EventType: "VIEWED", TimestampMS: 1700000000123,
			RecommendationID: "r", Impression: []string{"a", "b"},
			Properties: map[string]any{"TEXT": "ü", "EVENT_VALUE": 0.5, "NULL": nil},
		},
	} {
		encoded, err := wire.MarshalActionInteraction(&i)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := wire.UnmarshalActionInteraction(encoded)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(i, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		var message penchantv1.ActionInteraction
		if err := proto.Unmarshal(encoded, &message); err != nil || message.ActionId != "a" ||
			len(message.Properties) != len(i.Properties) {
			t.Errorf("%s: the generated code reads %v, %v", name, &message, err)
		}
	}
	for name, message := range map[string]*penchantv1.ActionInteraction{
		"no event id":  {UserId: "u", ActionId: "a"},
		"no action id": {EventId: "e", UserId: "u"},
		"nobody's":     {EventId: "e", ActionId: "a"},
	} {
		encoded, err := proto.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		if i, err := wire.UnmarshalActionInteraction(encoded); err == nil {
			t.Errorf("%s: read as %+v", name, i)
		}
	}
}

func TestEntitySurvivesTheWire(t *testing.T) {
	t.Parallel()
	for _, e := range []reco.Entity{{ID: "i"}, {ID: "i", Properties: map[string]any{
		"GENRES": "a|b", "YEAR": int64(1999), "PRICE": nil,
	}}} {
		encoded, err := wire.MarshalEntity(&e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.UnmarshalEntity(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Error(diff)
		}
	}
}

// The properties, which are encoded by hand, are what the generated code understands, whatever their number and order.
func TestPropertiesAreTheProtosMap(t *testing.T) {
	t.Parallel()
	e := reco.Entity{
		ID: "i",
		Properties: map[string]any{
			"S": strings.Repeat("ü", 5000), "I": int64(math.MinInt64), "F": math.Inf(-1), "B": false, "N": nil, "": "",
		},
	}
	encoded, err := wire.MarshalEntity(&e)
	if err != nil {
		t.Fatal(err)
	}
	var got penchantv1.EntityRecord
	if err := proto.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	want := &penchantv1.EntityRecord{Id: "i", Properties: map[string]*penchantv1.Value{
		"S": {Kind: &penchantv1.Value_StringValue{StringValue: strings.Repeat("ü", 5000)}},
		"I": {Kind: &penchantv1.Value_IntValue{IntValue: math.MinInt64}},
		"F": {Kind: &penchantv1.Value_DoubleValue{DoubleValue: math.Inf(-1)}},
		"B": {Kind: &penchantv1.Value_BoolValue{BoolValue: false}},
		"N": {},
		"":  {Kind: &penchantv1.Value_StringValue{StringValue: ""}},
	}}
	if !proto.Equal(want, &got) {
		t.Errorf("got %v", &got)
	}
	again, err := wire.MarshalEntity(&e)
	if err != nil || !bytes.Equal(encoded, again) {
		t.Errorf("the same record has two encodings, %v", err)
	}
}

func TestUnmarshalRefusesUselessRecords(t *testing.T) {
	t.Parallel()
	encode := func(m proto.Message) []byte {
		encoded, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	for name, encoded := range map[string][]byte{
		"empty":         nil,
		"not protobuf":  []byte("\xff\xff\xff"),
		"no event id":   encode(&penchantv1.Interaction{UserId: "u", ItemId: "i"}),
		"no item id":    encode(&penchantv1.Interaction{EventId: "e", UserId: "u"}),
		"nobody's":      encode(&penchantv1.Interaction{EventId: "e", ItemId: "i"}),
		"text not UTF8": []byte("\x0a\x01\xff"),
	} {
		if i, err := wire.UnmarshalInteraction(encoded); err == nil {
			t.Errorf("%s: read as %+v", name, i)
		}
	}
	for name, encoded := range map[string][]byte{"empty": nil, "not protobuf": []byte("\xff\xff\xff")} {
		if e, err := wire.UnmarshalEntity(encoded); err == nil {
			t.Errorf("%s: read as %+v", name, e)
		}
	}
}

func TestMarshalRefusesOtherTypes(t *testing.T) {
	t.Parallel()
	for _, value := range []any{1, float32(1), []string{"a"}, "\xff"} {
		if _, err := wire.MarshalEntity(&reco.Entity{ID: "i", Properties: map[string]any{"C": value}}); err == nil {
			t.Errorf("%T %v was encoded", value, value)
		}
	}
}

func BenchmarkMarshalInteraction(b *testing.B) {
	i := reco.Interaction{EventID: "0199-e", UserID: "user-1", SessionID: "session-1", ItemID: "item-1", EventType: "click", TimestampMS: 1700000000123,
		Properties: map[string]any{"DEVICE": "phone", "PRICE": 9.5}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.MarshalInteraction(&i); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshalInteraction(b *testing.B) {
	i := reco.Interaction{
		EventID: "0199-e", UserID: "user-1", SessionID: "session-1", ItemID: "item-1", EventType: "click",
		TimestampMS: 1700000000123,
	}
	encoded, err := wire.MarshalInteraction(&i)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.UnmarshalInteraction(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
