package solutions

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// recommenderTraining drives recommenders. A recommender trains with a solution of its own, which the retrainer treats
// like any other, automatic training included, and which clients never see:
//
//	CREATE PENDING ──▶ solution and first version made ──▶ CREATE IN_PROGRESS ──▶ version ACTIVE ──▶ ACTIVE
//	                                                                         └──▶ version failed ──▶ CREATE FAILED
//	ACTIVE: serves the newest ACTIVE version. STOP … INACTIVE: automatic training is off. START … ACTIVE: it is on again.
//
// All ids follow from the recommender, so that replicas which take the same step twice create one resource.
type recommenderTraining struct{ *crud.Env }

// solutionOf returns the ARN of the solution that a recommender trains with. A recommender created again under its name
// has another.
func solutionOf(r *catalog.Recommender) string {
	return crud.SiblingARN(r.ARN, resource.Solution, crud.HiddenName(r))
}

// derivedVersion returns the ARN of the version that a recommender's solution gets for a reason.
func derivedVersion(r *catalog.Recommender, reason string) string {
	hash := sha256.Sum256([]byte(r.ID + " " + reason))
	solution, err := resource.ParseARN(solutionOf(r))
	if err != nil {
		return "" // the catalog holds no such ARN
	}
	return solution.With(resource.SolutionVersion, solution.ID+"/"+hex.EncodeToString(hash[:4])).String()
}

func firstVersion(r *catalog.Recommender) string { return derivedVersion(r, "creation") }

func updatedVersion(r *catalog.Recommender) string {
	return derivedVersion(r, "update of "+r.LatestUpdate.CreatedAt.Format(time.RFC3339Nano))
}

// pending reports whether there is something to do for a recommender that is not being deleted.
func (s recommenderTraining) pending(r *catalog.Recommender) bool {
	switch r.Status {
	case status.CreatePending, status.StopPending, status.StopInProgress, status.StartPending, status.StartInProgress:
		return true
	case status.CreateInProgress:
		return s.versionEnded(firstVersion(r))
	case status.Active:
		if r.LatestUpdate.Pending() {
			return r.LatestUpdate.Status == status.CreatePending || s.versionEnded(updatedVersion(r))
		}
		newest := newestSeen(s.View, solutionOf(r))
		return newest != nil && newest.ARN != r.SolutionVersionARN || s.drifted(r)
	case status.Inactive:
		return s.drifted(r)
	}
	return false
}

// drifted reports whether a recommender's solution is not as the recommender wants it: a replica that had fallen asleep
// over an earlier change has made it late.
func (s recommenderTraining) drifted(r *catalog.Recommender) bool {
	solution, ok := catalog.Lookup[*catalog.Solution](s.View, solutionOf(r))
	return ok &&
		(solution.PerformAutoTraining != (r.Status == status.Active) || !reflect.DeepEqual(solution.Config, solutionConfigOf(r.Config)))
}

// versionEnded reports whether a version has ended, or is not there: one whose creation took too long is taken back.
func (s recommenderTraining) versionEnded(versionARN string) bool {
	v, ok := catalog.Lookup[*catalog.SolutionVersion](s.View, versionARN)
	return !ok || v.Finished()
}

func (s recommenderTraining) reconcile(ctx context.Context, r *catalog.Recommender) error {
	switch r.Status {
	case status.CreatePending:
		return s.begin(ctx, r)
	case status.CreateInProgress:
		return s.completeCreation(ctx, r)
	case status.StopPending, status.StopInProgress:
		return s.startOrStop(ctx, r, false, status.Inactive)
	case status.StartPending, status.StartInProgress:
		return s.startOrStop(ctx, r, true, status.Active)
	case status.Active:
		if r.LatestUpdate.Pending() {
			return s.applyUpdate(ctx, r)
		}
		return cmp.Or(s.correctSolution(ctx, r), s.serveNewest(ctx, r))
	case status.Inactive:
		return s.correctSolution(ctx, r)
	}
	return nil
}

func (s recommenderTraining) correctSolution(ctx context.Context, r *catalog.Recommender) error {
	if !s.drifted(r) {
		return nil
	}
	return s.updateSolution(ctx, r, func(solution *catalog.Solution) {
		solution.PerformAutoTraining, solution.Config = r.Status == status.Active, solutionConfigOf(r.Config)
	})
}

// update changes a recommender that is still as it was read but for its tags.
func (s recommenderTraining) update(
	ctx context.Context, r *catalog.Recommender, change func(*catalog.Recommender),
) error {
	_, err := s.Store.Recommenders.Update(ctx, r.ARN, func(current *catalog.Recommender) error {
		if current.ID != r.ID || current.Status != r.Status ||
			!reflect.DeepEqual(current.LatestUpdate, r.LatestUpdate) ||
			current.SolutionVersionARN != r.SolutionVersionARN {
			return crud.ErrOvertaken
		}
		change(current)
		return nil
	})
	return crud.IgnoreOvertaken(err)
}

