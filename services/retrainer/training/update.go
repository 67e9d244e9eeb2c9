package training

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// There are two ways in which items that appeared after a training become eligible without another one. Both take the
// model as it is and extend its catalogue (model.Extender); what the model has learned, and its metrics, stay.
//
//   - CreateSolutionVersion with trainingMode UPDATE makes a new version (extend).
//   - The newest fully trained version that a campaign or a recommender answers with is updated automatically, every 2
//     hours if there is new data: no version appears, the version gets another model (Updates). The model is published
//     next to the old one, and the pointer to it in the catalog moves by compare-and-swap under the version's lease;
//     recommenders follow the pointer, as to any new model. A version made with UPDATE is never updated automatically.
//
// A model of a recipe whose answers grow old quickly, of what trends, is not extended but trained again in the second
// way, as often as its parameter trend_discovery_frequency asks for.

// extend makes the model of a version with trainingMode UPDATE from the newest full training of its solution. It
// returns nil if that cannot be extended: then the version is trained in full, which costs nothing but time.
func (r *run) extend(ctx context.Context) (func(*catalog.SolutionVersion), error) {
	base := r.newestFull(r.version)
	if base == nil {
		return nil, jobs.Faultf(
			"trainingMode UPDATE needs an ACTIVE solution version that was trained with trainingMode FULL")
	}
	next, err := r.releaseExtended(ctx, base, r.version.ARN, r.chosen.recipe, r.data)
	if err != nil || next == nil {
		return nil, err
	}
	r.log.Info("model extended", zap.String("of", base.ARN), zap.String("model", next.id),
		zap.Int("items", next.items), zap.Duration("took", time.Since(r.started)))
	return func(v *catalog.SolutionVersion) {
		v.DamagedFiles, v.DataMark = r.data.Damaged[:min(len(r.data.Damaged), damagedNamed)], r.data.mark
		v.ManifestKey, v.ModelID, v.TrainingHours = next.key, next.id, time.Since(r.started).Hours()
		v.Metrics, v.TunedHyperParameters, v.ReportFolder = base.Metrics, base.TunedHyperParameters, base.ReportFolder
	}, nil
}

// newestFull returns the newest ACTIVE version of a version's solution and recipe that was trained in full.
func (t *Trainer) newestFull(version *catalog.SolutionVersion) *catalog.SolutionVersion {
	var newest *catalog.SolutionVersion
	for _, v := range catalog.All[*catalog.SolutionVersion](t.config.Data.View) { // oldest first
		if v.SolutionARN == version.SolutionARN && v.RecipeARN == version.RecipeARN && fullyTrained(v) {
			newest = v
		}
	}
	return newest
}

func fullyTrained(v *catalog.SolutionVersion) bool {
	return v.Status == status.Active && v.TrainingMode != mode.TrainingUpdate && v.ManifestKey != ""
}

// releaseExtended publishes a version's model, extended with the items of the data, as the model of another version, or
// of the same. It returns nil if the model cannot be extended.
func (t *Trainer) releaseExtended(
	ctx context.Context, base *catalog.SolutionVersion, as string, r *recipe.Recipe, data *Loaded,
) (*published, error) {
	last, err := modelstore.Load(ctx, t.config.Data.Bucket, base.ManifestKey, "")
	if err != nil {
		return nil, fmt.Errorf("reading the model to extend: %w", err)
	}
	m, ok := r.Extend(last.Model, data.Set)
	if !ok {
		return nil, nil
	}
	return t.release(ctx, as, &release{r, m, data, modelstore.Meta{
		Params: last.Manifest.Params, Metrics: last.Manifest.Metrics, Trained: last.Manifest.Trained,
		DataCut: cutOf(data),
	}})
}

// releaseRetrained publishes a model trained again like the version's, for recipes whose models grow old quickly.
func (t *Trainer) releaseRetrained(
	ctx context.Context, v *catalog.SolutionVersion, c candidate, data *Loaded,
) (*published, error) {
	m, err := c.recipe.Fit(ctx, data.Set, c.params, recipe.Options{Seed: t.config.Seed, Threads: t.config.Threads})
	if err != nil {
		return nil, fmt.Errorf("training again: %w", err)
	}
	return t.release(ctx, v.ARN, &release{c.recipe, m, data, modelstore.Meta{
		Params: c.params.Map(), Metrics: v.Metrics, Trained: time.Now(), DataCut: cutOf(data),
	}})
}

// Updates keeps the models that are being served up to date with new items.
type Updates struct {
	trainer *Trainer
	queue   *jobs.Queue[*catalog.SolutionVersion]
	// fixed are versions whose models cannot be extended, by ARN. Only Run uses it.
	fixed map[string]bool
}

// updatesInterval is how often due updates are checked for.
const updatesInterval = 15 * time.Second

// NewUpdates returns the updates of a trainer's models.
func NewUpdates(trainer *Trainer) *Updates {
	u := &Updates{trainer: trainer, fixed: map[string]bool{}}
	u.queue = jobs.NewQueue(trainer.config.Worker, "update", 1, u.update)
	return u
}

