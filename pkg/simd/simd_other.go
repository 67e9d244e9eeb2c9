//go:build !amd64 || purego

package simd

const accelerated = false

func dot(x, y []float32) float32                { return dotGo(x, y) }
func axpy(a float32, x, y []float32)            { axpyGo(a, x, y) }
func expSum(x []float32, shift float32) float32 { return expSumGo(x, shift) }
func matVec(out, m, x []float32)                { matVecGo(out, m, x) }
func addResiduals(y, m []float32, index []int32, weights []float32, target float32, x []float32) {
	addResidualsGo(y, m, index, weights, target, x)
}
func multiplyTile(c []float32, stride int, a, b []float32, depth int) {
	multiplyTileGo(c, stride, a, b, depth)
}
func adam(values, gradient, mean, square []float32, m Moments) {
	adamGo(values, gradient, mean, square, m)
}
