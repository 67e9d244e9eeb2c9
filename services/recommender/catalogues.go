package recommender

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
)

// catalogue is a model's items with the attributes of one table.
type catalogue struct {
	*ranking.Catalogue
	table  *attributes.Table
	loaded *modelstore.Loaded

	newest       atomic.Pointer[newestList]
	newestMaking sync.Mutex
}

// newestList is the newest items of a model.
type newestList struct {
	items []exploration.ColdItem
	made  time.Time
}

// newestFor is how long the list of newest items is used before it is made again.
const newestFor = time.Minute

// catalogues holds one catalogue for each model and group that requests have asked for.
type catalogues struct {
	making singleflight.Group

	mu    sync.RWMutex
	known map[catalogueKey]*catalogue
}

type catalogueKey struct{ group, model string }

func newCatalogues() *catalogues { return &catalogues{known: map[catalogueKey]*catalogue{}} }

// of returns the catalogue of a model with the attributes of a table. Catalogues of models that are no longer served
// are dropped when another is made.
func (c *catalogues) of(
	serving *modelstore.Serving, table *attributes.Table, served func() []*modelstore.Serving,
) *catalogue {
	key := catalogueKey{serving.Group, serving.Loaded.ModelID}
	c.mu.RLock()
	known := c.known[key]
	c.mu.RUnlock()
	if known != nil && known.table == table && known.loaded == serving.Loaded {
		return known
	}
	made, _, _ := c.making.Do(key.group+" "+key.model, func() (any, error) {
		made := newCatalogue(serving.Loaded, table)
		c.mu.Lock()
		defer c.mu.Unlock()
		for old := range c.known {
			if !slices.ContainsFunc(served(), func(s *modelstore.Serving) bool {
				return old == catalogueKey{s.Group, s.Loaded.ModelID}
			}) {
				delete(c.known, old)
			}
		}
		c.known[key] = made
		return made, nil
	})
	if shared := made.(*catalogue); shared.table == table && shared.loaded == serving.Loaded {
		return shared
	}
	return newCatalogue(serving.Loaded, table) // the shared one has another table: this one was swapped in just now
}

func newCatalogue(loaded *modelstore.Loaded, table *attributes.Table) *catalogue {
	plain := ranking.NewCatalogue(loaded.Recipe, loaded.Model.Items())
	return &catalogue{Catalogue: plain.WithAttributes(table.Table, table), table: table, loaded: loaded}
}

// newestItems lists the newest items, the newest first, and reports whether the list was made by this call.
func (c *catalogue) newestItems(now time.Time) (items []exploration.ColdItem, fresh bool) {
	list := c.newest.Load()
	if list != nil && (now.Sub(list.made) < newestFor || !c.newestMaking.TryLock()) {
		return list.items, false
	}
	if list == nil {
		c.newestMaking.Lock()
	}
	defer c.newestMaking.Unlock()
	next := &newestList{made: now, items: c.Newest(c.loaded.Novelty)}
	c.newest.Store(next)
	return next.items, true
}
