package userstate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penchant-io/penchant/pkg/schema"
)

// ErrLost says that Redis lost users: a watermark is missing or below what was written.
var ErrLost = errors.New("redis lost user states")

// None is the watermark of a partition that never had one, and Start that of one of which nothing is folded yet.
const (
	None  = int64(math.MinInt64)
	Start = int64(-1)
)

// Log is one partition of one topic: what a watermark speaks of. Its records are interactions of one type.
type Log struct {
	TopicID   [16]byte
	Partition int32
	Type      schema.Type
}

// The prefixes of watermarks by the type of interactions: of the log, and of imported data.
var (
	logPrefixes    = map[schema.Type]string{schema.Interactions: "o:", schema.ActionInteractions: "a:"}
	importPrefixes = map[schema.Type]string{schema.Interactions: "i:", schema.ActionInteractions: "j:"}
)

func (l Log) field() string {
	return logPrefixes[l.Type] + hex.EncodeToString(l.TopicID[:]) + ":" + strconv.Itoa(int(l.Partition))
}

func importField(t schema.Type, partition int32) string {
	return importPrefixes[t] + strconv.Itoa(int(partition))
}

// rebuildPrefix marks the fields that say that a watermark is being brought up from a loss.
const rebuildPrefix = "r:"

// Marks are the watermarks of a group, each the lowest of all shards.
type Marks struct {
	// ReadAt is when the reading began: what was written before stands in it.
	ReadAt     time.Time
	values     map[string]int64
	rebuilding map[string]bool
}

// Applied is the last offset of the partition whose users are written, Start or None.
func (m Marks) Applied(l Log) int64 { return m.value(l.field()) }

// Imported is the version of the dataset of a type that is merged into the users of a partition of its log, 0 for none.
func (m Marks) Imported(t schema.Type, partition int32) int64 {
	return max(0, m.value(importField(t, partition)))
}

// Rebuilding reports whether a loss of the partition is still being made good.
func (m Marks) Rebuilding(l Log) bool { return m.rebuilding[l.field()] }

// RebuildingImport reports whether imported interactions, lost from a partition's users, are still being merged again.
func (m Marks) RebuildingImport(t schema.Type, partition int32) bool {
	return m.rebuilding[importField(t, partition)]
}

func (m Marks) value(field string) int64 {
	if v, ok := m.values[field]; ok {
		return v
	}
	return None
}

// Marks reads the watermarks of a group.
func (s *Store) Marks(ctx context.Context, group string) (Marks, error) {
	m := Marks{ReadAt: time.Now(), values: map[string]int64{}, rebuilding: map[string]bool{}}
	pipe := s.reader.Pipeline()
	var cmds [shards]*redis.MapStringStringCmd
	for shard := range cmds {
		cmds[shard] = pipe.HGetAll(ctx, markKey(group, shard))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return Marks{}, fmt.Errorf("reading watermarks: %w", err)
	}
	counted := map[string]int{}
	for _, cmd := range cmds {
		for name, text := range cmd.Val() {
			if lost, ok := strings.CutPrefix(name, rebuildPrefix); ok {
				m.rebuilding[lost] = true
				continue
			}
			value, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return Marks{}, fmt.Errorf("reading watermarks: field %q holds no number", name)
			}
			if counted[name]++; counted[name] == 1 || value < m.values[name] {
				m.values[name] = value
			}
		}
	}
	for name, count := range counted {
		if count < shards {
			delete(m.values, name) // a shard without it lost its users
		}
	}
	return m, nil
}

// marksTimeout bounds one shared reading of watermarks.
const marksTimeout = 2 * time.Second

// reading is one result of Marks, good or not.
type reading struct {
	at    time.Time
	marks Marks
	err   error
}

// RecentMarks is Marks, not older than maxAge: callers share readings.
func (s *Store) RecentMarks(ctx context.Context, group string, maxAge time.Duration) (Marks, error) {
	fresh := func() (reading, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		r, ok := s.marks[group]
		return r, ok && time.Since(r.at) < maxAge
	}
	if r, ok := fresh(); ok {
		return r.marks, r.err
	}
	shared := s.flight.DoChan(group, func() (any, error) {
		if r, ok := fresh(); ok {
			return r, nil
		}
		// One caller's end must not be the failure of the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), marksTimeout)
		defer cancel()
		r := reading{at: time.Now()}
		r.marks, r.err = s.Marks(ctx, group)
		s.mu.Lock()
		s.marks[group] = r
		s.mu.Unlock()
		return r, nil
	})
	select {
	case <-ctx.Done():
		return Marks{}, fmt.Errorf("reading watermarks: %w", ctx.Err())
	case result := <-shared:
		r := result.Val.(reading)
		return r.marks, r.err
	}
}

