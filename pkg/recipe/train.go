package recipe

import (
	"context"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/affinity"
	"github.com/penchant-io/penchant/pkg/model/hrnn"
	"github.com/penchant-io/penchant/pkg/model/nextaction"
	"github.com/penchant-io/penchant/pkg/model/popularity"
	"github.com/penchant-io/penchant/pkg/model/related"
	"github.com/penchant-io/penchant/pkg/model/semantic"
	"github.com/penchant-io/penchant/pkg/model/similar"
	"github.com/penchant-io/penchant/pkg/model/sims"
	"github.com/penchant-io/penchant/pkg/model/stack"
	"github.com/penchant-io/penchant/pkg/model/trending"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// A domain use case shares the training of a recipe for solutions and has none of its parameters: each training gives
// the parameters that are absent the values below.

// learns makes a training of functions that return the model type of their package.
func learns[M model.Model](
	train func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (M, error),
	load func(parts map[string][]byte) (M, error),
) training {
	return training{
		train: func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (model.Model, error) {
			return model.Of(train(ctx, ts, p, o))
		},
		load: func(parts map[string][]byte) (model.Model, error) {
			return model.Of(load(parts))
		},
	}
}

// every returns the training with how often a model must be trained again.
func (t training) every(interval func(p Params) time.Duration) training {
	t.interval = interval
	return t
}

var popularityCount = learns(
	func(ctx context.Context, ts *trainingset.Set, _ Params, o Options) (*popularity.Model, error) {
		return popularity.Train(ctx, ts, o.Progress)
	}, popularity.Load)

// trendFrequency names the parameter of aws-trending-now, trendFrequencies what it may be.
const trendFrequency = "trend_discovery_frequency"

var trendFrequencies = []string{"30 min", "30 minutes", "1h", "1 hour", "3h", "3 hours", "1 day"}

var trendIntervals = map[string]time.Duration{
	"30 min": 30 * time.Minute, "30 minutes": 30 * time.Minute,
	"1h": time.Hour, "1 hour": time.Hour,
	"3h": 3 * time.Hour, "3 hours": 3 * time.Hour,
	"1 day": 24 * time.Hour,
}

const usualTrendInterval = 3 * time.Hour

func trendInterval(p Params) time.Duration {
	if interval, ok := trendIntervals[p.String(trendFrequency)]; ok {
		return interval
	}
	return usualTrendInterval
}

var trendingNow = learns(
	func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (*trending.Model, error) {
		return trending.Train(ctx, ts, trending.Config{Interval: trendInterval(p), Progress: o.Progress})
	}, trending.Load).every(trendInterval)

var similarInteractions = learns(
	func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (*related.Model, error) {
		return sims.Train(ctx, ts, sims.Config{
			PopularityDiscount: p.Float("popularity_discount_factor"),
			MinCointeractions:  p.Int("min_cointeraction_count"),
			Users:              percentiles(p, "user_history_length_percentile"),
			Items:              percentiles(p, "item_interaction_count_percentile"),
			Threads:            o.Threads,
			Progress:           o.Progress,
		})
	}, sims.Load)

// similarItems relates items; metadata is its weight for items with many interactions.
func similarItems(metadata float64) training {
	const usualDim = 100
	return learns(func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (*related.Model, error) {
		return similar.Train(ctx, ts, similar.Config{
			Neighbours: p.intOr("item_id_hidden_dim", usualDim),
			Attributes: p.intOr("item_metadata_hidden_dim", usualDim),
			Content:    metadata,
			Threads:    o.Threads,
			Progress:   o.Progress,
		})
	}, similar.Load)
}

var semanticSimilarity = learns(
	func(ctx context.Context, ts *trainingset.Set, _ Params, o Options) (*related.Model, error) {
		return semantic.Train(ctx, ts, semantic.Config{Threads: o.Threads, Progress: o.Progress})
	}, semantic.Load)

// ensemble is the stack of models whose weights the data decide: the default for users and for rankings.
var ensemble = learns(
	func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (model.Model, error) {
		c := stack.DefaultConfig()
		c.Dim = p.intOr("hidden_dimension", c.Dim)
		c.Unroll = p.intIfGiven("bptt", 0)
		c.Recency = recency(p)
		c.Users = percentiles(p, "user_history_length_percentile")
		c.Seed = o.Seed
		c.Threads = o.Threads
		c.Progress = o.Progress
		return stack.Train(ctx, ts, c)
	}, stack.Load)

// recency reports whether newer interactions count more, by the name that either generation of recipes has for it; use
// cases have none.
func recency(p Params) bool { return p.boolOr("recency_mask", p.boolOr("apply_recency_bias", true)) }

func networkConfig(p Params, o Options) hrnn.Config {
	c := hrnn.DefaultConfig()
	c.Dim = p.intOr("hidden_dimension", c.Dim)
	c.Unroll = p.intIfGiven("bptt", 0)
	c.Recency = recency(p)
	c.Users = percentiles(p, "user_history_length_percentile")
	c.Seed = o.Seed
	c.Threads = o.Threads
	c.Progress = o.Progress
	return c
}

func recurrentNetwork(metadata bool) training {
	return learns(func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (*hrnn.Model, error) {
		c := networkConfig(p, o)
		c.Metadata = metadata
		return hrnn.Train(ctx, ts, c)
	}, hrnn.Load)
}

var coldStart = learns(
	func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (*hrnn.Model, error) {
		c := networkConfig(p, o)
		c.Metadata = true
		cold := coldItems(ts, p)
		c.Lift = func(id string) bool { return cold[id] }
		return hrnn.Train(ctx, ts, c)
	}, hrnn.Load)

var nextBestAction = learns(
	func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (*nextaction.Model, error) {
		return nextaction.Train(ctx, ts, nextaction.Config{
			Period: time.Duration(p.Int("action_optimization_period")) * 24 * time.Hour,
			Seed:   o.Seed, Threads: o.Threads, Progress: o.Progress,
		})
	}, nextaction.Load)

var userSegments = learns(
	func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (*affinity.Model, error) {
		return affinity.Train(ctx, ts, affinity.Config{
			Dim: p.Int("hidden_dimension"), Seed: o.Seed, Threads: o.Threads, Progress: o.Progress,
		})
	}, affinity.Load)

// percentiles are everybody for recipes without the parameters.
func percentiles(p Params, name string) model.Percentiles {
	if _, ok := p.values["max_"+name]; !ok {
		return model.All
	}
	return model.Percentiles{Min: p.Float("min_" + name), Max: p.Float("max_" + name)}
}

func itemsOf(ts *trainingset.Set) *model.Items {
	items, _ := model.Popular(ts)
	return items
}
