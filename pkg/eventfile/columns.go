package eventfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// columnType is what a column holds; each is one Parquet type.
type columnType int

const (
	text columnType = iota
	integer
	float
	boolean
	instant
)

// column is a schema's own column: one property.
type column struct {
	name string
	typ  columnType
	// repeats means that values recur, so that a dictionary pays.
	repeats bool
}

// fixed is a column that every file of its kind has. get gives a null value where the row has none; set sees no nulls.
type fixed[T any] struct {
	column
	get func(*T) parquet.Value
	set func(*T, parquet.Value)
}

// layout is the form of a file of T: the fixed columns before and behind the properties.
type layout[T any] struct {
	front, back []fixed[T]
	properties  func(*T) *map[string]any
	metadata    map[string]string
}

// Keys of the file's own metadata.
const (
	formatKey   = "penchant.format"
	formatNow   = "1"
	idColumnKey = "penchant.id-column"
)

// interactionLayout is that of interactions with items, or, if id is ACTION_ID, with actions, which have neither a
// value nor an attribution source.
func interactionLayout(id string) layout[reco.Interaction] {
	l := itemInteractionLayout()
	if id == actionID {
		l.front = slices.DeleteFunc(l.front, func(f fixed[reco.Interaction]) bool {
			return f.name == "EVENT_VALUE" || f.name == "EVENT_ATTRIBUTION_SOURCE"
		})
		l.front[1].name = actionID
		l.metadata = map[string]string{idColumnKey: actionID}
	}
	return l
}

const actionID = "ACTION_ID"

func itemInteractionLayout() layout[reco.Interaction] {
	return layout[reco.Interaction]{
		front: []fixed[reco.Interaction]{
			textColumn("USER_ID", true, func(i *reco.Interaction) *string { return &i.UserID }),
			textColumn("ITEM_ID", true, func(i *reco.Interaction) *string { return &i.ItemID }),
			{column{"TIMESTAMP", integer, false}, func(i *reco.Interaction) parquet.Value {
				return parquet.Int64Value(floorSeconds(i.TimestampMS))
			}, func(i *reco.Interaction, v parquet.Value) {
				// EVENT_TIME holds the same more exactly; it comes further right and wins.
				i.TimestampMS = v.Int64() * 1000
			}},
			textColumn("EVENT_TYPE", true, func(i *reco.Interaction) *string { return &i.EventType }),
			{column{"EVENT_VALUE", float, false}, func(i *reco.Interaction) parquet.Value {
				if i.EventValue == nil {
					return parquet.NullValue()
				}
				return parquet.DoubleValue(*i.EventValue)
			}, func(i *reco.Interaction, v parquet.Value) {
				value := v.Double()
				i.EventValue = &value
			}},
			{column{"IMPRESSION", text, false}, func(i *reco.Interaction) parquet.Value {
				if len(i.Impression) == 0 {
					return parquet.NullValue()
				}
				return textValue(joinIDs(i.Impression))
			}, func(i *reco.Interaction, v parquet.Value) { i.Impression = splitIDs(string(v.ByteArray())) }},
			textColumn("EVENT_ATTRIBUTION_SOURCE", true,
				func(i *reco.Interaction) *string { return &i.EventAttributionSource }),
		},
		back: slices.Concat([]fixed[reco.Interaction]{
			textColumn("EVENT_ID", false, func(i *reco.Interaction) *string { return &i.EventID }),
			textColumn("SESSION_ID", true, func(i *reco.Interaction) *string { return &i.SessionID }),
			textColumn("RECOMMENDATION_ID", false, func(i *reco.Interaction) *string { return &i.RecommendationID }),
		}, slices.Insert(originColumns(func(i *reco.Interaction) *reco.Origin { return &i.Origin }), 1,
			fixed[reco.Interaction]{column{"EVENT_TIME", instant, false},
				func(i *reco.Interaction) parquet.Value { return parquet.Int64Value(i.TimestampMS) },
				func(i *reco.Interaction, v parquet.Value) { i.TimestampMS = v.Int64() }},
		)),
		properties: func(i *reco.Interaction) *map[string]any { return &i.Properties },
	}
}

