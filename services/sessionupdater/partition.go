package sessionupdater

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/bus"
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
	markedAt time.Time // when the watermark was last read or written in all shards
	// rebuiltAt is the offset at which a loss is made good; 0 if there is none.
	rebuiltAt int64
	// lastDeadLettered is the offset of the last dead-lettered record, as far as the commits show.
	lastDeadLettered int64
	// forgotten holds deleted users whose older events are still in the log.
	forgotten []*dataset.Forgotten
}

// Handle folds a batch. With an empty batch it checks that Redis still holds what was written.
func (p *partition) Handle(ctx context.Context, batch []bus.Record) (commit int64, err error) {
	if len(batch) == 0 {
		return p.idle(ctx)
	}
	if first := batch[0].Offset; first > p.next {
		// Retention was faster than this consumer. The archive holds what it removed.
		if err := p.replay(ctx, first); err != nil {
			return bus.NoCommit, err
		}
	}
	interactions, err := p.decodeBatch(ctx, batch)
	if err != nil {
		return bus.NoCommit, err
	}
	next := batch[len(batch)-1].Offset + 1
	written, err := p.apply(ctx, interactions, next)
	if err != nil {
		return bus.NoCommit, err
	}
	for k := range batch {
		p.service.metrics.freshness.Observe(written.Sub(batch[k].Arrival).Seconds())
	}
	return next, p.checkRebuilt(ctx)
}

// apply takes interactions, all that count before the offset next, through the steps on whose order everything rests:
//
//  1. The effect: their users are folded and written, each with compare-and-set. A process that dies here leaves users
//     that are ahead of the watermark. The next owner folds the same events again, and a join takes no harm from that.
//  2. The watermark, in the shards of just these users. If it came before the users, a death in between would leave
//     events behind it that nobody folds. It also fails with ErrLost when Redis went back to an older dump, and with it
//     the users of earlier batches: then nothing is committed, and Start folds them again.
//  3. The commit: the caller returns next to the bus, which commits it to Kafka. Nobody resumes from there, but the log
//     may be trimmed below it, so it must not pass the watermark.
//
// It returns the time at which the users were written: from then on requests see the interactions.
func (p *partition) apply(
	ctx context.Context, interactions []reco.Interaction, next int64,
) (written time.Time, err error) {
	users, err := p.service.fold(ctx, p.stream, interactions)
	if err != nil {
		return time.Time{}, err
	}
	written = time.Now()
	p.next = next
	return written, p.advance(ctx, users)
}

// advance moves the watermark up to next: in all shards once a second, and in between in the shards of the users just
// written.
func (p *partition) advance(ctx context.Context, users []string) error {
	if time.Since(p.markedAt) >= checkInterval {
		return p.mark(ctx)
	}
	if len(users) == 0 {
		return nil
	}
	return p.checkLost(p.service.config.Users.Advance(ctx, &p.progress, p.next-1, users))
}

// mark writes the watermark in all shards.
func (p *partition) mark(ctx context.Context) error {
	err := p.service.config.Users.Advance(ctx, &p.progress, p.next-1, nil)
	if err == nil {
		p.markedAt = time.Now()
	}
	return p.checkLost(err)
}

// checkLost makes the bus call Start again when Redis has lost users of the partition.
func (p *partition) checkLost(err error) error {
	if !errors.Is(err, userstate.ErrLost) {
		return err
	}
	p.log.Warn("Redis lost user states; folding them again")
	return fmt.Errorf("%w: %w", bus.ErrRestart, err)
}

// idle handles an empty batch: it writes the watermark if that is behind, else it checks it.
func (p *partition) idle(ctx context.Context) (commit int64, err error) {
	if p.next-1 > p.progress.Lowest() {
		return p.next, p.mark(ctx)
	}
	// All partitions of a group share one reading. A reading that began before the last write proves nothing about it.
	marks, err := p.service.config.Users.RecentMarks(ctx, p.group, checkInterval)
	if err != nil {
		return bus.NoCommit, err
	}
	if marks.ReadAt.After(p.markedAt) && marks.Applied(p.source) < p.progress.Lowest() {
		return bus.NoCommit, p.checkLost(userstate.ErrLost)
	}
	return bus.NoCommit, nil
}

// Stop writes the watermark, so that the next owner repeats nothing.
func (p *partition) Stop(ctx context.Context) (commit int64, err error) {
	p.service.importer.leave(p)
	if p.next-1 > p.progress.Lowest() {
		if err := p.mark(ctx); err != nil {
			return bus.NoCommit, err
		}
	}
	return p.next, nil
}

// decodeBatch decodes the records, dead-letters those it cannot decode and leaves out the events of deleted users.
func (p *partition) decodeBatch(ctx context.Context, batch []bus.Record) ([]reco.Interaction, error) {
	interactions := make([]reco.Interaction, 0, len(batch))
	for k := range batch {
		i, err := p.decode(&batch[k])
		if err != nil {
			if err := p.deadLetter(ctx, &batch[k], err); err != nil {
				return nil, err
			}
			continue
		}
		if !p.forgets(&i) {
			interactions = append(interactions, i)
		}
	}
	return interactions, nil
}
