// Package eval measures a recipe on a data set the way Amazon Personalize does: it holds back a tenth of the users, trains
// on the others, shows the model the older part of each held-back user's interactions and looks for the newer part among
// its recommendations. The retrainer calls it before it trains the model that serves, and keeps the metrics with the
// solution version.
package eval

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
)

// Metrics holds the values of GetSolutionMetrics by their names, rounded to four decimals: coverage,
// mean_reciprocal_rank_at_25, normalized_discounted_cumulative_gain_at_5, _10 and _25, precision_at_5, _10 and _25; with an
// objective also average_rewards_at_k. What trends has trend_prediction_accuracy instead, user segmentation coverage,
// hits_at_1_percent and recall_at_1_percent.
type Metrics map[string]float64

// Report is what Run measures.
type Report struct {
	Metrics Metrics
	// Popularity is what the same users would find among the most popular items: the bar for everything else.
	Popularity Metrics
	// TestUsers is the number of held-back users of whom something could be found.
	TestUsers int
}

// Personalize is the metrics of a recipe on a training set.
func Personalize(ctx context.Context, r *recipe.Recipe, ts *dataset.TrainingSet, params recipe.Params, o recipe.Options) (Metrics, error) {
	report, err := Run(ctx, r, params, ts, o)
	return report.Metrics, err
}

// Gain is the metric that candidates are compared by if nothing else is asked for.
const Gain = "normalized_discounted_cumulative_gain_at_25"

// Run trains the recipe on the users that are not held back and measures the model on those that are. The same set,
// parameters and seed give the same report.
func Run(ctx context.Context, r *recipe.Recipe, params recipe.Params, ts *dataset.TrainingSet, o recipe.Options) (Report, error) {
	fit := func(part *dataset.TrainingSet) (model.Model, error) { return r.Fit(ctx, part, params, o) }
	switch r.Type {
	case recipe.UserSegmentation:
		return runSegments(ctx, ts, fit)
	case recipe.PersonalizedActions:
		return runActions(ctx, ts, o.Threads, fit)
	}
	if interval := r.Interval(params); interval > 0 {
		return runTrend(ctx, ts, interval, fit)
	}
	return Split(ts).Measure(ctx, r, params, o)
}

// Holdout is a training set that is cut for measuring once, and then used by many candidates.
type Holdout struct {
	// Rest is everything but the held-back users' interactions.
	Rest  *dataset.TrainingSet
	tests []testUser
}

// Split holds back a tenth of the users. Splitting the Rest again holds back others: what is tuned on these has never seen
// the first, who then tell how good the result is.
func Split(ts *dataset.TrainingSet) *Holdout {
	rest, tests := split(ts)
	return &Holdout{Rest: rest, tests: tests}
}

// Measure trains the recipe on the rest and measures the model on the held-back users.
func (h *Holdout) Measure(ctx context.Context, r *recipe.Recipe, params recipe.Params, o recipe.Options) (Report, error) {
	m, err := r.Fit(ctx, h.Rest, params, o)
	if err != nil {
		return Report{}, fmt.Errorf("training without the test users: %w", err)
	}
	popular, _ := model.Popular(h.Rest)
	report := Report{TestUsers: len(h.tests)}
	if report.Metrics, err = h.measure(ctx, m.Items(), o.Threads, recommender(m, r.Type)); err != nil {
		return Report{}, fmt.Errorf("scoring the test users: %w", err)
	}
	if report.Popularity, err = h.measure(ctx, popular, o.Threads, alike); err != nil {
		return Report{}, fmt.Errorf("scoring the test users: %w", err)
	}
	return report, nil
}

// scorer scores a catalogue for a user.
type scorer func(t *testUser, scores []float32) error

// recommender asks a model as the recipe's campaigns would: a related-items recipe for what goes with the last item,
// personalised ranking, whose list is the catalogue, like personalisation.
func recommender(m model.Model, recipeType string) scorer {
	return func(t *testUser, scores []float32) error {
		q := model.Query{History: t.input}
		if recipeType == recipe.RelatedItems {
			q.ItemID = t.input[len(t.input)-1].ItemID
		}
		return m.Score(q, scores)
	}
}

