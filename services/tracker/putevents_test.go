package tracker_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/wire"
)

// call is the body of a PutEvents call with a session and the events.
func call(events ...string) string {
	return fmt.Sprintf(`{"trackingId":%q,"userId":"u1","sessionId":"s1","eventList":[%s]}`, trackingID, strings.Join(events, ","))
}

// click is an event with more members.
func click(more string) string {
	return `{"eventType":"click","eventId":"e1","itemId":"A01","sentAt":1700000000` + more + `}`
}

func withProperties(json string) string { return click(fmt.Sprintf(`,"properties":%q`, json)) }

func TestPutEventsPublishesInteractions(t *testing.T) {
	t.Parallel()
	value := func(v float64) *float64 { return &v }
	base := reco.Interaction{EventID: "e1", UserID: "u1", SessionID: "s1", ItemID: "A01", EventType: "click", TimestampMS: 1700000000000}
	like := func(change func(*reco.Interaction)) reco.Interaction {
		i := base
		change(&i)
		return i
	}
	with := func(properties map[string]any) reco.Interaction {
		return like(func(i *reco.Interaction) { i.Properties = properties })
	}
	f := newFixture(t)
	for _, c := range []struct {
		name, body string
		want       reco.Interaction
	}{
		{"plain", call(click(``)), base},
		{"all members", call(click(`,"eventValue":4.5,"recommendationId":"RID-1","impression":["A01","A02"],"metricAttribution":{"eventAttributionSource":"mail"}`)),
			like(func(i *reco.Interaction) {
				i.EventValue, i.RecommendationID, i.Impression, i.EventAttributionSource = value(4.5), "RID-1", []string{"A01", "A02"}, "mail"
			})},
		{"anonymous", strings.Replace(call(click(``)), `"userId":"u1",`, ``, 1), like(func(i *reco.Interaction) { i.UserID = "" })},
		{"null members", strings.Replace(call(click(`,"eventValue":null,"properties":null,"impression":null`)), `"u1"`, `null`, 1), like(func(i *reco.Interaction) { i.UserID = "" })},
		{"unknown members", call(click(`,"mood":"good"`)), base},
		{"fraction of a second", call(strings.Replace(click(``), "1700000000", "1700000000.447", 1)), like(func(i *reco.Interaction) { i.TimestampMS = 1700000000447 })},
		{"milliseconds", call(strings.Replace(click(``), "1700000000", "1700000000447", 1)), like(func(i *reco.Interaction) { i.TimestampMS = 1700000000447 })},
		{"numeric string", call(strings.Replace(click(``), "1700000000", `"1700000000"`, 1)), base},
		{"ISO-8601", call(strings.Replace(click(``), "1700000000", `"2023-11-14T22:13:20Z"`, 1)), base},
		{"value zero", call(click(`,"eventValue":0`)), like(func(i *reco.Interaction) { i.EventValue = value(0) })},
		{"properties by camelCase and by name", call(withProperties(`{"numRatings":12,"DEVICE":"phone","price":9.5,"gift":true}`)),
			with(map[string]any{"NUM_RATINGS": int64(12), "DEVICE": "phone", "PRICE": 9.5, "GIFT": true})},
		{"properties as an object", call(click(`,"properties":{"device":"phone"}`)), with(map[string]any{"DEVICE": "phone"})},
		{"property values converted", call(withProperties(`{"numRatings":"12","device":7,"price":"1e2","gift":"false"}`)),
			with(map[string]any{"NUM_RATINGS": int64(12), "DEVICE": "7", "PRICE": 100.0, "GIFT": false})},
		{"no digit of a long is lost", call(withProperties(`{"big":9223372036854775807}`)), with(map[string]any{"BIG": int64(math.MaxInt64)})},
		{"null property", call(withProperties(`{"device":null,"price":null}`)), base},
		{"unknown property", call(withProperties(`{"weather":"rain"}`)), base},
		{"no properties in the object", call(withProperties(`{}`)), base},
		{"item id in the properties", call(strings.Replace(withProperties(`{"itemId":"B02"}`), `"itemId":"A01",`, ``, 1)), like(func(i *reco.Interaction) { i.ItemID = "B02" })},
		{"item id in both", call(withProperties(`{"itemId":"B02"}`)), base},
		{"event value in the properties", call(withProperties(`{"eventValue":3}`)), like(func(i *reco.Interaction) { i.EventValue = value(3) })},
		{"event value in both", call(strings.Replace(withProperties(`{"eventValue":"3"}`), `"sentAt"`, `"eventValue":1,"sentAt"`, 1)), like(func(i *reco.Interaction) { i.EventValue = value(1) })},
		{"ids of 256 characters", strings.Replace(call(click(``)), `"u1"`, `"`+strings.Repeat("ü", 256)+`"`, 1), like(func(i *reco.Interaction) { i.UserID = strings.Repeat("ü", 256) })},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, answer := f.post(t, "/events", c.body)
			if resp.StatusCode != 200 || answer != "" {
				t.Fatalf("status %d, %s", resp.StatusCode, answer)
			}
			if diff := cmp.Diff(c.want, f.log.interaction(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A refused call, whatever is wrong with it, leaves nothing behind.
func TestPutEventsRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	long := strings.Repeat("x", 257)
	for _, c := range []struct{ name, body, message string }{
		{"no JSON", `{`, ""},
		{"no events", call(), "eventList"},
		{"eleven events", call(strings.Split(strings.TrimSuffix(strings.Repeat(click(``)+"|", 11), "|"), "|")...), "eventList"},
		{"unknown tracking id", strings.Replace(call(click(``)), trackingID, "nobody's", 1), ""},
		{"empty session", strings.Replace(call(click(``)), `"s1"`, `""`, 1), "sessionId"},
		{"long user id", strings.Replace(call(click(``)), `"u1"`, `"`+long+`"`, 1), "userId"},
		{"no event type", call(strings.Replace(click(``), `"eventType":"click",`, ``, 1)), "eventType"},
		{"no time", call(strings.Replace(click(``), `,"sentAt":1700000000`, ``, 1)), "sentAt"},
		{"time before 1970", call(strings.Replace(click(``), "1700000000", "-1", 1)), "sentAt"},
		{"time beyond all years", call(strings.Replace(click(``), "1700000000", "1e300", 1)), "sentAt"},
		{"no item", call(strings.Replace(click(``), `"itemId":"A01",`, ``, 1)), "itemId"},
		{"empty item in the properties", call(strings.Replace(withProperties(`{"itemId":""}`), `"itemId":"A01",`, ``, 1)), "itemId"},
		{"value that is no number", call(click(`,"eventValue":"much"`)), "eventValue"},
		{"value beyond all numbers", call(click(`,"eventValue":1e999`)), "eventValue"},
		{"value beyond floats", call(click(`,"eventValue":1e39`)), "eventValue is out of the range of a float"},
		{"value beyond floats in the properties", call(withProperties(`{"eventValue":-1e39}`)), "eventValue is out of the range of a float"},
		{"the tracking id of a dataset", strings.Replace(call(click(``)), trackingID, actionTrackingID, 1), ""},
		{"no tracking id", strings.Replace(call(click(``)), fmt.Sprintf(`"trackingId":%q,`, trackingID), ``, 1), "trackingId"},
		{"no session", strings.Replace(call(click(``)), `"sessionId":"s1",`, ``, 1), "sessionId"},
		{"empty user id", strings.Replace(call(click(``)), `"u1"`, `""`, 1), "userId"},
		{"long event type", call(strings.Replace(click(``), `"click"`, `"`+long+`"`, 1)), "eventType"},
		{"long item id", call(strings.Replace(click(``), `"A01"`, `"`+long+`"`, 1)), "itemId"},
		{"empty event id", call(strings.Replace(click(``), `"e1"`, `""`, 1)), "eventId"},
		{"long recommendation id", call(click(`,"recommendationId":"` + strings.Repeat("x", 41) + `"`)), "recommendationId"},
		{"blank attribution source", call(click(`,"metricAttribution":{"eventAttributionSource":"  "}`)), "eventAttributionSource"},
		{"attribution source beyond ASCII", call(click(`,"metricAttribution":{"eventAttributionSource":"ü"}`)), "eventAttributionSource"},
		{"attribution source of 1025 characters", call(click(`,"metricAttribution":{"eventAttributionSource":"` + strings.Repeat("x", 1025) + `"}`)), "eventAttributionSource"},
		{"attribution without source", call(click(`,"metricAttribution":{}`)), "eventAttributionSource"},
		{"no impression in the list", call(click(`,"impression":[]`)), "impression"},
		{"empty impression", call(click(`,"impression":["a",""]`)), "impression"},
		{"long impression", call(click(`,"impression":["` + long + `"]`)), "impression"},
		{"26 impressions", call(click(`,"impression":[` + strings.TrimSuffix(strings.Repeat(`"i",`, 26), ",") + `]`)), "impression"},
		{"properties without text", call(click(`,"properties":""`)), "properties"},
		{"1025 characters of properties", call(withProperties(`{"device":"` + strings.Repeat("x", 1011) + `"}`)), "properties"},
		{"properties that are not JSON", call(withProperties(`{device}`)), "Error parsing properties json"},
		{"properties that are a list", call(withProperties(`[]`)), "Error parsing properties json"},
		{"properties that are null", call(withProperties(`null`)), "Error parsing properties json"},
		{"two properties objects", call(withProperties(`{}{}`)), "Error parsing properties json"},
		{"nested property", call(withProperties(`{"device":{"kind":"phone"}}`)), "device"},
		{"list property", call(withProperties(`{"weather":["rain"]}`)), "weather"},
		{"forbidden key", call(withProperties(`{"userId":"u2"}`)), "userId"},
		{"forbidden key in another case", call(withProperties(`{"SESSIONID":"x"}`)), "SESSIONID"},
		{"forbidden key by its column's name", call(withProperties(`{"EVENT_TYPE":"x"}`)), "EVENT_TYPE"},
		{"timestamp", call(withProperties(`{"timestamp":1}`)), "timestamp"},
		{"recommendation id", call(withProperties(`{"recommendationId":"x"}`)), "recommendationId"},
		{"impression in the properties", call(withProperties(`{"impression":"x"}`)), "impression"},
		{"text for a number", call(withProperties(`{"numRatings":"many"}`)), "numRatings is not an int"},
		{"fraction for an integer", call(withProperties(`{"numRatings":1.5}`)), "numRatings"},
		{"integer too large", call(withProperties(`{"numRatings":3000000000}`)), "numRatings"},
		{"text for a boolean", call(withProperties(`{"gift":"perhaps"}`)), "gift"},
		{"one column twice", call(withProperties(`{"device":"a","DEVICE":"b"}`)), "twice"},
		{"one bad event of three", call(click(``), click(``), strings.Replace(click(``), "1700000000", "-1", 1)), "eventList.3.member"},
		{"too large an event", call(click(`,"impression":[` + strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("ü", 250)+`",`, 25), ",") + `]`)), "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, answer := f.post(t, "/events", c.body)
			if resp.StatusCode != 400 || !strings.Contains(answer, c.message) {
				t.Errorf("status %d, %s", resp.StatusCode, answer)
			}
			if code := resp.Header.Get("x-amzn-ErrorType"); code != "InvalidInputException" && c.name != "no JSON" {
				t.Errorf("error type %s", code)
			}
			if published := f.log.take(); published != nil {
				t.Errorf("%d records were published", len(published))
			}
		})
	}
}

func TestEventsWithoutIDKeepTheirOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	event := `{"eventType":"click","itemId":"A01","sentAt":1700000000}`
	for range 20 {
		if resp, answer := f.post(t, "/events", call(event, event, event, event, event)); resp.StatusCode != 200 {
			t.Fatalf("status %d, %s", resp.StatusCode, answer)
		}
	}
	last := ""
	for _, record := range f.log.take() {
		i, err := wire.UnmarshalInteraction(record.Value)
		if err != nil {
			t.Fatal(err)
		}
		if i.EventID <= last {
			t.Fatalf("event id %s after %s", i.EventID, last)
		}
		last = i.EventID
	}
}

func TestRecordsCarryKeyAndHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f.post(t, "/events", call(click(``)), "traceparent", trace)
	resp, _ := f.post(t, "/events", strings.Replace(call(click(``)), `"userId":"u1",`, ``, 1))
	records := f.log.take()
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	if string(records[0].Key) != "u1" || string(records[1].Key) != "s1" || records[0].Topic != "penchant.shop-1.interactions" {
		t.Errorf("keys %s and %s, topic %s", records[0].Key, records[1].Key, records[0].Topic)
	}
	want := map[string]string{
		"content-type": "application/protobuf", "ce_specversion": "1.0", "ce_id": "e1", "ce_type": "penchant.interaction.v1",
		"ce_source": trackerARN, "ce_time": "2023-11-14T22:13:20.000Z", "penchant-format": "1", "traceparent": trace,
	}
	if diff := cmp.Diff(want, headersOf(records[0])); diff != "" {
		t.Error(diff)
	}
	id := strings.ReplaceAll(resp.Header.Get("x-amzn-RequestId"), "-", "")
	if got := headersOf(records[1])["traceparent"]; !strings.HasPrefix(got, "00-"+id+"-") {
		t.Errorf("traceparent %s of request %s", got, id)
	}
	f.post(t, "/items", fmt.Sprintf(`{"datasetArn":%q,"items":[%s]}`, itemsARN, item("A01", `{"genres":"x","creationTimestamp":1}`)))
	got := headersOf(f.log.take()[0])
	if _, err := uuid.Parse(got["ce_id"]); err != nil || got["ce_type"] != "penchant.item.v1" || got["ce_source"] != itemsARN {
		t.Errorf("an item's headers: %v", got)
	}
}

func headersOf(r bus.Record) map[string]string {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers
}
