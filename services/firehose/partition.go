package firehose

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
)

// partition archives one assigned partition. Its methods run in one goroutine; only asked and oldest are for others
// too.
//
// Offsets below chain.Next are in the bucket. Offsets from there up to next are in the buffer: as rows, as failures, or
// known to be repeats. Whatever goes wrong, next never runs ahead of what the buffer holds, so a batch handed in again
// is taken up exactly where it was left.
type partition struct {
	service *Service
	target  target
	bus.Assignment
	log *zap.Logger

	chain    *archive.Chain
	next     int64
	rows     rows
	failures []*failure
	window   *window // of event ids; nil: to be read from the chain
	bytes    int64   // of the buffered records' values
	since    time.Time
	told     int64 // the last commit returned

	asked  atomic.Bool  // by the budget, to write early
	oldest atomic.Int64 // arrival of the oldest record that is not archived, ms since the epoch; 0: none
}

// recordOverhead is what a decoded record takes in addition to its texts: structures, map, slices.
const recordOverhead = 512

func newPartition(s *Service, t target, a bus.Assignment) *partition {
	return &partition{
		service: s, target: t, Assignment: a, rows: newRows(t.data), told: bus.NoCommit,
		log: s.log.With(zap.String("topic", a.Topic), zap.Int32("partition", a.Partition)),
	}
}

// Start finds out where the archive ends.
func (p *partition) Start(ctx context.Context) (int64, error) {
	from, err := p.start(ctx)
	if err != nil && ctx.Err() == nil {
		p.service.metrics.errors.WithLabelValues(p.Topic).Inc()
	}
	return from, err
}

func (p *partition) start(ctx context.Context) (int64, error) {
	chain, err := archive.OpenChain(ctx, p.service.config.Bucket, p.chainID())
	if err != nil {
		return 0, fmt.Errorf("opening the archive: %w", err)
	}
	p.chain, p.next, p.window = chain, chain.Next(), nil
	if p.next > p.End {
		if err := p.checkEnd(ctx); err != nil {
			return 0, err
		}
	}
	if p.target.contiguous() && p.next < p.Assignment.Start {
		if err := p.closeGap(ctx, p.Assignment.Start-1,
			"the log was trimmed before these offsets were archived"); err != nil {
			return 0, err
		}
	}
	if err := p.readWindow(ctx); err != nil {
		return 0, err
	}
	p.service.enter(p)
	// A partition can be lost without Stop; its context ends then, too.
	context.AfterFunc(ctx, func() { p.service.leave(p) })
	return max(p.next, p.Assignment.Start), nil
}

func (p *partition) chainID() archive.ChainID {
	return archive.ChainID{Group: p.target.group, Type: p.target.data, TopicID: p.TopicID, Partition: p.Partition}
}

// checkEnd refuses to go on when the archive is ahead of the log, which must have lost records: offsets that are
// archived would be given to other records, and those taken for archived.
func (p *partition) checkEnd(ctx context.Context) error {
	// The end that came with the assignment may be old: another sink may have archived what came since.
	offsets, err := p.service.config.Bus.Offsets(ctx, p.Topic)
	if err != nil {
		return fmt.Errorf("asking for the log's end: %w", err)
	}
	if end := offsets[p.TopicPartition].End; p.next > end {
		return fmt.Errorf("the archive goes up to offset %d but the log ends at %d: the log has lost records; "+
			"create the topic again, so that new records do not get offsets that are archived", p.next-1, end)
	}
	return nil
}

// Handle buffers the batch and writes the buffer when it is due.
func (p *partition) Handle(ctx context.Context, batch []bus.Record) (int64, error) {
	err := p.handle(ctx, batch)
	if err != nil {
		p.service.metrics.errors.WithLabelValues(p.Topic).Inc()
		return bus.NoCommit, err
	}
	return p.commit(), nil
}

