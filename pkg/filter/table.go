package filter

import (
	"sync"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Table holds the attributes of items, users or actions, column by column. Readers and writers may work at the same
// time; a reader waits for one Put at most, a Put for the readers at work.
type Table struct {
	mu  sync.RWMutex
	ids []string
	// rows finds the row of an id.
	rows    map[string]int32
	columns map[string]attributes
}

// attributes are the values of one column. Rows for which nothing was ever set are absent.
type attributes interface {
	// put replaces the value of a row; a value of another type than the column's is none.
	put(row int32, value any)
	// value is as it was put, nil if there is none.
	value(row int32) any
}

// NewTable makes an empty table with the columns of a schema; nil: without columns.
func NewTable(s *schema.Schema) *Table {
	t := &Table{rows: make(map[string]int32), columns: make(map[string]attributes)}
	if s == nil {
		return t
	}
	for _, f := range s.Metadata() {
		t.columns[f.Name] = newAttributes(f)
	}
	return t
}

func newAttributes(f schema.Field) attributes {
	switch f.Kind {
	case schema.Int, schema.Long:
		return new(numberColumn)
	case schema.Float, schema.Double:
		return &numberColumn{real: true}
	case schema.Boolean:
		return new(booleans)
	}
	if f.Textual {
		return new(prose)
	}
	return newTextColumn(f.Categorical)
}

// Put replaces the whole record of an id; a new id gets the next row. Properties that the schema doesn't have are left
// out.
func (t *Table) Put(e reco.Entity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := t.add(e.ID)
	for name, c := range t.columns {
		c.put(row, e.Properties[name])
	}
}

// Add makes rows without attributes for the ids that have none yet.
func (t *Table) Add(ids ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		t.add(id)
	}
}

func (t *Table) add(id string) int32 {
	row, ok := t.rows[id]
	if !ok {
		row = int32(len(t.ids))
		t.rows[id] = row
		t.ids = append(t.ids, id)
	}
	return row
}

// Row is the row of an id; rows never change.
func (t *Table) Row(id string) (row int32, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	row, ok = t.rows[id]
	return row, ok
}

// ID is the id of a row, which must exist.
func (t *Table) ID(row int32) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.ids[row]
}

// Len is the number of rows.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.ids)
}

// Attribute is the value of a column in a row, as in reco.Entity.Properties; nil if there is none.
func (t *Table) Attribute(row int32, column string) any {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c, ok := t.columns[column]; ok {
		return c.value(row)
	}
	return nil
}
