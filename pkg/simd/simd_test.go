package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// lengths cover the empty vector, every remainder of the registers and unrolled loops, and sizes that models use.
func lengths() []int {
	var n []int
	for i := range 70 {
		n = append(n, i)
	}
	return append(n, 96, 128, 149, 152, 255, 256, 1001)
}

// vector makes a random vector that starts off the register's alignment by the given number of elements.
func vector(r *rand.Rand, n, off int) []float32 {
	v := make([]float32, n+off)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v[off:]
}

func requireClose(t *testing.T, what string, got, want []float32, magnitude float64) {
	t.Helper()
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-5*(magnitude+math.Abs(float64(want[i]))) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

func TestKernelsEqualTheGoFallback(t *testing.T) {
	t.Parallel()
	if !Accelerated() {
		t.Log("no AVX2 here: this compares the fallback with itself")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range lengths() {
		off := r.IntN(8)
		x, y := vector(r, n, off), vector(r, n, r.IntN(8))
		name := fmt.Sprintf("length %d, %d off", n, off)

		requireClose(t, "Dot, "+name, []float32{Dot(x, y)}, []float32{dotGo(x, y)}, math.Sqrt(float64(n)))

		got, want := slices.Clone(y), slices.Clone(y)
		Axpy(0.75, x, got)
		axpyGo(0.75, x, want)
		requireClose(t, "Axpy, "+name, got, want, 1)

		for _, rows := range []int{0, 1, 2, 3, 4, 5, 8, 11} {
			m := vector(r, rows*n, r.IntN(8))
			got, want = make([]float32, rows), make([]float32, rows)
			MatVec(got, m, x)
			matVecGo(want, m, x)
			requireClose(t, fmt.Sprintf("MatVec of %d rows, %s", rows, name), got, want, math.Sqrt(float64(n)))

			index, weights := make([]int32, 2*rows), vector(r, 2*rows, r.IntN(8))
			for k := range index {
				index[k] = int32(r.IntN(max(rows, 1)))
			}
			got, want = slices.Clone(y), slices.Clone(y)
			AddResiduals(got, m, index, weights, 1, x)
			addResidualsGo(want, m, index, weights, 1, x)
			requireClose(t, fmt.Sprintf("AddResiduals of %d rows, %s", len(index), name), got, want, float64(n))
		}
	}
}

func TestKernelsByHand(t *testing.T) {
	t.Parallel()
	x := []float32{1, 2, 3}
	if got := Dot(x, []float32{4, 5, 6}); got != 32 {
		t.Errorf("Dot is %g, want 32", got)
	}
	y := []float32{1, 1, 1}
	Axpy(2, x, y)
	if !slices.Equal(y, []float32{3, 5, 7}) {
		t.Errorf("Axpy gives %v, want [3 5 7]", y)
	}
	m := []float32{1, 0, 0, 0, 1, 1}
	out := make([]float32, 2)
	MatVec(out, m, x)
	if !slices.Equal(out, []float32{1, 5}) {
		t.Errorf("MatVec gives %v, want [1 5]", out)
	}
	// Row 1 has the inner product 5 with x: 0.5 * (1 - 5) = -2 times the row.
	y = []float32{0, 10, 20}
	AddResiduals(y, m, []int32{1}, []float32{0.5}, 1, x)
	if !slices.Equal(y, []float32{0, 8, 18}) {
		t.Errorf("AddResiduals gives %v, want [0 8 18]", y)
	}
}

func TestAdam(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	step := Moments{Scale: 0.5, FreshMean: 0.1, FreshSquare: 0.02, Way: 0.25, Root: 4}
	for _, n := range lengths() {
		var got [4][]float32
		for k := range got {
			got[k] = vector(r, n, r.IntN(8))
		}
		for i, q := range got[3] {
			got[3][i] = q * q
		}
		want := got
		for k := range want {
			want[k] = slices.Clone(got[k])
		}
		Adam(got[0], got[1], got[2], got[3], step)
		adamGo(want[0], want[1], want[2], want[3], step)
		for k, what := range []string{"values", "gradients", "means", "squares"} {
			requireClose(t, fmt.Sprintf("%d %s", n, what), got[k], want[k], 1)
		}
	}
	// The gradient is 2: the mean becomes 0 + 0.1 (2 - 0), the square 1 + 0.02 (4 - 1), and the value moves by a
	// quarter of 0.2 over the root of 4.24.
	value, mean, square := []float32{1}, []float32{0}, []float32{1}
	Adam(value, []float32{4}, mean, square, step)
	requireClose(
		t, "by hand", []float32{value[0], mean[0], square[0]}, []float32{float32(1 - 0.05/math.Sqrt(4.24)), 0.2, 1.06},
		1,
	)
}

func TestTileEqualsTheGoFallback(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for _, depth := range []int{0, 1, 2, 3, 4, 5, 7, 8, 63, 256} {
		stride := TileColumns + r.IntN(20)
		a, b := vector(r, depth*TileRows, r.IntN(8)), vector(r, depth*TileColumns, r.IntN(8))
		got := vector(r, (TileRows-1)*stride+TileColumns, r.IntN(8))
		want := slices.Clone(got)
		MultiplyTile(got, stride, a, b)
		multiplyTileGo(want, stride, a, b, depth)
		for i := range got {
			if i%stride >= TileColumns && got[i] != want[i] {
				t.Fatalf("depth %d: element %d beyond the tile was written", depth, i)
			}
		}
		requireClose(t, fmt.Sprintf("MultiplyTile of depth %d", depth), got, want, math.Sqrt(float64(depth)))
	}
}

func TestExpSum(t *testing.T) {
	t.Parallel()
	var x []float32
	for v := -90.0; v < 80; v += 0.37 {
		x = append(x, float32(v))
	}
	for _, shift := range []float32{0, 1.5} {
		for n := range len(x) {
			if n > 40 && n < len(x)-8 {
				continue
			}
			got := slices.Clone(x[len(x)-n:])
			sum, want := ExpSum(got, shift), 0.0
			for k, v := range x[len(x)-n:] {
				exact := math.Exp(float64(v - shift))
				if math.Abs(float64(got[k])-exact) > 3e-7*exact && v-shift > -86 {
					t.Fatalf("exp(%g) is %g, want %g", v-shift, got[k], exact)
				}
				want += exact
			}
			if math.Abs(float64(sum)-want) > 1e-5*want {
				t.Fatalf("%d elements: the sum is %g, want %g", n, sum, want)
			}
		}
	}
	special := []float32{
		float32(math.Inf(-1)), float32(math.NaN()), 0, -1000, float32(math.Inf(-1)), 0, 0, 0, float32(math.Inf(-1)),
		float32(math.NaN()), 0,
	}
	if ExpSum(special, 0) != 5 || !slices.Equal(special, []float32{0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1}) {
		t.Errorf("special values give %v", special)
	}
}

func TestKernelsWriteNothingBeyondTheirVectors(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		padded := make([]float32, n+16)
		x := make([]float32, n)
		for i := range x {
			x[i] = 1
		}
		Axpy(1, x, padded[:n:n])
		MatVec(padded[:1:1], x, x)
		if i := slices.IndexFunc(padded[max(n, 1):], func(v float32) bool { return v != 0 }); i >= 0 {
			t.Fatalf("length %d: element %d beyond the vector was written", n, i)
		}
	}
}

func TestMismatchedLengthsPanic(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(){
		"Dot":    func() { Dot(make([]float32, 2), make([]float32, 3)) },
		"Axpy":   func() { Axpy(1, make([]float32, 2), make([]float32, 3)) },
		"MatVec": func() { MatVec(make([]float32, 2), make([]float32, 5), make([]float32, 3)) },
		"MultiplyTile, depth": func() {
			MultiplyTile(
				make([]float32, 96), 16, make([]float32, 12), make([]float32, 16),
			)
		},
		"MultiplyTile, tile": func() {
			MultiplyTile(
				make([]float32, 95), 16, make([]float32, 6), make([]float32, 16),
			)
		},
		"Adam": func() {
			Adam(make([]float32, 2), make([]float32, 2), make([]float32, 2), make([]float32, 3), Moments{})
		},
		"AddResiduals, row": func() {
			AddResiduals(make([]float32, 8), make([]float32, 8), []int32{1}, []float32{1}, 1, make([]float32, 8))
		},
		"AddResiduals, weights": func() {
			AddResiduals(
				make([]float32, 8), make([]float32, 8), []int32{0}, nil, 1, make([]float32, 8),
			)
		},
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

// The benchmarks run each kernel at the usual dimensions, against the Go fallback.
func BenchmarkDot(b *testing.B) {
	for _, dim := range []int{64, 152} {
		x, y := make([]float32, dim), make([]float32, dim)
		var sink float32
		for name, f := range map[string]func(x, y []float32) float32{"simd": Dot, "go": dotGo} {
			b.Run(fmt.Sprintf("%s/dim=%d", name, dim), func(b *testing.B) {
				b.SetBytes(int64(8 * dim))
				for b.Loop() {
					sink += f(x, y)
				}
			})
		}
		_ = sink
	}
}

func BenchmarkMatVec(b *testing.B) {
	for _, rows := range []int{3416, 100_000} {
		for _, dim := range []int{64, 152} {
			m, x, out := make([]float32, rows*dim), make([]float32, dim), make([]float32, rows)
			for i := range m {
				m[i] = 1 // pages that were never written would all be the same one
			}
			for name, f := range map[string]func(out, m, x []float32){"simd": MatVec, "go": matVecGo} {
				b.Run(fmt.Sprintf("%s/rows=%d/dim=%d", name, rows, dim), func(b *testing.B) {
					b.SetBytes(int64(4 * rows * dim))
					for b.Loop() {
						f(out, m, x)
					}
				})
			}
		}
	}
}

func BenchmarkAddResiduals(b *testing.B) {
	const rows = 3416
	r := rand.New(rand.NewPCG(1, 2))
	for _, dim := range []int{64, 152} {
		m, x, y := vector(r, rows*dim, 0), vector(r, dim, 0), make([]float32, dim)
		index, weights := make([]int32, 165), make([]float32, 165)
		for k := range index {
			index[k], weights[k] = int32(r.IntN(rows)), 1e-6
		}
		for name, f := range map[string]func(
			y, m []float32, index []int32, weights []float32, target float32, x []float32,
		){
			"simd": AddResiduals, "go": addResidualsGo,
		} {
			b.Run(fmt.Sprintf("%s/dim=%d", name, dim), func(b *testing.B) {
				for b.Loop() {
					f(y, m, index, weights, 1, x)
				}
			})
		}
	}
}

// BenchmarkMultiplyTile is the ceiling of products of matrices: its panels stay in the first-level cache.
func BenchmarkMultiplyTile(b *testing.B) {
	const depth = 256
	c, x, y := make([]float32, TileRows*TileColumns), make([]float32, depth*TileRows),
		make([]float32, depth*TileColumns)
	for b.Loop() {
		MultiplyTile(c, TileColumns, x, y)
	}
	b.ReportMetric(2*depth*TileRows*TileColumns*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
