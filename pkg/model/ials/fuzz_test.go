package ials_test

import (
	"context"
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/ials"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/recipe"
)

// component is the factorisation with its usual settings.
var component = modeltest.Component{
	Train: func(ctx context.Context, ts *dataset.TrainingSet, o recipe.Options) (model.Model, error) {
		c := ials.DefaultConfig()
		c.Seed, c.Threads, c.Progress = o.Seed, o.Threads, o.Progress
		m, err := ials.Train(ctx, ts, c)
		if err != nil {
			return nil, err
		}
		return m, nil
	},
	Load: func(parts map[string][]byte) (model.Model, error) {
		m, err := ials.Load(parts)
		if err != nil {
			return nil, err
		}
		return m, nil
	},
}

func TestSuite(t *testing.T) { modeltest.RunComponent(t, component) }

func FuzzLoad(f *testing.F) { modeltest.FuzzComponent(f, component) }
