// Package eventfile reads and writes the Parquet files that hold interactions and entities (items, users and actions):
// the archive's files and the imported data sets have the same form, so that one reader in DuckDB, Spark or pyarrow
// serves both.
//
// A file of interactions has the columns USER_ID, ITEM_ID, TIMESTAMP (whole seconds, as in the Interactions schema),
// EVENT_TYPE, EVENT_VALUE, IMPRESSION (item ids joined by "|"; a "|" or "\" inside an id is preceded by "\") and
// EVENT_ATTRIBUTION_SOURCE, then the schema's own columns by their names, then EVENT_ID, SESSION_ID, RECOMMENDATION_ID,
// ARRIVAL_TIME and EVENT_TIME (UTC, milliseconds), KAFKA_PARTITION and KAFKA_OFFSET. A file of interactions with
// actions has ACTION_ID for ITEM_ID, and no EVENT_VALUE and EVENT_ATTRIBUTION_SOURCE. A file of entities has the id
// column of its dataset type, the schema's own columns, ARRIVAL_TIME, KAFKA_PARTITION and KAFKA_OFFSET. Every column is
// optional: absent values are null, and imported rows have no Kafka columns. Integers are stored as 64 bits and floats
// as doubles, whatever the schema calls them, so that values come back exactly.
//
// A schema's column whose name one of the fixed columns has already taken carries an underscore behind its name (a
// dataset's own SESSION_ID is SESSION_ID_ in the file). Schemas treat such names as equal, so nothing else can have it.
//
// The archive, the imports and the training set call this package. Reading follows the file's own columns, not a
// schema: a file written before or after a change of the schema reads as it was written. Damaged files give an error,
// never a panic.
package eventfile

import (
	"bytes"
	"io"
	"iter"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// EncodeInteractions returns the bytes of one file with these rows, which may be empty. They are interactions with
// actions where the schema is of that type. s may be nil: then, and for properties outside s, columns follow from the
// values. A property whose values do not fit its column's type in s widens the column (integer to double, anything else
// to text): no value is ever left out. An error means that a property's name cannot be a column's or its value is of an
// unknown type.
func EncodeInteractions(s *schema.Schema, rows []reco.Interaction) ([]byte, error) {
	return encode(interactionLayout(idColumn(s)), s, rows)
}

// EncodeEntities returns the bytes of one file with these entities. It treats properties as EncodeInteractions does;
// with a nil schema the id column is called ID.
func EncodeEntities(s *schema.Schema, rows []reco.Entity) ([]byte, error) {
	return encode(entityLayout(idColumn(s)), s, rows)
}

// DecodeInteractions reads a file's interactions in the file's order, one batch of rows of one row group in memory at a
// time. Origin has no TopicID, which is not in the file. The first error ends the sequence.
func DecodeInteractions(r io.ReaderAt, size int64) iter.Seq2[reco.Interaction, error] {
	return decode(r, size, func(metadata map[string]string) layout[reco.Interaction] {
		return interactionLayout(metadata[idColumnKey])
	})
}

// DecodeEntities reads a file's entities in the file's order; see DecodeInteractions.
func DecodeEntities(r io.ReaderAt, size int64) iter.Seq2[reco.Entity, error] {
	return decode(r, size, func(metadata map[string]string) layout[reco.Entity] {
		return entityLayout(metadata[idColumnKey])
	})
}

// InteractionWriter writes one file of any length with bounded memory. It is not safe for concurrent use.
type InteractionWriter struct{ file *writer[reco.Interaction] }

// NewInteractionWriter starts a file on w with the columns of s, which may be nil. Unlike EncodeInteractions it cannot
// look ahead: Write refuses a property that s does not have or whose value does not fit.
func NewInteractionWriter(w io.Writer, s *schema.Schema) (*InteractionWriter, error) {
	file, err := newWriter(w, interactionLayout(idColumn(s)), schemaColumns(s))
	if err != nil {
		return nil, err
	}
	return &InteractionWriter{file}, nil
}

// Write appends rows; row groups go to the underlying writer as they fill up.
func (w *InteractionWriter) Write(rows ...reco.Interaction) error { return w.file.write(rows) }

// Close writes what is left and the footer, without which the file is not readable. It does not close the underlying
// writer.
func (w *InteractionWriter) Close() error { return w.file.close() }

// EntityWriter is InteractionWriter's sibling for entities.
type EntityWriter struct{ file *writer[reco.Entity] }

// NewEntityWriter starts a file on w with the columns of s; see NewInteractionWriter.
func NewEntityWriter(w io.Writer, s *schema.Schema) (*EntityWriter, error) {
	file, err := newWriter(w, entityLayout(idColumn(s)), schemaColumns(s))
	if err != nil {
		return nil, err
	}
	return &EntityWriter{file}, nil
}

// Write appends rows; row groups go to the underlying writer as they fill up.
func (w *EntityWriter) Write(rows ...reco.Entity) error { return w.file.write(rows) }

// Close writes what is left and the footer; see InteractionWriter.Close.
func (w *EntityWriter) Close() error { return w.file.close() }

func encode[T any](l layout[T], s *schema.Schema, rows []T) ([]byte, error) {
	var buffer bytes.Buffer
	w, err := newWriter(&buffer, l, widen(schemaColumns(s), rows, l.properties))
	if err != nil {
		return nil, err
	}
	if err := w.write(rows); err != nil {
		return nil, err
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}
