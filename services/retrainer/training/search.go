package training

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
)

// search tries candidates of a solution version: each is trained without two tenths of the users and measured on the
// second of them. The first tenth stays unseen, so that the metrics of the version, which are measured on it, are those
// of a choice that did not know it.
//
// Each result is written into the version as it comes. A worker that takes the version over from one that died
// continues with what is not tried yet. Data that has arrived in between then counts in some results and not in others;
// the held-back users are the same, which is what matters when results are compared.
type search struct {
	config  *Config
	version *catalog.SolutionVersion
	holdout *eval.Holdout
	// deadline is when no further candidate is begun. The first one always is.
	deadline time.Time
	log      *zap.Logger

	mu    sync.Mutex
	known []catalog.Trial
}

func newSearch(config *Config, version *catalog.SolutionVersion, tuning *eval.Holdout) *search {
	return &search{
		config: config, version: version, holdout: tuning, known: slices.Clone(version.Trials),
		deadline: time.Now().Add(config.SearchTime), log: config.Log.With(zap.String("solution_version", version.ARN)),
	}
}

// comparison is how candidates are compared.
type comparison struct {
	// metric is to be large.
	metric string
	// parallel candidates are trained at a time.
	parallel int
}

// best tries the candidates in their order and returns the index of the first that nobody beats. Candidates that cannot
// be trained on the data lose against all others; if none can, the error is the first one's.
func (s *search) best(ctx context.Context, candidates []candidate, by comparison, report func(float64)) (int, error) {
	by.parallel = max(1, min(by.parallel, model.Threads(s.config.Threads)))
	trials := make([]*catalog.Trial, len(candidates))
	failed := make([]error, len(candidates))
	progress := model.NewProgress(len(candidates), report)
	group, trying := errgroup.WithContext(ctx)
	group.SetLimit(by.parallel)
	for k, c := range candidates {
		if k > 0 && time.Now().After(s.deadline) {
			s.log.Warn("the search for the best training has no time left",
				zap.Int("tried", k), zap.Int("of", len(candidates)))
			break
		}
		group.Go(func() error {
			var err error
			if trials[k], err = s.try(trying, c, by); trying.Err() != nil {
				return trying.Err()
			}
			failed[k] = err
			progress(1)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	best := -1
	for k, t := range trials {
		if t != nil && (best < 0 || t.Value > trials[best].Value) {
			best = k
		}
	}
	if best < 0 {
		return 0, failed[0]
	}
	return best, nil
}

// try measures a candidate, unless that has been done.
func (s *search) try(ctx context.Context, c candidate, by comparison) (*catalog.Trial, error) {
	params := c.params.Map()
	s.mu.Lock()
	for _, t := range s.known {
		if t.RecipeARN == c.recipe.ARN() && t.Metric == by.metric && maps.Equal(t.HyperParameters, params) {
			s.mu.Unlock()
			return &t, nil
		}
	}
	s.mu.Unlock()
	started := time.Now()
	options := recipe.Options{Seed: s.config.Seed, Threads: max(1, model.Threads(s.config.Threads)/by.parallel)}
	if err := c.checkData(s.holdout.Rest); err != nil {
		return nil, err
	}
	measured, err := s.holdout.Measure(ctx, c.recipe, c.params, options)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("training a candidate failed", zap.String("recipe", c.recipe.Name), zap.Error(err))
		}
		return nil, fmt.Errorf("trying recipe %s: %w", c.recipe.Name, err)
	}
	t := catalog.Trial{
		RecipeARN: c.recipe.ARN(), HyperParameters: params, Metric: by.metric, Value: measured.Metrics[by.metric],
	}
	s.log.Info("candidate measured", zap.String("recipe", c.recipe.Name), zap.Any("parameters", params),
		zap.Float64(by.metric, t.Value), zap.Duration("took", time.Since(started)))
	s.remember(ctx, t)
	return &t, nil
}

// remember writes a result into the version, for a worker that has to continue the search. If that fails, only time is
// lost.
func (s *search) remember(ctx context.Context, t catalog.Trial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = append(s.known, t)
	if s.version.Lease == nil {
		return
	}
	_, err := s.config.Data.Store.SolutionVersions.Held(s.version).Update(ctx, func(v *catalog.SolutionVersion) error {
		v.Trials = append(v.Trials, t)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.log.Warn("writing a result of a search failed", zap.Error(err))
	}
}
