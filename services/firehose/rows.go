package firehose

import (
	"context"
	"sort"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventfile"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// rows is a partition's buffer: decoded records in the order of their offsets.
type rows interface {
	// add decodes a record and buffers it. An error means that the record can never be archived as a row.
	add(record bus.Record) error
	len() int
	// eventID returns that of the i-th row, "" if its type has none.
	eventID(i int) string
	// keep filters the rows; want is called once per row, in order.
	keep(want func(i int) bool)
	// before returns how many rows are below the offset.
	before(offset int64) int
	// appendTo writes all rows as the chain's next file, which ends at last.
	appendTo(ctx context.Context, chain *archive.Chain, s *schema.Schema, last int64) error
	// refused returns the reason why the i-th row cannot be encoded, nil if it can, and the row as a record.
	refused(i int, s *schema.Schema) (bus.Record, error)
}

func newRows(t schema.Type) rows {
	switch t {
	case schema.Interactions:
		return interactionRows(wire.UnmarshalInteraction, wire.MarshalInteraction)
	case schema.ActionInteractions:
		return interactionRows(wire.UnmarshalActionInteraction, wire.MarshalActionInteraction)
	}
	return &typedRows[reco.Entity]{
		decode:  wire.UnmarshalEntity,
		marshal: func(e *reco.Entity) ([]byte, error) { return wire.MarshalEntity(e) },
		encode:  eventfile.EncodeEntities,
		write:   (*archive.Chain).AppendEntities,
		origin:  func(e *reco.Entity) *reco.Origin { return &e.Origin },
		id:      func(*reco.Entity) string { return "" },
		key:     func(e *reco.Entity) string { return e.ID },
	}
}

func interactionRows(
	decode func([]byte) (reco.Interaction, error), marshal func(*reco.Interaction) ([]byte, error),
) rows {
	return &typedRows[reco.Interaction]{
		decode:  decode,
		marshal: marshal,
		encode:  eventfile.EncodeInteractions,
		write:   (*archive.Chain).AppendInteractions,
		origin:  func(i *reco.Interaction) *reco.Origin { return &i.Origin },
		id:      func(i *reco.Interaction) string { return i.EventID },
		key:     (*reco.Interaction).Key,
	}
}

type typedRows[T any] struct {
	decode  func([]byte) (T, error)
	marshal func(*T) ([]byte, error)
	encode  func(*schema.Schema, []T) ([]byte, error)
	write   func(*archive.Chain, context.Context, *schema.Schema, []T, int64) error
	origin  func(*T) *reco.Origin
	id      func(*T) string
	key     func(*T) string

	rows []T
}

func (r *typedRows[T]) add(record bus.Record) error {
	row, err := r.decode(record.Value)
	if err != nil {
		return err
	}
	*r.origin(&row) = reco.Origin{
		TopicID: record.TopicID, Partition: record.Partition, Offset: record.Offset, Arrival: record.Arrival,
	}
	r.rows = append(r.rows, row)
	return nil
}

func (r *typedRows[T]) len() int { return len(r.rows) }

func (r *typedRows[T]) eventID(i int) string { return r.id(&r.rows[i]) }

func (r *typedRows[T]) keep(want func(i int) bool) {
	kept := r.rows[:0]
	for i := range r.rows {
		if want(i) {
			kept = append(kept, r.rows[i])
		}
	}
	clear(r.rows[len(kept):])
	r.rows = kept
	if len(kept) == 0 {
		r.rows = nil // a buffer that was large once does not stay so
	}
}

func (r *typedRows[T]) before(offset int64) int {
	return sort.Search(len(r.rows), func(i int) bool { return r.origin(&r.rows[i]).Offset >= offset })
}

func (r *typedRows[T]) appendTo(ctx context.Context, chain *archive.Chain, s *schema.Schema, last int64) error {
	return r.write(chain, ctx, s, r.rows, last)
}

func (r *typedRows[T]) refused(i int, s *schema.Schema) (bus.Record, error) {
	_, reason := r.encode(s, r.rows[i:i+1])
	if reason == nil {
		return bus.Record{}, nil
	}
	origin := r.origin(&r.rows[i])
	value, err := r.marshal(&r.rows[i])
	if err != nil {
		value = nil // it was decoded from these bytes a moment ago; the reason says what there is to say
	}
	return bus.Record{
		Partition: origin.Partition, Offset: origin.Offset, TopicID: origin.TopicID, Arrival: origin.Arrival,
		Key: []byte(r.key(&r.rows[i])), Value: value,
	}, reason
}
