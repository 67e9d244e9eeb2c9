package batch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
)

// historySource reads a group's interactions as they were when a model was trained, for batch jobs: Personalize answers
// them without what came later. User states know better by then, so the histories come from where training found them:
// imported data, archive and log, up to the model's data cut. Of imports later than the cut nothing counts, unless a
// FULL one has replaced the data that the model saw: then the current data takes its place.
type historySource struct {
	bucket *blob.Bucket
	group  string
	cut    time.Time
	log    *bus.Client
	topic  string
	tail   map[int32]bus.OffsetRange // what the log has beyond the archive
	parts  []dataset.Part
}

func (s *Clients) openHistories(ctx context.Context, group string, cut time.Time) (*historySource, error) {
	source := &historySource{
		bucket: s.Data.Bucket, group: group, cut: cut, log: s.Data.Bus, topic: schema.Interactions.Topic(group),
	}
	var err error
	if source.tail, err = s.Data.Unarchived(ctx, group, schema.Interactions); err != nil {
		return nil, fmt.Errorf("finding the end of the archive of %s: %w", source.topic, err)
	}
	v, err := dataset.Current(ctx, s.Data.Bucket, group, schema.Interactions.DatasetType())
	if err != nil && !errors.Is(err, dataset.ErrNoData) {
		return nil, err
	}
	source.parts = slices.DeleteFunc(slices.Clone(v.Parts), func(p dataset.Part) bool { return p.Imported.After(cut) })
	if len(source.parts) == 0 {
		source.parts = v.Parts
	}
	return source, nil
}

// streamed goes through archive and log, in this order; an interaction that is archived meanwhile comes twice.
func (h *historySource) streamed(ctx context.Context, visit func(*reco.Interaction)) error {
	for i, err := range h.archived(ctx) {
		if err != nil {
			return err
		}
		if !i.Origin.Arrival.After(h.cut) {
			visit(&i)
		}
	}
	return h.log.ReadRange(ctx, h.topic, h.tail, func(records []bus.Record) error {
		for _, r := range records {
			i, err := wire.UnmarshalInteraction(r.Value)
			if err == nil && !r.Arrival.After(h.cut) { // what cannot be decoded is the firehose's to report
				i.Origin = groupdata.OriginOf(r)
				visit(&i)
			}
		}
		return nil
	})
}

// archived leaves damaged files out: the training that made the model has named them.
func (h *historySource) archived(ctx context.Context) iter.Seq2[reco.Interaction, error] {
	return func(yield func(reco.Interaction, error) bool) {
		events := archive.ReadInteractions(ctx, h.bucket, h.group, schema.Interactions, archive.ReadOptions{})
		for i, err := range events {
			var corrupt *archive.CorruptError
			if errors.As(err, &corrupt) {
				continue
			}
			if !yield(i, err) || err != nil {
				return
			}
		}
	}
}

// histories are the newest interactions of a number of users, each as in a user state: by (event time, event id), with
// the anonymous events of sessions that turned out to be theirs.
type histories struct {
	items   *model.Items
	unknown unknownItems
	newest  int // interactions of a user
	users   map[string]int32
	rows    [][]historyRow // by user
	// kept is the number of users that there are rows for: when the rows become too many, the later users are given up.
	kept    atomic.Int32
	count   atomic.Int64 // rows that there is memory for
	maxRows int64

	stripes [64]sync.Mutex // of rows, by user
	shrink  sync.RWMutex   // held to read while rows are added

	types eventTypes
}

// historyRow is one interaction. Event ids order ties: their first bytes do so for imported and for random ids.
type historyRow struct {
	timeMS int64
	id     [16]byte
	item   int32 // negative for an item that the model does not know, see unknownItems
	value  float32
	typ    uint16
	valued bool
}

func compareRows(a, b historyRow) int {
	return cmp.Or(cmp.Compare(a.timeMS, b.timeMS), bytes.Compare(a.id[:], b.id[:]),
		cmp.Compare(a.item, b.item), cmp.Compare(a.typ, b.typ))
}

