package hrnn

import (
	"math"
	"math/rand/v2"
	"slices"

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
	// vectors and offset are theirs: output vectors, and the bias less the logarithm of the chance to be drawn, so that the
	// softmax over a sample is, in the mean, that over all (Bengio, Senécal, "Adaptive importance sampling", 2008).
	vectors, offset []float32
	// columns is vectors, turned.
	columns []float32
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
		d.offset = append(d.offset, t.bias.values[i]-float32(math.Log(chance)))
	}
	d.vectors, d.columns = make([]float32, len(d.item)*t.net.dim), make([]float32, len(d.item)*t.net.dim)
	for k, i := range d.item {
		t.vector(&t.outputs, i, at(d.vectors, k, t.net.dim))
	}
	turn(d.columns, d.vectors, len(d.item), t.net.dim)
	return d
}

// turn writes the transpose of a matrix with so many rows and columns.
func turn(to, from []float32, rows, columns int) {
	for r := range rows {
		for c, v := range from[r*columns : (r+1)*columns] {
			to[c*rows+r] = v
		}
	}
}

// turned are the network's weights by column, for the way back.
type turned struct{ linear, in, out []float32 }

func newTurned(n *network) turned {
	return turned{make([]float32, len(n.linear)), make([]float32, len(n.in)), make([]float32, len(n.out))}
}

func (w *turned) take(n *network) {
	turn(w.linear, n.linear, n.dim, states*n.dim)
	turn(w.in, n.in, n.hidden, states*n.dim)
	turn(w.out, n.out, n.dim, n.hidden)
}

// perPosition is an array with a row for each position of a stretch, and its transpose. All products over positions are
// made of inner products of transposed rows, which cost a third of sums of rows.
type perPosition struct {
	values, columns []float32
	width           int
}

func newPerPosition(width int) perPosition {
	return perPosition{make([]float32, stretch*width), make([]float32, stretch*width), width}
}

func (p *perPosition) of(position int) []float32 { return at(p.values, position, p.width) }

// column is the values of one place in all positions.
func (p *perPosition) column(place int) []float32 { return at(p.columns, place, stretch) }

// turn fills the columns, for positions that are not there with zeros.
func (p *perPosition) turn(positions int) {
	clear(p.values[positions*p.width:])
	turn(p.columns, p.values, stretch, p.width)
}

// block is the memory for one stretch, and the gradients of it.
type block struct {
	// The state, the hidden layer before and after its activation, what is wanted, and the shares of the negatives.
	u, pre, active, q, shares         perPosition
	gradientU, gradientPre, gradientQ perPosition
	input                             []float32 // an item vector as it goes in, after dropout
	keptInput, keptActive             []bool
	target                            []float32 // of one position
	seen                              []bool    // of the negatives, by the user so far
	sum                               []float32 // of a state's length

	// dense are the gradients of the network's weights, in the order of trainer.dense.
	dense [5][]float32
	// ofInput and ofTarget are the gradients of item vectors, by position; ofNegative of the negatives'.
	ofInput, ofTarget, ofNegative []float32
	ofTargetBias, ofNegativeBias  []float32
	inputItem, targetItem         []int32 // by position; -1 is none
	// positions is the weight of the positions that had a target.
	positions float32
}

func newBlock(n *network) block {
	width := states * n.dim
	return block{
		u: newPerPosition(width), pre: newPerPosition(n.hidden), active: newPerPosition(n.hidden), q: newPerPosition(n.dim), shares: newPerPosition(negatives),
		gradientU: newPerPosition(width), gradientPre: newPerPosition(n.hidden), gradientQ: newPerPosition(n.dim),
		input: make([]float32, n.dim), keptInput: make([]bool, stretch*n.dim), keptActive: make([]bool, stretch*n.hidden),
		target: make([]float32, n.dim), seen: make([]bool, negatives), sum: make([]float32, width),
		ofInput: make([]float32, stretch*n.dim), ofTarget: make([]float32, stretch*n.dim), ofNegative: make([]float32, negatives*n.dim),
		ofTargetBias: make([]float32, stretch), ofNegativeBias: make([]float32, negatives),
		inputItem: make([]int32, stretch), targetItem: make([]int32, stretch),
		dense: [5][]float32{
			make([]float32, len(n.linear)), make([]float32, len(n.in)), make([]float32, len(n.out)), make([]float32, len(n.inBias)), make([]float32, len(n.outBias)),
		},
	}
}

