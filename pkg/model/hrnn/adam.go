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
	simd.Adam(o.values, o.gradient, o.mean, o.square, stepOf(rate, step, scale))
}

// What is left of the moments after so many steps without a gradient; never less than a ten-thousandth, which moves
// nothing.
var (
	momentumPower = powersOf(momentum)
	squarePower   = powersOf(squareDecay)
)

func powersOf(base float64) (all [1024]float64) {
	for n := range all {
		all[n] = max(math.Pow(base, float64(n)), 1e-4)
	}
	return all
}

func after(power *[1024]float64, steps int) float64 { return power[min(steps, len(power)-1)] }

// stepOf is Adam's step with this number, from 0. Its divisions undo that the moments begin at zero.
func stepOf(rate float32, step int, scale float32) simd.Moments {
	return simd.Moments{
		Scale: scale, FreshMean: 1 - momentum, FreshSquare: 1 - squareDecay,
		Way:  rate / float32(1-math.Pow(momentum, float64(step+1))),
		Root: float32(1 / (1 - math.Pow(squareDecay, float64(step+1)))),
	}
}

// table is rows of weights of which a step touches some. The others go on in the direction of their moments, as Adam
// has it: rare items learn several times faster by that. As nothing reads them meanwhile, they do so in one go when
// they are next needed.
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

// wake makes up for the steps below the given one in which a row had no gradient. Each would have moved a weight by its
// mean over the root of its square, which shrink by fixed factors.
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
	s := stepOf(rate, first-1, 0)
	// A step without a gradient takes fixed shares off the moments, which its quotient is to be rid of.
	s.FreshMean, s.FreshSquare = float32(1-after(&momentumPower, asleep)), float32(1-after(&squarePower, asleep))
	s.Way *= float32(sum) / (1 - s.FreshMean)
	s.Root /= 1 - s.FreshSquare
	simd.Adam(t.row(r), at(t.gradient, int(r), t.width), at(t.mean, int(r), t.width), at(t.square, int(r), t.width), s)
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
	s := stepOf(rate, step, scale)
	for _, r := range t.touched {
		gradient := at(t.gradient, int(r), t.width)
		simd.Adam(t.row(r), gradient, at(t.mean, int(r), t.width), at(t.square, int(r), t.width), s)
		clear(gradient)
		t.isOn[r] = false
		t.since[r] = int32(step + 1)
	}
	t.touched = t.touched[:0]
}
