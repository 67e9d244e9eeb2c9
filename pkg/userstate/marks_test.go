package userstate

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/schema"
)

func TestWatermarkKeysLieInTheirShards(t *testing.T) {
	t.Parallel()
	for shard := range shards {
		key := markKey("shop-1", shard)
		if slot := keySlot(key); slot/(slots/shards) != shard {
			t.Errorf("%s has slot %d, not in shard %d", key, slot, shard)
		}
		if !IsWatermarkKey(key) {
			t.Errorf("%s is not recognised", key)
		}
	}
	for _, key := range []string{userKey("shop-1", "u"), userKey("w1", "u"), "", "{w1}", userKey("shop-1", ":penchant:")} {
		if IsWatermarkKey(key) {
			t.Errorf("%q is taken for a watermark", key)
		}
	}
}

// The values are those of `CLUSTER KEYSLOT`; the first is the check value of the CRC in the specification.
func TestSlotsAreThoseOfRedisCluster(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int{
		"123456789":             0x31C3,
		"foo":                   12182,
		"{foo}bar":              12182,
		"x{foo}{bar}":           12182,
		"{}foo":                 9500,
		"{user1000}.following":  3443,
		"":                      0,
		"foo{bar":               keySlot("foo{bar"),
		userKey("g", "x}y"):     keySlot("g:u:x"),
		userKey("shop-1", "u1"): keySlot("shop-1:u:u1"),
	} {
		if got := keySlot(key); got != want {
			t.Errorf("the slot of %q is %d, not %d", key, got, want)
		}
	}
}

var (
	p0 = Log{TopicID: [16]byte{1}, Partition: 0, Type: schema.Interactions}
	p1 = Log{TopicID: [16]byte{1}, Partition: 1, Type: schema.Interactions}
)

func marks(t *testing.T, s *Store) Marks {
	t.Helper()
	m, err := s.Marks(t.Context(), "shop-1")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWatermarksTellOfLosses(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	ctx := t.Context()
	advance := func(from, to int64) error {
		progress := ProgressAt("shop-1", p0, from)
		return s.Advance(ctx, &progress, to, nil)
	}
	if got := marks(t, s).Applied(p0); got != None {
		t.Errorf("a new partition has watermark %d", got)
	}
	if err := advance(Start, 5); !errors.Is(err, ErrLost) {
		t.Errorf("advancing what was never set: %v", err)
	}
	if err := s.Reset(ctx, "shop-1", p0, Start, false); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ from, to, want int64 }{{Start, 5, 5}, {5, 9, 9}, {9, 9, 9}, {5, 7, 9}} {
		if err := advance(step.from, step.to); err != nil {
			t.Errorf("advancing from %d to %d: %v", step.from, step.to, err)
		}
		if got := marks(t, s).Applied(p0); got != step.want {
			t.Errorf("advanced from %d to %d, found %d", step.from, step.to, got)
		}
	}
	if got := marks(t, s).Applied(p1); got != None {
		t.Errorf("the other partition has watermark %d", got)
	}
	// An older dump, then the loss of one shard, then of everything.
	if err := advance(12, 13); !errors.Is(err, ErrLost) {
		t.Errorf("a watermark that went back: %v", err)
	}
	if err := s.writer.Del(ctx, markKey("shop-1", 3)).Err(); err != nil {
		t.Fatal(err)
	}
	if err := advance(9, 9); !errors.Is(err, ErrLost) {
		t.Errorf("a shard without watermarks: %v", err)
	}
	if got := marks(t, s).Applied(p0); got != None {
		t.Errorf("the lowest of all shards is %d though one has none", got)
	}
	flush(t, s)
	if err := advance(9, 10); !errors.Is(err, ErrLost) {
		t.Errorf("an empty Redis: %v", err)
	}
}

func TestTheLowestShardCounts(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	if err := s.Reset(t.Context(), "shop-1", p0, 100, false); err != nil {
		t.Fatal(err)
	}
	if err := s.writer.HSet(t.Context(), markKey("shop-1", 7), p0.field(), 40).Err(); err != nil {
		t.Fatal(err)
	}
	if got := marks(t, s).Applied(p0); got != 40 {
		t.Errorf("found %d", got)
	}
}

