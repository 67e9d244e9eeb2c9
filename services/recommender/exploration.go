package recommender

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/schema"
)

// What Personalize takes where a campaign says nothing.
const (
	defaultExplorationWeight = 0.3
	defaultExplorationDays   = 30
)

const (
	// exploredAtMost bounds the cold items that a request looks at: the newest.
	exploredAtMost = 1000
	// coldFor is how long the list of cold items is used before it is made anew.
	coldFor = time.Minute
	// explorationSlot is how long a visitor sees the same cold items.
	explorationSlot = time.Hour
	// enoughShown is how often a cold item must be shown or chosen until it is lifted half as often.
	enoughShown = 100
)

// exploration is what a request explores: cold items, whose scores are lifted.
//
// A cold item's distance to the best item shrinks by a share that is drawn anew for each visitor, item, model and hour: of
// the exponential distribution, with a mean of the campaign's weight, divided by 1 + n/100 where n is how often the item
// was shown or chosen. So with the weight 0.3 one in thirty new items reaches the top of a list, with 1 one in three, and
// an item that nobody chooses makes room for others.
type exploration struct {
	weight float64
	before map[int32]float32 // the scores of the lifted items before that
	worst  float32           // see lifted
}

// explores says whether a campaign's or recommender's answers explore.
func (s *Service) explores(serving *modelstore.Serving) bool {
	weight, _ := explorationOf(serving)
	return s.config.Explore && weight > 0
}

// explorationOf reads the settings, which the control plane has checked.
func explorationOf(serving *modelstore.Serving) (weight float64, maxAge time.Duration) {
	if !serving.Loaded.Recipe.Explores {
		return 0, 0
	}
	settings := serving.Exploration()
	number := func(name string, or float64) float64 {
		if v, err := strconv.ParseFloat(settings[name], 64); err == nil {
			return v
		}
		return or
	}
	days := number("explorationItemAgeCutOff", defaultExplorationDays)
	return number("explorationWeight", defaultExplorationWeight), time.Duration(min(days*24, 24*36500) * float64(time.Hour))
}

// explore lifts the scores of cold items. Without attributes of the items it does not know any, and lifts none.
func (s *Service) explore(serving *modelstore.Serving, asked question, scores []float32) *exploration {
	weight, maxAge := explorationOf(serving)
	if !s.config.Explore || weight <= 0 {
		return nil
	}
	table := s.attributes.Loaded(serving.Group, schema.Items)
	if table == nil || table.Schema == nil {
		return nil
	}
	now := s.config.Now()
	cold, fresh := s.alignments.of(serving, table, s.config.Models.All).coldItems(now)
	if fresh {
		s.impressions.track(serving.Group, cold)
	}
	if len(cold) == 0 || now.Sub(time.Unix(cold[0].created, 0)) > maxAge {
		return nil
	}
	top := model.Never
	for _, score := range scores {
		if score > top {
			top = score
		}
	}
	e := &exploration{weight: weight, before: map[int32]float32{}}
	slot := strconv.FormatInt(now.UnixNano()/int64(explorationSlot), 10)
	visitor := seedOf(asked.userID, serving.Loaded.ModelID, slot)
	oldest := now.Add(-maxAge).Unix()
	for _, c := range cold {
		if c.created < oldest {
			break
		}
		score := scores[c.item]
		if score == model.Never {
			continue
		}
		drawn := -math.Log(1 - uniform(visitor, uint64(c.item)))
		share := min(weight*drawn/(1+float64(s.impressions.of(serving.Group, c.id))/enoughShown), 1)
		e.before[c.item] = score
		scores[c.item] = score + float32(share)*(top-score)
	}
	return e
}

// coldItem is an item that may be explored.
type coldItem struct {
	item    int32
	id      string
	created int64 // seconds
}

// coldList is the newest items of a model by CREATION_TIMESTAMP. Items without one are never explored: nothing says that
// they are new.
type coldList struct {
	items []coldItem
	made  time.Time
}

// coldItems lists the newest items, the newest first, and reports whether the list was made just now.
func (a *aligned) coldItems(now time.Time) (items []coldItem, fresh bool) {
	list := a.cold.Load()
	if list != nil && (now.Sub(list.made) < coldFor || !a.coldMaking.TryLock()) {
		return list.items, false
	}
	if list == nil {
		a.coldMaking.Lock()
	}
	defer a.coldMaking.Unlock()
	next := &coldList{made: now}
	for item, row := range a.rows {
		if created := createdAt(a.table, row); created > 0 {
			next.items = append(next.items, coldItem{item: int32(item), created: created})
		}
	}
	slices.SortFunc(next.items, func(x, y coldItem) int {
		return cmp.Or(cmp.Compare(y.created, x.created), cmp.Compare(x.item, y.item))
	})
	next.items = slices.Clone(next.items[:min(len(next.items), exploredAtMost)])
	for i := range next.items {
		next.items[i].id = a.model.Model.Items().ID(int(next.items[i].item))
	}
	a.cold.Store(next)
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

// uniform draws from [0,1), always the same for the same numbers.
func uniform(seed, n uint64) float64 {
	x := seed ^ (n+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}

// judge notes what it takes to be in the list without being lifted.
func (e *exploration) judge(picks []pick, scores []float32) {
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
func (e *exploration) lifted(item int32) bool {
	if e == nil || item < 0 {
		return false
	}
	before, cold := e.before[item]
	return cold && before < e.worst
}
