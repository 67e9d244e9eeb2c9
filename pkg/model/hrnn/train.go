package hrnn

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/simd"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Config holds what steers a training.
type Config struct {
	// Dim is the length of item vectors; it is lowered to a quarter of the items that have interactions, though not
	// below 16, and rounded up to whole vector registers. The hidden layer is twice as wide.
	Dim int
	// Unroll is how many interactions back an error is followed through the state; 0 means all of a stretch.
	Unroll int
	// Recency has newer interactions count more: the newest twice as much as the oldest.
	Recency bool
	// Metadata has items share vectors with their categories.
	Metadata bool
	// Lift, if set, says of which items to pretend that they are as popular as the typical item.
	Lift func(id string) bool
	// Passes over the data.
	Passes int
	// Users leaves very short and very long histories out of the training; their users still get recommendations.
	Users   model.Percentiles
	Seed    int64
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// DefaultConfig is what the recipes train with.
func DefaultConfig() Config { return Config{Dim: 64, Passes: 6, Users: model.All} }

const (
	// stretch is how many consecutive interactions are learned from at a time, from a state that is zero in the
	// beginning.
	stretch = 96
	// maxStretches make a step; small data has smaller steps, down to one, so that there are enough of them.
	maxStretches = 16
	minSteps     = 800
	// maxPasses are the most there are for that; below small interactions, a network is one voice among several that
	// are as good, and what more than fewPasses would gain is not worth waiting for.
	maxPasses = 12
	fewPasses = 8
	small     = 50_000
	// negatives are drawn for each step, in proportion to a power of popularity. On ml-1m as many are as good as all
	// 3,416 items, and 384 lose a twentieth of NDCG.
	negatives     = 1024
	negativePower = 0.5
	// dropout is the share of values that are set to zero in training, sparseDropout that where there are fewer than
	// sparse interactions an item, which a network would otherwise learn by heart.
	dropout       = 0.1
	sparseDropout = 0.3
	sparse        = 50
	initialSize   = 0.05

	learningRate = 4e-3
	lastRate     = 0.05 // of learningRate
	warmUp       = 100  // steps
	momentum     = 0.9
	squareDecay  = 0.98
)

// Train learns to predict each interaction from those before it, by a softmax over it and sampled others.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*Model, error) {
	t := newTrainer(ts, c)
	if err := t.run(ctx); err != nil {
		return nil, fmt.Errorf("training the network: %w", err)
	}
	net, err := t.finish(ctx, ts)
	if err != nil {
		return nil, fmt.Errorf("training the network: %w", err)
	}
	return newModel(t.items, t.counts, net), nil
}

type trainer struct {
	config   Config
	items    *model.Items
	counts   []int64
	sequence sequence
	net      network // without items' vectors, which are in the tables below until the end
	// Tables of item vectors with one row for each item and each category behind them; features says which rows make an
	// item.
	inputs, outputs, bias table
	features              [][]int32
	dense                 []optimised
	sampler               sampler
	steps                 int
	keep                  [256]float32 // what dropout multiplies with, by a random byte
	batch                 *batch
}

// sequence is all histories in a row, in catalogue numbers.
type sequence struct {
	start  []int // by user, and the end
	item   []int32
	begins []bool // a session begins here
	weight []float32
}

func newSequence(ts *trainingset.Set, items *model.Items, c Config) sequence {
	rank := make([]int32, len(ts.Items))
	for i, id := range ts.Items {
		to, _ := items.Index(id)
		rank[i] = int32(to)
	}
	sizes := make([]int, len(ts.Users))
	for u := range sizes {
		start, end := ts.UserEvents(u)
		sizes[u] = end - start
	}
	low, high := c.Users.Bounds(sizes)
	s := sequence{start: []int{0}}
	age := ages(ts)
	for u, size := range sizes {
		if size < max(low, 2) || size > high { // a single interaction predicts nothing
			continue
		}
		start, end := ts.UserEvents(u)
		for e := start; e < end; e++ {
			s.item = append(s.item, rank[ts.Item[e]])
			s.begins = append(s.begins, e > start && ts.TimeMS[e]-ts.TimeMS[e-1] > sessionGapMS)
			weight := ts.EventWeight(e)
			if c.Recency {
				weight *= 1 - age(ts.TimeMS[e])/2
			}
			s.weight = append(s.weight, weight)
		}
		s.start = append(s.start, len(s.item))
	}
	return s
}

// ages returns the share of all interactions that are newer than a time, in steps of a hundredth.
func ages(ts *trainingset.Set) func(ms int64) float32 {
	times := slices.Sorted(slices.Values(ts.TimeMS))
	var bounds []int64
	for k := 1; k < 100 && len(times) > 0; k++ {
		bounds = append(bounds, times[len(times)*k/100])
	}
	return func(ms int64) float32 {
		older, _ := slices.BinarySearch(bounds, ms)
		return 1 - float32(older)/100
	}
}

