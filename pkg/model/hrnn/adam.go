package hrnn

import (
	"math"

	"github.com/penchant-io/penchant/pkg/simd"
)

// optimised are weights under Adam (Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015).
type optimised struct {
	values, gradient, mean, square []float32
}

func newOptimised(values []float32) optimised {
	return optimised{values, make([]float32, len(values)), make([]float32, len(values)), make([]float32, len(values))}
}

// update moves the weights; scale is what their gradient is to be multiplied with, and step counts from 0.
func (o *optimised) update(rate float32, step int, scale float32) {
	adam(o.values, o.gradient, o.mean, o.square, rate, step, scale)
}

// adam is one update.
func adam(values, gradient, mean, square []float32, rate float32, step int, scale float32) {
	const small = 1e-8
	m := float32(1 / (1 - math.Pow(momentum, float64(step+1)))) // undoes that the moments begin at zero
	s := float32(1 / (1 - math.Pow(squareDecay, float64(step+1))))
	mean, square, values = mean[:len(gradient)], square[:len(gradient)], values[:len(gradient)]
	for k, g := range gradient {
		g *= scale
		mean[k] += (1 - momentum) * (g - mean[k])
		square[k] += (1 - squareDecay) * (g*g - square[k])
		values[k] -= rate * mean[k] * m / (float32(math.Sqrt(float64(square[k]*s))) + small)
	}
}

// table is rows of weights of which a step touches some; the others rest, moments and all.
type table struct {
	optimised
	width   int
	touched []int32
	isOn    []bool
}

func newTable(values []float32, width int) table {
	return table{optimised: newOptimised(values), width: width, isOn: make([]bool, len(values)/width)}
}

func (t *table) row(r int32) []float32 { return at(t.values, int(r), t.width) }

// add adds to the gradient of a row.
func (t *table) add(r int32, scale float32, gradient []float32) {
	if !t.isOn[r] {
		t.isOn[r] = true
		t.touched = append(t.touched, r)
	}
	simd.Axpy(scale, gradient, at(t.gradient, int(r), t.width))
}

// update moves the touched rows.
func (t *table) update(rate float32, step int, scale float32) {
	for _, r := range t.touched {
		gradient := at(t.gradient, int(r), t.width)
		adam(t.row(r), gradient, at(t.mean, int(r), t.width), at(t.square, int(r), t.width), rate, step, scale)
		clear(gradient)
		t.isOn[r] = false
	}
	t.touched = t.touched[:0]
}
