package eventfile

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Bounds of what a writer holds in memory, and of what a reader must: one row group's pages and dictionaries.
const (
	rowGroupRows       = 128 << 10
	rowGroupBytes      = 16 << 20
	pageBytes          = 256 << 10
	dictionaryMaxBytes = 1 << 20
	rowsPerCall        = 256
)

// writer streams rows of T into one Parquet file.
type writer[T any] struct {
	layout  layout[T]
	columns []column // the properties
	names   map[string]bool
	file    *parquet.GenericWriter[any]
	rows    []parquet.Row // collected for the next call of the library
	group   struct{ rows, bytes int }
}

func newWriter[T any](w io.Writer, l layout[T], columns []column) (*writer[T], error) {
	taken := l.fixedNames()
	group := orderedGroup{Group: parquet.Group{}}
	add := func(c column, name string) {
		group.Group[name] = c.node()
		group.order = append(group.order, name)
	}
	for _, f := range l.front {
		add(f.column, f.name)
	}
	names := map[string]bool{}
	for _, c := range columns {
		if err := checkName(c.name); err != nil {
			return nil, err
		}
		names[c.name] = true
		add(c, fileName(taken, c.name))
	}
	for _, f := range l.back {
		add(f.column, f.name)
	}
	options := []parquet.WriterOption{
		parquet.NewSchema("event", group),
		parquet.Compression(&parquet.Zstd),
		parquet.CreatedBy("penchant", formatNow, ""),
		parquet.PageBufferSize(pageBytes),
		parquet.DictionaryMaxBytes(dictionaryMaxBytes),
		parquet.KeyValueMetadata(formatKey, formatNow),
	}
	for _, key := range slices.Sorted(maps.Keys(l.metadata)) {
		options = append(options, parquet.KeyValueMetadata(key, l.metadata[key]))
	}
	return &writer[T]{layout: l, columns: columns, names: names,
		file: parquet.NewGenericWriter[any](w, options...)}, nil
}

func (w *writer[T]) write(rows []T) error {
	for i := range rows {
		n := len(w.rows)
		if n < cap(w.rows) {
			w.rows = w.rows[:n+1] // with the memory of an earlier row
		} else {
			w.rows = append(w.rows, nil)
		}
		row, err := w.row(w.rows[n][:0], &rows[i])
		if err != nil {
			w.rows = w.rows[:n]
			return err
		}
		w.rows[n] = row
		if len(w.rows) == rowsPerCall || w.group.bytes >= rowGroupBytes { // few long rows fill a group, too
			if err := w.pass(); err != nil {
				return err
			}
		}
	}
	return nil
}

// pass hands the rows collected to the file, and ends the row group when that is full.
func (w *writer[T]) pass() error {
	if _, err := w.file.WriteRows(w.rows); err != nil {
		return fmt.Errorf("writing rows: %w", err)
	}
	w.group.rows += len(w.rows)
	w.rows = w.rows[:0]
	if w.group.rows < rowGroupRows && w.group.bytes < rowGroupBytes {
		return nil
	}
	w.group.rows, w.group.bytes = 0, 0
	if err := w.file.Flush(); err != nil {
		return fmt.Errorf("writing a row group: %w", err)
	}
	return nil
}

// row converts one row to values in the file's order of columns.
func (w *writer[T]) row(values parquet.Row, row *T) (parquet.Row, error) {
	add := func(v parquet.Value) {
		definition := 1
		if v.IsNull() {
			definition = 0
		}
		w.group.bytes += 8
		if v.Kind() == parquet.ByteArray {
			w.group.bytes += len(v.ByteArray())
		}
		values = append(values, v.Level(0, definition, len(values)))
	}
	for i := range w.layout.front {
		add(w.layout.front[i].get(row))
	}
	properties := *w.layout.properties(row)
	found := 0
	for i := range w.columns {
		property, ok := properties[w.columns[i].name]
		if ok {
			found++
		}
		v, err := w.columns[i].value(property)
		if err != nil {
			return nil, err
		}
		add(v)
	}
	if found < len(properties) {
		for name, value := range properties {
			if !w.names[name] && value != nil {
				return nil, fmt.Errorf("column %q: the file has no such column", name)
			}
		}
	}
	for i := range w.layout.back {
		add(w.layout.back[i].get(row))
	}
	return values, nil
}

func (w *writer[T]) close() error {
	if err := w.pass(); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("finishing the file: %w", err)
	}
	return nil
}

// orderedGroup is a group whose columns keep the order given; parquet.Group sorts them by name.
type orderedGroup struct {
	parquet.Group
	order []string
}

// Fields lists the columns in order.
func (g orderedGroup) Fields() []parquet.Field {
	byName := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		byName[f.Name()] = f
	}
	fields := make([]parquet.Field, len(g.order))
	for i, name := range g.order {
		fields[i] = byName[name]
	}
	return fields
}
