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

// ArchiveReplay is an operator's wish to have archived interactions folded into user states again. It reaches what the
// rebuild after a loss does not: the archive of topics that exist no more, and what a longer history would keep.
type ArchiveReplay struct {
	Bucket *blob.Bucket
	Users  *userstate.Store
	Models Models
	Group  string

	// What to fold; a zero value leaves nothing out.
	TopicIDs [][16]byte
	IDs      []string  // of users, or of sessions
	From, To time.Time // arrival: not before, and before

	// DryRun reads and counts, and writes nothing.
	DryRun bool
}

// ArchiveReplayed is what a replay did.
type ArchiveReplayed struct {
	// Events were read and wanted, Folded of them changed a user's recent interactions: the others were known, or are older
	// than what is kept.
	Events int64 `json:"events"`
	Folded int64 `json:"folded"`
	// Damaged names the files that could not be read.
	Damaged []string `json:"damaged"`
}

// Run folds. Like everything that is folded it may be repeated, and go on beside the services: an interaction that a state
// holds changes nothing. It moves no watermark and touches neither the log nor the archive.
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

// fold folds what is archived of one stream.
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
		if !r.wants(&i) {
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

func (r *ArchiveReplay) wants(i *reco.Interaction) bool {
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