func newTrainer(ts *trainingset.Set, c Config) *trainer {
	items, counts := model.Popular(ts)
	seen := 0
	for seen < len(counts) && counts[seen] > 0 {
		seen++
	}
	t := &trainer{config: c, items: items, counts: counts, sequence: newSequence(ts, items, c)}
	dim := simd.RoundUp(min(c.Dim, max(16, seen/4)))
	t.net = network{dim: dim, hidden: 2 * dim}
	random := rand.New(rand.NewPCG(uint64(c.Seed), 0x68726e6e))
	normal := func(n int, size float64) []float32 {
		v := make([]float32, n)
		for k := range v {
			v[k] = float32(random.NormFloat64() * size)
		}
		return v
	}
	width := states * dim
	t.net.linear = normal(dim*width, 1/math.Sqrt(float64(width)))
	t.net.in = normal(t.net.hidden*width, 1/math.Sqrt(float64(width)))
	t.net.out = normal(dim*t.net.hidden, 1/math.Sqrt(float64(t.net.hidden)))
	t.net.inBias, t.net.outBias = make([]float32, t.net.hidden), make([]float32, dim)
	rows := t.describe(ts)
	t.inputs, t.outputs = newTable(normal(rows*dim, initialSize), dim), newTable(normal(rows*dim, initialSize), dim)
	t.bias = newTable(append([]float32(nil), logShares(counts)...), 1)
	for _, weights := range [][]float32{t.net.linear, t.net.in, t.net.out, t.net.inBias, t.net.outBias} {
		t.dense = append(t.dense, newOptimised(weights))
	}
	t.sampler = newSampler(counts[:seen])
	share := dropout
	if len(t.sequence.item) < sparse*seen {
		share = sparseDropout
	}
	for k := range t.keep {
		if float64(k) >= 256*share {
			t.keep[k] = float32(1 / (1 - share))
		}
	}
	return t
}

// describe makes the list of each item's rows and returns how many rows there are. A category's row is only worth
// having if several items share it.
func (t *trainer) describe(ts *trainingset.Set) int {
	rows := t.items.Len()
	t.features = make([][]int32, rows)
	if !t.config.Metadata {
		return rows
	}
	categories := content.Categories(ts, t.items)
	holders := map[string]int{}
	for _, terms := range categories {
		for _, term := range terms {
			holders[term]++
		}
	}
	row := map[string]int32{}
	for i, terms := range categories {
		for _, term := range terms {
			if holders[term] < 2 {
				continue
			}
			r, ok := row[term]
			if !ok {
				r = int32(rows)
				row[term] = r
				rows++
			}
			t.features[i] = append(t.features[i], r)
		}
	}
	return rows
}

// vector writes the vector of an item: its own row and the mean of its categories' rows.
func (t *trainer) vector(from *table, item int32, to []float32) {
	copy(to, from.row(item))
	for _, f := range t.features[item] {
		simd.Axpy(1/float32(len(t.features[item])), from.row(f), to)
	}
}

// spread adds a gradient of an item's vector to those of its rows.
func (t *trainer) spread(to *table, item int32, gradient []float32) {
	to.add(item, 1, gradient)
	for _, f := range t.features[item] {
		to.add(f, 1/float32(len(t.features[item])), gradient)
	}
}

func (t *trainer) run(ctx context.Context) error {
	events := len(t.sequence.item)
	if events == 0 || len(t.sampler.cumulative) < 2 {
		model.NewProgress(1, t.config.Progress)(1)
		return ctx.Err()
	}
	width := min(max(events/stretch/40, 1), maxStretches)
	perPass := (events + stretch*width - 1) / (stretch * width)
	most := maxPasses
	if events < small {
		most = fewPasses
	}
	passes := max(t.config.Passes, min((minSteps+perPass-1)/perPass, most))
	t.steps = passes * (perPass + 1) // at most: a pass may begin with a part of a stretch
	t.batch = newBatch(&t.net, width)
	progress := model.NewProgress(passes*perPass, t.config.Progress)
	random := rand.New(rand.NewPCG(uint64(t.config.Seed), 0x70617373))
	step := 0
	for range passes {
		pieces := t.cut(random)
		for n := range perPass {
			from := min(n*width, len(pieces))
			if err := t.step(ctx, step, pieces[from:min(from+width, len(pieces))], random); err != nil {
				return err
			}
			step++
			progress(1)
		}
	}
	for _, table := range []*table{&t.inputs, &t.outputs, &t.bias} {
		for r := range table.since {
			table.wake(int32(r), t.rate(step), step)
		}
	}
	return nil
}

