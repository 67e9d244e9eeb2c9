package filter

import (
	"math"
	"slices"
	"strings"
)

// grow makes a slice long enough to hold a row.
func grow[T any](values []T, row int32) []T {
	if missing := int(row) + 1 - len(values); missing > 0 {
		return append(values, make([]T, missing)...)
	}
	return values
}

// present is the set of rows that have a value in a column.
type present struct{ bits bitset }

func (p *present) put(row int32, has bool) {
	if !has && int(row>>6) >= len(p.bits) {
		return
	}
	p.bits = grow(p.bits, row>>6)
	if has {
		p.bits.set(row)
	} else {
		p.bits.clear(row)
	}
}

func (p *present) has(row int32) bool { return int(row>>6) < len(p.bits) && p.bits.has(row) }

// numberColumn is a column of numbers. Reals are kept as integers of the same order, so that one comparison, which is
// faster on integers, serves both.
type numberColumn struct {
	present
	real   bool
	values []int64
}

func (c *numberColumn) put(row int32, value any) {
	v, ok := value.(int64)
	real, isReal := value.(float64)
	switch {
	case c.real && ok:
		v = orderOf(float64(v))
	case c.real:
		v, ok = orderOf(real), isReal && !math.IsNaN(real)
	case isReal:
		n := realNumber(real)
		v, ok = n.floor, n.integral && n.beyond == 0
	}
	c.present.put(row, ok)
	if ok {
		c.values = grow(c.values, row)
		c.values[row] = v
	}
}

func (c *numberColumn) value(row int32) any {
	switch {
	case !c.has(row):
		return nil
	case c.real:
		return realOf(c.values[row])
	}
	return c.values[row]
}

// orderOf maps reals to integers of the same order; minus zero comes right before zero.
func orderOf(real float64) int64 {
	order := int64(math.Float64bits(real))
	if order < 0 {
		order ^= math.MaxInt64
	}
	return order
}

// realOf is the inverse of orderOf.
func realOf(order int64) float64 {
	if order < 0 {
		order ^= math.MaxInt64
	}
	return math.Float64frombits(uint64(order))
}

// booleans is a boolean column. Filters cannot use it; answers show it.
type booleans struct {
	present
	values present
}

func (c *booleans) put(row int32, value any) {
	v, ok := value.(bool)
	c.present.put(row, ok)
	c.values.put(row, v)
}

func (c *booleans) value(row int32) any {
	if !c.has(row) {
		return nil
	}
	return c.values.has(row)
}

// prose is a textual column. Filters cannot use it either.
type prose struct {
	present
	values []string
}

func (c *prose) put(row int32, value any) {
	v, ok := value.(string)
	c.present.put(row, ok)
	switch {
	case ok:
		c.values = grow(c.values, row)
		c.values[row] = v
	case int(row) < len(c.values):
		c.values[row] = ""
	}
}

func (c *prose) value(row int32) any {
	if !c.has(row) {
		return nil
	}
	return c.values[row]
}

// textColumn is a column of strings that filters can use. Each different string is kept once and knows its rows; a row
// holds the numbers of its strings.
type textColumn struct {
	// split columns hold several categories, joined with a bar.
	split   bool
	numbers map[string]uint32
	strings []string
	rows    []rowSet
	// free are the numbers of strings that no row has any more.
	free []uint32
	// cells hold for each row 0 for none, one more than the number of the only string, or several and the place in
	// lists where their count and their numbers stand.
	cells []uint32
	lists []uint32
	// garbage is how much of lists belongs to no row any more.
	garbage int
}

const several = 1 << 31

func newTextColumn(split bool) *textColumn {
	return &textColumn{split: split, numbers: make(map[string]uint32)}
}

func (c *textColumn) put(row int32, value any) {
	text, ok := value.(string)
	if !ok && int(row) >= len(c.cells) {
		return
	}
	c.cells = grow(c.cells, row)
	var room [16]uint32
	before := c.cell(row)
	now := room[:0]
	if ok {
		now = c.intern(text, now)
	}
	if slices.Equal(before, now) && ok == (c.cells[row] != 0) {
		return
	}
	before = slices.Clone(before)
	for _, number := range now {
		c.rows[number].add(row)
	}
	for _, number := range before {
		if !slices.Contains(now, number) {
			c.drop(number, row)
		}
	}
	c.write(row, now)
}

// cell lists the numbers of a row's strings.
func (c *textColumn) cell(row int32) []uint32 {
	if int(row) >= len(c.cells) || c.cells[row] == 0 {
		return nil
	}
	cell := c.cells[row]
	if cell&several == 0 {
		return []uint32{cell - 1}
	}
	at := cell &^ several
	return c.lists[at+1 : at+1+c.lists[at]]
}

func (c *textColumn) intern(text string, numbers []uint32) []uint32 {
	if !c.split {
		return append(numbers, c.number(text))
	}
	for part := range strings.SplitSeq(text, "|") {
		numbers = append(numbers, c.number(part))
	}
	return numbers
}

func (c *textColumn) number(text string) uint32 {
	if number, ok := c.numbers[text]; ok {
		return number
	}
	// The string may be a piece of something much larger.
	text = strings.Clone(text)
	var number uint32
	if last := len(c.free) - 1; last >= 0 {
		number = c.free[last]
		c.free = c.free[:last]
		c.strings[number] = text
	} else {
		number = uint32(len(c.strings))
		c.strings = append(c.strings, text)
		c.rows = append(c.rows, rowSet{})
	}
	c.numbers[text] = number
	return number
}

// drop takes a string from a row, and forgets the string after its last row.
func (c *textColumn) drop(number uint32, row int32) {
	if c.rows[number].size == 0 {
		return // dropped already: a value can name a category twice
	}
	c.rows[number].remove(row)
	if c.rows[number].size == 0 {
		delete(c.numbers, c.strings[number])
		c.strings[number] = ""
		c.rows[number] = rowSet{}
		c.free = append(c.free, number)
	}
}

func (c *textColumn) write(row int32, numbers []uint32) {
	if cell := c.cells[row]; cell&several != 0 {
		c.garbage += 1 + int(c.lists[cell&^several])
	}
	switch len(numbers) {
	case 0:
		c.cells[row] = 0
	case 1:
		c.cells[row] = numbers[0] + 1
	default:
		c.cells[row] = several | uint32(len(c.lists))
		c.lists = append(append(c.lists, uint32(len(numbers))), numbers...)
	}
	if c.garbage > 1024 && c.garbage > len(c.lists)/2 {
		c.compact()
	}
}

func (c *textColumn) compact() {
	lists := make([]uint32, 0, len(c.lists)-c.garbage)
	for row, cell := range c.cells {
		if cell&several != 0 {
			numbers := c.cell(int32(row))
			c.cells[row] = several | uint32(len(lists))
			lists = append(append(lists, uint32(len(numbers))), numbers...)
		}
	}
	c.lists, c.garbage = lists, 0
}

func (c *textColumn) value(row int32) any {
	numbers := c.cell(row)
	switch len(numbers) {
	case 0:
		return nil
	case 1:
		return c.strings[numbers[0]]
	}
	parts := make([]string, len(numbers))
	for i, number := range numbers {
		parts[i] = c.strings[number]
	}
	return strings.Join(parts, "|")
}

// texts are the strings of a row.
func (c *textColumn) texts(row int32) []string {
	numbers := c.cell(row)
	parts := make([]string, len(numbers))
	for i, number := range numbers {
		parts[i] = c.strings[number]
	}
	return parts
}
