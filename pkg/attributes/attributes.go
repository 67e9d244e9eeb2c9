// Package attributes keeps what is known of a dataset group's items, users and actions where filters and metadata can
// look it up: as a filter.Table in memory. The recommender follows the data with Live; a batch job loads it once with
// Source.Load.
//
// What an entity is comes from two sides, imports and Put calls, and the newest record counts whole. An imported record
// is as old as the end of its import, a put one as its arrival in Kafka, exactly as in dataset.Load: a FULL import
// drops the records of earlier imports and keeps those that were put, unless it brings a record of the same id. Put
// records are read from the compacted topics, which keep the newest of each id forever.
//
// Unless a campaign returns metadata, columns of prose are left out and strings that are longer than any filter can
// spell are kept as digests. A table costs about 60 bytes and its id for each row, 4 to 8 bytes for each number or
// string, and each different string once; Limit bounds the whole of a process.
package attributes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// Table is the attributes of one type of entities of a dataset group.
type Table struct {
	*filter.Table
	// Schema describes the dataset; nil where there is none, and then nothing is known of any entity.
	Schema *schema.Schema

	budget *budget
	// shortened are the columns whose strings are kept as digests where they are longer than a filter can spell.
	shortened []string

	mu    sync.Mutex // one writer at a time
	since []moment   // by row: from when its record counts; zero for rows without one
	bytes int64      // what was taken from the budget
}

// moment orders the records of an id: by time, then by place in the log, as all records of an id are in one partition.
type moment struct {
	nanos, offset int64
	deleted       bool // the record was deleted
}

func (m moment) after(o moment) bool {
	return m.nanos > o.nanos || m.nanos == o.nanos && m.offset > o.offset
}

// ErrTooMuch means that a process may not hold as many attributes as there are.
var ErrTooMuch = errors.New("the attributes need more memory than they may take")

// budget is the memory that all tables of a process may take.
type budget struct {
	limit int64 // 0: no bound
	used  atomic.Int64
}

func (b *budget) take(n int64) error {
	if used := b.used.Add(n); b.limit > 0 && used > b.limit {
		b.used.Add(-n)
		return fmt.Errorf("%w, %d bytes", ErrTooMuch, b.limit)
	}
	return nil
}

func newTable(s *schema.Schema, text bool, b *budget) *Table {
	t := &Table{Schema: s, budget: b}
	if s != nil && !text {
		for _, f := range s.Metadata() {
			if f.Kind == schema.String && !f.Textual && !f.Categorical { // cells of categories are never that long
				t.shortened = append(t.shortened, f.Name)
			}
		}
		prose := func(f schema.Field) bool { return f.Textual }
		s = &schema.Schema{Type: s.Type, Fields: slices.DeleteFunc(slices.Clone(s.Fields), prose)}
	}
	t.Table = filter.NewTable(s)
	return t
}

// put takes a record unless a newer one of its id is there.
func (t *Table) put(e reco.Entity, since time.Time) error {
	return t.putAt(e, moment{nanos: since.UnixNano(), offset: e.Origin.Offset})
}

func (t *Table) putAt(e reco.Entity, at moment) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	row, known := t.Row(e.ID)
	if known && int(row) < len(t.since) && t.since[row].after(at) {
		return nil
	}
	for _, column := range t.shortened {
		shorten(e.Properties, column)
	}
	if !known || int(row) >= len(t.since) || t.since[row] == (moment{}) {
		cost := sizeOf(e)
		if err := t.budget.take(cost); err != nil {
			return err
		}
		t.bytes += cost
		e.ID = strings.Clone(e.ID) // it may be a piece of something much larger
	}
	t.Put(e)
	row, _ = t.Row(e.ID)
	for int(row) >= len(t.since) {
		t.since = append(t.since, moment{})
	}
	t.since[row] = at
	return nil
}

// longestSpelt is how many bytes a value can have that a filter's expression spells; the values of placeholders are
// shorter.
const longestSpelt = 4 * filter.MaxExpression

// shorten replaces a string that is equal to nothing but itself with its digest: filters answer the same.
func shorten(properties map[string]any, column string) {
	if text, ok := properties[column].(string); ok && len(text) > longestSpelt {
		digest := sha256.Sum256([]byte(text))
		properties[column] = "sha256 " + hex.EncodeToString(digest[:])
	}
}

// Known reports whether there is a record of a row's entity. Rows without one were added for items that only a model
// knows, or their record was deleted.
func (t *Table) Known(row int32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(row) < len(t.since) && t.since[row] != (moment{}) && !t.since[row].deleted
}

// Record is what is known of an entity, by column; nil where there is no record of it, or no table.
func (t *Table) Record(id string) map[string]any {
	if t == nil || t.Schema == nil {
		return nil
	}
	row, ok := t.Row(id)
	if !ok || !t.Known(row) {
		return nil
	}
	record := map[string]any{}
	for _, f := range t.Schema.Metadata() {
		if v := t.Attribute(row, f.Name); v != nil {
			record[f.Name] = v
		}
	}
	return record
}

// UserRecord returns a user's attributes for filters. A user without a record who is known by their events gets an
// empty map, and an unknown user nil.
func (t *Table) UserRecord(id string, known bool) map[string]any {
	record := t.Record(id)
	if record == nil && known {
		return map[string]any{}
	}
	return record
}

// Created is the CREATION_TIMESTAMP of a row's item in seconds, 0 where there is none.
func (t *Table) Created(row int32) int64 {
	created, _ := t.Attribute(row, "CREATION_TIMESTAMP").(int64)
	return created
}

