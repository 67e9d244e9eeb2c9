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

const smallest = 1e-8 // of a divisor

// corrections undo that the moments begin at zero.
func corrections(step int) (mean, square float32) {
	return float32(1 / (1 - math.Pow(momentum, float64(step+1)))), float32(1 / (1 - math.Pow(squareDecay, float64(step+1))))
}

func adam(values, gradient, mean, square []float32, rate float32, step int, scale float32) {
	m, s := corrections(step)
	mean, square, values = mean[:len(gradient)], square[:len(gradient)], values[:len(gradient)]
	for k, g := range gradient {
		g *= scale
		mean[k] += (1 - momentum) * (g - mean[k])
		square[k] += (1 - squareDecay) * (g*g - square[k])
		values[k] -= rate * m * mean[k] / (float32(math.Sqrt(float64(square[k]*s))) + smallest)
	}
}

// table is rows of weights of which a step touches some. The others go on in the direction of their moments, as Adam has it:
// rare items learn several times faster by that. As nothing reads them meanwhile, they do so in one go when they are next
// needed.
type table struct {
	optimised
	width   int
	touched []int32
	isOn    []bool
	since   []int32 // by row: the first step that has not moved it
}

func newTable(values []float32, width int) table {
	rows := len(values) / width
	return table{optimised: newOptimised(values), width: width, isOn: make([]bool, rows), since: make([]int32, rows)}
}

func (t *table) row(r int32) []float32 { return at(t.values, int(r), t.width) }

// wake makes up for the steps below the given one in which a row had no gradient. Each would have moved a weight by its mean
// over the root of its square, which shrink by fixed factors.
func (t *table) wake(r int32, rate float32, step int) {
	asleep := step - int(t.since[r])
	if asleep == 0 {
		return
	}
	first := int(t.since[r])
	t.since[r] = int32(step)
	if first == 0 { // has no moments yet
		return
	}
	shrinks := momentum / math.Sqrt(squareDecay)
	sum := shrinks * (1 - math.Pow(shrinks, float64(asleep))) / (1 - shrinks)
	m, s := corrections(first)
	way := rate * m / float32(math.Sqrt(float64(s))) * float32(sum)
	slower, less := float32(math.Pow(momentum, float64(asleep))), float32(math.Pow(squareDecay, float64(asleep)))
	values, mean, square := t.row(r), at(t.mean, int(r), t.width), at(t.square, int(r), t.width)
	for k := range values {
		values[k] -= way * mean[k] / (float32(math.Sqrt(float64(square[k]))) + smallest)
		mean[k] *= slower
		square[k] *= less
	}
}

// add adds to the gradient of a row.
func (t *table) add(r int32, scale float32, gradient []float32) {
	if !t.isOn[r] {
		t.isOn[r] = true
		t.touched = append(t.touched, r)
	}
	simd.Axpy(scale, gradient, at(t.gradient, int(r), t.width))
}

// update moves the touched rows, all of which are awake.
func (t *table) update(rate float32, step int, scale float32) {
	for _, r := range t.touched {
		gradient := at(t.gradient, int(r), t.width)
		adam(t.row(r), gradient, at(t.mean, int(r), t.width), at(t.square, int(r), t.width), rate, step, scale)
		clear(gradient)
		t.isOn[r] = false
		t.since[r] = int32(step + 1)
	}
	t.touched = t.touched[:0]
}
