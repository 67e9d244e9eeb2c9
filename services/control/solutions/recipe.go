package solutions

import (
	"context"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// recipesSince is the creation date of recipes, which are part of the program.
var recipesSince = awsapi.At(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC))

var active = status.Active

// recipes are the algorithms to train with. They are a part of the program.
type recipes struct{}

func (s recipes) row() crud.Row {
	return crud.Row{Operations: []crud.Operation{
		crud.Handle("ListRecipes", s.list),
		crud.Handle("DescribeRecipe", s.describe),
		crud.Handle("DescribeAlgorithm", s.describeAlgorithm),
		crud.Handle("DescribeFeatureTransformation", s.describeFeatureTransformation),
	}}
}

func (s recipes) list(
	_ context.Context, req *personalize.ListRecipesRequest,
) (*personalize.ListRecipesResponse, error) {
	recipes := recipe.All()
	if req.Domain != nil {
		recipes = slices.DeleteFunc(recipes, func(r *recipe.Recipe) bool { return r.Domain != *req.Domain })
	}
	order := map[string]int64{}
	for i, r := range recipes {
		order[r.Name] = int64(i)
	}
	found, next, err := crud.Paginate(
		crud.Page{Scope: "ListRecipes " + awsapi.Text(req.Domain), Token: req.NextToken, Size: req.MaxResults},
		recipes, func(r *recipe.Recipe) crud.Position { return crud.Position{At: order[r.Name], ARN: r.ARN()} },
	)
	if err != nil {
		return nil, err
	}
	summaries := make([]personalize.RecipeSummary, len(found))
	for i, r := range found {
		summaries[i] = personalize.RecipeSummary{
			Name: &r.Name, RecipeArn: awsapi.Present(r.ARN()), Domain: awsapi.Present(r.Domain),
			Status: &active, CreationDateTime: recipesSince, LastUpdatedDateTime: recipesSince,
		}
	}
	return &personalize.ListRecipesResponse{Recipes: summaries, NextToken: next}, nil
}

func (s recipes) describe(
	_ context.Context, req *personalize.DescribeRecipeRequest,
) (*personalize.DescribeRecipeResponse, error) {
	r, err := crud.FindRecipe("recipeArn", *req.RecipeArn)
	if err != nil {
		return nil, err
	}
	described := &personalize.Recipe{
		Name: &r.Name, RecipeArn: awsapi.Present(r.ARN()), RecipeType: &r.Type,
		Description: awsapi.Present(r.Description), Status: &active, CreationDateTime: recipesSince,
		LastUpdatedDateTime: recipesSince,
	}
	if r.Algorithm != "" {
		described.AlgorithmArn = awsapi.Present(r.AlgorithmARN())
	}
	if r.FeatureTransformation != "" {
		described.FeatureTransformationArn = awsapi.Present(r.FeatureTransformationARN())
	}
	return &personalize.DescribeRecipeResponse{Recipe: described}, nil
}

func (s recipes) describeAlgorithm(
	_ context.Context, req *personalize.DescribeAlgorithmRequest,
) (*personalize.DescribeAlgorithmResponse, error) {
	r, err := crud.FindRecipeBy("algorithmArn", *req.AlgorithmArn, resource.Algorithm, (*recipe.Recipe).AlgorithmARN)
	if err != nil {
		return nil, err
	}
	defaults, ranges := hyperParameters(r)
	return &personalize.DescribeAlgorithmResponse{Algorithm: &personalize.Algorithm{
		Name: &r.Algorithm, AlgorithmArn: req.AlgorithmArn, DefaultHyperParameters: defaults,
		DefaultHyperParameterRanges: ranges,
		CreationDateTime:            recipesSince, LastUpdatedDateTime: recipesSince,
	}}, nil
}

func (s recipes) describeFeatureTransformation(
	_ context.Context, req *personalize.DescribeFeatureTransformationRequest,
) (*personalize.DescribeFeatureTransformationResponse, error) {
	r, err := crud.FindRecipeBy(
		"featureTransformationArn", *req.FeatureTransformationArn, resource.FeatureTransform,
		(*recipe.Recipe).FeatureTransformationARN,
	)
	if err != nil {
		return nil, err
	}
	defaults := map[string]string{}
	for _, p := range r.HyperParameters {
		if p.Feature {
			defaults[p.Name] = p.Default
		}
	}
	return &personalize.DescribeFeatureTransformationResponse{FeatureTransformation: &personalize.FeatureTransformation{
		Name: &r.FeatureTransformation, FeatureTransformationArn: req.FeatureTransformationArn,
		DefaultParameters: defaults,
		Status:            &active, CreationDateTime: recipesSince, LastUpdatedDateTime: recipesSince,
	}}, nil
}

// hyperParameters returns the defaults and ranges of a recipe's algorithm.
func hyperParameters(r *recipe.Recipe) (map[string]string, *personalize.DefaultHyperParameterRanges) {
	defaults := map[string]string{}
	ranges := &personalize.DefaultHyperParameterRanges{
		IntegerHyperParameterRanges:     []personalize.DefaultIntegerHyperParameterRange{},
		ContinuousHyperParameterRanges:  []personalize.DefaultContinuousHyperParameterRange{},
		CategoricalHyperParameterRanges: []personalize.DefaultCategoricalHyperParameterRange{},
	}
	for _, p := range r.HyperParameters {
		if p.Feature {
			continue
		}
		defaults[p.Name] = p.Default
		switch p.Kind {
		case recipe.Integer:
			low, high := int64(p.Min), int64(p.Max)
			ranges.IntegerHyperParameterRanges = append(
				ranges.IntegerHyperParameterRanges,
				personalize.DefaultIntegerHyperParameterRange{
					Name:      &p.Name,
					MinValue:  &low,
					MaxValue:  &high,
					IsTunable: &p.Tunable,
				},
			)
		case recipe.Continuous:
			ranges.ContinuousHyperParameterRanges = append(
				ranges.ContinuousHyperParameterRanges,
				personalize.DefaultContinuousHyperParameterRange{
					Name:      &p.Name,
					MinValue:  &p.Min,
					MaxValue:  &p.Max,
					IsTunable: &p.Tunable,
				},
			)
		case recipe.Categorical:
			ranges.CategoricalHyperParameterRanges = append(
				ranges.CategoricalHyperParameterRanges,
				personalize.DefaultCategoricalHyperParameterRange{
					Name:      &p.Name,
					Values:    p.Values,
					IsTunable: &p.Tunable,
				},
			)
		}
	}
	return defaults, ranges
}
