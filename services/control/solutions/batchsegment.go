package solutions

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

const maxSegmentUsers = 5_000_000

// batchSegmentJobs find the users that items are for. The retrainer runs them.
type batchSegmentJobs struct{ *crud.Env }

func (s batchSegmentJobs) row() crud.Row {
	return crud.Kind[*catalog.BatchSegmentJob]{
		Taggable: true,
		Operations: []crud.Operation{
			crud.Handle("CreateBatchSegmentJob", s.create),
			crud.Handle("DescribeBatchSegmentJob", s.describe),
			crud.Handle("ListBatchSegmentJobs", s.list),
		},
	}.Row()
}

func (s batchSegmentJobs) create(
	ctx context.Context, req *personalize.CreateBatchSegmentJobRequest,
) (*personalize.CreateBatchSegmentJobResponse, error) {
	batch := batchCreation{
		env: s.Env, kind: resource.BatchSegmentJob, name: *req.JobName, versionARN: *req.SolutionVersionArn,
		filterARN: req.FilterArn, target: schema.Users, numResults: req.NumResults, maxResults: maxSegmentUsers,
		input: s3Path(req.JobInput.S3DataSource), output: s3Path(req.JobOutput.S3DataDestination),
	}
	job, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.BatchSegmentJob]{
		Name: *req.JobName, Tags: req.Tags, JobLimit: s.Quotas.RunningBatchSegments,
		Resolve: func() error { return batch.resolve(ctx) }, ARN: batch.arn, Parents: batch.parents,
		Build: func(m catalog.Metadata) (*catalog.BatchSegmentJob, error) {
			used, err := batch.validate(ctx)
			if err != nil {
				return nil, err
			}
			if used.Type != recipe.UserSegmentation {
				return nil, awsapi.InvalidInput("Recipe %s makes no user segments: recipes of type %s do",
					used.ARN(), recipe.UserSegmentation)
			}
			if _, named := m.Tags[resultSetTag]; named {
				return nil, awsapi.InvalidInput(
					"Tag %s is for batch inference jobs: segments cannot be looked up", resultSetTag,
				)
			}
			return &catalog.BatchSegmentJob{
				Metadata: m, DatasetGroupARN: batch.version.DatasetGroupARN, SolutionVersionARN: batch.version.ARN,
				FilterARN: awsapi.Text(req.FilterArn), NumResults: orZero(req.NumResults),
				JobInput: req.JobInput, JobOutput: req.JobOutput, RoleARN: *req.RoleArn,
			}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateBatchSegmentJobResponse{BatchSegmentJobArn: &job.ARN}, nil
}

func (s batchSegmentJobs) describe(
	ctx context.Context, req *personalize.DescribeBatchSegmentJobRequest,
) (*personalize.DescribeBatchSegmentJobResponse, error) {
	j, err := crud.Find[*catalog.BatchSegmentJob](ctx, s.Env, "batchSegmentJobArn", *req.BatchSegmentJobArn)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeBatchSegmentJobResponse{BatchSegmentJob: &personalize.BatchSegmentJob{
		JobName: &j.Name, BatchSegmentJobArn: &j.ARN, FilterArn: awsapi.Present(j.FilterARN),
		SolutionVersionArn: &j.SolutionVersionARN,
		NumResults:         nonZero(j.NumResults), JobInput: j.JobInput, JobOutput: j.JobOutput, RoleArn: &j.RoleARN,
		Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
		CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
	}}, nil
}

func (s batchSegmentJobs) list(
	_ context.Context, req *personalize.ListBatchSegmentJobsRequest,
) (*personalize.ListBatchSegmentJobsResponse, error) {
	version := awsapi.Text(req.SolutionVersionArn)
	jobs, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListBatchSegmentJobs " + version, Token: req.NextToken, Size: req.MaxResults},
		func(j *catalog.BatchSegmentJob) bool { return version == "" || j.SolutionVersionARN == version },
		func(j *catalog.BatchSegmentJob) personalize.BatchSegmentJobSummary {
			return personalize.BatchSegmentJobSummary{
				BatchSegmentJobArn: &j.ARN, JobName: &j.Name, SolutionVersionArn: &j.SolutionVersionARN,
				Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		},
	)
	return &personalize.ListBatchSegmentJobsResponse{BatchSegmentJobs: jobs, NextToken: next}, err
}
