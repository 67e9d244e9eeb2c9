package bridge

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/bus"
)

func parse(t testing.TB, text string) *Mapping {
	t.Helper()
	m, err := ParseMapping([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const plainMapping = `
when: '@.type == "click" || @.type == "buy"'
skip: '@.user.bot == true || search(@.agent, "[Bb]ot")'
event:
  userId: $.user.id
  sessionId: $.session
  eventType: {path: $.type, values: {click: view, buy: purchase}}
  itemId: $.sku
  sentAt: {path: $.at, unit: ms}
  eventValue: $.price
  recommendationId: $.rid
  impression: $.shown[*].sku
  eventAttributionSource: {path: $.source, default: web}
  properties:
    device: $.device
    channel: shop
`

var arrival = time.UnixMilli(1_750_000_000_123)

// record is one that stands at offset 7 of partition 3.
func record(value string) *bus.Record {
	return &bus.Record{
		Topic: "clicks", TopicID: bus.TopicID{0xab}, Partition: 3, Offset: 7, Key: []byte("from the key"), Value: []byte(value), Arrival: arrival,
		Headers: []bus.Header{{Key: "session", Value: []byte("from a header")}},
	}
}

const place = "ab000000000000000000000000000000-00003-00000000000000000007"

// sent is an event as it goes over the wire, with who caused it.
func sent(t testing.TB, e Event) string {
	t.Helper()
	text, err := json.Marshal(e.Event)
	if err != nil {
		t.Fatal(err)
	}
	return e.UserID + " " + e.SessionID + " " + string(text)
}

func TestMappings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, mapping, value string
		want                 []string // nothing: the record is passed over
	}{
		{"every member", plainMapping,
			`{"type":"click","user":{"id":17},"session":"s1","sku":"A-1","at":1700000000500,"price":"9.50","rid":"RID-1","shown":[{"sku":"A-1"},{"sku":"B"}],"source":"mail","device":"phone"}`,
			[]string{`17 s1 {"eventId":"` + place + `","eventType":"view","eventValue":9.5,"itemId":"A-1","properties":"{\"channel\":\"shop\",\"device\":\"phone\"}","sentAt":1700000000.5,"recommendationId":"RID-1","impression":["A-1","B"],"metricAttribution":{"eventAttributionSource":"mail"}}`}},
		{"as little as there is", plainMapping, `{"type":"buy","user":{"id":"u"},"sku":12345678901234567890}`,
			[]string{`u bridge-u {"eventId":"` + place + `","eventType":"purchase","itemId":"12345678901234567890","properties":"{\"channel\":\"shop\"}","sentAt":1750000000.123,"metricAttribution":{"eventAttributionSource":"web"}}`}},
		{"another type", plainMapping, `{"type":"ping"}`, nil},
		{"no type", plainMapping, `{"user":{"id":"u"}}`, nil},
		{"a bot that says so", plainMapping, `{"type":"click","user":{"id":"u","bot":true},"sku":"a"}`, nil},
		{"a bot that shows it", plainMapping, `{"type":"click","user":{"id":"u"},"sku":"a","agent":"Googlebot/2.1"}`, nil},
		{"a tombstone", plainMapping, ``, nil},

		{"Debezium", `
when: '@.payload.op == "c"'
decode: [payload.after.extra]
event: {userId: $.payload.after.user_id, eventType: view, itemId: $.payload.after.sku, sentAt: {path: $.payload.after.created, unit: us}, eventValue: $.payload.after.extra.price}`,
			`{"schema":{},"payload":{"op":"c","before":null,"after":{"user_id":5,"sku":"a","created":1700000000123456,"extra":"{\"price\":3}"}}}`,
			[]string{`5 bridge-5 {"eventId":"` + place + `","eventType":"view","eventValue":3,"itemId":"a","sentAt":1700000000.123}`}},
		{"CloudEvents", `
event: {eventId: $.id, userId: $.data.user, sessionId: {header: session}, eventType: $.type, itemId: $.data.item, sentAt: {path: $.time, format: rfc3339}}`,
			`{"specversion":"1.0","id":"ce-1","type":"com.shop.view","time":"2023-11-14T22:13:20.25+00:00","data":{"user":"u","item":"i"}}`,
			[]string{`u from a header {"eventId":"ce-1","eventType":"com.shop.view","itemId":"i","sentAt":1700000000.25}`}},
		{"several events", `
each: $.lines[?@.sku]
event: {userId: $.customer, eventType: purchase, itemId: '@.sku', eventValue: '@.price', sentAt: $.at}`,
			`{"customer":"c","at":1700000000,"lines":[{"sku":"a","price":1.5},{"note":"gift"},{"sku":"b"}]}`,
			[]string{
				`c bridge-c {"eventId":"` + place + `-0000","eventType":"purchase","eventValue":1.5,"itemId":"a","sentAt":1700000000}`,
				`c bridge-c {"eventId":"` + place + `-0001","eventType":"purchase","itemId":"b","sentAt":1700000000}`,
			}},
		{"key, time zone and separator", `
event: {sessionId: {key: true}, eventType: {path: $.e, values: {v: view}, others: skip}, itemId: $.i, sentAt: {path: $.t, format: '2006-01-02 15:04:05', timezone: Europe/Berlin}, impression: {path: $.shown, separator: ','}}`,
			`{"e":"v","i":"x","t":"2023-11-14 23:13:20","shown":"x, y,,z"}`,
			[]string{` from the key {"eventId":"` + place + `","eventType":"view","itemId":"x","sentAt":1700000000,"impression":["x","y","z"]}`}},
		{"a text that is none of the values", `event: {userId: $.u, eventType: {path: $.e, values: {v: view}, others: skip}, itemId: $.i}`, `{"u":"u","e":"w","i":"x"}`, nil},
		{"units by their size", `event: {userId: $.u, eventType: v, itemId: $.i, sentAt: $.t}`, `{"u":"u","i":"x","t":"1700000000250000000"}`,
			[]string{`u bridge-u {"eventId":"` + place + `","eventType":"v","itemId":"x","sentAt":1700000000.25}`}},
		{"times as text", `event: {userId: $.u, eventType: v, itemId: $.i, sentAt: $.t}`, `{"u":"u","i":"x","t":"2023-11-14T22:13:20Z"}`,
			[]string{`u bridge-u {"eventId":"` + place + `","eventType":"v","itemId":"x","sentAt":1700000000}`}},
		{"null is absent", `event: {userId: {path: $.u, default: nobody}, eventType: v, itemId: $.i, properties: {a: $.a, n: $.n, b: $.b}}`, `{"u":null,"i":"x","a":null,"n":7,"b":false}`,
			[]string{`nobody bridge-nobody {"eventId":"` + place + `","eventType":"v","itemId":"x","properties":"{\"b\":false,\"n\":7}","sentAt":1750000000.123}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, err := parse(t, c.mapping).Events(record(c.value))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range events {
				got = append(got, sent(t, e))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRecordsThatAreNoEvents: each is put aside with a reason that names the member and the rule.
func TestRecordsThatAreNoEvents(t *testing.T) {
	t.Parallel()
	m := parse(t, `
each: $.lines[*]
event: {userId: $.u, sessionId: $.s, eventType: {path: $.e, values: {v: view}, others: fail}, itemId: '@.i', sentAt: $.t, eventValue: '@.p'}`)
	for value, want := range map[string]string{
		`{"u":`:                                 "not JSON",
		`{} {}`:                                 "something follows",
		"\xff\xfe{}":                            "not JSON",
		`{"e":"v","lines":[{"i":"x"}]}`:         "neither a user nor a session",
		`{"u":"u","e":"w","lines":[{"i":"x"}]}`: "eventType: the value is none of those",
		`{"u":"u","lines":[{"i":"x"}]}`:         "eventType: the record has none",
		`{"u":"u","e":"v","lines":[{"i":"x"},{}]}`:                                       "event 2: itemId: the record has none",
		`{"u":{"id":1},"e":"v","lines":[{"i":"x"}]}`:                                     "userId: the value is an object",
		`{"u":"u","e":"v","t":"yesterday","lines":[{"i":"x"}]}`:                          "sentAt: the value is neither",
		`{"u":"u","e":"v","t":-5,"lines":[{"i":"x"}]}`:                                   "sentAt: the time is not between",
		`{"u":"u","e":"v","t":1e300,"lines":[{"i":"x"}]}`:                                "sentAt: the time is not between",
		`{"u":"u","e":"v","lines":[{"i":"x","p":"cheap"}]}`:                              "eventValue: the value is not a number",
		`{"u":"u","e":"v","lines":[{"i":"` + strings.Repeat("x", 300) + `"}]}`:           "256",
		`{"u":"u","e":"v","lines":[` + strings.Repeat(`{},`, maxEventsOfRecord) + `{}]}`: "more than 1000",
	} {
		events, err := m.Events(record(value))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v and %v, want an error with %q", value, events, err, want)
		}
	}
}

func TestMappingsThatAreWrong(t *testing.T) {
	t.Parallel()
	const good = "event: {userId: $.u, eventType: v, itemId: $.i}"
	for text, want := range map[string]string{
		"":                                   "empty",
		"event: {userId: $.u}":               "event.eventType is missing",
		"event: {eventType: v, itemId: $.i}": "event.userId and event.sessionId are both missing",
		"event: {userId: $.u, eventType: v}": "event.itemId is missing",
		"evnet: {}":                          "evnet",
		"event: {userID: $.u, eventType: v, itemId: $.i}":                                   "userID",
		"event: {userId: $.u[, eventType: v, itemId: $.i}":                                  "yaml",
		`event: {userId: "$.u[", eventType: v, itemId: $.i}`:                                "is no path",
		"event: {userId: {path: $.u, key: true}, eventType: v, itemId: $.i}":                "one of path, header, key and value",
		"event: {userId: {pth: $.u}, eventType: v, itemId: $.i}":                            "has no member pth",
		"event: {userId: [a], eventType: v, itemId: $.i}":                                   "a source is",
		good + "\nwhen: '@.a =='":                                                           "is no condition",
		good + "\neach: lines":                                                              "each",
		good + "\ndecode: ['a[0]']":                                                         "decode",
		"event: {userId: $.u, eventType: v, itemId: '@.i'}":                                 "elements of each",
		"each: $.l[*]\nevent: {userId: $.u, eventType: v, itemId: '@.i', eventId: $.id}":    "event.eventId must come from the element",
		"event: {userId: $.u, eventType: v, itemId: $.i, sentAt: {path: $.t, unit: h}}":     "unit",
		"event: {userId: $.u, eventType: v, itemId: $.i, sentAt: {path: $.t, format: iso}}": "format",
		"event: {userId: $.u, eventType: v, itemId: $.i, sentAt: {path: $.t, timezone: X}}": "timezone",
		"event: {userId: $.u, eventType: {path: $.e, others: drop}, itemId: $.i}":           "others",
	} {
		if _, err := ParseMapping([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}

// TestTheExamplesOfTheDocs holds docs/bridge.md to the parser: its mappings are ones.
func TestTheExamplesOfTheDocs(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "bridge.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, rest := range strings.Split(string(content), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(rest, "```")
		if _, err := ParseMapping([]byte(text)); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
		examples++
	}
	if examples < 3 {
		t.Errorf("the page has %d examples", examples)
	}
}

func TestIDsSortAsTheRecordsStand(t *testing.T) {
	t.Parallel()
	before := ""
	for _, offset := range []int64{0, 9, 10, 1_000_000, 1 << 40} {
		r := record("")
		r.Offset = offset
		if id := EventID(r); id <= before {
			t.Errorf("%s comes after %s", id, before)
		} else {
			before = id
		}
	}
	other := record("")
	other.TopicID[0]++
	if EventID(other) == EventID(record("")) {
		t.Error("a topic that was made again gives the ids of the old one")
	}
}

// FuzzMapping: whatever a record holds, it is an event, or passed over, or put aside; and always the same.
func FuzzMapping(f *testing.F) {
	for _, value := range []string{
		`{"type":"click","user":{"id":17},"session":"s1","sku":"A-1","at":1700000000500,"lines":[{"sku":"a","price":1e400}],"payload":"{\"a\":[]}"}`,
		`[]`, `null`, `"x"`, `{"payload":"{"}`, `{"type":"click","user":[[[[]]]]}`, `{"lines":{"a":{"sku":"x"}},"customer":"\ud800","type":"v"}`,
	} {
		f.Add([]byte(value))
	}
	var mappings []*Mapping
	for _, text := range []string{plainMapping, `
decode: [payload]
each: $.lines[*]
event: {userId: $.customer, eventType: $..type, itemId: '@.sku', eventValue: '@.price', sentAt: $.at, impression: $..sku, properties: {all: $}}`} {
		mappings = append(mappings, parse(f, text))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, m := range mappings {
			events, err := m.Events(record(string(value)))
			if err != nil && (len(events) > 0 && m.each != nil || errors.Is(err, errPassedOver)) {
				t.Errorf("got %v and %v", events, err)
			}
			if err != nil {
				continue
			}
			again, _ := m.Events(record(string(value)))
			if len(again) != len(events) {
				t.Fatalf("%d events, and then %d", len(events), len(again))
			}
			for n := range events {
				if first, second := sent(t, events[n]), sent(t, again[n]); first != second {
					t.Errorf("%s, and then %s", first, second)
				}
				if err := events[n].valid(); err != nil || events[n].SessionID == "" {
					t.Errorf("an event that no tracker takes: %v", err)
				}
			}
		}
	})
}
