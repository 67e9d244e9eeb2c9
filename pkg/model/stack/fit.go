package stack

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
)

// fitter finds the decays and the weights of a stack.
type fitter struct {
	model   *Model
	held    []heldBack
	threads int
	// repeats is true where users come back to items often enough that what they have had is a candidate.
	repeats bool
}

const (
	// fromEach is how many items of each component's list are candidates.
	fromEach = 100
	// repeating is the share of the events that must be repetitions before these count.
	repeating = 0.02
	// prior pulls the weights towards equal ones for all components: with few events they stay there, hundreds of
	// events do not feel it.
	prior = 2
	// ensembleWeight is the sum of the weights before any event is seen.
	ensembleWeight = 2
	// cutoff is the length of the lists that stack and components are compared by.
	cutoff = 10
	// block is how many events are summed up at a time.
	block = 32
)

// example is a held-back event as the weights see it.
type example struct {
	// features of the candidates, candidate after candidate.
	features []float32
	// target is the position of the event's item among the candidates, -1 where it is not among them.
	target int
	weight float64
	// gains is what each component by itself, with popularity the last, has of the metric.
	gains []float64
}

func (f *fitter) run(ctx context.Context) error {
	f.model.ranking = unseenRanking{weights: likenessAlone, expected: make([]float32, f.model.items.Len())}
	if len(f.held) == 0 {
		f.assign(f.prior())
		return ctx.Err()
	}
	if err := f.chooseDecays(ctx); err != nil {
		return err
	}
	again := 0
	for _, h := range f.held {
		if f.again(h) {
			again++
		}
	}
	f.repeats = float64(again) >= repeating*float64(len(f.held)) && again > 1
	examples, err := f.examples(ctx)
	if err != nil {
		return err
	}
	w, err := f.decide(ctx, examples)
	if err != nil {
		return err
	}
	f.assign(w)
	return f.rankUnseen(ctx)
}

// decide finds the weights: of all components, or of one where that is clearly better.
func (f *fitter) decide(ctx context.Context, examples []example) ([]float64, error) {
	best, err := f.better(ctx, examples)
	if err != nil {
		return nil, err
	}
	if best >= 0 {
		return f.fit(ctx, examples, f.only(best))
	}
	return f.fit(ctx, examples, nil)
}

// again reports whether the event's item is one that the user had before.
func (f *fitter) again(h heldBack) bool {
	id := f.model.items.ID(h.item)
	return slices.ContainsFunc(h.history, func(r reco.RecentInteraction) bool { return r.ItemID == id })
}

// The weights are in this order: of each component the weight, then of each sparse one the bend, then the extras.

func (f *fitter) size() int { return len(f.model.components) + f.sparse() + len(f.model.extras.all()) }

func (f *fitter) sparse() (n int) {
	for _, c := range f.model.components {
		if c.sparse {
			n++
		}
	}
	return n
}

// prior are the weights without any evidence: all components count alike.
func (f *fitter) prior() []float64 {
	w := make([]float64, f.size())
	for k := range f.model.components {
		w[k] = ensembleWeight / float64(len(f.model.components))
	}
	return w
}

// only says which weights may differ from zero where one component, or popularity behind them, is to decide alone.
func (f *fitter) only(best int) []bool {
	free := make([]bool, f.size())
	n := len(f.model.components)
	if best == n {
		free[n+f.sparse()] = true
	} else {
		free[best] = true
	}
	if f.repeats {
		free[len(free)-1], free[len(free)-2] = true, true
	}
	return free
}

// assign gives the model its weights.
func (f *fitter) assign(w []float64) {
	m := f.model
	next := len(m.components)
	for k := range m.components {
		m.components[k].weight = w[k]
		if m.components[k].sparse {
			m.components[k].bend = w[next]
			next++
		}
	}
	for k, x := range m.extras.all() {
		*x = w[next+k]
	}
}

// chooseDecays has each linear component forget as suits the held-back events best.
func (f *fitter) chooseDecays(ctx context.Context) error {
	for k := range f.model.components {
		c := &f.model.components[k]
		best := -1.0
		var chosen component
		for _, decay := range c.decays {
			faded, err := fading(c.model, decay)
			if err != nil {
				return fmt.Errorf("component %s: %w", c.name, err)
			}
			tried := *c
			tried.model, tried.decay = faded, decay
			gain, err := f.alone(ctx, &tried)
			if err != nil {
				return err
			}
			if gain > best {
				best, chosen = gain, tried
			}
		}
		if len(c.decays) > 0 {
			*c = chosen
		}
	}
	return nil
}

