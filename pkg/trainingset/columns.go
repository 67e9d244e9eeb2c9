package trainingset

import (
	"math"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Columns selects columns of datasets, by the dataset's type in upper case. A type that neither map names keeps all of
// its columns, and ids and timestamps always stay. Names are compared without case.
type Columns struct {
	// Excluded are taken away.
	Excluded map[string][]string
	// Included are all that is kept of a type.
	Included map[string][]string
}

// keeps reports whether models may see a column that no model can do without.
func (c Columns) keeps(t schema.Type, column string) bool {
	if among(c.Excluded[t.DatasetType()], column) {
		return false
	}
	included, limited := c.Included[t.DatasetType()]
	return !limited || among(included, column)
}

func among(columns []string, column string) bool {
	return slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, column) })
}

// selects reports whether any column of a type may have to go.
func (c Columns) selects(t schema.Type) bool {
	_, limited := c.Included[t.DatasetType()]
	return limited || len(c.Excluded[t.DatasetType()]) > 0
}

// entity is a row without the columns that go; the row itself stays as it is.
func (c Columns) entity(t schema.Type, e reco.Entity) reco.Entity {
	if !c.selects(t) {
		return e
	}
	kept := make(map[string]any, len(e.Properties))
	for name, value := range e.Properties {
		if c.keeps(t, name) {
			kept[name] = value
		}
	}
	e.Properties = kept
	return e
}

// schema is a dataset's schema without the columns that go.
func (c Columns) schema(s *schema.Schema) *schema.Schema {
	if s == nil || !c.selects(s.Type) {
		return s
	}
	kept := &schema.Schema{Type: s.Type}
	for _, f := range s.Fields {
		if f.Name == s.IDField() || c.keeps(s.Type, f.Name) {
			kept.Fields = append(kept.Fields, f)
		}
	}
	return kept
}

// Columns of interactions that a training set has.
const (
	typeColumn  = "EVENT_TYPE"
	valueColumn = "EVENT_VALUE"
)

// events takes columns away from a training set's interactions. What the events were selected and weighted by has had
// its effect.
func (c Columns) events(t *Set) {
	if !c.keeps(schema.Interactions, typeColumn) && len(t.EventTypes) > 0 {
		t.EventTypes = []string{""}
		clear(t.Type)
	}
	if !c.keeps(schema.Interactions, valueColumn) {
		for e := range t.Value {
			t.Value[e] = float32(math.NaN())
		}
	}
}