// newHistories prepares for users, of whom the earlier are more wanted.
func newHistories(items *model.Items, users []string, newest int, maxRows int64) *histories {
	h := &histories{
		items: items, newest: newest, users: make(map[string]int32, len(users)),
		rows: make([][]historyRow, len(users)), maxRows: maxRows,
	}
	for n, id := range users {
		h.users[id] = int32(n)
	}
	h.kept.Store(int32(len(users)))
	return h
}

// gather reads the histories. At least the first user's is read; kept is of how many.
func (h *histories) gather(ctx context.Context, source *historySource, threads int) error {
	sessions, err := h.sessions(ctx, source)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(model.Threads(threads) + 1)
	group.Go(func() error {
		return source.streamed(ctx, func(i *reco.Interaction) {
			h.take(i)
			sessions.take(i)
		})
	})
	for _, part := range source.parts {
		group.Go(func() error {
			for i, err := range dataset.Interactions(ctx, source.bucket, dataset.Version{Parts: []dataset.Part{part}}) {
				if err != nil {
					return err
				}
				h.take(&i)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("reading histories: %w", err)
	}
	for user, rows := range sessions.claimed() {
		h.add(user, rows...)
	}
	return nil
}

// take keeps an interaction of a wanted user.
func (h *histories) take(i *reco.Interaction) {
	if user, ok := h.users[i.Key()]; ok && i.ItemID != "" {
		h.add(user, h.row(i))
	}
}

func (h *histories) row(i *reco.Interaction) historyRow {
	row := historyRow{timeMS: i.TimestampMS, typ: h.types.number(i.EventType)}
	copy(row.id[:], i.EventID)
	if item, known := h.items.Index(i.ItemID); known {
		row.item = int32(item)
	} else {
		row.item = h.unknown.number(i.ItemID)
	}
	if i.EventValue != nil {
		row.value, row.valued = float32(*i.EventValue), true
	}
	return row
}

func (h *histories) add(user int32, rows ...historyRow) {
	h.shrink.RLock()
	if user < h.kept.Load() {
		lock := &h.stripes[int(user)%len(h.stripes)]
		lock.Lock()
		before := cap(h.rows[user])
		h.rows[user] = append(h.rows[user], rows...)
		if len(h.rows[user]) >= 2*h.newest {
			h.rows[user] = slices.Clone(h.finish(h.rows[user]))
		}
		h.count.Add(int64(cap(h.rows[user]) - before))
		lock.Unlock()
	}
	h.shrink.RUnlock()
	if h.count.Load() > h.maxRows {
		h.giveUp()
	}
}

// giveUp drops the later half of the users: another pass over the data reads theirs.
func (h *histories) giveUp() {
	h.shrink.Lock()
	defer h.shrink.Unlock()
	for h.count.Load() > h.maxRows && h.kept.Load() > 1 {
		kept := (h.kept.Load() + 1) / 2
		for user := kept; user < h.kept.Load(); user++ {
			h.count.Add(-int64(cap(h.rows[user])))
			h.rows[user] = nil
		}
		h.kept.Store(kept)
	}
}

// finish orders rows and keeps the newest, each once.
func (h *histories) finish(rows []historyRow) []historyRow {
	slices.SortFunc(rows, compareRows)
	rows = slices.CompactFunc(rows, func(a, b historyRow) bool { return compareRows(a, b) == 0 })
	return rows[max(0, len(rows)-h.newest):]
}

// of returns a user's history, oldest first, in memory that the next call with the same scratch uses again. An unknown
// user's is empty.
func (h *histories) of(userID string, scratch *historyScratch) []reco.RecentInteraction {
	user, ok := h.users[userID]
	if !ok {
		return nil
	}
	scratch.rows = append(scratch.rows[:0], h.rows[user]...)
	rows := h.finish(scratch.rows)
	scratch.history = scratch.history[:0]
	scratch.values = slices.Grow(scratch.values[:0], len(rows))[:len(rows)]
	for n, row := range rows {
		recent := reco.RecentInteraction{EventType: h.types.name(row.typ), TimestampMS: row.timeMS}
		if row.item >= 0 {
			recent.ItemID = h.items.ID(int(row.item))
		} else {
			recent.ItemID = h.unknown.id(row.item)
		}
		if row.valued {
			scratch.values[n] = float64(row.value)
			recent.EventValue = &scratch.values[n]
		}
		scratch.history = append(scratch.history, recent)
	}
	return scratch.history
}

type historyScratch struct {
	rows    []historyRow
	history []reco.RecentInteraction
	values  []float64
}

// unknownItems numbers the items that the model does not know, from -1 downwards. Filters ask for them: such an item
// can fill up a list.
type unknownItems struct {
	mu      sync.RWMutex
	ids     []string
	numbers map[string]int32
}

func (u *unknownItems) number(id string) int32 {
	u.mu.RLock()
	n, ok := u.numbers[id]
	u.mu.RUnlock()
	if ok {
		return n
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if n, ok := u.numbers[id]; ok {
		return n
	}
	if u.numbers == nil {
		u.numbers = map[string]int32{}
	}
	id = strings.Clone(id) // it may be a piece of something much larger
	u.ids = append(u.ids, id)
	n = int32(-len(u.ids))
	u.numbers[id] = n
	return n
}

func (u *unknownItems) id(number int32) string {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.ids[-number-1]
}

// eventTypes numbers event types. There are few.
type eventTypes struct {
	mu      sync.RWMutex
	names   []string
	numbers map[string]uint16
}

func (t *eventTypes) number(name string) uint16 {
	t.mu.RLock()
	n, ok := t.numbers[name]
	t.mu.RUnlock()
	if ok {
		return n
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.numbers[name]; ok {
		return n
	}
	if t.numbers == nil {
		t.numbers = map[string]uint16{}
	}
	if len(t.names) == 1<<16 { // more than these are nothing anyone means: they share the last
		return 1<<16 - 1
	}
	n = uint16(len(t.names))
	t.names = append(t.names, name)
	t.numbers[name] = n
	return n
}

func (t *eventTypes) name(n uint16) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.names[n]
}

// sessionHistories are the anonymous events of the sessions in which wanted users were seen. Those of a session in
// which several users were seen, or whose id is a user's, are nobody's. One goroutine uses it.
type sessionHistories struct {
	histories *histories
	owners    map[string]int32 // nobody: not to be claimed
	rows      map[string][]historyRow
}

const nobody = -1

// sessions finds the sessions of the wanted users.
func (h *histories) sessions(ctx context.Context, source *historySource) (*sessionHistories, error) {
	s := &sessionHistories{histories: h, owners: map[string]int32{}, rows: map[string][]historyRow{}}
	err := source.streamed(ctx, func(i *reco.Interaction) {
		if i.UserID == "" || i.SessionID == "" || i.UserID == i.SessionID {
			return
		}
		if user, wanted := h.users[i.UserID]; wanted {
			s.owners[i.SessionID] = user
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading sessions: %w", err)
	}
	return s, nil
}

func (s *sessionHistories) take(i *reco.Interaction) {
	if _, taken := s.owners[i.UserID]; taken {
		s.owners[i.UserID] = nobody
	}
	owner, ok := s.owners[i.SessionID]
	if !ok || owner == nobody {
		return
	}
	if i.UserID == "" {
		if rows := append(s.rows[i.SessionID], s.histories.row(i)); len(rows) < 2*s.histories.newest {
			s.rows[i.SessionID] = rows
		} else {
			s.rows[i.SessionID] = slices.Clone(s.histories.finish(rows))
		}
		return
	}
	if user, wanted := s.histories.users[i.UserID]; !wanted || user != owner {
		s.owners[i.SessionID] = nobody
	}
}

func (s *sessionHistories) claimed() iter.Seq2[int32, []historyRow] {
	return func(yield func(int32, []historyRow) bool) {
		for session, rows := range s.rows {
			if owner := s.owners[session]; owner != nobody && !yield(owner, rows) {
				return
			}
		}
	}
}
