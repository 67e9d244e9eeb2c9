package retrainer

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
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// There are two ways in which items that appeared after a training become eligible without another one. Both take the
// model as it is and extend its catalogue (model.Extender); what the model has learned, and its metrics, stay.
//
//   - CreateSolutionVersion with trainingMode UPDATE makes a new version (extend).
//   - The newest fully trained version that a campaign or a recommender answers with is updated by itself, every 2 hours
//     if there is new data: no version appears, the version gets another model (updates). The model is published beside
//     the old one, and the pointer to it in the catalog moves by compare-and-swap under the version's lease; whoever
//     serves follows the pointer, as to any new model. A version made with UPDATE is never updated by itself.
//
// A model of a recipe whose answers grow old quickly, of what trends, is not extended but trained again in the second way, as
// often as its parameter trend_discovery_frequency says.

// extend makes the model of a version with trainingMode UPDATE from the newest full training of its solution. It returns
// nil if that cannot be extended: then the version is trained in full, which leaves nothing to be desired but the time.
func (s *Service) extend(ctx context.Context, version *catalog.SolutionVersion, r *recipe.Recipe, set *loaded, started time.Time) (func(*catalog.SolutionVersion), error) {
	base := s.newestFull(version)
	if base == nil {
		return nil, jobs.Faultf("trainingMode UPDATE needs an ACTIVE solution version that was trained with trainingMode FULL")
	}
	next, err := s.publishExtended(ctx, base, version.ARN, r, set, started)
	if err != nil || next == nil {
		return nil, err
	}
	s.config.Log.Info("model extended", zap.String("solution_version", version.ARN), zap.String("of", base.ARN), zap.String("model", next.id),
		zap.Int("items", next.items), zap.Duration("took", time.Since(started)))
	return func(v *catalog.SolutionVersion) {
		v.DamagedFiles, v.DataMark = set.Damaged[:min(len(set.Damaged), damagedNamed)], set.mark
		v.ManifestKey, v.ModelID, v.TrainingHours = next.key, next.id, time.Since(started).Hours()
		v.Metrics, v.TunedHyperParameters, v.ReportFolder = base.Metrics, base.TunedHyperParameters, base.ReportFolder
	}, nil
}

// newestFull is the newest ACTIVE version of a version's solution and recipe that was trained in full.
func (s *Service) newestFull(version *catalog.SolutionVersion) *catalog.SolutionVersion {
	var newest *catalog.SolutionVersion
	for _, v := range catalog.All[*catalog.SolutionVersion](s.config.View) { // oldest first
		if v.SolutionARN == version.SolutionARN && v.RecipeARN == version.RecipeARN && fullyTrained(v) {
			newest = v
		}
	}
	return newest
}

func fullyTrained(v *catalog.SolutionVersion) bool {
	return v.Status == status.Active && v.TrainingMode != catalog.TrainingUpdate && v.ManifestKey != ""
}

// publishExtended publishes a version's model, with the items of the set, as the model of a version; nil if the model cannot
// be extended.
func (s *Service) publishExtended(ctx context.Context, base *catalog.SolutionVersion, as string, r *recipe.Recipe, set *loaded, at time.Time) (*published, error) {
	last, err := modelstore.Load(ctx, s.config.Bucket, base.ManifestKey, "")
	if err != nil {
		return nil, fmt.Errorf("reading the model to extend: %w", err)
	}
	m, ok := r.Extend(last.Model, set.Set)
	if !ok {
		return nil, nil
	}
	return s.publish(ctx, as, r, m, set, modelstore.Meta{
		Params: last.Manifest.Params, Metrics: last.Manifest.Metrics, Trained: last.Manifest.Trained, DataCut: cutOf(set, at),
	})
}

// publishTrainedAgain publishes a model that is trained anew, like the version's, for recipes whose models grow old quickly.
func (s *Service) publishTrainedAgain(ctx context.Context, v *catalog.SolutionVersion, c candidate, set *loaded, at time.Time) (*published, error) {
	m, err := c.recipe.Fit(ctx, set.Set, c.params, recipe.Options{Seed: s.config.Seed, Threads: s.config.Threads})
	if err != nil {
		return nil, fmt.Errorf("training again: %w", err)
	}
	return s.publish(ctx, v.ARN, c.recipe, m, set, modelstore.Meta{
		Params: c.params.Map(), Metrics: v.Metrics, Trained: time.Now(), DataCut: cutOf(set, at),
	})
}

