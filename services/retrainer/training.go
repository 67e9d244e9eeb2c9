package retrainer

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
)

// The shares of a training's time, as its progress shows them.
const (
	loaded    = 0.15
	evaluated = 0.55
	trained   = 0.95
)

// train makes a solution version: it loads the data, measures the recipe on held-back users, trains on everything and
// publishes the model. trainingMode UPDATE takes the same way: a full training with the parameters of the solution costs
// minutes here and leaves nothing stale.
func (s *Service) train(ctx context.Context, version *catalog.SolutionVersion, report func(float64)) (func(*catalog.SolutionVersion), error) {
	started := time.Now()
	r, params, err := recipeOf(version)
	if err != nil {
		return nil, err
	}
	set, err := s.load(ctx, version)
	if err != nil {
		return nil, err
	}
	if err := set.CheckMinimum(s.config.MinInteractions, s.config.MinUsers); err != nil {
		return nil, userFault(err)
	}
	s.tellDamaged(version, set.Damaged)
	report(loaded)

	options := recipe.Options{Seed: s.config.Seed, Threads: s.config.Threads, Progress: between(report, loaded, evaluated)}
	measured, err := eval.Run(ctx, r, params, set.TrainingSet, options)
	if err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	options.Progress = between(report, evaluated, trained)
	m, err := r.Train(ctx, set.TrainingSet, params, options)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	ended := time.Now()
	report(trained)

	key, id, err := s.publish(ctx, version, r, params, set, m, modelstore.Meta{Metrics: measured.Metrics, Trained: ended, DataCut: modelstore.DataCut{Time: started}})
	if err != nil {
		return nil, err
	}
	s.metrics.trained.WithLabelValues(r.Name).SetToCurrentTime()
	s.config.Log.Info("model published", zap.String("solution_version", version.ARN), zap.String("model", id),
		zap.Int("interactions", set.Events()), zap.Int("users", len(set.Users)), zap.Int("items", m.Items().Len()),
		zap.Any("metrics", measured.Metrics), zap.Any("popularity", measured.Popularity), zap.Int("test_users", measured.TestUsers),
		zap.Duration("took", time.Since(started)))
	return func(v *catalog.SolutionVersion) {
		v.DamagedFiles = set.Damaged[:min(len(set.Damaged), damagedNamed)]
		v.ManifestKey, v.ModelID, v.Metrics, v.TrainingHours = key, id, measured.Metrics, ended.Sub(started).Hours()
	}, nil
}

func (s *Service) publish(ctx context.Context, version *catalog.SolutionVersion, r *recipe.Recipe, params recipe.Params, set *dataset.Loaded, m model.Model, meta modelstore.Meta) (key, id string, err error) {
	meta.Params = params.Map()
	meta.DataCut.Interactions, meta.DataCut.Users, meta.DataCut.Items = set.Events(), len(set.Users), len(set.Items)
	return modelstore.Publish(ctx, s.config.Bucket, version.ARN, r.Name, m, meta)
}

// recipeOf finds a version's recipe and reads its parameters, which control has checked when the solution was made.
func recipeOf(version *catalog.SolutionVersion) (*recipe.Recipe, recipe.Params, error) {
	r, ok := recipe.ByARN(version.RecipeARN)
	if !ok {
		return nil, recipe.Params{}, rejected("Recipe %s is not supported", version.RecipeARN)
	}
	var algorithm, feature map[string]string
	if c := version.Config; c != nil {
		algorithm, feature = c.AlgorithmHyperParameters, c.FeatureTransformationParameters
	}
	params, err := r.ParseConfig(algorithm, feature)
	if err != nil {
		return nil, recipe.Params{}, userFault(err)
	}
	return r, params, nil
}

// load reads everything that the version is to be trained on: what was imported, what is archived, and what the log has
// beyond the archive's end, so that an event acknowledged before the version was created counts.
func (s *Service) load(ctx context.Context, version *catalog.SolutionVersion) (*dataset.Loaded, error) {
	group, ok := catalog.Lookup[*catalog.DatasetGroup](s.config.View, version.DatasetGroupARN)
	if !ok {
		return nil, rejected("The dataset group does not exist any more")
	}
	options, err := builderOptions(version)
	if err != nil {
		return nil, err
	}
	tail, err := s.openTail(ctx, group.GroupKey())
	if err != nil {
		return nil, err
	}
	set, err := dataset.Load(ctx, dataset.LoadRequest{
		Bucket: s.config.Bucket, Group: group.GroupKey(), BuilderOptions: options,
		More: func(b *dataset.Builder) error { return tail.read(ctx, b) },
	})
	if err != nil {
		return nil, fmt.Errorf("loading the data: %w", err)
	}
	return set, nil
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

func builderOptions(version *catalog.SolutionVersion) (dataset.BuilderOptions, error) {
	options := dataset.BuilderOptions{EventType: version.EventType}
	if c := version.Config; c != nil && c.EventValueThreshold != nil {
		threshold, err := strconv.ParseFloat(*c.EventValueThreshold, 64)
		if err != nil {
			return options, rejected("eventValueThreshold %q is not a number", *c.EventValueThreshold)
		}
		options.EventValueThreshold = &threshold
	}
	return options, nil
}

// enoughData says whether a training of the version would find enough.
func (s *Service) enoughData(ctx context.Context, version *catalog.SolutionVersion) (bool, error) {
	set, err := s.load(ctx, version)
	if err != nil {
		return false, err
	}
	return set.CheckMinimum(s.config.MinInteractions, s.config.MinUsers) == nil, nil
}

// between maps the progress of one step to its part of the whole.
func between(report func(float64), from, to float64) func(float64) {
	return func(done float64) { report(from + (to-from)*min(max(done, 0), 1)) }
}