// at is the part of an array that belongs to a position.
func at(values []float32, position, width int) []float32 {
	return values[position*width : (position+1)*width]
}

// learn goes forward through a stretch, then back, and leaves the gradients in the block.
func (b *block) learn(t *trainer, pieces []piece, shared *drawn, source *rand.PCG) {
	b.positions = 0
	b.shares.width = len(shared.item)
	positions := 0
	for _, p := range pieces {
		b.forward(t, p, positions, source)
		b.compare(t, p, positions, shared)
		positions += p.to - p.from
	}
	b.gatherNegatives(&t.net, positions)
	b.layers(t, positions)
	position := 0
	for _, p := range pieces {
		b.back(t, p, position)
		position += p.to - p.from
	}
	for k := positions; k < stretch; k++ {
		b.inputItem[k], b.targetItem[k] = -1, -1
	}
}

// forward fills the states and q of a piece.
func (b *block) forward(t *trainer, p piece, position int, source *rand.PCG) {
	n := &t.net
	for e := p.from; e < p.to; e++ {
		k := position + e - p.from
		b.inputItem[k] = t.sequence.item[e]
		t.vector(&t.inputs, t.sequence.item[e], b.input)
		t.drop(b.input, b.keptInput[k*n.dim:(k+1)*n.dim], source)
		u, active := b.u.of(k), b.active.of(k)
		if e == p.from {
			clear(u)
		} else {
			copy(u, b.u.of(k-1))
		}
		n.move(u, b.input, e > p.from && t.sequence.begins[e])
		n.activate(u, b.pre.of(k), active)
		t.drop(active, b.keptActive[k*n.hidden:(k+1)*n.hidden], source)
		n.read(u, active, b.q.of(k))
	}
}

// drop sets a share of the values to zero, and the others up in proportion.
func (t *trainer) drop(values []float32, kept []bool, source *rand.PCG) {
	threshold, up := 256*t.dropout, 1/(1-t.dropout)
	for k := 0; k < len(values); k += 8 {
		bits := source.Uint64()
		for j := k; j < min(k+8, len(values)); j++ {
			kept[j] = float32(bits&0xff) >= threshold
			bits >>= 8
			if kept[j] {
				values[j] *= up
			} else {
				values[j] = 0
			}
		}
	}
}

// undrop lets a gradient through where a value was kept.
func (t *trainer) undrop(gradient []float32, kept []bool) {
	up := 1 / (1 - t.dropout)
	for k := range gradient {
		if kept[k] {
			gradient[k] *= up
		} else {
			gradient[k] = 0
		}
	}
}

// compare scores the item that came next against the negatives, at each position of a piece, and leaves the gradients of
// q, of the target's vector, and the negatives' shares, which are the gradients of their logits. What the user has had
// before is no negative: it is not wrong to want it.
func (b *block) compare(t *trainer, p piece, position int, shared *drawn) {
	n, s := &t.net, &t.sequence
	clear(b.seen)
	notice := func(item int32) {
		if m := shared.at[item]; m > 0 {
			b.seen[m-1] = true
		}
	}
	for e := s.start[p.user]; e < p.from; e++ {
		notice(s.item[e])
	}
	for e := p.from; e < p.to; e++ {
		k := position + e - p.from
		gradient, logits := b.gradientQ.of(k), b.shares.of(k)
		b.targetItem[k] = -1
		notice(s.item[e])
		if e+1 == s.start[p.user+1] {
			clear(gradient)
			clear(logits)
			continue
		}
		next, weight, q := s.item[e+1], s.weight[e+1], b.q.of(k)
		b.targetItem[k] = next
		b.positions += weight
		t.vector(&t.outputs, next, b.target)
		simd.MatVec(logits, shared.vectors, q)
		simd.Axpy(1, shared.offset, logits)
		right := simd.Dot(b.target, q) + t.bias.values[next]
		if m := shared.at[next]; m > 0 {
			logits[m-1] = model.Never
		}
		top := right
		for m, l := range logits {
			if !b.seen[m] {
				top = max(top, l)
			}
		}
		first := exp(right - top)
		sum := first
		for m, l := range logits {
			if b.seen[m] {
				logits[m] = 0
				continue
			}
			logits[m] = exp(l - top)
			sum += logits[m]
		}
		scale := weight / sum
		for m := range logits {
			logits[m] *= scale
		}
		wrong := first*scale - weight
		b.ofTargetBias[k] = wrong
		ofTarget := at(b.ofTarget, k, n.dim)
		clear(ofTarget)
		simd.Axpy(wrong, q, ofTarget)
		simd.MatVec(gradient, shared.columns, logits)
		simd.Axpy(wrong, b.target, gradient)
	}
}

