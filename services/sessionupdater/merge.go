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

// merge merges one dataset version into the users of some partitions of a group.
type merge struct {
	service *Service
	stream
	version    dataset.Version
	partitions []int32
	total      int32 // partitions of the topic
	marks      userstate.Marks

	users int // merged
}

// run merges and then moves the watermarks. It may be repeated from any point.
func (j *merge) run(ctx context.Context) error {
	users := j.service.config.Users
	merged := userstate.Import{Group: j.group, Type: j.data, Partitions: j.partitions}
	since := j.since()
	if since == 0 {
		// The users have nothing of the dataset, or no longer. Until the merge is done, an unknown user may have a
		// history.
		if err := users.ResetImported(ctx, merged); err != nil {
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
	return users.AdvanceImported(ctx, merged, since, j.version.Number)
}

// since returns the version that the users of all the partitions have, or 0 when everything must be merged: the rows of
// a full import replace all that came before.
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

// add merges the rows of a version, as many users at a time as fit into the memory bound: those whose hash lies in a
// range. The range shrinks whenever its rows become too many, and the next range takes another pass over the data.
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
			limit: j.service.config.Users.History(j.data),
			users: map[string][]reco.RecentInteraction{}, texts: map[string]string{},
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

// drop removes what users hold of versions that a full import, or a removal, replaced. Users with rows in the new
// version are done already.
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

// histories gathers users' imported rows, at most twice as many of a user as a state keeps.
type histories struct {
	limit int // what a state keeps
	users map[string][]reco.RecentInteraction
	rows  int // of all users
	// texts interns item ids and event types, which a file's rows repeat.
	texts map[string]string
}

func (h *histories) add(id string, row reco.RecentInteraction) {
	row.ItemID, row.EventType = h.intern(row.ItemID), h.intern(row.EventType)
	rows := append(h.users[id], row)
	h.rows++
	if len(rows) >= 2*h.limit {
		before := len(rows)
		rows = slices.Clone(userstate.Newest(rows, h.limit))
		h.rows -= before - len(rows)
	}
	h.users[id] = rows
}

func (h *histories) intern(s string) string {
	if known, ok := h.texts[s]; ok {
		return known
	}
	h.texts[s] = s
	return s
}

// keep drops the users for whom wanted returns false.
func (h *histories) keep(wanted func(id string) bool) {
	for id, rows := range h.users {
		if !wanted(id) {
			h.rows -= len(rows)
			delete(h.users, id)
		}
	}
}
