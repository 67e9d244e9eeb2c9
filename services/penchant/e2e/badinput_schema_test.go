package e2e

import (
	"fmt"
	"strings"
)

// schemas sends what CreateSchema must refuse (§4.1); each message names the field.
func (s *badShop) schemas() {
	var calls []refused
	bad := func(document, domain string, mentions ...string) {
		body := `{"name":"new","schema":` + quoted(document) + `}`
		if domain != "" {
			body = with(body, "domain", quoted(domain))
		}
		calls = append(calls, refused{"CreateSchema", body, invalidInput, mentions})
	}
	const (
		user, item, timestamp = `{"name":"USER_ID","type":"string"}`, `{"name":"ITEM_ID","type":"string"}`, `{"name":"TIMESTAMP","type":"long"}`
		eventType, age        = `{"name":"EVENT_TYPE","type":"string"}`, `{"name":"AGE","type":["null","int"]}`
		genres, price         = `{"name":"GENRES","type":"string","categorical":true}`, `{"name":"PRICE","type":"float"}`
		action                = `{"name":"ACTION_ID","type":"string"}`
	)
	record := func(name string, fields ...string) string {
		return `{"type":"record","name":"` + name + `","namespace":"com.amazonaws.personalize.schema","fields":[` + strings.Join(fields, ",") + `],"version":"1.0"}`
	}
	interactions := func(fields ...string) string {
		return record("Interactions", append([]string{user, item, timestamp}, fields...)...)
	}
	items := func(fields ...string) string { return record("Items", append([]string{item}, fields...)...) }
	columns := func(n int) (fields []string) {
		for i := range n {
			fields = append(fields, fmt.Sprintf(`{"name":"F%d","type":"int"}`, i))
		}
		return fields
	}

	// Documents.
	for _, document := range []string{"", " ", "{", "[]", "null", "7", `"record"`, "{}{}", interactions() + "x", "\x00", "\ufeff" + interactions(), `{'type':'record'}`, strings.Repeat("[", 15_000), strings.Repeat(`{"a":`, 3_000)} {
		bad(document, "", "schema")
	}
	bad(interactions()+strings.Repeat(" ", 20_001-len(interactions())), "", "'schema'", "less than or equal to 20000")
	bad(`{"type":"enum","name":"Items","fields":[]}`, "", `"type": "record"`)
	bad(`{"name":"Items","fields":[]}`, "", `"type": "record"`)
	bad(record("Things", item), "", `schema name "Things"`)
	bad(record("", item), "", `schema name ""`)
	bad(record("Items"), "", "no fields")
	bad(`{"type":"record","name":"Items","fields":null}`, "", "no fields")
	bad(`{"type":"record","name":"Items","fields":{}}`, "", "record")
	bad(`{"type":"record","name":"Items","fields":["ITEM_ID"]}`, "", "record")

	// Fields.
	bad(items(`{"type":"string"}`), "", "field 2 has no name")
	bad(items(`{"name":7,"type":"string"}`), "", "record")
	bad(items(`{"name":"A-B","type":"string"}`), "", `field "A-B"`)
	bad(items(`{"name":"Ä","type":"string"}`), "", `field "Ä"`)
	bad(items(`{"name":"`+strings.Repeat("N", 257)+`","type":"string"}`), "", "at most 256")
	bad(items(`{"name":"A"}`), "", "field A", "type is missing")
	bad(items(`{"name":"A","type":"text"}`), "", "field A", `"text"`)
	bad(items(`{"name":"A","type":"null"}`), "", "field A")
	bad(items(`{"name":"A","type":["int","string"]}`), "", "field A")
	bad(items(`{"name":"A","type":[["null"],"int"]}`), "", "field A", "nested")
	bad(items(`{"name":"A","type":{"type":"array","items":"string"}}`), "", "field A", "nested")
	bad(items(`{"name":"A","type":{"type":"map","values":"string"}}`), "", "field A", "nested")
	bad(items(`{"name":"A","type":"record"}`), "", "field A", "nested")
	bad(items(`{"name":"A","type":`+strings.Repeat("[", 5_000)+strings.Repeat("]", 5_000)+`}`), "", "field A", "nested")
	bad(items(age, age), "", "field AGE", "duplicates")
	bad(items(`{"name":"GENRES_FIELD_1","type":"int"}`, `{"name":"GENRESFIELD1","type":"int"}`), "", "field GENRESFIELD1", "duplicates")
	bad(items(`{"name":"A","type":"int","categorical":true}`), "", "field A", "categorical")
	bad(items(`{"name":"A","type":"string","categorical":"yes"}`), "", "record")
	bad(items(`{"name":"A","type":"string","categorical":true,"textual":true}`), "", "field A", "either categorical or textual")
	bad(interactions(`{"name":"A","type":"string","textual":true}`), "", "field A", "textual")

	// Required and reserved fields of each type.
	bad(record("Interactions", item, timestamp), "", "field USER_ID", "requires")
	bad(record("Interactions", user, timestamp), "", "field ITEM_ID", "requires")
	bad(record("Interactions", user, item), "", "field TIMESTAMP", "requires")
	bad(record("Interactions", user, item, `{"name":"TIMESTAMP","type":"string"}`), "", "field TIMESTAMP", "must be long")
	bad(record("Interactions", user, item, `{"name":"TIMESTAMP","type":["null","long"]}`), "", "field TIMESTAMP", "without null")
	bad(record("Interactions", `{"name":"USER_ID","type":"long"}`, item, timestamp), "", "field USER_ID", "must be string")
	bad(record("Interactions", `{"name":"USER_ID","type":["null","string"]}`, item, timestamp), "", "field USER_ID", "without null")
	bad(interactions(`{"name":"EVENT_TYPE","type":"string","categorical":true}`), "", "field EVENT_TYPE", "categorical")
	bad(interactions(`{"name":"EVENT_VALUE","type":"string"}`), "", "field EVENT_VALUE", "must be float")
	bad(interactions(`{"name":"IMPRESSION","type":"int"}`), "", "field IMPRESSION", "must be string")
	bad(interactions(`{"name":"RECOMMENDATION_ID","type":"long"}`), "", "field RECOMMENDATION_ID", "must be string")
	bad(interactions(`{"name":"EVENT_ATTRIBUTION_SOURCE","type":"boolean"}`), "", "field EVENT_ATTRIBUTION_SOURCE", "must be string")
	bad(interactions(columns(6)...), "", "6 metadata fields", "at most 5")
	bad(record("Users", user), "", "at least 1 metadata field")
	bad(record("Users", age), "", "field USER_ID", "requires")
	bad(record("Users", append([]string{user}, columns(26)...)...), "", "26 metadata fields", "at most 25")
	bad(record("Users", user, `{"name":"BIO","type":"string","textual":true}`), "", "field BIO", "Items")
	bad(items(), "", "at least 1 metadata field")
	bad(items(`{"name":"CREATION_TIMESTAMP","type":"long"}`), "", "at least 1 metadata field")
	bad(items(genres, `{"name":"CREATION_TIMESTAMP","type":"int"}`), "", "field CREATION_TIMESTAMP", "must be long")
	bad(items(columns(101)...), "", "101 metadata fields", "at most 100")
	bad(record("Actions", action), "", "metadata")
	bad(record("Actions", action, `{"name":"VALUE","type":"string"}`), "", "field VALUE")
	bad(record("Actions", append([]string{action}, columns(11)...)...), "", "at most 10")
	bad(record("Action_Interactions", user, action, timestamp), "", "field EVENT_TYPE", "requires")

	// Domains.
	bad(interactions(), "GAMES", "'domain'", "[ECOMMERCE, VIDEO_ON_DEMAND]")
	bad(interactions(), "ECOMMERCE", "field EVENT_TYPE", "requires")
	bad(interactions(), "VIDEO_ON_DEMAND", "field EVENT_TYPE", "requires")
	bad(items(price), "ECOMMERCE", "field CATEGORY_L1", "requires")
	bad(items(`{"name":"CATEGORY_L1","type":"string","categorical":true}`), "ECOMMERCE", "field PRICE", "requires")
	bad(items(price, `{"name":"CATEGORY_L1","type":"string"}`), "ECOMMERCE", "field CATEGORY_L1", "categorical")
	bad(items(genres), "VIDEO_ON_DEMAND", "field CREATION_TIMESTAMP", "requires")
	bad(items(`{"name":"CREATION_TIMESTAMP","type":"long"}`, `{"name":"GENRES","type":"string"}`), "VIDEO_ON_DEMAND", "field GENRES", "categorical")
	bad(record("Actions", action, `{"name":"VALUE","type":"long"}`), "ECOMMERCE", "ECOMMERCE", "Actions")
	s.check(calls)

	var good []accepted
	for i, document := range []string{
		interactions() + strings.Repeat(" ", 20_000-len(interactions())), interactions(columns(5)...), items(columns(100)...),
		record("Users", append([]string{user}, columns(25)...)...), record("users", user, age), record("Actions", append([]string{action}, columns(10)...)...),
		items(`{"name":"` + strings.Repeat("N", 256) + `","type":["string","null"]}`), interactions(eventType, `{"name":"EVENT_VALUE","type":["null","float"],"default":null,"doc":"ignored"}`),
	} {
		good = append(good, accepted{operation: "CreateSchema", body: fmt.Sprintf(`{"name":"good-%d","schema":%s}`, i, quoted(document))})
	}
	s.checkAccepted(good)
}
