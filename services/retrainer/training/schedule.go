package training

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	expression "github.com/penchant-io/penchant/pkg/schedule"
)

// Schedule creates the solution versions of automatic training. A solution's first is due some time after its creation
// if nobody has created one by hand until then, each further one a period after the newest version, however that was
// created. Without enough data nothing is created, and the data is checked again later.
//
// Any number of retrainers may run a schedule: the version of a due date has an id that follows from the solution and
// its newest version, so that of several that try, the catalog lets one create it.
type Schedule struct {
	trainer *Trainer
	wake    func()
	// later is when a solution that lacked data is checked again, by ARN. Only Run uses it.
	later map[string]time.Time
}

const (
	// scheduleInterval is how often due dates are checked.
	scheduleInterval = 5 * time.Second
	// defaultPeriod is Personalize's: every 7 days.
	defaultPeriod = 7 * 24 * time.Hour
	// lookAgain is the pause after a solution was found to lack data, unless the initial delay is shorter.
	lookAgain = 10 * time.Minute
)

// NewSchedule returns the schedule of a trainer's versions. It calls wake when it has created one.
func NewSchedule(trainer *Trainer, wake func()) *Schedule {
	return &Schedule{trainer: trainer, wake: wake, later: map[string]time.Time{}}
}

// Run creates versions until ctx ends.
func (s *Schedule) Run(ctx context.Context) error {
	tick := time.NewTicker(scheduleInterval)
	defer tick.Stop()
	for {
		if s.trainer.config.Data.View.Ready() {
			s.look(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look creates every version that is due.
func (s *Schedule) look(ctx context.Context) {
	view, now := s.trainer.config.Data.View, s.trainer.config.Now()
	newest := newestVersions(view)
	solutions := map[string]bool{}
	for _, solution := range catalog.All[*catalog.Solution](view) {
		solutions[solution.ARN] = true
		if ctx.Err() != nil || !s.due(solution, newest[solution.ARN], now) || now.Before(s.later[solution.ARN]) {
			continue
		}
		log := s.trainer.config.Log.With(zap.String("solution", solution.ARN))
		version, err := s.create(ctx, solution, newest[solution.ARN])
		switch {
		case err == nil:
			log.Info("automatic training begins", zap.String("solution_version", version.ARN))
			s.wake()
		case errors.Is(err, errTooLittleData):
			log.Debug("automatic training waits for more data")
			s.later[solution.ARN] = now.Add(min(lookAgain, s.trainer.config.AutoTrainInitialDelay))
		case errors.Is(err, catalog.ErrExists),
			errors.Is(err, catalog.ErrDeleting), errors.Is(err, catalog.ErrNotFound):
			// Another retrainer was faster, or the solution is going away; the view will show it in a moment.
		default:
			log.Warn("starting an automatic training failed, retrying", zap.Error(err))
			s.later[solution.ARN] = now.Add(min(lookAgain, s.trainer.config.AutoTrainInitialDelay))
		}
	}
	for arn := range s.later {
		if !solutions[arn] {
			delete(s.later, arn)
		}
	}
}

// newestVersions finds the newest version of each solution, by the solution's ARN.
func newestVersions(view *catalog.View) map[string]*catalog.SolutionVersion {
	newest := map[string]*catalog.SolutionVersion{}
	for _, v := range catalog.All[*catalog.SolutionVersion](view) { // oldest first
		newest[v.SolutionARN] = v
	}
	return newest
}

// due reports whether a solution should get an automatic version now. newest is nil while it has none.
func (s *Schedule) due(solution *catalog.Solution, newest *catalog.SolutionVersion, now time.Time) bool {
	switch {
	case solution.Status != status.Active || !solution.PerformAutoTraining:
		return false
	case newest == nil:
		return !now.Before(solution.CreatedAt.Add(s.trainer.config.AutoTrainInitialDelay))
	case !newest.Finished():
		return false
	}
	period, err := periodOf(solution)
	return err == nil && !now.Before(newest.CreatedAt.Add(period))
}

// longestPeriod is Personalize's.
const longestPeriod = 30 * 24 * time.Hour

// periodOf reads a solution's schedulingExpression, rate(<n> days).
func periodOf(solution *catalog.Solution) (time.Duration, error) {
	c := solution.Config
	if c == nil || c.AutoTrainingConfig == nil || c.AutoTrainingConfig.SchedulingExpression == nil {
		return defaultPeriod, nil
	}
	period, err := expression.ParseRate(*c.AutoTrainingConfig.SchedulingExpression)
	switch {
	case err != nil:
		return 0, fmt.Errorf("schedulingExpression: %w", err)
	case period%(24*time.Hour) != 0 || period > longestPeriod:
		return 0, fmt.Errorf("schedulingExpression %q: it is from 1 to 30 days",
			*c.AutoTrainingConfig.SchedulingExpression)
	}
	return period, nil
}

var errTooLittleData = errors.New("too little data to train on")

// create creates the version that follows newest.
func (s *Schedule) create(
	ctx context.Context, solution *catalog.Solution, newest *catalog.SolutionVersion,
) (*catalog.SolutionVersion, error) {
	version, err := automaticVersion(solution, newest)
	if err != nil {
		return nil, err
	}
	enough, err := s.trainer.hasEnoughData(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("checking the data: %w", err)
	}
	if !enough {
		return nil, errTooLittleData
	}
	under := catalog.Under(solution.ARN, func(now *catalog.Solution) error {
		if now.ID != solution.ID || now.Status != status.Active || !now.PerformAutoTraining {
			return fmt.Errorf("%w: the solution has changed", catalog.ErrNotFound)
		}
		return nil
	})
	return version, s.trainer.config.Data.Store.Create(ctx, version, under)
}

// automaticVersion returns the next version of a solution, with everything that training needs.
func automaticVersion(solution *catalog.Solution, newest *catalog.SolutionVersion) (*catalog.SolutionVersion, error) {
	arn, err := resource.ParseARN(solution.ARN)
	if err != nil {
		return nil, err
	}
	after := solution.ID
	if newest != nil {
		after = newest.ID
	}
	hash := sha256.Sum256([]byte("automatic training after " + after))
	id := arn.ID + "/" + hex.EncodeToString(hash[:4])
	return &catalog.SolutionVersion{
		Metadata: catalog.Metadata{
			ARN: arn.With(resource.SolutionVersion, id).String(), Status: status.CreatePending,
		},
		SolutionARN: solution.ARN, RecipeARN: solution.RecipeARN, DatasetGroupARN: solution.DatasetGroupARN,
		PerformHPO: solution.PerformHPO, PerformAutoML: solution.PerformAutoML,
		PerformIncrementalUpdate: solution.PerformIncrementalUpdate, EventType: solution.EventType, Config: solution.Config,
		TrainingMode: mode.TrainingAutotrain, TrainingType: mode.TrainingAutomatic,
	}, nil
}
