package recommender

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/singleflight"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/reco"
)

// aligned says which rows of a table the items of a model are. The items that the table did not have were given rows.
type aligned struct {
	table *attributes.Table
	model *modelstore.Loaded
	rows  []int32 // by item
	items []int32 // by row, -1 for a row that the model does not know; later rows are missing

	newest       atomic.Pointer[newestList]
	newestMaking sync.Mutex
}

// item is a row's item, -1 if the model does not know it.
func (a *aligned) item(row int32) int32 {
	if int(row) >= len(a.items) {
		return -1
	}
	return a.items[row]
}

// alignments holds one for each model and group that were asked for, 8 bytes for each item.
type alignments struct {
	making singleflight.Group

	mu    sync.RWMutex
	known map[alignment]*aligned
}

type alignment struct{ group, model string }

func (a *alignments) of(serving *modelstore.Serving, table *attributes.Table, served func() []*modelstore.Serving) *aligned {
	key := alignment{serving.Group, serving.Loaded.ModelID}
	a.mu.RLock()
	known := a.known[key]
	a.mu.RUnlock()
	if known != nil && known.table == table && known.model == serving.Loaded {
		return known
	}
	made, _, _ := a.making.Do(key.group+" "+key.model, func() (any, error) {
		made := align(table, serving.Loaded)
		a.mu.Lock()
		defer a.mu.Unlock()
		for old := range a.known {
			if !slices.ContainsFunc(served(), func(s *modelstore.Serving) bool { return old == alignment{s.Group, s.Loaded.ModelID} }) {
				delete(a.known, old)
			}
		}
		a.known[key] = made
		return made, nil
	})
	if shared := made.(*aligned); shared.table == table && shared.model == serving.Loaded {
		return shared
	}
	return align(table, serving.Loaded) // who made it for all had another table: one was swapped in this moment
}

func align(table *attributes.Table, loaded *modelstore.Loaded) *aligned {
	items := loaded.Model.Items()
	ids := make([]string, items.Len())
	for i := range ids {
		ids[i] = items.ID(i)
	}
	const atOnce = 4096 // readers wait meanwhile
	for part := range slices.Chunk(ids, atOnce) {
		table.Add(part...)
	}
	a := &aligned{table: table, model: loaded, rows: make([]int32, len(ids)), items: make([]int32, table.Len())}
	for row := range a.items {
		a.items[row] = -1
	}
	for i, id := range ids {
		row, _ := table.Row(id)
		a.rows[i] = row
		if int(row) < len(a.items) {
			a.items[row] = int32(i)
		}
	}
	return a
}

// eligible is what may be answered.
type eligible struct {
	items     *model.Items
	aligned   *aligned          // nil without selection
	selection *filter.Selection // nil: no filter
	hidden    map[int32]bool    // items of the model that are not to be answered
	never     map[string]bool   // ids that are not to be answered
}

// selectiveShare: of a selection that keeps fewer than one in so many items, the selected are looked at rather than all.
const selectiveShare = 10

// best is the k best items of the model, best first.
func (e *eligible) best(scores []float32, k int) []int32 {
	if e.selection == nil {
		if len(e.hidden) == 0 {
			return model.TopK(scores, k, nil)
		}
		return model.TopK(scores, k, func(i int) bool { return e.hidden[int32(i)] })
	}
	if e.selection.Count() > len(scores)/selectiveShare {
		rows := e.aligned.rows
		return model.TopK(scores, k, func(i int) bool { return !e.selection.Has(rows[i]) || e.hidden[int32(i)] })
	}
	few := make([]int32, 0, e.selection.Count())
	for row := range e.selection.Rows() {
		if item := e.aligned.item(row); item >= 0 && !e.hidden[item] {
			few = append(few, item)
		}
	}
	slices.Sort(few) // so that of equal scores the lower item wins, as everywhere
	theirs := make([]float32, len(few))
	for i, item := range few {
		theirs[i] = scores[item]
	}
	best := model.TopK(theirs, k, nil)
	for i, place := range best {
		best[i] = few[place]
	}
	return best
}

// unknown is up to k ids of items that the filter selects and the model does not know, the newest first: they are in the
// Items dataset, but came after the training.
func (e *eligible) unknown(k int) []string {
	if e.selection == nil || k <= 0 {
		return nil
	}
	type candidate struct {
		id      string
		created int64
	}
	var found []candidate
	table := e.aligned.table
	for row := range e.selection.Rows() {
		if e.aligned.item(row) >= 0 || !table.Known(row) {
			continue
		}
		id := table.ID(row)
		if _, late := e.items.Index(id); late || e.never[id] {
			continue
		}
		found = append(found, candidate{id, table.Created(row)})
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

// hide keeps the items out that the user has an event of one of the types with.
func (e *eligible) hide(history []reco.RecentInteraction, types []string) {
	for _, i := range history {
		if slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(t, i.EventType) }) {
			e.leaveOut(i.ItemID)
		}
	}
}

// leaveOut keeps an item out.
func (e *eligible) leaveOut(id string) {
	if e.never == nil {
		e.never = map[string]bool{}
	}
	e.never[id] = true
	if item, ok := e.items.Index(id); ok {
		if e.hidden == nil {
			e.hidden = map[int32]bool{}
		}
		e.hidden[int32(item)] = true
	}
}

// passed are the ids of a list that the filter selects. Ids without a row are asked for in a table of their own, as items
// of which nothing is known.
func passed(f *boundFilter, table *attributes.Table, subject filter.Subject, list []string) []string {
	selection := f.bound.Select(table.Table, subject)
	strangers := filter.NewTable(table.Schema)
	for _, id := range list {
		if _, ok := table.Row(id); !ok {
			strangers.Add(id)
		}
	}
	strange := f.bound.Select(strangers, subject)
	return slices.DeleteFunc(slices.Clone(list), func(id string) bool {
		if row, ok := strangers.Row(id); ok {
			return !strange.Has(row)
		}
		row, _ := table.Row(id)
		return !selection.Has(row)
	})
}
