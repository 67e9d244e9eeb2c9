package linalg

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/penchant-io/penchant/pkg/simd"
)

// Operator is a matrix that is known by its products, such as a sparse one.
type Operator interface {
	Dims() (rows, cols int)
	// Multiply and MultiplyTransposed write the product with x to y, all of which they set.
	Multiply(y, x Matrix)
	MultiplyTransposed(y, x Matrix)
}

// Dense is a matrix as an Operator.
func Dense(a Matrix, threads int) Operator { return dense{a, threads} }

type dense struct {
	a       Matrix
	threads int
}

func (d dense) Dims() (rows, cols int)         { return d.a.Rows, d.a.Cols }
func (d dense) Multiply(y, x Matrix)           { Gemm(y, d.a, x, 1, 0, d.threads) }
func (d dense) MultiplyTransposed(y, x Matrix) { GemmTN(y, d.a, x, 1, 0, d.threads) }

// oversampled directions beyond the rank make the ones within it exact more often.
const oversampled = 16

// SVD is the largest singular values s of a, descending, with their vectors in the columns of u and v: a ≈ u diag(s)
// vᵀ. It looks for them in the range of a times random vectors (Halko, Martinsson, Tropp, "Finding structure with
// randomness", SIAM Review 2011), which each power step turns further towards the largest: values that are close to
// those beyond the rank need more steps. The rank is lowered to the lesser side of a.
func SVD(a Operator, rank, powerSteps int, seed uint64) (u Matrix, s []float32, v Matrix) {
	rows, cols := a.Dims()
	rank = min(rank, rows, cols)
	width := min(rank+oversampled, rows, cols)
	random := rand.New(rand.NewPCG(seed, 0x737664))
	left, right := New(rows, width), New(cols, width)
	for k := range right.Data {
		right.Data[k] = float32(random.NormFloat64())
	}
	a.Multiply(left, right)
	orthonormalise(left)
	for range powerSteps {
		a.MultiplyTransposed(right, left)
		orthonormalise(right)
		a.Multiply(left, right)
		orthonormalise(left)
	}
	// With q the orthonormal left, a ≈ q (qᵀ a), and the small qᵀ a has the singular values and vectors. They are those
	// of its Gram matrix, which is made and solved in double precision, as squaring takes half of the digits.
	a.MultiplyTransposed(right, left)
	gram := mat.NewSymDense(width, nil)
	columns := transposed(right)
	for i := range width {
		for j := i; j < width; j++ {
			sum, x := 0.0, columns.Row(j)
			for k, w := range columns.Row(i) {
				sum += float64(w) * float64(x[k])
			}
			gram.SetSym(i, j, sum)
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(gram, true) {
		panic("linalg: the singular values of a matrix that is not finite")
	}
	values := eigen.Values(nil) // ascending
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	turn, s := New(width, rank), make([]float32, rank)
	for k := range rank {
		s[k] = float32(math.Sqrt(max(values[width-1-k], 0)))
		for i := range width {
			turn.Data[i*rank+k] = float32(vectors.At(i, width-1-k))
		}
	}
	u, v = New(rows, rank), New(cols, rank)
	Gemm(u, left, turn, 1, 0, 1)
	Gemm(v, right, turn, 1, 0, 1)
	for i := range cols {
		for k, size := range s {
			if size > 0 {
				v.Data[i*rank+k] /= size
			}
		}
	}
	return u, s, v
}

// orthonormalise replaces the columns by orthonormal ones that span the same, or by zeros those that others span, by
// Gram and Schmidt's method, twice over, as once leaves rounding errors.
func orthonormalise(m Matrix) {
	columns := transposed(m)
	for k := range columns.Rows {
		column := columns.Row(k)
		before := norm(column)
		for range 2 {
			for j := range k {
				simd.Axpy(-simd.Dot(columns.Row(j), column), columns.Row(j), column)
			}
		}
		if size := norm(column); size > 1e-5*before {
			for i := range column {
				column[i] = float32(float64(column[i]) / size)
			}
		} else {
			clear(column)
		}
	}
	for i := range m.Rows {
		for k := range m.Cols {
			m.Data[i*m.Stride+k] = columns.Data[k*columns.Stride+i]
		}
	}
}

func norm(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

func transposed(m Matrix) Matrix {
	t := New(m.Cols, m.Rows)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			t.Data[j*t.Stride+i] = v
		}
	}
	return t
}