// Healthy reports whether the group's user states are complete: every partition of the interactions of the type has been
// folded from the beginning and no loss is being made good. It is cheap enough for every request: readings are shared and up
// to a second old. partitions is the number of the topic, 0 when the caller does not know it. A Redis that does not answer is
// not healthy.
func (s *Store) Healthy(ctx context.Context, group string, t schema.Type, partitions int32) bool {
	m, err := s.RecentMarks(ctx, group, time.Second)
	if err != nil || len(m.rebuilding) > 0 {
		return false
	}
	var folded int32
	for name := range m.values {
		if strings.HasPrefix(name, logPrefixes[t]) {
			folded++
		}
	}
	return folded >= max(1, partitions)
}

// Progress is how far one owner of a partition knows its watermark to be written, in each shard.
type Progress struct{ marks [shards]int64 }

// ProgressAt is the progress of a watermark that is to in every shard.
func ProgressAt(to int64) Progress {
	var p Progress
	for shard := range p.marks {
		p.marks[shard] = to
	}
	return p
}

// Lowest is what all shards have reached.
func (p *Progress) Lowest() int64 { return slices.Min(p.marks[:]) }

// Advance moves a partition's watermark up to an offset: of that and all before, all users are written. It is to be called
// after every batch with the ids of its users, whose shards it writes, and now and then with nil, for all shards; without
// the former, Redis could go back to an older dump behind what was marked, and the loss would be passed over.
//
// The error is ErrLost when a watermark is missing or below the progress. A watermark that is further already, by another
// consumer, is left alone. Equal offsets only check.
func (s *Store) Advance(ctx context.Context, group string, l Log, p *Progress, to int64, ids []string) error {
	var touched [shards]bool
	for _, id := range ids {
		touched[userShard(group, id)] = true
	}
	moves := make([]move, 0, shards)
	for shard, from := range p.marks {
		if ids == nil || touched[shard] {
			moves = append(moves, move{shard, l.field(), from, to})
		}
	}
	if err := s.moveMarks(ctx, group, moves); err != nil {
		return err
	}
	for _, m := range moves {
		p.marks[m.shard] = to
	}
	return nil
}

// move raises one watermark in one shard, if it is not below from.
type move struct {
	shard    int
	field    string
	from, to int64
}

func (s *Store) moveMarks(ctx context.Context, group string, moves []move) error {
	calls := make([]call, len(moves))
	for k, m := range moves {
		calls[k] = call{keys: []string{markKey(group, m.shard)}, args: []any{m.field, m.from, m.to}}
	}
	answers, err := s.runScript(ctx, s.advance, advanceScript, calls)
	if err != nil {
		return fmt.Errorf("writing watermarks: %w", err)
	}
	for _, answer := range answers {
		if answer != int64(1) {
			return ErrLost
		}
	}
	return nil
}

// Reset sets a partition's watermark whatever it was, and says whether a loss is being made good.
func (s *Store) Reset(ctx context.Context, group string, l Log, to int64, rebuilding bool) error {
	return s.setMarks(ctx, group, []string{l.field()}, to, rebuilding)
}

// SetRebuilt says that a partition's loss is made good.
func (s *Store) SetRebuilt(ctx context.Context, group string, l Log) error {
	return s.clearRebuilding(ctx, group, l.field())
}

// ResetImported says that the users of the partitions have no imported interactions of a type, and that this is being made
// good.
func (s *Store) ResetImported(ctx context.Context, group string, t schema.Type, partitions []int32) error {
	fields := make([]string, len(partitions))
	for k, partition := range partitions {
		fields[k] = importField(t, partition)
	}
	return s.setMarks(ctx, group, fields, 0, true)
}

// AdvanceImported says that a dataset version is merged into the users of the partitions, which had version from, or more,
// when the merge began. The error is ErrLost when Redis does not say so any more.
func (s *Store) AdvanceImported(ctx context.Context, group string, t schema.Type, partitions []int32, from, version int64) error {
	var (
		moves  []move
		fields []string
	)
	for _, partition := range partitions {
		fields = append(fields, importField(t, partition))
		for shard := range shards {
			moves = append(moves, move{shard, importField(t, partition), from, version})
		}
	}
	if err := s.moveMarks(ctx, group, moves); err != nil {
		return err
	}
	return s.clearRebuilding(ctx, group, fields...)
}

func (s *Store) setMarks(ctx context.Context, group string, fields []string, value int64, rebuilding bool) error {
	pipe := s.writer.Pipeline()
	for _, field := range fields {
		if rebuilding {
			pipe.HSet(ctx, markKey(group, 0), rebuildPrefix+field, 1)
		} else {
			pipe.HDel(ctx, markKey(group, 0), rebuildPrefix+field)
		}
		for shard := range shards {
			pipe.HSet(ctx, markKey(group, shard), field, value)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("writing watermarks: %w", err)
	}
	return nil
}

func (s *Store) clearRebuilding(ctx context.Context, group string, fields ...string) error {
	names := make([]string, len(fields))
	for k, field := range fields {
		names[k] = rebuildPrefix + field
	}
	if err := s.writer.HDel(ctx, markKey(group, 0), names...).Err(); err != nil {
		return fmt.Errorf("writing watermarks: %w", err)
	}
	return nil
}