// Run updates models until ctx ends.
func (u *Updates) Run(ctx context.Context) error {
	if u.trainer.config.AutoUpdateInterval < 0 {
		return nil
	}
	tick := time.NewTicker(min(updatesInterval, u.trainer.config.AutoUpdateInterval))
	defer tick.Stop()
	for {
		if u.trainer.config.Data.View.Ready() {
			u.look(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look updates every version that is due, one after the other.
func (u *Updates) look(ctx context.Context) {
	now := u.trainer.config.Now()
	for _, v := range u.served() {
		if ctx.Err() != nil {
			return
		}
		last := v.UpdatedAt // when it became ACTIVE
		if v.RefreshedAt.After(last) {
			last = v.RefreshedAt
		}
		if !u.fixed[v.ARN] && !v.Leased(now) && !now.Before(last.Add(u.interval(v))) {
			u.maintain(ctx, v)
		}
	}
}

// maintain updates a version under its lease, unless another retrainer was faster. After a failure the next attempt
// comes when the interval has passed again.
func (u *Updates) maintain(ctx context.Context, v *catalog.SolutionVersion) {
	now := u.trainer.config.Now().UTC()
	u.queue.Maintain(ctx, v.ARN, func(newest *catalog.SolutionVersion) bool {
		return newest.RefreshedAt.Equal(v.RefreshedAt) && fullyTrained(newest)
	}, func(v *catalog.SolutionVersion) { v.RefreshedAt = now })
}

// interval returns how long a version's model is left as it is.
func (u *Updates) interval(v *catalog.SolutionVersion) time.Duration {
	if c, err := candidateOf(v); err == nil && c.recipe.Interval(c.params) > 0 {
		return c.recipe.Interval(c.params)
	}
	return u.trainer.config.AutoUpdateInterval
}

// served lists the newest fully trained version of each solution, as far as a campaign or a recommender answers with
// it, and its recipe makes recommendations for users or of what trends.
func (u *Updates) served() []*catalog.SolutionVersion {
	view := u.trainer.config.Data.View
	newest := map[string]*catalog.SolutionVersion{}
	for _, v := range catalog.All[*catalog.SolutionVersion](view) {
		if fullyTrained(v) {
			newest[v.SolutionARN] = v
		}
	}
	serving := map[string]bool{}
	for _, c := range catalog.All[*catalog.Campaign](view) {
		serving[c.SolutionVersionARN] = serving[c.SolutionVersionARN] || c.Status == status.Active
	}
	for _, r := range catalog.All[*catalog.Recommender](view) {
		serving[r.SolutionVersionARN] = serving[r.SolutionVersionARN] || r.Status == status.Active
	}
	var due []*catalog.SolutionVersion
	for _, v := range newest {
		c, err := candidateOf(v)
		if err == nil && serving[v.ARN] && (c.recipe.Type == recipe.UserPersonalization || c.recipe.Interval(c.params) > 0) {
			due = append(due, v)
		}
	}
	slices.SortFunc(due, func(a, b *catalog.SolutionVersion) int { return cmp.Compare(a.ARN, b.ARN) })
	return due
}

// update gives a version a model with today's items.
func (u *Updates) update(
	ctx context.Context, v *catalog.SolutionVersion, report func(float64),
) (func(*catalog.SolutionVersion), error) {
	t, started := u.trainer, time.Now()
	log := t.config.Log.With(zap.String("solution_version", v.ARN))
	report(1) // the version is ACTIVE, and its progress stays
	group, ok := catalog.Lookup[*catalog.DatasetGroup](t.config.Data.View, v.DatasetGroupARN)
	c, err := candidateOf(v)
	if !ok || err != nil {
		return nil, err
	}
	mark, err := t.config.Data.Mark(ctx, group.GroupKey())
	if err != nil {
		return nil, fmt.Errorf("looking for new data: %w", err)
	}
	if mark == v.DataMark {
		return nil, nil
	}
	data, err := t.Load(ctx, v)
	if err != nil {
		return nil, err
	}
	var next *published
	if c.recipe.Interval(c.params) > 0 {
		next, err = t.releaseRetrained(ctx, v, c, data)
	} else {
		next, err = t.releaseExtended(ctx, v, v.ARN, c.recipe, data)
	}
	if err != nil {
		return nil, err
	}
	if next == nil {
		u.fixed[v.ARN] = true
		return nil, nil
	}
	if err := modelstore.Prune(ctx, t.config.Data.Bucket, v.ARN, v.ManifestKey, next.key); err != nil {
		log.Warn("removing old models of a solution version failed", zap.Error(err))
	}
	log.Info("model updated",
		zap.String("model", next.id), zap.Int("items", next.items), zap.Duration("took", time.Since(started)))
	return func(v *catalog.SolutionVersion) {
		v.ManifestKey, v.ModelID, v.DataMark = next.key, next.id, data.mark
	}, nil
}
