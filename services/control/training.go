package control

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// A recommender trains by itself. It does so with a solution of its own, which the retrainer treats like any other, automatic
// training included, and which clients never see:
//
//	CREATE PENDING ──▶ solution and first version made ──▶ CREATE IN_PROGRESS ──▶ version ACTIVE ──▶ ACTIVE
//	                                                                         └──▶ version failed ──▶ CREATE FAILED
//	ACTIVE: serves the newest ACTIVE version. STOP … INACTIVE: automatic training is off. START … ACTIVE: it is on again.
//
// All ids follow from the recommender, so that replicas which take the same step twice make one thing.

// hiddenMark begins the names of such solutions. No name that a client gives can.
const hiddenMark = "_"

// isHidden says whether an ARN names a recommender's own solution, or a version of it.
func isHidden(arn string) bool {
	a, err := resource.ParseARN(arn)
	return err == nil && strings.HasPrefix(a.ID, hiddenMark)
}

// trainedWith is the ARN of the solution that a recommender trains with. A recommender made again under the name has another.
func trainedWith(r *catalog.Recommender) string {
	id, _, _ := strings.Cut(r.ID, "-")
	return beside(r.ARN, resource.Solution, hiddenMark+r.Name+"-"+id)
}

// shownAs is an ARN as clients may see it: for what is hidden, the recommender's that it belongs to.
func shownAs(arn string) string {
	a, err := resource.ParseARN(arn)
	if err != nil || !isHidden(arn) {
		return arn
	}
	solution, _, _ := strings.Cut(a.ID, "/")
	name := strings.TrimPrefix(solution[:max(strings.LastIndex(solution, "-"), 0)], hiddenMark)
	return a.With(resource.Recommender, name).String()
}

