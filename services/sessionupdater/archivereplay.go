package sessionupdater

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// ArchiveReplay folds archived interactions into user states again, for an operator. It reaches what the rebuild after
// a loss does not: the archive of topics that no longer exist, and events that a longer history would keep.
type ArchiveReplay struct {
	Bucket *blob.Bucket
	Users  *userstate.Store
	Models Models
	Group  string

	// Filters of what is folded; the zero value excludes nothing.
	TopicIDs [][16]byte
	IDs      []string  // of users, or of sessions
	From, To time.Time // arrival in [From, To)

	// DryRun reads and counts without writing.
	DryRun bool
}

// ArchiveReplayed is the result of a replay.
type ArchiveReplayed struct {
	// Events counts the interactions that matched. Folded counts those that changed a user's recent interactions: the
	// others were folded before, or are older than everything that is kept.
	Events int64 `json:"events"`
	Folded int64 `json:"folded"`
	// Damaged lists the keys of files that could not be read.
	Damaged []string `json:"damaged"`
}

// Run folds the matching interactions. It may be repeated, and may run concurrently with the services: an interaction
// that a state already holds changes nothing. It moves no watermark and touches neither the log nor the archive.
func (r ArchiveReplay) Run(ctx context.Context) (ArchiveReplayed, error) {
	done := ArchiveReplayed{Damaged: []string{}}
	s := &Service{config: Config{Users: r.Users, Models: r.Models}}
	var err error
	if s.metrics, err = newMetrics(nil); err != nil {
		return done, err
	}
	for _, t := range schema.InteractionTypes() {
		if err := r.fold(ctx, s, stream{r.Group, t}, &done); err != nil {
			return done, err
		}
	}
	return done, nil
}

// fold folds the archive of one stream.
func (r *ArchiveReplay) fold(ctx context.Context, s *Service, of stream, done *ArchiveReplayed) error {
	batch := make([]reco.Interaction, 0, eventsPerReplay)
	flush := func() error {
		if !r.DryRun {
			_, folded, err := s.foldCounted(ctx, of, batch)
			if err != nil {
				return err
			}
			done.Folded += int64(folded)
		}
		batch = batch[:0]
		return nil
	}
	for i, err := range archive.ReadInteractions(ctx, r.Bucket, of.group, of.data, archive.ReadOptions{}) {
		var corrupt *archive.CorruptError
		if errors.As(err, &corrupt) {
			done.Damaged = append(done.Damaged, corrupt.Key)
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		if !r.matches(&i) {
			continue
		}
		done.Events++
		if batch = append(batch, i); len(batch) == cap(batch) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func (r *ArchiveReplay) matches(i *reco.Interaction) bool {
	switch at := i.Origin.Arrival; {
	case len(r.TopicIDs) > 0 && !slices.Contains(r.TopicIDs, i.Origin.TopicID):
		return false
	case len(r.IDs) > 0 && !slices.Contains(r.IDs, i.Key()):
		return false
	case !r.From.IsZero() && at.Before(r.From), !r.To.IsZero() && !at.Before(r.To):
		return false
	}
	return true
}