// alike scores all items alike, which ranks them in the order of the catalogue: by popularity.
func alike(_ *testUser, scores []float32) error {
	clear(scores)
	return nil
}

// listLength is how many recommendations a test user gets.
const listLength = 25

// measure averages over the test users, in their order, whatever the number of threads.
func (h *Holdout) measure(ctx context.Context, items *model.Items, threads int, score scorer) (Metrics, error) {
	length := listLength
	if h.Rest.Reward != nil {
		length = rewardedLength
	}
	lists := make([][]int32, len(h.tests))
	failed := make([]error, len(h.tests))
	memory := make([][]float32, model.Threads(threads))
	err := model.Blocks(ctx, len(h.tests), 1, threads, func(worker, k, _ int) {
		if memory[worker] == nil {
			memory[worker] = make([]float32, items.Len())
		}
		lists[k], failed[k] = recommend(items, &h.tests[k], memory[worker], length, score)
	})
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(failed, func(err error) bool { return err != nil }); i >= 0 {
		return nil, failed[i]
	}
	m := means{rewards: newRewards(h.Rest)}
	shown := make([]bool, items.Len())
	for k, list := range lists {
		hits := make([]bool, len(list))
		for p, item := range list {
			_, hits[p] = h.tests[k].relevant[items.ID(int(item))]
		}
		m.rewards.add(items, list, hits)
		list, hits = list[:min(len(list), listLength)], hits[:min(len(list), listLength)]
		for _, item := range list {
			shown[item] = true
		}
		m.add(hits, len(h.tests[k].relevant))
	}
	return m.metrics(shown), nil
}

func recommend(items *model.Items, t *testUser, scores []float32, length int, score scorer) ([]int32, error) {
	if err := score(t, scores); err != nil {
		return nil, err
	}
	for _, h := range t.input {
		if t.again {
			break
		}
		if i, ok := items.Index(h.ItemID); ok {
			scores[i] = model.Never
		}
	}
	return model.TopK(scores, length, nil), nil
}

// cutoffs are the list lengths of the metrics that have one.
var cutoffs = [...]int{5, 10, 25}

// means adds up the metrics of one list after the other.
type means struct {
	lists          int
	reciprocalRank float64
	gain           [len(cutoffs)]float64
	precision      [len(cutoffs)]float64
	rewards        *rewards // nil without an objective
}

// add takes which positions of a list were hits, and how many items there were to find.
func (m *means) add(hits []bool, relevant int) {
	m.lists++
	if first := slices.Index(hits, true); first >= 0 {
		m.reciprocalRank += 1 / float64(first+1)
	}
	for c, k := range cutoffs {
		found, gain := 0, 0.0
		for p, hit := range hits[:min(k, len(hits))] {
			if hit {
				found++
				gain += discount(p + 1)
			}
		}
		m.precision[c] += float64(found) / float64(k)
		m.gain[c] += gain / idealGain(min(k, relevant))
	}
}

// discount is the gain of a hit at a position, counted from 1.
func discount(position int) float64 { return 1 / math.Log(1+float64(position)) }

// idealGain is the gain of a list that begins with n hits.
func idealGain(n int) float64 {
	gain := 0.0
	for p := 1; p <= n; p++ {
		gain += discount(p)
	}
	return gain
}

func (m *means) metrics(shown []bool) Metrics {
	users := float64(max(m.lists, 1))
	distinct := 0
	for _, s := range shown {
		if s {
			distinct++
		}
	}
	metrics := Metrics{
		"coverage":                   round(float64(distinct) / float64(max(len(shown), 1))),
		"mean_reciprocal_rank_at_25": round(m.reciprocalRank / users),
	}
	for c, k := range cutoffs {
		metrics[fmt.Sprintf("normalized_discounted_cumulative_gain_at_%d", k)] = round(m.gain[c] / users)
		metrics[fmt.Sprintf("precision_at_%d", k)] = round(m.precision[c] / users)
	}
	if m.rewards != nil {
		metrics["average_rewards_at_k"] = round(m.rewards.average())
	}
	return metrics
}

func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }
