package training

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/recipe"
)

// publish publishes the trained model with its report, and returns what to write into the version.
func (r *run) publish(ctx context.Context) (func(*catalog.SolutionVersion), error) {
	r.clock.enter(publishing)
	meta := modelstore.Meta{
		Params: r.chosen.params.Map(), Metrics: r.measured.Metrics, Trained: r.ended, DataCut: cutOf(r.data),
	}
	next, err := r.release(ctx, r.version.ARN, &release{r.chosen.recipe, r.model, r.data, meta})
	if err != nil {
		return nil, err
	}
	weights := weightsOf(r.model)
	folder, err := r.publishReport(ctx, QualityReport{
		SolutionVersion: r.version.ARN, Recipe: r.chosen.recipe.Name, ModelID: next.id, HyperParameters: meta.Params,
		Interactions: meta.DataCut.Interactions, Users: meta.DataCut.Users, Items: meta.DataCut.Items,
		Weights: weights, Report: r.measured,
	})
	if err != nil {
		return nil, err
	}
	r.metrics.trained.WithLabelValues(r.chosen.recipe.Name).SetToCurrentTime()
	r.log.Info("model published", zap.String("recipe", r.chosen.recipe.Name), zap.String("model", next.id),
		zap.Int("interactions", r.data.Events()), zap.Int("users", len(r.data.Users)), zap.Int("items", next.items),
		zap.Any("metrics", r.measured.Metrics), zap.Any("popularity", r.measured.Popularity),
		zap.Int("test_users", r.measured.TestUsers), zap.Any("weights", weights),
		zap.Duration("took", time.Since(r.started)))
	return func(v *catalog.SolutionVersion) {
		v.DamagedFiles, v.DataMark = r.data.Damaged[:min(len(r.data.Damaged), damagedNamed)], r.data.mark
		v.ManifestKey, v.ModelID, v.Metrics = next.key, next.id, r.measured.Metrics
		v.TrainingHours, v.ReportFolder = r.ended.Sub(r.started).Hours(), folder
		if v.PerformAutoML {
			v.RecipeARN = r.chosen.recipe.ARN()
		}
		if tunes(v, r.chosen.recipe) {
			v.TunedHyperParameters = tuned(r.chosen)
		}
	}, nil
}

// release is a model to be published, and the data that it was trained on, or extended with.
type release struct {
	recipe *recipe.Recipe
	model  model.Model
	data   *Loaded
	meta   modelstore.Meta
}

// published is a model in the bucket.
type published struct {
	key, id string
	items   int
}

// release publishes a model as that of a version.
func (t *Trainer) release(ctx context.Context, version string, r *release) (*published, error) {
	if r.recipe.Explores {
		r.meta.Novelty = exploration.NoveltyOf(r.data.Set, r.model.Items())
	}
	key, id, err := modelstore.Publish(ctx, t.config.Data.Bucket, version, r.recipe.Name, r.model, r.meta)
	if err != nil {
		return nil, err
	}
	return &published{key, id, r.model.Items().Len()}, nil
}

func cutOf(data *Loaded) modelstore.DataCut {
	return modelstore.DataCut{
		Time: data.cut, Interactions: data.Events(), Users: len(data.Users), Items: len(data.Items),
	}
}

// weightsOf returns the weights of a model's parts, or nil if it has none.
func weightsOf(m model.Model) map[string]float64 {
	if weighted, ok := model.As[interface{ Weights() map[string]float64 }](m); ok {
		return weighted.Weights()
	}
	return nil
}
