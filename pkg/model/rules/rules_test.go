package rules_test

import (
	"context"
	"math"
	"testing"

	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/model/rules"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

var component = modeltest.NewComponent(
	func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (*linear.Model, error) {
		c := rules.DefaultConfig()
		c.Threads, c.Progress = o.Threads, o.Progress
		return rules.Train(ctx, ts, c)
	}, rules.Load)

func TestSuite(t *testing.T) { modeltest.RunComponent(t, component) }

func FuzzLoad(f *testing.F) { modeltest.FuzzComponent(f, component) }

func TestScoreByHand(t *testing.T) {
	t.Parallel()
	ts := modeltest.Histories(4, []int32{0, 1, 2}, []int32{0, 2}, []int32{3, 3})
	c := rules.DefaultConfig()
	c.Window, c.Decay = 2, 0.5
	m, err := rules.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	two := math.Sqrt(2) // a, c and d have two events, b has one
	modeltest.RequireScores(t, modeltest.Scores(t, m, "a"), map[string]float64{"b": 1, "c": 1.5 / two})
	modeltest.RequireScores(t, modeltest.Scores(t, m, "a", "b"), map[string]float64{"b": 0.5, "c": 0.5*1.5/two + 1/two})
	modeltest.RequireScores(
		t, modeltest.Scores(t, m, "a", "unknown"), map[string]float64{"b": 0.5, "c": 0.5 * 1.5 / two},
	)
	modeltest.RequireScores(t, modeltest.Scores(t, m, "d"), map[string]float64{"d": 1 / two})
	now, err := m.Fading(0.1)
	if err != nil {
		t.Fatal(err)
	}
	modeltest.RequireScores(
		t, modeltest.Scores(t, now, "a", "b"), map[string]float64{"b": 0.1, "c": 0.1*1.5/two + 1/two},
	)
	if _, err := m.Fading(1.1); err == nil {
		t.Error("a decay above 1 is taken")
	}
}

func TestStepsCountAsTheirEventsWeigh(t *testing.T) {
	t.Parallel()
	ts := modeltest.Histories(3, []int32{0, 1}, []int32{0, 2})
	ts.Weight = []float32{1, 0.5, 1, 1}
	c := rules.DefaultConfig()
	m, err := rules.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	modeltest.RequireScores(t, modeltest.Scores(t, m, "a"), map[string]float64{"b": 0.5, "c": 1})
}
