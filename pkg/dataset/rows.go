package dataset

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// RowError says which row of which file broke which rule. Its text is fit for a failure reason: it repeats nothing that
// the row holds.
type RowError struct {
	// File is the s3:// address, or the path of a local file.
	File string
	// Line is the physical line on which the row starts; the header is line 1.
	Line int
	// Column is empty where the row as a whole is wrong.
	Column string
	Reason string
}

// Error names the place and the rule.
func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("%s, line %d: %s", e.File, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s, line %d, column %s: the value %s", e.File, e.Line, e.Column, e.Reason)
}

// InputError says what else about an import's input is wrong: nothing that trying again could mend. Its text is fit for
// a failure reason.
type InputError struct{ Reason string }

// Error is the reason.
func (e *InputError) Error() string { return e.Reason }

// member is where a column's value goes.
type member int

const (
	property member = iota
	userID
	itemID
	timestamp
	eventType
	actionEventType
	eventValue
	impression
	recommendationID
	attributionSource
)

var interactionMembers = map[string]member{
	"USER_ID": userID, "ITEM_ID": itemID, "ACTION_ID": itemID, "TIMESTAMP": timestamp, "EVENT_TYPE": eventType,
	"EVENT_VALUE": eventValue, "IMPRESSION": impression, "RECOMMENDATION_ID": recommendationID,
	"EVENT_ATTRIBUTION_SOURCE": attributionSource,
}

// column is one of the schema's columns in one file.
type column struct {
	field  schema.Field
	member member
	cell   int // position in the file's records
}

// columnError is the rule that a value broke.
type columnError struct {
	column string
	reason error
}

func (e *columnError) Error() string { return e.column + " " + e.reason.Error() }

// table reads the rows of one CSV file as a schema describes them.
type table struct {
	file    string
	csv     *csvReader
	columns []column
	width   int
	line    int // of the newest row
}

// openTable reads the header. Columns are found by name, in any order; those that the schema doesn't know are ignored.
func openTable(file string, csv *csvReader, s *schema.Schema) (*table, error) {
	t := &table{file: file, csv: csv}
	header, err := t.record()
	if err != nil {
		return nil, err
	}
	if header == nil {
		return nil, &InputError{fmt.Sprintf("Input CSV %s is empty: it has no header", file)}
	}
	positions := make(map[string]int, len(header))
	for i, name := range header {
		name = strings.TrimSpace(name)
		if !utf8.ValidString(name) {
			return nil, &InputError{fmt.Sprintf("Input CSV %s is not UTF-8 text", file)}
		}
		if _, known := s.Field(name); !known {
			continue
		}
		if _, twice := positions[name]; twice {
			return nil, &InputError{fmt.Sprintf("Input CSV %s has the column %s twice", file, name)}
		}
		positions[name] = i
	}
	if err := t.place(s, positions); err != nil {
		return nil, err
	}
	t.width = len(header)
	return t, nil
}

func (t *table) place(s *schema.Schema, positions map[string]int) error {
	var missing []string
	textual := 0
	for _, f := range s.Fields {
		i, ok := positions[f.Name]
		if !ok {
			missing = append(missing, f.Name)
			continue
		}
		c := column{field: f, cell: i}
		if s.FirstClass(f.Name) {
			c.member = interactionMembers[f.Name]
			if c.member == eventType && s.Type == schema.ActionInteractions {
				c.member = actionEventType
			}
		}
		t.columns = append(t.columns, c)
		if f.Textual {
			textual = max(textual, i+1)
		}
	}
	if len(missing) > 0 {
		return &InputError{fmt.Sprintf("Input CSV is missing the following columns:[%s]", strings.Join(missing, ", "))}
	}
	if textual > 0 {
		t.csv.escapes = make([]bool, textual)
		for _, c := range t.columns {
			if c.field.Textual {
				t.csv.escapes[c.cell] = true
			}
		}
	}
	return nil
}

// record reads the next record, nil at the end of the file.
func (t *table) record() ([]string, error) {
	cells, line, err := t.csv.next()
	t.line = line
	if err == nil {
		return cells, nil
	}
	var syntax *csvError
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case errors.As(err, &syntax):
		return nil, t.wrong("", syntax.reason)
	}
	return nil, err
}

// next reads the next row's cells, nil at the end of the file. Of a row whose cells are too few or too many there are
// both, cells and an error: the row behind it can be read.
func (t *table) next() ([]string, error) {
	cells, err := t.record()
	if err == nil && cells != nil && len(cells) != t.width {
		return cells, t.wrong("", fmt.Sprintf("the row has %d cells, the header %d", len(cells), t.width))
	}
	return cells, err
}

func (t *table) wrong(column, reason string) error {
	return &RowError{File: t.file, Line: t.line, Column: column, Reason: reason}
}

// wrongValue makes the error of a parse a RowError.
func (t *table) wrongValue(err *columnError) error { return t.wrong(err.column, err.reason.Error()) }

// interaction fills i from a row's cells, using the memory it already has. The id is left to the caller.
func (t *table) interaction(cells []string, i *reco.Interaction, value *float64) *columnError {
	properties := i.Properties
	clear(properties)
	*i = reco.Interaction{Properties: properties}
	for n := range t.columns {
		c := &t.columns[n]
		cell := cells[c.cell]
		var err error
		if cell == "" && c.member != property {
			_, err = c.field.ParseText(cell) // absent, or an error
		} else {
			err = c.set(i, cell, value)
		}
		if err != nil {
			return &columnError{c.field.Name, err}
		}
	}
	return nil
}

// set takes a cell, which is empty only for properties.
func (c *column) set(i *reco.Interaction, cell string, value *float64) (err error) {
	switch c.member {
	case userID:
		i.UserID, err = c.field.ParseString(cell)
	case itemID:
		i.ItemID, err = c.field.ParseString(cell)
	case timestamp:
		i.TimestampMS, err = c.field.ParseInteger(cell)
		i.TimestampMS *= 1000
	case eventType:
		i.EventType, err = c.field.ParseString(cell)
	case actionEventType:
		i.EventType, err = schema.ParseActionEventType(cell)
	case eventValue:
		*value, err = c.field.ParseReal(cell)
		i.EventValue = value
	case impression:
		var shown string
		shown, err = c.field.ParseString(cell)
		i.Impression = splitImpression(shown)
	case recommendationID:
		i.RecommendationID, err = c.field.ParseString(cell)
	case attributionSource:
		i.EventAttributionSource, err = c.field.ParseString(cell)
	default:
		err = c.property(&i.Properties, cell)
	}
	return err
}

func (c *column) property(properties *map[string]any, cell string) error {
	v, err := c.field.ParseText(cell)
	if err != nil {
		return err
	}
	if *properties == nil {
		*properties = map[string]any{}
	}
	(*properties)[c.field.Name] = v
	return nil
}

// splitImpression leaves out what is empty between bars.
func splitImpression(shown string) []string {
	return slices.DeleteFunc(strings.Split(shown, "|"), func(id string) bool { return id == "" })
}

// entity fills e from a row's cells, using the memory it already has.
func (t *table) entity(cells []string, id string, e *reco.Entity) *columnError {
	clear(e.Properties)
	for n := range t.columns {
		c := &t.columns[n]
		var err error
		if cell := cells[c.cell]; c.field.Name == id && cell != "" {
			e.ID, err = c.field.ParseString(cell)
		} else {
			err = c.property(&e.Properties, cell)
		}
		if err != nil {
			return &columnError{c.field.Name, err}
		}
	}
	return nil
}