// sizeOf estimates what a new row takes, as if no other had its strings.
func sizeOf(e reco.Entity) int64 {
	size := int64(60 + len(e.ID) + 8*len(e.Properties))
	for _, value := range e.Properties {
		if text, ok := value.(string); ok {
			size += int64(len(text))
		}
	}
	return size
}

// release gives the memory back to the budget. The table must not be written afterwards.
func (t *Table) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.budget.used.Add(-t.bytes)
	t.bytes = 0
}

// putRecord takes a record of a topic of entities. One that cannot be decoded is the firehose's to report.
func (t *Table) putRecord(r bus.Record) error {
	if len(r.Value) == 0 {
		at := moment{nanos: r.Arrival.UnixNano(), offset: r.Offset, deleted: true}
		return t.putAt(reco.Entity{ID: string(r.Key)}, at)
	}
	e, err := wire.UnmarshalEntity(r.Value)
	if err != nil {
		return nil
	}
	e.Origin = reco.Origin{TopicID: r.TopicID, Partition: r.Partition, Offset: r.Offset, Arrival: r.Arrival}
	return t.put(e, r.Arrival)
}

// putImported takes all rows of a version's parts.
func (t *Table) putImported(ctx context.Context, b *blob.Bucket, v dataset.Version) error {
	for _, part := range v.Parts {
		for e, err := range dataset.Entities(ctx, b, dataset.Version{Parts: []dataset.Part{part}}) {
			if err == nil {
				err = t.put(e, part.Imported)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Source is where attributes are read from.
type Source struct {
	Bucket *blob.Bucket
	Bus    *bus.Client
	View   *catalog.View
}

// Load reads what is known of a dataset group's items, users or actions at this moment, without columns of prose. A
// dataset that does not exist gives an empty table.
func (s Source) Load(ctx context.Context, group *catalog.DatasetGroup, t schema.Type) (*Table, error) {
	d := s.dataset(group.ARN, t)
	if d == nil {
		return newTable(nil, false, &budget{}), nil
	}
	fail := func(err error) (*Table, error) {
		return nil, fmt.Errorf("loading the %s of %s: %w", strings.ToLower(t.DatasetType()), group.Name, err)
	}
	parsed, err := s.schema(d)
	if err != nil {
		return fail(err)
	}
	table := newTable(parsed, false, &budget{})
	topic := t.Topic(group.GroupKey())
	ranges, err := s.ranges(ctx, topic)
	if err != nil {
		return fail(err)
	}
	version, err := s.version(ctx, group.GroupKey(), t)
	if err != nil {
		return fail(err)
	}
	if err := table.putImported(ctx, s.Bucket, version); err != nil {
		return fail(err)
	}
	if len(ranges) == 0 {
		return table, nil
	}
	if err := s.Bus.ReadRange(ctx, topic, ranges, table.putRecords); err != nil {
		return fail(err)
	}
	return table, nil
}

func (t *Table) putRecords(records []bus.Record) error {
	for _, r := range records {
		if err := t.putRecord(r); err != nil {
			return err
		}
	}
	return nil
}

// ranges are the offsets that a topic holds; none where there is no topic.
func (s Source) ranges(ctx context.Context, topic string) (map[int32]bus.OffsetRange, error) {
	topics, err := s.Bus.Topics(ctx, topic)
	if err != nil || len(topics) == 0 {
		return nil, err
	}
	held, err := s.Bus.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ranges := map[int32]bus.OffsetRange{}
	for place, offsets := range held {
		ranges[place.Partition] = offsets
	}
	return ranges, nil
}

// version is the imported data, without parts where there is none.
func (s Source) version(ctx context.Context, group string, t schema.Type) (dataset.Version, error) {
	v, err := dataset.Current(ctx, s.Bucket, group, t.DatasetType())
	if errors.Is(err, dataset.ErrNoData) {
		return v, nil
	}
	return v, err
}

// dataset finds the group's dataset of a type; nil where there is none.
func (s Source) dataset(groupARN string, t schema.Type) *catalog.Dataset {
	for _, d := range s.datasets(groupARN) {
		if d.DatasetType == t.DatasetType() {
			return d
		}
	}
	return nil
}

func (s Source) datasets(groupARN string) []*catalog.Dataset {
	return slices.DeleteFunc(catalog.All[*catalog.Dataset](s.View), func(d *catalog.Dataset) bool {
		return d.DatasetGroupARN != groupARN || d.Deleting()
	})
}

func (s Source) schema(d *catalog.Dataset) (*schema.Schema, error) {
	document, ok := catalog.Lookup[*catalog.Schema](s.View, d.SchemaARN)
	if !ok {
		return nil, fmt.Errorf("the schema %s of dataset %s is not known", d.SchemaARN, d.ARN)
	}
	parsed, err := schema.Parse(document.Document, document.Domain)
	if err != nil {
		return nil, fmt.Errorf("parsing schema %s: %w", document.ARN, err)
	}
	return parsed, nil
}

// Schemas are what filters of a dataset group are compiled against.
func (s Source) Schemas(groupARN string) (filter.Schemas, error) {
	schemas := filter.Schemas{}
	for _, d := range s.datasets(groupARN) {
		parsed, err := s.schema(d)
		if err != nil {
			return nil, err
		}
		schemas[d.DatasetType] = parsed
	}
	return schemas, nil
}