// updates keeps the models that are being served up to date with new items.
type updates struct {
	service *Service
	queue   *jobs.Queue[*catalog.SolutionVersion]
	// fixed are versions whose models cannot be extended, by ARN. Run's alone.
	fixed map[string]bool
}

// updatesInterval is how often due updates are looked for.
const updatesInterval = 15 * time.Second

func newUpdates(s *Service) *updates {
	u := &updates{service: s, fixed: map[string]bool{}}
	u.queue = jobs.NewQueue(s.worker, "update", 1, u.update)
	return u
}

func (u *updates) run(ctx context.Context) error {
	if u.service.config.AutoUpdateInterval < 0 {
		return nil
	}
	tick := time.NewTicker(min(updatesInterval, u.service.config.AutoUpdateInterval))
	defer tick.Stop()
	for {
		if u.service.config.View.Ready() {
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
func (u *updates) look(ctx context.Context) {
	now := u.service.config.Now()
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

// maintain updates a version under its lease, unless another retrainer was faster. After a failure the next attempt comes
// when the interval has passed again.
func (u *updates) maintain(ctx context.Context, v *catalog.SolutionVersion) {
	now := u.service.config.Now().UTC()
	u.queue.Maintain(ctx, v.ARN, func(newest *catalog.SolutionVersion) bool {
		return newest.RefreshedAt.Equal(v.RefreshedAt) && fullyTrained(newest)
	}, func(v *catalog.SolutionVersion) { v.RefreshedAt = now })
}

// interval is how long a version's model is left as it is.
func (u *updates) interval(v *catalog.SolutionVersion) time.Duration {
	if c, err := candidateOf(v); err == nil && c.recipe.Interval(c.params) > 0 {
		return c.recipe.Interval(c.params)
	}
	return u.service.config.AutoUpdateInterval
}

// served lists the newest fully trained version of each solution, as far as a campaign or a recommender answers with it, and
// its recipe makes recommendations for users or of what trends.
func (u *updates) served() []*catalog.SolutionVersion {
	view := u.service.config.View
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

// update gives a version a model with the items of now.
func (u *updates) update(ctx context.Context, v *catalog.SolutionVersion, report func(float64)) (func(*catalog.SolutionVersion), error) {
	s, started := u.service, time.Now()
	report(1) // the version is ACTIVE, and its progress stays
	group, ok := catalog.Lookup[*catalog.DatasetGroup](s.config.View, v.DatasetGroupARN)
	c, err := candidateOf(v)
	if !ok || err != nil {
		return nil, err
	}
	mark, err := s.data.Mark(ctx, group.GroupKey())
	if err != nil {
		return nil, fmt.Errorf("looking for new data: %w", err)
	}
	if mark == v.DataMark {
		return nil, nil
	}
	set, err := s.load(ctx, v)
	if err != nil {
		return nil, err
	}
	var next *published
	if c.recipe.Interval(c.params) > 0 {
		next, err = s.publishTrainedAgain(ctx, v, c, set, started)
	} else {
		next, err = s.publishExtended(ctx, v, v.ARN, c.recipe, set, started)
	}
	if err != nil {
		return nil, err
	}
	if next == nil {
		u.fixed[v.ARN] = true
		return nil, nil
	}
	if err := modelstore.Prune(ctx, s.config.Bucket, v.ARN, v.ManifestKey, next.key); err != nil {
		s.config.Log.Warn("old models of a solution version stay in the bucket", zap.String("solution_version", v.ARN), zap.Error(err))
	}
	s.config.Log.Info("model updated", zap.String("solution_version", v.ARN), zap.String("model", next.id), zap.Int("items", next.items),
		zap.Duration("took", time.Since(started)))
	return func(v *catalog.SolutionVersion) {
		v.ManifestKey, v.ModelID, v.DataMark = next.key, next.id, set.mark
	}, nil
}
