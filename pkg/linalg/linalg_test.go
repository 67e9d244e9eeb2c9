package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// random makes a matrix whose rows lie apart, with a mark in between.
func random(r *rand.Rand, rows, cols int) Matrix {
	m := Matrix{rows, cols, cols + 3, make([]float32, rows*(cols+3))}
	for k := range m.Data {
		m.Data[k] = mark
	}
	for i := range rows {
		for k := range cols {
			m.Row(i)[k] = float32(r.NormFloat64())
		}
	}
	return m
}

const mark = 12345

func clone(m Matrix) Matrix {
	m.Data = slices.Clone(m.Data)
	return m
}

// product is alpha a b + beta c in double precision.
func product(c, a, b Matrix, alpha, beta float32) []float64 {
	out := make([]float64, c.Rows*c.Cols)
	for i := range c.Rows {
		sums := out[i*c.Cols:][:c.Cols]
		for k, v := range c.Row(i) {
			sums[k] = float64(beta) * float64(v)
		}
		for k, v := range a.Row(i) {
			f := float64(alpha) * float64(v)
			for j, w := range b.Row(k) {
				sums[j] += f * float64(w)
			}
		}
	}
	return out
}

func checkGemm(t *testing.T, r *rand.Rand, rows, cols, depth int) {
	t.Helper()
	a, b, c := random(r, rows, depth), random(r, depth, cols), random(r, rows, cols)
	for _, f := range [][2]float32{{1, 0}, {-0.5, 1}, {2, 0.25}} {
		want := product(c, a, b, f[0], f[1])
		var first Matrix
		for form, gemm := range map[string]func(c Matrix, threads int){
			"":   func(c Matrix, threads int) { Gemm(c, a, b, f[0], f[1], threads) },
			"TN": func(c Matrix, threads int) { GemmTN(c, transposed(a), b, f[0], f[1], threads) },
			"NT": func(c Matrix, threads int) { GemmNT(c, a, transposed(b), f[0], f[1], threads) },
		} {
			for _, threads := range []int{1, 3} {
				got := clone(c)
				gemm(got, threads)
				for i := range rows {
					for j, v := range got.Row(i) {
						if w := want[i*cols+j]; math.Abs(float64(v)-w) > 1e-5*(math.Abs(w)+math.Sqrt(float64(depth))+1) {
							t.Fatalf(
								"Gemm%s of %d by %d by %d, %d threads: (%d, %d) is %g, want %g", form, rows, depth,
								cols, threads, i, j, v, w,
							)
						}
					}
					if !slices.Equal(got.Data[i*got.Stride+cols:(i+1)*got.Stride], []float32{mark, mark, mark}) {
						t.Fatalf("Gemm%s of %d by %d by %d writes beyond row %d", form, rows, depth, cols, i)
					}
				}
				if first.Data == nil {
					first = got
				} else if !slices.Equal(first.Data, got.Data) {
					t.Fatalf(
						"Gemm%s of %d by %d by %d with %d threads rounds differently", form, rows, depth, cols, threads,
					)
				}
			}
		}
	}
}

func TestGemmEqualsDoublePrecision(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range [][3]int{{1, 1, 1}, {6, 16, 4}, {7, 17, 5}, {5, 3, 300}, {100, 40, 70}, {97, 130, 257}, {200, 30, 512}, {13, 1100, 33}, {3, 5, 0}, {300, 170, 90}} {
		checkGemm(t, r, s[0], s[1], s[2])
	}
}

func FuzzGemm(f *testing.F) {
	f.Add(uint8(7), uint8(17), uint8(5), uint64(1))
	f.Fuzz(func(t *testing.T, rows, cols, depth uint8, seed uint64) {
		checkGemm(t, rand.New(rand.NewPCG(seed, 1)), int(rows), int(cols), int(depth))
	})
}