// gatherNegatives makes the gradients of the negatives' vectors and biases.
func (b *block) gatherNegatives(n *network, positions int) {
	count := b.shares.width
	b.shares.values, b.shares.columns = b.shares.values[:stretch*count], b.shares.columns[:stretch*count]
	b.shares.turn(positions)
	b.q.turn(positions)
	for m := range count {
		share := b.shares.column(m)
		simd.MatVec(at(b.ofNegative, m, n.dim), b.q.columns, share)
		sum := float32(0)
		for _, v := range share {
			sum += v
		}
		b.ofNegativeBias[m] = sum
	}
}

// layers goes back from q to the states, for all positions.
func (b *block) layers(t *trainer, positions int) {
	n, w := &t.net, &t.columns
	width := states * n.dim
	linear, in, out, inBias, outBias := b.dense[0], b.dense[1], b.dense[2], b.dense[3], b.dense[4]
	b.gradientQ.turn(positions)
	b.active.turn(positions)
	b.u.turn(positions)
	clear(outBias)
	clear(inBias)
	for k := range positions {
		q, gradient, pre := b.gradientQ.of(k), b.gradientPre.of(k), b.pre.of(k)
		simd.Axpy(1, q, outBias)
		simd.MatVec(gradient, w.out, q)
		t.undrop(gradient, b.keptActive[k*n.hidden:(k+1)*n.hidden])
		for j, z := range pre {
			l := logistic(z)
			gradient[j] *= l * (1 + z*(1-l))
		}
		simd.Axpy(1, gradient, inBias)
		simd.MatVec(b.gradientU.of(k), w.linear, q)
		simd.MatVec(b.sum, w.in, gradient)
		simd.Axpy(1, b.sum, b.gradientU.of(k))
	}
	b.gradientPre.turn(positions)
	for d := range n.dim {
		simd.MatVec(at(out, d, n.hidden), b.active.columns, b.gradientQ.column(d))
		simd.MatVec(at(linear, d, width), b.u.columns, b.gradientQ.column(d))
	}
	for j := range n.hidden {
		simd.MatVec(at(in, j, width), b.u.columns, b.gradientPre.column(j))
	}
}

// back goes from the states of a piece to its inputs: the recurrence, run backwards.
func (b *block) back(t *trainer, p piece, position int) {
	n := &t.net
	for e := p.to - 1; e >= p.from; e-- {
		k := position + e - p.from
		gradient, input := b.gradientU.of(k), at(b.ofInput, k, n.dim)
		clear(input)
		for s, size := range runningFresh {
			simd.Axpy(size*inputScale, at(gradient, s, n.dim), input)
		}
		session, across := at(gradient, len(running), n.dim), at(gradient, len(running)+1, n.dim)
		simd.Axpy(sessionFresh*inputScale, session, input)
		t.undrop(input, b.keptInput[k*n.dim:(k+1)*n.dim])
		if e == p.from || t.config.Unroll > 0 && (e-p.from)%t.config.Unroll == 0 {
			continue
		}
		earlier := b.gradientU.of(k - 1)
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

// collect adds the block's gradients of item vectors to the tables.
func (b *block) collect(t *trainer, shared *drawn, scale float32) {
	dim := t.net.dim
	add := func(to *table, item int32, gradient []float32) {
		for k := range gradient {
			gradient[k] *= scale
		}
		t.spread(to, item, gradient)
	}
	for k, item := range b.inputItem {
		if item >= 0 {
			add(&t.inputs, item, at(b.ofInput, k, dim))
		}
		if next := b.targetItem[k]; next >= 0 {
			add(&t.outputs, next, at(b.ofTarget, k, dim))
			t.bias.add(next, scale, b.ofTargetBias[k:k+1])
		}
	}
	for m, item := range shared.item {
		add(&t.outputs, item, at(b.ofNegative, m, dim))
		t.bias.add(item, scale, b.ofNegativeBias[m:m+1])
	}
}
