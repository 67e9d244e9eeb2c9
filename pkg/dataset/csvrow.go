package dataset

import (
	"math"
	"strconv"
	"strings"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// CSVRows writes rows as CSV that an import of the same schema reads back: the schema's columns in its order, times in
// whole seconds.
type CSVRows struct{ schema *schema.Schema }

// NewCSVRows writes rows of a schema.
func NewCSVRows(s *schema.Schema) CSVRows { return CSVRows{s} }

// Header is the first line, with its end.
func (c CSVRows) Header() []byte {
	names := make([]string, len(c.schema.Fields))
	for n, f := range c.schema.Fields {
		names[n] = f.Name
	}
	return []byte(strings.Join(names, ",") + "\n")
}

// AppendInteraction appends the line of an interaction or an action's interaction, with its end.
func (c CSVRows) AppendInteraction(to []byte, i *reco.Interaction) []byte {
	for n := range c.schema.Fields {
		f := &c.schema.Fields[n]
		if n > 0 {
			to = append(to, ',')
		}
		if !c.schema.FirstClass(f.Name) {
			to = appendCell(to, f, i.Properties[f.Name])
			continue
		}
		switch interactionMembers[f.Name] {
		case userID:
			to = appendText(to, f, i.UserID)
		case itemID:
			to = appendText(to, f, i.ItemID)
		case timestamp:
			to = strconv.AppendInt(to, int64(math.Floor(float64(i.TimestampMS)/1000)), 10)
		case eventType:
			to = appendText(to, f, i.EventType)
		case eventValue:
			if i.EventValue != nil {
				to = appendCell(to, f, *i.EventValue)
			}
		case impression:
			to = appendText(to, f, strings.Join(i.Impression, "|"))
		case recommendationID:
			to = appendText(to, f, i.RecommendationID)
		case attributionSource:
			to = appendText(to, f, i.EventAttributionSource)
		}
	}
	return append(to, '\n')
}

// AppendEntity appends the line of an item, user or action, with its end.
func (c CSVRows) AppendEntity(to []byte, e *reco.Entity) []byte {
	id := c.schema.IDField()
	for n := range c.schema.Fields {
		f := &c.schema.Fields[n]
		if n > 0 {
			to = append(to, ',')
		}
		if f.Name == id {
			to = appendText(to, f, e.ID)
		} else {
			to = appendCell(to, f, e.Properties[f.Name])
		}
	}
	return append(to, '\n')
}

func appendCell(to []byte, f *schema.Field, value any) []byte {
	switch v := value.(type) {
	case string:
		return appendText(to, f, v)
	case int64:
		return strconv.AppendInt(to, v, 10)
	case float64:
		return strconv.AppendFloat(to, v, 'g', -1, 64)
	case bool:
		return strconv.AppendBool(to, v)
	}
	return to // null is an empty cell
}

// appendText quotes what needs it. In textual columns, where an import takes a backslash before a quote or a backslash
// for an escape, backslashes are doubled.
func appendText(to []byte, f *schema.Field, text string) []byte {
	if !strings.ContainsAny(text, ",\"\r\n") && (!f.Textual || !strings.Contains(text, `\`)) {
		return append(to, text...)
	}
	to = append(to, '"')
	for _, b := range []byte(text) {
		if b == '"' || b == '\\' && f.Textual {
			to = append(to, b)
		}
		to = append(to, b)
	}
	return append(to, '"')
}
