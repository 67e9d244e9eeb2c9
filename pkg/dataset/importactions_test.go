package dataset

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

var (
	someActions = &schema.Schema{Type: schema.Actions, Fields: []schema.Field{
		field("ACTION_ID", schema.String), nullable("VALUE", schema.Long),
		{Name: "LEVEL", Kind: schema.String, Nullable: true, Categorical: true},
		nullable("ACTION_EXPIRATION_TIMESTAMP", schema.Long), nullable("REPEAT_FREQUENCY", schema.Int),
	}}
	someActionInteractions = &schema.Schema{Type: schema.ActionInteractions, Fields: []schema.Field{
		field("USER_ID", schema.String), field("ACTION_ID", schema.String), field("TIMESTAMP", schema.Long),
		field("EVENT_TYPE", schema.String),
		nullable("IMPRESSION", schema.String), nullable("RECOMMENDATION_ID", schema.String),
		nullable("EVENT_VALUE", schema.Float),
	}}
)

func TestImportActions(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("actions.csv", "LEVEL,ACTION_ID,VALUE,REPEAT_FREQUENCY,ACTION_EXPIRATION_TIMESTAMP\n"+
		"gold|silver,join,10,7,1800000000\n,call,,,\n")
	v := s.mustImport(s.request(someActions, "actions.csv"))
	if v.Number != 1 || v.Rows != 2 || !strings.HasPrefix(v.Parts[0].Key, "datasets/g/ACTIONS/v1/") {
		t.Errorf("%+v", v)
	}
	s.put("more.csv", "ACTION_ID,LEVEL,VALUE,REPEAT_FREQUENCY,ACTION_EXPIRATION_TIMESTAMP\ncall,gold,1,,\n")
	more := s.request(someActions, "more.csv")
	more.Mode = Incremental
	s.mustImport(more)
	var got []reco.Entity
	for _, e := range all(t, Entities(t.Context(), s.bucket, s.current("ACTIONS"))) {
		for name, value := range e.Properties {
			if value == nil {
				delete(e.Properties, name)
			}
		}
		got = append(got, e)
	}
	want := []reco.Entity{
		{
			ID: "join",
			Properties: map[string]any{
				"LEVEL": "gold|silver", "VALUE": int64(10), "REPEAT_FREQUENCY": int64(7),
				"ACTION_EXPIRATION_TIMESTAMP": int64(1800000000),
			},
		},
		{ID: "call"},
		{ID: "call", Properties: map[string]any{"LEVEL": "gold", "VALUE": int64(1)}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// There is no least number of action interactions, whatever it is for interactions with items.
func TestImportActionInteractions(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("acted.csv", "USER_ID,ACTION_ID,TIMESTAMP,EVENT_TYPE,IMPRESSION,RECOMMENDATION_ID,EVENT_VALUE\n"+
		"ann,join,10,TAKEN,join|call,RID-1,0.5\nann,join,10,TAKEN,join|call,RID-1,0.5\nbob,call,20,Not Taken,,,\n")
	req := s.request(someActionInteractions, "acted.csv")
	req.MinInteractions = 1000
	s.mustImport(req)
	more := s.request(someActionInteractions, "more.csv")
	more.Mode, more.MinInteractions = Incremental, 1000
	s.put(
		"more.csv",
		"USER_ID,ACTION_ID,TIMESTAMP,EVENT_TYPE,IMPRESSION,RECOMMENDATION_ID,EVENT_VALUE\ncid,call,30,viewed,,,\n",
	)
	s.mustImport(more)
	want := []reco.Interaction{
		{
			UserID: "ann", ItemID: "join", TimestampMS: 10_000, EventType: "TAKEN",
			Impression: []string{"join", "call"}, RecommendationID: "RID-1",
			Properties: map[string]any{"EVENT_VALUE": 0.5},
		},
		{UserID: "bob", ItemID: "call", TimestampMS: 20_000, EventType: "NOT_TAKEN"},
		{UserID: "cid", ItemID: "call", TimestampMS: 30_000, EventType: "VIEWED"},
	}
	got := all(t, Interactions(t.Context(), s.bucket, s.current("ACTION_INTERACTIONS")))
	if diff := cmp.Diff(
		want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(reco.Interaction{}, "EventID"),
	); diff != "" {
		t.Error(diff)
	}
	s.put(
		"full.csv",
		"USER_ID,ACTION_ID,TIMESTAMP,EVENT_TYPE,IMPRESSION,RECOMMENDATION_ID,EVENT_VALUE\ndan,join,40,TAKEN,,,\n",
	)
	v := s.mustImport(s.request(someActionInteractions, "full.csv"))
	if v.Rows != 1 || v.Base != 3 {
		t.Errorf("%+v", v)
	}
}

func TestImportsOfActionsAreRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const header = "USER_ID,ACTION_ID,TIMESTAMP,EVENT_TYPE,IMPRESSION,RECOMMENDATION_ID,EVENT_VALUE\n"
	for name, c := range map[string]struct {
		schema    *schema.Schema
		csv, want string
	}{
		"another event type": {
			someActionInteractions, header + "ann,join,10,click,,,\n",
			"line 2, column EVENT_TYPE: the value is not one of TAKEN, NOT_TAKEN, VIEWED",
		},
		"no event type": {
			someActionInteractions, header + "ann,join,10,,,,\n", "column EVENT_TYPE: the value is empty",
		},
		"no action": {someActionInteractions, header + "ann,,10,TAKEN,,,\n", "column ACTION_ID"},
		"milliseconds": {
			someActionInteractions, header + "ann,join,1700000000000,TAKEN,,,\n", "column TIMESTAMP",
		},
		"long impression": {
			someActionInteractions, header + "ann,join,1,TAKEN," + strings.Repeat("x", 1001) + ",,\n",
			"column IMPRESSION: the value has more than 1000 characters",
		},
		"missing column": {
			someActionInteractions, "USER_ID,ACTION_ID,TIMESTAMP\nann,join,1\n",
			"missing the following columns:[EVENT_TYPE, IMPRESSION, RECOMMENDATION_ID, EVENT_VALUE]",
		},
		"no rows": {
			someActionInteractions, header, "Input CSV has 0 rows; an import of Action_Interactions needs at least 1",
		},
		"expiry in ms": {
			someActions, "ACTION_ID,VALUE,LEVEL,ACTION_EXPIRATION_TIMESTAMP,REPEAT_FREQUENCY\njoin,,,1700000000000,\n",
			"column ACTION_EXPIRATION_TIMESTAMP",
		},
		"fraction of a day": {
			someActions, "ACTION_ID,VALUE,LEVEL,ACTION_EXPIRATION_TIMESTAMP,REPEAT_FREQUENCY\njoin,,,,1.5\n",
			"column REPEAT_FREQUENCY: the value is not an int",
		},
		"long category": {
			someActions,
			"ACTION_ID,VALUE,LEVEL,ACTION_EXPIRATION_TIMESTAMP,REPEAT_FREQUENCY\njoin,," + strings.Repeat(
				"x", 1001,
			) + ",,\n",
			"column LEVEL: the value has more than 1000 characters",
		},
		"no id": {
			someActions, "ACTION_ID,VALUE,LEVEL,ACTION_EXPIRATION_TIMESTAMP,REPEAT_FREQUENCY\n,1,,,\n",
			"column ACTION_ID",
		},
		"an id that is longer": {
			someActions,
			"ACTION_ID,VALUE,LEVEL,ACTION_EXPIRATION_TIMESTAMP,REPEAT_FREQUENCY\n" + strings.Repeat(
				"x", 257,
			) + ",1,,,\n",
			"column ACTION_ID: the value has more than 256 characters",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.put("bad.csv", c.csv)
			_, err := Import(t.Context(), s.request(c.schema, "bad.csv"))
			if reason, ok := Reason(err); !ok || !strings.Contains(reason, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := Current(t.Context(), s.bucket, "g", c.schema.Type.DatasetType()); !errors.Is(err, ErrNoData) {
				t.Errorf("something was imported: %v", err)
			}
		})
	}
}
