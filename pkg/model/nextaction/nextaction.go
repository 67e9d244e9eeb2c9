// Package nextaction is the model of aws-next-best-action: how probably a user takes an action if it is offered to them
// now. Its catalogue holds actions, not items.
//
// It is a logistic regression per action. What it knows of a user is how they answered this action and actions in
// general so far, and their tastes: the vector that a matrix factorisation (package ials) makes of their interactions
// with items. Of actions with little data the answer is close to the rate at which everybody takes them; those that
// have hardly ever been taken have the propensity 0 until there is more.
package nextaction

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/ials"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// The event types of Action_Interactions.
const (
	Taken    = "TAKEN"
	NotTaken = "NOT_TAKEN"
	Viewed   = "VIEWED"
)

const (
	// minTaken is how often an action must have been taken for a propensity.
	minTaken = 50
	// tasteDim is the number of factors of users' tastes.
	tasteDim = 32
	// pastFeatures describe what a user did about actions before (see features).
	pastFeatures = 3

	epochs = 20
	rate   = 0.05
	// penalty on the squares of an action's weights for tastes, per example.
	penalty = 0.002
	// smoothing adds as many answers at the general rate to everything that is counted.
	smoothing = 5
)

// Config holds the recipe's parameters.
type Config struct {
	// Period is how long an action that was shown may take to be taken: a view that is followed by it is no refusal.
	Period  time.Duration
	Seed    int64
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// Model implements model.Model; its items are actions.
type Model struct {
	actions *model.Items
	tastes  *ials.Model
	// base is the logit of the rate at which all actions are taken.
	base float64
	// known actions have been taken often enough.
	known []bool
	// bias, past and taste are the weights, by action.
	bias  []float32
	past  []float32 // of pastFeatures for all actions alike
	taste []float32
}

// Train learns from the answers in the set.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*Model, error) {
	f := ials.DefaultConfig()
	f.Dim, f.Seed, f.Threads = tasteDim, c.Seed, c.Threads
	const factorised = 0.5
	if c.Progress != nil {
		f.Progress = func(done float64) { c.Progress(factorised * done) }
	}
	tastes, err := ials.Train(ctx, ts, f)
	if err != nil {
		return nil, err
	}
	examples := examples(ts, c.Period)
	m := newModel(ts, tastes, examples)
	progress := model.NewProgress(epochs+1, func(done float64) {
		if c.Progress != nil {
			c.Progress(factorised + (1-factorised)*done)
		}
	})
	data, err := m.describe(ctx, ts, examples, c.Threads)
	if err != nil {
		return nil, fmt.Errorf("describing users: %w", err)
	}
	progress(1)
	if err := m.fit(ctx, examples, data, c.Seed, progress); err != nil {
		return nil, fmt.Errorf("fitting propensities: %w", err)
	}
	return m, nil
}

// example is one answer of a user to an action.
type example struct {
	user   int // the first of the user's events
	event  int // position in ActionSet.Events
	action int32
	taken  bool
}

// examples are the answers. A view or a refusal counts as one answer with what follows it within the period: it is no
// answer of its own if the user answers the same action later, and otherwise the action was not taken.
func examples(ts *trainingset.Set, period time.Duration) []example {
	events := ts.Actions.Events
	var all []example
	for start := 0; start < len(events); {
		end := start
		for end < len(events) && events[end].UserID == events[start].UserID {
			end++
		}
		answered := map[int32]int64{} // when the next answer to an action comes
		for e := end - 1; e >= start; e-- {
			event := events[e]
			next, again := answered[event.Action]
			soon := again && next-event.TimeMS <= period.Milliseconds()
			switch event.Type {
			case Taken:
				all = append(all, example{start, e, event.Action, true})
			case NotTaken, Viewed:
				if soon {
					continue
				}
				all = append(all, example{start, e, event.Action, false})
			default:
				continue
			}
			answered[event.Action] = event.TimeMS
		}
		start = end
	}
	slices.SortFunc(all, func(a, b example) int { return cmp.Compare(a.event, b.event) })
	return all
}

// newModel orders the actions by the number of their interactions, and starts from their rates.
func newModel(ts *trainingset.Set, tastes *ials.Model, examples []example) *Model {
	set := &ts.Actions
	events := make([]int, len(set.IDs))
	for _, e := range set.Events {
		events[e.Action]++
	}
	order := make([]int, len(set.IDs))
	for k := range order {
		order[k] = k
	}
	sort.SliceStable(order, func(a, b int) bool { return events[order[a]] > events[order[b]] })
	rank, ids := make([]int32, len(order)), make([]string, len(order))
	for to, from := range order {
		ids[to], rank[from] = set.IDs[from], int32(to)
	}
	m := &Model{
		actions: model.NewItems(ids), tastes: tastes, known: make([]bool, len(ids)), bias: make([]float32, len(ids)),
		past: make([]float32, pastFeatures), taste: make([]float32, len(ids)*tastes.Dim()),
	}
	taken, answers, all := make([]float64, len(ids)), make([]float64, len(ids)), 0.0
	for k := range examples {
		examples[k].action = rank[examples[k].action]
		answers[examples[k].action]++
		if examples[k].taken {
			taken[examples[k].action]++
			all++
		}
	}
	rate := (all + 1) / (float64(len(examples)) + 2)
	m.base = logit(rate)
	for a := range ids {
		m.known[a] = taken[a] >= minTaken
		m.bias[a] = float32(logit((taken[a] + smoothing*rate) / (answers[a] + smoothing)))
	}
	return m
}

