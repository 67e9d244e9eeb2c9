package model

import (
	"cmp"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Matrix is a training set as the models learn from it: rows of items that belong together, because one user interacted
// with them. Items are numbered as in a model's catalogue.
type Matrix struct {
	Items *Items
	// Counts is the number of interactions of each item, in the whole training set; see Popular where they have
	// weights.
	Counts []int64
	// Start, of length rows+1, says where in Item a row's distinct items stand; they are ascending there.
	Start []int
	Item  []int32
	// Weight is the sum of the weights of the user's interactions with the item in this row: their number, unless the
	// training set weighs them.
	Weight []float32
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
func NewMatrix(ts *trainingset.Set, o MatrixOptions) *Matrix {
	items, rank, counts := catalogue(ts)
	m := &Matrix{
		Items: items, Counts: counts, Start: make([]int, 1, len(ts.Users)+1),
		Item: make([]int32, 0, len(ts.Item)), Weight: make([]float32, 0, len(ts.Item)),
	}
	sizes := make([]int, len(ts.Users))
	for u := range sizes {
		sizes[u] = int(ts.UserStart[u+1] - ts.UserStart[u])
	}
	low, high := o.Users.Bounds(sizes)
	var row []cell
	for u, size := range sizes {
		if size < low || size > high {
			continue
		}
		from, to := ts.UserEvents(u)
		if o.MaxHistory > 0 {
			from = max(from, to-o.MaxHistory)
		}
		rows := 1
		if o.Window > 0 {
			rows = max(1, (to-from+o.Window/2)/o.Window)
		}
		for k := range rows {
			row = row[:0]
			for e := from + (to-from)*k/rows; e < from+(to-from)*(k+1)/rows; e++ {
				row = append(row, newCell(rank[ts.Item[e]], ts.EventWeight(e)))
			}
			m.add(row)
		}
	}
	return m
}

// cell is one interaction of a row: its item above its weight's bits. Weights are not negative, so cells in ascending
// order are in the order of their items, then weights, and sort as fast as numbers do.
type cell uint64

func newCell(item int32, weight float32) cell {
	return cell(uint64(item)<<32 | uint64(math.Float32bits(weight)))
}

func (c cell) item() int32     { return int32(c >> 32) }
func (c cell) weight() float32 { return math.Float32frombits(uint32(c)) }

// add appends a row; it sorts the interactions that it is given.
func (m *Matrix) add(row []cell) {
	slices.Sort(row)
	for k, c := range row {
		if k > 0 && row[k-1].item() == c.item() {
			m.Weight[len(m.Weight)-1] += c.weight()
			continue
		}
		m.Item, m.Weight = append(m.Item, c.item()), append(m.Weight, c.weight())
	}
	m.Start = append(m.Start, len(m.Item))
}

// Popular is the catalogue of a training set and the number of interactions of each item: where they have weights, the
// sum of these, rounded, though at least 1 for an item that has any.
func Popular(ts *trainingset.Set) (*Items, []int64) {
	items, _, counts := catalogue(ts)
	return items, counts
}

// catalogue orders the items by popularity, then id; rank translates the training set's numbers.
func catalogue(ts *trainingset.Set) (items *Items, rank []int32, counts []int64) {
	return order(ts.Items, popularity(ts))
}

// Extended is the catalogue of a training set and of items that were known before, which need not be in the set any
// more. counts are as in Popular, before tells each item's number in known, -1 for a new one.
func Extended(known *Items, ts *trainingset.Set) (items *Items, counts []int64, before []int32) {
	ids, weights := slices.Clone(ts.Items), popularity(ts)
	for i := range known.Len() {
		if _, there := slices.BinarySearch(ts.Items, known.ID(i)); !there {
			ids, weights = append(ids, known.ID(i)), append(weights, 0)
		}
	}
	items, _, counts = order(ids, weights)
	before = make([]int32, items.Len())
	for i := range before {
		before[i] = -1
		if k, ok := known.Index(items.ID(i)); ok {
			before[i] = int32(k)
		}
	}
	return items, counts, before
}

// order numbers ids by descending weight, then id; rank translates their positions.
func order(ids []string, weights []float64) (items *Items, rank []int32, counts []int64) {
	order := make([]int32, len(ids))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(weights[b], weights[a]), cmp.Compare(ids[a], ids[b]))
	})
	ordered := make([]string, len(order))
	rank, counts = make([]int32, len(order)), make([]int64, len(order))
	for to, from := range order {
		ordered[to], rank[from], counts[to] = ids[from], int32(to), whole(weights[from])
	}
	return NewItems(ordered), rank, counts
}

// popularity is the weight of the interactions of each item.
func popularity(ts *trainingset.Set) []float64 {
	sums := make([]float64, len(ts.Items))
	for e, i := range ts.Item {
		sums[i] += float64(ts.EventWeight(e))
	}
	return sums
}

func whole(weight float64) int64 {
	if weight == 0 {
		return 0
	}
	return max(1, int64(math.Round(weight)))
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

// Transposed is, for each item, the rows that hold it (ascending) and its weight there.
func (m *Matrix) Transposed() (start []int, row []int32, weight []float32) {
	start = make([]int, m.Items.Len()+1)
	for _, i := range m.Item {
		start[i+1]++
	}
	for i := range m.Items.Len() {
		start[i+1] += start[i]
	}
	next := slices.Clone(start)
	row, weight = make([]int32, len(m.Item)), make([]float32, len(m.Item))
	for r := range m.Rows() {
		for k := m.Start[r]; k < m.Start[r+1]; k++ {
			at := next[m.Item[k]]
			row[at], weight[at] = int32(r), m.Weight[k]
			next[m.Item[k]]++
		}
	}
	return start, row, weight
}
