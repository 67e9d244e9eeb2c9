package filtertest

import (
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
)

// oracle computes what some of the cases want in the most naive way: a function looks at each row of the data set.
var oracle = map[string][]string{
	"category":                                        items(func(i row) bool { return i.has("GENRES", "Comedy") }),
	"either category":                                 items(func(i row) bool { return i.has("GENRES", "Comedy") || i.has("GENRES", "Drama") }),
	"category that a value names twice":               items(func(i row) bool { return !i.has("GENRES", "Drama") }),
	"not a category":                                  items(func(i row) bool { return !i.has("GENRES", "Comedy") }),
	"not an unknown category":                         items(func(row) bool { return true }),
	"neither category":                                items(func(i row) bool { return !i.has("GENRES", "Comedy") && !i.has("GENRES", "Drama") }),
	"exclude an unknown category":                     items(func(row) bool { return true }),
	"exclude comedies not in stock":                   items(func(i row) bool { return !i.has("GENRES", "Comedy") || i.is("STOCK", "yes") }),
	"category by =":                                   items(func(i row) bool { return i.has("GENRES", "Drama") }),
	"category by !=":                                  items(func(i row) bool { return !i.has("GENRES", "Drama") }),
	"two negations":                                   items(func(i row) bool { return !i.has("GENRES", "Comedy") && !i.has("GENRES", "Drama") }),
	"a category or not":                               items(func(row) bool { return true }),
	"price <=":                                        items(func(i row) bool { return i.price(func(p float64) bool { return p <= 10 }) }),
	"decade":                                          items(func(i row) bool { return i.year(func(y int64) bool { return y >= 1970 && y < 1980 }) }),
	"outside of decades":                              items(func(i row) bool { return i.year(func(y int64) bool { return y < 1970 || y >= 2000 }) }),
	"int is never a fraction":                         items(func(row) bool { return true }),
	"less than no long can reach":                     items(func(i row) bool { return i.number("SERIAL", func(int64) bool { return true }) }),
	"more than what every long is":                    items(func(i row) bool { return i.number("SERIAL", func(int64) bool { return true }) }),
	"not what no long can be":                         items(func(row) bool { return true }),
	"unknown type":                                    items(func(row) bool { return true }),
	"unknown user, exclude":                           items(func(row) bool { return true }),
	"user without events":                             items(func(row) bool { return true }),
	"IF does not hold":                                items(func(row) bool { return true }),
	"IF of an EXCLUDE does not hold":                  items(func(row) bool { return true }),
	"IF with AND holds in part":                       items(func(row) bool { return true }),
	"IF, unknown user":                                items(func(row) bool { return true }),
	"IF with NOT IN, unknown user":                    items(func(row) bool { return true }),
	"IF, missing value":                               items(func(row) bool { return true }),
	"IF on another category":                          items(func(row) bool { return true }),
	"IF not on a category":                            items(func(row) bool { return true }),
	"IF is exact":                                     items(func(row) bool { return true }),
	"IF on another long beyond 2^53":                  items(func(row) bool { return true }),
	"IF not on the id":                                items(func(row) bool { return true }),
	"EXCLUDE without value":                           items(func(row) bool { return true }),
	"EXCLUDE without one of two values":               items(func(row) bool { return true }),
	"parameter of IF does not hold":                   items(func(row) bool { return true }),
	"EXCLUDE without value of IF":                     items(func(row) bool { return true }),
	"number for a text":                               items(func(row) bool { return true }),
	"not alike":                                       items(func(i row) bool { return !i.has("GENRES", "Comedy") && !i.has("GENRES", "Drama") }),
	"negation of a missing value of the current item": items(func(row) bool { return true }),
	"current item without record":                     items(func(row) bool { return true }),
	"users by age":                                    users(func(u row) bool { return u.number("AGE", func(a int64) bool { return a < 20 }) }),
	"actions by value":                                actions(func(a row) bool { v, ok := a.real("VALUE"); return ok && v <= 2.5 }),
}

func TestTheCasesWantWhatRowsHold(t *testing.T) {
	t.Parallel()
	wanted := map[string][]string{}
	for _, c := range Cases() {
		wanted[c.Name] = c.Want
	}
	for name, want := range oracle {
		if got := wanted[name]; !slices.Equal(got, want) {
			t.Errorf("case %q wants %q, the rows hold %q", name, got, want)
		}
	}
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
