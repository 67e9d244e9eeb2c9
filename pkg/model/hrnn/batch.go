package hrnn

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/penchant-io/penchant/pkg/linalg"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/simd"
)

// sampler draws items in proportion to a power of their popularity.
type sampler struct {
	cumulative []float64
	share      []float64
}

func newSampler(counts []int64) sampler {
	s := sampler{cumulative: make([]float64, len(counts)), share: make([]float64, len(counts))}
	sum := 0.0
	for i, n := range counts {
		sum += math.Pow(float64(n), negativePower)
		s.cumulative[i] = sum
	}
	for i, n := range counts {
		s.share[i] = math.Pow(float64(n), negativePower) / sum
	}
	return s
}

// drawn are the negatives of a step.
type drawn struct {
	item []int32 // distinct
	at   []int32 // by item of the catalogue: its place in item plus one, or 0
	// vectors and offset are theirs, see look: output vectors, and the bias less the logarithm of the chance to be
	// drawn, so that the softmax over a sample is, in the mean, that over all (Bengio, Senécal, "Adaptive importance
	// sampling", 2008).
	vectors, offset []float32
}

func (s *sampler) draw(random *rand.Rand, t *trainer) *drawn {
	d := &drawn{at: make([]int32, t.items.Len())}
	wanted := min(negatives, len(s.cumulative))
	for range wanted {
		x := random.Float64() * s.cumulative[len(s.cumulative)-1]
		i, _ := slices.BinarySearch(s.cumulative, x)
		i = min(i, len(s.cumulative)-1)
		if d.at[i] != 0 {
			continue
		}
		d.item = append(d.item, int32(i))
		d.at[i] = int32(len(d.item))
		chance := -math.Expm1(float64(wanted) * math.Log1p(-s.share[i]))
		d.offset = append(d.offset, -float32(math.Log(chance)))
	}
	d.vectors = make([]float32, len(d.item)*t.net.dim)
	return d
}

// look fills in what the negatives are now.
func (d *drawn) look(t *trainer) {
	for k, i := range d.item {
		t.vector(&t.outputs, i, at(d.vectors, k, t.net.dim))
		d.offset[k] += t.bias.values[i]
	}
}

// batch is the memory for a step, and its gradients. Its matrices have a row for each position, stretch after stretch:
// what is the same for all positions is one product of matrices, the rest is done stretch by stretch.
type batch struct {
	stretches [][]piece
	start     []int // by stretch: its first position
	positions int

	// The state, the hidden layer, what is wanted, and the shares of the negatives, which begin as their logits.
	u, active, q, shares linalg.Matrix
	// slope is the hidden layer before its activation, then the derivative of that and of the dropout behind it.
	slope                             linalg.Matrix
	gradientU, gradientPre, gradientQ linalg.Matrix
	keptInput                         linalg.Matrix // what the dropout of inputs multiplied with
	scratch                           []scratch     // by stretch

	// ofInput and ofTarget are the gradients of item vectors, by position; ofNegative of the negatives'. Before they
	// are known, ofInput and ofTarget hold the vectors.
	ofInput, ofTarget, ofNegative linalg.Matrix
	ofTargetBias, ofNegativeBias  []float32
	inputItem, targetItem         []int32 // by position; -1 is none
}

// scratch is what a stretch needs for itself.
type scratch struct {
	seen   []bool  // of the negatives: by the user so far
	masked []int32 // those
	kept   []float32
	weight float32 // of the positions that had a target
}

