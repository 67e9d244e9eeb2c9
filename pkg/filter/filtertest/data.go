// Package filtertest is what a filter must do, as cases over a small fixed data set: expressions with the ids they select,
// expressions and values that must be refused, and the schemas and records they speak of.
//
// The tests of package filter evaluate the cases directly; the tests of the services put the data in through the API,
// create each filter, and compare recommendations.
package filtertest

import (
	"fmt"
	"strings"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/testfile"
)

// Documents returns the schema documents of the data set, by upper-case dataset type, as CreateSchema takes them.
func Documents() map[string]string {
	documents := map[string]string{}
	for _, datasetType := range []string{"ITEMS", "USERS", "INTERACTIONS", "ACTIONS", "ACTION_INTERACTIONS"} {
		name := strings.ToLower(strings.ReplaceAll(datasetType, "_", "-"))
		documents[datasetType] = string(testfile.Read("filter/schemas/" + name + ".json"))
	}
	return documents
}

// Schemas parses Documents.
func Schemas() filter.Schemas {
	schemas := filter.Schemas{}
	for datasetType, document := range Documents() {
		s, err := schema.Parse(document, "")
		if err != nil {
			panic(fmt.Sprintf("parsing the schema of %s: %v", datasetType, err))
		}
		schemas[datasetType] = s
	}
	return schemas
}

// Start is the time of the first event, in Unix seconds.
const Start = 1_700_000_000

// props are properties; nil stands for null.
type props = map[string]any

// Items are the records of the Items dataset.
var Items = []reco.Entity{
	{ID: "i01", Properties: props{"GENRES": "Comedy", "PRICE": 9.99, "YEAR": int64(1970), "STOCK": "yes", "SERIAL": int64(1), "RATING": 4.5, "ADULT": false, "DESCRIPTION": "funny", "CREATION_TIMESTAMP": int64(1_600_000_000)}},
	{ID: "i02", Properties: props{"GENRES": "Comedy|Drama", "PRICE": 10.0, "YEAR": int64(1979), "STOCK": "no", "SERIAL": int64(9007199254740992), "RATING": 3.0, "ADULT": true, "DESCRIPTION": "sad", "CREATION_TIMESTAMP": int64(1_610_000_000)}},
	{ID: "i03", Properties: props{"GENRES": "Drama", "PRICE": 10.01, "YEAR": int64(1980), "STOCK": "yes", "SERIAL": int64(9007199254740993), "RATING": 4.5, "ADULT": nil, "DESCRIPTION": nil, "CREATION_TIMESTAMP": int64(1_620_000_000)}},
	{ID: "i04", Properties: props{"GENRES": "Horror", "PRICE": 0.0, "YEAR": int64(1999), "STOCK": "no", "SERIAL": int64(9007199254740994), "RATING": -1.5, "CREATION_TIMESTAMP": int64(1_630_000_000)}},
	{ID: "i05", Properties: props{"GENRES": "Horror|Comedy", "PRICE": 5.5, "YEAR": int64(2000), "STOCK": "Yes", "SERIAL": int64(-9007199254740993), "RATING": 0.0, "CREATION_TIMESTAMP": int64(1_640_000_000)}},
	{ID: "i06", Properties: props{"GENRES": "comedy", "PRICE": 25.0, "YEAR": int64(2001), "STOCK": "on order", "SERIAL": int64(9223372036854775807), "RATING": 1e-9, "CREATION_TIMESTAMP": int64(1_650_000_000)}},
	{ID: "i07", Properties: props{"GENRES": "Romantic Comedy|Drama", "PRICE": 100.0, "YEAR": int64(1950), "STOCK": "yes|no", "SERIAL": int64(-9223372036854775808), "RATING": 1e9, "CREATION_TIMESTAMP": int64(1_660_000_000)}},
	{ID: "i08", Properties: props{"GENRES": nil, "PRICE": nil, "YEAR": nil, "STOCK": nil, "SERIAL": nil, "RATING": nil, "CREATION_TIMESTAMP": int64(1_670_000_000)}},
	{ID: "i09", Properties: props{"GENRES": "Sci-Fi, Fantasy", "PRICE": 10.0, "YEAR": int64(-44), "STOCK": `12" disc`, "SERIAL": int64(0), "RATING": 4.0, "CREATION_TIMESTAMP": int64(1_680_000_000)}},
	{ID: "i10", Properties: props{"GENRES": "Drama|Drama|Crime", "PRICE": 3.25, "YEAR": int64(1970), "STOCK": "it's", "CREATION_TIMESTAMP": int64(1_690_000_000)}},
	{ID: "i11", Properties: props{"GENRES": "Müsik|Crime", "PRICE": 7.5, "YEAR": int64(1985), "STOCK": `back\slash`, "SERIAL": int64(42), "RATING": 2.5, "CREATION_TIMESTAMP": int64(1_699_000_000)}},
	{ID: "i12", Properties: props{"YEAR": int64(2024), "CREATION_TIMESTAMP": int64(1_699_999_999)}},
}

// BareItem is known from interactions only: it has no record.
const BareItem = "i13"

