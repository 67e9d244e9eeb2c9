package solutions

import (
	"context"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

// validateSolution refuses settings that the recipe does not have or that are out of range. What the API's model bounds
// by itself (lengths, enumerations, weights) has been checked before. Without a recipe (nil) training chooses one.
func validateSolution(
	ctx context.Context, e *crud.Env, req *personalize.CreateSolutionRequest, r *recipe.Recipe,
	group *catalog.DatasetGroup,
) error {
	config := req.SolutionConfig
	if config == nil {
		config = &personalize.SolutionConfig{}
	}
	if r == nil {
		if err := validateAutoML(req, config); err != nil {
			return err
		}
	} else if err := validateRecipeConfig(req, config, r); err != nil {
		return err
	}
	if config.EventValueThreshold != nil {
		if _, err := parseFinite(*config.EventValueThreshold); err != nil {
			return awsapi.InvalidInput("eventValueThreshold is not a number: %q", *config.EventValueThreshold)
		}
	}
	if config.EventsConfig != nil && (req.EventType != nil || config.EventValueThreshold != nil) {
		return awsapi.InvalidInput(
			"eventsConfig goes with neither eventType nor eventValueThreshold: it has both for each type of event",
		)
	}
	if err := validateEvents(config.EventsConfig); err != nil {
		return err
	}
	if err := validateHPOResources(config.HpoConfig); err != nil {
		return err
	}
	if err := validateSchedule(config.AutoTrainingConfig); err != nil {
		return err
	}
	if err := validateTrainingColumns(ctx, e, config.TrainingDataConfig, group.ARN); err != nil {
		return err
	}
	return validateObjective(ctx, e, config.OptimizationObjective, group.ARN)
}

// validateRecipeConfig looks at what differs from recipe to recipe.
func validateRecipeConfig(
	req *personalize.CreateSolutionRequest, config *personalize.SolutionConfig, r *recipe.Recipe,
) error {
	if r.Domain != "" {
		return awsapi.InvalidInput(
			"Recipe %s is a use case of domain %s: create a recommender with it", r.Name, r.Domain,
		)
	}
	if config.AutoMLConfig != nil {
		return awsapi.InvalidInput("autoMLConfig is for solutions with performAutoML")
	}
	if _, err := r.ParseConfig(config.AlgorithmHyperParameters, config.FeatureTransformationParameters); err != nil {
		return awsapi.InvalidInput("Invalid solutionConfig: %v", err)
	}
	if err := validateIncremental(req.PerformIncrementalUpdate, r.Name); err != nil {
		return err
	}
	if flag(req.PerformHPO) &&
		!slices.ContainsFunc(r.HyperParameters, func(p recipe.Parameter) bool { return p.Tunable }) {
		return awsapi.InvalidInput("performHPO: recipe %s has no hyperparameter that can be tuned", r.Name)
	}
	if objective := config.OptimizationObjective; objective != nil && awsapi.Text(objective.ObjectiveSensitivity) != sensitivityOff &&
		r.Type != recipe.UserPersonalization &&
		r.Type != recipe.PersonalizedRanking {
		return awsapi.InvalidInput("optimizationObjective is not possible with recipe %s", r.Name)
	}
	if config.HpoConfig == nil || config.HpoConfig.AlgorithmHyperParameterRanges == nil {
		return nil
	}
	return validateRanges(config.HpoConfig.AlgorithmHyperParameterRanges, r)
}

// autoMLMetrics lists the metrics that all recipes have, and so can be compared by.
var autoMLMetrics = []string{
	"coverage", "mean_reciprocal_rank_at_25",
	"normalized_discounted_cumulative_gain_at_5", "normalized_discounted_cumulative_gain_at_10", "normalized_discounted_cumulative_gain_at_25",
	"precision_at_5", "precision_at_10", "precision_at_25",
}

// validateAutoML refuses what needs a certain recipe, and candidates that cannot be compared.
func validateAutoML(req *personalize.CreateSolutionRequest, config *personalize.SolutionConfig) error {
	if err := validateIncremental(req.PerformIncrementalUpdate, ""); err != nil {
		return err
	}
	switch hpo := config.HpoConfig; {
	case len(config.AlgorithmHyperParameters) > 0:
		return awsapi.InvalidInput("algorithmHyperParameters need a recipe, which performAutoML chooses")
	case len(config.FeatureTransformationParameters) > 0:
		return awsapi.InvalidInput("featureTransformationParameters need a recipe, which performAutoML chooses")
	case hpo != nil && hpo.AlgorithmHyperParameterRanges != nil:
		return awsapi.InvalidInput("algorithmHyperParameterRanges need a recipe, which performAutoML chooses")
	case config.OptimizationObjective != nil && awsapi.Text(config.OptimizationObjective.ObjectiveSensitivity) != sensitivityOff:
		return awsapi.InvalidInput("optimizationObjective is not possible with performAutoML")
	case config.AutoMLConfig == nil:
		return nil
	}
	if metric := config.AutoMLConfig.MetricName; metric != nil && !slices.Contains(autoMLMetrics, *metric) {
		return awsapi.InvalidInput(
			"autoMLConfig.metricName %q is none of %s", *metric, strings.Join(autoMLMetrics, ", "),
		)
	}
	for _, arn := range config.AutoMLConfig.RecipeList {
		r, err := crud.FindRecipe("autoMLConfig.recipeList", arn)
		if err != nil {
			return err
		}
		if r.Domain != "" || r.Type != recipe.UserPersonalization && r.Type != recipe.PopularItems {
			return awsapi.InvalidInput(
				"autoMLConfig.recipeList: %s is no recipe of type %s or %s", arn, recipe.UserPersonalization,
				recipe.PopularItems,
			)
		}
	}
	return nil
}

func validateEvents(config *personalize.EventsConfig) error {
	if config == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, e := range config.EventParametersList {
		switch {
		case e.EventType == nil:
			return awsapi.InvalidInput("eventsConfig.eventParametersList: eventType is required")
		case seen[*e.EventType]:
			return awsapi.InvalidInput("eventsConfig.eventParametersList names eventType %q twice", *e.EventType)
		}
		seen[*e.EventType] = true
	}
	return nil
}

func validateSolutionUpdate(req *personalize.UpdateSolutionRequest, solution *catalog.Solution) error {
	name := ""
	if r, ok := recipe.ByARN(solution.RecipeARN); ok {
		name = r.Name
	}
	if err := validateIncremental(req.PerformIncrementalUpdate, name); err != nil {
		return err
	}
	update := req.SolutionUpdateConfig
	if update == nil {
		return nil
	}
	if config := solution.Config; update.EventsConfig != nil &&
		(solution.EventType != "" || config != nil && config.EventValueThreshold != nil) {
		return awsapi.InvalidInput(
			"eventsConfig goes with neither eventType nor eventValueThreshold, which the solution has",
		)
	}
	if err := validateEvents(update.EventsConfig); err != nil {
		return err
	}
	return validateSchedule(update.AutoTrainingConfig)
}

func validateIncremental(perform *bool, recipeName string) error {
	if flag(perform) && recipeName != "aws-semantic-similarity" {
		return awsapi.InvalidInput("performIncrementalUpdate is possible with recipe aws-semantic-similarity only")
	}
	return nil
}

var rate = regexp.MustCompile(`^rate\((\d+) (day|days)\)$`)

// validateSchedule accepts rate(<1 to 30> days).
func validateSchedule(config *personalize.AutoTrainingConfig) error {
	if config == nil || config.SchedulingExpression == nil {
		return nil
	}
	parts := rate.FindStringSubmatch(*config.SchedulingExpression)
	if parts != nil {
		if days, err := strconv.Atoi(parts[1]); err == nil && days >= 1 && days <= 30 {
			return nil
		}
	}
	return awsapi.InvalidInput(
		"schedulingExpression %q is not rate(<n> days) with n from 1 to 30", *config.SchedulingExpression,
	)
}

// Bounds of hyper-parameter optimisation.
const (
	maxTrainingJobs         = 40
	maxParallelTrainingJobs = 10
)

func validateHPOResources(config *personalize.HPOConfig) error {
	if config == nil || config.HpoResourceConfig == nil {
		return nil
	}
	resources := config.HpoResourceConfig
	if err := validateCount("maxNumberOfTrainingJobs", resources.MaxNumberOfTrainingJobs, maxTrainingJobs); err != nil {
		return err
	}
	return validateCount("maxParallelTrainingJobs", resources.MaxParallelTrainingJobs, maxParallelTrainingJobs)
}

func validateCount(member string, value *string, most int) error {
	if value == nil {
		return nil
	}
	if n, err := strconv.Atoi(*value); err != nil || n < 1 || n > most {
		return awsapi.InvalidInput("%s %q is not a number from 1 to %d", member, *value, most)
	}
	return nil
}

// validateRanges refuses ranges to search in that leave a parameter's own range.
func validateRanges(ranges *personalize.HyperParameterRanges, r *recipe.Recipe) error {
	for _, given := range ranges.IntegerHyperParameterRanges {
		low, high := number(given.MinValue), number(given.MaxValue)
		if err := validateRange(r, awsapi.Text(given.Name), recipe.Integer, low, high); err != nil {
			return err
		}
	}
	for _, given := range ranges.ContinuousHyperParameterRanges {
		if err := validateRange(r, awsapi.Text(given.Name), recipe.Continuous, given.MinValue, given.MaxValue); err != nil {
			return err
		}
	}
	for _, given := range ranges.CategoricalHyperParameterRanges {
		p, err := findTunable(r, awsapi.Text(given.Name), recipe.Categorical)
		if err != nil {
			return err
		}
		for _, value := range given.Values {
			if !slices.Contains(p.Values, value) {
				return awsapi.InvalidInput("Hyperparameter %s cannot be %q", p.Name, value)
			}
		}
	}
	return nil
}

func validateRange(r *recipe.Recipe, name string, kind recipe.Kind, low, high *float64) error {
	p, err := findTunable(r, name, kind)
	if err != nil {
		return err
	}
	from, to := p.Min, p.Max
	if low != nil {
		from = *low
	}
	if high != nil {
		to = *high
	}
	if from < p.Min || to > p.Max || from > to {
		return awsapi.InvalidInput(
			"Range [%v, %v] of hyperparameter %s is not within [%v, %v]", from, to, name, p.Min, p.Max,
		)
	}
	return nil
}

func findTunable(r *recipe.Recipe, name string, kind recipe.Kind) (recipe.Parameter, error) {
	for _, p := range r.HyperParameters {
		if p.Name == name && p.Kind == kind && p.Tunable {
			return p, nil
		}
	}
	return recipe.Parameter{}, awsapi.InvalidInput(
		"Recipe %s has no hyperparameter %q of this type that can be tuned", r.Name, name,
	)
}

func number(n *int64) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}