func entityLayout(id string) layout[reco.Entity] {
	if id == "" {
		id = "ID"
	}
	return layout[reco.Entity]{
		front:      []fixed[reco.Entity]{textColumn(id, false, func(e *reco.Entity) *string { return &e.ID })},
		back:       originColumns(func(e *reco.Entity) *reco.Origin { return &e.Origin }),
		properties: func(e *reco.Entity) *map[string]any { return &e.Properties },
		metadata:   map[string]string{idColumnKey: id},
	}
}

// idColumn is the name of the id in a schema, "" where no type is known.
func idColumn(s *schema.Schema) string {
	if s == nil || s.Type == "" {
		return ""
	}
	return s.IDField()
}

func textColumn[T any](name string, repeats bool, of func(*T) *string) fixed[T] {
	return fixed[T]{column{name, text, repeats}, func(row *T) parquet.Value {
		if *of(row) == "" {
			return parquet.NullValue()
		}
		return textValue(*of(row))
	}, func(row *T, v parquet.Value) { *of(row) = string(v.ByteArray()) }}
}

// originColumns are null in imported rows, whose origin is zero.
func originColumns[T any](of func(*T) *reco.Origin) []fixed[T] {
	value := func(get func(*reco.Origin) int64) func(*T) parquet.Value {
		return func(row *T) parquet.Value {
			if *of(row) == (reco.Origin{}) {
				return parquet.NullValue()
			}
			return parquet.Int64Value(get(of(row)))
		}
	}
	return []fixed[T]{
		{column{"ARRIVAL_TIME", instant, false}, func(row *T) parquet.Value {
			if of(row).Arrival.IsZero() {
				return parquet.NullValue()
			}
			return parquet.Int64Value(of(row).Arrival.UnixMilli())
		}, func(row *T, v parquet.Value) { of(row).Arrival = time.UnixMilli(v.Int64()).UTC() }},
		{column{"KAFKA_PARTITION", integer, true},
			value(func(o *reco.Origin) int64 { return int64(o.Partition) }),
			func(row *T, v parquet.Value) { of(row).Partition = int32(v.Int64()) }},
		{column{"KAFKA_OFFSET", integer, false},
			value(func(o *reco.Origin) int64 { return o.Offset }),
			func(row *T, v parquet.Value) { of(row).Offset = v.Int64() }},
	}
}

// fixedNames are the names that properties cannot have in the file.
func (l layout[T]) fixedNames() map[string]bool {
	names := map[string]bool{}
	for _, f := range slices.Concat(l.front, l.back) {
		names[f.name] = true
	}
	return names
}

// fileName is the property's column in the file, propertyName its inverse: a name that a fixed column has, perhaps with
// underscores behind it, gets one more.
func fileName(fixedNames map[string]bool, property string) string {
	if fixedNames[strings.ToUpper(strings.TrimRight(property, "_"))] {
		return property + "_"
	}
	return property
}

func propertyName(fixedNames map[string]bool, column string) string {
	if fixedNames[strings.ToUpper(strings.TrimRight(column, "_"))] {
		return strings.TrimSuffix(column, "_")
	}
	return column
}

// schemaColumns are the schema's columns that interactions and entities keep as properties.
func schemaColumns(s *schema.Schema) []column {
	if s == nil {
		return nil
	}
	var columns []column
	for _, f := range s.Metadata() {
		columns = append(columns, column{name: f.Name, typ: typeOf(f.Kind), repeats: !f.Textual})
	}
	return columns
}

func typeOf(k schema.Kind) columnType {
	switch k {
	case schema.Int, schema.Long:
		return integer
	case schema.Float, schema.Double:
		return float
	case schema.Boolean:
		return boolean
	}
	return text
}

// widen adds columns for properties that the schema does not have, in the order of their names, and gives columns whose
// values do not fit a type that all of them do.
func widen[T any](columns []column, rows []T, properties func(*T) *map[string]any) []column {
	index := map[string]int{}
	for i, c := range columns {
		index[c.name] = i
	}
	known := len(columns)
	for i := range rows {
		for name, value := range *properties(&rows[i]) {
			typ, ok := typeOfValue(value)
			if !ok {
				continue // null fits everywhere; the writer reports what is no value
			}
			at, found := index[name]
			if !found {
				at = len(columns)
				index[name] = at
				columns = append(columns, column{name: name, typ: typ, repeats: true})
			}
			columns[at].typ = widest(columns[at].typ, typ)
		}
	}
	slices.SortFunc(columns[known:], func(a, b column) int { return strings.Compare(a.name, b.name) })
	return columns
}

