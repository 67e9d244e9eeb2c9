package simd

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
