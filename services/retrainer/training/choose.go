package training

import (
	"context"
	"slices"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// candidate is what a model can be trained with.
type candidate struct {
	recipe *recipe.Recipe
	params recipe.Params
}

// candidateOf returns a version's recipe with its parameters, which control has checked when the solution was created.
func candidateOf(version *catalog.SolutionVersion) (candidate, error) {
	r, ok := recipe.ByARN(version.RecipeARN)
	if !ok {
		return candidate{}, jobs.Faultf("Recipe %s is not supported", version.RecipeARN)
	}
	var algorithm, feature map[string]string
	if c := version.Config; c != nil {
		algorithm, feature = c.AlgorithmHyperParameters, c.FeatureTransformationParameters
	}
	params, err := r.ParseConfig(algorithm, feature)
	if err != nil {
		return candidate{}, jobs.Fault(err)
	}
	return candidate{r, params}, nil
}

// checkData fails if a candidate cannot learn from a training set, with an error for the user.
func (c candidate) checkData(set *trainingset.Set) error {
	if err := c.recipe.CheckData(set, c.params); err != nil {
		return jobs.Fault(err)
	}
	return nil
}

// choose finds the recipe and the parameters where the solution does not give them, and checks that the data suits
// them.
func (r *run) choose(ctx context.Context) (err error) {
	if err := r.checkMinimum(r.chosen.recipe, r.data.Set); err != nil {
		return jobs.Fault(err)
	}
	if r.version.PerformAutoML || tunes(r.version, r.chosen.recipe) {
		if r.chosen, err = r.search(ctx); err != nil {
			return err
		}
	}
	return r.chosen.checkData(r.data.Set)
}

// search searches for the recipe, then for its parameters.
func (r *run) search(ctx context.Context) (candidate, error) {
	search := newSearch(&r.config, r.version, eval.Split(eval.Split(r.data.Set).Rest))
	recipes, parameters := trials(r.version)
	r.clock.search(recipes + parameters)
	report, first := r.clock.progress(choosing), recipes/(recipes+parameters) // the share of the first search
	chosen := r.chosen
	if r.version.PerformAutoML {
		var err error
		if chosen, err = search.chooseRecipe(ctx, jobs.Between(report, 0, first)); err != nil {
			return candidate{}, err
		}
	}
	if !tunes(r.version, chosen.recipe) {
		return chosen, nil
	}
	return search.tune(ctx, chosen, jobs.Between(report, first, 1))
}

// tunes reports whether a version's parameters are searched for. A recipe that AutoML has chosen need not have any to
// tune.
func tunes(version *catalog.SolutionVersion, r *recipe.Recipe) bool {
	tunable := func(p recipe.Parameter) bool { return p.Tunable }
	return version.PerformHPO && slices.ContainsFunc(r.HyperParameters, tunable)
}

// trials counts the trainings that the searches of a version, for a recipe and for its parameters, make one after the
// other.
func trials(version *catalog.SolutionVersion) (recipes, parameters float64) {
	if version.PerformAutoML {
		candidates, _, _ := autoMLCandidates(version) // what is wrong with them comes up when they are tried
		recipes = float64(len(candidates))
	}
	if version.PerformHPO {
		var config personalize.HPOConfig
		if c := version.Config; c != nil && c.HpoConfig != nil {
			config = *c.HpoConfig
		}
		trainings, parallel := trainingsOf(config)
		parameters = float64(trainings) / float64(parallel)
	}
	return recipes, parameters
}
