package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// doc makes a document of a dataset type and the text of its fields.
func doc(name string, fields ...string) string {
	return fmt.Sprintf(`{"type":"record","name":%q,"namespace":"com.amazonaws.personalize.schema","fields":[%s],"version":"1.0"}`,
		name, strings.Join(fields, ","))
}

const (
	userIDField    = `{"name":"USER_ID","type":"string"}`
	itemIDField    = `{"name":"ITEM_ID","type":"string"}`
	timestampField = `{"name":"TIMESTAMP","type":"long"}`
	eventTypeField = `{"name":"EVENT_TYPE","type":"string"}`
	ageField       = `{"name":"AGE","type":"int"}`
	priceField     = `{"name":"PRICE","type":"float"}`
	genresField    = `{"name":"GENRES","type":["null","string"],"categorical":true}`
	actionIDField  = `{"name":"ACTION_ID","type":"string"}`
)

func interactionsWith(fields ...string) string {
	return doc("Interactions", append([]string{userIDField, itemIDField, timestampField}, fields...)...)
}

func actionInteractionsWith(fields ...string) string {
	return doc("Action_Interactions", append([]string{userIDField, actionIDField, timestampField, eventTypeField}, fields...)...)
}

func itemsWith(fields ...string) string {
	return doc("Items", append([]string{itemIDField}, fields...)...)
}

