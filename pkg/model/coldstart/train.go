package coldstart

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/simd"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

const (
	// minUsers is how many users with attributes there must be: with fewer, what is found is chance.
	minUsers = 50
	// minHolders is how many users must share a term.
	minHolders = 5
	// shrinkage is how many interactions must be expected of an item for its ratio to count half.
	shrinkage = 10
	// least is the lift below which none is stored.
	least = 0.05
	// maxHeld is how many users are held back, at most, to choose the strength by, and firstItems how many of their
	// first items are to be found: those of a new user, not of a regular.
	maxHeld    = 500
	firstItems = 10
)

// strengths are the choices for how much the sum of the lifts counts.
var strengths = []float32{0.25, 0.5, 0.75, 1}

// Train learns lifts for a model of the training set with the given items. It returns nil where the Users dataset does
// not help.
func Train(ctx context.Context, items *model.Items, ts *trainingset.Set, threads int) (*Lifts, error) {
	l := newLearner(ts, items)
	if len(l.users) < minUsers || len(l.names) == 0 {
		return nil, ctx.Err()
	}
	strength, err := l.strength(ctx, threads)
	if err != nil {
		return nil, fmt.Errorf("learning the lifts of users' attributes: %w", err)
	}
	if strength == 0 {
		return nil, nil
	}
	rows := l.lifts(l.users)
	for k := range rows.Value {
		rows.Value[k] *= strength
	}
	return &Lifts{items: items, terms: l.terms, names: l.names, rows: rows}, nil
}

type learner struct {
	ts    *trainingset.Set
	items int
	at    []int32 // by item of the set: its number in the catalogue
	terms *content.Terms
	names []string
	users []int
	// has are the terms of each of the users.
	has map[int][]int32
}

func newLearner(ts *trainingset.Set, items *model.Items) *learner {
	l := &learner{
		ts: ts, items: items.Len(), at: make([]int32, len(ts.Items)),
		terms: content.NewTerms(ts.UserSchema, ts.UserRows), has: map[int][]int32{},
	}
	for i, id := range ts.Items {
		l.at[i] = -1
		if at, known := items.Index(id); known {
			l.at[i] = int32(at)
		}
	}
	of, holders := map[int][]string{}, map[string]int{}
	for u, row := range ts.UserRows {
		if terms := l.terms.Of(row.Properties); len(terms) > 0 {
			of[int(u)] = terms
			for _, term := range terms {
				holders[term]++
			}
		}
	}
	// What nearly nobody or everybody has says nothing.
	maps.DeleteFunc(holders, func(_ string, n int) bool { return n < minHolders || n == len(of) })
	names := slices.SortedFunc(maps.Keys(holders), func(a, b string) int {
		return cmp.Or(cmp.Compare(holders[b], holders[a]), cmp.Compare(a, b))
	})
	l.names = slices.Sorted(slices.Values(names[:min(len(names), maxTerms)]))
	for u, terms := range of {
		l.users = append(l.users, u)
		for _, term := range terms {
			if t, counts := slices.BinarySearch(l.names, term); counts {
				l.has[u] = append(l.has[u], int32(t))
			}
		}
	}
	slices.Sort(l.users)
	return l
}

// counts adds up the weights of some users' interactions with each item, and gives their sum.
func (l *learner) counts(users []int, to []float64) (total float64) {
	for _, u := range users {
		start, end := l.ts.UserEvents(u)
		for e := start; e < end; e++ {
			if at := l.at[l.ts.Item[e]]; at >= 0 {
				weight := float64(l.ts.EventWeight(e))
				to[at] += weight
				total += weight
			}
		}
	}
	return total
}

// lifts are the logarithms of how much more often those with a term chose an item than would be expected of so many
// interactions.
func (l *learner) lifts(users []int) linear.Rows {
	everybody, some := make([]float64, l.items), make([]float64, l.items)
	total := l.counts(users, everybody)
	holders := make([][]int, len(l.names))
	for _, u := range users {
		for _, t := range l.has[u] {
			holders[t] = append(holders[t], u)
		}
	}
	rows := make([][]linear.Entry, len(l.names))
	for t := range rows {
		clear(some)
		share := l.counts(holders[t], some) / max(total, 1)
		for i, n := range everybody {
			expected := n * share
			if math.Abs(some[i]-expected) < least*(some[i]+expected+2*shrinkage)/4 {
				continue // too near to take the logarithm of
			}
			if lift := math.Log((some[i] + shrinkage) / (expected + shrinkage)); math.Abs(lift) >= least {
				rows[t] = append(rows[t], linear.Entry{Column: int32(i), Value: float32(lift)})
			}
		}
	}
	return linear.NewRows(rows)
}

// strength is that under which users who were not learned from are most likely to choose what they did; 0 where none
// makes that more likely by more than its standard error.
func (l *learner) strength(ctx context.Context, threads int) (float32, error) {
	held, rest := l.holdBack()
	lifts := l.lifts(rest)
	popularity, all := make([]float64, l.items), make([]float32, l.items)
	total := l.counts(rest, popularity)
	for i, n := range popularity {
		all[i] = float32(math.Log((n + 0.5) / (total + 0.5*float64(l.items))))
	}
	gains := make([][]float64, len(strengths)) // by strength and user: of the logarithm of the likelihood
	for s := range gains {
		gains[s] = make([]float64, len(held))
	}
	err := model.Blocks(ctx, len(held), 16, model.Threads(threads), func(_, from, to int) {
		scores, sum := make([]float32, l.items), make([]float32, l.items)
		for k := from; k < to; k++ {
			clear(sum)
			for _, t := range l.has[held[k]] {
				lifts.Add(sum, 1, int(t))
			}
			for s, strength := range strengths {
				copy(scores, all)
				simd.Axpy(strength, sum, scores)
				gains[s][k] = l.gain(held[k], strength, sum, scores)
			}
		}
	})
	if err != nil {
		return 0, err
	}
	best, chosen := 0.0, float32(0)
	for s, strength := range strengths {
		mean, deviation := stat.MeanStdDev(gains[s], nil)
		if mean > stat.StdErr(deviation, float64(len(held))) && mean > best {
			best, chosen = mean, strength
		}
	}
	return chosen, nil
}

// gain is by how much the lifts, whose sum is given and in scores, which become garbage, raise the mean logarithm of
// the probability of a user's first items.
func (l *learner) gain(user int, strength float32, sum, scores []float32) float64 {
	top := slices.Max(scores)
	// Before, the scores were logarithms of probabilities.
	normal := float64(top) + math.Log(float64(simd.ExpSum(scores, top)))
	start, end := l.ts.UserEvents(user)
	gain, n := 0.0, 0
	for e := start; e < end && n < firstItems; e++ {
		if at := l.at[l.ts.Item[e]]; at >= 0 {
			gain += float64(strength*sum[at]) - normal
			n++
		}
	}
	return gain / float64(max(n, 1))
}

// holdBack takes a tenth of the users away, by the hashes of their ids.
func (l *learner) holdBack() (held, rest []int) {
	for _, u := range l.users {
		h := fnv.New64a()
		_, _ = h.Write([]byte(l.ts.Users[u]))
		if h.Sum64()%10 == 0 && len(held) < maxHeld {
			held = append(held, u)
		} else {
			rest = append(rest, u)
		}
	}
	return held, rest
}
