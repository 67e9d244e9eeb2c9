package retrainer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// train makes a solution version: it loads the data, chooses the recipe (automl.go) and its parameters (hpo.go) where the
// solution leaves that to it, measures the choice on held-back users, trains on everything and publishes the model. A
// version with trainingMode UPDATE gets the model of the newest full training with new items instead (update.go).
//
// A version trained by AutoML learns its recipe at the end, with its model.
func (s *Service) train(ctx context.Context, version *catalog.SolutionVersion, report func(float64)) (func(*catalog.SolutionVersion), error) {
	started, clock := time.Now(), newClock(report)
	var chosen candidate
	if !version.PerformAutoML {
		var err error
		if chosen, err = candidateOf(version); err != nil {
			return nil, err
		}
	}
	set, err := s.load(ctx, version)
	if err != nil {
		return nil, err
	}
	s.tellDamaged(version, set.Damaged)
	if version.TrainingMode == catalog.TrainingUpdate {
		if finish, err := s.extend(ctx, version, chosen.recipe, set, started); finish != nil || err != nil {
			return finish, err
		}
	}
	if err := s.enough(chosen.recipe, set.Set); err != nil {
		return nil, jobs.Fault(err)
	}
	if chosen, err = s.choose(ctx, version, chosen, set.Set, clock); err != nil {
		return nil, err
	}
	if err := suits(chosen, set.Set); err != nil {
		return nil, err
	}
	clock.enter(evaluating)
	options := recipe.Options{Seed: s.config.Seed, Threads: s.config.Threads, Progress: clock.progress(evaluating)}
	measured, err := eval.Run(ctx, chosen.recipe, chosen.params, set.Set, options)
	if err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	clock.enter(fitting)
	options.Progress = clock.progress(fitting)
	m, err := chosen.recipe.Fit(ctx, set.Set, chosen.params, options)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	ended := time.Now()
	clock.enter(publishing)

	meta := modelstore.Meta{Params: chosen.params.Map(), Metrics: measured.Metrics, Trained: ended, DataCut: cutOf(set, started)}
	next, err := s.publish(ctx, version.ARN, chosen.recipe, m, set, meta)
	if err != nil {
		return nil, err
	}
	weights := weightsOf(m)
	reported, err := s.publishReport(ctx, QualityReport{
		SolutionVersion: version.ARN, Recipe: chosen.recipe.Name, ModelID: next.id, HyperParameters: meta.Params,
		Interactions: meta.DataCut.Interactions, Users: meta.DataCut.Users, Items: meta.DataCut.Items, Weights: weights, Report: measured,
	})
	if err != nil {
		return nil, err
	}
	s.metrics.trained.WithLabelValues(chosen.recipe.Name).SetToCurrentTime()
	s.config.Log.Info("model published", zap.String("solution_version", version.ARN), zap.String("recipe", chosen.recipe.Name), zap.String("model", next.id),
		zap.Int("interactions", set.Events()), zap.Int("users", len(set.Users)), zap.Int("items", m.Items().Len()),
		zap.Any("metrics", measured.Metrics), zap.Any("popularity", measured.Popularity), zap.Int("test_users", measured.TestUsers),
		zap.Any("weights", weights),
		zap.Duration("took", time.Since(started)))
	return func(v *catalog.SolutionVersion) {
		v.DamagedFiles, v.DataMark = set.Damaged[:min(len(set.Damaged), damagedNamed)], set.mark
		v.ManifestKey, v.ModelID, v.Metrics, v.TrainingHours = next.key, next.id, measured.Metrics, ended.Sub(started).Hours()
		v.ReportFolder = reported
		if v.PerformAutoML {
			v.RecipeARN = chosen.recipe.ARN()
		}
		if tunes(v, chosen.recipe) {
			v.TunedHyperParameters = tuned(chosen)
		}
	}, nil
}

