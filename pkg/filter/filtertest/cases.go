package filtertest

import (
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/reco"
)

// Case is an expression and the ids that it selects.
type Case struct {
	Name       string
	Expression string
	// Values are the filterValues of the request.
	Values map[string]string
	// User asks; empty or UnknownUser: nobody known.
	User string
	// Item is the one to which related items are wanted, for expressions with CurrentItem.
	Item string
	// Want are the ids that pass, in ascending order.
	Want []string
}

// Cases are all cases, of items, users and actions.
func Cases() []Case {
	return slices.Concat(categoryCases, numberCases, textCases, nullCases, eventCases, combinedCases, ifCases, parameterCases,
		currentItemCases, spellingCases, userCases, actionCases)
}

// row is an item, user or action under test; its methods say what a column holds.
type row struct{ reco.Entity }

// has reports whether a categorical column names a category.
func (r row) has(column, category string) bool {
	text, ok := r.Properties[column].(string)
	return ok && slices.Contains(strings.Split(text, "|"), category)
}

// is reports whether a string column holds a text.
func (r row) is(column, text string) bool { return r.Properties[column] == any(text) }

// real is a float or double with whether it is there.
func (r row) real(column string) (float64, bool) {
	v, ok := r.Properties[column].(float64)
	return v, ok
}

// integer is an int or long with whether it is there.
func (r row) integer(column string) (int64, bool) {
	v, ok := r.Properties[column].(int64)
	return v, ok
}

func (r row) price(holds func(float64) bool) bool {
	v, ok := r.real("PRICE")
	return ok && holds(v)
}

func (r row) year(holds func(int64) bool) bool {
	v, ok := r.integer("YEAR")
	return ok && holds(v)
}

func (r row) number(column string, holds func(int64) bool) bool {
	v, ok := r.integer(column)
	return ok && holds(v)
}

