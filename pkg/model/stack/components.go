package stack

import (
	"context"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/model/hrnn"
	"github.com/penchant-io/penchant/pkg/model/ials"
	"github.com/penchant-io/penchant/pkg/model/knn"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/model/ridge"
	"github.com/penchant-io/penchant/pkg/model/rules"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// kind says what is the same for all components of a name.
type kind struct {
	name string
	// sparse components know few items for each of the history, and score all others alike.
	sparse bool
	// folds is true where the component can fold the stack's vector: the last that can does it.
	folds bool
	// share is about how much of a training's time it takes.
	share float64
	// decays are the choices for how fast a linear component forgets a history; none: it stays as it is.
	decays []float64
	algorithm
	// worth reports whether the training set can gain from it.
	worth func(ts *trainingset.Set) bool
}

// algorithm trains and loads a component.
type algorithm struct {
	train func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (model.Model, error)
	load  func(parts map[string][]byte) (model.Model, error)
}

// learns makes an algorithm of functions that return the model type of their package.
func learns[M model.Model](
	train func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (M, error),
	load func(parts map[string][]byte) (M, error),
) algorithm {
	return algorithm{
		train: func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (model.Model, error) {
			return model.Of(train(ctx, ts, c, progress))
		},
		load: func(parts map[string][]byte) (model.Model, error) {
			return model.Of(load(parts))
		},
	}
}

// enoughForNetwork is how many interactions a network needs to learn anything.
const enoughForNetwork = 2000

// kinds are all components, in the order in which they are trained and stored.
var kinds = []kind{
	{
		name: "rules", sparse: true, share: 0.01, decays: []float64{0.3, 0.5, 0.7, 0.9}, worth: always,
		algorithm: learns(func(
			ctx context.Context, ts *trainingset.Set, c Config, progress func(float64),
		) (*linear.Model, error) {
			r := rules.DefaultConfig()
			r.Threads, r.Progress = c.Threads, progress
			return rules.Train(ctx, ts, r)
		}, rules.Load),
	},
	{
		name: "neighbours", sparse: true, share: 0.02, decays: []float64{0.5, 0.7, 0.9, 1}, worth: always,
		algorithm: learns(func(
			ctx context.Context, ts *trainingset.Set, c Config, progress func(float64),
		) (*linear.Model, error) {
			k := knn.DefaultConfig()
			k.Threads, k.Progress = c.Threads, progress
			return knn.Train(ctx, ts, k)
		}, knn.Load),
	},
	{
		name: "ridge", sparse: true, share: 0.1, worth: always,
		algorithm: learns(func(
			ctx context.Context, ts *trainingset.Set, c Config, progress func(float64),
		) (*linear.Model, error) {
			r := ridge.ConfigFor(len(ts.Items))
			r.Threads, r.Progress = c.Threads, progress
			return ridge.Train(ctx, ts, r)
		}, ridge.Load),
	},
	{
		name: "ease", sparse: true, share: 0.02, decays: []float64{0.8, 0.9, 1}, worth: always,
		algorithm: learns(func(
			ctx context.Context, ts *trainingset.Set, c Config, progress func(float64),
		) (*linear.Model, error) {
			r := ridge.EASEConfig()
			r.Threads, r.Progress = c.Threads, progress
			return ridge.Train(ctx, ts, r)
		}, ridge.LoadEASE),
	},
	{
		name: contentName, sparse: true, share: 0.01, decays: []float64{0.2, 0.8, 0.95},
		worth: func(ts *trainingset.Set) bool { return content.Has(ts, content.Category, content.Number) },
		algorithm: learns(func(
			ctx context.Context, ts *trainingset.Set, _ Config, progress func(float64),
		) (*content.Model, error) {
			return trainContent(ctx, ts, progress)
		}, content.Load),
	},
	{
		name: "factors", folds: true, share: 0.02, worth: always,
		algorithm: learns(func(
			ctx context.Context, ts *trainingset.Set, c Config, progress func(float64),
		) (*ials.Model, error) {
			f := ials.DefaultConfig()
			f.Uncalibrated = true // scores are standardised
			f.Dim, f.Users, f.Seed, f.Threads, f.Progress = min(c.Dim, factorsDim), c.Users, c.Seed, c.Threads, progress
			return ials.Train(ctx, ts, f)
		}, ials.Load),
	},
	{
		name: networkName, folds: true, share: 0.8,
		worth: func(ts *trainingset.Set) bool { return ts.Events() >= enoughForNetwork },
		algorithm: learns(func(
			ctx context.Context, ts *trainingset.Set, c Config, progress func(float64),
		) (*hrnn.Model, error) {
			n := hrnn.DefaultConfig()
			n.Metadata, n.Recency, n.Unroll = true, c.Recency, c.Unroll
			n.Users, n.Seed, n.Threads, n.Progress = c.Users, c.Seed, c.Threads, progress
			return hrnn.Train(ctx, ts, n)
		}, hrnn.Load),
	},
}

// factorsDim is the most factors that a component has: more are slower, and the other components know what these would.
const factorsDim = 64

func always(*trainingset.Set) bool { return true }

func kindOf(name string) (kind, bool) {
	k := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if k < 0 {
		return kind{}, false
	}
	return kinds[k], true
}

// networkName is the component whose scores of unseen items count.
const networkName = "network"

// contentName is the component that Extend trains again: it knows no interactions.
const contentName = "content"

func trainContent(ctx context.Context, ts *trainingset.Set, progress func(float64)) (*content.Model, error) {
	c := content.DefaultConfig()
	c.Progress = progress
	return content.Train(ctx, ts, c)
}

// fading returns the component with another decay; 0 leaves it as it is.
func fading(m model.Model, decay float64) (model.Model, error) {
	if decay == 0 {
		return m, nil
	}
	switch m := m.(type) {
	case *linear.Model:
		return m.Fading(decay)
	case *content.Model:
		return m.Fading(decay)
	}
	return m, nil
}
