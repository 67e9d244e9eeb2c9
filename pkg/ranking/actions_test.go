package ranking

import (
	"slices"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

const offersSchema = `{"type":"record","name":"Actions","namespace":"n","version":"1.0","fields":[
	{"name":"ACTION_ID","type":"string"},{"name":"LEVEL","type":["null","string"],"categorical":true},
	{"name":"ACTION_EXPIRATION_TIMESTAMP","type":["null","long"]},{"name":"REPEAT_FREQUENCY","type":["null","long"]}]}`

// offerSchemas are the datasets of a group with actions.
func offerSchemas(t *testing.T) filter.Schemas {
	t.Helper()
	actions, err := schema.Parse(offersSchema, "")
	if err != nil {
		t.Fatal(err)
	}
	events := &schema.Schema{Type: schema.ActionInteractions, Fields: []schema.Field{{Name: "EVENT_TYPE"}}}
	return filter.Schemas{"ACTIONS": actions, "ACTION_INTERACTIONS": events}
}

func TestWhichActionsAreOffered(t *testing.T) {
	t.Parallel()
	schemas := offerSchemas(t)
	const now, day = int64(1_700_000_000), int64(24 * 60 * 60)
	offers := filter.NewTable(schemas["ACTIONS"])
	put := func(id string, properties map[string]any) { offers.Put(reco.Entity{ID: id, Properties: properties}) }
	put("plain", nil)
	put("expired", map[string]any{"ACTION_EXPIRATION_TIMESTAMP": now})
	put("lasting", map[string]any{"ACTION_EXPIRATION_TIMESTAMP": now + 1, "LEVEL": "gold"})
	put("weekly", map[string]any{"REPEAT_FREQUENCY": int64(7), "LEVEL": "gold|silver"})
	put("always", map[string]any{"REPEAT_FREQUENCY": int64(0)})
	put("never again", map[string]any{"REPEAT_FREQUENCY": int64(1) << 62})
	catalogue := model.NewItems([]string{"plain", "expired", "lasting", "weekly", "always", "never again", "undescribed"})
	event := func(action, kind string, ago int64) reco.RecentInteraction {
		return reco.RecentInteraction{EventID: action + kind, ItemID: action, EventType: kind, TimestampMS: (now - ago) * 1000}
	}
	all := []string{"plain", "lasting", "weekly", "always", "never again", "undescribed"}
	notWeekly := []string{"plain", "lasting", "always", "never again", "undescribed"}
	for name, c := range map[string]struct {
		history    []reco.RecentInteraction
		expression string
		want       []string
	}{
		"a stranger": {want: all},
		"everything was taken a moment ago": {
			history: []reco.RecentInteraction{
				event("plain", "TAKEN", 1), event("weekly", "TAKEN", 1), event("always", "TAKEN", 1),
				event("never again", "TAKEN", 1), event("undescribed", "TAKEN", 1),
			},
			want: []string{"plain", "lasting", "always", "undescribed"},
		},
		"shown within the week":   {history: []reco.RecentInteraction{event("weekly", "VIEWED", 7*day-1)}, want: notWeekly},
		"refused within the week": {history: []reco.RecentInteraction{event("weekly", "NOT_TAKEN", day)}, want: notWeekly},
		"a week ago":              {history: []reco.RecentInteraction{event("weekly", "TAKEN", 7*day)}, want: all},
		"the newest of several counts": {
			history: []reco.RecentInteraction{event("weekly", "TAKEN", day), event("weekly", "VIEWED", 30*day)},
			want:    notWeekly,
		},
		"a clock that is ahead": {
			history: []reco.RecentInteraction{event("weekly", "TAKEN", -day), event("always", "TAKEN", -day)},
			want:    notWeekly,
		},
		"included by an attribute": {expression: `INCLUDE ActionID WHERE Actions.LEVEL IN ("gold")`, want: []string{"lasting", "weekly"}},
		"excluded by an attribute": {
			expression: `EXCLUDE ActionID WHERE Actions.LEVEL IN ("gold")`,
			want:       []string{"plain", "always", "never again", "undescribed"},
		},
		"excluded by history": {
			history: []reco.RecentInteraction{
				event("plain", "TAKEN", 1), event("undescribed", "TAKEN", 1), event("lasting", "VIEWED", 1),
			},
			expression: `EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("taken")`,
			want:       []string{"lasting", "weekly", "always", "never again"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffer(catalogue, offers, c.history, time.Unix(now, 0))
			if c.expression != "" {
				bound := bind(t, c.expression, schemas)
				o.selection = bound.Select(offers, filter.Subject{ActionHistory: c.history})
			}
			var got []string
			for k := range catalogue.Len() {
				if !o.withheld(k) {
					got = append(got, catalogue.ID(k))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("offered %q, want %q", got, c.want)
			}
		})
	}
}
