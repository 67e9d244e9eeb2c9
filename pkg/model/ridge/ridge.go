// Package ridge is the component that predicts each item from the history by ridge regression, in one of two forms. The
// autoregressive form regresses "the next item is this one" on the history before it, in which every item fades with
// the events that came after it, at one or several speeds (scales): it knows order. EASE regresses "the user has this
// item" on all others that they have (Steck: "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019): it knows
// what goes together.
//
// Where the features (items times scales) are few, all weights are solved for at once. Else each target is regressed on
// those features alone that explain most of it one by one, as SLIM does for its sparse weights (Ning, Karypis: "SLIM:
// Sparse Linear Methods for Top-N Recommender Systems", ICDM 2011): small systems, one a target, and memory that grows
// with the number of items instead of its square.
//
// Measured: on generated data, 50 000 items and 1 million events, per target 17 CPU seconds and, with the set, 450 MB
// of memory; 34 MB of parts; 38 µs for a history of 50. On MovieLens 1M, two scales at once, 19 CPU seconds.
package ridge

import (
	"context"
	"fmt"
	"math"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Config holds the settings.
type Config struct {
	// Scales are the factors, one a speed, by which an item of the history fades with every event after it. None: EASE.
	Scales []float64
	// Ridge is what large weights cost. 0: by the data, see Strength.
	Ridge float64
	// Dense is the largest number of features, items times scales, for which all weights are solved for at once.
	Dense int
	// EventsPerFeature is how many events there are for a feature, at least, where that is done: it takes the same time
	// however few they are, and a few say no more than solving per target makes of them.
	EventsPerFeature int
	// Kept is how many weights of a target are kept then.
	Kept int
	// Features is how many features a target is regressed on at most where there are more.
	Features int
	// Events is how many of the newest events of a history count.
	Events  int
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// DefaultConfig is the autoregressive form with one scale, which is what sparse data can tell.
func DefaultConfig() Config {
	return Config{Scales: []float64{0.8}, Dense: 7000, EventsPerFeature: 10, Kept: 2500, Features: 100, Events: 40}
}

// ConfigFor is the autoregressive form for a catalogue of so many items: with two scales where these fit in the dense
// solve, the default else.
func ConfigFor(items int) Config {
	c := DefaultConfig()
	if two := []float64{0.5, 0.9}; len(two)*items <= c.Dense {
		c.Scales = two
	}
	return c
}

// EASEConfig is EASE. Its model lets all of a history count alike; on every set that was tried it ranks better where
// older items fade, by 0.9 with every event: see linear.Model.Fading.
func EASEConfig() Config {
	return Config{Dense: 7000, EventsPerFeature: 10, Kept: 2500, Features: 100, Events: 500}
}

// Kind and EASEKind name the part of the model's two forms.
const (
	Kind     = "ridge"
	EASEKind = "ease"
)

// Load and LoadEASE decode the parts of a model.
var (
	Load     = linear.Load(Kind)
	LoadEASE = linear.Load(EASEKind)
)

// Train counts and solves. An event's weight is how much it counts as a target of the autoregressive form, and, though
// not above 1, for the user's having the item in EASE.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*linear.Model, error) {
	var (
		p       problem
		kind    = Kind
		reading = linear.Reading{Decays: c.Scales, Events: c.Events}
	)
	if len(c.Scales) == 0 {
		kind, reading.Decays, reading.Distinct = EASEKind, []float64{1}, true
		p = newEASE(ts, c.Events)
	} else {
		if len(c.Scales) > linear.MaxScales {
			return nil, fmt.Errorf("%d scales are above %d", len(c.Scales), linear.MaxScales)
		}
		p = newSequence(ts, c.Scales, c.Events)
	}
	items, counts := p.catalogue()
	if c.Ridge == 0 {
		c.Ridge = Strength(counts)
	}
	solve := solveSparse
	if p.features() <= c.Dense && ts.Events() >= c.EventsPerFeature*p.features() {
		solve = solveDense
	}
	rows, err := solve(ctx, p, c, model.NewProgress(p.features()+items.Len(), c.Progress))
	if err != nil {
		return nil, fmt.Errorf("regressing items on histories: %w", err)
	}
	return linear.New(kind, items, reading, rows)
}

// strength is Strength's factor. On MovieLens 1M (292 events an item) a ridge of 300 did best on held-back events, on
// Amazon's toys (11 events an item) anything from 50 to 150, next to no difference between: the square root of the mean
// goes through both, a proportion to the mean does not.
const strength = 18

// Strength is the ridge for items with so many interactions.
func Strength(counts []int64) float64 {
	events, items := 0.0, 0.0
	for _, n := range counts {
		if n > 0 {
			events += float64(n)
			items++
		}
	}
	return strength * math.Sqrt(math.Max(events/math.Max(items, 1), 1))
}

// problem is a regression of every item on the same features, in sums over the observations. Features are numbered item
// by item, all scales of an item beside each other, so that those of popular items come first.
type problem interface {
	catalogue() (*model.Items, []int64)
	features() int
	// gram adds, for each feature up to f, the products of it and f.
	gram(f int, s *linear.Sum)
	// reflexive is true where the responses are the features themselves, and none may explain itself.
	reflexive() bool
	// response adds, for each feature that may explain the item, the products of both.
	response(item int, s *linear.Sum)
}

// sequence is the problem of the autoregressive form. An observation is an event; its features are, for each scale and
// item, the sum of scale^age over the events before it, as many as the reach. Age is 0 for the one just before.
type sequence struct {
	*linear.Sequences
	reach int32
	// power[k][a] is scale k to the a.
	power [][]float32
	// rest[a*K+b] holds, for each event, what the user's later events weigh, each times (scale a times scale b)^age:
	// the products of what this event and an earlier one leave behind are their difference in age times that.
	rest [][]float32
}

func newSequence(ts *trainingset.Set, scales []float64, reach int) *sequence {
	const maxHistory = 5000
	p := &sequence{Sequences: linear.NewSequences(ts, maxHistory), reach: int32(reach)}
	k := len(scales)
	p.rest = make([][]float32, k*k)
	for a := range scales {
		powers := make([]float32, reach+1)
		for d := range powers {
			powers[d] = float32(math.Pow(scales[a], float64(d)))
		}
		p.power = append(p.power, powers)
		for b := range a + 1 {
			rest, both := make([]float32, len(p.Item)), float32(scales[a]*scales[b])
			for e := len(rest) - 2; e >= 0; e-- {
				if p.End[e] == p.End[e+1] {
					rest[e] = p.Weight[e+1] + both*rest[e+1]
				}
			}
			p.rest[a*k+b], p.rest[b*k+a] = rest, rest
		}
	}
	return p
}

func (p *sequence) catalogue() (*model.Items, []int64) { return p.Items, p.Counts }

func (p *sequence) features() int { return p.Items.Len() * len(p.power) }

func (p *sequence) reflexive() bool { return false }

func (p *sequence) gram(f int, s *linear.Sum) {
	scales := len(p.power)
	item, a := int32(f/scales), f%scales
	for _, e := range p.Events(int(item)) {
		for o := max(p.Begin[e], e-p.reach+1); o < min(p.End[e], e+p.reach); o++ {
			other := p.Item[o]
			if other > item {
				continue
			}
			for b := range scales {
				if other == item && b > a {
					break
				}
				rest := p.rest[a*scales+b]
				if o >= e {
					s.Add(other*int32(scales)+int32(b), p.power[a][o-e]*rest[o])
				} else {
					s.Add(other*int32(scales)+int32(b), p.power[b][e-o]*rest[e])
				}
			}
		}
	}
}

func (p *sequence) response(item int, s *linear.Sum) {
	scales := len(p.power)
	for _, e := range p.Events(item) {
		for o := max(p.Begin[e], e-p.reach); o < e; o++ {
			for k, power := range p.power {
				s.Add(p.Item[o]*int32(scales)+int32(k), p.Weight[e]*power[e-1-o])
			}
		}
	}
}

// ease is the problem of EASE. An observation is a user, a feature is having an item.
type ease struct {
	*model.Matrix
	start  []int
	row    []int32
	weight []float32
}

func newEASE(ts *trainingset.Set, maxHistory int) *ease {
	p := &ease{Matrix: model.NewMatrix(ts, model.MatrixOptions{Users: model.All, MaxHistory: maxHistory})}
	for k, w := range p.Weight {
		p.Weight[k] = min(w, 1)
	}
	p.start, p.row, p.weight = p.Transposed()
	return p
}

func (p *ease) catalogue() (*model.Items, []int64) { return p.Items, p.Counts }

func (p *ease) features() int { return p.Items.Len() }

func (p *ease) reflexive() bool { return true }

func (p *ease) gram(f int, s *linear.Sum) {
	for at := p.start[f]; at < p.start[f+1]; at++ {
		for k := p.Start[p.row[at]]; p.Item[k] < int32(f); k++ {
			s.Add(p.Item[k], p.weight[at]*p.Weight[k])
		}
		s.Add(int32(f), p.weight[at]*p.weight[at])
	}
}

func (p *ease) response(item int, s *linear.Sum) {
	for at := p.start[item]; at < p.start[item+1]; at++ {
		for k := p.Start[p.row[at]]; k < p.Start[p.row[at]+1]; k++ {
			if int(p.Item[k]) != item {
				s.Add(p.Item[k], p.weight[at]*p.Weight[k])
			}
		}
	}
}
