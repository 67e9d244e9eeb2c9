package training

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// Defaults of hpoResourceConfig.
const (
	defaultTrainingJobs = 10
	defaultParallelJobs = 1
)

// tune searches the recipe's tunable parameters for those with the highest gain (eval.Gain). The first candidate is
// what the solution gives itself, if the ranges allow it; the others are spread evenly over the ranges (see spread).
func (s *search) tune(ctx context.Context, start candidate, report func(float64)) (candidate, error) {
	var config personalize.HPOConfig
	if c := s.version.Config; c != nil && c.HpoConfig != nil {
		config = *c.HpoConfig
	}
	trainings, parallel := trainingsOf(config)
	ranges := rangesOf(start.recipe, config.AlgorithmHyperParameterRanges)
	candidates, err := spread(start, ranges, trainings, s.config.Seed)
	if err != nil {
		return candidate{}, jobs.Fault(err)
	}
	best, err := s.best(ctx, candidates, comparison{eval.Gain, parallel}, report)
	if err != nil {
		return candidate{}, fmt.Errorf("searching for hyperparameters: %w", err)
	}
	return candidates[best], nil
}

// trainingsOf returns how many trainings a search makes, and how many of them at a time.
func trainingsOf(config personalize.HPOConfig) (trainings, parallel int) {
	trainings, parallel = defaultTrainingJobs, defaultParallelJobs
	if r := config.HpoResourceConfig; r != nil {
		trainings, parallel = count(r.MaxNumberOfTrainingJobs, trainings), count(r.MaxParallelTrainingJobs, parallel)
	}
	return trainings, parallel
}

func count(text *string, fallback int) int {
	if text == nil {
		return fallback
	}
	if n, err := strconv.Atoi(*text); err == nil && n > 0 {
		return n
	}
	return fallback
}

// tuned returns the parameters that a search may have changed.
func tuned(c candidate) map[string]string {
	values := map[string]string{}
	for _, p := range c.recipe.HyperParameters {
		if p.Tunable {
			values[p.Name] = c.params.String(p.Name)
		}
	}
	return values
}

// rangesOf returns the parameters to search, with the ranges or values to search in: those that the configuration
// names, or all that are tunable if it names none.
func rangesOf(r *recipe.Recipe, given *personalize.HyperParameterRanges) []recipe.Parameter {
	var all []recipe.Parameter
	for _, p := range r.HyperParameters {
		if p.Tunable {
			all = append(all, p)
		}
	}
	if given == nil {
		return all
	}
	var named []recipe.Parameter
	for _, p := range all {
		if narrowed(&p, given) {
			named = append(named, p)
		}
	}
	if len(named) == 0 {
		return all
	}
	return named
}

// narrowed replaces a parameter's range with the given one. It reports whether there is one.
func narrowed(p *recipe.Parameter, given *personalize.HyperParameterRanges) bool {
	is := func(name *string) bool { return name != nil && *name == p.Name }
	for _, g := range given.IntegerHyperParameterRanges {
		if is(g.Name) {
			bound(p, float(g.MinValue), float(g.MaxValue))
			return true
		}
	}
	for _, g := range given.ContinuousHyperParameterRanges {
		if is(g.Name) {
			bound(p, g.MinValue, g.MaxValue)
			return true
		}
	}
	for _, g := range given.CategoricalHyperParameterRanges {
		if is(g.Name) {
			if len(g.Values) > 0 {
				p.Values = g.Values
			}
			return true
		}
	}
	return false
}

// bound replaces the bounds of a parameter that are given.
func bound(p *recipe.Parameter, lowest, highest *float64) {
	if lowest != nil {
		p.Min = *lowest
	}
	if highest != nil {
		p.Max = *highest
	}
}

func float(n *int64) *float64 {
	if n == nil {
		return nil
	}
	return new(float64(*n))
}

// spread makes up to n different candidates: the start, if its values are within the ranges, and a Latin hypercube
// sample. Each parameter's range is cut into as many parts as there are samples, and each part is used once, so that a
// few samples cover every single parameter better than independent draws would. The same seed gives the same
// candidates.
func spread(start candidate, ranges []recipe.Parameter, n int, seed int64) ([]candidate, error) {
	var candidates []candidate
	if within(start, ranges) {
		candidates = append(candidates, start)
	}
	samples := n - len(candidates)
	random := rand.New(rand.NewPCG(uint64(seed), 0x48504f))
	places := make([][]int, len(ranges))
	for k := range places {
		places[k] = random.Perm(max(samples, 0))
	}
	for j := range max(samples, 0) {
		values := start.params.Map()
		for k, p := range ranges {
			values[p.Name] = at(p, (float64(places[k][j])+random.Float64())/float64(samples))
		}
		params, err := start.recipe.ParseParams(values)
		if err != nil {
			return nil, fmt.Errorf("hpoConfig: %w", err)
		}
		same := func(c candidate) bool { return maps.Equal(c.params.Map(), params.Map()) }
		if !slices.ContainsFunc(candidates, same) {
			candidates = append(candidates, candidate{start.recipe, params})
		}
	}
	return candidates, nil
}

func within(c candidate, ranges []recipe.Parameter) bool {
	return !slices.ContainsFunc(ranges, func(p recipe.Parameter) bool {
		if p.Kind == recipe.Categorical {
			return !slices.Contains(p.Values, c.params.String(p.Name))
		}
		v := c.params.Float(p.Name)
		return v < p.Min || v > p.Max
	})
}

// at returns a parameter's value at a place of its range, from 0 to below 1.
func at(p recipe.Parameter, place float64) string {
	switch p.Kind {
	case recipe.Integer:
		return strconv.FormatInt(int64(math.Min(math.Floor(p.Min+place*(p.Max-p.Min+1)), p.Max)), 10)
	case recipe.Continuous:
		return strconv.FormatFloat(p.Min+place*(p.Max-p.Min), 'g', 6, 64)
	default:
		return p.Values[int(place*float64(len(p.Values)))]
	}
}
