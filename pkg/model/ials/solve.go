package ials

import (
	"context"
	"math"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/simd"
)

// system is the part of the linear systems that all rows of one side share, made from the vectors of the other side.
type system struct {
	dim int
	// unobserved is minus the weight of what was not observed times the sum of y yᵀ over the other side.
	unobserved []float32
	// others is the number of vectors on the other side.
	others int
	loss   loss
}

// loss holds the weights of the objective's terms.
type loss struct {
	// unobserved is the weight a of all cells.
	unobserved float64
	// A row's regularisation is regularization * (its observed weight + a * others)^exponent.
	regularization, exponent float64
}

// newSystem sums up the vectors of the other side. The sum is made of fixed blocks, added in order, so that it does not
// depend on the number of threads.
func newSystem(ctx context.Context, vectors []float32, dim int, l loss, threads int) (system, error) {
	const block = 512
	n := len(vectors) / dim
	sums := make([][]float32, (n+block-1)/block)
	err := model.Blocks(ctx, n, block, threads, func(_, from, to int) {
		sum := make([]float32, dim*dim)
		for i := from; i < to; i++ {
			v := vectors[i*dim : (i+1)*dim]
			for k, f := range v {
				if f != 0 {
					// One triangle, on whole registers; the other is its mirror image.
					start := k &^ (simd.Lanes - 1)
					simd.Axpy(f, v[start:], sum[k*dim+start:(k+1)*dim])
				}
			}
		}
		sums[from/block] = sum
	})
	s := system{dim: dim, unobserved: make([]float32, dim*dim), others: n, loss: l}
	for _, sum := range sums {
		if sum != nil {
			simd.Axpy(float32(-l.unobserved), sum, s.unobserved)
		}
	}
	for i := range dim {
		for j := range i {
			s.unobserved[i*dim+j] = s.unobserved[j*dim+i]
		}
	}
	return s, err
}

// ridge is a row's regularisation.
func (s *system) ridge(observed float64) float32 {
	return float32(s.loss.regularization * math.Pow(observed+s.loss.unobserved*float64(s.others), s.loss.exponent))
}

// observations are what a row has observed: rows of vectors, each with a weight.
type observations struct {
	rows    []int32
	weights []float32
}

// solver is the memory of one solve.
type solver struct{ residual, direction, product []float32 }

func newSolver(dim int) solver {
	return solver{make([]float32, dim), make([]float32, dim), make([]float32, dim)}
}

// solve improves x, the vector of a row that has observed some of the vectors, by some steps of conjugate gradient. The
// matrix is never built: each step multiplies by the shared part and by the row's own vectors.
func (s *system) solve(c *solver, vectors []float32, seen observations, x []float32, steps int) {
	observed := float32(0)
	for _, w := range seen.weights {
		observed += w
	}
	ridge := s.ridge(float64(observed))

	// residual = b - A x, the direction starts there.
	s.minusProduct(c.residual, x, ridge)
	simd.AddResiduals(c.residual, vectors, seen.rows, seen.weights, 1, x)
	copy(c.direction, c.residual)
	norm := simd.Dot(c.residual, c.residual)
	for range steps {
		if norm < 1e-20 {
			return
		}
		// product = -A direction.
		s.minusProduct(c.product, c.direction, ridge)
		simd.AddResiduals(c.product, vectors, seen.rows, seen.weights, 0, c.direction)
		length := -norm / simd.Dot(c.direction, c.product)
		simd.Axpy(length, c.direction, x)
		simd.Axpy(length, c.product, c.residual)
		last := norm
		norm = simd.Dot(c.residual, c.residual)
		turn := norm / last
		for k, r := range c.residual {
			c.direction[k] = r + turn*c.direction[k]
		}
	}
}

// minusProduct is out = -(shared part + ridge) x.
func (s *system) minusProduct(out, x []float32, ridge float32) {
	simd.MatVec(out, s.unobserved, x)
	simd.Axpy(-ridge, x, out)
}
