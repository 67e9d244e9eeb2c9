package ials

import (
	"context"
	"math"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Calibration tries these temperatures, each a quarter larger than the one before, on up to so many users, fewer where
// the catalogue is so large that scoring it for all of them would take longer than the training.
const (
	lowestTemperature = 0.01
	temperatures      = 21
	calibrationUsers  = 500
	calibrationScores = 4 << 20
)

// calibrate chooses the temperature under which the softmax of the scores gives the newest interaction of a sample of
// users, folded without it, the highest likelihood. What a user has seen before does not compete, as in most answers.
// The factors have seen these interactions, so the scores are somewhat too sure of themselves: they are shares to
// compare items by, not probabilities.
func (m *Model) calibrate(ctx context.Context, ts *trainingset.Set, threads int) error {
	sample := calibrationSample(ts, min(calibrationUsers, max(20, calibrationScores/max(m.items.Len(), 1))))
	likelihood := make([][temperatures]float64, len(sample)) // by user and temperature
	scores := make([][]float32, model.Threads(threads))
	err := model.Blocks(ctx, len(sample), 1, threads, func(worker, from, _ int) {
		if scores[worker] == nil {
			scores[worker] = make([]float32, m.items.Len())
		}
		likelihood[from] = m.newestLikelihood(ts, sample[from], scores[worker])
	})
	if err != nil {
		return err
	}
	best, chosen := math.Inf(-1), 1.0
	for k := range temperatures {
		sum := 0.0
		for _, l := range likelihood {
			sum += l[k]
		}
		if sum > best {
			best, chosen = sum, temperature(k)
		}
	}
	m.temperature = chosen
	return nil
}

func temperature(k int) float64 { return lowestTemperature * math.Pow(1.25, float64(k)) }

// calibrationSample takes users with a past, evenly from all.
func calibrationSample(ts *trainingset.Set, n int) []int {
	var users []int
	for u := range ts.Users {
		if start, end := ts.UserEvents(u); end-start >= 2 {
			users = append(users, u)
		}
	}
	if len(users) <= n {
		return users
	}
	sample := make([]int, n)
	for k := range sample {
		sample[k] = users[len(users)*k/n]
	}
	return sample
}

// newestLikelihood is the logarithm of the share of the user's newest item, for each temperature.
func (m *Model) newestLikelihood(ts *trainingset.Set, u int, scores []float32) (likelihood [temperatures]float64) {
	history := ts.History(u)
	newest := history[len(history)-1].ItemID
	history = history[max(0, len(history)-1-m.fold.history) : len(history)-1]
	if m.Score(model.Query{History: history}, scores) != nil {
		return likelihood // only for scores of another length than the catalogue's
	}
	target, _ := m.items.Index(newest)
	for _, h := range history {
		if i, ok := m.items.Index(h.ItemID); ok && i != target {
			scores[i] = model.Never
		}
	}
	top := model.Never
	for _, s := range scores {
		top = max(top, s)
	}
	for k := range likelihood {
		t, sum := temperature(k), 0.0
		for _, s := range scores {
			sum += math.Exp(float64(s-top) / t)
		}
		likelihood[k] = float64(scores[target]-top)/t - math.Log(sum)
	}
	return likelihood
}
