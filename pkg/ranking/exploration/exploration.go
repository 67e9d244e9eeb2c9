// Package exploration shows new items on purpose: it lifts the scores of cold items, as far as a campaign's,
// recommender's or batch inference job's itemExplorationConfig asks for. It works on models of recipes that explore.
//
// A cold item's distance to the best item shrinks by a share that is drawn for each visitor and item: of the
// exponential distribution, with a mean of the weight, divided by 1 + n/100 where n is how often the item was shown,
// and 20 for each time that it was chosen. So with the weight 0.3 one in thirty new items reaches the top of a list,
// with 1 one in three, and an item that nobody chooses makes room for others.
package exploration

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/penchant-io/penchant/pkg/model"
)

// Personalize's defaults.
const (
	defaultWeight = 0.3
	defaultDays   = 30
)

const (
	// AtMost bounds the cold items that an answer looks at: the newest.
	AtMost = 1000
	// enoughShown is how often a cold item must be shown or chosen until it is lifted half as often.
	enoughShown = 100
	// InteractionWorth is how often an item must be shown for as much to be known of it as by one interaction.
	InteractionWorth = 20
)

// Settings are how much is explored. The zero value explores nothing.
type Settings struct {
	// Weight is 0 to 1.
	Weight float64
	// MaxAge is up to what age an item is cold.
	MaxAge time.Duration
}

// Read reads an itemExplorationConfig, which the control plane has checked.
func Read(config map[string]string) Settings {
	number := func(name string, or float64) float64 {
		if v, err := strconv.ParseFloat(config[name], 64); err == nil {
			return v
		}
		return or
	}
	days := number("explorationItemAgeCutOff", defaultDays)
	maxAge := time.Duration(min(days*24, 24*36500) * float64(time.Hour))
	return Settings{number("explorationWeight", defaultWeight), maxAge}
}

// ColdItem is an item that may be explored.
type ColdItem struct {
	Item    int32 // of the model
	ID      string
	Created int64 // seconds
	// Interactions of the training.
	Interactions int64
}

// Newest lists the newest items of a catalogue, the newest first. created looks up the creation in the Items dataset as
// it is now. Where that returns 0 the model's novelty counts, which may be nil. Items without a known creation are
// never explored.
func Newest(items *model.Items, novelty *Novelty, created func(item int) int64) []ColdItem {
	if novelty == nil {
		novelty = newNovelty(items.Len())
	}
	var all []ColdItem
	for item := range items.Len() {
		if at := cmp.Or(created(item), novelty.Created[item]); at > 0 {
			all = append(all, ColdItem{Item: int32(item), Created: at, Interactions: novelty.Interactions[item]})
		}
	}
	slices.SortFunc(all, func(x, y ColdItem) int {
		return cmp.Or(cmp.Compare(y.Created, x.Created), cmp.Compare(x.Item, y.Item))
	})
	newest := slices.Clone(all[:min(len(all), AtMost)])
	for i := range newest {
		newest[i].ID = items.ID(int(newest[i].Item))
	}
	return newest
}

// Cold are those of the newest items that are not too old.
func (s Settings) Cold(newest []ColdItem, now time.Time) []ColdItem {
	oldest := now.Add(-s.MaxAge).Unix()
	end := slices.IndexFunc(newest, func(c ColdItem) bool { return c.Created < oldest })
	if end < 0 {
		return newest
	}
	return newest[:end]
}

// Lift lifts the scores of cold items, by draws that the seed decides, and calls was with what each score was before.
// shown returns how often an item was shown since the training, InteractionWorth for each time that it was chosen; nil:
// never.
func (s Settings) Lift(
	scores []float32, cold []ColdItem, seed uint64,
	shown func(id string) uint32, was func(item int32, score float32),
) {
	top := model.Never
	for _, score := range scores {
		if score > top {
			top = score
		}
	}
	for _, c := range cold {
		score := scores[c.Item]
		if score == model.Never {
			continue
		}
		n := float64(c.Interactions) * InteractionWorth
		if shown != nil {
			n += float64(shown(c.ID))
		}
		drawn := -math.Log(1 - uniform(seed, uint64(c.Item)))
		share := min(s.Weight*drawn/(1+n/enoughShown), 1)
		if was != nil {
			was(c.Item, score)
		}
		scores[c.Item] = score + float32(share)*(top-score)
	}
}

// Seed makes a seed of texts: the same for the same texts, in all processes.
func Seed(texts ...string) uint64 {
	d := xxhash.New()
	for _, text := range texts {
		_, _ = d.WriteString(text) // it cannot fail
		_, _ = d.Write([]byte{0})
	}
	return d.Sum64()
}

// uniform draws from [0,1), always the same for the same numbers.
func uniform(seed, n uint64) float64 {
	x := seed ^ (n+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}
