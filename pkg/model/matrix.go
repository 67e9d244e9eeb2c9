package model

import (
	"cmp"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/dataset"
)

// Matrix is a training set as the models learn from it: rows of items that belong together, because one user interacted
// with them. Items are numbered as in a model's catalogue.
type Matrix struct {
	Items *Items
	// Counts is the number of interactions of each item, in the whole training set.
	Counts []int64
	// Start, of length rows+1, says where in Item a row's distinct items stand; they are ascending there.
	Start []int
	Item  []int32
	// Repeats is how often the user interacted with the item in this row, at least 1.
	Repeats []int32
}

// MatrixOptions say what becomes a row.
type MatrixOptions struct {
	// Users leaves out those with very short and very long histories.
	Users Percentiles
	// MaxHistory is how many of a user's newest interactions count; 0 means all.
	MaxHistory int
	// Window cuts a history into rows of about that many interactions each; 0 makes one row of each user.
	Window int
}

// NewMatrix arranges a training set in rows, in the order of its users and of their interactions.
func NewMatrix(ts *dataset.TrainingSet, o MatrixOptions) *Matrix {
	items, rank, counts := catalogue(ts)
	m := &Matrix{
		Items: items, Counts: counts, Start: make([]int, 1, len(ts.Users)+1),
		Item: make([]int32, 0, len(ts.Item)), Repeats: make([]int32, 0, len(ts.Item)),
	}
	sizes := make([]int, len(ts.Users))
	for u := range sizes {
		sizes[u] = int(ts.UserStart[u+1] - ts.UserStart[u])
	}
	low, high := o.Users.Bounds(sizes)
	var row []int32
	for u, size := range sizes {
		if size < low || size > high {
			continue
		}
		events := ts.Item[ts.UserStart[u]:ts.UserStart[u+1]]
		if o.MaxHistory > 0 {
			events = events[max(0, len(events)-o.MaxHistory):]
		}
		rows := 1
		if o.Window > 0 {
			rows = max(1, (len(events)+o.Window/2)/o.Window)
		}
		for k := range rows {
			row = row[:0]
			for _, i := range events[len(events)*k/rows : len(events)*(k+1)/rows] {
				row = append(row, rank[i])
			}
			m.add(row)
		}
	}
	return m
}

// add appends a row; it sorts the items that it is given.
func (m *Matrix) add(row []int32) {
	slices.Sort(row)
	for k, i := range row {
		if k > 0 && row[k-1] == i {
			m.Repeats[len(m.Repeats)-1]++
			continue
		}
		m.Item, m.Repeats = append(m.Item, i), append(m.Repeats, 1)
	}
	m.Start = append(m.Start, len(m.Item))
}

// Popular is the catalogue of a training set and the number of interactions of each item.
func Popular(ts *dataset.TrainingSet) (*Items, []int64) {
	items, _, counts := catalogue(ts)
	return items, counts
}

// catalogue orders the items by popularity, then id; rank translates the training set's numbers.
func catalogue(ts *dataset.TrainingSet) (items *Items, rank []int32, counts []int64) {
	unordered := make([]int64, len(ts.Items))
	for _, i := range ts.Item {
		unordered[i]++
	}
	order := make([]int32, len(ts.Items))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(unordered[b], unordered[a]), cmp.Compare(ts.Items[a], ts.Items[b]))
	})
	ids := make([]string, len(order))
	rank, counts = make([]int32, len(order)), make([]int64, len(order))
	for to, from := range order {
		ids[to], rank[from], counts[to] = ts.Items[from], int32(to), unordered[from]
	}
	return NewItems(ids), rank, counts
}

// Rows is the number of rows.
func (m *Matrix) Rows() int { return len(m.Start) - 1 }

// Row is the distinct items of row r, ascending.
func (m *Matrix) Row(r int) []int32 { return m.Item[m.Start[r]:m.Start[r+1]] }

// Percentiles select the members of a population by their size: those from the Min-th to the Max-th quantile, both from
// 0 to 1 and inclusive. Small populations lose nobody: a quantile is the size of a member (nearest rank).
type Percentiles struct{ Min, Max float64 }

// All selects everybody.
var All = Percentiles{Min: 0, Max: 1}

// Bounds are the smallest and largest size that is selected.
func (p Percentiles) Bounds(sizes []int) (low, high int) {
	if len(sizes) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(sizes))
	at := func(q float64) int {
		rank := int(math.Ceil(q * float64(len(sorted))))
		return sorted[min(max(rank, 1), len(sorted))-1]
	}
	return at(p.Min), at(p.Max)
}

// Transposed is, for each item, the rows that hold it (ascending) and how often.
func (m *Matrix) Transposed() (start []int, row, repeats []int32) {
	start = make([]int, m.Items.Len()+1)
	for _, i := range m.Item {
		start[i+1]++
	}
	for i := range m.Items.Len() {
		start[i+1] += start[i]
	}
	next := slices.Clone(start)
	row, repeats = make([]int32, len(m.Item)), make([]int32, len(m.Item))
	for r := range m.Rows() {
		for k := m.Start[r]; k < m.Start[r+1]; k++ {
			at := next[m.Item[k]]
			row[at], repeats[at] = int32(r), m.Repeats[k]
			next[m.Item[k]]++
		}
	}
	return start, row, repeats
}