func newBatch(n *network, stretches int) *batch {
	rows, width := stretches*stretch, states*n.dim
	b := &batch{
		u: linalg.New(rows, width), slope: linalg.New(rows, n.hidden), active: linalg.New(rows, n.hidden),
		q:         linalg.New(rows, n.dim),
		gradientU: linalg.New(rows, width), gradientPre: linalg.New(rows, n.hidden), gradientQ: linalg.New(rows, n.dim),
		shares: linalg.New(rows, negatives), keptInput: linalg.New(rows, n.dim), scratch: make([]scratch, stretches),
		ofInput: linalg.New(rows, n.dim), ofTarget: linalg.New(rows, n.dim), ofNegative: linalg.New(negatives, n.dim),
		ofTargetBias: make([]float32, rows), ofNegativeBias: make([]float32, negatives),
		inputItem: make([]int32, rows), targetItem: make([]int32, rows),
	}
	for k := range b.scratch {
		b.scratch[k] = scratch{seen: make([]bool, negatives), kept: make([]float32, n.hidden)}
	}
	return b
}

// at is the part of an array that belongs to a position.
func at(values []float32, position, width int) []float32 {
	return values[position*width : (position+1)*width]
}

// arrange lists what is learned from: each position's item and the one after it.
func (b *batch) arrange(t *trainer, stretches [][]piece) {
	b.stretches, b.start, b.positions = stretches, b.start[:0], 0
	for _, pieces := range stretches {
		b.start = append(b.start, b.positions)
		for _, p := range pieces {
			for e := p.from; e < p.to; e++ {
				b.inputItem[b.positions], b.targetItem[b.positions] = t.sequence.item[e], -1
				if e+1 < t.sequence.start[p.user+1] {
					b.targetItem[b.positions] = t.sequence.item[e+1]
				}
				b.positions++
			}
		}
	}
}

// learn goes forward through the stretches, then back, and leaves the gradients in the batch and in those of the dense
// weights. It returns the weight of the positions that had a target.
func (b *batch) learn(ctx context.Context, t *trainer, shared *drawn, seed uint64) (float32, error) {
	n, threads := &t.net, model.Threads(t.config.Threads)
	width, count := states*n.dim, len(shared.item)
	rows := func(m linalg.Matrix) linalg.Matrix { return m.Part(0, b.positions, 0, m.Cols) }
	u, slope, active, q := rows(b.u), rows(b.slope), rows(b.active), rows(b.q)
	gradientU, gradientPre, gradientQ := rows(b.gradientU), rows(b.gradientPre), rows(b.gradientQ)
	shares, ofNegative := b.shares.Part(0, b.positions, 0, count), b.ofNegative.Part(0, count, 0, n.dim)
	linear, in, out := linalg.Of(n.linear, n.dim, width), linalg.Of(n.in, n.hidden, width),
		linalg.Of(n.out, n.dim, n.hidden)
	vectors := linalg.Of(shared.vectors, count, n.dim)
	each := func(work func(stretch int)) error {
		return model.Blocks(ctx, len(b.stretches), 1, threads, func(_, k, _ int) { work(k) })
	}

	sources := make([]*rand.PCG, len(b.stretches))
	err := each(func(k int) {
		sources[k] = rand.NewPCG(seed, uint64(k))
		b.forward(t, k, sources[k])
	})
	if err != nil {
		return 0, err
	}
	linalg.GemmNT(slope, u, in, 1, 1, threads)
	if err := each(func(k int) { b.activate(t, k, sources[k]) }); err != nil {
		return 0, err
	}
	linalg.GemmNT(q, u, linear, 1, 1, threads)
	linalg.GemmNT(q, active, out, 1, 1, threads)
	linalg.GemmNT(shares, q, vectors, 1, 0, threads)
	if err := each(func(k int) { b.compare(t, k, shared) }); err != nil {
		return 0, err
	}
	linalg.Gemm(gradientQ, shares, vectors, 1, 1, threads)
	linalg.GemmTN(ofNegative, shares, q, 1, 0, threads)
	addRows(b.ofNegativeBias[:count], shares)
	linalg.Gemm(gradientPre, gradientQ, out, 1, 0, threads)
	if err := each(func(k int) { b.deactivate(k) }); err != nil {
		return 0, err
	}
	linalg.Gemm(gradientU, gradientQ, linear, 1, 0, threads)
	linalg.Gemm(gradientU, gradientPre, in, 1, 1, threads)
	linalg.GemmTN(linalg.Of(t.dense[0].gradient, n.dim, width), gradientQ, u, 1, 0, threads)
	linalg.GemmTN(linalg.Of(t.dense[1].gradient, n.hidden, width), gradientPre, u, 1, 0, threads)
	linalg.GemmTN(linalg.Of(t.dense[2].gradient, n.dim, n.hidden), gradientQ, active, 1, 0, threads)
	addRows(t.dense[3].gradient, gradientPre)
	addRows(t.dense[4].gradient, gradientQ)
	if err := each(func(k int) { b.back(t, k) }); err != nil {
		return 0, err
	}
	weight := float32(0)
	for k := range b.stretches {
		weight += b.scratch[k].weight
	}
	return weight, nil
}