func where(entities []reco.Entity, bare []string, holds func(row) bool) []string {
	ids := []string{}
	for _, e := range entities {
		if holds(row{e}) {
			ids = append(ids, e.ID)
		}
	}
	for _, id := range bare {
		if holds(row{reco.Entity{ID: id}}) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// items are the items, with and without record, for which holds says so; users and actions likewise.
func items(holds func(i row) bool) []string { return where(Items, []string{BareItem}, holds) }
func users(holds func(u row) bool) []string { return where(Users, []string{RecordlessUser}, holds) }
func actions(holds func(a row) bool) []string {
	return where(Actions, nil, holds)
}

func everyItem() []string { return items(func(row) bool { return true }) }

// but are all items except the named ones.
func but(ids ...string) []string {
	return items(func(i row) bool { return !slices.Contains(ids, i.ID) })
}

func ids(ids ...string) []string { return append([]string{}, ids...) }

var categoryCases = []Case{
	{Name: "category", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy")`, Want: items(func(i row) bool { return i.has("GENRES", "Comedy") })},
	{Name: "category, literally", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy")`, Want: ids("i01", "i02", "i05")},
	{Name: "category in lower case", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("comedy")`, Want: ids("i06")},
	{Name: "part of a category", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Com")`, Want: ids()},
	{Name: "category with a space", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Romantic Comedy")`, Want: ids("i07")},
	{Name: "category with a comma", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Sci-Fi, Fantasy")`, Want: ids("i09")},
	{Name: "category beyond ASCII", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Müsik")`, Want: ids("i11")},
	{Name: "joined categories are none", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy|Drama")`, Want: ids()},
	{Name: "spaces count", Expression: `INCLUDE ItemID WHERE Items.GENRES IN (" Comedy")`, Want: ids()},
	{Name: "the empty category", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("")`, Want: ids()},
	{Name: "either category", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy","Drama")`, Want: items(func(i row) bool { return i.has("GENRES", "Comedy") || i.has("GENRES", "Drama") })},
	{Name: "both categories", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy") AND Items.GENRES IN ("Drama")`, Want: ids("i02")},
	{Name: "known and unknown category", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Nope","Horror")`, Want: ids("i04", "i05")},
	{Name: "a category twice", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Horror","Horror")`, Want: ids("i04", "i05")},
	{Name: "category that a value names twice", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Drama")`, Want: items(func(i row) bool { return !i.has("GENRES", "Drama") })},
	{Name: "not a category", Expression: `INCLUDE ItemID WHERE Items.GENRES NOT IN ("Comedy")`, Want: items(func(i row) bool { return !i.has("GENRES", "Comedy") })},
	{Name: "not an unknown category", Expression: `INCLUDE ItemID WHERE Items.GENRES NOT IN ("Nope")`, Want: everyItem()},
	{Name: "neither category", Expression: `INCLUDE ItemID WHERE Items.GENRES NOT IN ("Comedy", "Drama")`, Want: items(func(i row) bool { return !i.has("GENRES", "Comedy") && !i.has("GENRES", "Drama") })},
	{Name: "exclude a category", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Comedy")`, Want: but("i01", "i02", "i05")},
	{Name: "exclude all but a category", Expression: `EXCLUDE ItemID WHERE Items.GENRES NOT IN ("Comedy")`, Want: ids("i01", "i02", "i05")},
	{Name: "exclude an unknown category", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Nope")`, Want: everyItem()},
	{Name: "exclude comedies not in stock", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Comedy") AND Items.STOCK NOT IN ("yes")`, Want: items(func(i row) bool { return !i.has("GENRES", "Comedy") || i.is("STOCK", "yes") })},
	{Name: "category by =", Expression: `INCLUDE ItemID WHERE Items.GENRES = "Drama"`, Want: items(func(i row) bool { return i.has("GENRES", "Drama") })},
	{Name: "category by !=", Expression: `INCLUDE ItemID WHERE Items.GENRES != "Drama"`, Want: items(func(i row) bool { return !i.has("GENRES", "Drama") })},
	{Name: "two negations", Expression: `INCLUDE ItemID WHERE Items.GENRES NOT IN ("Comedy") AND Items.GENRES NOT IN ("Drama")`, Want: items(func(i row) bool { return !i.has("GENRES", "Comedy") && !i.has("GENRES", "Drama") })},
	{Name: "a category or not", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") OR Items.GENRES NOT IN ("Drama")`, Want: everyItem()},
	{Name: "a category and not", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") AND Items.GENRES NOT IN ("Drama")`, Want: ids()},
}

var numberCases = []Case{
	{Name: "price <=", Expression: `INCLUDE ItemID WHERE Items.PRICE <= 10`, Want: items(func(i row) bool { return i.price(func(p float64) bool { return p <= 10 }) })},
	{Name: "price <", Expression: `INCLUDE ItemID WHERE Items.PRICE < 10`, Want: ids("i01", "i04", "i05", "i10", "i11")},
	{Name: "price >", Expression: `INCLUDE ItemID WHERE Items.PRICE > 10`, Want: ids("i03", "i06", "i07")},
	{Name: "price >=", Expression: `INCLUDE ItemID WHERE Items.PRICE >= 10`, Want: ids("i02", "i03", "i06", "i07", "i09")},
	{Name: "price =", Expression: `INCLUDE ItemID WHERE Items.PRICE = 10`, Want: ids("i02", "i09")},
	{Name: "price !=", Expression: `INCLUDE ItemID WHERE Items.PRICE != 10`, Want: but("i02", "i09")},
	{Name: "price with a fraction", Expression: `INCLUDE ItemID WHERE Items.PRICE = 9.99`, Want: ids("i01")},
	{Name: "price with an exponent", Expression: `INCLUDE ItemID WHERE Items.PRICE >= 2.5e1`, Want: ids("i06", "i07")},
	{Name: "price listed", Expression: `INCLUDE ItemID WHERE Items.PRICE IN (10, 3.25, 77)`, Want: ids("i02", "i09", "i10")},
	{Name: "price not listed", Expression: `INCLUDE ItemID WHERE Items.PRICE NOT IN (10, 3.25)`, Want: but("i02", "i09", "i10")},
	{Name: "a long list", Expression: `INCLUDE ItemID WHERE Items.PRICE IN (1,2,3,4,5,6,7,8,10,11,12,13,14,15,16,17,0,7.5)`, Want: ids("i02", "i04", "i09", "i11")},
	{Name: "zero", Expression: `INCLUDE ItemID WHERE Items.PRICE = 0`, Want: ids("i04")},
	{Name: "minus zero", Expression: `INCLUDE ItemID WHERE Items.PRICE <= -0.0`, Want: ids("i04")},
	{Name: "below zero", Expression: `INCLUDE ItemID WHERE Items.RATING < 0`, Want: ids("i04")},
	{Name: "at most zero", Expression: `INCLUDE ItemID WHERE Items.RATING <= 0`, Want: ids("i04", "i05")},
	{Name: "a little above zero", Expression: `INCLUDE ItemID WHERE Items.RATING > 0 AND Items.RATING < 0.001`, Want: ids("i06")},
	{Name: "a negative fraction", Expression: `INCLUDE ItemID WHERE Items.RATING = -1.5`, Want: ids("i04")},
	{Name: "a large double", Expression: `INCLUDE ItemID WHERE Items.RATING >= 1E9`, Want: ids("i07")},
	{Name: "a quoted number", Expression: `INCLUDE ItemID WHERE Items.PRICE > "10"`, Want: ids("i03", "i06", "i07")},
	{Name: "plus sign", Expression: `INCLUDE ItemID WHERE Items.PRICE > +10`, Want: ids("i03", "i06", "i07")},
	{Name: "decade", Expression: `INCLUDE ItemID WHERE Items.YEAR >= 1970 AND Items.YEAR < 1980`, Want: items(func(i row) bool { return i.year(func(y int64) bool { return y >= 1970 && y < 1980 }) })},
	{Name: "outside of decades", Expression: `INCLUDE ItemID WHERE Items.YEAR < 1970 OR Items.YEAR >= 2000`, Want: items(func(i row) bool { return i.year(func(y int64) bool { return y < 1970 || y >= 2000 }) })},
	{Name: "impossible range", Expression: `INCLUDE ItemID WHERE Items.YEAR > 1980 AND Items.YEAR < 1970`, Want: ids()},
	{Name: "year =", Expression: `INCLUDE ItemID WHERE Items.YEAR = 1970`, Want: ids("i01", "i10")},
	{Name: "year !=", Expression: `INCLUDE ItemID WHERE Items.YEAR != 1970`, Want: but("i01", "i10")},
	{Name: "year listed", Expression: `INCLUDE ItemID WHERE Items.YEAR IN (1970, 1980)`, Want: ids("i01", "i03", "i10")},
	{Name: "year not listed", Expression: `EXCLUDE ItemID WHERE Items.YEAR NOT IN (1970, 1980)`, Want: ids("i01", "i03", "i10")},
	{Name: "negative year", Expression: `INCLUDE ItemID WHERE Items.YEAR < 0`, Want: ids("i09")},
	{Name: "int against a fraction, >", Expression: `INCLUDE ItemID WHERE Items.YEAR > 1999.5`, Want: ids("i05", "i06", "i12")},
	{Name: "int against a fraction, <", Expression: `INCLUDE ItemID WHERE Items.YEAR < 1970.5`, Want: ids("i01", "i07", "i09", "i10")},
	{Name: "int against a fraction, <=", Expression: `INCLUDE ItemID WHERE Items.YEAR <= -43.5`, Want: ids("i09")},
	{Name: "int against a fraction, >=", Expression: `INCLUDE ItemID WHERE Items.YEAR >= 2000.0001`, Want: ids("i06", "i12")},
	{Name: "int is no fraction", Expression: `INCLUDE ItemID WHERE Items.YEAR = 1970.5`, Want: ids()},
	{Name: "int is never a fraction", Expression: `INCLUDE ItemID WHERE Items.YEAR != 1970.5`, Want: everyItem()},
	{Name: "int written as a real", Expression: `INCLUDE ItemID WHERE Items.YEAR = 1970.0`, Want: ids("i01", "i10")},
	{Name: "int written with an exponent", Expression: `INCLUDE ItemID WHERE Items.YEAR = 19.7e2`, Want: ids("i01", "i10")},
	{Name: "long beyond 2^53, =", Expression: `INCLUDE ItemID WHERE Items.SERIAL = 9007199254740993`, Want: ids("i03")},
	{Name: "long beyond 2^53, <", Expression: `INCLUDE ItemID WHERE Items.SERIAL < 9007199254740993`, Want: ids("i01", "i02", "i05", "i07", "i09", "i11")},
	{Name: "long beyond 2^53, <=", Expression: `EXCLUDE ItemID WHERE Items.SERIAL <= 9007199254740993`, Want: ids("i04", "i06", "i08", "i10", "i12", "i13")},
	{Name: "long beyond 2^53, >", Expression: `INCLUDE ItemID WHERE Items.SERIAL > 9007199254740993`, Want: ids("i04", "i06")},
	{Name: "long beyond 2^53, >=", Expression: `INCLUDE ItemID WHERE Items.SERIAL >= 9007199254740993`, Want: ids("i03", "i04", "i06")},
	{Name: "long beyond 2^53 with a fraction", Expression: `INCLUDE ItemID WHERE Items.SERIAL > 9007199254740992.5 AND Items.SERIAL < 9007199254740993.5`, Want: ids("i03")},
	{Name: "long beyond 2^53, listed", Expression: `INCLUDE ItemID WHERE Items.SERIAL IN (9007199254740993, -9007199254740993)`, Want: ids("i03", "i05")},
	{Name: "long beyond 2^53, negative", Expression: `INCLUDE ItemID WHERE Items.SERIAL < -9007199254740992`, Want: ids("i05", "i07")},
	{Name: "the largest long", Expression: `INCLUDE ItemID WHERE Items.SERIAL = 9223372036854775807`, Want: ids("i06")},
	{Name: "above the largest long", Expression: `INCLUDE ItemID WHERE Items.SERIAL > 9223372036854775807`, Want: ids()},
	{Name: "the smallest long", Expression: `INCLUDE ItemID WHERE Items.SERIAL <= -9223372036854775808`, Want: ids("i07")},
	{Name: "below the smallest long", Expression: `INCLUDE ItemID WHERE Items.SERIAL < -9223372036854775808`, Want: ids()},
	{Name: "less than no long can reach", Expression: `INCLUDE ItemID WHERE Items.SERIAL < 9223372036854775808`, Want: items(func(i row) bool { return i.number("SERIAL", func(int64) bool { return true }) })},
	{Name: "more than no long can reach", Expression: `INCLUDE ItemID WHERE Items.SERIAL > 1e300`, Want: ids()},
	{Name: "more than what every long is", Expression: `INCLUDE ItemID WHERE Items.SERIAL > -1e300`, Want: items(func(i row) bool { return i.number("SERIAL", func(int64) bool { return true }) })},
	{Name: "not what no long can be", Expression: `INCLUDE ItemID WHERE Items.SERIAL != 1e300`, Want: everyItem()},
	{Name: "timestamp >", Expression: `INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > 1680000000`, Want: ids("i10", "i11", "i12")},
	{Name: "timestamp >=", Expression: `INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP >= 1680000000`, Want: ids("i09", "i10", "i11", "i12")},
	{Name: "timestamp excluded", Expression: `EXCLUDE ItemID WHERE Items.CREATION_TIMESTAMP < 1690000000`, Want: ids("i10", "i11", "i12", "i13")},
	{Name: "number and category", Expression: `INCLUDE ItemID WHERE Items.PRICE < 10 AND Items.GENRES IN ("Comedy")`, Want: ids("i01", "i05")},
	{Name: "AND before OR", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Horror") OR Items.GENRES IN ("Drama") AND Items.PRICE < 5`, Want: ids("i04", "i05", "i10")},
	{Name: "OR behind AND", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") AND Items.PRICE < 5 OR Items.GENRES IN ("Horror")`, Want: ids("i04", "i05", "i10")},
	{Name: "two conjunctions", Expression: `INCLUDE ItemID WHERE Items.YEAR >= 1970 AND Items.YEAR < 1980 AND Items.PRICE < 5 OR Items.YEAR > 2000 AND Items.PRICE > 5`, Want: ids("i06", "i10")},
	{Name: "three alternatives", Expression: `INCLUDE ItemID WHERE Items.YEAR = 1950 OR Items.YEAR = 1980 OR Items.YEAR = 2024`, Want: ids("i03", "i07", "i12")},
}

var textCases = []Case{
	{Name: "text", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ("yes")`, Want: ids("i01", "i03")},
	{Name: "text is exact", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ("Yes", "YES")`, Want: ids("i05")},
	{Name: "text is not split", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ("yes|no")`, Want: ids("i07")},
	{Name: "text by =", Expression: `INCLUDE ItemID WHERE Items.STOCK = "no"`, Want: ids("i02", "i04")},
	{Name: "text by !=", Expression: `INCLUDE ItemID WHERE Items.STOCK != "no"`, Want: but("i02", "i04")},
	{Name: "single quotes", Expression: `EXCLUDE ItemID WHERE Items.STOCK IN ('no')`, Want: but("i02", "i04")},
	{Name: "quotes of both kinds", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ('no', "yes")`, Want: ids("i01", "i02", "i03", "i04")},
	{Name: "a quote within the others", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ("it's", '12" disc')`, Want: ids("i09", "i10")},
	{Name: "escaped quotes", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ('it\'s', "12\" disc")`, Want: ids("i09", "i10")},
	{Name: "backslash", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ("back\slash")`, Want: ids("i11")},
	{Name: "escaped backslash", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ("back\\slash")`, Want: ids("i11")},
	{Name: "what looks like an expression", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ("x | EXCLUDE ItemID WHERE Items.STOCK IN (", "on order")`, Want: ids("i06")},
	{Name: "what looks like a parameter", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ("$STOCK", "on order")`, Want: ids("i06")},
	{Name: "by id", Expression: `INCLUDE ItemID WHERE Items.ITEM_ID IN ("i03", "i13", "i99")`, Want: ids("i03", "i13")},
	{Name: "not by id", Expression: `EXCLUDE ItemID WHERE Items.ITEM_ID IN ("i03", "i13", "i99")`, Want: but("i03", "i13")},
	{Name: "by id, !=", Expression: `INCLUDE ItemID WHERE Items.ITEM_ID != "i01"`, Want: but("i01")},
}

var nullCases = []Case{
	{Name: "= of nothing", Expression: `INCLUDE ItemID WHERE Items.RATING > -1000`, Want: but("i08", "i10", "i12", "i13")},
	{Name: "!= of nothing", Expression: `INCLUDE ItemID WHERE Items.RATING != 4.5`, Want: but("i01", "i03")},
	{Name: "exclude what has a value", Expression: `EXCLUDE ItemID WHERE Items.RATING >= -1000`, Want: ids("i08", "i10", "i12", "i13")},
	{Name: "NOT IN of nothing", Expression: `INCLUDE ItemID WHERE Items.STOCK NOT IN ("yes","no","Yes")`, Want: but("i01", "i02", "i03", "i04", "i05")},
	{Name: "exclude with NOT IN of nothing", Expression: `EXCLUDE ItemID WHERE Items.STOCK NOT IN ("yes","no","Yes")`, Want: ids("i01", "i02", "i03", "i04", "i05")},
	{Name: "known from interactions only, included", Expression: `INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > 0`, Want: but(BareItem)},
	{Name: "known from interactions only, excluded", Expression: `EXCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > 0`, Want: ids(BareItem)},
}

var eventCases = []Case{
	{Name: "exclude clicked", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`, User: "ann", Want: but("i01", "i02", BareItem)},
	{Name: "exclude clicked or watched", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click","watch")`, User: "ann", Want: but("i01", "i02", "i03", BareItem)},
	{Name: "include clicked", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`, User: "ann", Want: ids("i01", "i02", BareItem)},
	{Name: "exclude touched", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`, User: "ann", Want: but("i01", "i02", "i03", "i08", BareItem)},
	{Name: "include touched", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`, User: "ann", Want: ids("i01", "i02", "i03", "i08", BareItem)},
	{Name: "star without quotes", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (*)`, User: "bob", Want: ids("i04")},
	{Name: "star beside a type", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click", "*")`, User: "bob", Want: ids("i04")},
	{Name: "the case of types", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("CLICK")`, User: "ann", Want: but("i01", "i02", BareItem)},
	{Name: "by =", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE = "Watch"`, User: "ann", Want: ids("i02", "i03")},
	{Name: "not a type, by event", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE NOT IN ("click")`, User: "ann", Want: but("i02", "i03", "i08")},
	{Name: "include not a type, by event", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE NOT IN ("CLICK")`, User: "ann", Want: ids("i02", "i03", "i08")},
	{Name: "by !=", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE != "watch"`, User: "ann", Want: ids("i01", "i02", "i08", BareItem)},
	{Name: "not two types", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE NOT IN ("click", "watch")`, User: "ann", Want: ids("i08")},
	{Name: "no type is none", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE NOT IN ("*")`, User: "ann", Want: ids()},
	{Name: "one type and another", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click") AND Interactions.EVENT_TYPE IN ("watch")`, User: "ann", Want: ids("i02")},
	{Name: "one type or another", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("favorite") OR Interactions.EVENT_TYPE IN ("watch")`, User: "ann", Want: ids("i02", "i03", "i08")},
	{Name: "one type and another one not", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click") AND Interactions.EVENT_TYPE NOT IN ("click")`, User: "ann", Want: ids("i02")},
	{Name: "unknown type", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("purchase")`, User: "ann", Want: everyItem()},
	{Name: "other users don't count", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`, User: "bob", Want: ids("i04")},
	{Name: "user without record", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")`, User: RecordlessUser, Want: but("i06")},
	{Name: "unknown user, exclude", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`, User: UnknownUser, Want: everyItem()},
	{Name: "unknown user, include", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`, User: UnknownUser, Want: ids()},
	{Name: "user without events", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`, User: "cleo", Want: everyItem()},
	{Name: "the newest hundred of a type", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`, User: "dave", Want: ids("i09", "i10")},
	{Name: "the newest hundred of each type", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`, User: "dave", Want: ids("i05", "i09", "i10")},
	{Name: "the newest hundred, excluded", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Click", "watch")`, User: "dave", Want: but("i05", "i09", "i10")},
}

var combinedCases = []Case{
	{Name: "unseen comedies", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy") | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")`, User: "ann", Want: ids("i01", "i05")},
	{Name: "unseen comedies, the other way round", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch") | INCLUDE ItemID WHERE Items.GENRES IN ("Comedy")`, User: "ann", Want: ids("i01", "i05")},
	{Name: "union", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Horror") | INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("favorite")`, User: "ann", Want: ids("i04", "i05", "i08")},
	{Name: "two exclusions", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Comedy") | EXCLUDE ItemID WHERE Items.YEAR > 1990`, Want: items(func(i row) bool {
		return !i.has("GENRES", "Comedy") && !i.year(func(y int64) bool { return y > 1990 })
	})},
	{Name: "two and two", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy") | INCLUDE ItemID WHERE Items.GENRES IN ("Drama") | EXCLUDE ItemID WHERE Items.STOCK IN ("no") | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")`, User: "ann", Want: ids("i01", "i05", "i07", "i10")},
	{Name: "two and two, mixed", Expression: `EXCLUDE ItemID WHERE Items.STOCK IN ("no") | INCLUDE ItemID WHERE Items.GENRES IN ("Comedy") | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch") | INCLUDE ItemID WHERE Items.GENRES IN ("Drama")`, User: "ann", Want: ids("i01", "i05", "i07", "i10")},
	{Name: "nothing is left", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Horror") | EXCLUDE ItemID WHERE Items.GENRES IN ("Horror")`, Want: ids()},
	{Name: "exclude what is not included", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Horror") | EXCLUDE ItemID WHERE Items.GENRES IN ("Drama")`, Want: ids("i04", "i05")},
	{Name: "the same twice", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Horror") | INCLUDE ItemID WHERE Items.GENRES IN ("Horror")`, Want: ids("i04", "i05")},
	{Name: "five fields", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy") AND Items.PRICE > 1 AND Items.YEAR > 1 AND Items.STOCK != "x" AND Items.SERIAL >= 1 AND Items.PRICE < 50`, Want: ids("i01", "i02")},
}

var ifCases = []Case{
	{Name: "IF holds", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy") IF CurrentUser.AGE > 18`, User: "ann", Want: ids("i01", "i02", "i05")},
	{Name: "IF does not hold", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy") IF CurrentUser.AGE > 18`, User: "cleo", Want: everyItem()},
	{Name: "IF of an EXCLUDE holds", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Horror") IF CurrentUser.AGE < 18`, User: "bob", Want: but("i04", "i05")},
	{Name: "IF of an EXCLUDE does not hold", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Horror") IF CurrentUser.AGE < 18`, User: "ann", Want: everyItem()},
	{Name: "IF with AND holds", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Horror") IF CurrentUser.AGE < 18 AND CurrentUser.MEMBER IN ("no")`, User: "bob", Want: but("i04", "i05")},
	{Name: "IF with AND holds in part", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Horror") IF CurrentUser.AGE > 18 AND CurrentUser.MEMBER IN ("no")`, User: "ann", Want: everyItem()},
	{Name: "IF, unknown user", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy") IF CurrentUser.AGE > 18`, User: UnknownUser, Want: everyItem()},
	{Name: "IF with NOT IN, unknown user", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Comedy") IF CurrentUser.MEMBER NOT IN ("yes")`, User: UnknownUser, Want: everyItem()},
	{Name: "IF with NOT IN, missing value", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Comedy") IF CurrentUser.MEMBER NOT IN ("yes")`, User: "nil", Want: but("i01", "i02", "i05")},
	{Name: "IF with !=, user without record", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Comedy") IF CurrentUser.AGE != 30`, User: RecordlessUser, Want: but("i01", "i02", "i05")},
	{Name: "IF, missing value", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ("Comedy") IF CurrentUser.AGE <= 1000`, User: "nil", Want: everyItem()},
	{Name: "IF on a category", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.COUNTRIES IN ("France")`, User: "ann", Want: ids("i02", "i03", "i07", "i10")},
	{Name: "IF on another category", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.COUNTRIES IN ("France")`, User: "bob", Want: everyItem()},
	{Name: "IF not on a category", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.COUNTRIES NOT IN ("France")`, User: "ann", Want: everyItem()},
	{Name: "IF with = on a text", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.MEMBER = "yes"`, User: "ann", Want: ids("i02", "i03", "i07", "i10")},
	{Name: "IF is exact", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.MEMBER = "yes"`, User: "cleo", Want: everyItem()},
	{Name: "IF on a long beyond 2^53", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.POINTS = 9007199254740993`, User: "ann", Want: ids("i02", "i03", "i07", "i10")},
	{Name: "IF on another long beyond 2^53", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.POINTS = 9007199254740993`, User: "cleo", Want: everyItem()},
	{Name: "IF on a double", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.SPENT >= 99.5`, User: "ann", Want: ids("i02", "i03", "i07", "i10")},
	{Name: "IF listed", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.AGE IN (29, 30, 31)`, User: "ann", Want: ids("i02", "i03", "i07", "i10")},
	{Name: "IF on the id", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.USER_ID IN ("ann")`, User: "ann", Want: ids("i02", "i03", "i07", "i10")},
	{Name: "IF not on the id", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Drama") IF CurrentUser.USER_ID NOT IN ("ann")`, User: "ann", Want: everyItem()},
	{Name: "one for children", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("comedy") IF CurrentUser.AGE < 18 | INCLUDE ItemID WHERE Items.GENRES IN ("Horror") IF CurrentUser.AGE >= 18`, User: "bob", Want: ids("i06")},
	{Name: "one for adults", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("comedy") IF CurrentUser.AGE < 18 | INCLUDE ItemID WHERE Items.GENRES IN ("Horror") IF CurrentUser.AGE >= 18`, User: "cleo", Want: ids("i04", "i05")},
	{Name: "an INCLUDE that does nothing beside one that does", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("comedy") IF CurrentUser.AGE < 18 | INCLUDE ItemID WHERE Items.GENRES IN ("Horror")`, User: "ann", Want: ids("i04", "i05")},
	{Name: "an INCLUDE that does nothing beside an EXCLUDE", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("comedy") IF CurrentUser.AGE < 18 | EXCLUDE ItemID WHERE Items.GENRES IN ("Horror")`, User: "ann", Want: but("i04", "i05")},
	{Name: "IF and events", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch") IF CurrentUser.MEMBER IN ("yes")`, User: "ann", Want: but("i02", "i03")},
}

var parameterCases = []Case{
	{Name: "parameter", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)`, Values: map[string]string{"GENRE": `"Comedy"`}, Want: ids("i01", "i02", "i05")},
	{Name: "parameter with a list", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)`, Values: map[string]string{"GENRE": `"Comedy","Horror"`}, Want: ids("i01", "i02", "i04", "i05")},
	{Name: "parameter with spaces", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)`, Values: map[string]string{"GENRE": ` "Comedy" , "Horror" `}, Want: ids("i01", "i02", "i04", "i05")},
	{Name: "parameter with a comma in quotes", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)`, Values: map[string]string{"GENRE": `"Sci-Fi, Fantasy","Horror"`}, Want: ids("i04", "i05", "i09")},
	{Name: "parameter with escaped quotes", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ($STOCK)`, Values: map[string]string{"STOCK": `"12\" disc","yes"`}, Want: ids("i01", "i03", "i09")},
	{Name: "parameter without quotes", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)`, Values: map[string]string{"GENRE": `Romantic Comedy`}, Want: ids("i07")},
	{Name: "parameter without quotes, listed", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)`, Values: map[string]string{"GENRE": `Romantic Comedy, Horror`}, Want: ids("i04", "i05", "i07")},
	{Name: "parameter in single quotes", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)`, Values: map[string]string{"GENRE": `'Comedy', 'Horror'`}, Want: ids("i01", "i02", "i04", "i05")},
	{Name: "parameter without quotes, with an apostrophe", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ($STOCK)`, Values: map[string]string{"STOCK": `it's`}, Want: ids("i10")},
	{Name: "parameter with the empty string", Expression: `INCLUDE ItemID WHERE Items.STOCK IN ($STOCK)`, Values: map[string]string{"STOCK": `""`}, Want: ids()},
	{Name: "parameter beside literals", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("Horror", $GENRE, "Nope")`, Values: map[string]string{"GENRE": `"Müsik"`}, Want: ids("i04", "i05", "i11")},
	{Name: "two parameters in a list", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($A, $B)`, Values: map[string]string{"A": `"Müsik"`, "B": `"Horror"`}, Want: ids("i04", "i05", "i11")},
	{Name: "parameter with NOT IN", Expression: `INCLUDE ItemID WHERE Items.GENRES NOT IN ($GENRE)`, Values: map[string]string{"GENRE": `"Comedy"`}, Want: but("i01", "i02", "i05")},
	{Name: "parameter with =", Expression: `INCLUDE ItemID WHERE Items.STOCK = $STOCK`, Values: map[string]string{"STOCK": `"yes"`}, Want: ids("i01", "i03")},
	{Name: "parameter in parentheses with =", Expression: `INCLUDE ItemID WHERE Items.STOCK = ($STOCK)`, Values: map[string]string{"STOCK": `"yes"`}, Want: ids("i01", "i03")},
	{Name: "parameter with <=", Expression: `INCLUDE ItemID WHERE Items.PRICE <= $P`, Values: map[string]string{"P": `10`}, Want: ids("i01", "i02", "i04", "i05", "i09", "i10", "i11")},
	{Name: "parameter with a quoted number", Expression: `INCLUDE ItemID WHERE Items.PRICE <= $P`, Values: map[string]string{"P": `"10"`}, Want: ids("i01", "i02", "i04", "i05", "i09", "i10", "i11")},
	{Name: "parameter with a negative number", Expression: `INCLUDE ItemID WHERE Items.RATING <= $P`, Values: map[string]string{"P": ` -1.5 `}, Want: ids("i04")},
	{Name: "parameter with listed numbers", Expression: `INCLUDE ItemID WHERE Items.YEAR IN ($Y)`, Values: map[string]string{"Y": `1970, "1980",2024`}, Want: ids("i01", "i03", "i10", "i12")},
	{Name: "parameter with a long beyond 2^53", Expression: `INCLUDE ItemID WHERE Items.SERIAL = $S`, Values: map[string]string{"S": `9007199254740993`}, Want: ids("i03")},
	{Name: "parameter with a time", Expression: `INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > $T`, Values: map[string]string{"T": `1690000000`}, Want: ids("i11", "i12")},
	{Name: "range of parameters", Expression: `INCLUDE ItemID WHERE Items.YEAR >= $FROM AND Items.YEAR < $TO`, Values: map[string]string{"FROM": `1970`, "TO": `1980`}, Want: ids("i01", "i02", "i10")},
	{Name: "parameter with event types", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($EVENT_TYPE)`, Values: map[string]string{"EVENT_TYPE": `"click","WATCH"`}, User: "ann", Want: but("i01", "i02", "i03", BareItem)},
	{Name: "parameter with every event type", Expression: `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($EVENT_TYPE)`, Values: map[string]string{"EVENT_TYPE": `"*"`}, User: "bob", Want: ids("i04")},
	{Name: "EXCLUDE without value", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($EVENT_TYPE)`, User: "ann", Want: everyItem()},
	{Name: "EXCLUDE without one of two values", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ($A) OR Items.GENRES IN ($B)`, Values: map[string]string{"A": `"Horror"`}, Want: everyItem()},
	{Name: "EXCLUDE without value beside another", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ($A) | EXCLUDE ItemID WHERE Items.GENRES IN ($B)`, Values: map[string]string{"A": `"Horror"`}, Want: but("i04", "i05")},
	{Name: "EXCLUDE without value beside INCLUDE", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($A) | EXCLUDE ItemID WHERE Items.STOCK IN ($B)`, Values: map[string]string{"A": `"Horror"`}, Want: ids("i04", "i05")},
	{Name: "parameter of IF holds", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ($G) IF CurrentUser.AGE = $AGE`, Values: map[string]string{"G": `"Horror"`, "AGE": `30`}, User: "ann", Want: but("i04", "i05")},
	{Name: "parameter of IF does not hold", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ($G) IF CurrentUser.AGE = $AGE`, Values: map[string]string{"G": `"Horror"`, "AGE": `31`}, User: "ann", Want: everyItem()},
	{Name: "EXCLUDE without value of IF", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN ($G) IF CurrentUser.AGE = $AGE`, Values: map[string]string{"G": `"Horror"`}, User: "ann", Want: everyItem()},
	{Name: "a parameter several times", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($X) OR Items.STOCK IN ($X) | EXCLUDE ItemID WHERE Items.ITEM_ID IN ($X)`, Values: map[string]string{"X": `"Horror","no","i05"`}, Want: ids("i02", "i04")},
	{Name: "the case of parameters", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($g) AND Items.PRICE < $G`, Values: map[string]string{"g": `"Comedy"`, "G": `6`}, Want: ids("i05")},
	{Name: "number for a text", Expression: `EXCLUDE ItemID WHERE Items.STOCK IN ($S)`, Values: map[string]string{"S": `12`}, Want: everyItem()},
	{Name: "parameter with digits and underscore", Expression: `INCLUDE ItemID WHERE Items.GENRES IN ($1_x)`, Values: map[string]string{"1_x": `"Horror"`}, Want: ids("i04", "i05")},
}

var currentItemCases = []Case{
	{Name: "cheaper and alike", Expression: `INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE AND Items.GENRES IN CurrentItem.GENRES`, Item: "i02", Want: ids("i01", "i05", "i10")},
	{Name: "not alike", Expression: `INCLUDE ItemID WHERE Items.GENRES NOT IN CurrentItem.GENRES`, Item: "i02", Want: items(func(i row) bool { return !i.has("GENRES", "Comedy") && !i.has("GENRES", "Drama") })},
	{Name: "same year", Expression: `INCLUDE ItemID WHERE Items.YEAR = CurrentItem.YEAR`, Item: "i10", Want: ids("i01", "i10")},
	{Name: "another year", Expression: `INCLUDE ItemID WHERE Items.YEAR != CurrentItem.YEAR`, Item: "i10", Want: but("i01", "i10")},
	{Name: "same year by IN", Expression: `INCLUDE ItemID WHERE Items.YEAR IN CurrentItem.YEAR`, Item: "i10", Want: ids("i01", "i10")},
	{Name: "as new", Expression: `INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP >= CurrentItem.CREATION_TIMESTAMP`, Item: "i10", Want: ids("i10", "i11", "i12")},
	{Name: "long beyond 2^53 of the current item", Expression: `INCLUDE ItemID WHERE Items.SERIAL > CurrentItem.SERIAL`, Item: "i03", Want: ids("i04", "i06")},
	{Name: "two numeric types", Expression: `INCLUDE ItemID WHERE Items.YEAR <= CurrentItem.PRICE`, Item: "i07", Want: ids("i09")},
	{Name: "real against integer", Expression: `INCLUDE ItemID WHERE Items.PRICE > CurrentItem.SERIAL`, Item: "i11", Want: ids("i07")},
	{Name: "same text", Expression: `INCLUDE ItemID WHERE Items.STOCK = CurrentItem.STOCK`, Item: "i01", Want: ids("i01", "i03")},
	{Name: "any but the current item", Expression: `EXCLUDE ItemID WHERE Items.ITEM_ID = CurrentItem.ITEM_ID`, Item: "i01", Want: but("i01")},
	{Name: "missing value of the current item", Expression: `INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE`, Item: "i08", Want: ids()},
	{Name: "negation of a missing value of the current item", Expression: `INCLUDE ItemID WHERE Items.GENRES NOT IN CurrentItem.GENRES`, Item: "i08", Want: everyItem()},
	{Name: "current item without record", Expression: `EXCLUDE ItemID WHERE Items.GENRES IN CurrentItem.GENRES`, Item: BareItem, Want: everyItem()},
	{Name: "current item beside IF", Expression: `INCLUDE ItemID WHERE Items.PRICE > CurrentItem.PRICE IF CurrentUser.MEMBER = "yes"`, Item: "i06", User: "ann", Want: ids("i07")},
	{Name: "current item and events", Expression: `INCLUDE ItemID WHERE Items.PRICE <= CurrentItem.PRICE | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`, Item: "i02", User: "ann", Want: ids("i04", "i05", "i09", "i10", "i11")},
}

var spellingCases = []Case{
	{Name: "lower case", Expression: `include itemid where items.genres in ("Comedy")`, Want: ids("i01", "i02", "i05")},
	{Name: "mixed case", Expression: `Exclude ITEMID Where ITEMS.Genres Not In ("Comedy") And items.pRiCe < 7 oR Items.price > 50 if currentuser.age > 18`, User: "ann", Want: but("i04", "i07", "i10")},
	{Name: "no space", Expression: `INCLUDE ItemID WHERE Items.GENRES IN("Comedy")AND Items.PRICE<6|EXCLUDE ItemID WHERE Items.STOCK="no"`, Want: ids("i05")},
	{Name: "much space", Expression: "\n  INCLUDE\tItemID\r\n WHERE Items.GENRES   IN ( \"Comedy\" ,\n \"Horror\" )  \n | EXCLUDE ItemID WHERE Items.PRICE  >=  9 \n", Want: ids("i04", "i05")},
	{Name: "space around the dot", Expression: `INCLUDE ItemID WHERE Items . GENRES IN ("Horror")`, Want: ids("i04", "i05")},
	{Name: "lower case of events", Expression: `exclude itemid where interactions.event_type in ("click")`, User: "ann", Want: but("i01", "i02", BareItem)},
	{Name: "lower case of the current item", Expression: `include itemid where items.price < currentitem.price`, Item: "i10", Want: ids("i04")},
}

var userCases = []Case{
	{Name: "users by age", Expression: `INCLUDE UserID WHERE Users.AGE < $AGE`, Values: map[string]string{"AGE": "20"}, Want: users(func(u row) bool { return u.number("AGE", func(a int64) bool { return a < 20 }) })},
	{Name: "users by age, literally", Expression: `INCLUDE UserID WHERE Users.AGE < 20`, Want: ids("bob", "cleo")},
	{Name: "users who are no members", Expression: `EXCLUDE UserID WHERE Users.MEMBER IN ("no")`, Want: ids("ann", "cleo", "eve", "nil")},
	{Name: "users by country", Expression: `exclude UserId where users.countries in ("England")`, Want: ids("cleo", "dave", "eve", "nil")},
	{Name: "users not by country", Expression: `INCLUDE UserID WHERE Users.COUNTRIES NOT IN ("England")`, Want: ids("cleo", "dave", "eve", "nil")},
	{Name: "users by events", Expression: `INCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("click","rating")`, Want: ids("ann", "bob", "dave", "nil")},
	{Name: "users by events in another case", Expression: `EXCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("WATCH")`, Want: ids("bob", "cleo", "nil")},
	{Name: "users with any event", Expression: `INCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("*")`, Want: ids("ann", "bob", "dave", "eve", "nil")},
	{Name: "users with another event", Expression: `INCLUDE UserID WHERE Interactions.EVENT_TYPE NOT IN ("click", "watch")`, Want: ids("ann", "bob", "nil")},
	{Name: "users with two types", Expression: `INCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("click") AND Interactions.EVENT_TYPE IN ("rating")`, Want: ids("bob")},
	{Name: "users by spending", Expression: `INCLUDE UserID WHERE Users.SPENT >= 18 AND Users.SPENT <= 1250.75`, Want: ids("ann", "cleo", "dave")},
	{Name: "users by a long beyond 2^53", Expression: `INCLUDE UserID WHERE Users.POINTS > 9007199254740992`, Want: ids("ann")},
	{Name: "users by id", Expression: `INCLUDE UserID WHERE Users.USER_ID IN ("eve", "bob")`, Want: ids("bob", "eve")},
	{Name: "users, combined", Expression: `INCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("click") | EXCLUDE UserID WHERE Users.AGE < 18`, Want: ids("ann", "dave")},
}

var actionCases = []Case{
	{Name: "actions not taken", Expression: `EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("NOT_TAKEN")`, User: "ann", Want: ids("a1", "a3", "a4")},
	{Name: "actions of others don't count", Expression: `EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("NOT_TAKEN")`, User: "bob", Want: ids("a1", "a2", "a3", "a4")},
	{Name: "actions with any event", Expression: `INCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("*")`, User: "ann", Want: ids("a1", "a2", "a3")},
	{Name: "actions by events in another case", Expression: `INCLUDE ActionID WHERE action_interactions.event_type IN ("taken", "Viewed")`, User: "ann", Want: ids("a1", "a3")},
	{Name: "actions by value in parentheses", Expression: `INCLUDE ActionID WHERE Actions.VALUE > ($VALUE)`, Values: map[string]string{"VALUE": "2"}, Want: ids("a2", "a3")},
	{Name: "actions by value", Expression: `INCLUDE ActionID WHERE Actions.VALUE <= 2.5`, Want: actions(func(a row) bool { v, ok := a.real("VALUE"); return ok && v <= 2.5 })},
	{Name: "actions by kind", Expression: `EXCLUDE ActionID WHERE Actions.KIND IN ("mail")`, Want: ids("a3", "a4")},
	{Name: "actions by frequency", Expression: `INCLUDE ActionID WHERE Actions.REPEAT_FREQUENCY IN (1, 7)`, Want: ids("a1", "a4")},
	{Name: "actions by time", Expression: `INCLUDE ActionID WHERE Actions.CREATION_TIMESTAMP >= 1650000000`, Want: ids("a2", "a3")},
	{Name: "actions by id", Expression: `EXCLUDE ActionID WHERE Actions.ACTION_ID IN ("a1")`, Want: ids("a2", "a3", "a4")},
	{Name: "actions if", Expression: `INCLUDE ActionID WHERE Actions.KIND IN ("coupon") IF CurrentUser.MEMBER = "yes"`, User: "ann", Want: ids("a2", "a3")},
	{Name: "actions, combined", Expression: `INCLUDE ActionID WHERE Actions.KIND IN ("coupon") | EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("TAKEN")`, User: "bob", Want: ids("a3")},
}
