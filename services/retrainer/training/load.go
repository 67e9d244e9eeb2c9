package training

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// Loaded is a training set and the state of the data that it was made of.
type Loaded struct {
	*dataset.Loaded
	mark string
	cut  time.Time // the data is at least as new as this
}

// Load reads everything that the version is to be trained on: what was imported, what is archived, and what the log has
// beyond the archive's end, so that an event acknowledged before the version was created counts.
func (t *Trainer) Load(ctx context.Context, version *catalog.SolutionVersion) (*Loaded, error) {
	cut := time.Now()
	group, ok := catalog.Lookup[*catalog.DatasetGroup](t.config.Data.View, version.DatasetGroupARN)
	if !ok {
		return nil, jobs.Faultf("The dataset group does not exist any more")
	}
	options, err := builderOptions(version)
	if err != nil {
		return nil, err
	}
	if options.ItemSchema, err = t.config.Data.SchemaFor(ctx, group, schema.Items); err != nil {
		return nil, err
	}
	if options.UserSchema, err = t.config.Data.SchemaFor(ctx, group, schema.Users); err != nil {
		return nil, err
	}
	mark, err := t.config.Data.Mark(ctx, group.GroupKey())
	if err != nil {
		return nil, fmt.Errorf("looking for new data: %w", err)
	}
	tail, err := t.config.Data.OpenTail(ctx, group.GroupKey())
	if err != nil {
		return nil, err
	}
	set, err := dataset.Load(ctx, dataset.LoadRequest{
		Bucket: t.config.Data.Bucket, Group: group.GroupKey(), Options: options,
		More: func(b *trainingset.Builder) error { return tail.Read(ctx, b) },
	})
	if err != nil {
		return nil, fmt.Errorf("loading the data: %w", err)
	}
	return &Loaded{set, mark, cut}, nil
}

// hasEnoughData reports whether a training of the version would find enough.
func (t *Trainer) hasEnoughData(ctx context.Context, version *catalog.SolutionVersion) (bool, error) {
	data, err := t.Load(ctx, version)
	if err != nil {
		return false, err
	}
	r, _ := recipe.ByARN(version.RecipeARN)
	return t.checkMinimum(r, data.Set) == nil, nil
}

// checkMinimum holds a training set to the least data. r is nil while AutoML has not chosen a recipe.
func (t *Trainer) checkMinimum(r *recipe.Recipe, set *trainingset.Set) error {
	interactions := t.config.MinInteractions
	if r != nil && r.MinEvents > 0 {
		interactions = r.MinEvents * t.config.MinInteractions / UsualMinInteractions
	}
	return set.CheckMinimum(interactions, t.config.MinUsers)
}

// damagedNamed bounds how many damaged files the catalog names for a solution version; the log names all.
const damagedNamed = 100

// reportDamaged counts and logs the archive files that a training does without.
func (t *Trainer) reportDamaged(log *zap.Logger, files []string) {
	if len(files) == 0 {
		return
	}
	t.metrics.damaged.Add(float64(len(files)))
	log.Error("damaged archive files are left out of a training", zap.Strings("files", files))
}

// builderOptions selects the data that a version is trained on: that of its configuration, and for a domain use case
// the events of its type.
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
		options.Columns = trainingset.Columns{
			Excluded: byType(t.ExcludedDatasetColumns), Included: byType(t.IncludedDatasetColumns),
		}
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

// sensitivities are how much an objective counts, in logits between the items that bring in most and least: at HIGH an
// item that brings in most has e² ≈ 7.4 times the share of an equally relevant one that brings in nothing.
var sensitivities = map[string]float64{"LOW": 0.5, "MEDIUM": 1, "HIGH": 2}

func objectiveOf(o *personalize.OptimizationObjective) trainingset.Objective {
	if o == nil || o.ItemAttribute == nil || o.ObjectiveSensitivity == nil ||
		sensitivities[*o.ObjectiveSensitivity] == 0 {
		return trainingset.Objective{}
	}
	return trainingset.Objective{Attribute: *o.ItemAttribute, Weight: sensitivities[*o.ObjectiveSensitivity]}
}
