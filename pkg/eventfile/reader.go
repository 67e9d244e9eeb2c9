package eventfile

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// decode reads a file's rows. layoutOf chooses the fixed columns by the file's own metadata.
func decode[T any](r io.ReaderAt, size int64, layoutOf func(metadata map[string]string) layout[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		reader := &reader[T]{layoutOf: layoutOf}
		defer reader.close()
		if err := reader.open(r, size); err != nil {
			var none T
			yield(none, err)
			return
		}
		for {
			// The caller's code runs outside of next, which turns the library's panics into errors.
			rows, err := reader.next()
			for i := range rows {
				if !yield(rows[i], nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
		}
	}
}

// reader walks a file's row groups, a few rows at a time.
type reader[T any] struct {
	layoutOf func(map[string]string) layout[T]
	setters  []func(*T, parquet.Value) error // by column of the file; nil: skipped
	groups   []parquet.RowGroup
	rows     parquet.Rows // of the row group being read, nil between two
	left     int64        // rows of the row group still to come
	buffer   []parquet.Row
	decoded  []T
}

func (r *reader[T]) open(from io.ReaderAt, size int64) (err error) {
	defer recovered(&err)
	if err := checkFooter(from, size); err != nil {
		return fmt.Errorf("opening the file: %w", err)
	}
	file, err := parquet.OpenFile(from, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true),
		parquet.ReadBufferSize(64<<10))
	if err != nil {
		return fmt.Errorf("opening the file: %w", err)
	}
	metadata := map[string]string{}
	for _, entry := range file.Metadata().KeyValueMetadata {
		metadata[entry.Key] = entry.Value
	}
	if format := metadata[formatKey]; format != formatNow {
		return fmt.Errorf("opening the file: its format is %q, this version reads %q", format, formatNow)
	}
	if err := checkRowGroups(file.Metadata()); err != nil {
		return fmt.Errorf("opening the file: %w", err)
	}
	r.groups = file.RowGroups()
	r.buffer = make([]parquet.Row, rowsPerCall)
	return r.bind(file.Schema(), r.layoutOf(metadata))
}

// checkRowGroups refuses what the writer never writes. Of damaged files it keeps the library from using codecs that
// take memory without bound, and from making up rows without end.
func checkRowGroups(metadata *format.FileMetaData) error {
	for _, group := range metadata.RowGroups {
		if group.NumRows < 0 || group.NumRows > rowGroupRows+rowsPerCall {
			return fmt.Errorf("a row group of %d rows", group.NumRows)
		}
		for _, c := range group.Columns {
			if c.MetaData.Codec != format.Zstd || c.MetaData.NumValues != group.NumRows {
				return fmt.Errorf("column %v has the codec %s and %d values of %d rows",
					c.MetaData.PathInSchema, c.MetaData.Codec, c.MetaData.NumValues, group.NumRows)
			}
		}
	}
	return nil
}

// bind finds for each column of the file where its values go.
func (r *reader[T]) bind(schema *parquet.Schema, l layout[T]) error {
	fixedColumns := map[string]fixed[T]{}
	for _, f := range slices.Concat(l.front, l.back) {
		fixedColumns[f.name] = f
	}
	taken := l.fixedNames()
	for _, field := range schema.Fields() {
		if !field.Leaf() || field.Repeated() {
			return fmt.Errorf("opening the file: column %q is nested or repeated", field.Name())
		}
		name := field.Name()
		kind := field.Type().Kind()
		if f, ok := fixedColumns[name]; ok {
			if want := f.node().Type().Kind(); kind != want {
				return fmt.Errorf("opening the file: column %s holds %s values, not %s", name, kind, want)
			}
			r.setters = append(r.setters, func(row *T, v parquet.Value) error {
				f.set(row, v)
				return nil
			})
			continue
		}
		r.setters = append(r.setters, propertySetter(propertyName(taken, name), l.properties))
	}
	return nil
}

// propertySetter fills a property with the column's value. Most columns hold the same few strings again and again; they
// share memory.
func propertySetter[T any](name string, properties func(*T) *map[string]any) func(*T, parquet.Value) error {
	const sharedStrings, sharedLength = 4096, 64
	shared := map[string]any{}
	str := func(b []byte) any {
		if len(b) > sharedLength {
			return string(b)
		}
		if s, ok := shared[string(b)]; ok {
			return s
		}
		var s any = string(b)
		if len(shared) < sharedStrings {
			shared[s.(string)] = s
		}
		return s
	}
	return func(row *T, v parquet.Value) error {
		p := properties(row)
		if *p == nil {
			*p = map[string]any{}
		}
		switch v.Kind() {
		case parquet.ByteArray, parquet.FixedLenByteArray:
			(*p)[name] = str(v.ByteArray())
		case parquet.Int64:
			(*p)[name] = v.Int64()
		case parquet.Int32:
			(*p)[name] = int64(v.Int32())
		case parquet.Double:
			(*p)[name] = v.Double()
		case parquet.Float:
			(*p)[name] = float64(v.Float())
		case parquet.Boolean:
			(*p)[name] = v.Boolean()
		default:
			return fmt.Errorf("column %s holds %s values", name, v.Kind())
		}
		return nil
	}
}

// next returns the next rows, or io.EOF, possibly together. The slice is reused, the rows are not.
func (r *reader[T]) next() (rows []T, err error) {
	defer recovered(&err)
	for r.rows == nil {
		if len(r.groups) == 0 {
			return nil, io.EOF
		}
		r.rows, r.left = r.groups[0].Rows(), r.groups[0].NumRows()
		r.groups = r.groups[1:]
	}
	n, err := r.rows.ReadRows(r.buffer)
	r.decoded = r.decoded[:0]
	if r.left -= int64(n); r.left < 0 {
		return nil, errors.New("reading rows: a row group has more rows than it says")
	}
	for _, values := range r.buffer[:n] {
		var row T
		if err := r.fill(&row, values); err != nil {
			return r.decoded, fmt.Errorf("reading rows: %w", err)
		}
		r.decoded = append(r.decoded, row)
	}
	if errors.Is(err, io.EOF) || err == nil && n == 0 {
		err = r.endGroup()
	}
	if err != nil {
		return r.decoded, fmt.Errorf("reading rows: %w", err)
	}
	return r.decoded, nil
}

// fill sets the members of row to the values of its columns.
func (r *reader[T]) fill(row *T, values parquet.Row) error {
	for _, v := range values {
		if v.IsNull() {
			continue
		}
		if v.Column() < 0 || v.Column() >= len(r.setters) {
			return fmt.Errorf("a value of column %d of %d", v.Column(), len(r.setters))
		}
		if err := r.setters[v.Column()](row, v); err != nil {
			return err
		}
	}
	return nil
}

// endGroup closes the current row group and checks that all its rows came.
func (r *reader[T]) endGroup() error {
	group := r.rows
	r.rows = nil
	if err := group.Close(); err != nil {
		return err
	}
	if r.left > 0 {
		return fmt.Errorf("the last %d rows of a row group are missing", r.left)
	}
	return nil
}

func (r *reader[T]) close() {
	var err error
	defer recovered(&err)
	if r.rows != nil {
		// Nothing to report: the caller stopped early or knows of the error already.
		_ = r.rows.Close()
	}
}

// recovered turns a panic of the Parquet library, which damaged bytes can cause, into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("reading a damaged file: %v", p)
	}
}