func TestParseReadsFields(t *testing.T) {
	t.Parallel()
	s, err := Parse(doc("items", itemIDField, genresField,
		`{"name":"PRICE","type":["double","null"]}`,
		`{"name":"YEAR","type":["int"]}`,
		`{"name":"CREATION_TIMESTAMP","type":"long"}`,
		`{"name":"IN_STOCK","type":"boolean","doc":"ignored"}`,
		`{"name":"DESCRIPTION","type":["null","string"],"textual":true}`,
	), "")
	if err != nil {
		t.Fatal(err)
	}
	want := &Schema{Type: Items, Fields: []Field{
		{Name: "ITEM_ID", Kind: String},
		{Name: "GENRES", Kind: String, Nullable: true, Categorical: true},
		{Name: "PRICE", Kind: Double, Nullable: true},
		{Name: "YEAR", Kind: Int},
		{Name: "CREATION_TIMESTAMP", Kind: Long},
		{Name: "IN_STOCK", Kind: Boolean},
		{Name: "DESCRIPTION", Kind: String, Nullable: true, Textual: true},
	}}
	if diff := cmp.Diff(want, s, cmpopts.IgnoreUnexported(Schema{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ document, domain string }{
		"smallest interactions": {interactionsWith(), ""},
		"all reserved interaction fields": {interactionsWith(eventTypeField,
			`{"name":"EVENT_VALUE","type":["null","float"]}`, `{"name":"IMPRESSION","type":"string"}`,
			`{"name":"RECOMMENDATION_ID","type":["string","null"]}`, `{"name":"EVENT_ATTRIBUTION_SOURCE","type":["string","null"]}`), ""},
		"plain string metadata": {itemsWith(`{"name":"SKU","type":"string"}`), ""},
		"users":                 {doc("Users", userIDField, ageField), ""},
		"lower case name":       {doc("users", userIDField, ageField), ""},
		"actions":               {doc("Actions", actionIDField, `{"name":"VALUE","type":["null","long"]}`, `{"name":"REPEAT_FREQUENCY","type":"int"}`), ""},
		"action interactions":   {actionInteractionsWith(), ""},
		"all reserved action fields": {doc("Actions", actionIDField, `{"name":"VALUE","type":"float"}`, `{"name":"CREATION_TIMESTAMP","type":"long"}`,
			`{"name":"ACTION_EXPIRATION_TIMESTAMP","type":["null","long"]}`, `{"name":"REPEAT_FREQUENCY","type":["int","null"]}`), ""},
		// The guide's own example has it so.
		"repeat frequency as long": {doc("Actions", actionIDField, `{"name":"REPEAT_FREQUENCY","type":["long","null"]}`), ""},
		"all reserved action interaction fields": {actionInteractionsWith(`{"name":"RECOMMENDATION_ID","type":["null","string"]}`,
			`{"name":"IMPRESSION","type":["null","string"]}`, `{"name":"CHANNEL","type":"string","categorical":true}`), ""},
		"actions in any case": {doc("action_interactions", userIDField, actionIDField, timestampField, eventTypeField), ""},
		"ten action fields":   {doc("Actions", append(manyFields(10), actionIDField)...), ""},
		"much user data":      {doc("Users", append(manyFields(25), userIDField)...), ""},
		"much item data":      {itemsWith(manyFields(100)...), ""},
		"much interaction data besides the reserved fields": {interactionsWith(append(manyFields(5), eventTypeField, `{"name":"EVENT_VALUE","type":"float"}`)...), ""},
		"every type": {itemsWith(`{"name":"A","type":"int"}`, `{"name":"B","type":"long"}`, `{"name":"C","type":"float"}`, `{"name":"D","type":"double"}`,
			`{"name":"E","type":"boolean"}`, `{"name":"F","type":["string","null"]}`), ""},
		"shop items with all reserved fields": {itemsWith(priceField, `{"name":"CATEGORY_L1","type":"string","categorical":true}`,
			`{"name":"CATEGORY_L2","type":["null","string"],"categorical":true}`, `{"name":"CATEGORY_L3","type":["null","string"],"categorical":true}`,
			`{"name":"PRODUCT_DESCRIPTION","type":["null","string"],"textual":true}`, `{"name":"GENDER","type":["null","string"],"categorical":true}`,
			`{"name":"AGE_GROUP","type":["null","string"],"categorical":true}`, `{"name":"ADULT","type":["null","string"],"categorical":true}`), DomainECommerce},
		"shop interactions": {interactionsWith(eventTypeField), DomainECommerce},
		"shop items":        {itemsWith(priceField, `{"name":"CATEGORY_L1","type":["string"],"categorical":true}`), DomainECommerce},
		"video items": {itemsWith(`{"name":"GENRES","type":"string","categorical":true}`,
			`{"name":"CREATION_TIMESTAMP","type":"long"}`), DomainVideoOnDemand},
		"domain users": {doc("Users", userIDField, ageField), DomainVideoOnDemand},
		"white space":  {"\n " + interactionsWith() + "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(c.document, c.domain); err != nil {
				t.Error(err)
			}
		})
	}
}

