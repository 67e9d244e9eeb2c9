package linalg

import (
	"fmt"
	"math"

	"github.com/penchant-io/penchant/pkg/simd"
)

// block is how many columns are factored, and how many rows solved, at a time. Wider blocks give longer products, and
// more of the work within a block, which is done by inner products.
const block = 128

// Cholesky writes l with a = l lᵀ over the lower triangle of a, and zeros over the rest, of which nothing is read. It
// fails where a is not positive definite in single precision; then a is spoilt.
func Cholesky(a Matrix, threads int) error {
	n := square(a)
	inverse, rest := New(block, block), New(max(n-block, 0), block)
	for j := 0; j < n; j += block {
		j1 := min(j+block, n)
		// What the columns to the left have of these columns, in one long product.
		GemmNT(a.Part(j, n, j, j1), a.Part(j, n, 0, j), a.Part(j, j1, 0, j), -1, 1, threads)
		diagonal := a.Part(j, j1, j, j1)
		if err := factor(diagonal); err != nil {
			return fmt.Errorf("row %d: %w", j, err)
		}
		for i := j; i < j1; i++ {
			clear(a.Row(i)[i+1:])
		}
		if j1 == n {
			break
		}
		x := rest.Part(0, n-j1, 0, j1-j)
		below := a.Part(j1, n, j, j1)
		invertLower(inverse, diagonal)
		GemmNT(x, below, inverse, 1, 0, threads)
		assign(below, x)
	}
	return nil
}

// CholeskySolve replaces the columns of b by the solutions x of l lᵀ x = b.
func CholeskySolve(l, b Matrix, threads int) {
	n := square(l)
	if b.Rows != n {
		panic(fmt.Sprintf("linalg: a right hand side of %d rows for a system of %d", b.Rows, n))
	}
	inverse, x := New(block, block), New(min(block, n), b.Cols)
	solve := func(i, i1 int, product func(c, a, b Matrix, alpha, beta float32, threads int)) {
		to, solved := b.Part(i, i1, 0, b.Cols), x.Part(0, i1-i, 0, b.Cols)
		part := inverse.Part(0, i1-i, 0, i1-i)
		invertLower(part, l.Part(i, i1, i, i1))
		product(solved, part, to, 1, 0, threads)
		assign(to, solved)
	}
	for i := 0; i < n; i += block {
		i1 := min(i+block, n)
		Gemm(b.Part(i, i1, 0, b.Cols), l.Part(i, i1, 0, i), b.Part(0, i, 0, b.Cols), -1, 1, threads)
		solve(i, i1, Gemm)
	}
	for i := (n - 1) / block * block; i >= 0; i -= block {
		i1 := min(i+block, n)
		GemmTN(b.Part(i, i1, 0, b.Cols), l.Part(i1, n, i, i1), b.Part(i1, n, 0, b.Cols), -1, 1, threads)
		solve(i, i1, GemmTN)
	}
}

// CholeskyInverse is the inverse of l lᵀ, for half the work of solving for the identity: it makes the inverse of l, and
// the lower half of its product with itself.
func CholeskyInverse(l Matrix, threads int) Matrix {
	n := square(l)
	w, inverse, x := New(n, n), New(block, block), New(min(block, n), n)
	for i := 0; i < n; i += block {
		i1 := min(i+block, n)
		part := inverse.Part(0, i1-i, 0, i1-i)
		invertLower(part, l.Part(i, i1, i, i1))
		assign(w.Part(i, i1, i, i1), part)
		// Block by block, as w's blocks above its diagonal are zero.
		sum := x.Part(0, i1-i, 0, i)
		for j := 0; j < i; j += 4 * block {
			j1 := min(j+4*block, i)
			Gemm(sum.Part(0, i1-i, j, j1), l.Part(i, i1, j, i), w.Part(j, i, j, j1), 1, 0, threads)
		}
		Gemm(w.Part(i, i1, 0, i), part, sum, -1, 0, threads)
	}
	a := New(n, n)
	for i := 0; i < n; i += block {
		i1 := min(i+block, n)
		GemmTN(a.Part(i, i1, 0, i1), w.Part(i, n, i, i1), w.Part(i, n, 0, i1), 1, 0, threads)
	}
	for i := range n {
		for j := range i {
			a.Data[j*n+i] = a.Data[i*n+j]
		}
	}
	return a
}

func square(a Matrix) int {
	if a.Rows != a.Cols {
		panic(fmt.Sprintf("linalg: a matrix of %d by %d is not square", a.Rows, a.Cols))
	}
	return a.Rows
}

// factor is Cholesky's factorisation by inner products of rows.
func factor(a Matrix) error {
	for i := range a.Rows {
		row := a.Row(i)
		for j := range i {
			row[j] = (row[j] - simd.Dot(row[:j], a.Row(j)[:j])) / a.Row(j)[j]
		}
		pivot := float64(row[i]) - float64(simd.Dot(row[:i], row[:i]))
		if !(pivot > 0) || math.IsInf(pivot, 1) {
			return fmt.Errorf("the matrix is not positive definite: pivot %d is %g", i, pivot)
		}
		row[i] = float32(math.Sqrt(pivot))
	}
	return nil
}

// invertLower writes the inverse of a lower triangle, of which it reads nothing above the diagonal.
func invertLower(to, l Matrix) {
	for i := range l.Rows {
		row, from := to.Row(i), l.Row(i)
		clear(row)
		for j, v := range from[:i] {
			simd.Axpy(-v, to.Row(j)[:j+1], row[:j+1])
		}
		for j := range row[:i] {
			row[j] /= from[i]
		}
		row[i] = 1 / from[i]
	}
}

func assign(to, from Matrix) {
	for i := range to.Rows {
		copy(to.Row(i), from.Row(i))
	}
}
