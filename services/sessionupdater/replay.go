package sessionupdater

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/reco"
)

// eventsPerReplay is how many events are folded and written together: enough that a user's events of one visit share
// one write.
const eventsPerReplay = 8192

// replay folds the archive's interactions from p.next up to the offset to, and sets p.next there.
func (p *partition) replay(ctx context.Context, to int64) error {
	select {
	case p.service.replays <- struct{}{}:
		defer func() { <-p.service.replays }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var (
		batch = make([]reco.Interaction, 0, eventsPerReplay)
		flush = func(next int64) error {
			if _, err := p.apply(ctx, batch, next); err != nil {
				return err
			}
			p.service.metrics.replayed.Add(float64(len(batch)))
			batch = batch[:0]
			return nil
		}
		covered = p.next // the archive holds what there is up to here
		opts    = archive.ReadOptions{
			TopicID: &p.source.TopicID, Partition: &p.source.Partition, FromOffset: p.next,
			Covered: func(first, last int64, gap string) {
				if gap != "" {
					p.missing(max(first, covered), min(last+1, to), gap)
				}
				covered = max(covered, last+1)
			},
		}
	)
	for i, err := range archive.ReadInteractions(ctx, p.service.config.Bucket, p.group, p.data, opts) {
		var corrupt *archive.CorruptError
		if errors.As(err, &corrupt) {
			// The other files are better than none; `penchant archive verify` reports this one.
			p.log.Error("skipping an archive file that cannot be read", zap.Error(err))
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		if i.Origin.Offset >= to {
			break
		}
		if batch = append(batch, i); len(batch) == cap(batch) {
			if err := flush(i.Origin.Offset + 1); err != nil {
				return err
			}
		}
	}
	p.missing(covered, to, "the log was trimmed before these offsets were archived")
	return flush(to)
}

// missing reports offsets from first up to, not including, next that neither the log nor the archive holds.
func (p *partition) missing(first, next int64, reason string) {
	if first >= next {
		return
	}
	p.service.metrics.missing.Add(float64(next - first))
	p.log.Error("events are missing in user states permanently: "+reason,
		zap.Int64("first", first), zap.Int64("last", next-1))
}
