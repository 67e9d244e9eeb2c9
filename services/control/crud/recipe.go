package crud

import (
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
)

// FindRecipe finds the recipe whose ARN is given in a member of the request.
func FindRecipe(member, arn string) (*recipe.Recipe, error) {
	return FindRecipeBy(member, arn, resource.Recipe, (*recipe.Recipe).ARN)
}

// FindRecipeBy finds the first recipe with an ARN: recipes share feature transformations.
func FindRecipeBy(member, arn, kind string, arnOf func(*recipe.Recipe) string) (*recipe.Recipe, error) {
	if err := ValidateType(member, arn, kind); err != nil {
		return nil, err
	}
	for _, r := range recipe.All() {
		if arnOf(r) == arn {
			return r, nil
		}
	}
	return nil, NotFound(arn)
}
