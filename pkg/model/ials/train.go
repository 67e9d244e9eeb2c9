package ials

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/simd"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Config holds what steers a training. DefaultConfig is tuned; the recipe sets Dim and the fields below it.
type Config struct {
	// Unobserved sets a, how much each cell of the matrix counts as "not wanted" against 1 for an interaction: a is
	// Unobserved over the square root of the number of cells per interaction. All unobserved cells together thus weigh
	// more, relative to the interactions, in a sparse matrix, but not in proportion: sparse data stands that badly.
	Unobserved float64
	// Regularization and FrequencyExponent: a row's regularisation is Regularization * (the weight of its interactions
	// + a * the size of the other side)^FrequencyExponent.
	Regularization, FrequencyExponent float64
	// Window is how many consecutive interactions of a user make a row.
	Window int
	// Epochs is how often both sides are solved; Steps of conjugate gradient go into each row.
	Epochs, Steps int
	// FoldHistory is how many of a user's newest interactions make their vector, FoldDecay the weight of one relative
	// to the next, FoldSteps the number of steps of conjugate gradient. Beyond the newest 50 or so interactions nothing
	// is left of their weight, so it does not matter that user states keep some hundreds only.
	FoldHistory int
	FoldDecay   float64
	FoldSteps   int

	// Dim is the number of factors. It is lowered to an eighth of the items that have interactions, though not below 8:
	// with more factors than that, small catalogues are learned by heart. It is then rounded up to whole vector
	// registers.
	Dim int
	// Uncalibrated leaves the temperature at 1: where scores are only compared with one another, its search is for
	// nothing.
	Uncalibrated bool
	// Users leaves very short and very long histories out of the training; their users still get recommendations.
	Users   model.Percentiles
	Seed    int64
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// DefaultConfig is what the recipes train with: tuned on MovieLens 1M and Amazon's toys, on the events before the last.
func DefaultConfig() Config {
	return Config{
		Unobserved: 0.8, Regularization: 0.005, FrequencyExponent: 1,
		Window: 50, Epochs: 8, Steps: 3,
		FoldHistory: 200, FoldDecay: 0.75, FoldSteps: 5,
		Dim: 149, Users: model.All,
	}
}

// calibration is how many updates of a side take as long as the calibration of the scores, as measured.
const calibration = 4

// Train factorises the training set.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*Model, error) {
	t := newTrainer(ts, c)
	calibrations := calibration
	if c.Uncalibrated {
		calibrations = 0
	}
	progress := model.NewProgress(2*c.Epochs+calibrations, c.Progress)
	for range c.Epochs {
		for _, turn := range [][2]*side{{&t.rows, &t.items}, {&t.items, &t.rows}} {
			if err := t.update(ctx, turn[0], turn[1]); err != nil {
				return nil, fmt.Errorf("solving for factors: %w", err)
			}
			progress(1)
		}
	}
	shared, err := newSystem(ctx, t.items.vectors, t.dim, t.loss, c.Threads)
	if err != nil {
		return nil, fmt.Errorf("summing up factors: %w", err)
	}
	fold := foldConfig{history: c.FoldHistory, decay: c.FoldDecay, steps: c.FoldSteps}
	m := newModel(t.matrix.Items, t.matrix.Counts, t.items.vectors, shared, fold)
	if c.Uncalibrated {
		return m, nil
	}
	if err := m.calibrate(ctx, ts, c.Threads); err != nil {
		return nil, fmt.Errorf("calibrating scores: %w", err)
	}
	progress(calibrations)
	return m, nil
}

type trainer struct {
	config      Config
	loss        loss
	dim         int
	matrix      *model.Matrix
	rows, items side
}

// side is the rows or the items: their vectors, and their interactions with the other side.
type side struct {
	vectors []float32
	start   []int
	other   []int32
	weights []float32
}

func newTrainer(ts *trainingset.Set, c Config) *trainer {
	m := model.NewMatrix(ts, model.MatrixOptions{Users: c.Users, Window: c.Window})
	t := &trainer{config: c, matrix: m, dim: simd.RoundUp(min(c.Dim, max(simd.Lanes, seen(m.Counts)/8)))}
	t.loss = loss{
		unobserved:     c.Unobserved / math.Sqrt(float64(m.Rows())*float64(m.Items.Len())/float64(max(len(m.Item), 1))),
		regularization: c.Regularization, exponent: c.FrequencyExponent,
	}
	t.rows = side{start: m.Start, other: m.Item, weights: weights(m.Weight), vectors: make([]float32, m.Rows()*t.dim)}
	start, row, weight := m.Transposed()
	t.items = side{start: start, other: row, weights: weights(weight), vectors: make([]float32, m.Items.Len()*t.dim)}
	// The first inner products are small whatever the dimension (Rendle et al., section 4.4).
	random := rand.New(rand.NewPCG(uint64(c.Seed), 0x69414c53))
	scale := 0.1 / math.Sqrt(float64(t.dim))
	for i := range t.items.vectors {
		t.items.vectors[i] = float32(random.NormFloat64() * scale)
	}
	return t
}

// seen is the number of items that have interactions; they come first.
func seen(counts []int64) int {
	n, _ := slices.BinarySearchFunc(counts, 0, func(count int64, _ int) int {
		if count > 0 {
			return -1
		}
		return 1
	})
	return n
}

func weights(sums []float32) []float32 {
	w := make([]float32, len(sums))
	for k, n := range sums {
		w[k] = confidence(float64(n))
	}
	return w
}

// update solves for the vectors of one side, given the other. Nothing observed gives the zero vector.
func (t *trainer) update(ctx context.Context, of, given *side) error {
	shared, err := newSystem(ctx, given.vectors, t.dim, t.loss, t.config.Threads)
	if err != nil {
		return err
	}
	solvers := make([]solver, model.Threads(t.config.Threads))
	for k := range solvers {
		solvers[k] = newSolver(t.dim)
	}
	return model.Blocks(ctx, len(of.start)-1, 64, len(solvers), func(worker, from, to int) {
		for r := from; r < to; r++ {
			x := of.vectors[r*t.dim : (r+1)*t.dim]
			others, weights := of.other[of.start[r]:of.start[r+1]], of.weights[of.start[r]:of.start[r+1]]
			if len(others) == 0 {
				clear(x)
				continue
			}
			shared.solve(&solvers[worker], given.vectors, observations{others, weights}, x, t.config.Steps)
		}
	})
}
