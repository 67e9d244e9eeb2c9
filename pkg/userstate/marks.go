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

// ErrLost means that Redis lost users: a watermark is missing or below what was written.
var ErrLost = errors.New("redis lost user states")

// None is the watermark of a partition that never had one. Start is the watermark of a partition of which nothing is
// folded yet.
const (
	None  = int64(math.MinInt64)
	Start = int64(-1)
)

// Log is one partition of one topic, the subject of a watermark. Its records are interactions of one type.
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

// rebuildPrefix marks the fields of watermarks whose loss is being repaired.
const rebuildPrefix = "r:"

// Marks are the watermarks of a group, each the lowest of all shards.
type Marks struct {
	// ReadAt is when the reading began. The reading includes everything written before.
	ReadAt     time.Time
	values     map[string]int64
	rebuilding map[string]bool
}

// Applied returns the last offset of the partition whose users are written, Start or None.
func (m Marks) Applied(l Log) int64 { return m.value(l.field()) }

// Imported returns the version of the dataset of a type that is merged into the users of a partition of its log, 0 if
// none is.
func (m Marks) Imported(t schema.Type, partition int32) int64 {
	return max(0, m.value(importField(t, partition)))
}

// Rebuilding reports whether a loss of the partition is still being repaired.
func (m Marks) Rebuilding(l Log) bool { return m.rebuilding[l.field()] }

// RebuildingImport reports whether imported interactions that a partition's users lost are still being merged again.
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

// reading is one result of Marks, or its error.
type reading struct {
	at    time.Time
	marks Marks
	err   error
}

// RecentMarks returns marks that are not older than maxAge. Callers share readings.
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
		// A caller that gives up must not fail the others.
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

// Healthy reports whether the group's user states are complete: every partition of the interactions of the type has
// been folded from the beginning and no loss is being repaired. It is cheap enough for every request: readings are
// shared and up to a second old. partitions is the number of the topic's partitions, 0 if unknown. A Redis that does
// not answer is not healthy.
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

// Progress is how far the owner of a partition knows its watermark to be written, in each shard.
type Progress struct {
	group string
	log   Log
	marks [shards]int64
}

// ProgressAt returns the progress of a watermark that is to in every shard.
func ProgressAt(group string, l Log, to int64) Progress {
	p := Progress{group: group, log: l}
	for shard := range p.marks {
		p.marks[shard] = to
	}
	return p
}

// Lowest returns what all shards have reached.
func (p *Progress) Lowest() int64 { return slices.Min(p.marks[:]) }

// Advance moves a partition's watermark up to an offset, up to which all users are written. Call it after every batch
// with the ids of the batch's users, whose shards it writes, and periodically with nil, for all shards. Without the
// former, Redis could go back to an older dump behind the watermark, and the loss would go unnoticed.
//
// The error is ErrLost if a watermark is missing or below the progress. A watermark that another consumer has moved
// further already stays. Equal offsets only check.
func (s *Store) Advance(ctx context.Context, p *Progress, to int64, ids []string) error {
	var touched [shards]bool
	for _, id := range ids {
		touched[userShard(p.group, id)] = true
	}
	moves := make([]move, 0, shards)
	for shard, from := range p.marks {
		if ids == nil || touched[shard] {
			moves = append(moves, move{shard, p.log.field(), from, to})
		}
	}
	if err := s.moveMarks(ctx, p.group, moves); err != nil {
		return err
	}
	for _, m := range moves {
		p.marks[m.shard] = to
	}
	return nil
}

// move raises one watermark in one shard, provided that it is not below from.
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

// Reset sets a partition's watermark unconditionally, and marks whether a loss is being repaired.
func (s *Store) Reset(ctx context.Context, group string, l Log, to int64, rebuilding bool) error {
	return s.setMarks(ctx, group, []string{l.field()}, to, rebuilding)
}

// SetRebuilt marks a partition's loss as repaired.
func (s *Store) SetRebuilt(ctx context.Context, group string, l Log) error {
	return s.clearRebuilding(ctx, group, l.field())
}

// Import is the imported interactions of one type in the users of some partitions of their log.
type Import struct {
	Group      string
	Type       schema.Type
	Partitions []int32
}

func (i *Import) fields() []string {
	fields := make([]string, len(i.Partitions))
	for k, partition := range i.Partitions {
		fields[k] = importField(i.Type, partition)
	}
	return fields
}

// ResetImported marks the users as without imported interactions, and this as a loss that is being repaired.
func (s *Store) ResetImported(ctx context.Context, i Import) error {
	return s.setMarks(ctx, i.Group, i.fields(), 0, true)
}

// AdvanceImported marks a dataset version as merged into the users, who had version from, or a later one, when the
// merge began. The error is ErrLost if the watermarks no longer show that.
func (s *Store) AdvanceImported(ctx context.Context, i Import, from, version int64) error {
	var moves []move
	for _, field := range i.fields() {
		for shard := range shards {
			moves = append(moves, move{shard, field, from, version})
		}
	}
	if err := s.moveMarks(ctx, i.Group, moves); err != nil {
		return err
	}
	return s.clearRebuilding(ctx, i.Group, i.fields()...)
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
