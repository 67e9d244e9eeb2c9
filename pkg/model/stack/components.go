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
	load   func(parts map[string][]byte) (model.Model, error)
	train  func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (model.Model, error)
	// worth says whether the training set can gain from it.
	worth func(ts *trainingset.Set) bool
}

// enoughForNetwork is how many interactions a network needs to learn anything.
const enoughForNetwork = 2000

// kinds are all components, in the order in which they are trained and stored.
var kinds = []kind{
	{
		name: "rules", sparse: true, share: 0.01, decays: []float64{0.3, 0.5, 0.7, 0.9}, load: model.Loading(rules.Load), worth: always,
		train: func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (model.Model, error) {
			r := rules.DefaultConfig()
			r.Threads, r.Progress = c.Threads, progress
			return model.Of(rules.Train(ctx, ts, r))
		},
	},
	{
		name: "neighbours", sparse: true, share: 0.02, decays: []float64{0.5, 0.7, 0.9, 1}, load: model.Loading(knn.Load), worth: always,
		train: func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (model.Model, error) {
			k := knn.DefaultConfig()
			k.Threads, k.Progress = c.Threads, progress
			return model.Of(knn.Train(ctx, ts, k))
		},
	},
	{
		name: "ridge", sparse: true, share: 0.1, load: model.Loading(ridge.Load), worth: always,
		train: func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (model.Model, error) {
			r := ridge.ConfigFor(len(ts.Items))
			r.Threads, r.Progress = c.Threads, progress
			return model.Of(ridge.Train(ctx, ts, r))
		},
	},
	{
		name: "ease", sparse: true, share: 0.02, decays: []float64{0.8, 0.9, 1}, load: model.Loading(ridge.LoadEASE), worth: always,
		train: func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (model.Model, error) {
			r := ridge.EASEConfig()
			r.Threads, r.Progress = c.Threads, progress
			return model.Of(ridge.Train(ctx, ts, r))
		},
	},
	{
		name: contentName, sparse: true, share: 0.01, decays: []float64{0.2, 0.8, 0.95}, load: model.Loading(content.Load),
		worth: func(ts *trainingset.Set) bool { return content.Has(ts, content.Category, content.Number) },
		train: func(ctx context.Context, ts *trainingset.Set, _ Config, progress func(float64)) (model.Model, error) {
			return trainContent(ctx, ts, progress)
		},
	},
	{
		name: "factors", folds: true, share: 0.02, load: model.Loading(ials.Load), worth: always,
		train: func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (model.Model, error) {
			f := ials.DefaultConfig()
			f.Uncalibrated = true // scores are standardised
			f.Dim, f.Users, f.Seed, f.Threads, f.Progress = min(c.Dim, factorsDim), c.Users, c.Seed, c.Threads, progress
			return model.Of(ials.Train(ctx, ts, f))
		},
	},
	{
		name: networkName, folds: true, share: 0.8, load: model.Loading(hrnn.Load),
		worth: func(ts *trainingset.Set) bool { return ts.Events() >= enoughForNetwork },
		train: func(ctx context.Context, ts *trainingset.Set, c Config, progress func(float64)) (model.Model, error) {
			n := hrnn.DefaultConfig()
			n.Metadata, n.Recency, n.Unroll = true, c.Recency, c.Unroll
			n.Users, n.Seed, n.Threads, n.Progress = c.Users, c.Seed, c.Threads, progress
			return model.Of(hrnn.Train(ctx, ts, n))
		},
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

// contentName is the component that Extend makes anew: it knows no interactions.
const contentName = "content"

func trainContent(ctx context.Context, ts *trainingset.Set, progress func(float64)) (model.Model, error) {
	c := content.DefaultConfig()
	c.Progress = progress
	return model.Of(content.Train(ctx, ts, c))
}

// fading is a component that forgets as fast as the decay says; 0 leaves it as it is.
func fading(m model.Model, decay float64) (model.Model, error) {
	switch m := m.(type) {
	case *linear.Model:
		if decay > 0 {
			return model.Of(m.Fading(decay))
		}
	case *content.Model:
		if decay > 0 {
			return model.Of(m.Fading(decay))
		}
	}
	return m, nil
}
