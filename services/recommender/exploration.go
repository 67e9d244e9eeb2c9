package recommender

import (
	"math"
	"strconv"
	"time"

	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/schema"
)

const (
	// coldFor is how long the list of cold items is used before it is made anew.
	coldFor = time.Minute
	// explorationSlot is how long a visitor sees the same cold items.
	explorationSlot = time.Hour
)

// explored is what a request explores: cold items, whose scores are lifted. What is drawn is another for each visitor, item,
// model and hour.
type explored struct {
	weight float64
	before map[int32]float32 // the scores of the lifted items before that
	worst  float32           // see lifted
}

// explores says whether a campaign's or recommender's answers explore.
func (s *Service) explores(serving *modelstore.Serving) bool {
	return s.config.Explore && explorationOf(serving).Weight > 0
}

func explorationOf(serving *modelstore.Serving) exploration.Settings {
	if !serving.Loaded.Recipe.Explores {
		return exploration.Settings{}
	}
	return exploration.Read(serving.Exploration())
}

// explore lifts the scores of cold items, none while the attributes of items are not loaded yet.
func (s *Service) explore(serving *modelstore.Serving, asked question, scores []float32) *explored {
	settings := explorationOf(serving)
	if !s.config.Explore || settings.Weight <= 0 {
		return nil
	}
	table := s.attributes.Loaded(serving.Group, schema.Items)
	if table == nil {
		return nil
	}
	now := s.config.Now()
	newest, fresh := s.alignments.of(serving, table, s.config.Models.All).newestItems(now)
	if fresh {
		s.impressions.track(serving.Group, newest)
	}
	cold := settings.Cold(newest, now)
	if len(cold) == 0 {
		return nil
	}
	e := &explored{weight: settings.Weight, before: make(map[int32]float32, len(cold))}
	slot := strconv.FormatInt(now.UnixNano()/int64(explorationSlot), 10)
	settings.Lift(scores, cold, exploration.Seed(asked.userID, serving.Loaded.ModelID, slot),
		func(id string) uint32 { return s.impressions.of(serving.Group, id) },
		func(item int32, score float32) { e.before[item] = score })
	return e
}

// newestList is the newest items of a model.
type newestList struct {
	items []exploration.ColdItem
	made  time.Time
}

// newestItems lists the newest items, the newest first, and reports whether the list was made just now.
func (a *aligned) newestItems(now time.Time) (items []exploration.ColdItem, fresh bool) {
	list := a.newest.Load()
	if list != nil && (now.Sub(list.made) < coldFor || !a.newestMaking.TryLock()) {
		return list.items, false
	}
	if list == nil {
		a.newestMaking.Lock()
	}
	defer a.newestMaking.Unlock()
	next := &newestList{made: now, items: exploration.Newest(a.model.Model.Items(), a.model.Novelty, func(item int) int64 {
		return a.table.Created(a.rows[item])
	})}
	a.newest.Store(next)
	return next.items, true
}

// exploring are the groups whose answers explore.
func (s *Service) exploring() map[string]bool {
	groups := map[string]bool{}
	for _, serving := range s.config.Models.All() {
		if s.explores(serving) {
			groups[serving.Group] = true
		}
	}
	return groups
}

// judge notes what it takes to be in the list without being lifted.
func (e *explored) judge(picks []pick, scores []float32) {
	if e == nil {
		return
	}
	e.worst = float32(math.Inf(1))
	for _, p := range picks {
		if _, cold := e.before[p.item]; p.item >= 0 && !cold {
			e.worst = min(e.worst, scores[p.item])
		}
	}
}

// lifted reports whether an item is in the list because it was lifted.
func (e *explored) lifted(item int32) bool {
	if e == nil || item < 0 {
		return false
	}
	before, cold := e.before[item]
	return cold && before < e.worst
}
