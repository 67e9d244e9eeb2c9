package training

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// autoMLRecipes are compared if autoMLConfig gives no recipeList, as far as the table has them.
var autoMLRecipes = []string{
	"aws-user-personalization", "aws-hrnn", "aws-hrnn-metadata", "aws-hrnn-coldstart", "aws-popularity-count",
}

// chooseRecipe trains each recipe of the list with its default parameters and returns the best. A recipe that the data
// does not suit, as aws-hrnn-coldstart without cold items, is skipped.
func (s *search) chooseRecipe(ctx context.Context, report func(float64)) (candidate, error) {
	candidates, metric, err := autoMLCandidates(s.version)
	if err != nil {
		return candidate{}, err
	}
	best, err := s.best(ctx, candidates, comparison{metric, 1}, report)
	if err != nil {
		return candidate{}, fmt.Errorf("comparing recipes: %w", err)
	}
	return candidates[best], nil
}

func autoMLCandidates(version *catalog.SolutionVersion) (candidates []candidate, metric string, err error) {
	metric = eval.Gain
	var recipes []*recipe.Recipe
	if c := version.Config; c != nil && c.AutoMLConfig != nil {
		if c.AutoMLConfig.MetricName != nil {
			metric = *c.AutoMLConfig.MetricName
		}
		for _, arn := range c.AutoMLConfig.RecipeList {
			r, ok := recipe.ByARN(arn)
			if !ok {
				return nil, "", jobs.Faultf("Recipe %s is not supported", arn)
			}
			recipes = append(recipes, r)
		}
	}
	if len(recipes) == 0 {
		for _, name := range autoMLRecipes {
			if r, ok := recipe.ByName(name); ok {
				recipes = append(recipes, r)
			}
		}
	}
	for _, r := range recipes {
		params, err := r.ParseParams(nil)
		if err != nil {
			return nil, "", fmt.Errorf("reading the defaults of %s: %w", r.Name, err)
		}
		candidates = append(candidates, candidate{r, params})
	}
	return candidates, metric, nil
}
