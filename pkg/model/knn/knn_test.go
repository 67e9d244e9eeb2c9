package knn_test

import (
	"context"
	"math"
	"testing"

	"github.com/penchant-io/penchant/pkg/model/knn"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

var component = modeltest.NewComponent(
	func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (*linear.Model, error) {
		c := knn.DefaultConfig()
		c.Threads, c.Progress = o.Threads, o.Progress
		return knn.Train(ctx, ts, c)
	}, knn.Load)

func TestSuite(t *testing.T) { modeltest.RunComponent(t, component) }

func FuzzLoad(f *testing.F) { modeltest.FuzzComponent(f, component) }

func TestScoreByHand(t *testing.T) {
	t.Parallel()
	// a has 3 users, b 2 and c 2, who share 2, 1 and 1; the user of d came back to it, one of two.
	ts := modeltest.Histories(4, []int32{0, 1}, []int32{1, 0, 2}, []int32{0, 2}, []int32{3, 3}, []int32{3})
	c := knn.DefaultConfig()
	c.Shrinkage, c.Decay = 1, 0.5
	m, err := knn.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	ab, ac, bc := 2./3*2/math.Sqrt(3*2), 2./3*2/math.Sqrt(3*2), 1./2*1/2
	modeltest.RequireScores(t, modeltest.Scores(t, m, "a"), map[string]float64{"b": ab, "c": ac})
	modeltest.RequireScores(
		t, modeltest.Scores(t, m, "a", "b"), map[string]float64{"a": ab, "b": 0.5 * ab, "c": bc + 0.5*ac},
	)
	// an item counts once
	modeltest.RequireScores(t, modeltest.Scores(t, m, "b", "b"), map[string]float64{"a": ab, "c": bc})
	modeltest.RequireScores(t, modeltest.Scores(t, m, "d"), map[string]float64{"d": 1. / 2 * 1 / 2})
}

func TestUsersCountAsTheirEventsWeigh(t *testing.T) {
	t.Parallel()
	ts := modeltest.Histories(3, []int32{0, 1}, []int32{0, 2})
	ts.Weight = []float32{1, 0.5, 1, 1}
	c := knn.DefaultConfig()
	c.Shrinkage = 1
	m, err := knn.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	modeltest.RequireScores(
		t, modeltest.Scores(t, m, "a"),
		map[string]float64{"b": 0.5 / 1.5 * 0.5 / math.Sqrt(2*0.25), "c": 1. / 2 * 1 / math.Sqrt(2)},
	)
}