// begin makes the solution and its first version.
func (s recommenderTraining) begin(ctx context.Context, r *catalog.Recommender) error {
	solution, err := s.createSolution(ctx, r)
	if err != nil {
		return err
	}
	if err := s.createVersion(ctx, solution, firstVersion(r)); err != nil {
		return err
	}
	return s.update(ctx, r, func(r *catalog.Recommender) { r.Status = status.CreateInProgress })
}

func (s recommenderTraining) createSolution(ctx context.Context, r *catalog.Recommender) (*catalog.Solution, error) {
	solution := &catalog.Solution{
		Metadata: crud.NewMeta(solutionOf(r), r.Name, nil),
		OwnedBy:  r.ARN, DatasetGroupARN: r.DatasetGroupARN, RecipeARN: r.RecipeARN, PerformAutoTraining: true,
		Config: solutionConfigOf(r.Config),
	}
	if useCase, ok := recipe.ByARN(r.RecipeARN); ok {
		solution.EventType = useCase.EventType
	}
	err := s.Store.Create(ctx, solution, catalog.Under(r.DatasetGroupARN, crud.ValidateActive[*catalog.DatasetGroup]))
	if err != nil && !errors.Is(err, catalog.ErrExists) {
		return nil, err
	}
	if solution, err = s.Store.Solutions.Get(ctx, solution.ARN); err != nil {
		return nil, err
	}
	if err := crud.Activate(ctx, s.Env, solution); err != nil {
		return nil, err
	}
	return solution, nil
}

func solutionConfigOf(config *personalize.RecommenderConfig) *personalize.SolutionConfig {
	if columns := trainingColumns(config); columns != nil {
		return &personalize.SolutionConfig{TrainingDataConfig: columns}
	}
	return nil
}

func trainingColumns(config *personalize.RecommenderConfig) *personalize.TrainingDataConfig {
	if config == nil {
		return nil
	}
	return config.TrainingDataConfig
}

// createVersion makes a version unless it is there, without regard to the quota of trainings: no client has asked for
// it.
func (s recommenderTraining) createVersion(ctx context.Context, solution *catalog.Solution, arn string) error {
	version := newVersion(solution, crud.NewMeta(arn, "", nil))
	version.TrainingType = mode.TrainingAutomatic
	err := s.Store.Create(ctx, version, catalog.Under(solution.ARN, crud.ValidateActive[*catalog.Solution]))
	if errors.Is(err, catalog.ErrExists) {
		return nil
	}
	if err == nil {
		s.AnnounceJob(ctx, arn)
	}
	return err
}

// completeCreation makes a recommender ACTIVE with its first version, or fails it with the version's reason.
func (s recommenderTraining) completeCreation(ctx context.Context, r *catalog.Recommender) error {
	version, err := s.Store.SolutionVersions.Get(ctx, firstVersion(r))
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return s.begin(ctx, r)
	case err != nil:
		return err
	case !version.Finished():
		return nil
	case version.Status == status.Active:
		return s.update(ctx, r, func(r *catalog.Recommender) {
			r.Status = status.Active
			serve(r, version)
		})
	}
	if err := s.setAutoTraining(ctx, r, false); err != nil {
		return err
	}
	return s.update(ctx, r, func(r *catalog.Recommender) { r.Fail(failureOf(version)) })
}

func serve(r *catalog.Recommender, version *catalog.SolutionVersion) {
	r.SolutionVersionARN, r.Metrics = version.ARN, version.Metrics
}

// failureOf returns the failure reason of a version that did not become ACTIVE.
func failureOf(version *catalog.SolutionVersion) string {
	if version.FailureReason == "" {
		return "Training was stopped"
	}
	return version.FailureReason
}

// startOrStop completes a start or a stop.
func (s recommenderTraining) startOrStop(ctx context.Context, r *catalog.Recommender, on bool, status string) error {
	if err := s.setAutoTraining(ctx, r, on); err != nil {
		return err
	}
	return s.update(ctx, r, func(r *catalog.Recommender) { r.Status = status })
}

func (s recommenderTraining) setAutoTraining(ctx context.Context, r *catalog.Recommender, on bool) error {
	return s.updateSolution(ctx, r, func(solution *catalog.Solution) { solution.PerformAutoTraining = on })
}

func (s recommenderTraining) updateSolution(
	ctx context.Context, r *catalog.Recommender, change func(*catalog.Solution),
) error {
	_, err := s.Store.Solutions.Update(ctx, solutionOf(r), func(solution *catalog.Solution) error {
		change(solution)
		return nil
	})
	return err
}

