package datadoctor

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/penchant-io/penchant/pkg/reco"
)

// sample keeps something about each id of a stream: of every id while there are at most limit of them, and then of a
// fair share of them. It is the adaptive sampling of Wegman: an id is kept while its hash ends in as many zeros as the
// level says, and the level rises whenever too many are kept. What is kept of an id has seen all of the id's rows from
// its first one on, so that facts about a kept id are exact at any level, and only how many ids they are true of is
// scaled up.
type sample[T any] struct {
	limit int
	level int
	kept  map[uint64]*T
	// slab holds what the next ids get: one allocation for many.
	slab []T
	// thinning, if set, is called once, before the first ids are let go.
	thinning func()
}

const slabSize = 512

func newSample[T any](limit int) sample[T] { return sample[T]{limit: limit, kept: map[uint64]*T{}} }

// at is what is kept of an id, nil where it is not one of the sample's.
func (s *sample[T]) at(hash uint64) *T {
	if kept := s.kept[hash]; kept != nil {
		return kept
	}
	if bits.TrailingZeros64(hash) < s.level {
		return nil
	}
	if len(s.kept) == s.limit {
		s.thin()
		return s.at(hash)
	}
	if len(s.slab) == 0 {
		s.slab = make([]T, slabSize)
	}
	kept := &s.slab[0]
	s.slab = s.slab[1:]
	s.kept[hash] = kept
	return kept
}

func (s *sample[T]) thin() {
	if s.level == 0 && s.thinning != nil {
		s.thinning()
	}
	s.level++
	for hash := range s.kept {
		if bits.TrailingZeros64(hash) < s.level {
			delete(s.kept, hash)
		}
	}
}

// exact is whether everything is kept.
func (s *sample[T]) exact() bool { return s.level == 0 }

// scaled is how many ids there are for n kept ones.
func (s *sample[T]) scaled(n int64) int64 { return n << s.level }

// size is the number of distinct ids.
func (s *sample[T]) size() int64 { return s.scaled(int64(len(s.kept))) }

// count is the number of ids that something is true of.
func (s *sample[T]) count(holds func(*T) bool) int64 {
	n := int64(0)
	for _, kept := range s.kept {
		if holds(kept) {
			n++
		}
	}
	return s.scaled(n)
}

// nothing is what a sample keeps that only counts.
type nothing struct{}

// heavy finds the ids that have more than a share of all rows, however many ids there are: the summary of Misra and
// Gries. A count is too low by at most the number of rows over the number of counters, and never too high.
type heavy struct {
	counters int
	counts   map[uint64]int64
}

func (h *heavy) add(hash uint64) {
	if _, counted := h.counts[hash]; counted || len(h.counts) < h.counters {
		h.counts[hash]++
		return
	}
	for other := range h.counts {
		if h.counts[other]--; h.counts[other] == 0 {
			delete(h.counts, other)
		}
	}
}

func hashID(id string) uint64 { return xxhash.Sum64String(id) }

// hashInteraction is equal for interactions that are equal in everything but the event id.
func hashInteraction(i *reco.Interaction, scratch []byte) (uint64, []byte) {
	b := scratch[:0]
	for _, text := range [...]string{i.UserID, i.SessionID, i.ItemID, i.EventType, i.RecommendationID,
		i.EventAttributionSource} {
		b = appendText(b, text)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(i.TimestampMS))
	if i.EventValue != nil {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(*i.EventValue))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(i.Impression)))
	for _, id := range i.Impression {
		b = appendText(b, id)
	}
	// A map has no order: the sum of its pairs' hashes has none either.
	properties := uint64(0)
	for name, value := range i.Properties {
		properties += xxhash.Sum64(appendValue(appendText(b[len(b):], name), value))
	}
	b = binary.LittleEndian.AppendUint64(b, properties)
	return xxhash.Sum64(b), b
}

func appendText(b []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
}

func appendValue(b []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return append(append(b, 's'), v...)
	case int64:
		return binary.LittleEndian.AppendUint64(append(b, 'i'), uint64(v))
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, 'f'), math.Float64bits(v))
	case bool:
		if v {
			return append(b, 't')
		}
		return append(b, 'n')
	}
	return append(b, '0')
}