func (p *partition) handle(ctx context.Context, batch []bus.Record) error {
	if err := p.readWindow(ctx); err != nil {
		return err
	}
	// After a failed attempt the buffer may be full already: it is written before it takes more.
	if p.full() {
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	for _, record := range batch {
		if record.Offset < p.next {
			continue
		}
		if record.Offset > p.next && p.target.contiguous() {
			if err := p.closeGap(ctx, record.Offset-1, "the log skipped these offsets"); err != nil {
				return err
			}
			if record.Offset < p.next {
				continue
			}
		}
		p.take(record)
		if p.full() {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
	if p.asked.Load() || !p.since.IsZero() && p.service.now().Sub(p.since) >= p.service.config.FlushInterval {
		return p.flush(ctx)
	}
	return nil
}

// Stop writes what is buffered.
func (p *partition) Stop(ctx context.Context) (int64, error) {
	defer p.service.leave(p)
	if err := p.flush(ctx); err != nil {
		p.service.metrics.errors.WithLabelValues(p.Topic).Inc()
		return bus.NoCommit, err
	}
	return p.commit(), nil
}

// commit is where the archive ends, if that is news.
func (p *partition) commit() int64 {
	if p.chain == nil || p.chain.Next() == p.told || p.chain.Next() == p.Committed {
		return bus.NoCommit
	}
	p.told = p.chain.Next()
	return p.told
}

// take buffers one record.
func (p *partition) take(record bus.Record) {
	if p.since.IsZero() {
		p.since = p.service.now()
		p.oldest.Store(record.Arrival.UnixMilli())
	}
	p.next = record.Offset + 1
	if len(record.Value) == 0 && !p.target.contiguous() {
		return // a tombstone: what compaction leaves of a deleted key
	}
	p.bytes += int64(len(record.Value))
	if err := p.rows.add(record); err != nil {
		p.failures = append(p.failures, &failure{record: record, reason: err})
		return
	}
	if last := p.rows.len() - 1; !p.window.add(p.rows.eventID(last)) {
		p.rows.keep(func(i int) bool { return i != last })
		p.service.metrics.repeats.WithLabelValues(p.Topic).Inc()
	}
}

// full reports whether the buffer, or all buffers together, have reached their size.
func (p *partition) full() bool {
	memory := 2*p.bytes + recordOverhead*int64(p.rows.len()+len(p.failures))
	return p.service.budget.set(p, memory) || p.bytes >= int64(p.service.config.FlushBytes)
}

// flush writes the buffer as the chain's next file. Another sink may have written first: then what it has covered is
// dropped here, and the rest is tried again behind it.
func (p *partition) flush(ctx context.Context) error {
	for p.next > p.chain.Next() {
		if err := ctx.Err(); err != nil {
			return err // before the work of encoding, which does not look
		}
		if err := p.readWindow(ctx); err != nil {
			return err
		}
		if err := p.writeFailures(ctx); err != nil {
			return err
		}
		if err := p.write(ctx); err != nil {
			return err
		}
	}
	p.reset()
	return p.readWindow(ctx)
}

// write tries once to append the buffer. It returns nil when it is worth to look again what is left.
func (p *partition) write(ctx context.Context) error {
	started := p.service.now()
	files, bytes := p.chain.Written()
	schema := p.service.schemas.of(p.target)
	err := p.rows.appendTo(ctx, p.chain, schema, p.next-1)

	var encoding *archive.EncodeError
	switch {
	case err == nil:
		p.service.metrics.flushSeconds.Observe(p.service.now().Sub(started).Seconds())
	case errors.Is(err, archive.ErrSuperseded):
		p.service.metrics.superseded.WithLabelValues(p.Topic).Inc()
		p.log.Info("another sink has archived these offsets; going on behind it", zap.Int64("next", p.chain.Next()))
		p.window = nil // it holds ids of rows that are dropped, and lacks those of the other sink
		err = nil
	case errors.As(err, &encoding):
		err = p.isolate(encoding)
	}
	archived := p.dropArchived()
	if newFiles, newBytes := p.chain.Written(); newFiles > files {
		p.service.metrics.files.WithLabelValues(p.Topic).Add(float64(newFiles - files))
		p.service.metrics.bytes.WithLabelValues(p.Topic).Add(float64(newBytes - bytes))
		p.service.metrics.records.WithLabelValues(p.Topic).Add(float64(archived))
	}
	return err
}

// isolate moves the rows that cannot be encoded to the failures, so that the others can be.
func (p *partition) isolate(cause *archive.EncodeError) error {
	schema := p.service.schemas.of(p.target)
	before := p.rows.len()
	p.rows.keep(func(i int) bool {
		record, reason := p.rows.refused(i, schema)
		if reason != nil {
			record.Topic = p.Topic
			p.failures = append(p.failures, &failure{record: record, reason: reason})
		}
		return reason == nil
	})
	if p.rows.len() == before {
		return cause // no single row is to blame; do not lose one by guessing
	}
	return nil
}

// dropArchived drops the rows and failures that the archive has gone beyond, and returns how many rows those were.
func (p *partition) dropArchived() (rows int) {
	next := p.chain.Next()
	rows = p.rows.before(next)
	p.rows.keep(func(i int) bool { return i >= rows })
	failures := p.failures[:0]
	for _, f := range p.failures {
		if f.record.Offset >= next {
			failures = append(failures, f)
		}
	}
	p.failures = failures
	p.next = max(p.next, next)
	return rows
}

// reset is for an empty buffer.
func (p *partition) reset() {
	p.rows.keep(func(int) bool { return false })
	p.failures, p.bytes, p.since = nil, 0, time.Time{}
	p.oldest.Store(0)
	p.asked.Store(false)
	p.service.budget.set(p, 0)
}

// closeGap archives what is buffered and then the fact that the offsets up to last do not exist.
func (p *partition) closeGap(ctx context.Context, last int64, reason string) error {
	if err := p.flush(ctx); err != nil {
		return err
	}
	for p.chain.Next() <= last {
		first := p.chain.Next()
		switch err := p.chain.AppendGap(ctx, last, reason); {
		case errors.Is(err, archive.ErrSuperseded):
			p.window = nil
		case err != nil:
			return fmt.Errorf("closing a gap: %w", err)
		default:
			p.service.metrics.gaps.WithLabelValues(p.Topic).Inc()
			p.service.metrics.gapOffsets.WithLabelValues(p.Topic).Add(float64(last - first + 1))
			p.log.Error("records are missing in the archive for ever: "+reason, zap.Int64("first", first),
				zap.Int64("last", last))
		}
	}
	p.next = max(p.next, p.chain.Next())
	return p.readWindow(ctx)
}

// readWindow makes the window of event ids, if there is none, from the chain's newest files and what is buffered; of
// what is buffered it drops what the chain turns out to have.
func (p *partition) readWindow(ctx context.Context) error {
	if p.window != nil {
		return nil
	}
	size := p.service.config.DedupWindow
	var files [][]string // newest first
	if p.target.data.IsInteractions() {
		known := 0
		for ids, err := range p.chain.NewestEventIDs(ctx) {
			var corrupt *archive.CorruptError
			if errors.As(err, &corrupt) {
				p.log.Error("an archived file cannot be read; repeats of its events may be archived again",
					zap.Error(err))
			} else if err != nil {
				return fmt.Errorf("reading back event ids: %w", err)
			}
			files = append(files, ids)
			if known += len(ids); known >= size {
				break
			}
		}
	}
	w := newWindow(size)
	for i := len(files) - 1; i >= 0; i-- {
		for _, id := range files[i] {
			w.add(id)
		}
	}
	p.rows.keep(func(i int) bool { return w.add(p.rows.eventID(i)) })
	p.window = w
	return nil
}
