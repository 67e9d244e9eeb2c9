package retrainer

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
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/output"
)

const (
	// exportFileBytes is the size at which a file of an export is closed, so that each can be imported again.
	exportFileBytes = 1 << 30
	// exportHashes is how many rows an export tells apart in one pass over the data, at 16 bytes each.
	exportHashes = 16_000_000
)

// exportData runs a dataset export job: it writes what was imported (BULK), what was put (PUT: the archive, and the log beyond
// its end), or both (ALL) as CSV files that can be imported again. Equal rows are written once; of items and users in ALL
// only the newest record of each.
//
// A visitor's anonymous events stand under the user who he turned out to be, as in training, or else under their session.
func (s *Service) exportData(ctx context.Context, job *catalog.DatasetExportJob, report func(float64)) (func(*catalog.DatasetExportJob), error) {
	d, err := s.config.Store.Datasets.Get(ctx, job.DatasetARN)
	if err != nil {
		return nil, jobs.Missing(err, "dataset", job.DatasetARN)
	}
	group, parsed, err := s.data.SchemaOf(ctx, d)
	if err != nil {
		return nil, err
	}
	out, err := output.Open(ctx, s.config.S3, *job.JobOutput.S3DataDestination.Path)
	if err != nil {
		return nil, err
	}
	out.Prefix += job.Name + "/"
	e := &export{
		service: s, group: group, schema: parsed, put: job.IngestionMode != catalog.IngestionBulk, report: report,
		file: exportFiles{out: out, rows: dataset.NewCSVRows(parsed), maxBytes: exportFileBytes}, maxHashes: exportHashes,
		newestOnly: job.IngestionMode == catalog.IngestionAll,
	}
	if job.IngestionMode != catalog.IngestionPut {
		if e.bulk, err = dataset.Current(ctx, s.config.Bucket, group, d.DatasetType); err != nil && !errors.Is(err, dataset.ErrNoData) {
			return nil, err
		}
	}
	if err := e.run(ctx); err != nil {
		return nil, err
	}
	s.config.Log.Info("dataset exported", zap.String("job", job.ARN), zap.Int64("rows", e.file.written), zap.Int("files", e.file.number))
	return nil, nil
}

// export is one job under way.
type export struct {
	service    *Service
	group      string
	schema     *schema.Schema
	bulk       dataset.Version // without parts: nothing imported is wanted
	put        bool
	newestOnly bool
	file       exportFiles
	maxHashes  int64
	report     func(float64)

	tail  map[int32]bus.OffsetRange
	seen  int64 // rows, in all passes
	total int64 // about
}

func (e *export) run(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			e.file.abort()
		}
	}()
	rows := e.bulk.Rows
	if e.put {
		topic := e.schema.Type.Topic(e.group)
		if e.tail, err = e.service.data.Unarchived(ctx, e.group, e.schema.Type); err != nil {
			return fmt.Errorf("finding the end of the archive of %s: %w", topic, err)
		}
		archived, err := archive.Survey(ctx, e.service.config.Bucket, e.group)
		if err != nil {
			return err
		}
		rows += archived.Rows // of all kinds: more than is read
		for _, offsets := range e.tail {
			rows += max(0, offsets.End-offsets.Start)
		}
	}
	interactions := e.schema.Type == schema.Interactions || e.schema.Type == schema.ActionInteractions
	if e.newestOnly && !interactions {
		e.total = rows
		return e.newest(ctx)
	}
	// Each pass writes the rows of those users, or items, whose hash falls to it: so a user's rows of one second keep their order.
	passes := uint64(1 + rows/e.maxHashes)
	e.total = rows * int64(passes)
	var visitors visitors
	if interactions && e.put {
		if visitors, err = e.visitors(ctx); err != nil {
			return err
		}
	}
	for pass := range passes {
		once := newHashSet(rows / int64(passes))
		var line []byte
		mine := func(id string) bool { return passes == 1 || xxhash.Sum64String(id)%passes == pass }
		write := func() error {
			if !once.add(xxhash.Sum64(line)) {
				return nil
			}
			return e.file.write(ctx, line)
		}
		if interactions {
			err = e.interactions(ctx, func(i *reco.Interaction) error {
				if i.UserID = visitors.of(i); !mine(i.UserID) {
					return nil
				}
				line = e.file.rows.AppendInteraction(line[:0], i)
				return write()
			})
		} else {
			err = e.entities(ctx, func(entity *reco.Entity, _ time.Time) error {
				if !mine(entity.ID) {
					return nil
				}
				line = e.file.rows.AppendEntity(line[:0], entity)
				return write()
			})
		}
		if err != nil {
			return err
		}
	}
	return e.file.close(ctx)
}

// newest writes the newest record of each id, in the order of the ids. It holds all of them, as a training does.
func (e *export) newest(ctx context.Context) error {
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
		line = e.file.rows.AppendEntity(line[:0], &entity)
		if err := e.file.write(ctx, line); err != nil {
			return err
		}
	}
	return e.file.close(ctx)
}

