package control

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/recipe"
)

const (
	modeInference = "BATCH_INFERENCE"
	modeThemes    = "THEME_GENERATION"

	mostBatchResults = 500
)

func (s *Service) createBatchInferenceJob(ctx context.Context, req *personalize.CreateBatchInferenceJobRequest) (*personalize.CreateBatchInferenceJobResponse, error) {
	placed, err := s.placeBatch(ctx, batchRequest{
		kind: catalog.TypeBatchInferenceJob, name: *req.JobName, versionARN: *req.SolutionVersionArn, filterARN: req.FilterArn, filters: filter.Items,
		input: location(req.JobInput.S3DataSource), output: location(req.JobOutput.S3DataDestination),
		numResults: req.NumResults, mostResults: mostBatchResults, running: s.quotas.RunningBatchInferences, tags: req.Tags,
	})
	if err != nil {
		return nil, err
	}
	if err := checkInference(req, placed.recipe); err != nil {
		return nil, err
	}
	job := &catalog.BatchInferenceJob{
		Meta: placed.meta, DatasetGroupARN: placed.version.DatasetGroupARN, SolutionVersionARN: placed.version.ARN,
		FilterARN: text(req.FilterArn), NumResults: orZero(req.NumResults), JobInput: req.JobInput, JobOutput: req.JobOutput,
		RoleARN: *req.RoleArn, Config: req.BatchInferenceJobConfig, Mode: modeInference,
	}
	if err := createUnder(ctx, s, job, placed.parents...); err != nil {
		return nil, err
	}
	s.wakeWorkers(ctx, job.ARN)
	return &personalize.CreateBatchInferenceJobResponse{BatchInferenceJobArn: &job.ARN}, nil
}

// checkInference refuses what no batch of the recipe can do.
func checkInference(req *personalize.CreateBatchInferenceJobRequest, r *recipe.Recipe) error {
	switch {
	case text(req.BatchInferenceJobMode) == modeThemes:
		return awsapi.InvalidInput("batchInferenceJobMode %s is not supported: it is %s", modeThemes, modeInference)
	case req.ThemeGenerationConfig != nil:
		return awsapi.InvalidInput("themeGenerationConfig is for batchInferenceJobMode %s, which is not supported", modeThemes)
	case r.Type == recipe.UserSegmentation:
		return awsapi.InvalidInput("Recipe %s makes user segments: use CreateBatchSegmentJob", r.ARN())
	case r.Type == recipe.PersonalizedActions, r.Name == "aws-trending-now":
		return awsapi.InvalidInput("Batch inference is not possible with recipe %s", r.ARN())
	}
	if req.BatchInferenceJobConfig == nil {
		return nil
	}
	if len(req.BatchInferenceJobConfig.ItemExplorationConfig) > 0 && r.Type != recipe.UserPersonalization {
		return awsapi.InvalidInput("itemExplorationConfig is for recipes of type %s, not for %s", recipe.UserPersonalization, r.ARN())
	}
	return checkExploration(req.BatchInferenceJobConfig.ItemExplorationConfig)
}

func (s *Service) describeBatchInferenceJob(ctx context.Context, req *personalize.DescribeBatchInferenceJobRequest) (*personalize.DescribeBatchInferenceJobResponse, error) {
	j, err := find[*catalog.BatchInferenceJob](ctx, s, "batchInferenceJobArn", *req.BatchInferenceJobArn, catalog.TypeBatchInferenceJob)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeBatchInferenceJobResponse{BatchInferenceJob: &personalize.BatchInferenceJob{
		JobName: &j.Name, BatchInferenceJobArn: &j.ARN, FilterArn: present(j.FilterARN), SolutionVersionArn: &j.SolutionVersionARN,
		NumResults: given(j.NumResults), JobInput: j.JobInput, JobOutput: j.JobOutput, BatchInferenceJobConfig: j.Config,
		RoleArn: &j.RoleARN, BatchInferenceJobMode: &j.Mode, ThemeGenerationConfig: j.ThemeGenerationConfig,
		Status: &j.Status, FailureReason: present(j.FailureReason),
		CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
	}}, nil
}

func (s *Service) listBatchInferenceJobs(_ context.Context, req *personalize.ListBatchInferenceJobsRequest) (*personalize.ListBatchInferenceJobsResponse, error) {
	version := text(req.SolutionVersionArn)
	jobs, next, err := list(s, page{"ListBatchInferenceJobs " + version, req.NextToken, req.MaxResults},
		func(j *catalog.BatchInferenceJob) bool { return version == "" || j.SolutionVersionARN == version },
		func(j *catalog.BatchInferenceJob) personalize.BatchInferenceJobSummary {
			return personalize.BatchInferenceJobSummary{
				BatchInferenceJobArn: &j.ARN, JobName: &j.Name, SolutionVersionArn: &j.SolutionVersionARN, BatchInferenceJobMode: &j.Mode,
				Status: &j.Status, FailureReason: present(j.FailureReason),
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		})
	return &personalize.ListBatchInferenceJobsResponse{BatchInferenceJobs: jobs, NextToken: next}, err
}
