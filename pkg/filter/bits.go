package filter

import (
	"iter"
	"math/bits"
	"slices"
)

// bitset is a set of rows, one bit each.
type bitset []uint64

func words(rows int) int { return (rows + 63) / 64 }

func (b bitset) set(row int32)      { b[row>>6] |= 1 << (row & 63) }
func (b bitset) clear(row int32)    { b[row>>6] &^= 1 << (row & 63) }
func (b bitset) has(row int32) bool { return b[row>>6]>>(row&63)&1 != 0 }

// fill sets the first rows bits.
func (b bitset) fill(rows int) {
	for i := range rows / 64 {
		b[i] = ^uint64(0)
	}
	if rest := rows % 64; rest != 0 {
		b[rows/64] = 1<<rest - 1
	}
}

// complement replaces the set by the rows of the first rows that are not in it.
func (b bitset) complement(rows int) {
	for i := range b {
		b[i] = ^b[i]
	}
	if rest := rows % 64; rest != 0 {
		b[rows/64] &= 1<<rest - 1
	}
}

// The operands of and, or and andNot may be shorter: what they lack is empty.

func (b bitset) or(other bitset) {
	for i, w := range other {
		b[i] |= w
	}
}

func (b bitset) and(other bitset) {
	for i, w := range other {
		b[i] &= w
	}
	clear(b[len(other):])
}

func (b bitset) andNot(other bitset) {
	for i, w := range other {
		b[i] &^= w
	}
}

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// countBoth is the size of the intersection.
func (b bitset) countBoth(other bitset) int {
	n := 0
	for i, w := range other {
		n += bits.OnesCount64(b[i] & w)
	}
	return n
}

func (b bitset) rows() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i, w := range b {
			for ; w != 0; w &= w - 1 {
				if !yield(int32(i<<6 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// rowSet is a set of rows that grows with the table: a sorted list while it holds few of the table's rows, bits beyond
// that. The list of a category with one row in a hundred is an eighth of its bits and as fast to join.
type rowSet struct {
	list  []int32
	dense bitset
	size  int
}

const (
	// denseFrom is the size below which a set is a list, however small the table.
	denseFrom = 1024
	// A set becomes bits when it holds more than one row in denseShare, where both take the same memory, and a list
	// again when it holds less than one in sparseShare: a table that grows leaves behind what was dense when it was
	// small.
	denseShare  = 32
	sparseShare = 128
)

func (s *rowSet) add(row int32) {
	if s.dense != nil {
		for int(row>>6) >= len(s.dense) {
			s.dense = append(s.dense, 0)
		}
		if !s.dense.has(row) {
			s.dense.set(row)
			s.size++
		}
		s.thin()
		return
	}
	if n := len(s.list); n == 0 || s.list[n-1] < row {
		s.list = append(s.list, row)
	} else if i, found := slices.BinarySearch(s.list, row); !found {
		s.list = slices.Insert(s.list, i, row)
	}
	s.size = len(s.list)
	if last := int(s.list[s.size-1]); s.size > denseFrom && s.size > last/denseShare {
		s.dense = make(bitset, words(last+1))
		for _, r := range s.list {
			s.dense.set(r)
		}
		s.list = nil
	}
}

func (s *rowSet) remove(row int32) {
	if s.dense != nil {
		if int(row>>6) < len(s.dense) && s.dense.has(row) {
			s.dense.clear(row)
			s.size--
		}
		s.thin()
		return
	}
	if i, found := slices.BinarySearch(s.list, row); found {
		s.list = slices.Delete(s.list, i, i+1)
		s.size--
	}
}

// thin turns bits into a list where they are mostly empty.
func (s *rowSet) thin() {
	if s.size > denseFrom/2 && s.size > len(s.dense)*64/sparseShare {
		return
	}
	s.list = make([]int32, 0, s.size)
	for row := range s.dense.rows() {
		s.list = append(s.list, row)
	}
	s.dense = nil
}

// addTo adds the set to b.
func (s *rowSet) addTo(b bitset) {
	b.or(s.dense)
	for _, row := range s.list {
		b.set(row)
	}
}
