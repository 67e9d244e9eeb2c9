package linear

import (
	"cmp"
	"context"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
)

// Rows is a sparse matrix: row r holds the entries from Start[r] to Start[r+1], ascending by column.
type Rows struct {
	Start  []int
	Column []int32
	Value  []float32
}

// Entry is one number of a sparse row.
type Entry struct {
	Column int32
	Value  float32
}

// NewRows joins rows whose entries are ascending by column.
func NewRows(lists [][]Entry) Rows {
	total := 0
	for _, list := range lists {
		total += len(list)
	}
	rows := Rows{Start: make([]int, 1, len(lists)+1), Column: make([]int32, 0, total), Value: make([]float32, 0, total)}
	for r, list := range lists {
		for _, e := range list {
			rows.Column, rows.Value = append(rows.Column, e.Column), append(rows.Value, e.Value)
		}
		rows.Start = append(rows.Start, len(rows.Column))
		lists[r] = nil // the memory of a large matrix is not held twice
	}
	return rows
}

// Len is the number of rows.
func (s Rows) Len() int { return max(0, len(s.Start)-1) }

// Row is row r.
func (s Rows) Row(r int) (columns []int32, values []float32) {
	return s.Column[s.Start[r]:s.Start[r+1]], s.Value[s.Start[r]:s.Start[r+1]]
}

// Add adds weight times row r to scores.
func (s Rows) Add(scores []float32, weight float32, r int) {
	columns, values := s.Row(r)
	for k, c := range columns {
		scores[c] += weight * values[k]
	}
}

// Transposed swaps rows and columns, of which there are so many.
func (s Rows) Transposed(columns int) Rows {
	t := Rows{Start: make([]int, columns+1), Column: make([]int32, len(s.Column)), Value: make([]float32, len(s.Value))}
	for _, c := range s.Column {
		t.Start[c+1]++
	}
	for c := range columns {
		t.Start[c+1] += t.Start[c]
	}
	next := slices.Clone(t.Start)
	for r := range s.Len() {
		for k := s.Start[r]; k < s.Start[r+1]; k++ {
			at := next[s.Column[k]]
			t.Column[at], t.Value[at] = int32(r), s.Value[k]
			next[s.Column[k]]++
		}
	}
	return t
}

// Encode writes the length of each row, then the columns and the values of all.
func (s Rows) Encode(w *codec.Writer) {
	sizes := make([]int64, s.Len())
	for r := range sizes {
		sizes[r] = int64(s.Start[r+1] - s.Start[r])
	}
	w.Uvarints(sizes)
	w.Int32s(s.Column)
	w.Float32s(s.Value)
}

// DecodeRows reads what Encode has written of so many rows and columns.
func DecodeRows(r *codec.Reader, rows, columns int) Rows {
	s := Rows{Start: make([]int, 1, min(rows, 1<<20)+1)}
	total := 0
	for _, size := range r.Uvarints(rows) {
		if size > int64(columns) {
			r.Fail("a row of %d columns has %d entries", columns, size)
			return s
		}
		total += int(size)
		s.Start = append(s.Start, total)
	}
	s.Column, s.Value = r.Int32s(total, columns), r.Float32s(total)
	return s
}

// Sum adds up one sparse row. It belongs to one worker.
type Sum struct {
	value   []float32
	there   []bool
	touched []int32
}

// NewSum is an empty row of so many columns.
func NewSum(columns int) *Sum {
	return &Sum{value: make([]float32, columns), there: make([]bool, columns)}
}

// Add adds to a column.
func (s *Sum) Add(column int32, value float32) {
	if !s.there[column] {
		s.there[column] = true
		s.touched = append(s.touched, column)
	}
	s.value[column] += value
}

// Take returns the entries as weigh makes them, ascending by column and without zeros, and empties the row. Of more
// than keep entries it gives those that are largest by rank, of equal ones the more popular; nil stands for the value
// itself.
func (s *Sum) Take(keep int, weigh func(column int32, value float32) float32, rank func(e Entry) float32) []Entry {
	entries := make([]Entry, 0, len(s.touched))
	for _, c := range s.touched {
		if v := weigh(c, s.value[c]); v != 0 {
			entries = append(entries, Entry{c, v})
		}
		s.value[c], s.there[c] = 0, false
	}
	s.touched = s.touched[:0]
	byColumn := func(a, b Entry) int { return cmp.Compare(a.Column, b.Column) }
	slices.SortFunc(entries, byColumn)
	if len(entries) <= keep {
		return entries
	}
	ranks := make([]float32, len(entries))
	for k, e := range entries {
		ranks[k] = e.Value
		if rank != nil {
			ranks[k] = rank(e)
		}
	}
	best := model.TopK(ranks, keep, nil)
	slices.Sort(best)
	kept := make([]Entry, len(best))
	for k, b := range best {
		kept[k] = entries[b]
	}
	return kept
}

// Identity leaves the values that Take gives as they were added.
func Identity(_ int32, value float32) float32 { return value }

// Shape is the number of rows and columns of a matrix.
type Shape struct{ Rows, Columns int }

// Fill makes the rows of a matrix in parallel. fill adds up each row in the sum that it is given, which is empty, and
// takes it out; done counts finished rows.
func Fill(
	ctx context.Context, shape Shape, threads int, done func(rows int), fill func(r int, s *Sum) []Entry,
) (Rows, error) {
	lists := make([][]Entry, shape.Rows)
	sums := make([]*Sum, model.Threads(threads))
	err := model.Blocks(ctx, shape.Rows, 16, len(sums), func(worker, from, to int) {
		if sums[worker] == nil {
			sums[worker] = NewSum(shape.Columns)
		}
		for r := from; r < to; r++ {
			lists[r] = fill(r, sums[worker])
		}
		done(to - from)
	})
	if err != nil {
		return Rows{}, err
	}
	return NewRows(lists), nil
}