func manyFields(n int) []string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`{"name":"F%d","type":"int"}`, i)
	}
	return fields
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ document, domain, want string }{
		"empty":             {"", "", "not valid JSON"},
		"not JSON":          {"{", "", "not valid JSON"},
		"a list":            {"[]", "", "not valid JSON of a record"},
		"two documents":     {interactionsWith() + "{}", "", "something follows"},
		"too long":          {interactionsWith() + strings.Repeat(" ", MaxDocument), "", "at most 20000"},
		"not a record":      {`{"type":"enum","name":"Items","fields":[]}`, "", `"type": "record"`},
		"no type":           {`{"name":"Items","fields":[]}`, "", `"type": "record"`},
		"unknown name":      {doc("Things", itemIDField), "", `schema name "Things"`},
		"no fields":         {`{"type":"record","name":"Items"}`, "", "no fields"},
		"empty fields":      {doc("Items"), "", "no fields"},
		"field list broken": {`{"type":"record","name":"Items","fields":{}}`, "", "not valid JSON of a record"},

		"unnamed field":         {itemsWith(`{"type":"string"}`), "", "field 2 has no name"},
		"illegal name":          {itemsWith(`{"name":"A-B","type":"string"}`), "", `field "A-B": a name consists of`},
		"name without letters":  {itemsWith(`{"name":"__","type":"string"}`), "", `field "__": a name consists of`},
		"missing type":          {itemsWith(`{"name":"A"}`), "", "field A: the type is missing"},
		"unknown type":          {itemsWith(`{"name":"A","type":"text"}`), "", `field A: type "text" is not one of`},
		"null alone":            {itemsWith(`{"name":"A","type":"null"}`), "", "field A: the type must be one of"},
		"empty union":           {itemsWith(`{"name":"A","type":[]}`), "", "field A: the type must be one of"},
		"union of two types":    {itemsWith(`{"name":"A","type":["int","string"]}`), "", "field A: the type must be one of"},
		"union with null twice": {itemsWith(`{"name":"A","type":["null","null","int"]}`), "", "field A: the union has null twice"},
		"array":                 {itemsWith(`{"name":"A","type":{"type":"array","items":"string"}}`), "", "field A: nested types"},
		"array by name":         {itemsWith(`{"name":"A","type":"array"}`), "", "field A: nested type array"},
		"record in a union":     {itemsWith(`{"name":"A","type":["null",{"type":"record"}]}`), "", "field A: nested types"},
		"duplicate field":       {itemsWith(ageField, ageField), "", "field AGE: duplicates field AGE"},
		"duplicate but for underscores and case": {itemsWith(`{"name":"GENRES_FIELD_1","type":"string"}`, `{"name":"GenresField1","type":"string"}`), "",
			"field GenresField1: duplicates field GENRES_FIELD_1"},

		"categorical number":      {itemsWith(`{"name":"A","type":"int","categorical":true}`), "", "field A: only string fields can be categorical"},
		"textual number":          {itemsWith(`{"name":"A","type":"int","textual":true}`), "", "field A: only string fields can be textual"},
		"textual user field":      {doc("Users", userIDField, `{"name":"BIO","type":"string","textual":true}`), "", "field BIO: only fields of Items can be textual"},
		"categorical and textual": {itemsWith(`{"name":"A","type":"string","textual":true,"categorical":true}`), "", "field A: a field is either"},
		"categorical in quotes":   {itemsWith(`{"name":"A","type":"string","categorical":"true"}`), "", "not valid JSON of a record"},

		"interactions without user":      {doc("Interactions", itemIDField, timestampField), "", "field USER_ID: the Interactions dataset requires it"},
		"interactions without item":      {doc("Interactions", userIDField, timestampField), "", "field ITEM_ID: the Interactions dataset requires it"},
		"interactions without timestamp": {doc("Interactions", userIDField, itemIDField), "", "field TIMESTAMP: the Interactions dataset requires it"},
		"items without id":               {doc("Items", ageField), "", "field ITEM_ID: the Items dataset requires it"},
		"users without id":               {doc("Users", ageField), "", "field USER_ID: the Users dataset requires it"},
		"lower case id":                  {doc("Users", `{"name":"user_id","type":"string"}`, ageField), "", "field USER_ID: the Users dataset requires it"},
		"actions without id":             {doc("Actions", ageField), "", "field ACTION_ID"},
		"action interactions without event type": {doc("Action_Interactions", userIDField, actionIDField, timestampField), "",
			"field EVENT_TYPE: the Action_Interactions dataset requires it"},
		"action interactions without user":      {doc("Action_Interactions", actionIDField, timestampField, eventTypeField), "", "field USER_ID: the Action_Interactions dataset requires it"},
		"action interactions without action":    {doc("Action_Interactions", userIDField, timestampField, eventTypeField), "", "field ACTION_ID: the Action_Interactions dataset requires it"},
		"action interactions with an item":      {doc("Action_Interactions", userIDField, itemIDField, timestampField, eventTypeField), "", "field ACTION_ID: the Action_Interactions dataset requires it"},
		"action interactions without timestamp": {doc("Action_Interactions", userIDField, actionIDField, eventTypeField), "", "field TIMESTAMP: the Action_Interactions dataset requires it"},
		"action event type as int":              {doc("Action_Interactions", userIDField, actionIDField, timestampField, `{"name":"EVENT_TYPE","type":"int"}`), "", "field EVENT_TYPE: the type must be string, not int"},
		"nullable action event type":            {doc("Action_Interactions", userIDField, actionIDField, timestampField, `{"name":"EVENT_TYPE","type":["null","string"]}`), "", "field EVENT_TYPE: the type must be string without null"},
		"categorical action event type":         {doc("Action_Interactions", userIDField, actionIDField, timestampField, `{"name":"EVENT_TYPE","type":"string","categorical":true}`), "", "field EVENT_TYPE: must not be categorical"},
		"action recommendation id as long":      {actionInteractionsWith(`{"name":"RECOMMENDATION_ID","type":"long"}`), "", "field RECOMMENDATION_ID: the type must be string"},
		"action value as string":                {doc("Actions", actionIDField, `{"name":"VALUE","type":"string"}`), "", "field VALUE: the type must be int or long or float or double"},
		"repeat frequency as float":             {doc("Actions", actionIDField, `{"name":"REPEAT_FREQUENCY","type":"float"}`), "", "field REPEAT_FREQUENCY: the type must be int or long"},
		"expiration as string":                  {doc("Actions", actionIDField, `{"name":"ACTION_EXPIRATION_TIMESTAMP","type":"string"}`), "", "field ACTION_EXPIRATION_TIMESTAMP: the type must be long"},
		"action creation time as int":           {doc("Actions", actionIDField, `{"name":"CREATION_TIMESTAMP","type":"int"}`), "", "field CREATION_TIMESTAMP: the type must be long"},
		"nullable action id":                    {doc("Actions", `{"name":"ACTION_ID","type":["null","string"]}`, ageField), "", "field ACTION_ID: the type must be string without null"},
		"textual action field":                  {doc("Actions", actionIDField, `{"name":"TEXT","type":"string","textual":true}`), "", "field TEXT: only fields of Items can be textual"},
		"much action data":                      {doc("Actions", append(manyFields(11), actionIDField)...), "", "11 metadata fields, at most 10"},
		"much action interaction data":          {actionInteractionsWith(manyFields(6)...), "", "6 metadata fields, at most 5"},
		"textual interaction field":             {interactionsWith(`{"name":"TEXT","type":"string","textual":true}`), "", "field TEXT: only fields of Items can be textual"},
		"recommendation id as long":             {interactionsWith(`{"name":"RECOMMENDATION_ID","type":"long"}`), "", "field RECOMMENDATION_ID: the type must be string"},
		"attribution source as int":             {interactionsWith(`{"name":"EVENT_ATTRIBUTION_SOURCE","type":"int"}`), "", "field EVENT_ATTRIBUTION_SOURCE: the type must be string"},
		"nullable event type":                   {interactionsWith(`{"name":"EVENT_TYPE","type":["null","string"]}`), "", "field EVENT_TYPE: the type must be string without null"},
		"nullable timestamp":                    {doc("Interactions", userIDField, itemIDField, `{"name":"TIMESTAMP","type":["null","long"]}`), "", "field TIMESTAMP: the type must be long without null"},
		"nullable creation time":                {itemsWith(genresField, `{"name":"CREATION_TIMESTAMP","type":["null","long"]}`), "", "field CREATION_TIMESTAMP: the type must be long without null"},
		"map":                                   {itemsWith(`{"name":"A","type":"map"}`), "", "field A: nested type map"},
		"numeric id":                            {doc("Users", `{"name":"USER_ID","type":"long"}`, ageField), "", "field USER_ID: the type must be string, not long"},
		"nullable id":                           {doc("Users", `{"name":"USER_ID","type":["null","string"]}`, ageField), "", "field USER_ID: the type must be string without null"},
		"timestamp as string":                   {doc("Interactions", userIDField, itemIDField, `{"name":"TIMESTAMP","type":"string"}`), "", "field TIMESTAMP: the type must be long, not string"},
		"timestamp as int":                      {doc("Interactions", userIDField, itemIDField, `{"name":"TIMESTAMP","type":"int"}`), "", "field TIMESTAMP: the type must be long, not int"},
		"event value as double":                 {interactionsWith(`{"name":"EVENT_VALUE","type":"double"}`), "", "field EVENT_VALUE: the type must be float"},
		"impression as long":                    {interactionsWith(`{"name":"IMPRESSION","type":"long"}`), "", "field IMPRESSION: the type must be string"},
		"creation time as string":               {itemsWith(genresField, `{"name":"CREATION_TIMESTAMP","type":"string"}`), "", "field CREATION_TIMESTAMP: the type must be long"},
		"categorical event type":                {interactionsWith(`{"name":"EVENT_TYPE","type":"string","categorical":true}`), "", "field EVENT_TYPE: must not be categorical"},
		"items without metadata":                {itemsWith(), "", "requires at least 1 metadata field"},
		"creation time only":                    {itemsWith(`{"name":"CREATION_TIMESTAMP","type":"long"}`), "", "requires at least 1 metadata field"},
		"users without metadata":                {doc("Users", userIDField), "", "requires at least 1 metadata field"},
		"actions without metadata":              {doc("Actions", actionIDField), "", "requires at least 1 metadata field"},
		"much interaction data":                 {interactionsWith(manyFields(6)...), "", "6 metadata fields, at most 5"},
		"much user data":                        {doc("Users", append(manyFields(26), userIDField)...), "", "26 metadata fields, at most 25"},
		"much item data":                        {itemsWith(manyFields(101)...), "", "101 metadata fields, at most 100"},

		"unknown domain":                  {interactionsWith(), "BANKING", `domain "BANKING"`},
		"actions in the video domain":     {doc("Actions", actionIDField, ageField), DomainVideoOnDemand, "has no Actions dataset"},
		"action interactions in a domain": {actionInteractionsWith(), DomainVideoOnDemand, "has no Action_Interactions dataset"},
		"shop users without metadata":     {doc("Users", userIDField), DomainECommerce, "requires at least 1 metadata field"},
		"video users without id":          {doc("Users", ageField), DomainVideoOnDemand, "field USER_ID: the Users dataset requires it"},
		"shop price as double":            {itemsWith(`{"name":"PRICE","type":"double"}`, `{"name":"CATEGORY_L1","type":"string","categorical":true}`), DomainECommerce, "field PRICE: the type must be float"},
		"actions in a domain":             {doc("Actions", actionIDField, ageField), DomainECommerce, "has no Actions dataset"},
		"shop events without type":        {interactionsWith(), DomainECommerce, "field EVENT_TYPE: the Interactions dataset requires it"},
		"video events without type":       {interactionsWith(), DomainVideoOnDemand, "field EVENT_TYPE: the Interactions dataset requires it"},
		"shop items without price":        {itemsWith(`{"name":"CATEGORY_L1","type":"string","categorical":true}`), DomainECommerce, "field PRICE: the Items dataset requires it"},
		"shop items without category":     {itemsWith(priceField), DomainECommerce, "field CATEGORY_L1: the Items dataset requires it"},
		"shop category not so":            {itemsWith(priceField, `{"name":"CATEGORY_L1","type":"string"}`), DomainECommerce, "field CATEGORY_L1: must be categorical"},
		"shop description not textual":    {itemsWith(priceField, `{"name":"CATEGORY_L1","type":"string","categorical":true}`, `{"name":"PRODUCT_DESCRIPTION","type":"string"}`), DomainECommerce, "field PRODUCT_DESCRIPTION: must be textual"},
		"video items without time":        {itemsWith(`{"name":"GENRES","type":"string","categorical":true}`), DomainVideoOnDemand, "field CREATION_TIMESTAMP: the Items dataset requires it"},
		"video items without genres":      {itemsWith(`{"name":"CREATION_TIMESTAMP","type":"long"}`, ageField), DomainVideoOnDemand, "field GENRES: the Items dataset requires it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(c.document, c.domain)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestPropertyKeys(t *testing.T) {
	t.Parallel()
	s, err := Parse(itemsWith(`{"name":"CREATION_TIMESTAMP","type":"long"}`, `{"name":"GENRES_FIELD_1","type":"string"}`, `{"name":"PRICE","type":"float"}`), "")
	if err != nil {
		t.Fatal(err)
	}
	byHand := &Schema{Type: s.Type, Fields: s.Fields}
	for key, want := range map[string]string{
		"creationTimestamp": "CREATION_TIMESTAMP", "CREATION_TIMESTAMP": "CREATION_TIMESTAMP", "genresField1": "GENRES_FIELD_1",
		"price": "PRICE", "PRICE": "PRICE", "itemId": "ITEM_ID", "Price": "", "creation_timestamp": "", "": "",
	} {
		for _, s := range []*Schema{s, byHand} {
			if f, ok := s.Property(key); f.Name != want || ok != (want != "") {
				t.Errorf("Property(%q) = %q, %v; want %q", key, f.Name, ok, want)
			}
		}
	}
}

func TestMetadataLeavesOutFirstClassColumns(t *testing.T) {
	t.Parallel()
	for document, want := range map[string][]string{
		interactionsWith(eventTypeField, `{"name":"EVENT_VALUE","type":"float"}`, `{"name":"DEVICE","type":"string"}`): {"DEVICE"},
		itemsWith(genresField, `{"name":"CREATION_TIMESTAMP","type":"long"}`):                                          {"GENRES", "CREATION_TIMESTAMP"},
		doc("Users", userIDField, ageField):                                                                            {"AGE"},
		doc("Actions", actionIDField, `{"name":"VALUE","type":"int"}`, `{"name":"REPEAT_FREQUENCY","type":"int"}`):     {"VALUE", "REPEAT_FREQUENCY"},
		// Action interactions have no value and no attribution source of their own: such columns are the dataset's.
		actionInteractionsWith(`{"name":"EVENT_VALUE","type":"float"}`, `{"name":"RECOMMENDATION_ID","type":"string"}`): {"EVENT_VALUE"},
	} {
		s, err := Parse(document, "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range s.Metadata() {
			got = append(got, f.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", s.Type, diff)
		}
	}
}

// FuzzParse holds Parse to its promises on any text: no panic, and what it accepts keeps the rules that others rely on.
func FuzzParse(f *testing.F) {
	f.Add(interactionsWith(eventTypeField), "")
	f.Add(itemsWith(genresField, priceField), DomainECommerce)
	f.Add(actionInteractionsWith(), "")
	f.Add(doc("Actions", actionIDField, `{"name":"VALUE","type":["null","long"]}`), "")
	f.Add(doc("Users", userIDField, `{"name":"AGE","type":["null","int"]}`), DomainVideoOnDemand)
	f.Add(`{"type":"record","name":"Items","fields":[{"name":"ITEM_ID","type":[["string"]]}]}`, "")
	f.Fuzz(func(t *testing.T, document, domain string) {
		s, err := Parse(document, domain)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if _, ok := s.Field(s.IDField()); !ok {
			t.Errorf("%s without %s", s.Type, s.IDField())
		}
		for _, field := range s.Fields {
			for _, key := range []string{field.Name, CamelCase(field.Name)} {
				if found, ok := s.Property(key); !ok || found != field {
					t.Errorf("Property(%q) = %v, want %v", key, found, field)
				}
			}
		}
	})
}
