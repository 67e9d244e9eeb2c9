package recipe

import (
	"math"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/trainingset"
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

func needsColdItems(ts *trainingset.Set, p Params) error {
	return CheckColdItems(int64(len(coldItems(ts, p))))
}

// CheckColdItems reports whether aws-hrnn-coldstart can do with so many cold items. The error is an *UnsuitableError.
func CheckColdItems(n int64) error {
	if n < minColdItems || n > maxColdItems {
		return unsuitable("Dataset has %d cold items, the recipe needs from %d to %d", n, minColdItems, maxColdItems)
	}
	return nil
}

// coldItems are the items with at most cold_start_max_interactions interactions that appeared at most
// cold_start_max_duration days before the newest item (latestItem) or the newest interaction (currentTime: a training
// depends on its data, not on the clock).
func coldItems(ts *trainingset.Set, p Params) map[string]bool {
	appeared, interactions := ts.Appearances()
	times := appeared
	if p.String("cold_start_relative_from") == currentTime {
		times = ts.TimeMS
	}
	since := int64(math.MinInt64)
	if len(times) > 0 {
		since = slices.Max(times) - int64(p.Float("cold_start_max_duration")*float64((24*time.Hour).Milliseconds()))
	}
	cold := map[string]bool{}
	for i, id := range ts.Items {
		if interactions[i] <= p.Int("cold_start_max_interactions") && appeared[i] >= since {
			cold[id] = true
		}
	}
	return cold
}
