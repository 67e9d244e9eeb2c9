package ials_test

import (
	"context"
	"testing"

	"github.com/penchant-io/penchant/pkg/model/ials"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// component is the factorisation with its usual settings.
var component = modeltest.NewComponent(
	func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (*ials.Model, error) {
		c := ials.DefaultConfig()
		c.Seed, c.Threads, c.Progress = o.Seed, o.Threads, o.Progress
		return ials.Train(ctx, ts, c)
	}, ials.Load)

func TestSuite(t *testing.T) { modeltest.RunComponent(t, component) }

func FuzzLoad(f *testing.F) { modeltest.FuzzComponent(f, component) }
