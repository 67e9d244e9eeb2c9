package content

import (
	"fmt"
	"maps"
	"slices"

	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Terms makes terms of the categories and numbers of a record of an Items or Users dataset. A category gives one such
// as "GENRE=Comedy", a number that of the range it lies in, such as "YEAR#3".
type Terms struct {
	columns map[string]Sort      // only categories and numbers
	bounds  map[string][]float64 // by column of numbers: where the ranges end
}

// NewTerms learns from the records of a dataset what its columns are and into which ranges their numbers are cut.
// Without a schema the columns are judged by their values.
func NewTerms(declaration *schema.Schema, rows map[int32]reco.Entity) *Terms {
	t := &Terms{map[string]Sort{}, map[string][]float64{}}
	for name, sort := range columnsOf(declaration, rows) {
		switch sort {
		case Category:
			t.columns[name] = sort
		case Number:
			t.columns[name], t.bounds[name] = sort, quantiles(rows, name)
		}
	}
	return t
}

// Of are the terms of a record, ascending and distinct.
func (t *Terms) Of(properties map[string]any) []string {
	var terms []string
	for name, value := range properties {
		switch t.columns[name] {
		case Category:
			for _, v := range Values(value) {
				terms = append(terms, name+"="+v)
			}
		case Number:
			if f, ok := number(value); ok {
				at, _ := slices.BinarySearch(t.bounds[name], f)
				terms = append(terms, fmt.Sprintf("%s#%d", name, at))
			}
		}
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}

// Encode writes the columns, in the order of their names: how many categories there are, how many numbers, the names of
// either, and the bounds of the numbers.
func (t *Terms) Encode(w *codec.Writer) {
	var categories, numbers []string
	for _, name := range slices.Sorted(maps.Keys(t.columns)) {
		if t.columns[name] == Category {
			categories = append(categories, name)
		} else {
			numbers = append(numbers, name)
		}
	}
	w.Len(len(categories))
	w.Len(len(numbers))
	w.Strings(categories)
	w.Strings(numbers)
	for _, name := range numbers {
		w.Len(len(t.bounds[name]))
		for _, bound := range t.bounds[name] {
			w.Float64(bound)
		}
	}
}

// maxColumns is more than any dataset's schema may have.
const maxColumns = 1000

// DecodeTerms reads what Encode has written.
func DecodeTerms(r *codec.Reader) *Terms {
	t := &Terms{map[string]Sort{}, map[string][]float64{}}
	categories, numbers := r.Len(maxColumns), r.Len(maxColumns)
	for _, name := range r.Strings(categories) {
		t.columns[name] = Category
	}
	for _, name := range r.Strings(numbers) {
		t.columns[name] = Number
		bounds := make([]float64, r.Len(ranges-1))
		for k := range bounds {
			bounds[k] = r.Float64()
		}
		if !slices.IsSorted(bounds) {
			r.Fail("the ranges of column %q are not in order", name)
		}
		t.bounds[name] = bounds
	}
	return t
}