// count shows progress.
func (e *export) count() {
	if e.seen++; e.seen%4096 == 0 && e.total > 0 {
		e.report(float64(e.seen) / float64(e.total))
	}
}

// interactions visits those that were imported, then those that were put.
func (e *export) interactions(ctx context.Context, visit func(*reco.Interaction) error) error {
	for i, err := range dataset.Interactions(ctx, e.service.config.Bucket, e.bulk) {
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
	for i, err := range archive.ReadInteractions(ctx, e.service.config.Bucket, e.group, e.schema.Type, archive.ReadOptions{}) {
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
	return e.service.config.Bus.ReadRange(ctx, e.schema.Type.Topic(e.group), e.tail, func(records []bus.Record) error {
		for _, r := range records {
			if i, err := wire.UnmarshalInteraction(r.Value); err == nil { // what cannot be decoded is the firehose's to report
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
		for entity, err := range dataset.Entities(ctx, e.service.config.Bucket, dataset.Version{Parts: []dataset.Part{part}}) {
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
	for entity, err := range archive.ReadEntities(ctx, e.service.config.Bucket, e.group, e.schema.Type) {
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
	return e.service.config.Bus.ReadRange(ctx, e.schema.Type.Topic(e.group), e.tail, func(records []bus.Record) error {
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

// damaged fails an export rather than that it would leave records out unseen.
func damaged(err *archive.CorruptError) error {
	return jobs.Faultf("The archive file %s is damaged; `penchant archive verify` tells more", err.Key)
}

// visitors knows who the strangers of sessions turned out to be. Its rules are the training's: the one user who was seen in
// the session, unless the session's id is a user's.
type visitors struct {
	users map[string]string // by session; "": several
	named map[string]bool   // session ids that are users'
}

func (e *export) visitors(ctx context.Context) (visitors, error) {
	v := visitors{users: map[string]string{}, named: map[string]bool{}}
	err := e.streamedInteractions(ctx, func(i *reco.Interaction) error {
		if i.UserID == "" || i.SessionID == "" || i.UserID == i.SessionID {
			return nil
		}
		if other, known := v.users[i.SessionID]; !known {
			v.users[i.SessionID] = i.UserID
		} else if other != i.UserID {
			v.users[i.SessionID] = ""
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	return v, e.interactions(ctx, func(i *reco.Interaction) error {
		if _, session := v.users[i.UserID]; session {
			v.named[i.UserID] = true
		}
		return nil
	})
}

func (v *visitors) of(i *reco.Interaction) string {
	if i.UserID != "" {
		return i.UserID
	}
	if user := v.users[i.SessionID]; user != "" && !v.named[i.SessionID] {
		return user
	}
	return i.SessionID
}

// exportFiles writes lines to part-00000.csv and so on, each with the header.
type exportFiles struct {
	out      output.Folder
	rows     dataset.CSVRows
	maxBytes int64

	current *output.File
	number  int // files begun
	bytes   int64
	written int64 // lines
}

func (f *exportFiles) write(ctx context.Context, line []byte) error {
	if f.current != nil && f.bytes+int64(len(line)) > f.maxBytes {
		if err := f.finish(); err != nil {
			return err
		}
	}
	if f.current == nil {
		if err := f.begin(ctx); err != nil {
			return err
		}
	}
	f.written++
	return f.append(line)
}

func (f *exportFiles) begin(ctx context.Context) error {
	f.current = f.out.Create(ctx, fmt.Sprintf("part-%05d.csv", f.number), blob.PutOptions{ContentType: "text/csv"})
	f.number++
	f.bytes = 0
	return f.append(f.rows.Header())
}

func (f *exportFiles) append(line []byte) error {
	f.bytes += int64(len(line))
	_, err := f.current.Write(line)
	return err
}

func (f *exportFiles) finish() error {
	done := f.current
	f.current = nil
	return done.Close()
}

// close completes the last file; an export without rows is a file with a header.
func (f *exportFiles) close(ctx context.Context) error {
	if f.number == 0 {
		if err := f.begin(ctx); err != nil {
			return err
		}
	}
	if f.current == nil {
		return nil
	}
	return f.finish()
}

func (f *exportFiles) abort() {
	if f.current != nil {
		f.current.Abort()
		f.current = nil
	}
}

// hashSet is a set of hashes in 16 bytes each, of about as many as it was made for.
type hashSet struct {
	slots []uint64 // 0: free
	count int
}

func newHashSet(expected int64) *hashSet {
	return &hashSet{slots: make([]uint64, 2*max(expected, 512))}
}

// add reports whether the hash is new.
func (s *hashSet) add(hash uint64) bool {
	hash = max(hash, 1)
	if 4*(s.count+1) > 3*len(s.slots) {
		old := s.slots
		s.slots, s.count = make([]uint64, 2*len(old)), 0
		for _, h := range old {
			if h != 0 {
				s.add(h)
			}
		}
	}
	for at := (hash >> 32) * uint64(len(s.slots)) >> 32; ; at = (at + 1) % uint64(len(s.slots)) {
		switch s.slots[at] {
		case hash:
			return false
		case 0:
			s.slots[at] = hash
			s.count++
			return true
		}
	}
}
