package simd

import "math"

// dotGo keeps four sums so that the additions do not wait for one another.
func dotGo(x, y []float32) float32 {
	y = y[:len(x)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s0 += x[i] * y[i]
		s1 += x[i+1] * y[i+1]
		s2 += x[i+2] * y[i+2]
		s3 += x[i+3] * y[i+3]
	}
	for ; i < len(x); i++ {
		s0 += x[i] * y[i]
	}
	return (s0 + s1) + (s2 + s3)
}

func axpyGo(a float32, x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += a * v
	}
}

func matVecGo(out, m, x []float32) {
	for i := range out {
		out[i] = dotGo(m[i*len(x):][:len(x)], x)
	}
}

func addResidualsGo(y, m []float32, index []int32, weights []float32, target float32, x []float32) {
	for k, i := range index {
		row := m[int(i)*len(x):][:len(x)]
		axpyGo(weights[k]*(target-dotGo(row, x)), row, y)
	}
}

func multiplyTileGo(c []float32, stride int, a, b []float32, depth int) {
	var tile [TileRows * TileColumns]float32
	for d := range depth {
		row := b[d*TileColumns:][:TileColumns]
		for r, v := range a[d*TileRows:][:TileRows] {
			sums := tile[r*TileColumns:][:TileColumns]
			for k, w := range row {
				sums[k] += v * w
			}
		}
	}
	for r := range TileRows {
		to := c[r*stride:][:TileColumns]
		for k, v := range tile[r*TileColumns:][:TileColumns] {
			to[k] += v
		}
	}
}

func adamGo(values, gradient, mean, square []float32, m Moments) {
	for k, g := range gradient {
		g *= m.Scale
		mean[k] += m.FreshMean * (g - mean[k])
		square[k] += m.FreshSquare * (g*g - square[k])
		values[k] -= m.Way * (mean[k] / (float32(math.Sqrt(float64(square[k]*m.Root))) + 1e-8))
	}
}

func expSumGo(x []float32, shift float32) float32 {
	sum := float32(0)
	for k, v := range x {
		x[k] = expGo(v - shift)
		sum += x[k]
	}
	return sum
}

// expGo is the exponential function in single precision, several times faster than that of package math: the result is
// 2^(whole part) times a polynomial (Cephes, expf) of the rest.
func expGo(x float32) float32 {
	if !(x > -87) {
		return 0
	}
	x = min(x, 88)
	const (
		log2e = 1.44269504088896341
		high  = 0.693359375 // high + low is the logarithm of 2
		low   = -2.12194440e-4
	)
	whole := int32(x*log2e+128.5) - 128 // rounds to the nearest, for x above -87
	n := float32(whole)
	x = x - n*high - n*low
	p := ((((1.9875691500e-4*x+1.3981999507e-3)*x+8.3334519073e-3)*x+4.1665795894e-2)*x+1.6666665459e-1)*x +
		5.0000001201e-1
	p = p*x*x + x + 1
	return p * math.Float32frombits(uint32(whole+127)<<23)
}
