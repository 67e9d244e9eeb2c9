package recipe

import (
	"math"
	"time"

	"github.com/penchant-io/penchant/pkg/dataset"
)

// What cold_start_relative_from may be.
const (
	latestItem  = "latestItem"
	currentTime = "currentTime"
)

// How many cold items aws-hrnn-coldstart takes.
const (
	minColdItems = 100
	maxColdItems = 80_000
)

func needsColdItems(ts *dataset.TrainingSet, p Params) error {
	if n := len(coldItems(ts, p)); n < minColdItems || n > maxColdItems {
		return unsuitable("Dataset has %d cold items, the recipe needs from %d to %d", n, minColdItems, maxColdItems)
	}
	return nil
}

// coldItems are the items with at most cold_start_max_interactions interactions that appeared at most
// cold_start_max_duration days before the newest item (latestItem) or the newest interaction (currentTime: a training
// depends on its data, not on the clock). An item appeared at its CREATION_TIMESTAMP, or else with its first interaction,
// or else with the newest interaction of all: it is new.
func coldItems(ts *dataset.TrainingSet, p Params) map[string]bool {
	count, first := make([]int, len(ts.Items)), make([]int64, len(ts.Items))
	newest := int64(math.MinInt64)
	for e, i := range ts.Item {
		if count[i] == 0 || ts.TimeMS[e] < first[i] {
			first[i] = ts.TimeMS[e]
		}
		count[i]++
		newest = max(newest, ts.TimeMS[e])
	}
	latest := int64(math.MinInt64)
	for i := range first {
		created, ok := ts.ItemRows[int32(i)].Properties["CREATION_TIMESTAMP"].(int64)
		switch {
		case ok:
			first[i] = created * 1000
		case count[i] == 0:
			first[i] = newest
		}
		latest = max(latest, first[i])
	}
	since := latest
	if p.String("cold_start_relative_from") == currentTime {
		since = newest
	}
	since -= int64(p.Float("cold_start_max_duration") * float64((24 * time.Hour).Milliseconds()))
	cold := map[string]bool{}
	for i, id := range ts.Items {
		if count[i] <= p.Int("cold_start_max_interactions") && first[i] >= since {
			cold[id] = true
		}
	}
	return cold
}
