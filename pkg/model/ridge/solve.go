package ridge

import (
	"context"
	"math"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/simd"
)

// maxGramRow bounds the memory of large catalogues: of a feature, the products with so many others are kept, the
// largest. Products with items that are less popular stand in the rows of those, so that few rows come near.
const maxGramRow = 4000

// solveSparse returns the weights of each feature for all targets, which it regresses on c.Features features each.
func solveSparse(ctx context.Context, p problem, c Config, progress func(units int)) (linear.Rows, error) {
	items, _ := p.catalogue()
	features := p.features()
	gram, err := linear.Fill(ctx, linear.Shape{Rows: features, Columns: features}, c.Threads, progress, func(f int, s *linear.Sum) []linear.Entry {
		p.gram(f, s)
		return s.Take(maxGramRow, linear.Identity, func(e linear.Entry) float32 {
			if int(e.Column) == f {
				return float32(math.Inf(1))
			}
			return e.Value
		})
	})
	if err != nil {
		return linear.Rows{}, err
	}
	own := make([]float32, features) // the square of each feature
	for f := range own {
		if columns, values := gram.Row(f); len(columns) > 0 && int(columns[len(columns)-1]) == f {
			own[f] = values[len(values)-1]
		}
	}
	ridge := float32(c.Ridge)
	systems := make(chan *system, model.Threads(c.Threads))
	for range cap(systems) {
		systems <- &system{matrix: make([]float32, c.Features*c.Features)}
	}
	targets, err := linear.Fill(ctx, linear.Shape{Rows: items.Len(), Columns: features}, c.Threads, progress,
		func(item int, s *linear.Sum) []linear.Entry {
			p.response(item, s)
			// A feature by itself takes response²/(square + ridge) off the error.
			entries := s.Take(c.Features, linear.Identity, func(e linear.Entry) float32 {
				return e.Value * e.Value / (own[e.Column] + ridge)
			})
			sys := <-systems
			sys.solve(gram, entries, ridge)
			systems <- sys
			return entries
		})
	if err != nil {
		return linear.Rows{}, err
	}
	return targets.Transposed(features), nil
}

// system solves the small systems of one worker.
type system struct {
	matrix []float32 // lower triangle, row by row, then its Cholesky factor
}

// solve replaces the responses of the entries, whose columns are features in ascending order, by their weights.
func (s *system) solve(gram linear.Rows, entries []linear.Entry, ridge float32) {
	n := len(entries)
	a := s.matrix[:n*n]
	for i, e := range entries {
		columns, values := gram.Row(int(e.Column))
		lookUp(a[i*n:i*n+i+1], columns, values, entries)
		a[i*n+i] += ridge
	}
	// Cholesky–Banachiewicz: every inner product runs along two rows.
	for i := range n {
		row := a[i*n : i*n+i+1]
		for j := range i {
			row[j] = (row[j] - simd.Dot(row[:j], a[j*n:j*n+j])) / a[j*n+j]
		}
		// The matrix is positive definite except for rounding and the products that maxGramRow leaves out; the ridge is
		// the least that a pivot can be without these.
		row[i] = float32(math.Sqrt(float64(max(row[i]-simd.Dot(row[:i], row[:i]), ridge))))
	}
	for i := range n {
		sum := entries[i].Value
		for j, v := range a[i*n : i*n+i] {
			sum -= v * entries[j].Value
		}
		entries[i].Value = sum / a[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		entries[i].Value /= a[i*n+i]
		for j, v := range a[i*n : i*n+i] {
			entries[j].Value -= v * entries[i].Value
		}
	}
}

// lookUp writes what a sparse row holds in the columns of the first entries to row, 0 where it holds nothing.
func lookUp(row []float32, columns []int32, values []float32, entries []linear.Entry) {
	at := 0
	for k := range row {
		want := entries[k].Column
		// Steps that double, then halve: the columns wanted are few among those there.
		step := 1
		for at+step < len(columns) && columns[at+step] < want {
			at += step
			step *= 2
		}
		for ; step > 0; step /= 2 {
			if at+step < len(columns) && columns[at+step] < want {
				at += step
			}
		}
		if at < len(columns) && columns[at] < want {
			at++
		}
		row[k] = 0
		if at < len(columns) && columns[at] == want {
			row[k] = values[at]
		}
	}
}