func logit(p float64) float64 { return math.Log(p / (1 - p)) }

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

// answers counts what a user did about actions so far.
type answers struct {
	taken, refused map[int32]float64
	allTaken, all  float64
}

func newAnswers() answers { return answers{taken: map[int32]float64{}, refused: map[int32]float64{}} }

func (a *answers) add(action int32, kind string) {
	switch kind {
	case Taken:
		a.taken[action]++
		a.allTaken++
		a.all++
	case NotTaken:
		a.refused[action]++
		a.all++
	}
}

// features of a user's past for one action: how readily they take actions in general, against everybody, and how often
// they took and refused this one.
func (m *Model) features(a *answers, action int32) (f [pastFeatures]float32) {
	f[0] = float32(logit((a.allTaken+smoothing*sigmoid(m.base))/(a.all+smoothing)) - m.base)
	f[1] = float32(math.Log1p(a.taken[action]))
	f[2] = float32(math.Log1p(a.refused[action]))
	return f
}

// description is what is known of a user before an example.
type description struct {
	past  [pastFeatures]float32
	taste []float32
}

// describe looks at each example's user as they were before it.
func (m *Model) describe(
	ctx context.Context, ts *trainingset.Set, examples []example, threads int,
) ([]description, error) {
	users := map[string]int{}
	for u, id := range ts.Users {
		users[id] = u
	}
	action := make([]int32, len(ts.Actions.IDs))
	for k, id := range ts.Actions.IDs {
		i, _ := m.actions.Index(id)
		action[k] = int32(i)
	}
	all := make([]description, len(examples))
	err := model.Blocks(ctx, len(examples), 64, threads, func(_, from, to int) {
		for k := from; k < to; k++ {
			e, at := examples[k], ts.Actions.Events[examples[k].event]
			past := newAnswers()
			for _, before := range ts.Actions.Events[e.user:e.event] {
				past.add(action[before.Action], before.Type)
			}
			all[k] = description{past: m.features(&past, e.action), taste: make([]float32, m.tastes.Dim())}
			if u, ok := users[at.UserID]; ok {
				history := ts.History(u)
				n := sort.Search(len(history), func(i int) bool { return history[i].TimestampMS >= at.TimeMS })
				m.fold(history[:n], all[k].taste)
			}
		}
	})
	return all, err
}

// fold makes a taste of unit length, or zero.
func (m *Model) fold(history []reco.RecentInteraction, taste []float32) {
	m.tastes.Fold(history, taste)
	square := 0.0
	for _, v := range taste {
		square += float64(v) * float64(v)
	}
	if square == 0 {
		return
	}
	length := float32(math.Sqrt(square))
	for k := range taste {
		taste[k] /= length
	}
}

// fit is stochastic gradient descent with a rate for each weight that falls with its gradients (Duchi, Hazan, Singer,
// "Adaptive subgradient methods", JMLR 2011), one example after the other: there are few of them.
func (m *Model) fit(ctx context.Context, examples []example, data []description, seed int64, progress func(int)) error {
	random := rand.New(rand.NewPCG(uint64(seed), 0x6e657874))
	biasSum, pastSum, tasteSum := make([]float32, len(m.bias)), make([]float32, len(m.past)),
		make([]float32, len(m.taste))
	step := func(weight, sum *float32, gradient float64) {
		g := float32(gradient)
		*sum += g * g
		*weight -= float32(rate) * g / float32(math.Sqrt(float64(*sum)+1e-8))
	}
	dim := m.tastes.Dim()
	for range epochs {
		for n, k := range random.Perm(len(examples)) {
			if n%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			a, d := int(examples[k].action), &data[k]
			residual := sigmoid(m.logit(a, d.past, d.taste))
			if examples[k].taken {
				residual--
			}
			step(&m.bias[a], &biasSum[a], residual)
			for f, v := range d.past {
				if v != 0 {
					step(&m.past[f], &pastSum[f], residual*float64(v))
				}
			}
			for f, v := range d.taste {
				if w := a*dim + f; v != 0 {
					step(&m.taste[w], &tasteSum[w], residual*float64(v)+penalty*float64(m.taste[w]))
				}
			}
		}
		progress(1)
	}
	return ctx.Err()
}

func (m *Model) logit(action int, past [pastFeatures]float32, taste []float32) float64 {
	z := float64(m.bias[action])
	for f, v := range past {
		z += float64(m.past[f]) * float64(v)
	}
	for f, v := range taste {
		z += float64(m.taste[action*len(taste)+f]) * float64(v)
	}
	return z
}

// Items is the catalogue, of actions.
func (m *Model) Items() *model.Items { return m.actions }

// Score gives each action its propensity, from 0 to 1, for the user of the query's two histories.
func (m *Model) Score(q model.Query, scores []float32) error {
	if err := model.CheckScores(m.actions, scores); err != nil {
		return err
	}
	past, taste := newAnswers(), make([]float32, m.tastes.Dim())
	for _, h := range q.ActionHistory {
		if a, ok := m.actions.Index(h.ItemID); ok {
			past.add(int32(a), h.EventType)
		}
	}
	m.fold(q.History, taste)
	for a := range scores {
		scores[a] = 0
		if m.known[a] {
			scores[a] = float32(sigmoid(m.logit(a, m.features(&past, int32(a)), taste)))
		}
	}
	return nil
}