func TestABatchMarksTheShardsOfItsUsers(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	ctx := t.Context()
	if err := s.Reset(ctx, "shop-1", p0, 10, false); err != nil {
		t.Fatal(err)
	}
	progress := ProgressAt("shop-1", p0, 10)
	if err := s.Advance(ctx, &progress, 20, []string{"u1", "u2", "u1"}); err != nil {
		t.Fatal(err)
	}
	for shard := range shards {
		want := int64(10)
		if shard == userShard("shop-1", "u1") || shard == userShard("shop-1", "u2") {
			want = 20
		}
		if got, err := s.writer.HGet(ctx, markKey("shop-1", shard), p0.field()).Int64(); err != nil || got != want {
			t.Errorf("shard %d: %d, error %v", shard, got, err)
		}
	}
	if progress.Lowest() != 10 {
		t.Errorf("the lowest is %d", progress.Lowest())
	}
	// The dump of a moment ago: as all shards were marked last, but before the batch.
	if err := s.Reset(ctx, "shop-1", p0, 10, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Advance(ctx, &progress, 30, nil); !errors.Is(err, ErrLost) {
		t.Errorf("the batch's users are lost: %v", err)
	}
}

func TestImportedVersionsAreMarkedByPartition(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	ctx := t.Context()
	some := []int32{0, 2}
	if err := s.ResetImported(ctx, Import{"shop-1", schema.Interactions, some}); err != nil {
		t.Fatal(err)
	}
	if m := marks(t, s); !m.RebuildingImport(schema.Interactions, 2) || m.RebuildingImport(schema.Interactions, 1) || m.RebuildingImport(schema.ActionInteractions, 2) || m.Imported(schema.Interactions, 2) != 0 {
		t.Errorf("while merging: %+v", m)
	}
	if err := s.AdvanceImported(ctx, Import{"shop-1", schema.Interactions, some}, 0, 3); err != nil {
		t.Fatal(err)
	}
	m := marks(t, s)
	for partition, want := range []int64{3, 0, 3} {
		if got := m.Imported(schema.Interactions, int32(partition)); got != want || m.Imported(schema.ActionInteractions, int32(partition)) != 0 || m.RebuildingImport(schema.Interactions, int32(partition)) {
			t.Errorf("partition %d has version %d", partition, got)
		}
	}
	flush(t, s)
	if err := s.AdvanceImported(ctx, Import{"shop-1", schema.Interactions, some}, 3, 4); !errors.Is(err, ErrLost) {
		t.Errorf("a merge in which Redis was emptied: %v", err)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	ctx := t.Context()
	healthy := func(want bool, when string) {
		t.Helper()
		s.mu.Lock()
		clear(s.marks) // as if a second had passed
		s.mu.Unlock()
		if got := s.Healthy(ctx, "shop-1", schema.Interactions, 2); got != want {
			t.Errorf("healthy is %v: %s", got, when)
		}
	}
	healthy(false, "nothing was ever folded")
	if err := s.Reset(ctx, "shop-1", p0, 9, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(ctx, "shop-1", p1, 9, false); err != nil {
		t.Fatal(err)
	}
	healthy(false, "one partition is rebuilding")
	if !marks(t, s).Rebuilding(p0) || marks(t, s).Rebuilding(p1) {
		t.Error("which one is not told")
	}
	if err := s.SetRebuilt(ctx, "shop-1", p0); err != nil {
		t.Fatal(err)
	}
	healthy(true, "all is folded")
	if s.Healthy(ctx, "shop-1", schema.Interactions, 3) {
		t.Error("healthy with a partition missing")
	}
	flush(t, s)
	if !s.Healthy(ctx, "shop-1", schema.Interactions, 2) {
		t.Error("the reading of a moment ago is not used")
	}
	healthy(false, "everything is lost")
}

func TestReadingsAreShared(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	first, err := s.RecentMarks(t.Context(), "shop-1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for k := range 3 {
		again, err := s.RecentMarks(t.Context(), "shop-1", time.Hour)
		if err != nil || again.ReadAt != first.ReadAt {
			t.Error(fmt.Sprint("reading ", k, " is another: ", err))
		}
	}
	if fresh, err := s.RecentMarks(t.Context(), "shop-1", 0); err != nil || !fresh.ReadAt.After(first.ReadAt) {
		t.Errorf("an old reading for one that must not be old: %v", err)
	}
}
