package ranking

import (
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/ranking/diversity"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Diversity makes the lists of one catalogue less alike. It looks up an item's categories when they are needed, and is
// for one list at a time until Prepare was called.
type Diversity struct {
	settings diversity.Settings
	table    *filter.Table
	rows     []int32
	numbers  *diversity.Categories
	prepared [][]int32 // by item; nil before Prepare
}

// Diversity returns what makes lists as diverse as settings say, given the schema of the Items dataset. It is nil where
// lists stay as they are: without a weight, without attributes, and where no column holds categories.
func (c *Catalogue) Diversity(settings diversity.Settings, items *schema.Schema) *Diversity {
	if settings.Weight <= 0 || c.table == nil {
		return nil
	}
	columns := settings.Columns(items)
	if len(columns) == 0 {
		return nil
	}
	return &Diversity{settings: settings, table: c.table, rows: c.rows, numbers: diversity.NewCategories(columns)}
}

// Prepare looks up the categories of all items, for callers that make many lists: the popular items are in most of
// them. Then any number of lists can be made at once.
func (d *Diversity) Prepare() {
	prepared := make([][]int32, len(d.rows))
	for item := range prepared {
		prepared[item] = d.categories(int32(item))
	}
	d.prepared = prepared
}

func (d *Diversity) categories(item int32) []int32 {
	if d.prepared != nil {
		return d.prepared[item]
	}
	return d.numbers.Of(func(column string) any { return d.table.Attribute(d.rows[item], column) })
}

// Reordered is an item with its rank, from 1, before the list was made diverse.
type Reordered struct {
	ID   string
	Rank int
}

// reordering makes one list diverse.
type reordering struct {
	*Diversity
	list *List
}

func (l *List) reorder(d *Diversity) *reordering {
	if d == nil {
		return nil
	}
	return &reordering{d, l}
}

// best returns k of the best items in the order of the list.
func (r *reordering) best(c *candidates, scores Scores, k int) []int32 {
	pool := c.best(scores, diversity.Pool(k))
	places := r.settings.Choose(pool, scores.values, r.categories, k)
	chosen := make([]int32, len(places))
	r.list.Reordered = make([]Reordered, len(places))
	for i, place := range places {
		chosen[i] = pool[place]
		r.list.Reordered[i] = Reordered{c.catalogue.items.ID(int(pool[place])), place + 1}
	}
	return chosen
}