func widest(a, b columnType) columnType {
	switch {
	case a == b:
		return a
	case a == integer && b == float, a == float && b == integer:
		return float
	}
	return text
}

func typeOfValue(value any) (columnType, bool) {
	switch value.(type) {
	case string:
		return text, true
	case int64:
		return integer, true
	case float64:
		return float, true
	case bool:
		return boolean, true
	}
	return 0, false
}

// value converts a property to its column's type.
func (c column) value(property any) (parquet.Value, error) {
	switch v := property.(type) {
	case nil:
		return parquet.NullValue(), nil
	case string:
		if c.typ == text {
			return textValue(v), nil
		}
	case int64:
		switch c.typ {
		case integer:
			return parquet.Int64Value(v), nil
		case float:
			return parquet.DoubleValue(float64(v)), nil
		case text:
			return textValue(strconv.FormatInt(v, 10)), nil
		}
	case float64:
		switch c.typ {
		case float:
			return parquet.DoubleValue(v), nil
		case text:
			return textValue(strconv.FormatFloat(v, 'g', -1, 64)), nil
		}
	case bool:
		switch c.typ {
		case boolean:
			return parquet.BooleanValue(v), nil
		case text:
			return textValue(strconv.FormatBool(v)), nil
		}
	default:
		return parquet.Value{}, fmt.Errorf("column %s: a value of type %T is no column value", c.name, property)
	}
	return parquet.Value{}, fmt.Errorf("column %s: a value of type %T does not fit", c.name, property)
}

// node is the column's Parquet type and encoding.
func (c column) node() parquet.Node {
	var node parquet.Node
	switch c.typ {
	case integer:
		node = parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)
	case float:
		node = parquet.Leaf(parquet.DoubleType)
	case boolean:
		node = parquet.Leaf(parquet.BooleanType)
	case instant:
		node = parquet.Encoded(parquet.Timestamp(parquet.Millisecond), &parquet.DeltaBinaryPacked)
	default:
		node = parquet.String()
		if c.repeats {
			node = parquet.Encoded(node, &parquet.RLEDictionary)
		}
	}
	return parquet.Optional(node)
}

// checkName is here so that a bad name is an error before the library sees it, which panics on some.
func checkName(name string) error {
	if name == "" || len(name) > 256 {
		return fmt.Errorf("column %.20q: a column's name has 1 to 256 characters", name)
	}
	for _, r := range name {
		if r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return fmt.Errorf("column %q: a column's name has only letters, digits and underscores", name)
		}
	}
	return nil
}

func textValue(s string) parquet.Value { return parquet.ByteArrayValue([]byte(s)) }

func floorSeconds(ms int64) int64 {
	seconds := ms / 1000
	if ms%1000 < 0 {
		seconds--
	}
	return seconds
}

// joinIDs and splitIDs are each other's inverse for every list but the empty one.
func joinIDs(ids []string) string {
	var joined strings.Builder
	for i, id := range ids {
		if i > 0 {
			joined.WriteByte('|')
		}
		for _, b := range []byte(id) {
			if b == '|' || b == '\\' {
				joined.WriteByte('\\')
			}
			joined.WriteByte(b)
		}
	}
	return joined.String()
}

func splitIDs(joined string) []string {
	if !strings.Contains(joined, `\`) {
		return strings.Split(joined, "|")
	}
	var ids []string
	var id strings.Builder
	escaped := false
	for _, b := range []byte(joined) {
		switch {
		case escaped:
			id.WriteByte(b)
			escaped = false
		case b == '\\':
			escaped = true
		case b == '|':
			ids = append(ids, id.String())
			id.Reset()
		default:
			id.WriteByte(b)
		}
	}
	return append(ids, id.String())
}
