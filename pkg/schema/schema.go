// Package schema understands the Avro-like JSON documents that describe Personalize datasets, and the values that such
// a schema allows.
//
// The control service parses documents at CreateSchema, the tracker converts the JSON properties of events, items and
// users, the importer parses CSV cells, and the event files take their columns from here. All of them share one set of
// rules: what an import refuses, a Put call refuses with the same words.
package schema

import (
	"strings"
)

// Kind is the type of a column's values.
type Kind int

// The kinds, and the Go type that holds their values: string; int64 for Int (32-bit range) and Long; float64 for Float
// (float32 range, parsed with full precision) and Double; bool.
const (
	String Kind = iota
	Int
	Long
	Float
	Double
	Boolean
)

var kindNames = [...]string{"string", "int", "long", "float", "double", "boolean"}

// String returns the kind's name in schema documents.
func (k Kind) String() string { return kindNames[k] }

// Numeric reports whether values of the kind can be compared as numbers.
func (k Kind) Numeric() bool { return k != String && k != Boolean }

func parseKind(name string) (Kind, bool) {
	for k, n := range kindNames {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}

// Field is one column of a dataset.
type Field struct {
	Name string
	Kind Kind
	// Nullable columns may be empty in CSV and null or absent in JSON.
	Nullable bool
	// Categorical columns hold one or several categories joined with a vertical bar.
	Categorical bool
	// Textual columns hold prose, cleaned and cut by CleanText.
	Textual bool
}

// Schema is a parsed document. It is never modified after Parse.
type Schema struct {
	Type   Type
	Fields []Field
	// byKey maps the schema name and the camelCase name of each field to its index; nil in schemas made by hand, which
	// are searched field by field.
	byKey map[string]int
}

// Field finds a column by its exact name.
func (s *Schema) Field(name string) (Field, bool) {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return s.Fields[i], true
		}
	}
	return Field{}, false
}

// Property finds the column for a key of a Put call's properties: the camelCase form of its name, or the name
// itself. Required and reserved columns are found like any other; callers decide which keys they take.
func (s *Schema) Property(key string) (Field, bool) {
	if s.byKey != nil {
		i, ok := s.byKey[key]
		if !ok {
			return Field{}, false
		}
		return s.Fields[i], true
	}
	for _, f := range s.Fields {
		if f.Name == key || CamelCase(f.Name) == key {
			return f, true
		}
	}
	return Field{}, false
}

// IDField returns the name of the column that identifies a row of an Items, Users or Actions dataset, and the item or
// action column of the interaction datasets.
func (s *Schema) IDField() string { return types[s.Type].id }

// Metadata returns the columns that go into the Properties of an interaction or entity: everything but the members
// that reco.Interaction and reco.Entity have themselves. CREATION_TIMESTAMP is among them.
func (s *Schema) Metadata() []Field {
	var fields []Field
	for _, f := range s.Fields {
		if !s.FirstClass(f.Name) {
			fields = append(fields, f)
		}
	}
	return fields
}

// FirstClass reports whether the column is a member of reco.Interaction or reco.Entity rather than a property.
func (s *Schema) FirstClass(name string) bool {
	switch name {
	case "USER_ID", "TIMESTAMP", "EVENT_TYPE", "IMPRESSION", "RECOMMENDATION_ID":
		return s.Type == Interactions || s.Type == ActionInteractions || name == s.IDField()
	case "EVENT_VALUE", "EVENT_ATTRIBUTION_SOURCE":
		return s.Type == Interactions
	}
	return name == s.IDField()
}

// CamelCase turns a schema name into the key that Put calls use: CREATION_TIMESTAMP becomes creationTimestamp.
func CamelCase(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	for word := range strings.SplitSeq(name, "_") {
		switch {
		case word == "":
		case b.Len() == 0:
			b.WriteString(strings.ToLower(word))
		default:
			b.WriteString(strings.ToUpper(word[:1]))
			b.WriteString(strings.ToLower(word[1:]))
		}
	}
	return b.String()
}