// choose finds the recipe and the parameters, where the solution does not give them.
func (s *Service) choose(ctx context.Context, version *catalog.SolutionVersion, given candidate, ts *trainingset.Set, clock *trainingClock) (candidate, error) {
	if !version.PerformAutoML && !tunes(version, given.recipe) {
		return given, nil
	}
	search := s.newSearch(version, eval.Split(eval.Split(ts).Rest))
	recipes, parameters := candidatesOf(version)
	clock.search(recipes + parameters)
	report, first := clock.progress(choosing), recipes/(recipes+parameters) // the share of the first search
	chosen := given
	if version.PerformAutoML {
		var err error
		if chosen, err = search.chooseRecipe(ctx, jobs.Between(report, 0, first)); err != nil {
			return candidate{}, err
		}
	}
	if !tunes(version, chosen.recipe) {
		return chosen, nil
	}
	return search.tune(ctx, chosen, jobs.Between(report, first, 1))
}

// tunes says whether a version's parameters are searched for. A recipe that AutoML has chosen need not have any to tune.
func tunes(version *catalog.SolutionVersion, r *recipe.Recipe) bool {
	return version.PerformHPO && slices.ContainsFunc(r.HyperParameters, func(p recipe.Parameter) bool { return p.Tunable })
}

// weightsOf are those of a model's parts, nil where it has none.
func weightsOf(m model.Model) map[string]float64 {
	if weighted, ok := model.As[interface{ Weights() map[string]float64 }](m); ok {
		return weighted.Weights()
	}
	return nil
}

// published is a model in the bucket.
type published struct {
	key, id string
	items   int
}

// publish publishes a model that was trained on a set, or extended with it, as the model of a version.
func (s *Service) publish(ctx context.Context, as string, r *recipe.Recipe, m model.Model, set *loaded, meta modelstore.Meta) (*published, error) {
	if r.Explores {
		meta.Novelty = exploration.NoveltyOf(set.Set, m.Items())
	}
	key, id, err := modelstore.Publish(ctx, s.config.Bucket, as, r.Name, m, meta)
	if err != nil {
		return nil, err
	}
	return &published{key, id, m.Items().Len()}, nil
}

func cutOf(set *loaded, at time.Time) modelstore.DataCut {
	return modelstore.DataCut{Time: at, Interactions: set.Events(), Users: len(set.Users), Items: len(set.Items)}
}

// enough holds a training set to the least data. r is nil while AutoML has not chosen a recipe.
func (s *Service) enough(r *recipe.Recipe, ts *trainingset.Set) error {
	interactions := s.config.MinInteractions
	if r != nil && r.MinEvents > 0 {
		// The setting stands for Personalize's usual minimum; what a recipe asks for is more or less in proportion.
		interactions = r.MinEvents * s.config.MinInteractions / usualMinInteractions
	}
	return ts.CheckMinimum(interactions, s.config.MinUsers)
}

// suits says why a candidate cannot learn from a training set; the error is the user's to read.
func suits(c candidate, ts *trainingset.Set) error {
	if err := c.recipe.CheckData(ts, c.params); err != nil {
		return jobs.Fault(err)
	}
	return nil
}

// candidateOf is a version's recipe with its parameters, which control has checked when the solution was made.
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

// loaded is a training set and the state of the data that it was made of.
type loaded struct {
	*dataset.Loaded
	mark string
}

// load reads everything that the version is to be trained on: what was imported, what is archived, and what the log has
// beyond the archive's end, so that an event acknowledged before the version was created counts.
func (s *Service) load(ctx context.Context, version *catalog.SolutionVersion) (*loaded, error) {
	group, ok := catalog.Lookup[*catalog.DatasetGroup](s.config.View, version.DatasetGroupARN)
	if !ok {
		return nil, jobs.Faultf("The dataset group does not exist any more")
	}
	options, err := builderOptions(version)
	if err != nil {
		return nil, err
	}
	if options.ItemSchema, err = s.data.SchemaFor(ctx, group, schema.Items); err != nil {
		return nil, err
	}
	if options.UserSchema, err = s.data.SchemaFor(ctx, group, schema.Users); err != nil {
		return nil, err
	}
	mark, err := s.data.Mark(ctx, group.GroupKey())
	if err != nil {
		return nil, fmt.Errorf("looking for new data: %w", err)
	}
	tail, err := s.data.OpenTail(ctx, group.GroupKey())
	if err != nil {
		return nil, err
	}
	set, err := dataset.Load(ctx, dataset.LoadRequest{
		Bucket: s.config.Bucket, Group: group.GroupKey(), Options: options,
		More: func(b *trainingset.Builder) error { return tail.Read(ctx, b) },
	})
	if err != nil {
		return nil, fmt.Errorf("loading the data: %w", err)
	}
	return &loaded{set, mark}, nil
}

