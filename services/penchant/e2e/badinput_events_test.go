package e2e

import (
	"fmt"
	"strings"
)

// events sends what PutEvents, PutItems and PutUsers must refuse (§5): each call whole, though one member of many is bad.
func (s *badShop) events() {
	event := func(members string) string {
		return `{"eventType":"view","itemId":"a","sentAt":1700000000` + members + `}`
	}
	call := func(events ...string) string {
		return `{"trackingId":"` + s.trackingID + `","userId":"u","sessionId":"s","eventList":[` + strings.Join(events, ",") + `]}`
	}
	good := call(event(""))
	x := strings.Repeat
	var calls []refused
	bad := func(body string, mentions ...string) {
		calls = append(calls, refused{"/events", body, invalidInput, mentions})
	}
	// badEvent is bad in its place: the second of two.
	badEvent := func(event string, mentions ...string) {
		bad(call(`{"eventType":"view","itemId":"good","sentAt":1}`, event), append([]string{"eventList.2"}, mentions...)...)
	}
	// memberOf is one without its place: the JSON does not tell it.
	badType := func(event string, mentions ...string) { bad(call(event), mentions...) }

	// The call's own members.
	for _, c := range []struct{ member, value, rule string }{
		{"trackingId", "", "must not be null"}, {"trackingId", `""`, "greater than or equal to 1"}, {"trackingId", quoted(x("t", 257)), "less than or equal to 256"}, {"trackingId", "7", "number"},
		{"sessionId", "", "must not be null"}, {"sessionId", "null", "must not be null"}, {"sessionId", `""`, "greater than or equal to 1"}, {"sessionId", quoted(x("s", 257)), "less than or equal to 256"}, {"sessionId", "[]", "array"},
		{"userId", `""`, "greater than or equal to 1"}, {"userId", quoted(x("u", 257)), "less than or equal to 256"}, {"userId", quoted(x("ü", 257)), "less than or equal to 256"}, {"userId", "7", "number"}, {"userId", "{}", "object"},
		{"eventList", "", "must not be null"}, {"eventList", "null", "must not be null"}, {"eventList", "[]", "greater than or equal to 1"}, {"eventList", `"x"`, "string"}, {"eventList", "{}", "object"}, {"eventList", "[[]]", "array"}, {"eventList", "[7]", "number"},
	} {
		bad(with(good, c.member, c.value), "'"+c.member, c.rule)
	}
	bad(with(good, "trackingId", `"00000000-0000-0000-0000-000000000000"`), "tracking id")
	bad(with(good, "trackingId", quoted(s.trackingID+"\x00")), "tracking id")
	bad(with(good, "trackingId", quoted(strings.ToUpper(s.trackingID)+"x")), "tracking id")
	bad(with(good, "trackingId", quoted(s.tracker)), "tracking id")
	bad(with(good, "trackingId", `"../../catalog"`), "tracking id")
	bad(call(x(event("")+",", 10)+event("")), "'eventList'", "less than or equal to 10")
	bad(call("null"), "eventList.1.member.eventType", "must not be null")

	// An event's members.
	badEvent(`{"itemId":"a","sentAt":1}`, "eventType", "must not be null")
	badEvent(`{"eventType":"","itemId":"a","sentAt":1}`, "eventType", "greater than or equal to 1")
	badEvent(`{"eventType":"`+x("e", 257)+`","itemId":"a","sentAt":1}`, "eventType", "less than or equal to 256")
	badEvent(`{"eventType":"view","itemId":"a"}`, "sentAt", "must not be null")
	badEvent(`{"eventType":"view","itemId":"a","sentAt":null}`, "sentAt", "must not be null")
	badEvent(`{"eventType":"view","itemId":"a","sentAt":-1}`, "sentAt", "between 1970 and 9999")
	badEvent(`{"eventType":"view","itemId":"a","sentAt":253402300800000}`, "sentAt", "between 1970 and 9999")
	badEvent(`{"eventType":"view","itemId":"a","sentAt":1e300}`, "sentAt", "between 1970 and 9999")
	for _, sentAt := range []string{`"yesterday"`, `""`, `"NaN"`, `"Infinity"`, `"1e400"`, `1e400`, `true`, `{}`, `[1]`, `"2023-13-01"`, `"0x10"`} {
		if sentAt == `"0x10"` {
			continue // strconv reads it, and sixteen seconds are a time
		}
		badType(`{"eventType":"view","itemId":"a","sentAt":`+sentAt+`}`, "'eventList.sentAt'", "must be a time, in seconds")
	}
	badEvent(`{"eventType":"view","sentAt":1}`, "itemId")
	badEvent(`{"eventType":"view","itemId":null,"sentAt":1}`, "itemId")
	badEvent(`{"eventType":"view","itemId":"","sentAt":1}`, "itemId", "greater than or equal to 1")
	badEvent(event(`,"itemId":"`+x("i", 257)+`"`), "itemId", "less than or equal to 256")
	badType(event(`,"itemId":7`), "itemId", "number")
	badEvent(event(`,"eventId":""`), "eventId", "greater than or equal to 1")
	badEvent(event(`,"eventId":"`+x("i", 257)+`"`), "eventId", "less than or equal to 256")
	badType(event(`,"eventValue":"high"`), "eventValue", "string")
	badType(event(`,"eventValue":1e400`), "eventValue", "number")
	badEvent(event(`,"eventValue":1e39`), "eventValue", "float")
	badEvent(event(`,"eventValue":-1e300`), "eventValue", "float")
	badEvent(event(`,"recommendationId":""`), "recommendationId", "greater than or equal to 1")
	badEvent(event(`,"recommendationId":"`+x("r", 41)+`"`), "recommendationId", "less than or equal to 40")
	badEvent(event(`,"impression":[]`), "impression", "greater than or equal to 1")
	badEvent(event(`,"impression":[`+x(`"i",`, 25)+`"i"]`), "impression", "less than or equal to 25")
	badEvent(event(`,"impression":["a",""]`), "impression.2.member", "greater than or equal to 1")
	badEvent(event(`,"impression":["a","`+x("i", 257)+`"]`), "impression.2.member", "less than or equal to 256")
	badType(event(`,"impression":"a|b"`), "impression", "string")
	badType(event(`,"impression":[1]`), "impression", "number")
	badEvent(event(`,"metricAttribution":{}`), "metricAttribution.eventAttributionSource", "must not be null")
	badEvent(event(`,"metricAttribution":{"eventAttributionSource":"  "}`), "metricAttribution.eventAttributionSource", "regular expression")
	badEvent(event(`,"metricAttribution":{"eventAttributionSource":"ä"}`), "metricAttribution.eventAttributionSource", "regular expression")
	badEvent(event(`,"metricAttribution":{"eventAttributionSource":"`+x("s", 1025)+`"}`), "metricAttribution.eventAttributionSource", "less than or equal to 1024")

	// Properties: a JSON text inside the JSON.
	properties := func(text string) string { return event(`,"properties":` + quoted(text)) }
	badEvent(properties(""), "properties", "greater than or equal to 1")
	badEvent(properties(`{"k":"`+x("v", 1025-8)+`"}`), "properties", "less than or equal to 1024")
	for _, text := range []string{"{", "x", "[]", "null", "7", `"text"`, `{"price":}`, `{"price":1,}`, `{'price':1}`, `{"price":1}{}`, `{"price":01}`, `{"price":nan}`, "{\"k\":\"\x01\"}", `{"k":"\x"}`} {
		badEvent(properties(text), "Error parsing properties json")
	}
	for _, key := range []string{"userId", "USER_ID", "sessionId", "eventType", "EVENT_TYPE", "timestamp", "TIMESTAMP", "recommendationId", "impression", "IMPRESSION"} {
		badEvent(properties(`{"`+key+`":"x"}`), "properties: "+key, "must not be among")
	}
	for text, mentions := range map[string][]string{
		`{"numRatings":"many"}`:             {"numRatings", "int"},
		`{"numRatings":1.5}`:                {"numRatings", "int"},
		`{"numRatings":2147483648}`:         {"numRatings", "range of an int"},
		`{"numRatings":1e300}`:              {"numRatings", "range of an int"},
		`{"numRatings":true}`:               {"numRatings", "int"},
		`{"price":"cheap"}`:                 {"price", "double"},
		`{"price":1e400}`:                   {"price", "range of a double"},
		`{"price":"NaN"}`:                   {"price", "double"},
		`{"price":"0x1p4"}`:                 {"price", "double"},
		`{"gift":"yes"}`:                    {"gift", "true or false"},
		`{"gift":1}`:                        {"gift", "boolean"},
		`{"device":["a"]}`:                  {"device", "list"},
		`{"device":{"a":1}}`:                {"device", "object"},
		`{"unknown":{"deep":[1]}}`:          {"unknown", "list or object"},
		`{"PRICE":1,"price":2}`:             {"price", "twice"},
		`{"price":1,"price":2}`:             {"price", "twice"},
		`{"itemId":"` + x("i", 257) + `"}`:  {"itemId", "256"},
		`{"itemId":""}`:                     {"itemId", "empty"},
		`{"eventValue":"high"}`:             {"eventValue", "float"},
		`{"device":"` + x("d", 1001) + `"}`: {"device", "1000"},
	} {
		badEvent(properties(text), append([]string{"properties"}, mentions...)...)
	}
	badType(event(`,"properties":7`), "properties", "JSON object")
	badType(event(`,"properties":[{}]`), "properties", "JSON object")
	badType(event(`,"properties":true`), "properties", "JSON object")
	// Every member has its length, and the event is too long.
	wide := x("\U0001F600", 256)
	badEvent(event(`,"impression":[`+strings.TrimSuffix(x(`"`+wide+`",`, 25), ",")+`]`), "bytes", "10240")

	// Items and users.
	for _, c := range []struct{ path, list, id, dataset, other, good string }{
		{"/items", "items", "itemId", s.items, s.users, `"properties":"{\"genres\":\"a|b\",\"creationTimestamp\":1700000000}"`},
		{"/users", "users", "userId", s.users, s.items, `"properties":"{\"age\":7}"`},
	} {
		one := func(members string) string { return `{"` + c.id + `":"a",` + c.good + members + `}` }
		put := func(entities ...string) string {
			return `{"datasetArn":"` + c.dataset + `","` + c.list + `":[` + strings.Join(entities, ",") + `]}`
		}
		refuse := func(body, code string, mentions ...string) {
			calls = append(calls, refused{c.path, body, code, mentions})
		}
		ok := put(one(""))
		refuse(with(ok, "datasetArn", ""), invalidInput, "'datasetArn'", "must not be null")
		refuse(with(ok, "datasetArn", `"x"`), invalidInput, "'datasetArn'", "regular expression")
		refuse(with(ok, "datasetArn", quoted(accountARN+x("x", 256))), invalidInput, "'datasetArn'", "less than or equal to 256")
		refuse(with(ok, "datasetArn", quoted(s.group.ARN)), invalidInput, "not the ARN of a dataset")
		refuse(with(ok, "datasetArn", quoted(s.interactions)), invalidInput, "is not of type")
		refuse(with(ok, "datasetArn", quoted(c.other)), invalidInput, "is not of type")
		refuse(with(ok, "datasetArn", quoted(accountARN+"dataset/absent/ITEMS")), notFound, "dataset/absent/ITEMS")
		refuse(with(ok, "datasetArn", quoted(accountARN+"dataset/../../x")), notFound, "dataset/../../x")
		refuse(with(ok, c.list, ""), invalidInput, "'"+c.list+"'", "must not be null")
		refuse(with(ok, c.list, "[]"), invalidInput, "'"+c.list+"'", "greater than or equal to 1")
		refuse(with(ok, c.list, "7"), invalidInput, "'"+c.list+"'", "number")
		refuse(put(x(one("")+",", 10)+one("")), invalidInput, "'"+c.list+"'", "less than or equal to 10")
		refuse(put(one(""), `{}`), invalidInput, c.list+".2.member."+c.id, "must not be null")
		refuse(put(one(""), one(`,"`+c.id+`":""`)), invalidInput, c.list+".2.member."+c.id, "greater than or equal to 1")
		refuse(put(one(""), one(`,"`+c.id+`":"`+x("i", 257)+`"`)), invalidInput, c.list+".2.member."+c.id, "less than or equal to 256")
		refuse(put(one(`,"`+c.id+`":7`)), invalidInput, c.list+"."+c.id, "number")
		refuse(put(one(""), one(`,"properties":"{"`)), invalidInput, c.list+".2.member", "Error parsing properties json")
		refuse(put(one(""), one(`,"properties":""`)), invalidInput, c.list+".2.member.properties", "greater than or equal to 1")
		refuse(put(one(`,"properties":7`)), invalidInput, c.list+".properties", "JSON object")
	}
	for text, mentions := range map[string][]string{
		`{"creationTimestamp":1}`:                                 {"genres", "does not allow null"},
		`{"genres":null,"creationTimestamp":1}`:                   {"genres", "null"},
		`{"genres":"a"}`:                                          {"creationTimestamp", "does not allow null"},
		`{"genres":"a","creationTimestamp":1700000000000}`:        {"creationTimestamp", "milliseconds"},
		`{"genres":"a","creationTimestamp":"now"}`:                {"creationTimestamp", "long"},
		`{"genres":"a","creationTimestamp":1e30}`:                 {"creationTimestamp", "range of a long"},
		`{"genres":"` + x("g", 1001) + `","creationTimestamp":1}`: {"genres", "1000"},
		`{"genres":["a"],"creationTimestamp":1}`:                  {"genres", "list"},
		`{"genres":"a","creationTimestamp":1,"price":1e39}`:       {"price", "range of a float"},
		`{"genres":"a","creationTimestamp":1,"price":"free"}`:     {"price", "float"},
	} {
		calls = append(calls, refused{"/items", `{"datasetArn":"` + s.items + `","items":[{"itemId":"a","properties":` + quoted(text) + `}]}`, invalidInput,
			append([]string{"items.1.member: properties: "}, mentions...)})
	}
	note := func(chars int) string {
		const rest = `{"genres":"a","creationTimestamp":1,"note":""}`
		return quoted(`{"genres":"a","creationTimestamp":1,"note":"` + x("n", chars-len(rest)) + `"}`)
	}
	bio := func(chars int) string { return quoted(`{"bio":"` + x("b", chars-len(`{"bio":""}`)) + `"}`) }
	calls = append(calls,
		refused{"/items", `{"datasetArn":"` + s.items + `","items":[{"itemId":"a","properties":` + note(32_001) + `}]}`, invalidInput, []string{"properties", "less than or equal to 32000"}},
		refused{"/items", `{"datasetArn":"` + s.items + `","items":[{"itemId":"a"}]}`, invalidInput, []string{"genres", "does not allow null"}},
		refused{"/users", `{"datasetArn":"` + s.users + `","users":[{"userId":"a","properties":` + bio(24_001) + `}]}`, invalidInput, []string{"properties", "less than or equal to 24000"}},
		refused{"/users", `{"datasetArn":"` + s.users + `","users":[{"userId":"a","properties":"{\"age\":3000000000}"}]}`, invalidInput, []string{"age", "range of an int"}},
		refused{"/users", `{"datasetArn":"` + s.users + `","users":[{"userId":"a","properties":"{\"age\":\"old\"}"}]}`, invalidInput, []string{"age", "int"}},
	)
	s.check(calls)

	ids := func(n int) string { return fmt.Sprintf(`"eventId":"%s"`, x("é", n)) }
	s.checkAccepted([]accepted{
		{"/events", call(event("")), 1},
		{"/events", call(strings.TrimSuffix(x(event("")+",", 10), ",")), 10},
		{"/events", with(good, "userId", ""), 1},
		{"/events", with(good, "userId", "null"), 1},
		{"/events", with(with(good, "userId", quoted(x("ü", 256))), "sessionId", quoted(x("s", 256))), 1},
		{"/events", call(event("," + ids(256))), 1},
		{"/events", call(event(`,"itemId":"` + x("i", 256) + `","eventType":"` + x("t", 256) + `"`)), 1},
		{"/events", call(event(`,"recommendationId":"` + x("r", 40) + `"`)), 1},
		{"/events", call(event(`,"impression":[` + strings.TrimSuffix(x(`"`+x("i", 256)+`",`, 25), ",") + `]`)), 1},
		{"/events", call(event(`,"metricAttribution":{"eventAttributionSource":"` + x("s", 1024) + `"}`)), 1},
		{"/events", call(properties(`{"k":"` + x("v", 1024-8) + `"}`)), 1},
		{"/events", call(properties(`{}`)), 1},
		{"/events", call(properties(`{"price":"9.5","numRatings":2147483647,"gift":"true","device":7,"unknown":"x","other":null}`)), 1},
		{"/events", call(event(`,"properties":{"price":9.5}`)), 1},
		{"/events", call(`{"eventType":"view","sentAt":1,"properties":"{\"itemId\":7,\"eventValue\":\"2\"}"}`), 1},
		{"/events", call(event(`,"eventValue":3.4e38`)), 1},
		{"/events", call(`{"eventType":"view","itemId":"a","sentAt":0}`), 1},
		{"/events", call(`{"eventType":"view","itemId":"a","sentAt":253402300799999}`), 1},
		{"/events", call(`{"eventType":"view","itemId":"a","sentAt":"1700000000.447"}`), 1},
		{"/events", call(`{"eventType":"view","itemId":"a","sentAt":"2023-11-14T22:13:20Z"}`), 1},
		{"/events", call(`{"eventType":"view","itemId":"a\u0000b","sentAt":1}`), 1},
		{"/events", call(`{"eventType":"view","itemId":"a b\n\"|,","sentAt":1}`), 1},
		{"/items", `{"datasetArn":"` + s.items + `","items":[{"itemId":"` + x("i", 256) + `","properties":` + note(32_000) + `}]}`, 1},
		{"/users", `{"datasetArn":"` + s.users + `","users":[{"userId":"` + x("i", 256) + `","properties":` + bio(24_000) + `}]}`, 1},
		{"/users", `{"datasetArn":"` + s.users + `","users":[` + strings.TrimSuffix(x(`{"userId":"u"},`, 10), ",") + `]}`, 10},
	})
}
