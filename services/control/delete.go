package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
)

// deletedAtOnce bounds the keys of one deletion in the bucket.
const deletedAtOnce = 500

// delete completes the deletion of a resource: first what it owns, then itself. The catalog lets one replica at a time do it.
func (s *Service) delete(ctx context.Context, r catalog.Resource) error {
	return s.store.DeleteAfter(ctx, r, func(ctx context.Context, r catalog.Resource) error {
		switch r := r.(type) {
		case *catalog.DatasetGroup:
			return s.deleteGroupData(ctx, r)
		case *catalog.Dataset:
			return s.deleteDatasetData(ctx, r)
		case *catalog.Solution:
			return s.deleteVersions(ctx, r)
		case *catalog.SolutionVersion:
			return s.deleteModel(ctx, r)
		case *catalog.Recommender:
			return s.deleteTraining(ctx, r)
		case *catalog.Experiment:
			return s.deletePrefix(ctx, r.TallyPrefix())
		}
		return nil
	})
}

// deleteGroupData removes a group's topics, imported data and data deletion jobs. Its archive stays: it is the operator's record of what was accepted, and a
// new group of the same name has another key.
func (s *Service) deleteGroupData(ctx context.Context, g *catalog.DatasetGroup) error {
	if err := s.reachLog(ctx); err != nil {
		return fmt.Errorf("deleting the topics of a dataset group: %w", err)
	}
	if err := s.bus.DeleteTopics(ctx, topicNames(GroupTopics(g.GroupKey()))...); err != nil {
		return fmt.Errorf("deleting the topics of a dataset group: %w", err)
	}
	if err := deleteJobs(ctx, s, func(j *catalog.DataDeletionJob) bool { return j.DatasetGroupARN == g.ARN }); err != nil {
		return err
	}
	return s.deletePrefix(ctx, "datasets/"+g.GroupKey()+"/")
}

func topicNames(specs []bus.TopicSpec) []string {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	return names
}

// deleteDatasetData removes a dataset's imported data and its import and export jobs.
func (s *Service) deleteDatasetData(ctx context.Context, d *catalog.Dataset) error {
	group, err := s.store.DatasetGroups.Get(ctx, d.DatasetGroupARN)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	if err == nil {
		if err := dataset.Remove(ctx, s.bucket, group.GroupKey(), d.DatasetType); err != nil {
			return err
		}
	}
	err = deleteJobs(ctx, s, func(j *catalog.DatasetImportJob) bool { return j.DatasetARN == d.ARN })
	return errors.Join(err, deleteJobs(ctx, s, func(j *catalog.DatasetExportJob) bool { return j.DatasetARN == d.ARN }))
}

// deleteJobs removes the finished jobs of a resource that goes.
func deleteJobs[R catalog.Resource](ctx context.Context, s *Service, of func(R) bool) error {
	jobs, err := catalog.Of[R](s.store).List(ctx)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		if of(job) {
			if err := s.store.Delete(ctx, job); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteVersions removes a solution's versions and their batch jobs. None can come to it since its deletion was accepted, and then none
// was being trained but a recommender's.
func (s *Service) deleteVersions(ctx context.Context, solution *catalog.Solution) error {
	versions, err := s.store.SolutionVersions.List(ctx)
	if err != nil {
		return err
	}
	versions = slices.DeleteFunc(versions, func(v *catalog.SolutionVersion) bool { return v.SolutionARN != solution.ARN })
	if solution.OwnedBy != "" {
		if err := s.stopTrainings(ctx, versions); err != nil {
			return err
		}
	}
	for _, version := range versions {
		if err := deleteJobs(ctx, s, func(j *catalog.BatchInferenceJob) bool { return j.SolutionVersionARN == version.ARN }); err != nil {
			return err
		}
		if err := deleteJobs(ctx, s, func(j *catalog.BatchSegmentJob) bool { return j.SolutionVersionARN == version.ARN }); err != nil {
			return err
		}
		if err := s.delete(ctx, version); err != nil {
			return err
		}
	}
	return nil
}

// deleteModel removes the folder of a version's model.
func (s *Service) deleteModel(ctx context.Context, v *catalog.SolutionVersion) error {
	_, id, ok := strings.Cut(v.ARN, ":solution/")
	if !ok {
		return nil
	}
	return s.deletePrefix(ctx, "models/"+id+"/")
}

func (s *Service) deletePrefix(ctx context.Context, prefix string) error {
	var keys []string
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		err := s.bucket.Delete(ctx, keys...)
		keys = keys[:0]
		return err
	}
	for info, err := range s.bucket.List(ctx, prefix) {
		if err != nil {
			return err
		}
		if keys = append(keys, info.Key); len(keys) == deletedAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// isRefusal says whether an error is an answer, not a fault.
func isRefusal(err error) bool {
	var refusal *awsapi.Error
	return errors.As(err, &refusal)
}
