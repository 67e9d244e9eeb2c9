package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/output"
)

const (
	// exportFileBytes is the size at which a file of an export is closed, so that each can be imported again.
	exportFileBytes = 1 << 30
	// exportHashes is how many rows an export deduplicates in one pass over the data, at 16 bytes each.
	exportHashes = 16_000_000
)

// Exporter runs dataset export jobs.
type Exporter struct {
	Data *groupdata.Source
	// Target is the store that has the users' buckets.
	Target *blob.Client
	Log    *zap.Logger
}

// Run writes what was imported (BULK), what was put (PUT: the archive, and the log beyond its end), or both (ALL) as
// CSV files that can be imported again. Equal rows are written once; of items and users in ALL only the newest record
// of each.
//
// A visitor's anonymous events are attributed to the user who they turned out to be, as in training, or else to their
// session.
func (x *Exporter) Run(
	ctx context.Context, job *catalog.DatasetExportJob, report func(float64),
) (func(*catalog.DatasetExportJob), error) {
	d, err := x.Data.Store.Datasets.Get(ctx, job.DatasetARN)
	if err != nil {
		return nil, jobs.Missing(err, "dataset", job.DatasetARN)
	}
	group, parsed, err := x.Data.SchemaOf(ctx, d)
	if err != nil {
		return nil, err
	}
	out, err := output.Open(ctx, x.Target, *job.JobOutput.S3DataDestination.Path)
	if err != nil {
		return nil, err
	}
	out.Prefix += job.Name + "/"
	e := &export{
		data: x.Data, group: group, schema: parsed, report: report,
		put: job.IngestionMode != mode.IngestionBulk, newestOnly: job.IngestionMode == mode.IngestionAll,
		files:     exportFiles{out: out, rows: dataset.NewCSVRows(parsed), maxBytes: exportFileBytes},
		maxHashes: exportHashes,
	}
	if job.IngestionMode != mode.IngestionPut {
		e.bulk, err = dataset.Current(ctx, x.Data.Bucket, group, d.DatasetType)
		if err != nil && !errors.Is(err, dataset.ErrNoData) {
			return nil, err
		}
	}
	if err := e.run(ctx); err != nil {
		return nil, err
	}
	x.Log.Info("dataset exported", zap.String("job", job.ARN),
		zap.Int64("rows", e.files.written), zap.Int("files", e.files.number))
	return nil, nil
}

// export is one job under way.
type export struct {
	data       *groupdata.Source
	group      string
	schema     *schema.Schema
	bulk       dataset.Version // without parts if nothing imported is wanted
	put        bool            // what was put is wanted
	newestOnly bool            // of items and users
	files      exportFiles
	maxHashes  int64
	report     func(float64)

	tail  map[int32]bus.OffsetRange
	seen  int64 // rows, in all passes
	total int64 // about
}

func (e *export) run(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			e.files.abort()
		}
	}()
	rows, err := e.open(ctx)
	if err != nil {
		return err
	}
	if e.newestOnly && !e.ofInteractions() {
		e.total = rows
		return e.writeNewest(ctx)
	}
	return e.writeOnce(ctx, rows)
}

func (e *export) ofInteractions() bool {
	return e.schema.Type.IsInteractions()
}

// open finds the end of the archive and estimates how many rows will be read.
func (e *export) open(ctx context.Context) (rows int64, err error) {
	rows = e.bulk.Rows
	if !e.put {
		return rows, nil
	}
	topic := e.schema.Type.Topic(e.group)
	if e.tail, err = e.data.Unarchived(ctx, e.group, e.schema.Type); err != nil {
		return 0, fmt.Errorf("finding the end of the archive of %s: %w", topic, err)
	}
	archived, err := archive.Survey(ctx, e.data.Bucket, e.group)
	if err != nil {
		return 0, err
	}
	rows += archived.Rows // of all kinds: more than is read
	for _, offsets := range e.tail {
		rows += max(0, offsets.End-offsets.Start)
	}
	return rows, nil
}

// writeOnce writes each different row once. Each pass over the data writes the rows of those users, or items, whose
// hash falls to it, so a user's rows of one second keep their order.
func (e *export) writeOnce(ctx context.Context, rows int64) error {
	passes := uint64(1 + rows/e.maxHashes)
	e.total = rows * int64(passes)
	var visitors visitors
	if e.ofInteractions() && e.put {
		var err error
		if visitors, err = e.visitors(ctx); err != nil {
			return err
		}
	}
	for n := range passes {
		p := &pass{export: e, number: n, of: passes, written: newHashSet(rows / int64(passes))}
		var err error
		if e.ofInteractions() {
			err = p.interactions(ctx, &visitors)
		} else {
			err = p.entities(ctx)
		}
		if err != nil {
			return err
		}
	}
	return e.files.close(ctx)
}

