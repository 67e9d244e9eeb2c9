// Package eval measures a recipe on a data set the way Amazon Personalize does: it holds back a tenth of the users,
// trains on the others, shows the model the older part of each held-back user's interactions and looks for the newer
// part among its recommendations. The retrainer calls it before it trains the model that serves, and keeps the metrics
// with the solution version.
package eval

import (
	"context"
	"fmt"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Metrics holds the values of GetSolutionMetrics by their names, rounded to four decimals: coverage,
// mean_reciprocal_rank_at_25, normalized_discounted_cumulative_gain_at_5, _10 and _25, precision_at_5, _10 and _25;
// with an objective also average_rewards_at_k. What trends has trend_prediction_accuracy instead, user segmentation
// coverage, hits_at_1_percent and recall_at_1_percent.
type Metrics map[string]float64

// Report is what Run measures. It holds nothing that depends on when or where it was made.
type Report struct {
	Metrics Metrics `json:"metrics"`
	// Popularity is what the same users would find among the most popular items: the bar for everything else.
	Popularity Metrics `json:"popularity"`
	// TestUsers is the number of held-back users of whom something could be found.
	TestUsers int `json:"testUsers"`
	// Detail is what Personalize does not tell; nil where it has no meaning: for what trends, and for user
	// segmentation.
	Detail *Detail `json:"detail,omitempty"`
}

// Personalize is the metrics of a recipe on a training set.
func Personalize(
	ctx context.Context, r *recipe.Recipe, ts *trainingset.Set, params recipe.Params, o recipe.Options,
) (Metrics, error) {
	report, err := Run(ctx, r, params, ts, o)
	return report.Metrics, err
}

// Gain is the metric that candidates are compared by if nothing else is asked for.
const Gain = "normalized_discounted_cumulative_gain_at_25"

// Run trains the recipe on the users that are not held back and measures the model on those that are. The same set,
// parameters and seed give the same report.
func Run(
	ctx context.Context, r *recipe.Recipe, params recipe.Params, ts *trainingset.Set, o recipe.Options,
) (Report, error) {
	fit := func(part *trainingset.Set) (model.Model, error) { return r.Fit(ctx, part, params, o) }
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
	Rest  *trainingset.Set
	tests []testUser
}

// Split holds back a tenth of the users. Splitting the Rest again holds back others: what is tuned on these has never
// seen the first, who then tell how good the result is.
func Split(ts *trainingset.Set) *Holdout {
	rest, tests := split(ts)
	return &Holdout{Rest: rest, tests: tests}
}

// Measure trains the recipe on the rest and measures the model on the held-back users.
func (h *Holdout) Measure(
	ctx context.Context, r *recipe.Recipe, params recipe.Params, o recipe.Options,
) (Report, error) {
	m, err := r.Fit(ctx, h.Rest, params, o)
	if err != nil {
		return Report{}, fmt.Errorf("training without the test users: %w", err)
	}
	popular, _ := model.Popular(h.Rest)
	return h.report(ctx, m.Items(), popular, o.Threads, recommender(m, r.Type))
}

// report measures a model beside popularity.
func (h *Holdout) report(ctx context.Context, items, popular *model.Items, threads int, score scorer) (Report, error) {
	bar, err := h.measure(ctx, popular, threads, alike, nil)
	if err != nil {
		return Report{}, fmt.Errorf("scoring the test users by popularity: %w", err)
	}
	reached, err := h.measure(ctx, items, threads, score, bar.lists)
	if err != nil {
		return Report{}, fmt.Errorf("scoring the test users: %w", err)
	}
	return Report{
		Metrics: reached.metrics(), Popularity: bar.metrics(), TestUsers: len(h.tests), Detail: newDetail(reached, bar),
	}, nil
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

// measure recommends to the test users and averages over them, in their order, whatever the number of threads. bar
// holds what popularity recommends to each; nil where that is measured itself.
func (h *Holdout) measure(
	ctx context.Context, items *model.Items, threads int, score scorer, bar [][]string,
) (*means, error) {
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
	m := newMeans(items.Len())
	m.rewards = newRewards(h.Rest)
	for k, list := range lists {
		ids, hits := make([]string, len(list)), make([]bool, len(list))
		for p, item := range list {
			ids[p] = items.ID(int(item))
			_, hits[p] = h.tests[k].relevant[ids[p]]
		}
		m.rewards.add(items, list, hits)
		shown := min(len(list), listLength)
		m.show(list[:shown])
		m.add(hits[:shown], len(h.tests[k].relevant))
		m.lists = append(m.lists, ids[:shown])
		if bar != nil {
			m.surprise(ids[:shown], hits[:shown], bar[k])
		}
	}
	return m, nil
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
