package ranking

import (
	"slices"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/recipe"
)

// Catalogue is what all lists of one model are made from: its items, and the rows of the attributes' table that they
// are. It is read-only and safe for concurrent use, and takes 8 bytes for each item.
type Catalogue struct {
	items       *model.Items
	hidesEvents []string
	// relatedItems: lists are for an item, which must not be listed itself.
	relatedItems bool
	showsShares  bool

	// The following are empty where nothing is known of the items.
	table      *filter.Table
	attributes Attributes
	rows       []int32 // by item
	byRow      []int32 // the row's item, unknownItem for one that the model does not know; later rows are missing
}

// Attributes is what lists ask about items beyond what filters do. attributes.Table implements it.
type Attributes interface {
	// Known reports whether there is a record of a row's item.
	Known(row int32) bool
	// Created is the time of the item's creation in seconds, 0 where it is not known.
	Created(row int32) int64
}

// NewCatalogue returns the catalogue of a recipe's model, for lists that ask for nothing but its scores.
func NewCatalogue(r *recipe.Recipe, items *model.Items) *Catalogue {
	return &Catalogue{
		items: items, hidesEvents: r.HidesEvents, relatedItems: r.Type == recipe.RelatedItems,
		showsShares: r.Scores == recipe.CatalogueScores,
	}
}

// WithAttributes returns the catalogue with the attributes of its items. Items that the table does not have are given
// rows.
func (c *Catalogue) WithAttributes(table *filter.Table, attributes Attributes) *Catalogue {
	with := *c
	with.table, with.attributes = table, attributes
	ids := make([]string, c.items.Len())
	for i := range ids {
		ids[i] = c.items.ID(i)
	}
	const atOnce = 4096 // readers of the table wait meanwhile
	for part := range slices.Chunk(ids, atOnce) {
		table.Add(part...)
	}
	with.rows, with.byRow = make([]int32, len(ids)), make([]int32, table.Len())
	for row := range with.byRow {
		with.byRow[row] = unknownItem
	}
	for i, id := range ids {
		row, _ := table.Row(id)
		with.rows[i] = row
		if int(row) < len(with.byRow) {
			with.byRow[row] = int32(i)
		}
	}
	return &with
}

// item returns a row's item.
func (c *Catalogue) item(row int32) int32 {
	if int(row) >= len(c.byRow) {
		return unknownItem
	}
	return c.byRow[row]
}

// Newest lists the newest items, the newest first. Items whose creation the attributes do not hold are as old as
// novelty (nil: unknown) has them.
func (c *Catalogue) Newest(novelty *exploration.Novelty) []exploration.ColdItem {
	return exploration.Newest(c.items, novelty, func(item int) int64 { return c.attributes.Created(c.rows[item]) })
}