// shown is shownAs for a list, each once.
func shown(arns []string) []string {
	list := make([]string, len(arns))
	for i, arn := range arns {
		list[i] = shownAs(arn)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// derivedVersion is the ARN of the version that a recommender's solution gets for a reason.
func derivedVersion(r *catalog.Recommender, reason string) string {
	hash := sha256.Sum256([]byte(r.ID + " " + reason))
	solution, err := resource.ParseARN(trainedWith(r))
	if err != nil {
		return "" // the catalog holds no such ARN
	}
	return solution.With(resource.SolutionVersion, solution.ID+"/"+hex.EncodeToString(hash[:4])).String()
}

func firstVersion(r *catalog.Recommender) string { return derivedVersion(r, "creation") }

func updatedVersion(r *catalog.Recommender) string {
	return derivedVersion(r, "update of "+r.LatestUpdate.CreatedAt.Format(time.RFC3339Nano))
}

// followTraining looks at the recommender that a changed solution or version may belong to.
func (s *Service) followTraining(arn string) {
	if isHidden(arn) {
		s.queue.add(shownAs(arn))
	}
}

// recommenderUnsettled says whether there is something to do for a recommender that is not being deleted.
func (s *Service) recommenderUnsettled(r *catalog.Recommender) bool {
	switch r.Status {
	case status.CreatePending, status.StopPending, status.StopInProgress, status.StartPending, status.StartInProgress:
		return true
	case status.CreateInProgress:
		return s.awaitsNothing(firstVersion(r))
	case status.Active:
		if r.LatestUpdate.Pending() {
			return r.LatestUpdate.Status == status.CreatePending || s.awaitsNothing(updatedVersion(r))
		}
		newest := s.newestSeen(trainedWith(r))
		return newest != nil && newest.ARN != r.SolutionVersionARN || s.strays(r)
	case status.Inactive:
		return s.strays(r)
	}
	return false
}

// strays says whether a recommender's solution is not as the recommender wants it: a replica that had fallen asleep over an earlier
// change has made it late.
func (s *Service) strays(r *catalog.Recommender) bool {
	solution, ok := catalog.Lookup[*catalog.Solution](s.view, trainedWith(r))
	return ok && (solution.PerformAutoTraining != (r.Status == status.Active) || !reflect.DeepEqual(solution.Config, solutionConfigOf(r.Config)))
}

// awaitsNothing says whether a version has ended, or is not there: one whose creation took too long is taken back.
func (s *Service) awaitsNothing(versionARN string) bool {
	v, ok := catalog.Lookup[*catalog.SolutionVersion](s.view, versionARN)
	return !ok || v.Finished()
}

func (s *Service) reconcileRecommender(ctx context.Context, r *catalog.Recommender) error {
	switch r.Status {
	case status.CreatePending:
		return s.beginTraining(ctx, r)
	case status.CreateInProgress:
		return s.endTraining(ctx, r)
	case status.StopPending, status.StopInProgress:
		return s.switchTraining(ctx, r, false, status.Inactive)
	case status.StartPending, status.StartInProgress:
		return s.switchTraining(ctx, r, true, status.Active)
	case status.Active:
		if r.LatestUpdate.Pending() {
			return s.updateTraining(ctx, r)
		}
		return cmp.Or(s.setRight(ctx, r), s.serveNewest(ctx, r))
	case status.Inactive:
		return s.setRight(ctx, r)
	}
	return nil
}

func (s *Service) setRight(ctx context.Context, r *catalog.Recommender) error {
	if !s.strays(r) {
		return nil
	}
	return s.changeSolution(ctx, r, func(solution *catalog.Solution) {
		solution.PerformAutoTraining, solution.Config = r.Status == status.Active, solutionConfigOf(r.Config)
	})
}

// changeRecommender changes a recommender that is still as it was read but for its tags.
func (s *Service) changeRecommender(ctx context.Context, r *catalog.Recommender, change func(*catalog.Recommender)) error {
	_, err := s.store.Recommenders.Update(ctx, r.ARN, func(current *catalog.Recommender) error {
		if current.ID != r.ID || current.Status != r.Status || !reflect.DeepEqual(current.LatestUpdate, r.LatestUpdate) ||
			current.SolutionVersionARN != r.SolutionVersionARN {
			return errOvertaken
		}
		change(current)
		return nil
	})
	return unlessOvertaken(err)
}

// beginTraining makes the solution and its first version.
func (s *Service) beginTraining(ctx context.Context, r *catalog.Recommender) error {
	solution, err := s.makeSolution(ctx, r)
	if err != nil {
		return err
	}
	if err := s.trainVersion(ctx, solution, firstVersion(r)); err != nil {
		return err
	}
	return s.changeRecommender(ctx, r, func(r *catalog.Recommender) { r.Status = status.CreateInProgress })
}

func (s *Service) makeSolution(ctx context.Context, r *catalog.Recommender) (*catalog.Solution, error) {
	solution := &catalog.Solution{
		Metadata: pending(trainedWith(r), r.Name, nil),
		OwnedBy:  r.ARN, DatasetGroupARN: r.DatasetGroupARN, RecipeARN: r.RecipeARN, PerformAutoTraining: true,
		Config: solutionConfigOf(r.Config),
	}
	if useCase, ok := recipe.ByARN(r.RecipeARN); ok {
		solution.EventType = useCase.EventType
	}
	err := s.store.Create(ctx, solution, catalog.Under(r.DatasetGroupARN, mustBeActiveGroup))
	if err != nil && !errors.Is(err, catalog.ErrExists) {
		return nil, err
	}
	if solution, err = s.store.Solutions.Get(ctx, solution.ARN); err != nil {
		return nil, err
	}
	if err := s.activate(ctx, solution.Meta()); err != nil {
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

// trainVersion makes a version unless it is there, without regard to the quota of trainings: no client has asked for it.
func (s *Service) trainVersion(ctx context.Context, solution *catalog.Solution, arn string) error {
	version := newVersion(solution, arn)
	version.TrainingType = catalog.TrainingAutomatic
	err := s.store.Create(ctx, version, catalog.Under(solution.ARN, mustBeActiveSolution))
	if errors.Is(err, catalog.ErrExists) {
		return nil
	}
	if err == nil {
		s.wakeWorkers(ctx, arn)
	}
	return err
}

// endTraining makes a recommender ACTIVE with its first version, or fails it with the version's reason.
func (s *Service) endTraining(ctx context.Context, r *catalog.Recommender) error {
	version, err := s.store.SolutionVersions.Get(ctx, firstVersion(r))
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return s.beginTraining(ctx, r)
	case err != nil:
		return err
	case !version.Finished():
		return nil
	case version.Status == status.Active:
		return s.changeRecommender(ctx, r, func(r *catalog.Recommender) {
			r.Status = status.Active
			serve(r, version)
		})
	}
	if err := s.setAutoTraining(ctx, r, false); err != nil {
		return err
	}
	return s.changeRecommender(ctx, r, func(r *catalog.Recommender) { r.Fail(whyNot(version)) })
}

func serve(r *catalog.Recommender, version *catalog.SolutionVersion) {
	r.SolutionVersionARN, r.Metrics = version.ARN, version.Metrics
}

// whyNot is the reason that clients see for a version that did not become ACTIVE.
func whyNot(version *catalog.SolutionVersion) string {
	if version.FailureReason == "" {
		return "Training was stopped"
	}
	return version.FailureReason
}

// switchTraining completes a start or a stop.
func (s *Service) switchTraining(ctx context.Context, r *catalog.Recommender, on bool, status string) error {
	if err := s.setAutoTraining(ctx, r, on); err != nil {
		return err
	}
	return s.changeRecommender(ctx, r, func(r *catalog.Recommender) { r.Status = status })
}

func (s *Service) setAutoTraining(ctx context.Context, r *catalog.Recommender, on bool) error {
	return s.changeSolution(ctx, r, func(solution *catalog.Solution) { solution.PerformAutoTraining = on })
}

func (s *Service) changeSolution(ctx context.Context, r *catalog.Recommender, change func(*catalog.Solution)) error {
	_, err := s.store.Solutions.Update(ctx, trainedWith(r), func(solution *catalog.Solution) error {
		change(solution)
		return nil
	})
	return err
}

// updateTraining carries out an update. One that changes which columns are trained on needs a new version, and is done when that is;
// should it fail, everything stays as it was.
func (s *Service) updateTraining(ctx context.Context, r *catalog.Recommender) error {
	wanted := r.LatestUpdate.Config
	if reflect.DeepEqual(trainingColumns(wanted), trainingColumns(r.Config)) {
		return s.endUpdate(ctx, r, func(r *catalog.Recommender) {})
	}
	if r.LatestUpdate.Status == status.CreatePending {
		return s.retrain(ctx, r)
	}
	version, err := s.store.SolutionVersions.Get(ctx, updatedVersion(r))
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return s.retrain(ctx, r)
	case err != nil:
		return err
	case !version.Finished():
		return nil
	case version.Status == status.Active:
		return s.endUpdate(ctx, r, func(r *catalog.Recommender) { serve(r, version) })
	}
	if err := s.changeSolution(ctx, r, func(solution *catalog.Solution) { solution.Config = solutionConfigOf(r.Config) }); err != nil {
		return err
	}
	return s.changeRecommender(ctx, r, func(r *catalog.Recommender) {
		r.LatestUpdate.Status, r.LatestUpdate.FailureReason, r.LatestUpdate.UpdatedAt = status.CreateFailed, whyNot(version), time.Now().UTC()
	})
}

func (s *Service) retrain(ctx context.Context, r *catalog.Recommender) error {
	columns := solutionConfigOf(r.LatestUpdate.Config)
	if err := s.changeSolution(ctx, r, func(solution *catalog.Solution) { solution.Config = columns }); err != nil {
		return err
	}
	solution, err := s.store.Solutions.Get(ctx, trainedWith(r))
	if err != nil {
		return err
	}
	if err := s.trainVersion(ctx, solution, updatedVersion(r)); err != nil {
		return err
	}
	return s.changeRecommender(ctx, r, func(r *catalog.Recommender) { r.LatestUpdate.Status = status.CreateInProgress })
}

func (s *Service) endUpdate(ctx context.Context, r *catalog.Recommender, change func(*catalog.Recommender)) error {
	return s.changeRecommender(ctx, r, func(r *catalog.Recommender) {
		r.LatestUpdate.Status, r.LatestUpdate.UpdatedAt = status.Active, time.Now().UTC()
		r.Config = r.LatestUpdate.Config
		change(r)
	})
}

// serveNewest moves a recommender to the version that automatic training has made, and removes those before the last: nobody else
// can, and a replica may still be answering with the last.
func (s *Service) serveNewest(ctx context.Context, r *catalog.Recommender) error {
	newest, err := s.newestActive(ctx, trainedWith(r))
	if err != nil || newest == nil || newest.ARN == r.SolutionVersionARN {
		return err
	}
	last := r.SolutionVersionARN
	if err := s.changeRecommender(ctx, r, func(r *catalog.Recommender) { serve(r, newest) }); err != nil {
		return err
	}
	versions := s.versionsOf(trainedWith(r))
	older := slices.IndexFunc(versions, func(v *catalog.SolutionVersion) bool { return v.ARN == last })
	for _, v := range versions[:max(older, 0)] {
		if err := s.delete(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// errStopping says that a deletion waits for a training to stop.
var errStopping = errors.New("waiting for a training to stop")

// deleteTraining removes everything that a recommender was trained with.
func (s *Service) deleteTraining(ctx context.Context, r *catalog.Recommender) error {
	return s.deleteHidden(ctx, trainedWith(r))
}

// abandoned says whether a solution's recommender is gone: it was made by a replica that had fallen asleep over it.
func (s *Service) abandoned(solution *catalog.Solution) bool {
	if solution.OwnedBy == "" {
		return false
	}
	owner, ok := catalog.Lookup[*catalog.Recommender](s.view, solution.OwnedBy)
	return !ok || trainedWith(owner) != solution.ARN
}

func (s *Service) deleteAbandoned(ctx context.Context, solution *catalog.Solution) error {
	owner, err := s.store.Recommenders.Get(ctx, solution.OwnedBy)
	if err == nil && trainedWith(owner) == solution.ARN {
		return nil // the view was behind
	}
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	return s.deleteHidden(ctx, solution.ARN)
}

// deleteHidden removes a solution; the client has agreed by deleting the recommender.
func (s *Service) deleteHidden(ctx context.Context, arn string) error {
	solution, err := s.store.Solutions.Get(ctx, arn)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.delete(ctx, solution)
}

// stopTrainings stops what a recommender is being trained with, because it is not asked for before it is deleted. A worker whose
// version went away under it would leave a model behind.
func (s *Service) stopTrainings(ctx context.Context, versions []*catalog.SolutionVersion) error {
	stopping := false
	for _, v := range versions {
		if v.Finished() || v.Deleting() {
			continue
		}
		stopped, err := s.store.SolutionVersions.Update(ctx, v.ARN, stopVersion)
		if err != nil && !isRefusal(err) && !errors.Is(err, catalog.ErrNotFound) {
			return err
		}
		stopping = stopping || err != nil || !stopped.Finished()
	}
	if stopping {
		return errStopping
	}
	return nil
}