// Users are the records of the Users dataset. Users of Interactions who are missing here have no record.
var Users = []reco.Entity{
	{ID: "ann", Properties: props{"AGE": int64(30), "MEMBER": "yes", "COUNTRIES": "England|France", "SPENT": 99.5, "POINTS": int64(9007199254740993), "PREMIUM": true}},
	{ID: "bob", Properties: props{"AGE": int64(12), "MEMBER": "no", "COUNTRIES": "England", "SPENT": 0.0, "POINTS": int64(10)}},
	{ID: "cleo", Properties: props{"AGE": int64(18), "MEMBER": "Yes", "COUNTRIES": "Egypt", "SPENT": 18.0, "POINTS": int64(9007199254740992)}},
	{ID: "nil", Properties: props{"AGE": nil, "MEMBER": nil, "COUNTRIES": nil, "SPENT": nil, "POINTS": nil, "PREMIUM": nil}},
	{ID: "dave", Properties: props{"AGE": int64(64), "MEMBER": "no", "SPENT": 1250.75}},
}

// RecordlessUser has events but no record, so no attributes; UnknownUser has neither.
const (
	RecordlessUser = "eve"
	UnknownUser    = "ghost"
)

// Interactions are the events of the data set, oldest first.
var Interactions = interactions()

func interactions() []reco.Interaction {
	var list []reco.Interaction
	add := func(user, item, eventType string) {
		n := len(list)
		list = append(list, reco.Interaction{EventID: fmt.Sprintf("e%03d", n), UserID: user, SessionID: "s-" + user, ItemID: item,
			EventType: eventType, TimestampMS: (Start + int64(n)) * 1000})
	}
	add("ann", "i01", "click")
	add("ann", "i02", "Click")
	add("ann", "i03", "watch")
	add("ann", "i02", "watch")
	add("ann", "i08", "favorite")
	add("ann", BareItem, "CLICK")
	add("bob", "i04", "click")
	add("bob", "i04", "rating")
	add("eve", "i06", "watch")
	add("nil", "i12", "rating")
	// The hundred newest clicks of dave push his oldest two out of sight, whatever their case, but not his watch before them.
	add("dave", "i01", "click")
	add("dave", "i02", "CLICK")
	add("dave", "i05", "watch")
	for i := range 100 {
		add("dave", []string{"i09", "i10"}[i%2], []string{"click", "Click", "CLICK"}[i%3])
	}
	return list
}

// Actions are the records of the Actions dataset.
var Actions = []reco.Entity{
	{ID: "a1", Properties: props{"VALUE": 1.0, "KIND": "mail", "REPEAT_FREQUENCY": int64(7), "CREATION_TIMESTAMP": int64(1_600_000_000)}},
	{ID: "a2", Properties: props{"VALUE": 10.0, "KIND": "mail|coupon", "REPEAT_FREQUENCY": int64(30), "CREATION_TIMESTAMP": int64(1_650_000_000)}},
	{ID: "a3", Properties: props{"VALUE": 2.5, "KIND": "coupon", "REPEAT_FREQUENCY": nil, "CREATION_TIMESTAMP": int64(1_700_000_000)}},
	{ID: "a4", Properties: props{"VALUE": nil, "KIND": nil, "REPEAT_FREQUENCY": int64(1), "CREATION_TIMESTAMP": nil}},
}

// ActionInteractions are the events with actions, oldest first; ItemID holds the action's id.
var ActionInteractions = []reco.Interaction{
	{EventID: "f1", UserID: "ann", SessionID: "s-ann", ItemID: "a1", EventType: "TAKEN", TimestampMS: Start * 1000},
	{EventID: "f2", UserID: "ann", SessionID: "s-ann", ItemID: "a2", EventType: "NOT_TAKEN", TimestampMS: (Start + 1) * 1000},
	{EventID: "f3", UserID: "ann", SessionID: "s-ann", ItemID: "a3", EventType: "VIEWED", TimestampMS: (Start + 2) * 1000},
	{EventID: "f4", UserID: "bob", SessionID: "s-bob", ItemID: "a2", EventType: "TAKEN", TimestampMS: (Start + 3) * 1000},
}

// Table makes the table whose rows filters of the target select.
func Table(target schema.Type) *filter.Table {
	schemas := Schemas()
	switch target {
	case schema.Users:
		t := filter.NewTable(schemas["USERS"])
		putAll(t, Users)
		t.Add(RecordlessUser)
		return t
	case schema.Actions:
		t := filter.NewTable(schemas["ACTIONS"])
		putAll(t, Actions)
		return t
	default:
		t := filter.NewTable(schemas["ITEMS"])
		putAll(t, Items)
		t.Add(BareItem)
		return t
	}
}

func putAll(t *filter.Table, entities []reco.Entity) {
	for _, e := range entities {
		t.Put(e)
	}
}

// Subject is what is known about a user who asks for items related to an item, or for none.
func Subject(userID, itemID string) filter.Subject {
	s := filter.Subject{UserID: userID, CurrentItem: itemID, EventTypes: eventTypes}
	for i := range Interactions {
		if Interactions[i].UserID == userID {
			s.History = append(s.History, Interactions[i].Recent())
			s.User = props{}
		}
	}
	for i := range ActionInteractions {
		if ActionInteractions[i].UserID == userID {
			s.ActionHistory = append(s.ActionHistory, ActionInteractions[i].Recent())
			s.User = props{}
		}
	}
	for _, u := range Users {
		if u.ID == userID {
			s.User = u.Properties
		}
	}
	return s
}

func eventTypes(userID string) []string {
	var types []string
	for i := range Interactions {
		if Interactions[i].UserID == userID {
			types = append(types, Interactions[i].EventType)
		}
	}
	return types
}
