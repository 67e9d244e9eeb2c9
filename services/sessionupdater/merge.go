package sessionupdater

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// merge brings one dataset version into the users of some partitions of a group.
type merge struct {
	service *Service
	stream
	version    dataset.Version
	partitions []int32
	total      int32 // partitions of the topic
	marks      userstate.Marks

	users int // merged
}

// run merges and then says so in the watermarks. It may be repeated at any point.
func (j *merge) run(ctx context.Context) error {
	users := j.service.config.Users
	since := j.since()
	if since == 0 {
		// Nothing of it is there, or no longer: until it is, unknown users may be known ones.
		if err := users.ResetImported(ctx, j.group, j.data, j.partitions); err != nil {
			return err
		}
	}
	if err := j.add(ctx, j.version.Since(since)); err != nil {
		return err
	}
	if since < j.version.Base {
		if err := j.drop(ctx); err != nil {
			return err
		}
	}
	return users.AdvanceImported(ctx, j.group, j.data, j.partitions, since, j.version.Number)
}

// since is the version that all the partitions' users have; 0 when it must all be merged anew: rows of a full import
// replace all that came before.
func (j *merge) since() int64 {
	lowest := j.version.Number
	for _, partition := range j.partitions {
		lowest = min(lowest, j.marks.Imported(j.data, partition))
	}
	if lowest < j.version.Base {
		return 0
	}
	return lowest
}

// owns reports whether the user belongs to the partitions being merged.
func (j *merge) owns(id string) bool {
	return slices.Contains(j.partitions, bus.PartitionOf([]byte(id), j.total))
}

// add merges the rows of a version, as many users at a time as memory is allowed for: those whose hash lies in a range,
// which shrinks whenever their rows become too many, and is followed by the next in another pass over the data.
func (j *merge) add(ctx context.Context, version dataset.Version) error {
	const all = 1 << 32 // hashes are 32 bits
	seed := maphash.MakeSeed()
	for from := uint64(0); from < all && len(version.Parts) > 0; {
		to := uint64(all)
		inRange := func(id string) bool {
			h := maphash.String(seed, id) >> 32
			return h >= from && h < to
		}
		gathered := histories{
			limit: j.service.config.Users.History(j.data), users: map[string][]reco.RecentInteraction{}, texts: map[string]string{},
		}
		for _, part := range version.Parts {
			one := dataset.Version{Number: version.Number, Parts: []dataset.Part{part}}
			for i, err := range dataset.Interactions(ctx, j.service.config.Bucket, one) {
				if err != nil {
					return err
				}
				id := i.Key()
				if id == "" || !inRange(id) || !j.owns(id) {
					continue
				}
				row := i.Recent()
				row.ImportedVersion = part.Version
				gathered.add(id, row)
				for gathered.rows > j.service.config.ImportRows && to-from > 1 && len(gathered.users) > 1 {
					to = from + (to-from)/2
					gathered.keep(inRange)
				}
			}
		}
		if err := j.write(ctx, gathered.users); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// write merges the gathered rows into the states.
func (j *merge) write(ctx context.Context, rows map[string][]reco.RecentInteraction) error {
	ids := slices.Collect(maps.Keys(rows))
	err := j.service.update(ctx, j.group, ids, func(state *userstate.State, _ bool) {
		state.MergeImported(j.data, j.version.Base, j.version.Number, rows[state.ID])
	})
	if err != nil {
		return err
	}
	j.users += len(ids)
	j.service.metrics.importedUsers.Add(float64(len(ids)))
	return nil
}

// drop takes away what users hold of versions that a full import replaced, or a removal: those of whom it has rows are
// done already.
func (j *merge) drop(ctx context.Context) error {
	err := j.service.config.Users.IDs(ctx, j.group, func(ids []string) error {
		ids = slices.DeleteFunc(ids, func(id string) bool { return !j.owns(id) })
		return j.service.update(ctx, j.group, ids, func(state *userstate.State, _ bool) {
			if state.HoldsImportedBefore(j.data, j.version.Number) {
				state.MergeImported(j.data, j.version.Base, j.version.Number, nil)
			}
		})
	})
	if err != nil {
		return fmt.Errorf("dropping replaced imports: %w", err)
	}
	return nil
}

// histories gathers users' imported rows, of each user at most twice what a state keeps.
type histories struct {
	limit int // what a state keeps
	users map[string][]reco.RecentInteraction
	rows  int // of all users
	// texts holds each item id and event type once: a file's rows repeat them.
	texts map[string]string
}

func (h *histories) add(id string, row reco.RecentInteraction) {
	row.ItemID, row.EventType = h.text(row.ItemID), h.text(row.EventType)
	rows := append(h.users[id], row)
	h.rows++
	if len(rows) >= 2*h.limit {
		before := len(rows)
		rows = slices.Clone(userstate.Newest(rows, h.limit))
		h.rows -= before - len(rows)
	}
	h.users[id] = rows
}

func (h *histories) text(s string) string {
	if known, ok := h.texts[s]; ok {
		return known
	}
	h.texts[s] = s
	return s
}

// keep drops the users that wanted says no to.
func (h *histories) keep(wanted func(id string) bool) {
	for id, rows := range h.users {
		if !wanted(id) {
			h.rows -= len(rows)
			delete(h.users, id)
		}
	}
}
