package filter

import (
	"cmp"
	"math/bits"
	"slices"
)

// span is a range of what a number column keeps, both ends included.
type span struct{ low, high int64 }

// spans are the ranges that a test matches, in ascending order. There is more than one only for IN and NOT IN, and then
// each is a single number.
func (c *numberColumn) spans(t *test) []span {
	list := make([]span, 0, len(t.numbers))
	for _, n := range t.numbers {
		if !c.real {
			if low, high, ok := n.integerRange(t.op); ok {
				list = append(list, span{low, high})
			}
			continue
		}
		low, high := n.realRange(t.op)
		s := span{orderOf(low), orderOf(high)}
		// The zeros are one number, but two in the order.
		if low == 0 {
			s.low = -1
		}
		if high == 0 {
			s.high = 0
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.low, b.low) })
	return slices.Compact(list)
}

// aFew is up to how many numbers of a list are faster compared one after the other with all of a block.
const aFew = 12

// match puts the rows whose value is in one of the test's spans into b.
func (c *numberColumn) match(t *test, within, b bitset) {
	switch spans := c.spans(t); {
	case len(spans) == 0:
	case len(spans) <= aFew:
		c.each(within, b, func(block []int64) uint64 {
			word := uint64(0)
			for _, s := range spans {
				word |= s.of(block)
			}
			return word
		})
	default:
		c.each(within, b, func(block []int64) uint64 {
			word := uint64(0)
			for i, v := range block {
				// The last span that does not begin above the value.
				byLow := func(s span, v int64) int { return cmp.Compare(s.low, v) }
				at, exact := slices.BinarySearchFunc(spans, v, byLow)
				if exact || at > 0 && v <= spans[at-1].high {
					word |= 1 << (i & 63)
				}
			}
			return word
		})
	}
}

// of is the bits of the values of a block that the span holds. No branch depends on a value.
func (s span) of(block []int64) uint64 {
	word, low, width := uint64(0), uint64(s.low), uint64(s.high)-uint64(s.low)
	for i, v := range block {
		bit := uint64(0)
		// One comparison for both ends: what is below low wraps around to the far end.
		if uint64(v)-low <= width {
			bit = 1
		}
		word |= bit << (i & 63)
	}
	return word
}

// sparse is up to how many wanted rows of a word are faster looked at one by one.
const sparse = 8

// each puts what compare finds in each block of 64 values into b, where there is a value and within, if not nil, has
// the row.
func (c *numberColumn) each(within, b bitset, compare func(block []int64) uint64) {
	for i, wanted := range c.bits {
		if within != nil {
			wanted &= within[i]
		}
		switch first := i * 64; {
		case wanted == 0:
		case bits.OnesCount64(wanted) <= sparse:
			for ; wanted != 0; wanted &= wanted - 1 {
				bit := bits.TrailingZeros64(wanted)
				b[i] |= compare(c.values[first+bit:first+bit+1]) << bit
			}
		default:
			b[i] = compare(c.values[first:min(first+64, len(c.values))]) & wanted
		}
	}
}
