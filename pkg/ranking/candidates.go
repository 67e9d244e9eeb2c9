package ranking

import (
	"cmp"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/reco"
)

// Filter is a bound filter that selects items of one catalogue. A selection that is the same for every subject is made
// once. One goroutine at a time may use a Filter.
type Filter struct {
	bound     *filter.Bound
	selection *filter.Selection // of the newest list; nil where it depends on the subject
}

// NewFilter returns a Filter of a filter whose parameters have values.
func NewFilter(bound *filter.Bound) *Filter { return &Filter{bound: bound} }

func (f *Filter) selects(table *filter.Table, subject *filter.Subject) *filter.Selection {
	if f.selection != nil {
		return f.selection
	}
	selection := f.bound.Select(table, *subject)
	if !f.bound.DependsOnSubject() {
		f.selection = selection
	}
	return selection
}

// candidates are the items that one part of a list may hold.
type candidates struct {
	catalogue *Catalogue
	selection *filter.Selection // nil: there is no filter
	// excludedIDs must not be listed; excludedItems are those of them that the model knows.
	excludedIDs   map[string]bool
	excludedItems map[int32]bool
	// reorder makes a list of k items from a pool that is larger; nil: the k best are the list.
	reorder *reordering
}

// candidates returns what a filter (nil: none) leaves for a subject.
func (c *Catalogue) candidates(f *Filter, subject *filter.Subject) *candidates {
	pool := &candidates{catalogue: c}
	pool.excludeEvents(subject.History, c.hidesEvents)
	if f == nil {
		return pool
	}
	pool.selection = f.selects(c.table, subject)
	if c.relatedItems && subject.CurrentItem != "" {
		pool.exclude(subject.CurrentItem)
	}
	return pool
}

// excludeEvents excludes the items that the user has an event of one of the types with.
func (c *candidates) excludeEvents(history []reco.RecentInteraction, types []string) {
	for _, i := range history {
		if slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(t, i.EventType) }) {
			c.exclude(i.ItemID)
		}
	}
}

// exclude keeps an item out of the list.
func (c *candidates) exclude(id string) {
	if c.excludedIDs == nil {
		c.excludedIDs = map[string]bool{}
	}
	c.excludedIDs[id] = true
	if item, known := c.catalogue.items.Index(id); known {
		if c.excludedItems == nil {
			c.excludedItems = map[int32]bool{}
		}
		c.excludedItems[int32(item)] = true
	}
}

// picks returns a list of k items: the best of the candidates, reordered, and behind them as many as are missing of
// those that the filter selects and the model does not know.
func (c *candidates) picks(scores Scores, k int) []Pick {
	var best []int32
	if c.reorder == nil || k <= 0 {
		best = c.best(scores, k)
	} else {
		best = c.reorder.best(c, scores, k)
	}
	picks := make([]Pick, len(best), max(k, 0))
	for i, item := range best {
		picks[i] = Pick{Item: item, ID: c.catalogue.items.ID(int(item)), Score: scores.of(item)}
	}
	for _, id := range c.unknown(k - len(best)) {
		picks = append(picks, Pick{Item: unknownItem, ID: id})
	}
	return picks
}

// selectiveShare: where a selection keeps fewer than one item in so many, only the selected ones are looked at.
const selectiveShare = 10

// best returns the k best items of the model, best first.
func (c *candidates) best(scores Scores, k int) []int32 {
	if c.selection == nil {
		if len(c.excludedItems) == 0 {
			return scores.best(k, nil)
		}
		return scores.best(k, func(i int) bool { return c.excludedItems[int32(i)] })
	}
	rows := c.catalogue.rows
	if c.selection.Count() > len(rows)/selectiveShare {
		return scores.best(k, func(i int) bool { return !c.selection.Has(rows[i]) || c.excludedItems[int32(i)] })
	}
	few := make([]int32, 0, c.selection.Count())
	for row := range c.selection.Rows() {
		if item := c.catalogue.item(row); item != unknownItem && !c.excludedItems[item] {
			few = append(few, item)
		}
	}
	slices.Sort(few)
	return scores.bestOf(few, k)
}

// unknown returns the ids of up to k items that the filter selects and the model does not know, the newest first: they
// are in the Items dataset, but came after the training.
func (c *candidates) unknown(k int) []string {
	if c.selection == nil || k <= 0 {
		return nil
	}
	type candidate struct {
		id      string
		created int64
	}
	var found []candidate
	table, attributes := c.catalogue.table, c.catalogue.attributes
	for row := range c.selection.Rows() {
		if c.catalogue.item(row) != unknownItem || !attributes.Known(row) {
			continue
		}
		id := table.ID(row)
		if _, late := c.catalogue.items.Index(id); late || c.excludedIDs[id] {
			continue
		}
		found = append(found, candidate{id, attributes.Created(row)})
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.created, a.created), strings.Compare(a.id, b.id))
	})
	ids := make([]string, 0, min(k, len(found)))
	for _, c := range found[:min(k, len(found))] {
		ids = append(ids, c.id)
	}
	return ids
}

// selected returns the ids of a list that a filter selects. Ids without a row are looked up in a table of their own, as
// items of which nothing is known.
func (c *Catalogue) selected(f *Filter, subject *filter.Subject, ids []string) []string {
	selection := f.selects(c.table, subject)
	strangers := filter.NewTable(nil)
	for _, id := range ids {
		if _, ok := c.table.Row(id); !ok {
			strangers.Add(id)
		}
	}
	strange := f.bound.Select(strangers, *subject)
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		if row, ok := strangers.Row(id); ok {
			return !strange.Has(row)
		}
		row, _ := c.table.Row(id)
		return !selection.Has(row)
	})
}
