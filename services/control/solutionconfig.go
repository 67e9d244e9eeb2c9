package control

import (
	"math"
	"regexp"
	"slices"
	"strconv"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
)

// checkSolution refuses settings that the recipe does not have or that are out of range. What the API's model bounds by itself (lengths,
// enumerations, weights) has been checked before.
func (s *Service) checkSolution(req *personalize.CreateSolutionRequest, r *recipe.Recipe, group *catalog.DatasetGroup) error {
	config := req.SolutionConfig
	if config == nil {
		config = &personalize.SolutionConfig{}
	}
	if _, err := r.ParseConfig(config.AlgorithmHyperParameters, config.FeatureTransformationParameters); err != nil {
		return awsapi.InvalidInput("Invalid solutionConfig: %v", err)
	}
	if err := checkIncremental(req.PerformIncrementalUpdate, r.Name); err != nil {
		return err
	}
	if config.EventValueThreshold != nil {
		if _, err := finite(*config.EventValueThreshold); err != nil {
			return awsapi.InvalidInput("eventValueThreshold is not a number: %q", *config.EventValueThreshold)
		}
	}
	if err := checkHPO(flag(req.PerformHPO), config.HpoConfig, r); err != nil {
		return err
	}
	if err := checkSchedule(config.AutoTrainingConfig); err != nil {
		return err
	}
	if err := checkTrainingColumns(config.TrainingDataConfig); err != nil {
		return err
	}
	return s.checkObjective(config.OptimizationObjective, r, group)
}

func checkSolutionUpdate(req *personalize.UpdateSolutionRequest, solution *catalog.Solution) error {
	r, ok := recipe.ByARN(solution.RecipeARN)
	if !ok {
		return awsapi.InvalidInput("Solution %s has an unknown recipe", solution.ARN)
	}
	if err := checkIncremental(req.PerformIncrementalUpdate, r.Name); err != nil {
		return err
	}
	if req.SolutionUpdateConfig == nil {
		return nil
	}
	return checkSchedule(req.SolutionUpdateConfig.AutoTrainingConfig)
}

func checkIncremental(perform *bool, recipeName string) error {
	if flag(perform) && recipeName != "aws-semantic-similarity" {
		return awsapi.InvalidInput("performIncrementalUpdate is possible with recipe aws-semantic-similarity only")
	}
	return nil
}

var rate = regexp.MustCompile(`^rate\((\d+) (day|days)\)$`)

// checkSchedule accepts rate(<1 to 30> days).
func checkSchedule(config *personalize.AutoTrainingConfig) error {
	if config == nil || config.SchedulingExpression == nil {
		return nil
	}
	parts := rate.FindStringSubmatch(*config.SchedulingExpression)
	if parts != nil {
		if days, err := strconv.Atoi(parts[1]); err == nil && days >= 1 && days <= 30 {
			return nil
		}
	}
	return awsapi.InvalidInput("schedulingExpression %q is not rate(<n> days) with n from 1 to 30", *config.SchedulingExpression)
}

// Bounds of hyper-parameter optimisation.
const (
	maxTrainingJobs         = 40
	maxParallelTrainingJobs = 10
)

func checkHPO(perform bool, config *personalize.HPOConfig, r *recipe.Recipe) error {
	if perform && !slices.ContainsFunc(r.HyperParameters, func(p recipe.Parameter) bool { return p.Tunable }) {
		return awsapi.InvalidInput("performHPO: recipe %s has no hyperparameter that can be tuned", r.Name)
	}
	if config == nil {
		return nil
	}
	if resources := config.HpoResourceConfig; resources != nil {
		if err := checkCount("maxNumberOfTrainingJobs", resources.MaxNumberOfTrainingJobs, maxTrainingJobs); err != nil {
			return err
		}
		if err := checkCount("maxParallelTrainingJobs", resources.MaxParallelTrainingJobs, maxParallelTrainingJobs); err != nil {
			return err
		}
	}
	if config.AlgorithmHyperParameterRanges == nil {
		return nil
	}
	return checkRanges(config.AlgorithmHyperParameterRanges, r)
}

