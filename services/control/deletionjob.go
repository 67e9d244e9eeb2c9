package control

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

func (s *Service) createDataDeletionJob(ctx context.Context, req *personalize.CreateDataDeletionJobRequest) (*personalize.CreateDataDeletionJobResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	group, err := find[*catalog.DatasetGroup](ctx, s, "datasetGroupArn", *req.DatasetGroupArn, resource.DatasetGroup)
	if err != nil {
		return nil, err
	}
	arn := beside(group.ARN, resource.DataDeletionJob, *req.JobName)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underAccount, err := s.placeJob(ctx, arn, s.quotas.RunningDeletions)
	if err != nil {
		return nil, err
	}
	underGroup, err := place(ctx, s, group, mustBeActiveGroup, func(g *catalog.DatasetGroup) error {
		if g.Children.Count(resource.DataDeletionJob, arn) > 0 {
			return awsapi.ResourceInUse("Another data deletion job of %s is PENDING or IN_PROGRESS", g.ARN)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.mustHaveNoJobs(ctx, group.ARN); err != nil {
		return nil, err
	}
	if _, _, err := dataset.ParseLocation(awsapi.Text(req.DataSource.DataLocation)); err != nil {
		return nil, awsapi.InvalidInput("Invalid Data location. It is s3://<bucket>/<file> or s3://<bucket>/<folder>/")
	}
	job := &catalog.DataDeletionJob{
		Metadata:        catalog.Metadata{ARN: arn, Name: *req.JobName, Status: status.Pending, Tags: tags},
		DatasetGroupARN: group.ARN, DataLocation: *req.DataSource.DataLocation, RoleARN: *req.RoleArn,
	}
	if err := createUnder(ctx, s, job, underAccount, underGroup); err != nil {
		return nil, err
	}
	s.wakeWorkers(ctx, arn)
	return &personalize.CreateDataDeletionJobResponse{DataDeletionJobArn: &arn}, nil
}

// mustHaveNoJobs refuses a deletion while another job reads or writes the group's data. A job that the view shows as unfinished is read
// again: a client who just saw its end expects to go on.
func (s *Service) mustHaveNoJobs(ctx context.Context, groupARN string) error {
	for _, r := range catalog.All[catalog.Resource](s.view) {
		if groupOfJob(r) != groupARN || r.Meta().Finished() || r.Meta().Deleting() {
			continue
		}
		now, err := s.store.Get(ctx, r.Meta().ARN)
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

// groupOfJob is the dataset group whose data a job works on, "" for what is no such job.
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

func (s *Service) describeDataDeletionJob(ctx context.Context, req *personalize.DescribeDataDeletionJobRequest) (*personalize.DescribeDataDeletionJobResponse, error) {
	j, err := find[*catalog.DataDeletionJob](ctx, s, "dataDeletionJobArn", *req.DataDeletionJobArn, resource.DataDeletionJob)
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

func (s *Service) listDataDeletionJobs(_ context.Context, req *personalize.ListDataDeletionJobsRequest) (*personalize.ListDataDeletionJobsResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	jobs, next, err := list(s, page{"ListDataDeletionJobs " + group, req.NextToken, req.MaxResults},
		func(j *catalog.DataDeletionJob) bool { return group == "" || j.DatasetGroupARN == group },
		func(j *catalog.DataDeletionJob) personalize.DataDeletionJobSummary {
			return personalize.DataDeletionJobSummary{
				DataDeletionJobArn: &j.ARN, DatasetGroupArn: &j.DatasetGroupARN, JobName: &j.Name,
				Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		})
	return &personalize.ListDataDeletionJobsResponse{DataDeletionJobs: jobs, NextToken: next}, err
}
