package sessionupdater

import (
	"context"
	"errors"
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

// partition folds one assigned partition. It implements bus.PartitionConsumer.
type partition struct {
	service    *Service
	assignment bus.Assignment
	stream
	source userstate.Log
	log    *zap.Logger

	next     int64 // all users of the offsets before it are written
	progress userstate.Progress
	markedAt time.Time // when the progress was last read or written in all shards
	// rebuiltAt is the offset at which a loss is made good; 0: there is none.
	rebuiltAt int64
	// buried is the last offset that was dead-lettered, as far as the commits tell.
	buried int64
	// forgotten are users whose older events the log still has, though they were deleted.
	forgotten []*dataset.Forgotten
}

// Start finds out what Redis holds of the partition, and folds out of the archive what is missing and older than the log.
func (p *partition) Start(ctx context.Context) (from int64, err error) {
	// Imported interactions need not wait for the archive to be read.
	p.service.importer.enter(p)
	defer func() {
		if err != nil {
			p.service.importer.leave(p)
		}
	}()
	users := p.service.config.Users
	marks, err := users.Marks(ctx, p.group)
	if err != nil {
		return 0, err
	}
	held, err := p.held(ctx)
	if err != nil {
		return 0, err
	}
	mark := marks.Applied(p.source)
	unmarked := mark == userstate.None
	if unmarked {
		mark = userstate.Start
	}
	if mark >= held.End {
		p.log.Error("the log ends before what was folded: it lost records", zap.Int64("folded", mark), zap.Int64("end", held.End))
		mark, unmarked = held.End-1, true
	}
	rebuilding := mark+1 < held.End && (unmarked || marks.Rebuilding(p.source)) || mark+1 < held.Start
	if unmarked || rebuilding || marks.Rebuilding(p.source) {
		if err := users.Reset(ctx, p.group, p.source, mark, rebuilding); err != nil {
			return 0, err
		}
	}
	p.next, p.progress, p.markedAt, p.rebuiltAt = mark+1, userstate.ProgressAt(mark), time.Now(), 0
	if p.forgotten = nil; p.service.deletesUsers(p.group) {
		p.forgotten, err = dataset.LoadForgotten(ctx, p.service.config.Bucket, p.group, p.source.TopicID, p.source.Partition, p.next)
		if err != nil {
			return 0, err
		}
	}
	if rebuilding {
		p.rebuiltAt = held.End
		p.service.metrics.rebuilds.Inc()
		p.log.Info("folding again what Redis does not hold", zap.Int64("from", p.next), zap.Int64("log_start", held.Start), zap.Int64("to", held.End))
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

// held is the range of offsets that the log holds now.
func (p *partition) held(ctx context.Context) (bus.OffsetRange, error) {
	ranges, err := p.service.config.Bus.Offsets(ctx, p.assignment.Topic)
	if err != nil {
		return bus.OffsetRange{}, err
	}
	held, ok := ranges[p.assignment.TopicPartition]
	if !ok {
		return bus.OffsetRange{}, fmt.Errorf("the log does not know the offsets of %s/%d", p.assignment.Topic, p.assignment.Partition)
	}
	return held, nil
}

// Handle folds a batch. With none, it looks whether Redis still holds what was written.
func (p *partition) Handle(ctx context.Context, batch []bus.Record) (int64, error) {
	if len(batch) == 0 {
		return p.idle(ctx)
	}
	if first := batch[0].Offset; first > p.next {
		// Retention was faster than this consumer. The archive holds what it removed.
		if err := p.replay(ctx, first); err != nil {
			return bus.NoCommit, err
		}
	}
	interactions := make([]reco.Interaction, 0, len(batch))
	for k := range batch {
		i, err := p.decode(&batch[k])
		if err != nil {
			if err := p.bury(ctx, &batch[k], err); err != nil {
				return bus.NoCommit, err
			}
			continue
		}
		if !p.forgets(&i) {
			interactions = append(interactions, i)
		}
	}
	ids, err := p.service.fold(ctx, p.stream, interactions)
	if err != nil {
		return bus.NoCommit, err
	}
	now := time.Now()
	for k := range batch {
		p.service.metrics.freshness.Observe(now.Sub(batch[k].Arrival).Seconds())
	}
	if err := p.folded(ctx, ids, batch[len(batch)-1].Offset+1); err != nil {
		return bus.NoCommit, err
	}
	return p.next, p.checkRebuilt(ctx)
}

// deletesUsers says whether users were ever deleted from a group: else nothing need be read from the bucket, which may be away.
func (s *Service) deletesUsers(group string) bool {
	return slices.ContainsFunc(catalog.All[*catalog.DataDeletionJob](s.config.View), func(j *catalog.DataDeletionJob) bool {
		g, ok := catalog.Lookup[*catalog.DatasetGroup](s.config.View, j.DatasetGroupARN)
		return ok && g.GroupKey() == group
	})
}

// forgets says whether an event is of a user who was deleted since.
func (p *partition) forgets(i *reco.Interaction) bool {
	return slices.ContainsFunc(p.forgotten, func(f *dataset.Forgotten) bool { return f.Has(i.Key(), i.Origin.Partition, i.Origin.Offset) })
}

// folded notes that the users with the ids, and so all up to the offset next, are written.
func (p *partition) folded(ctx context.Context, ids []string, next int64) error {
	p.next = next
	if time.Since(p.markedAt) >= checkInterval {
		return p.mark(ctx)
	}
	if len(ids) == 0 {
		return nil
	}
	return p.checkLost(p.service.config.Users.Advance(ctx, p.group, p.source, &p.progress, next-1, ids))
}

// idle is Handle's work when nothing came: write the watermark if it is behind, else look at it.
func (p *partition) idle(ctx context.Context) (int64, error) {
	if p.next-1 > p.progress.Lowest() {
		return p.next, p.mark(ctx)
	}
	// All partitions of a group share one reading. One that began before the last write says nothing about it.
	marks, err := p.service.config.Users.RecentMarks(ctx, p.group, checkInterval)
	if err != nil {
		return bus.NoCommit, err
	}
	if marks.ReadAt.After(p.markedAt) && marks.Applied(p.source) < p.progress.Lowest() {
		return bus.NoCommit, p.checkLost(userstate.ErrLost)
	}
	return bus.NoCommit, nil
}

// mark writes the watermark in all shards.
func (p *partition) mark(ctx context.Context) error {
	err := p.service.config.Users.Advance(ctx, p.group, p.source, &p.progress, p.next-1, nil)
	if err == nil {
		p.markedAt = time.Now()
	}
	return p.checkLost(err)
}

// checkLost has a partition whose users Redis has lost go back to Start.
func (p *partition) checkLost(err error) error {
	if !errors.Is(err, userstate.ErrLost) {
		return err
	}
	p.log.Warn("Redis lost user states; folding them again")
	return fmt.Errorf("%w: %w", bus.ErrRestart, err)
}

// checkRebuilt notes when a loss is made good.
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

// Stop writes the watermark, so that the next owner has nothing to do again.
func (p *partition) Stop(ctx context.Context) (int64, error) {
	p.service.importer.leave(p)
	if p.next-1 > p.progress.Lowest() {
		if err := p.mark(ctx); err != nil {
			return bus.NoCommit, err
		}
	}
	return p.next, nil
}
