package filter

import (
	"math/bits"
	"slices"
)

// span is a range of numbers, both ends included.
type span[T int64 | float64] struct{ low, high T }

// spans are the ranges of values that a test on a numeric column matches, those of a list in ascending order. There is
// more than one only for IN and NOT IN, and then each is a single number.
func (t *test) integerSpans() []span[int64] {
	list := make([]span[int64], 0, len(t.numbers))
	for _, n := range t.numbers {
		if low, high, ok := n.integerRange(t.op); ok {
			list = append(list, span[int64]{low, high})
		}
	}
	return ascending(list)
}

func (t *test) realSpans() []span[float64] {
	list := make([]span[float64], 0, len(t.numbers))
	for _, n := range t.numbers {
		low, high := n.realRange(t.op)
		list = append(list, span[float64]{low, high})
	}
	return ascending(list)
}

func ascending[T int64 | float64](list []span[T]) []span[T] {
	if len(list) > 1 {
		slices.SortFunc(list, func(a, b span[T]) int { return compareLow(a, b.low) })
		list = slices.Compact(list)
	}
	return list
}

func compareLow[T int64 | float64](s span[T], v T) int {
	switch {
	case s.low < v:
		return -1
	case s.low > v:
		return 1
	}
	return 0
}

func (c *integers) match(t *test, within, b bitset) {
	match(c.values, c.bits, t.integerSpans(), within, b, inIntegerSpan)
}

func (c *reals) match(t *test, within, b bitset) {
	match(c.values, c.bits, t.realSpans(), within, b, inRealSpan)
}

// inIntegerSpan is the bits of the values of a block that a span holds. It has no branch that depends on a value.
func inIntegerSpan(block []int64, s span[int64]) uint64 {
	word, width := uint64(0), uint64(s.high)-uint64(s.low)
	for i, v := range block {
		// One comparison for both ends: what is below low wraps around to the far end.
		bit := uint64(0)
		if uint64(v)-uint64(s.low) <= width {
			bit = 1
		}
		word |= bit << (i & 63)
	}
	return word
}

func inRealSpan(block []float64, s span[float64]) uint64 {
	word := uint64(0)
	for i, v := range block {
		above, below := uint64(0), uint64(0)
		if v >= s.low {
			above = 1
		}
		if v <= s.high {
			below = 1
		}
		word |= above & below << (i & 63)
	}
	return word
}

// aFew is up to how many numbers of a list are faster compared one after the other with all of a block.
const aFew = 12

// match puts the rows whose value one of the spans holds into b.
func match[T int64 | float64](values []T, present bitset, spans []span[T], within, b bitset, inSpan func([]T, span[T]) uint64) {
	switch {
	case len(spans) == 0:
	case len(spans) <= aFew:
		each(values, present, within, b, func(block []T) uint64 {
			word := uint64(0)
			for _, s := range spans {
				word |= inSpan(block, s)
			}
			return word
		})
	default:
		each(values, present, within, b, func(block []T) uint64 {
			word := uint64(0)
			for i, v := range block {
				if _, found := slices.BinarySearchFunc(spans, v, compareLow); found {
					word |= 1 << (i & 63)
				}
			}
			return word
		})
	}
}

// sparse is up to how many wanted rows of a word are faster looked at one by one.
const sparse = 8

// each puts what compare finds in each block of 64 values into b, where there is a value and within wants it.
func each[T any](values []T, present, within, b bitset, compare func(block []T) uint64) {
	for i, wanted := range present {
		if within != nil {
			wanted &= within[i]
		}
		switch first := i * 64; {
		case wanted == 0:
		case bits.OnesCount64(wanted) <= sparse:
			for ; wanted != 0; wanted &= wanted - 1 {
				bit := bits.TrailingZeros64(wanted)
				b[i] |= compare(values[first+bit:first+bit+1]) << bit
			}
		default:
			b[i] = compare(values[first:min(first+64, len(values))]) & wanted
		}
	}
}