// addRows writes the sum of a matrix's rows.
func addRows(to []float32, m linalg.Matrix) {
	clear(to)
	for i := range m.Rows {
		simd.Axpy(1, m.Row(i), to)
	}
}

// end is behind the last position of a stretch.
func (b *batch) end(stretch int) int {
	if stretch+1 < len(b.start) {
		return b.start[stretch+1]
	}
	return b.positions
}

// forward fills the states of a stretch.
func (b *batch) forward(t *trainer, stretch int, source *rand.PCG) {
	k := b.start[stretch]
	for _, p := range b.stretches[stretch] {
		for e := p.from; e < p.to; e++ {
			u, input := b.u.Row(k), b.ofInput.Row(k)
			t.vector(&t.inputs, t.sequence.item[e], input)
			t.drop(input, b.keptInput.Row(k), source)
			if e == p.from {
				clear(u)
			} else {
				copy(u, b.u.Row(k-1))
			}
			t.net.move(u, input, e > p.from && t.sequence.begins[e])
			copy(b.slope.Row(k), t.net.inBias)
			k++
		}
	}
}

// activate makes the hidden layer and the slopes of it.
func (b *batch) activate(t *trainer, stretch int, source *rand.PCG) {
	kept := b.scratch[stretch].kept
	for k := b.start[stretch]; k < b.end(stretch); k++ {
		slope, active := b.slope.Row(k), b.active.Row(k)
		silu(active, slope)
		for j, z := range slope {
			l := float32(0.5) // the logistic function
			if z != 0 {
				l = active[j] / z
			}
			slope[j] = l + active[j]*(1-l)
		}
		t.drop(active, kept, source)
		for j, scale := range kept {
			slope[j] *= scale
		}
		copy(b.q.Row(k), t.net.outBias)
	}
}

// drop sets a share of the values to zero, and the others up in proportion; kept is what it multiplies them with.
func (t *trainer) drop(values, kept []float32, source *rand.PCG) {
	for k := 0; k < len(values); k += 8 {
		bits := source.Uint64()
		for j := k; j < min(k+8, len(values)); j++ {
			kept[j] = t.keep[bits&0xff]
			values[j] *= kept[j]
			bits >>= 8
		}
	}
}

// compare scores the item that came next against the negatives, at each position of a stretch, and leaves the gradients
// of q except for the negatives' part, of the target's vector, and the negatives' shares, which are the gradients of
// their logits. What the user has had before is no negative: it is not wrong to want it.
func (b *batch) compare(t *trainer, stretch int, shared *drawn) {
	s, mem := &t.sequence, &b.scratch[stretch]
	mem.weight = 0
	notice := func(item int32) {
		if m := shared.at[item]; m > 0 && !mem.seen[m-1] {
			mem.seen[m-1] = true
			mem.masked = append(mem.masked, m-1)
		}
	}
	k := b.start[stretch]
	for _, p := range b.stretches[stretch] {
		for _, m := range mem.masked {
			mem.seen[m] = false
		}
		mem.masked = mem.masked[:0]
		for e := s.start[p.user]; e < p.from; e++ {
			notice(s.item[e])
		}
		for e := p.from; e < p.to; e++ {
			notice(s.item[e])
			logits := b.shares.Row(k)[:len(shared.item)]
			if b.targetItem[k] < 0 {
				clear(b.gradientQ.Row(k))
				clear(logits)
			} else {
				mem.weight += s.weight[e+1]
				b.compareOne(t, k, shared, mem.masked, s.weight[e+1])
			}
			k++
		}
	}
}