func checkCount(member string, value *string, most int) error {
	if value == nil {
		return nil
	}
	if n, err := strconv.Atoi(*value); err != nil || n < 1 || n > most {
		return awsapi.InvalidInput("%s %q is not a number from 1 to %d", member, *value, most)
	}
	return nil
}

// checkRanges refuses ranges to search in that leave a parameter's own range.
func checkRanges(ranges *personalize.HyperParameterRanges, r *recipe.Recipe) error {
	for _, given := range ranges.IntegerHyperParameterRanges {
		low, high := number(given.MinValue), number(given.MaxValue)
		if err := checkRange(r, text(given.Name), recipe.Integer, low, high); err != nil {
			return err
		}
	}
	for _, given := range ranges.ContinuousHyperParameterRanges {
		if err := checkRange(r, text(given.Name), recipe.Continuous, given.MinValue, given.MaxValue); err != nil {
			return err
		}
	}
	for _, given := range ranges.CategoricalHyperParameterRanges {
		p, err := tunable(r, text(given.Name), recipe.Categorical)
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

func checkRange(r *recipe.Recipe, name string, kind recipe.Kind, low, high *float64) error {
	p, err := tunable(r, name, kind)
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
		return awsapi.InvalidInput("Range [%v, %v] of hyperparameter %s is not within [%v, %v]", from, to, name, p.Min, p.Max)
	}
	return nil
}

func tunable(r *recipe.Recipe, name string, kind recipe.Kind) (recipe.Parameter, error) {
	for _, p := range r.HyperParameters {
		if p.Name == name && p.Kind == kind && p.Tunable {
			return p, nil
		}
	}
	return recipe.Parameter{}, awsapi.InvalidInput("Recipe %s has no hyperparameter %q of this type that can be tuned", r.Name, name)
}

func number(n *int64) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}

// checkTrainingColumns looks at the dataset types; the columns are looked for when training reads the schemas of its time.
func checkTrainingColumns(config *personalize.TrainingDataConfig) error {
	if config == nil {
		return nil
	}
	if len(config.ExcludedDatasetColumns) > 0 && len(config.IncludedDatasetColumns) > 0 {
		return awsapi.InvalidInput("trainingDataConfig takes excludedDatasetColumns or includedDatasetColumns, not both")
	}
	for _, columns := range []map[string][]string{config.ExcludedDatasetColumns, config.IncludedDatasetColumns} {
		for name := range columns {
			if _, ok := schema.ParseType(name); !ok {
				return awsapi.InvalidInput("trainingDataConfig: %q is no dataset type", name)
			}
		}
	}
	return nil
}

// checkObjective refuses an objective that the recipe cannot follow or the group's items do not have.
func (s *Service) checkObjective(objective *personalize.OptimizationObjective, r *recipe.Recipe, group *catalog.DatasetGroup) error {
	if objective == nil || text(objective.ObjectiveSensitivity) == "OFF" {
		return nil
	}
	if r.Type != recipe.UserPersonalization && r.Type != recipe.PersonalizedRanking {
		return awsapi.InvalidInput("optimizationObjective is not possible with recipe %s", r.Name)
	}
	if objective.ItemAttribute == nil {
		return awsapi.InvalidInput("optimizationObjective needs an itemAttribute")
	}
	items, ok := catalog.Lookup[*catalog.Dataset](s.view, beside(group.ARN, catalog.TypeDataset, group.Name+"/ITEMS"))
	if !ok {
		return awsapi.InvalidInput("optimizationObjective needs an Items dataset")
	}
	described, ok := catalog.Lookup[*catalog.Schema](s.view, items.SchemaARN)
	if !ok {
		return awsapi.InvalidInput("optimizationObjective: the Items dataset has no schema")
	}
	parsed, err := schema.Parse(described.Document, described.Domain)
	if err != nil {
		return awsapi.InvalidInput("Invalid schema: %v", err)
	}
	if field, ok := parsed.Field(*objective.ItemAttribute); !ok || !field.Kind.Numeric() || field.Nullable {
		return awsapi.InvalidInput("itemAttribute %s is not a numeric column of the Items dataset that is never null", *objective.ItemAttribute)
	}
	return nil
}

// finite reads a number that can be computed with.
func finite(value string) (float64, error) {
	f, err := strconv.ParseFloat(value, 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = strconv.ErrRange
	}
	return f, err
}
