package control

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/schema"
)

const mostSegmentUsers = 5_000_000

func (s *Service) createBatchSegmentJob(ctx context.Context, req *personalize.CreateBatchSegmentJobRequest) (*personalize.CreateBatchSegmentJobResponse, error) {
	placed, err := s.placeBatch(ctx, batchRequest{
		kind: resource.BatchSegmentJob, name: *req.JobName, versionARN: *req.SolutionVersionArn, filterARN: req.FilterArn, filters: schema.Users,
		input: location(req.JobInput.S3DataSource), output: location(req.JobOutput.S3DataDestination),
		numResults: req.NumResults, mostResults: mostSegmentUsers, running: s.quotas.RunningBatchSegments, tags: req.Tags,
	})
	if err != nil {
		return nil, err
	}
	if placed.recipe.Type != recipe.UserSegmentation {
		return nil, awsapi.InvalidInput("Recipe %s makes no user segments: recipes of type %s do", placed.recipe.ARN(), recipe.UserSegmentation)
	}
	if _, named := placed.meta.Tags[resultSetTag]; named {
		return nil, awsapi.InvalidInput("Tag %s is for batch inference jobs: segments cannot be looked up", resultSetTag)
	}
	job := &catalog.BatchSegmentJob{
		Metadata: placed.meta, DatasetGroupARN: placed.version.DatasetGroupARN, SolutionVersionARN: placed.version.ARN,
		FilterARN: awsapi.Text(req.FilterArn), NumResults: orZero(req.NumResults), JobInput: req.JobInput, JobOutput: req.JobOutput,
		RoleARN: *req.RoleArn,
	}
	if err := createUnder(ctx, s, job, placed.parents...); err != nil {
		return nil, err
	}
	s.wakeWorkers(ctx, job.ARN)
	return &personalize.CreateBatchSegmentJobResponse{BatchSegmentJobArn: &job.ARN}, nil
}

func (s *Service) describeBatchSegmentJob(ctx context.Context, req *personalize.DescribeBatchSegmentJobRequest) (*personalize.DescribeBatchSegmentJobResponse, error) {
	j, err := find[*catalog.BatchSegmentJob](ctx, s, "batchSegmentJobArn", *req.BatchSegmentJobArn, resource.BatchSegmentJob)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeBatchSegmentJobResponse{BatchSegmentJob: &personalize.BatchSegmentJob{
		JobName: &j.Name, BatchSegmentJobArn: &j.ARN, FilterArn: awsapi.Present(j.FilterARN), SolutionVersionArn: &j.SolutionVersionARN,
		NumResults: given(j.NumResults), JobInput: j.JobInput, JobOutput: j.JobOutput, RoleArn: &j.RoleARN,
		Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
		CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
	}}, nil
}

func (s *Service) listBatchSegmentJobs(_ context.Context, req *personalize.ListBatchSegmentJobsRequest) (*personalize.ListBatchSegmentJobsResponse, error) {
	version := awsapi.Text(req.SolutionVersionArn)
	jobs, next, err := list(s, page{"ListBatchSegmentJobs " + version, req.NextToken, req.MaxResults},
		func(j *catalog.BatchSegmentJob) bool { return version == "" || j.SolutionVersionARN == version },
		func(j *catalog.BatchSegmentJob) personalize.BatchSegmentJobSummary {
			return personalize.BatchSegmentJobSummary{
				BatchSegmentJobArn: &j.ARN, JobName: &j.Name, SolutionVersionArn: &j.SolutionVersionARN,
				Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		})
	return &personalize.ListBatchSegmentJobsResponse{BatchSegmentJobs: jobs, NextToken: next}, err
}