// validateTrainingColumns refuses columns that the group's datasets do not have, and the exclusion of those without
// which there is no record.
func validateTrainingColumns(
	ctx context.Context, e *crud.Env, config *personalize.TrainingDataConfig, groupARN string,
) error {
	if config == nil {
		return nil
	}
	if len(config.ExcludedDatasetColumns) > 0 && len(config.IncludedDatasetColumns) > 0 {
		return awsapi.InvalidInput(
			"trainingDataConfig takes excludedDatasetColumns or includedDatasetColumns, not both",
		)
	}
	schemas, err := crud.GroupSchemas(ctx, e, groupARN)
	if err != nil {
		return err
	}
	if err := validateColumns("includedDatasetColumns", config.IncludedDatasetColumns, schemas); err != nil {
		return err
	}
	if err := validateColumns("excludedDatasetColumns", config.ExcludedDatasetColumns, schemas); err != nil {
		return err
	}
	for name, columns := range config.ExcludedDatasetColumns {
		for _, column := range columns {
			if slices.Contains(keyColumns, column) {
				return awsapi.InvalidInput("excludedDatasetColumns: column %s of %s cannot be excluded", column, name)
			}
		}
	}
	return nil
}

// keyColumns are needed to tell whom and what a record is about.
var keyColumns = []string{"USER_ID", "ITEM_ID", "ACTION_ID", "TIMESTAMP"}