// alone is what a component gains by itself.
func (f *fitter) alone(ctx context.Context, c *component) (float64, error) {
	gains, failed := make([]float64, len(f.held)), make([]error, len(f.held))
	err := model.Blocks(ctx, len(f.held), block, f.threads, func(_, from, to int) {
		m := f.model
		mem := m.scratch.Get().(*memory)
		defer m.scratch.Put(mem)
		for k := from; k < to; k++ {
			h := f.held[k]
			if !m.begin(mem, h.history) {
				continue
			}
			if failed[k] = c.score(mem, model.Query{History: h.history}, mem.raw); failed[k] == nil {
				gains[k] = h.weight * gain(m.rank(mem, mem.raw, h.item, true))
			}
			m.end(mem)
		}
	})
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for k, g := range gains {
		if failed[k] != nil {
			return 0, failed[k]
		}
		sum += g
	}
	return sum, nil
}

// rank is how many items come before one, without those that the user has had unless they count, too; -1 for an item
// that is not ranked.
func (m *Model) rank(mem *memory, scores []float32, item int, repeats bool) int {
	if !m.seen[item] || mem.isOwn[item] && !repeats {
		return -1
	}
	before := 0
	for i, s := range scores {
		if (s > scores[item] || s == scores[item] && i < item) && m.seen[i] && (repeats || !mem.isOwn[i] || i == item) {
			before++
		}
	}
	return before
}

// gain is an item's discounted gain, from its position in the list.
func gain(rank int) float64 {
	if rank < 0 || rank >= cutoff {
		return 0
	}
	return 1 / math.Log2(float64(rank+2))
}