// piece is consecutive interactions of one user.
type piece struct{ user, from, to int }

// cut puts the users into a new order and cuts the stream of their interactions into stretches, the first shorter by a
// random phase, so that each pass sees other beginnings.
func (t *trainer) cut(random *rand.Rand) (stretches [][]piece) {
	var current []piece
	room := stretch - random.IntN(stretch)/2
	for _, u := range random.Perm(len(t.sequence.start) - 1) {
		from, end := t.sequence.start[u], t.sequence.start[u+1]
		for from < end {
			n := min(room, end-from)
			current = append(current, piece{u, from, from + n})
			from += n
			if room -= n; room == 0 {
				stretches, current, room = append(stretches, current), nil, stretch
			}
		}
	}
	if len(current) > 0 {
		stretches = append(stretches, current)
	}
	return stretches
}

// step learns from some stretches at once. What they add to the gradients of item vectors is added up in order, and
// linalg sums in one order, so that the result does not depend on the number of threads.
func (t *trainer) step(ctx context.Context, number int, stretches [][]piece, random *rand.Rand) error {
	if len(stretches) == 0 {
		return ctx.Err()
	}
	shared := t.sampler.draw(random, t)
	t.batch.arrange(t, stretches)
	t.wake(shared, number)
	shared.look(t)
	weight, err := t.batch.learn(ctx, t, shared, random.Uint64())
	if err != nil || weight == 0 {
		return err
	}
	t.batch.collect(t, shared)
	for w := range t.dense {
		t.dense[w].update(t.rate(number), number, 1/weight)
	}
	for _, table := range []*table{&t.inputs, &t.outputs, &t.bias} {
		table.update(t.rate(number), number, 1/weight)
	}
	return nil
}

// wake brings the rows that a step reads up to it.
func (t *trainer) wake(shared *drawn, number int) {
	wake := func(from *table, item int32) {
		from.wake(item, t.rate(number), number)
		for _, f := range t.features[item] {
			from.wake(f, t.rate(number), number)
		}
	}
	output := func(item int32) {
		wake(&t.outputs, item)
		t.bias.wake(item, t.rate(number), number)
	}
	for k, item := range t.batch.inputItem[:t.batch.positions] {
		wake(&t.inputs, item)
		if next := t.batch.targetItem[k]; next >= 0 {
			output(next)
		}
	}
	for _, item := range shared.item {
		output(item)
	}
}

// rate rises during the first steps and then falls to the end.
func (t *trainer) rate(step int) float32 {
	warm := min(warmUp, t.steps/10+1)
	if step < warm {
		return learningRate * float32(step+1) / float32(warm)
	}
	left := float32(t.steps-step) / float32(t.steps-warm+1)
	return learningRate * max(left, lastRate)
}

// finish writes the items' vectors out. Items without interactions get what those of their categories are, or with
// metadata stand among their likes; those of which nothing is known get none: they would stand at random places.
func (t *trainer) finish(ctx context.Context, ts *trainingset.Set) (network, error) {
	net := t.net
	n := t.items.Len()
	net.inputs, net.outputs, net.bias = make([]float32, n*net.dim), make([]float32, n*net.dim),
		slices.Clone(t.bias.values)
	for i := range n {
		if t.counts[i] == 0 { // its own row is as it was drawn
			clear(t.inputs.row(int32(i)))
			clear(t.outputs.row(int32(i)))
		}
		t.vector(&t.inputs, int32(i), net.inputs[i*net.dim:(i+1)*net.dim])
		t.vector(&t.outputs, int32(i), net.outputs[i*net.dim:(i+1)*net.dim])
	}
	if t.config.Metadata {
		var cold []int32
		for i := range n {
			if t.counts[i] == 0 {
				cold = append(cold, int32(i))
			}
		}
		learned := func(item int32) int64 { return t.counts[item] }
		if err := net.place(ctx, ts, t.items, placing{cold, learned}, t.config.Threads); err != nil {
			return network{}, err
		}
	}
	if t.config.Lift != nil {
		t.lift(net.bias)
	}
	return net, nil
}

// lift gives chosen items the bias of the item of the interaction in the middle, if that is more than their own.
func (t *trainer) lift(bias []float32) {
	total, sum, typical := int64(0), int64(0), 0
	for _, n := range t.counts {
		total += n
	}
	for typical < len(t.counts)-1 && 2*(sum+t.counts[typical]) < total {
		sum += t.counts[typical]
		typical++
	}
	for i := range bias {
		if t.config.Lift(t.items.ID(i)) {
			bias[i] = max(bias[i], bias[typical])
		}
	}
}
