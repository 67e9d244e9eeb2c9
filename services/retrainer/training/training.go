// Package training makes solution versions: it reads a dataset group's data, chooses a recipe and its parameters,
// measures, trains, and publishes the model. services/retrainer gives it the queue of solution versions; the
// recommender loads what it publishes.
//
// A training reads downward: Trainer.Run (training.go) -> Load (load.go) -> choose (choose.go, by way of search.go with
// automl.go and hpo.go) -> measure and fit -> publish (publish.go). Schedule creates the versions of automatic training
// (schedule.go), Updates gives served models the items that appeared after their training (update.go).
package training

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// Config is what a Trainer works with, and the Schedule and Updates of its models.
type Config struct {
	Worker *jobs.Worker
	Data   *groupdata.Source

	// MinInteractions and MinUsers are the least data that is trained on.
	MinInteractions, MinUsers int
	// Seed fixes the random choices of training: same data and seed, same model.
	Seed int64
	// Threads bounds the goroutines of one training; 0: one per CPU.
	Threads int
	// SearchTime bounds how long a search for recipe or hyper-parameters begins to train further candidates.
	SearchTime time.Duration
	// AutoTrainInitialDelay is the age of a solution at which its first automatic version is made, unless it has one.
	AutoTrainInitialDelay time.Duration
	// AutoUpdateInterval is how often models that can take in new items do, without a new version; negative: never.
	AutoUpdateInterval time.Duration
	// Now is the clock of the schedule.
	Now func() time.Time

	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// UsualMinInteractions is Personalize's minimum of interactions. What recipes ask for is in proportion to it.
const UsualMinInteractions = 1000

// Trainer trains solution versions.
type Trainer struct {
	config  Config
	metrics *metrics
}

// NewTrainer returns a trainer. Its Run is the runner of a queue.
func NewTrainer(config Config) (*Trainer, error) {
	m, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, err
	}
	return &Trainer{config: config, metrics: m}, nil
}

// Run makes a solution version: it loads the data, chooses the recipe and its parameters where the solution leaves that
// open, measures the choice on held-back users, trains on everything and publishes the model. A version with
// trainingMode UPDATE gets the model of the newest full training with new items instead (update.go).
//
// A version trained by AutoML gets its recipe at the end, with its model.
func (t *Trainer) Run(
	ctx context.Context, version *catalog.SolutionVersion, report func(float64),
) (func(*catalog.SolutionVersion), error) {
	r := &run{
		Trainer: t, version: version, started: time.Now(), clock: newClock(report),
		log: t.config.Log.With(zap.String("solution_version", version.ARN)),
	}
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	if version.TrainingMode == mode.TrainingUpdate {
		if finish, err := r.extend(ctx); finish != nil || err != nil {
			return finish, err
		}
	}
	if err := r.choose(ctx); err != nil {
		return nil, err
	}
	if err := r.measure(ctx); err != nil {
		return nil, err
	}
	if err := r.fit(ctx); err != nil {
		return nil, err
	}
	return r.publish(ctx)
}

// run is one training, in the order of its fields.
type run struct {
	*Trainer
	version *catalog.SolutionVersion
	started time.Time
	clock   *clock
	log     *zap.Logger

	data     *Loaded
	chosen   candidate
	measured eval.Report
	model    model.Model
	ended    time.Time
}

// open reads the recipe that the version gives, if it gives one, and the data.
func (r *run) open(ctx context.Context) (err error) {
	if !r.version.PerformAutoML {
		if r.chosen, err = candidateOf(r.version); err != nil {
			return err
		}
	}
	if r.data, err = r.Load(ctx, r.version); err != nil {
		return err
	}
	r.reportDamaged(r.log, r.data.Damaged)
	return nil
}

// measure trains without a tenth of the users and measures on them.
func (r *run) measure(ctx context.Context) (err error) {
	r.clock.enter(evaluating)
	r.measured, err = eval.Run(ctx, r.chosen.recipe, r.chosen.params, r.data.Set, r.options(evaluating))
	if err != nil {
		return fmt.Errorf("evaluating: %w", err)
	}
	return nil
}

// fit trains on everything.
func (r *run) fit(ctx context.Context) (err error) {
	r.clock.enter(fitting)
	r.model, err = r.chosen.recipe.Fit(ctx, r.data.Set, r.chosen.params, r.options(fitting))
	if err != nil {
		return fmt.Errorf("training: %w", err)
	}
	r.ended = time.Now()
	return nil
}

func (r *run) options(s stage) recipe.Options {
	return recipe.Options{Seed: r.config.Seed, Threads: r.config.Threads, Progress: r.clock.progress(s)}
}