func validateColumns(member string, given map[string][]string, schemas map[string]*schema.Schema) error {
	seen := map[schema.Type]bool{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		kind, ok := schema.ParseType(name)
		if !ok {
			return awsapi.InvalidInput("%s: %q is no dataset type", member, name)
		}
		if seen[kind] {
			return awsapi.InvalidInput("%s names dataset type %s twice", member, kind)
		}
		seen[kind] = true
		described, ok := schemas[kind.DatasetType()]
		if !ok {
			return awsapi.InvalidInput("%s: the dataset group has no %s dataset", member, kind)
		}
		for _, column := range given[name] {
			if _, ok := described.Field(column); !ok {
				return awsapi.InvalidInput("%s: the %s dataset has no column %s", member, kind, column)
			}
		}
	}
	return nil
}

const sensitivityOff = "OFF"

// validateObjective refuses an objective that the group's items do not have.
func validateObjective(
	ctx context.Context, e *crud.Env, objective *personalize.OptimizationObjective, groupARN string,
) error {
	if objective == nil || awsapi.Text(objective.ObjectiveSensitivity) == sensitivityOff {
		return nil
	}
	if objective.ItemAttribute == nil {
		return awsapi.InvalidInput("optimizationObjective needs an itemAttribute")
	}
	schemas, err := crud.GroupSchemas(ctx, e, groupARN)
	if err != nil {
		return err
	}
	items, ok := schemas[schema.Items.DatasetType()]
	if !ok {
		return awsapi.InvalidInput("optimizationObjective needs an Items dataset")
	}
	if field, ok := items.Field(*objective.ItemAttribute); !ok || !field.Kind.Numeric() || field.Nullable {
		return awsapi.InvalidInput(
			"itemAttribute %s is not a numeric column of the Items dataset that is never null",
			*objective.ItemAttribute,
		)
	}
	return nil
}

// finite reads a number that can be computed with.
func parseFinite(value string) (float64, error) {
	f, err := strconv.ParseFloat(value, 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = strconv.ErrRange
	}
	return f, err
}
