package ridge

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/penchant-io/penchant/pkg/linalg"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/linear"
)

// solveDense returns the weights of each feature for all targets, of each target the c.Kept that are largest.
func solveDense(ctx context.Context, p problem, c Config, progress func(units int)) (linear.Rows, error) {
	items, _ := p.catalogue()
	features, targets := p.features(), items.Len()
	gram := linalg.New(features, features)
	if err := fillDense(ctx, gram, p.gram, c.Threads, progress); err != nil {
		return linear.Rows{}, err
	}
	for f := range features {
		gram.Row(f)[f] += float32(c.Ridge)
	}
	threads := model.Threads(c.Threads)
	if err := linalg.Cholesky(gram, threads); err != nil {
		return linear.Rows{}, fmt.Errorf("factoring the products of %d features: %w", features, err)
	}
	if err := ctx.Err(); err != nil {
		return linear.Rows{}, err
	}
	var weights linalg.Matrix
	if p.reflexive() {
		// Target j regressed on all others: the j-th column of the inverse by its diagonal (Steck, equation 8).
		weights = linalg.CholeskyInverse(gram, threads)
		diagonal := make([]float32, targets)
		for j := range diagonal {
			diagonal[j] = -weights.Row(j)[j]
			weights.Row(j)[j] = 0
		}
		for f := range features {
			for j, d := range diagonal {
				weights.Row(f)[j] /= d
			}
		}
	} else {
		responses := linalg.New(targets, features)
		if err := fillDense(ctx, responses, p.response, c.Threads, func(int) {}); err != nil {
			return linear.Rows{}, err
		}
		weights = linalg.New(features, targets)
		for j := range targets {
			for f, v := range responses.Row(j) {
				weights.Data[f*weights.Stride+j] = v
			}
		}
		linalg.CholeskySolve(gram, weights, threads)
	}
	kept, err := keepLargest(ctx, weights, c, progress)
	if err != nil {
		return linear.Rows{}, err
	}
	return kept.Transposed(features), nil
}

// fillDense adds up the rows of a matrix of zeros.
func fillDense(
	ctx context.Context, to linalg.Matrix, add func(r int, s *linear.Sum), threads int, progress func(rows int),
) error {
	sums := make([]*linear.Sum, model.Threads(threads))
	return model.Blocks(ctx, to.Rows, 16, len(sums), func(worker, from, end int) {
		if sums[worker] == nil {
			sums[worker] = linear.NewSum(to.Cols)
		}
		for r := from; r < end; r++ {
			add(r, sums[worker])
			row := to.Row(r)
			for _, e := range sums[worker].Take(to.Cols, linear.Identity, nil) {
				row[e.Column] = e.Value
			}
		}
		progress(end - from)
	})
}

// keepLargest gives, for each target, its weights of the largest size, at most c.Kept: the many small ones make up most
// of a model's bytes and next to nothing of its scores.
func keepLargest(
	ctx context.Context, weights linalg.Matrix, c Config, progress func(targets int),
) (linear.Rows, error) {
	return linear.Fill(ctx, linear.Shape{Rows: weights.Cols, Columns: 1}, c.Threads, progress, func(j int, _ *linear.Sum) []linear.Entry {
		entries, sizes := make([]linear.Entry, 0, weights.Rows), make([]float32, 0, weights.Rows)
		for f := range weights.Rows {
			if v := weights.Data[f*weights.Stride+j]; v != 0 {
				entries, sizes = append(entries, linear.Entry{Column: int32(f), Value: v}), append(sizes, max(v, -v))
			}
		}
		best := model.TopK(sizes, c.Kept, nil)
		kept := make([]linear.Entry, len(best))
		for k, b := range best {
			kept[k] = entries[b]
		}
		slices.SortFunc(kept, func(a, b linear.Entry) int { return cmp.Compare(a.Column, b.Column) })
		return kept
	})
}