// pass is one of several passes over the data.
type pass struct {
	*export
	number, of uint64
	written    *hashSet // of lines
	line       []byte
}

func (p *pass) has(id string) bool { return p.of == 1 || xxhash.Sum64String(id)%p.of == p.number }

func (p *pass) interactions(ctx context.Context, visitors *visitors) error {
	return p.export.interactions(ctx, func(i *reco.Interaction) error {
		if i.UserID = visitors.of(i); !p.has(i.UserID) {
			return nil
		}
		p.line = p.files.rows.AppendInteraction(p.line[:0], i)
		return p.write(ctx)
	})
}

func (p *pass) entities(ctx context.Context) error {
	return p.export.entities(ctx, func(entity *reco.Entity, _ time.Time) error {
		if !p.has(entity.ID) {
			return nil
		}
		p.line = p.files.rows.AppendEntity(p.line[:0], entity)
		return p.write(ctx)
	})
}

// write writes the line unless it was written before.
func (p *pass) write(ctx context.Context) error {
	if !p.written.add(xxhash.Sum64(p.line)) {
		return nil
	}
	return p.files.write(ctx, p.line)
}

// writeNewest writes the newest record of each id, in the order of the ids. It holds all of them in memory, as a
// training does.
func (e *export) writeNewest(ctx context.Context) error {
	type record struct {
		reco.Entity
		since time.Time
	}
	newest := map[string]record{}
	err := e.entities(ctx, func(entity *reco.Entity, since time.Time) error {
		other, known := newest[entity.ID]
		if !known || cmp.Or(other.since.Compare(since), cmp.Compare(other.Origin.Offset, entity.Origin.Offset)) <= 0 {
			newest[entity.ID] = record{*entity, since}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var line []byte
	for _, id := range slices.Sorted(maps.Keys(newest)) {
		entity := newest[id].Entity
		line = e.files.rows.AppendEntity(line[:0], &entity)
		if err := e.files.write(ctx, line); err != nil {
			return err
		}
	}
	return e.files.close(ctx)
}

// count reports progress.
func (e *export) count() {
	if e.seen++; e.seen%4096 == 0 && e.total > 0 {
		e.report(float64(e.seen) / float64(e.total))
	}
}

// interactions visits those that were imported, then those that were put.
func (e *export) interactions(ctx context.Context, visit func(*reco.Interaction) error) error {
	for i, err := range dataset.Interactions(ctx, e.data.Bucket, e.bulk) {
		if err == nil {
			e.count()
			err = visit(&i)
		}
		if err != nil {
			return err
		}
	}
	return e.streamedInteractions(ctx, visit)
}

func (e *export) streamedInteractions(ctx context.Context, visit func(*reco.Interaction) error) error {
	if !e.put {
		return nil
	}
	var corrupt *archive.CorruptError
	for i, err := range archive.ReadInteractions(ctx, e.data.Bucket, e.group, e.schema.Type, archive.ReadOptions{}) {
		if errors.As(err, &corrupt) {
			return damaged(corrupt)
		}
		if err == nil {
			e.count()
			err = visit(&i)
		}
		if err != nil {
			return err
		}
	}
	return e.data.Bus.ReadRange(ctx, e.schema.Type.Topic(e.group), e.tail, func(records []bus.Record) error {
		for _, r := range records {
			if i, err := wire.UnmarshalInteraction(r.Value); err == nil { // the firehose reports what cannot be decoded
				i.Origin = groupdata.OriginOf(r)
				if err := visit(&i); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// entities visits those that were imported, then those that were put, with the time from which each counts.
func (e *export) entities(ctx context.Context, visit func(entity *reco.Entity, since time.Time) error) error {
	for _, part := range e.bulk.Parts {
		for entity, err := range dataset.Entities(ctx, e.data.Bucket, dataset.Version{Parts: []dataset.Part{part}}) {
			if err == nil {
				e.count()
				err = visit(&entity, part.Imported)
			}
			if err != nil {
				return err
			}
		}
	}
	if !e.put {
		return nil
	}
	var corrupt *archive.CorruptError
	for entity, err := range archive.ReadEntities(ctx, e.data.Bucket, e.group, e.schema.Type) {
		if errors.As(err, &corrupt) {
			return damaged(corrupt)
		}
		if err == nil {
			e.count()
			err = visit(&entity, entity.Origin.Arrival)
		}
		if err != nil {
			return err
		}
	}
	return e.data.Bus.ReadRange(ctx, e.schema.Type.Topic(e.group), e.tail, func(records []bus.Record) error {
		for _, r := range records {
			if entity, err := wire.UnmarshalEntity(r.Value); err == nil {
				entity.Origin = groupdata.OriginOf(r)
				if err := visit(&entity, r.Arrival); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
