//go:build amd64 && !purego

package simd

import "github.com/klauspost/cpuid/v2"

// accelerated is a fact about the machine, read once.
var accelerated = cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3)

// The kernels take whole registers: body is the part of a length that fills them, and what is left is added in Go.

func body(n int) int { return n &^ (Lanes - 1) }

func dot(x, y []float32) float32 {
	n := body(len(x))
	if !accelerated || n == 0 {
		return dotGo(x, y)
	}
	sum := dotAVX2(&x[0], &y[0], n)
	for i := n; i < len(x); i++ {
		sum += x[i] * y[i]
	}
	return sum
}

func axpy(a float32, x, y []float32) {
	n := body(len(x))
	if !accelerated || n == 0 {
		axpyGo(a, x, y)
		return
	}
	axpyAVX2(a, &x[0], &y[0], n)
	for i := n; i < len(x); i++ {
		y[i] += a * x[i]
	}
}

func matVec(out, m, x []float32) {
	n, groups := body(len(x)), len(out)&^3
	if !accelerated || n == 0 {
		matVecGo(out, m, x)
		return
	}
	if groups > 0 {
		matVecAVX2(&out[0], &m[0], &x[0], groups, len(x), n)
		if n < len(x) {
			for i := range out[:groups] {
				out[i] += dotGo(m[i*len(x)+n:(i+1)*len(x)], x[n:])
			}
		}
	}
	for i := groups; i < len(out); i++ {
		out[i] = dot(m[i*len(x):][:len(x)], x)
	}
}

func addResiduals(y, m []float32, index []int32, weights []float32, target float32, x []float32) {
	groups := len(index) &^ 3
	if !accelerated || len(x)%Lanes != 0 || len(x) == 0 {
		groups = 0
	}
	if groups > 0 {
		addResidualsAVX2(&y[0], &m[0], &index[0], &weights[0], groups, target, &x[0], len(x))
	}
	for k := groups; k < len(index); k++ {
		row := m[int(index[k])*len(x):][:len(x)]
		axpy(weights[k]*(target-dot(row, x)), row, y)
	}
}

func multiplyTile(c []float32, stride int, a, b []float32, depth int) {
	if !accelerated {
		multiplyTileGo(c, stride, a, b, depth)
		return
	}
	multiplyTileAVX2(&c[0], stride, &a[0], &b[0], depth)
}

func expSum(x []float32, shift float32) float32 {
	n := body(len(x))
	if !accelerated || n == 0 {
		return expSumGo(x, shift)
	}
	return expSumAVX2(&x[0], shift, n) + expSumGo(x[n:], shift)
}

func adam(values, gradient, mean, square []float32, m Moments) {
	n := body(len(values))
	if !accelerated {
		n = 0
	}
	if n > 0 {
		adamAVX2(&values[0], &gradient[0], &mean[0], &square[0], n, m.Scale, m.FreshMean, m.FreshSquare, m.Way, m.Root)
	}
	adamGo(values[n:], gradient[n:], mean[n:], square[n:], m)
}
