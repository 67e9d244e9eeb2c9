package eval

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
)

// runTrend measures a recipe that recommends what is rising: is what it recommends before the newest interval what rises in
// it? An item grows by the number of its interactions in the newest interval above that in the interval before.
//
//	trend_prediction_accuracy  the growth of the 25 items recommended over the growth of the 25 that grow most, 0 at least
//
// There is nobody to hold back, so the other metrics of recommendations for users are left out.
func runTrend(ctx context.Context, ts *dataset.TrainingSet, interval time.Duration, fit func(*dataset.TrainingSet) (model.Model, error)) (Report, error) {
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
func splitTime(ts *dataset.TrainingSet, interval time.Duration) (*dataset.TrainingSet, map[string]float64) {
	growth := map[string]float64{}
	before := *ts
	before.Users, before.UserStart, before.UserRows = nil, []int32{0}, map[int32]reco.Entity{}
	before.Item, before.TimeMS, before.Type, before.Value, before.Weight = nil, nil, nil, nil, nil
	if len(ts.TimeMS) == 0 {
		return &before, growth
	}
	cut := slices.Max(ts.TimeMS) - interval.Milliseconds()
	for u, id := range ts.Users {
		start, end := ts.UserEvents(u)
		for e := start; e < end; e++ {
			item := ts.Items[ts.Item[e]]
			if ts.TimeMS[e] > cut {
				growth[item] += float64(ts.EventWeight(e))
				continue
			}
			if ts.TimeMS[e] > cut-interval.Milliseconds() {
				growth[item] -= float64(ts.EventWeight(e))
			}
			before.Item, before.TimeMS = append(before.Item, ts.Item[e]), append(before.TimeMS, ts.TimeMS[e])
			before.Type, before.Value = append(before.Type, ts.Type[e]), append(before.Value, ts.Value[e])
			if ts.Weight != nil {
				before.Weight = append(before.Weight, ts.Weight[e])
			}
		}
		if len(before.Item) == int(before.UserStart[len(before.Users)]) {
			continue
		}
		if row, ok := ts.UserRows[int32(u)]; ok {
			before.UserRows[int32(len(before.Users))] = row
		}
		before.Users = append(before.Users, id)
		before.UserStart = append(before.UserStart, int32(len(before.Item)))
	}
	return &before, growth
}