// damagedNamed bounds how many damaged files the catalog names for a solution version; the log names all.
const damagedNamed = 100

// tellDamaged counts and names the archive files that a training does without.
func (s *Service) tellDamaged(version *catalog.SolutionVersion, files []string) {
	if len(files) == 0 {
		return
	}
	s.metrics.damaged.Add(float64(len(files)))
	s.config.Log.Error("damaged archive files are left out of a training", zap.String("solution_version", version.ARN), zap.Strings("files", files))
}

// builderOptions say which data a version is trained on: that of its configuration, and for a domain use case the events of
// its type.
func builderOptions(version *catalog.SolutionVersion) (trainingset.Options, error) {
	options := trainingset.Options{EventType: version.EventType}
	r, known := recipe.ByARN(version.RecipeARN)
	if known && options.EventType == "" {
		options.EventType = r.EventType
	}
	c := version.Config
	if c == nil {
		return options, nil
	}
	if c.EventValueThreshold != nil {
		threshold, err := strconv.ParseFloat(*c.EventValueThreshold, 64)
		if err != nil {
			return options, jobs.Faultf("eventValueThreshold %q is not a number", *c.EventValueThreshold)
		}
		options.EventValueThreshold = &threshold
	}
	if c.EventsConfig != nil {
		options.Events = eventRules(c.EventsConfig.EventParametersList)
	}
	if t := c.TrainingDataConfig; t != nil {
		options.Columns = trainingset.Columns{Excluded: byType(t.ExcludedDatasetColumns), Included: byType(t.IncludedDatasetColumns)}
	}
	if known && (r.Type == recipe.UserPersonalization || r.Type == recipe.PersonalizedRanking) {
		options.Objective = objectiveOf(c.OptimizationObjective)
	}
	return options, nil
}

// eventRules reads eventParametersList: the types of event that count. One without a weight counts fully.
func eventRules(list []personalize.EventParameters) []trainingset.EventRule {
	var rules []trainingset.EventRule
	for _, e := range list {
		if e.EventType == nil {
			continue
		}
		rule := trainingset.EventRule{Type: *e.EventType, Threshold: e.EventValueThreshold, Weight: 1}
		if e.Weight != nil {
			rule.Weight = *e.Weight
		}
		rules = append(rules, rule)
	}
	return rules
}

// byType spells the dataset types of a trainingDataConfig as the catalog does.
func byType(columns map[string][]string) map[string][]string {
	if columns == nil {
		return nil
	}
	spelled := make(map[string][]string, len(columns))
	for name, list := range columns {
		spelled[strings.ToUpper(name)] = list
	}
	return spelled
}

// sensitivities are how much an objective counts, in logits between the items that bring in most and least: at HIGH an item
// that brings in most has e² ≈ 7.4 times the share of an equally relevant one that brings in nothing.
var sensitivities = map[string]float64{"LOW": 0.5, "MEDIUM": 1, "HIGH": 2}

func objectiveOf(o *personalize.OptimizationObjective) trainingset.Objective {
	if o == nil || o.ItemAttribute == nil || o.ObjectiveSensitivity == nil || sensitivities[*o.ObjectiveSensitivity] == 0 {
		return trainingset.Objective{}
	}
	return trainingset.Objective{Attribute: *o.ItemAttribute, Weight: sensitivities[*o.ObjectiveSensitivity]}
}

// enoughData says whether a training of the version would find enough.
func (s *Service) enoughData(ctx context.Context, version *catalog.SolutionVersion) (bool, error) {
	set, err := s.load(ctx, version)
	if err != nil {
		return false, err
	}
	r, _ := recipe.ByARN(version.RecipeARN)
	return s.enough(r, set.Set) == nil, nil
}