func TestShapesPanic(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(){
		"rows":  func() { Gemm(New(2, 2), New(3, 2), New(2, 2), 1, 0, 1) },
		"depth": func() { Gemm(New(2, 2), New(2, 3), New(2, 2), 1, 0, 1) },
		"part":  func() { New(2, 2).Part(0, 3, 0, 1) },
		"solve": func() { CholeskySolve(New(2, 2), New(3, 1), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

// gram is the Gram matrix of counts with a power law, as the models have it, and a ridge: the larger the spread, the
// harder for single precision.
func gram(n int, ridge float32) Matrix {
	r := rand.New(rand.NewPCG(3, 4))
	const rows = 300
	x := New(rows, n)
	for i := range rows {
		for range 40 {
			x.Row(i)[int(float64(n)*math.Pow(r.Float64(), 2.5))]++
		}
	}
	g := New(n, n)
	GemmTN(g, x, x, 5, 0, 2)
	for i := range n {
		g.Row(i)[i] += ridge
	}
	return g
}

// residual is the largest element of a x - b, in double precision, relative to the largest of b.
func residual(a, x, b Matrix) float64 {
	worst, size := 0.0, 0.0
	for k, v := range product(b, a, x, 1, -1) {
		worst = max(worst, math.Abs(v))
		size = max(size, math.Abs(float64(b.Row(k / b.Cols)[k%b.Cols])))
	}
	return worst / size
}

func TestCholesky(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 5, 128, 129, 300} {
		a := gram(n, 50)
		b := random(r, n, 37)
		l := clone(a)
		if err := Cholesky(l, 2); err != nil {
			t.Fatal(err)
		}
		one := clone(a)
		for i := range n {
			for j := i + 1; j < n; j++ {
				one.Row(i)[j] = float32(math.NaN()) // is not read
			}
		}
		if err := Cholesky(one, 1); err != nil || !slices.Equal(one.Data, l.Data) {
			t.Errorf("n %d: another result on one thread, or without the upper half (%v)", n, err)
		}
		x := clone(b)
		CholeskySolve(l, x, 2)
		if e := residual(a, x, b); e > 1e-4 {
			t.Errorf("n %d: the solution is off by %g", n, e)
		}
		identity := New(n, n)
		for i := range n {
			identity.Row(i)[i] = 1
		}
		inverse := CholeskyInverse(l, 2)
		if e := residual(a, inverse, identity); e > 1e-4 {
			t.Errorf("n %d: the inverse is off by %g", n, e)
		}
	}
}

func TestCholeskyRefusesWhatIsNotDefinite(t *testing.T) {
	t.Parallel()
	a := gram(200, 50)
	a.Row(150)[150] = -1
	if Cholesky(a, 1) == nil {
		t.Error("no error")
	}
}

func TestSVD(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	const rows, cols, rank = 150, 90, 5
	left, right := random(r, rows, rank), random(r, cols, rank)
	orthonormalise(left)
	orthonormalise(right)
	sizes := []float32{50, 20, 19, 3, 1}
	a := New(rows, cols)
	scaled := clone(left)
	for i := range rows {
		for k, s := range sizes {
			scaled.Row(i)[k] *= s
		}
	}
	GemmNT(a, scaled, right, 1, 0, 1)
	u, s, v := SVD(Dense(a, 1), rank, 2, 1)
	for k := range s {
		if math.Abs(float64(s[k]-sizes[k])) > 1e-3 {
			t.Errorf("singular value %d is %g, want %g", k, s[k], sizes[k])
		}
	}
	for i := range rows {
		for k := range s {
			u.Row(i)[k] *= s[k]
		}
	}
	GemmNT(a, u, v, -1, 1, 1)
	for k, e := range a.Data {
		if math.Abs(float64(e)) > 1e-4 {
			t.Fatalf("element %d is off by %g", k, e)
		}
	}
	again, _, _ := SVD(Dense(New(3, 2), 2), rank, 2, 1)
	if again.Rows != 3 || again.Cols != 2 {
		t.Errorf("the rank is not lowered: %d by %d", again.Rows, again.Cols)
	}
}

// BenchmarkGemm's peak is 32 operations a cycle on processors with two AVX2 units: simd's BenchmarkMultiplyTile comes
// close to it.
func BenchmarkGemm(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range [][3]int{{1024, 1024, 1024}, {1536, 384, 64}, {1536, 128, 320}, {128, 320, 1536}} {
		rows, cols, depth := s[0], s[1], s[2]
		x, y, z := random(r, rows, depth), random(r, depth, cols), random(r, rows, cols)
		run := func(name string, f func()) {
			b.Run(fmt.Sprintf("%dx%dx%d/%s", rows, depth, cols, name), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(
					2*float64(rows)*float64(cols)*float64(depth)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s",
				)
			})
		}
		xt, yt := transposed(x), transposed(y)
		run("NN", func() { Gemm(z, x, y, 1, 0, 1) })
		run("TN", func() { GemmTN(z, xt, y, 1, 0, 1) })
		run("NT", func() { GemmNT(z, x, yt, 1, 0, 1) })
		general := func(m Matrix) blas32.General {
			return blas32.General{Rows: m.Rows, Cols: m.Cols, Stride: m.Stride, Data: m.Data}
		}
		run("gonum", func() { blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, general(x), general(y), 0, general(z)) })
	}
}

func BenchmarkCholesky(b *testing.B) {
	const n = 2048
	a := gram(n, 50)
	l := New(n, n)
	b.Run("factor", func(b *testing.B) {
		for b.Loop() {
			copy(l.Data, a.Data)
			if err := Cholesky(l, 1); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(n*n*n/3*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
	b.Run("inverse", func(b *testing.B) {
		for b.Loop() {
			CholeskyInverse(l, 1)
		}
	})
}
