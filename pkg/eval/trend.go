package eval

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// runTrend measures a recipe that recommends what is rising: is what it recommends before the newest interval what
// rises in it? An item grows by the number of its interactions in the newest interval above that in the interval
// before.
//
//	trend_prediction_accuracy  the growth of the 25 items recommended over the growth of the 25 that grow most, 0 at least
//
// There is nobody to hold back, so the other metrics of recommendations for users are left out.
func runTrend(
	ctx context.Context, ts *trainingset.Set, interval time.Duration, fit func(*trainingset.Set) (model.Model, error),
) (Report, error) {
	before, growth := splitTime(ts, interval)
	m, err := fit(before)
	if err != nil {
		return Report{}, fmt.Errorf("training without the newest interval: %w", err)
	}
	scores := make([]float32, m.Items().Len())
	if err := m.Score(model.Query{}, scores); err != nil {
		return Report{}, fmt.Errorf("scoring what rises: %w", err)
	}
	popular, _ := model.Popular(before)
	most := slices.Sorted(func(yield func(float64) bool) {
		for _, g := range growth {
			if !yield(-g) {
				return
			}
		}
	})
	best := 0.0
	for _, g := range most[:min(listLength, len(most))] {
		best += max(-g, 0)
	}
	accuracy := func(items *model.Items, list []int32) Metrics {
		grown := 0.0
		for _, i := range list {
			grown += growth[items.ID(int(i))]
		}
		if best == 0 {
			return Metrics{trendAccuracy: 0}
		}
		return Metrics{trendAccuracy: round(max(grown, 0) / best)}
	}
	return Report{
		Metrics:    accuracy(m.Items(), model.TopK(scores, listLength, nil)),
		Popularity: accuracy(popular, model.TopK(make([]float32, popular.Len()), listLength, nil)),
	}, ctx.Err()
}

const trendAccuracy = "trend_prediction_accuracy"

// splitTime cuts off the newest interval, and tells by how much each item grows in it.
func splitTime(ts *trainingset.Set, interval time.Duration) (*trainingset.Set, map[string]float64) {
	growth := map[string]float64{}
	if len(ts.TimeMS) == 0 {
		return ts, growth
	}
	cut := slices.Max(ts.TimeMS) - interval.Milliseconds()
	for e, i := range ts.Item {
		switch item := ts.Items[i]; {
		case ts.TimeMS[e] > cut:
			growth[item] += float64(ts.EventWeight(e))
		case ts.TimeMS[e] > cut-interval.Milliseconds():
			growth[item] -= float64(ts.EventWeight(e))
		}
	}
	return ts.Subset(func(_, event int) bool { return ts.TimeMS[event] <= cut }), growth
}