func (b *batch) compareOne(t *trainer, k int, shared *drawn, masked []int32, weight float32) {
	next, q, target := b.targetItem[k], b.q.Row(k), b.ofTarget.Row(k)
	logits := b.shares.Row(k)[:len(shared.item)]
	t.vector(&t.outputs, next, target)
	simd.Axpy(1, shared.offset, logits)
	right := simd.Dot(target, q) + t.bias.values[next]
	if m := shared.at[next]; m > 0 {
		logits[m-1] = model.Never
	}
	for _, m := range masked {
		logits[m] = model.Never
	}
	top := right
	for _, l := range logits {
		if l > top {
			top = l
		}
	}
	first := float32(math.Exp(float64(right - top)))
	scale := weight / (first + simd.ExpSum(logits, top))
	for m := range logits {
		logits[m] *= scale
	}
	wrong := first*scale - weight
	b.ofTargetBias[k] = wrong
	gradient := b.gradientQ.Row(k)
	for d, v := range target {
		gradient[d] = wrong * v
		target[d] = wrong * q[d]
	}
}

// deactivate takes the gradients back through the activation.
func (b *batch) deactivate(stretch int) {
	for k := b.start[stretch]; k < b.end(stretch); k++ {
		gradient := b.gradientPre.Row(k)
		for j, slope := range b.slope.Row(k) {
			gradient[j] *= slope
		}
	}
}

// back goes from the states of a stretch to its inputs: the recurrence, run backwards.
func (b *batch) back(t *trainer, stretch int) {
	n := &t.net
	k := b.end(stretch)
	for _, p := range slices.Backward(b.stretches[stretch]) {
		for e := p.to - 1; e >= p.from; e-- {
			k--
			gradient, input := b.gradientU.Row(k), b.ofInput.Row(k)
			clear(input)
			for s, size := range runningFresh {
				simd.Axpy(size*inputScale, at(gradient, s, n.dim), input)
			}
			session, across := at(gradient, len(running), n.dim), at(gradient, len(running)+1, n.dim)
			simd.Axpy(sessionFresh*inputScale, session, input)
			for d, kept := range b.keptInput.Row(k) {
				input[d] *= kept
			}
			if e == p.from || t.config.Unroll > 0 && (e-p.from)%t.config.Unroll == 0 {
				continue
			}
			earlier := b.gradientU.Row(k - 1)
			for s, decay := range running {
				if decay > 0 {
					simd.Axpy(decay, at(gradient, s, n.dim), at(earlier, s, n.dim))
				}
			}
			earlierSession, earlierAcross := at(earlier, len(running), n.dim), at(earlier, len(running)+1, n.dim)
			if t.sequence.begins[e] {
				simd.Axpy(acrossFresh, across, earlierSession)
				simd.Axpy(acrossSessions, across, earlierAcross)
			} else {
				simd.Axpy(inSession, session, earlierSession)
				simd.Axpy(1, across, earlierAcross)
			}
		}
	}
}

// collect adds the gradients of item vectors to the tables.
func (b *batch) collect(t *trainer, shared *drawn) {
	for k, item := range b.inputItem[:b.positions] {
		t.spread(&t.inputs, item, b.ofInput.Row(k))
		if next := b.targetItem[k]; next >= 0 {
			t.spread(&t.outputs, next, b.ofTarget.Row(k))
			t.bias.add(next, 1, b.ofTargetBias[k:k+1])
		}
	}
	for m, item := range shared.item {
		t.spread(&t.outputs, item, b.ofNegative.Row(m))
		t.bias.add(item, 1, b.ofNegativeBias[m:m+1])
	}
}