// examples computes the candidates' features for every event.
func (f *fitter) examples(ctx context.Context) ([]example, error) {
	all, failed := make([]example, len(f.held)), make([]error, len(f.held))
	err := model.Blocks(ctx, len(f.held), block, f.threads, func(_, from, to int) {
		m := f.model
		mem := m.scratch.Get().(*memory)
		defer m.scratch.Put(mem)
		z := make([][]float32, len(m.components))
		for k := range z {
			z[k] = make([]float32, m.items.Len())
		}
		for k := from; k < to; k++ {
			if m.begin(mem, f.held[k].history) {
				all[k], failed[k] = f.example(mem, f.held[k], z)
				m.end(mem)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	kept := all[:0]
	for k, e := range all {
		if failed[k] != nil {
			return nil, failed[k]
		}
		if e.gains != nil {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

func (f *fitter) example(mem *memory, h heldBack, z [][]float32) (example, error) {
	m := f.model
	n := len(m.components)
	e := example{target: -1, weight: h.weight, gains: make([]float64, n+1)}
	chosen := make([]bool, m.items.Len())
	skip := func(i int) bool { return !m.seen[i] || mem.isOwn[i] && !f.repeats }
	for k := range m.components {
		if err := m.standardise(mem, &m.components[k], model.Query{History: h.history}); err != nil {
			return e, err
		}
		copy(z[k], mem.raw)
		e.gains[k] = gain(m.rank(mem, z[k], h.item, f.repeats))
		for _, i := range model.TopK(z[k], fromEach, skip) {
			chosen[i] = true
		}
	}
	e.gains[n] = gain(m.rank(mem, m.popular, h.item, f.repeats))
	age := make(map[int32]int32, len(mem.own))
	if f.repeats {
		for _, o := range mem.own {
			chosen[o.item] = m.seen[o.item]
			age[o.item] = o.age
		}
	}
	long := depth(len(h.history))
	candidates := 0
	for i, in := range chosen {
		if !in {
			continue
		}
		if i == h.item {
			e.target = candidates
		}
		candidates++
		x := extras{popularity: float64(m.popular[i])}
		x.depth = x.popularity * long
		if a, own := age[int32(i)]; own {
			x.repetition, x.recency = 1, recency(a)
		}
		e.features = m.appendFeatures(e.features, z, i, x)
	}
	return e, nil
}

// appendFeatures appends the features of item i, in the order of the weights; z holds the components' standardised scores.
func (m *Model) appendFeatures(features []float32, z [][]float32, i int, x extras) []float32 {
	for k := range z {
		features = append(features, z[k][i])
	}
	for k, c := range m.components {
		if c.sparse {
			features = append(features, bent(z[k][i]))
		}
	}
	for _, v := range x.all() {
		features = append(features, float32(*v))
	}
	return features
}

// fit maximises the likelihood of the events' items among their candidates. free says which weights may move; nil: all.
// The others are zero.
func (f *fitter) fit(ctx context.Context, examples []example, free []bool) ([]float64, error) {
	start := f.prior()
	var at []int
	for k := range start {
		if free == nil || free[k] {
			at = append(at, k)
		} else {
			start[k] = 0
		}
	}
	return f.fitFrom(ctx, examples, start, at)
}

// fitFrom starts from weights, towards which a prior pulls; free are those that may move.
func (f *fitter) fitFrom(ctx context.Context, examples []example, start []float64, free []int) ([]float64, error) {
	l := likelihood{ctx: ctx, examples: examples, free: free, center: start, threads: f.threads}
	w := slices.Clone(start)
	loss, grad, hessian := l.at(w)
	// Far from the optimum, where nearly all of a softmax lies on one candidate, Newton's steps lead anywhere: damping
	// shortens them, and turns them towards the steepest descent, until they help (Levenberg-Marquardt).
	damping := 0.0
	for range maxSteps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if step, solved := newton(grad, hessian, damping); solved {
			if mat.Dot(grad, step) < enough {
				break
			}
			next := slices.Clone(w)
			for k, a := range free {
				next[a] -= step.AtVec(k)
			}
			if nextLoss, nextGrad, nextHessian := l.at(next); nextLoss < loss {
				w, loss, grad, hessian = next, nextLoss, nextGrad, nextHessian
				damping = relaxed(damping)
				continue
			}
		}
		damping = max(damping*moreDamping, leastDamping)
	}
	return w, ctx.Err()
}

const (
	// maxSteps are the steps of Newton's method, with those that are tried in vain; a dozen are usual.
	maxSteps = 200
	// enough is the improvement of the log-likelihood, of all events together, that is none any more.
	enough = 1e-6
	// Damping, in shares of each second derivative, begins with the least, grows while steps do not help, and falls to
	// none.
	leastDamping = 1e-3
	moreDamping  = 8
)

func relaxed(damping float64) float64 {
	if damping /= moreDamping; damping < leastDamping {
		return 0
	}
	return damping
}

// newton solves for a step against the gradient. It fails where rounding has left the matrix indefinite.
func newton(grad *mat.VecDense, hessian *mat.SymDense, damping float64) (*mat.VecDense, bool) {
	damped := hessian
	if damping > 0 {
		damped = mat.NewSymDense(hessian.SymmetricDim(), nil)
		damped.CopySym(hessian)
		for k := range damped.SymmetricDim() {
			damped.SetSym(k, k, hessian.At(k, k)*(1+damping))
		}
	}
	var factor mat.Cholesky
	if !factor.Factorize(damped) {
		return nil, false
	}
	var step mat.VecDense
	if err := factor.SolveVecTo(&step, grad); err != nil {
		return nil, false // ill-conditioned
	}
	return &step, true
}

// likelihood is the penalised negative log-likelihood of weights. It is strictly convex.
type likelihood struct {
	ctx      context.Context
	examples []example
	// free are the weights that may move.
	free    []int
	center  []float64
	threads int
}

// sums are those of a block of examples: loss, gradient and the upper triangle of the second derivatives.
type sums struct {
	loss    float64
	grad    []float64
	hessian []float64
}

// at gives loss, gradient and second derivatives in the free weights. It sums up block by block, so that the number of
// threads does not matter.
func (l *likelihood) at(w []float64) (float64, *mat.VecDense, *mat.SymDense) {
	n := len(l.free)
	blocks := make([]sums, (len(l.examples)+block-1)/block)
	// A context that ends is looked at between steps.
	_ = model.Blocks(l.ctx, len(l.examples), block, l.threads, func(_, from, to int) {
		s := sums{grad: make([]float64, n), hessian: make([]float64, n*n)}
		for _, e := range l.examples[from:to] {
			e.add(w, l.free, &s)
		}
		blocks[from/block] = s
	})
	loss, grad, hessian := 0.0, mat.NewVecDense(max(n, 1), nil), mat.NewSymDense(max(n, 1), nil)
	for _, s := range blocks {
		loss += s.loss
		for i := range s.grad {
			grad.SetVec(i, grad.AtVec(i)+s.grad[i])
			for j := i; j < n; j++ {
				hessian.SetSym(i, j, hessian.At(i, j)+s.hessian[i*n+j])
			}
		}
	}
	for k, a := range l.free {
		d := w[a] - l.center[a]
		loss += prior * d * d / 2
		grad.SetVec(k, grad.AtVec(k)+prior*d)
		hessian.SetSym(k, k, hessian.At(k, k)+prior)
	}
	return loss, grad, hessian
}

// scores are those of the candidates.
func (e *example) scores(w []float64) []float64 {
	n := len(w)
	s := make([]float64, len(e.features)/n)
	for c := range s {
		for k, x := range e.features[c*n : (c+1)*n] {
			s[c] += w[k] * float64(x)
		}
	}
	return s
}

// add adds what an example has of the loss and its derivatives.
func (e *example) add(w []float64, free []int, to *sums) {
	if e.target < 0 {
		return
	}
	all, n := len(w), len(free)
	s := e.scores(w)
	top, sum := slices.Max(s), 0.0
	right := s[e.target] - top
	for c := range s {
		s[c] = math.Exp(s[c] - top)
		sum += s[c]
	}
	mean, x := make([]float64, n), make([]float64, n)
	for c := range s {
		p := s[c] / sum
		if p < negligible && c != e.target {
			continue
		}
		features := e.features[c*all : (c+1)*all]
		for k, a := range free {
			x[k] = float64(features[a])
			mean[k] += p * x[k]
		}
		for i, v := range x {
			if c == e.target {
				to.grad[i] -= e.weight * v
			}
			row, pv := to.hessian[i*n:(i+1)*n], e.weight*p*v
			for j := i; j < n; j++ {
				row[j] += pv * x[j]
			}
		}
	}
	for i, v := range mean {
		to.grad[i] += e.weight * v
		for j := i; j < n; j++ {
			to.hessian[i*n+j] -= e.weight * v * mean[j]
		}
	}
	to.loss += e.weight * (math.Log(sum) - right)
}

// negligible is the probability below which a candidate moves no weight.
const negligible = 1e-7

// gain is what weights have of the metric.
func (e *example) gain(w []float64) float64 {
	if e.target < 0 {
		return 0
	}
	s := e.scores(w)
	before := 0
	for c := range s {
		if s[c] > s[e.target] || s[c] == s[e.target] && c < e.target {
			before++
		}
	}
	return gain(before)
}

// better finds the component, or popularity, that does better alone than the ensemble does: on events that the weights
// have not seen, by more than chance would explain. It is -1 where there is none.
func (f *fitter) better(ctx context.Context, examples []example) (int, error) {
	if len(examples) < 2 {
		return -1, nil
	}
	half := len(examples) / 2
	gains := make([]float64, len(examples))
	for _, fold := range [][2][]example{{examples[:half], examples[half:]}, {examples[half:], examples[:half]}} {
		w, err := f.fit(ctx, fold[0], nil)
		if err != nil {
			return -1, err
		}
		at := 0
		if &fold[1][0] != &examples[0] {
			at = half
		}
		for k := range fold[1] {
			gains[at+k] = fold[1][k].gain(w)
		}
	}
	best, by := -1, 0.0
	for c := range f.model.components {
		if mean, deviation := advantage(examples, gains, c); mean > deviation && mean > by {
			best, by = c, mean
		}
	}
	n := len(f.model.components)
	if mean, deviation := advantage(examples, gains, n); mean > deviation && mean > by {
		best = n
	}
	return best, nil
}

// advantage is the mean of how much more one alone gains than the ensemble, and its standard error.
func advantage(examples []example, ensemble []float64, alone int) (mean, deviation float64) {
	return meanOf(
		len(examples), func(k int) float64 { return examples[k].weight * (examples[k].gains[alone] - ensemble[k]) },
	)
}

// meanOf is the mean of n numbers, and its standard error.
func meanOf(n int, number func(k int) float64) (mean, deviation float64) {
	sum, square := 0.0, 0.0
	for k := range n {
		x := number(k)
		sum += x
		square += x * x
	}
	mean, deviation = moments(sum, square, n)
	return mean, deviation / math.Sqrt(float64(n))
}
