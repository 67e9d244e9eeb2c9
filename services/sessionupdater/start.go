package sessionupdater

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// Start finds out what Redis holds of the partition, and folds out of the archive what is missing and older than the
// log.
func (p *partition) Start(ctx context.Context) (from int64, err error) {
	// Imported interactions need not wait for the archive to be read.
	p.service.importer.enter(p)
	defer func() {
		if err != nil {
			p.service.importer.leave(p)
		}
	}()
	marks, err := p.service.config.Users.Marks(ctx, p.group)
	if err != nil {
		return 0, err
	}
	held, err := p.held(ctx)
	if err != nil {
		return 0, err
	}
	rebuilding, err := p.resume(ctx, marks, held)
	if err != nil {
		return 0, err
	}
	if err := p.loadForgotten(ctx); err != nil {
		return 0, err
	}
	if rebuilding {
		p.rebuiltAt = held.End
		p.service.metrics.rebuilds.Inc()
		p.log.Info("folding again what Redis does not hold",
			zap.Int64("from", p.next), zap.Int64("log_start", held.Start), zap.Int64("to", held.End))
	}
	// The log may be trimmed further while the archive is read.
	for p.next < held.Start {
		if err := p.replay(ctx, held.Start); err != nil {
			return 0, err
		}
		if held, err = p.held(ctx); err != nil {
			return 0, err
		}
	}
	return p.next, p.checkRebuilt(ctx)
}

// resume sets the position after the watermark, and reports whether users up to the log's end are missing in Redis. It
// repairs a watermark that is missing, or beyond the log's end.
func (p *partition) resume(
	ctx context.Context, marks userstate.Marks, held bus.OffsetRange,
) (rebuilding bool, err error) {
	mark := marks.Applied(p.source)
	unmarked := mark == userstate.None
	if unmarked {
		mark = userstate.Start
	}
	if mark >= held.End {
		p.log.Error("the log ends before what was folded: it lost records",
			zap.Int64("folded", mark), zap.Int64("end", held.End))
		mark, unmarked = held.End-1, true
	}
	rebuilding = mark+1 < held.End && (unmarked || marks.Rebuilding(p.source)) || mark+1 < held.Start
	if unmarked || rebuilding || marks.Rebuilding(p.source) {
		if err := p.service.config.Users.Reset(ctx, p.group, p.source, mark, rebuilding); err != nil {
			return false, err
		}
	}
	p.next, p.progress = mark+1, userstate.ProgressAt(p.group, p.source, mark)
	p.markedAt, p.rebuiltAt = time.Now(), 0
	return rebuilding, nil
}

// held returns the range of offsets that the log holds now.
func (p *partition) held(ctx context.Context) (bus.OffsetRange, error) {
	ranges, err := p.service.config.Bus.Offsets(ctx, p.assignment.Topic)
	if err != nil {
		return bus.OffsetRange{}, err
	}
	tp := p.assignment.TopicPartition
	held, ok := ranges[tp]
	if !ok {
		return bus.OffsetRange{}, fmt.Errorf("the log does not know the offsets of %s/%d", tp.Topic, tp.Partition)
	}
	return held, nil
}

// checkRebuilt clears the mark of a rebuild once everything that was lost is folded again.
func (p *partition) checkRebuilt(ctx context.Context) error {
	if p.rebuiltAt == 0 || p.next < p.rebuiltAt {
		return nil
	}
	if err := p.mark(ctx); err != nil {
		return err
	}
	if err := p.service.config.Users.SetRebuilt(ctx, p.group, p.source); err != nil {
		return err
	}
	p.rebuiltAt = 0
	p.log.Info("user states are complete again", zap.Int64("folded", p.next-1))
	return nil
}

// loadForgotten reads which deleted users still have events in the log. It reads nothing where no user was ever
// deleted, so that a bucket that is away stops only groups that need it.
func (p *partition) loadForgotten(ctx context.Context) (err error) {
	p.forgotten = nil
	if !p.service.deletesUsers(p.group) {
		return nil
	}
	bucket, log := p.service.config.Bucket, p.source
	p.forgotten, err = dataset.LoadForgotten(ctx, bucket, p.group, log.TopicID, log.Partition, p.next)
	return err
}

// deletesUsers reports whether users were ever deleted from a group.
func (s *Service) deletesUsers(group string) bool {
	jobs := catalog.All[*catalog.DataDeletionJob](s.config.View)
	return slices.ContainsFunc(jobs, func(j *catalog.DataDeletionJob) bool {
		g, ok := catalog.Lookup[*catalog.DatasetGroup](s.config.View, j.DatasetGroupARN)
		return ok && g.GroupKey() == group
	})
}

// forgets reports whether an event belongs to a user who was deleted after it.
func (p *partition) forgets(i *reco.Interaction) bool {
	return slices.ContainsFunc(p.forgotten, func(f *dataset.Forgotten) bool {
		return f.Has(i.Key(), i.Origin.Partition, i.Origin.Offset)
	})
}
