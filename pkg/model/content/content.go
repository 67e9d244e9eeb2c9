// Package content is what an Items dataset says about the items of a catalogue, made ready for models: categories as
// terms, prose as words, and vectors of weighted terms whose cosine says how alike two items are. The packages similar,
// semantic, hrnn and affinity learn from it, so that all of them understand a column in the same way. Model is the
// component that recommends by it alone.
package content

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Sort is what a column of an Items dataset is to a model.
type Sort int

const (
	// Ignored columns are not trained on: time stamps, and strings that the schema calls neither categorical nor
	// textual.
	Ignored Sort = iota
	// Category columns hold one or several values, joined with a vertical bar; booleans are categories, too.
	Category
	// Number columns are cut into ranges that hold about as many items each.
	Number
	// Prose columns are cut into words.
	Prose
)

// ranges is how many ranges a column of numbers is cut into.
const ranges = 10

// proseWords is how many words the values of a string column have on average, at least, to pass for prose where no
// schema says what the column is.
const proseWords = 4

// Columns says what the columns of the items of a training set are: as the schema declares them, or judged by their
// values where there is none. CREATION_TIMESTAMP is ignored: how old an item is says nothing about what it is.
func Columns(ts *trainingset.Set) map[string]Sort { return columnsOf(ts.ItemSchema, ts.ItemRows) }

func columnsOf(declaration *schema.Schema, rows map[int32]reco.Entity) map[string]Sort {
	columns := map[string]Sort{}
	if declaration != nil {
		for _, f := range declaration.Metadata() {
			columns[f.Name] = declared(f)
		}
		return columns
	}
	seen := map[string]texts{}
	for _, row := range rows {
		for name, value := range row.Properties {
			switch v := value.(type) {
			case string:
				t := seen[name]
				t.add(v)
				seen[name] = t
			case bool:
				columns[name] = Category
			case int64, float64:
				columns[name] = Number
			}
		}
	}
	for name, t := range seen {
		columns[name] = t.sort()
	}
	columns[creationTimestamp] = Ignored
	return columns
}

// texts counts what the values of a column of strings look like.
type texts struct{ values, words, numbers, fractions, years int }

func (t *texts) add(value string) {
	t.values++
	t.words += len(strings.Fields(value))
	f, ok := number(value)
	if !ok {
		return
	}
	t.numbers++
	if strings.Contains(value, ".") {
		t.fractions++
	}
	if f >= 1800 && f < 2100 {
		t.years++
	}
}

// sort judges a column by its values. Whole numbers can be codes of categories, except for years.
func (t *texts) sort() Sort {
	switch {
	case t.numbers == t.values && (t.fractions > 0 || t.years == t.values):
		return Number
	case t.words >= proseWords*t.values:
		return Prose
	}
	return Category
}

const creationTimestamp = "CREATION_TIMESTAMP"

func declared(f schema.Field) Sort {
	switch {
	case f.Name == creationTimestamp:
		return Ignored
	case f.Textual:
		return Prose
	case f.Categorical, f.Kind == schema.Boolean:
		return Category
	case f.Kind.Numeric():
		return Number
	default:
		return Ignored
	}
}

// Values are the values of a column as an item has them: the categories of a text, any other value as it is written.
// Nothing gives none.
func Values(value any) []string {
	switch v := value.(type) {
	case string:
		var values []string
		for part := range strings.SplitSeq(v, "|") {
			if part = strings.TrimSpace(part); part != "" {
				values = append(values, part)
			}
		}
		return values
	case int64:
		return []string{strconv.FormatInt(v, 10)}
	case float64:
		return []string{strconv.FormatFloat(v, 'g', -1, 64)}
	case bool:
		return []string{strconv.FormatBool(v)}
	default:
		return nil
	}
}

// row finds the metadata of a catalogue's item.
func row(ts *trainingset.Set, position map[string]int32, id string) reco.Entity {
	return ts.ItemRows[position[id]]
}

func positions(ts *trainingset.Set) map[string]int32 {
	position := make(map[string]int32, len(ts.Items))
	for i, id := range ts.Items {
		position[id] = int32(i)
	}
	return position
}

// Categories are the terms of each item of the catalogue by its categories and numbers. Items of which nothing is known
// have none.
func Categories(ts *trainingset.Set, items *model.Items) [][]string {
	terms, position := NewTerms(ts.ItemSchema, ts.ItemRows), positions(ts)
	all := make([][]string, items.Len())
	for i := range all {
		all[i] = terms.Of(row(ts, position, items.ID(i)).Properties)
	}
	return all
}

// Attributes lists the items of the catalogue, ascending, by what they have in columns other than prose. Columns are in
// upper case, as model.ParseAttributes gives them; numbers are as they are written.
func Attributes(ts *trainingset.Set, items *model.Items) map[model.Attribute][]int32 {
	columns, position := Columns(ts), positions(ts)
	holders := map[model.Attribute][]int32{}
	for i := range items.Len() {
		for name, value := range row(ts, position, items.ID(i)).Properties {
			if columns[name] == Prose || name == creationTimestamp {
				continue
			}
			for _, v := range Values(value) {
				a := model.Attribute{Column: strings.ToUpper(name), Value: v}
				if had := holders[a]; len(had) == 0 || had[len(had)-1] != int32(i) {
					holders[a] = append(had, int32(i))
				}
			}
		}
	}
	return holders
}

func number(value any) (float64, bool) {
	switch v := value.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, v == v
	case string: // of a file that has no schema
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	default:
		return 0, false
	}
}

// quantiles are the upper bounds of the ranges of a column, except for the last.
func quantiles(rows map[int32]reco.Entity, column string) []float64 {
	var values []float64
	for _, row := range rows {
		if f, ok := number(row.Properties[column]); ok {
			values = append(values, f)
		}
	}
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	bounds := make([]float64, ranges-1)
	for k := range bounds {
		bounds[k] = values[len(values)*(k+1)/ranges]
	}
	return slices.Compact(bounds)
}

// Texts are the prose of each item of the catalogue, all such columns in the order of their names.
func Texts(ts *trainingset.Set, items *model.Items) []string {
	var prose []string
	for name, sort := range Columns(ts) {
		if sort == Prose {
			prose = append(prose, name)
		}
	}
	slices.Sort(prose)
	position := positions(ts)
	texts := make([]string, items.Len())
	for i := range texts {
		var parts []string
		properties := row(ts, position, items.ID(i)).Properties
		for _, name := range prose {
			if text, ok := properties[name].(string); ok && text != "" {
				parts = append(parts, text)
			}
		}
		texts[i] = strings.Join(parts, "\n")
	}
	return texts
}

// Has reports whether any item has something in a column of the sort.
func Has(ts *trainingset.Set, sorts ...Sort) bool {
	columns := Columns(ts)
	for _, row := range ts.ItemRows {
		for name, value := range row.Properties {
			if value != nil && value != "" && slices.Contains(sorts, columns[name]) {
				return true
			}
		}
	}
	return false
}
