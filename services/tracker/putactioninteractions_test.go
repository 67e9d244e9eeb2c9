package tracker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/wire"
)

// actionCall is the body of a PutActionInteractions call.
func actionCall(interactions ...string) string {
	return fmt.Sprintf(`{"trackingId":%q,"actionInteractions":[%s]}`, actionTrackingID, strings.Join(interactions, ","))
}

// taken is an action interaction with more members.
func taken(more string) string {
	return `{"actionId":"join","userId":"u1","sessionId":"s1","timestamp":1700000000,"eventType":"TAKEN","eventId":"e1"` + more + `}`
}

func takenWith(properties string) string { return taken(fmt.Sprintf(`,"properties":%q`, properties)) }

func TestPutActionInteractionsPublishesThem(t *testing.T) {
	t.Parallel()
	base := reco.Interaction{EventID: "e1", UserID: "u1", SessionID: "s1", ItemID: "join", EventType: "TAKEN", TimestampMS: 1700000000000}
	like := func(change func(*reco.Interaction)) reco.Interaction {
		i := base
		change(&i)
		return i
	}
	f := newFixture(t)
	for _, c := range []struct {
		name, body string
		want       reco.Interaction
	}{
		{"plain", actionCall(taken(``)), base},
		{"all members", actionCall(taken(`,"recommendationId":"RID-1","impression":["join","call"]`)),
			like(func(i *reco.Interaction) { i.RecommendationID, i.Impression = "RID-1", []string{"join", "call"} })},
		{"anonymous", strings.Replace(actionCall(taken(``)), `"userId":"u1",`, ``, 1), like(func(i *reco.Interaction) { i.UserID = "" })},
		{"event type in the SDK's words", strings.Replace(actionCall(taken(``)), `TAKEN`, `Not Taken`, 1), like(func(i *reco.Interaction) { i.EventType = "NOT_TAKEN" })},
		{"milliseconds", strings.Replace(actionCall(taken(``)), "1700000000", "1700000000447", 1), like(func(i *reco.Interaction) { i.TimestampMS = 1700000000447 })},
		{"properties", actionCall(takenWith(`{"channel":"mail","EVENT_VALUE":"2.5","itemId":"x","weather":"rain","actionId":"y"}`)),
			like(func(i *reco.Interaction) { i.Properties = map[string]any{"CHANNEL": "mail", "EVENT_VALUE": 2.5} })},
		{"null property, though the schema wants a value", actionCall(takenWith(`{"channel":null}`)), base},
	} {
		t.Run(c.name, func(t *testing.T) {
			if resp, answer := f.post(t, "/action-interactions", c.body); resp.StatusCode != 200 || answer != "" {
				t.Fatalf("status %d, %s", resp.StatusCode, answer)
			}
			records := f.log.take()
			if len(records) != 1 {
				t.Fatalf("%d records", len(records))
			}
			got, err := wire.UnmarshalActionInteraction(records[0].Value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if string(records[0].Key) != c.want.Key() || records[0].Topic != "penchant.shop-1.action-interactions" {
				t.Errorf("key %s, topic %s", records[0].Key, records[0].Topic)
			}
			headers := headersOf(records[0])
			if headers["ce_id"] != "e1" || headers["ce_type"] != "penchant.action-interaction.v1" || headers["ce_source"] != actionSetARN || headers["penchant-format"] != "1" {
				t.Errorf("headers %v", headers)
			}
		})
	}
}

func TestPutActionInteractionsRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	long := strings.Repeat("x", 257)
	without := func(member string) string { return strings.Replace(actionCall(taken(``)), member, ``, 1) }
	instead := func(old, given string) string { return strings.Replace(actionCall(taken(``)), old, given, 1) }
	const invalid, notFound = "InvalidInputException", "ResourceNotFoundException"
	for _, c := range []struct {
		name, body string
		status     int
		code       string
		message    string
	}{
		{"no JSON", `{`, 400, "SerializationException", ""},
		{"unknown tracking id", instead(actionTrackingID, "nobody's"), 404, notFound, ""},
		{"the tracking id of an event tracker", instead(actionTrackingID, trackingID), 404, notFound, ""},
		{"dataset not active", instead(actionTrackingID, creatingTrackingID), 409, "ResourceInUseException", ""},
		{"no tracking id", `{"actionInteractions":[` + taken(``) + `]}`, 400, invalid, "trackingId"},
		{"empty tracking id", instead(actionTrackingID, ""), 400, invalid, "trackingId"},
		{"none", actionCall(), 400, invalid, "actionInteractions"},
		{"eleven", actionCall(strings.Split(strings.TrimSuffix(strings.Repeat(taken(``)+"|", 11), "|"), "|")...), 400, invalid, "actionInteractions"},
		{"no action", without(`"actionId":"join",`), 400, invalid, "actionId"},
		{"empty action", instead(`"join"`, `""`), 400, invalid, "actionId"},
		{"long action", instead(`"join"`, `"`+long+`"`), 400, invalid, "actionId"},
		{"no session", without(`"sessionId":"s1",`), 400, invalid, "sessionId"},
		{"empty session", instead(`"s1"`, `""`), 400, invalid, "sessionId"},
		{"empty user", instead(`"u1"`, `""`), 400, invalid, "userId"},
		{"long user", instead(`"u1"`, `"`+long+`"`), 400, invalid, "userId"},
		{"no time", without(`"timestamp":1700000000,`), 400, invalid, "timestamp"},
		{"time before 1970", instead("1700000000", "-1"), 400, invalid, "timestamp is not a time"},
		{"no event type", without(`"eventType":"TAKEN",`), 400, invalid, "eventType"},
		{"another event type", instead("TAKEN", "click"), 400, invalid, "actionInteractions.1.member: eventType is not one of TAKEN, NOT_TAKEN, VIEWED"},
		{"long event type", instead("TAKEN", long), 400, invalid, "eventType"},
		{"empty event id", instead(`"e1"`, `""`), 400, invalid, "eventId"},
		{"long recommendation id", actionCall(taken(`,"recommendationId":"` + strings.Repeat("x", 41) + `"`)), 400, invalid, "recommendationId"},
		{"no impression in the list", actionCall(taken(`,"impression":[]`)), 400, invalid, "impression"},
		{"26 impressions", actionCall(taken(`,"impression":[` + strings.TrimSuffix(strings.Repeat(`"i",`, 26), ",") + `]`)), 400, invalid, "impression"},
		{"empty impression", actionCall(taken(`,"impression":[""]`)), 400, invalid, "impression"},
		{"1025 characters of properties", actionCall(takenWith(`{"channel":"` + strings.Repeat("x", 1010) + `"}`)), 400, invalid, "properties"},
		{"properties that are not JSON", actionCall(takenWith(`{channel}`)), 400, invalid, "Error parsing properties json"},
		{"nested property", actionCall(takenWith(`{"channel":{}}`)), 400, invalid, "channel"},
		{"forbidden key", actionCall(takenWith(`{"userId":"u2"}`)), 400, invalid, "userId"},
		{"forbidden key by its column's name", actionCall(takenWith(`{"EVENT_TYPE":"x"}`)), 400, invalid, "EVENT_TYPE"},
		{"impression in the properties", actionCall(takenWith(`{"impression":"x"}`)), 400, invalid, "impression"},
		{"text for a number", actionCall(takenWith(`{"eventValue":"much"}`)), 400, invalid, "eventValue is not a float"},
		{"one column twice", actionCall(takenWith(`{"channel":"a","CHANNEL":"b"}`)), 400, invalid, "twice"},
		{"one bad of three", actionCall(taken(``), taken(``), strings.Replace(taken(``), "1700000000", "-1", 1)), 400, invalid, "actionInteractions.3.member"},
		{"too large", actionCall(taken(`,"impression":[` + strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("ü", 250)+`",`, 25), ",") + `]`)), 400, invalid, "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, answer := f.post(t, "/action-interactions", c.body)
			if resp.StatusCode != c.status || resp.Header.Get("x-amzn-ErrorType") != c.code || !strings.Contains(answer, c.message) {
				t.Errorf("status %d, %s, %s", resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), answer)
			}
			if published := f.log.take(); published != nil {
				t.Errorf("%d records were published", len(published))
			}
		})
	}
}
