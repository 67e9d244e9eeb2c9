package ridge_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/model/ridge"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

func component(c ridge.Config, load func(map[string][]byte) (*linear.Model, error)) modeltest.Component {
	return modeltest.NewComponent(
		func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (*linear.Model, error) {
			c := c
			c.Threads, c.Progress = o.Threads, o.Progress
			return ridge.Train(ctx, ts, c)
		}, load)
}

func TestSuite(t *testing.T) { modeltest.RunComponent(t, component(ridge.DefaultConfig(), ridge.Load)) }

// TestSuitePerTarget is the suite for a catalogue whose features are too many for a dense solve.
func TestSuitePerTarget(t *testing.T) {
	t.Parallel()
	c := ridge.DefaultConfig()
	c.Dense, c.Features = 0, 30
	modeltest.RunComponent(t, component(c, ridge.Load))
}

func TestSuiteOfEASE(t *testing.T) {
	t.Parallel()
	modeltest.RunComponent(t, component(ridge.EASEConfig(), ridge.LoadEASE))
}

func FuzzLoad(f *testing.F) { modeltest.FuzzComponent(f, component(ridge.DefaultConfig(), ridge.Load)) }

// histories are of many users and few items, with repetitions.
func histories(items, users int) *trainingset.Set {
	random := rand.New(rand.NewPCG(1, 2))
	var rows [][]int32
	for range users {
		row := make([]int32, 2+random.IntN(12))
		for k := range row {
			row[k] = int32(random.IntN(items) * random.IntN(items) / items)
		}
		rows = append(rows, row)
	}
	return modeltest.Histories(items, rows...)
}

// TestWeightsSolveTheRegression makes the observations one by one, as the package comment states them, and checks that
// the weights leave no gradient: X'(y - Xb) = ridge b for each target.
func TestWeightsSolveTheRegression(t *testing.T) {
	t.Parallel()
	const items, strength = 9, 3.0
	ts := histories(items, 60)
	ts.Weight = make([]float32, len(ts.Item))
	for e := range ts.Weight {
		ts.Weight[e] = []float32{1, 0.3}[e%2]
	}
	for name, solve := range map[string]struct {
		scales []float64
		dense  int
	}{
		"one scale": {[]float64{0.8}, 0}, "two scales": {[]float64{0.5, 0.9}, 0}, "EASE": {nil, 0},
		"one scale, dense": {[]float64{0.8}, 100}, "two scales, dense": {[]float64{0.5, 0.9}, 100},
		"EASE, dense": {nil, 100},
	} {
		t.Run(name, func(t *testing.T) {
			scales := solve.scales
			c := ridge.DefaultConfig()
			c.Scales, c.Dense, c.EventsPerFeature, c.Ridge = scales, solve.dense, 0, strength
			m, err := ridge.Train(t.Context(), ts, c)
			if err != nil {
				t.Fatal(err)
			}
			features := items * max(len(scales), 1)
			weights := make([][]float64, features) // by feature, then target
			for f := range weights {
				weights[f] = make([]float64, items)
				columns, values := m.Rows().Row(f)
				for k, c := range columns {
					weights[f][c] = float64(values[k])
				}
			}
			gradient := make([][]float64, features)
			for f := range gradient {
				gradient[f] = make([]float64, items)
				for j := range items {
					gradient[f][j] = -strength * weights[f][j]
				}
			}
			observe := func(x, y []float64, weight float64, excluded func(f, j int) bool) {
				for j := range items {
					residual := y[j]
					for f, v := range x {
						if !excluded(f, j) {
							residual -= v * weights[f][j]
						}
					}
					for f, v := range x {
						gradient[f][j] += weight * v * residual
					}
				}
			}
			index := func(e int) int {
				i, _ := m.Items().Index(ts.Items[ts.Item[e]])
				return i
			}
			for u := range ts.Users {
				from, to := ts.UserEvents(u)
				x := make([]float64, features)
				if scales == nil {
					for e := from; e < to; e++ {
						x[index(e)] = min(1, x[index(e)]+float64(ts.Weight[e]))
					}
					observe(x, x, 1, func(f, j int) bool { return f == j })
					continue
				}
				for e := from; e < to; e++ {
					y := make([]float64, items)
					y[index(e)] = 1
					if e > from {
						observe(x, y, float64(ts.Weight[e]), func(int, int) bool { return false })
					}
					for f := range x {
						x[f] *= scales[f%len(scales)]
					}
					for k := range scales {
						x[index(e)*len(scales)+k]++
					}
				}
			}
			for f := range gradient {
				for j, g := range gradient[f] {
					if scales == nil && f == j {
						if weights[f][j] != 0 {
							t.Errorf("item %d explains itself with weight %g", f, weights[f][j])
						}
						continue
					}
					if solve.dense == 0 && weights[f][j] == 0 && g < 0 {
						continue // the target never followed: such features are left out
					}
					if math.Abs(g) > 2e-3 {
						t.Errorf("feature %d, target %d: gradient %g at weight %g", f, j, g, weights[f][j])
					}
				}
			}
		})
	}
}

func TestFewFeaturesAreThoseThatExplainMost(t *testing.T) {
	t.Parallel()
	// b follows a ten times, and c once.
	var rows [][]int32
	for range 10 {
		rows = append(rows, []int32{0, 1})
	}
	ts := modeltest.Histories(3, append(rows, []int32{2, 1})...)
	c := ridge.DefaultConfig()
	c.Dense, c.Features, c.Ridge = 0, 1, 5
	m, err := ridge.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	modeltest.RequireScores(t, modeltest.Scores(t, m, "a"), map[string]float64{"b": 10. / (10 + 5)})
	modeltest.RequireScores(t, modeltest.Scores(t, m, "c"), map[string]float64{})
	modeltest.RequireScores(t, modeltest.Scores(t, m, "a", "c"), map[string]float64{"b": 0.8 * 10. / (10 + 5)})
}

func TestTheLargestWeightsAreKept(t *testing.T) {
	t.Parallel()
	ts := histories(9, 60)
	train := func(kept int) model.Model {
		c := ridge.DefaultConfig()
		c.Kept = kept
		m, err := ridge.Train(t.Context(), ts, c)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	all, few := train(9), train(4)
	for _, target := range ts.Items {
		var sizes []float64
		kept := map[float64]bool{}
		for _, id := range ts.Items {
			sizes = append(sizes, math.Abs(modeltest.Scores(t, all, id)[target]))
			if s := modeltest.Scores(t, few, id)[target]; s != 0 {
				kept[math.Abs(s)] = true
			}
		}
		slices.Sort(sizes)
		for k, s := range sizes {
			if s > 0 && kept[s] != (k >= len(sizes)-4) {
				t.Errorf(
					"target %s: weight of size %g, number %d of %d, is kept: %v", target, s, len(sizes)-k, len(sizes),
					kept[s],
				)
			}
		}
	}
}

func TestConfigFor(t *testing.T) {
	t.Parallel()
	if few, many := ridge.ConfigFor(3000), ridge.ConfigFor(30000); len(few.Scales) != 2 || len(many.Scales) != 1 {
		t.Errorf("scales %v for few items, %v for many", few.Scales, many.Scales)
	}
}

func TestStrengthGrowsWithTheRootOfTheMean(t *testing.T) {
	t.Parallel()
	few, many := ridge.Strength([]int64{9, 0, 9}), ridge.Strength([]int64{900, 900})
	if few != 18*3 || many != 10*few {
		t.Errorf("ridges %g and %g", few, many)
	}
	if s := ridge.Strength(nil); s <= 0 {
		t.Errorf("ridge %g without items", s)
	}
}
