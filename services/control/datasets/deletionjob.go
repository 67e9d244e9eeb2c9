package datasets

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// deletionJobs delete users from all datasets of a group. The retrainer runs them.
type deletionJobs struct{ *crud.Env }

func (s deletionJobs) row() crud.Row {
	return crud.Kind[*catalog.DataDeletionJob]{
		Taggable: true,
		Operations: []crud.Operation{
			crud.Handle("CreateDataDeletionJob", s.create),
			crud.Handle("DescribeDataDeletionJob", s.describe),
			crud.Handle("ListDataDeletionJobs", s.list),
		},
	}.Row()
}

func (s deletionJobs) create(
	ctx context.Context, req *personalize.CreateDataDeletionJobRequest,
) (*personalize.CreateDataDeletionJobResponse, error) {
	var group *catalog.DatasetGroup
	job, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.DataDeletionJob]{
		Name: *req.JobName, Tags: req.Tags, JobLimit: s.Quotas.RunningDeletions,
		Resolve: func() (err error) {
			group, err = crud.Find[*catalog.DatasetGroup](ctx, s.Env, "datasetGroupArn", *req.DatasetGroupArn)
			return err
		},
		ARN: func() string { return crud.SiblingARN(group.ARN, resource.DataDeletionJob, *req.JobName) },
		Parents: func(arn string) []crud.Parent {
			return []crud.Parent{crud.Under(group, crud.ValidateActive, func(g *catalog.DatasetGroup) error {
				if g.Children.Count(resource.DataDeletionJob, arn) > 0 {
					return awsapi.ResourceInUse("Another data deletion job of %s is PENDING or IN_PROGRESS", g.ARN)
				}
				return nil
			})}
		},
		Build: func(m catalog.Metadata) (*catalog.DataDeletionJob, error) {
			if err := s.checkNoJobs(ctx, group.ARN); err != nil {
				return nil, err
			}
			m.Status = status.Pending
			return &catalog.DataDeletionJob{
				Metadata: m, DatasetGroupARN: group.ARN,
				DataLocation: awsapi.Text(req.DataSource.DataLocation), RoleARN: *req.RoleArn,
			}, validateDataLocation(awsapi.Text(req.DataSource.DataLocation))
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateDataDeletionJobResponse{DataDeletionJobArn: &job.ARN}, nil
}

// checkNoJobs refuses a deletion while another job reads or writes the group's data. A job that the view shows as
// unfinished is read again: a client who just saw its end expects to go on.
func (s deletionJobs) checkNoJobs(ctx context.Context, groupARN string) error {
	for _, r := range catalog.All[catalog.Resource](s.View) {
		if groupOfJob(r) != groupARN || r.Meta().Finished() || r.Meta().Deleting() {
			continue
		}
		now, err := s.Store.Get(ctx, r.Meta().ARN)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if m := now.Meta(); !m.Finished() && !m.Deleting() {
			return awsapi.ResourceInUse("Dataset group %s is in use by %s, which is %s", groupARN, m.ARN, m.Status)
		}
	}
	return nil
}

// groupOfJob returns the dataset group whose data a job reads or writes, and "" for other resources.
func groupOfJob(r catalog.Resource) string {
	switch r := r.(type) {
	case *catalog.DatasetImportJob:
		return r.DatasetGroupARN
	case *catalog.DatasetExportJob:
		return r.DatasetGroupARN
	case *catalog.SolutionVersion:
		return r.DatasetGroupARN
	case *catalog.BatchInferenceJob:
		return r.DatasetGroupARN
	case *catalog.BatchSegmentJob:
		return r.DatasetGroupARN
	}
	return ""
}

func (s deletionJobs) describe(
	ctx context.Context, req *personalize.DescribeDataDeletionJobRequest,
) (*personalize.DescribeDataDeletionJobResponse, error) {
	j, err := crud.Find[*catalog.DataDeletionJob](ctx, s.Env, "dataDeletionJobArn", *req.DataDeletionJobArn)
	if err != nil {
		return nil, err
	}
	described := &personalize.DataDeletionJob{
		JobName: &j.Name, DataDeletionJobArn: &j.ARN, DatasetGroupArn: &j.DatasetGroupARN,
		DataSource: &personalize.DataSource{DataLocation: &j.DataLocation}, RoleArn: &j.RoleARN,
		Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
		CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
	}
	if j.Status == status.Completed {
		described.NumDeleted = &j.NumDeleted
	}
	return &personalize.DescribeDataDeletionJobResponse{DataDeletionJob: described}, nil
}

func (s deletionJobs) list(
	_ context.Context, req *personalize.ListDataDeletionJobsRequest,
) (*personalize.ListDataDeletionJobsResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	jobs, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListDataDeletionJobs " + group, Token: req.NextToken, Size: req.MaxResults},
		func(j *catalog.DataDeletionJob) bool { return group == "" || j.DatasetGroupARN == group },
		func(j *catalog.DataDeletionJob) personalize.DataDeletionJobSummary {
			return personalize.DataDeletionJobSummary{
				DataDeletionJobArn: &j.ARN, DatasetGroupArn: &j.DatasetGroupARN, JobName: &j.Name,
				Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		},
	)
	return &personalize.ListDataDeletionJobsResponse{DataDeletionJobs: jobs, NextToken: next}, err
}