// applyUpdate carries out an update. One that changes which columns are trained on needs a new version, and is done
// when that is; should it fail, everything stays as it was.
func (s recommenderTraining) applyUpdate(ctx context.Context, r *catalog.Recommender) error {
	wanted := r.LatestUpdate.Config
	if reflect.DeepEqual(trainingColumns(wanted), trainingColumns(r.Config)) {
		return s.completeUpdate(ctx, r, func(r *catalog.Recommender) {})
	}
	if r.LatestUpdate.Status == status.CreatePending {
		return s.retrain(ctx, r)
	}
	version, err := s.Store.SolutionVersions.Get(ctx, updatedVersion(r))
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return s.retrain(ctx, r)
	case err != nil:
		return err
	case !version.Finished():
		return nil
	case version.Status == status.Active:
		return s.completeUpdate(ctx, r, func(r *catalog.Recommender) { serve(r, version) })
	}
	if err := s.updateSolution(ctx, r, func(solution *catalog.Solution) { solution.Config = solutionConfigOf(r.Config) }); err != nil {
		return err
	}
	return s.update(ctx, r, func(r *catalog.Recommender) {
		r.LatestUpdate.Status, r.LatestUpdate.FailureReason, r.LatestUpdate.UpdatedAt = status.CreateFailed, failureOf(
			version,
		), time.Now().
			UTC()
	})
}

func (s recommenderTraining) retrain(ctx context.Context, r *catalog.Recommender) error {
	columns := solutionConfigOf(r.LatestUpdate.Config)
	if err := s.updateSolution(ctx, r, func(solution *catalog.Solution) { solution.Config = columns }); err != nil {
		return err
	}
	solution, err := s.Store.Solutions.Get(ctx, solutionOf(r))
	if err != nil {
		return err
	}
	if err := s.createVersion(ctx, solution, updatedVersion(r)); err != nil {
		return err
	}
	return s.update(ctx, r, func(r *catalog.Recommender) { r.LatestUpdate.Status = status.CreateInProgress })
}

func (s recommenderTraining) completeUpdate(
	ctx context.Context, r *catalog.Recommender, change func(*catalog.Recommender),
) error {
	return s.update(ctx, r, func(r *catalog.Recommender) {
		r.LatestUpdate.Status, r.LatestUpdate.UpdatedAt = status.Active, time.Now().UTC()
		r.Config = r.LatestUpdate.Config
		change(r)
	})
}

// serveNewest moves a recommender to the version that automatic training has made, and removes those before the last:
// nobody else can, and a replica may still be answering with the last.
func (s recommenderTraining) serveNewest(ctx context.Context, r *catalog.Recommender) error {
	newest, err := newestActive(ctx, s.Env, solutionOf(r))
	if err != nil || newest == nil || newest.ARN == r.SolutionVersionARN {
		return err
	}
	last := r.SolutionVersionARN
	if err := s.update(ctx, r, func(r *catalog.Recommender) { serve(r, newest) }); err != nil {
		return err
	}
	versions := versionsOf(s.View, solutionOf(r))
	older := slices.IndexFunc(versions, func(v *catalog.SolutionVersion) bool { return v.ARN == last })
	for _, v := range versions[:max(older, 0)] {
		if err := crud.Delete(ctx, s.Env, v, solutionVersions(s).cleanup); err != nil {
			return err
		}
	}
	return nil
}

// cleanup removes everything that a recommender was trained with.
func (s recommenderTraining) cleanup(ctx context.Context, r *catalog.Recommender) error {
	return s.deleteSolution(ctx, solutionOf(r))
}

// abandoned reports whether a solution's recommender is gone: it was made by a replica that had fallen asleep over it.
func (s recommenderTraining) abandoned(solution *catalog.Solution) bool {
	if solution.OwnedBy == "" {
		return false
	}
	owner, ok := catalog.Lookup[*catalog.Recommender](s.View, solution.OwnedBy)
	return !ok || solutionOf(owner) != solution.ARN
}

func (s recommenderTraining) deleteAbandoned(ctx context.Context, solution *catalog.Solution) error {
	owner, err := s.Store.Recommenders.Get(ctx, solution.OwnedBy)
	if err == nil && solutionOf(owner) == solution.ARN {
		return nil // the view was behind
	}
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	return s.deleteSolution(ctx, solution.ARN)
}

// deleteSolution removes a solution; the client has agreed by deleting the recommender.
func (s recommenderTraining) deleteSolution(ctx context.Context, arn string) error {
	solution, err := s.Store.Solutions.Get(ctx, arn)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return crud.Delete(ctx, s.Env, solution, solutions(s).cleanup)
}

// dependents returns the recommender that a changed solution or version may belong to.
func (s recommenderTraining) dependents(changedARN string) []string {
	if !crud.IsHidden(changedARN) {
		return nil
	}
	return []string{crud.VisibleARN(changedARN)}
}
