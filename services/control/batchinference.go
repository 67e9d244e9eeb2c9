package control

import (
	"context"
	"regexp"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/schema"
)

const (
	modeInference = "BATCH_INFERENCE"
	modeThemes    = "THEME_GENERATION"

	mostBatchResults = 500
)

func (s *Service) createBatchInferenceJob(ctx context.Context, req *personalize.CreateBatchInferenceJobRequest) (*personalize.CreateBatchInferenceJobResponse, error) {
	placed, err := s.placeBatch(ctx, batchRequest{
		kind: resource.BatchInferenceJob, name: *req.JobName, versionARN: *req.SolutionVersionArn, filterARN: req.FilterArn, filters: schema.Items,
		input: location(req.JobInput.S3DataSource), output: location(req.JobOutput.S3DataDestination),
		numResults: req.NumResults, mostResults: mostBatchResults, running: s.quotas.RunningBatchInferences, tags: req.Tags,
	})
	if err != nil {
		return nil, err
	}
	if err := checkInference(req, placed.recipe); err != nil {
		return nil, err
	}
	if config := req.BatchInferenceJobConfig; config != nil {
		if err := s.checkExploration(ctx, config.ItemExplorationConfig, placed.recipe.ARN(), placed.version.DatasetGroupARN); err != nil {
			return nil, err
		}
	}
	resultSet, ttl, err := readResultTags(placed.meta.Tags)
	if err != nil {
		return nil, err
	}
	job := &catalog.BatchInferenceJob{
		Metadata: placed.meta, DatasetGroupARN: placed.version.DatasetGroupARN, SolutionVersionARN: placed.version.ARN,
		FilterARN: awsapi.Text(req.FilterArn), NumResults: orZero(req.NumResults), JobInput: req.JobInput, JobOutput: req.JobOutput,
		RoleARN: *req.RoleArn, Config: req.BatchInferenceJobConfig, Mode: modeInference,
		ResultSet: resultSet, ResultsTTL: ttl,
	}
	if err := createUnder(ctx, s, job, placed.parents...); err != nil {
		return nil, err
	}
	s.wakeWorkers(ctx, job.ARN)
	return &personalize.CreateBatchInferenceJobResponse{BatchInferenceJobArn: &job.ARN}, nil
}

// Tags with which a batch inference job is created to have its results looked up with GetBatchResult, which Amazon Personalize
// does not have: the name of the set that they replace, and how long they can be looked up.
const (
	resultSetTag  = "penchant:result-set"
	resultsTTLTag = "penchant:results-ttl"

	usualResultsTTL   = 7 * 24 * time.Hour
	longestResultsTTL = 366 * 24 * time.Hour
)

// resultSetName is what names of resources look like.
var resultSetName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9\-_]{0,62}$`)

func readResultTags(tags map[string]string) (name string, ttl time.Duration, err error) {
	name, named := tags[resultSetTag]
	limit, limited := tags[resultsTTLTag]
	if named && !resultSetName.MatchString(name) {
		return "", 0, awsapi.InvalidInput("Tag %s has the value %q, which must match %s", resultSetTag, name, resultSetName)
	}
	if !limited {
		return name, usualResultsTTL, nil
	}
	if !named {
		return "", 0, awsapi.InvalidInput("Tag %s is for jobs with the tag %s", resultsTTLTag, resultSetTag)
	}
	if ttl, err = time.ParseDuration(limit); err != nil || ttl < time.Minute || ttl > longestResultsTTL {
		return "", 0, awsapi.InvalidInput("Tag %s has the value %q, which must be a duration from 1m to 8784h", resultsTTLTag, limit)
	}
	return name, ttl, nil
}

// checkInference refuses what no batch of the recipe can do.
func checkInference(req *personalize.CreateBatchInferenceJobRequest, r *recipe.Recipe) error {
	switch {
	case awsapi.Text(req.BatchInferenceJobMode) == modeThemes:
		return awsapi.InvalidInput("batchInferenceJobMode %s is not supported: it is %s", modeThemes, modeInference)
	case req.ThemeGenerationConfig != nil:
		return awsapi.InvalidInput("themeGenerationConfig is for batchInferenceJobMode %s, which is not supported", modeThemes)
	case r.Type == recipe.UserSegmentation:
		return awsapi.InvalidInput("Recipe %s makes user segments: use CreateBatchSegmentJob", r.ARN())
	case r.Type == recipe.PersonalizedActions, r.Name == "aws-trending-now":
		return awsapi.InvalidInput("Batch inference is not possible with recipe %s", r.ARN())
	}
	if c := req.BatchInferenceJobConfig; c != nil && len(c.ItemExplorationConfig) > 0 && r.Type != recipe.UserPersonalization {
		return awsapi.InvalidInput("itemExplorationConfig is for recipes of type %s, not for %s", recipe.UserPersonalization, r.ARN())
	}
	return nil
}

func (s *Service) describeBatchInferenceJob(ctx context.Context, req *personalize.DescribeBatchInferenceJobRequest) (*personalize.DescribeBatchInferenceJobResponse, error) {
	j, err := find[*catalog.BatchInferenceJob](ctx, s, "batchInferenceJobArn", *req.BatchInferenceJobArn, resource.BatchInferenceJob)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeBatchInferenceJobResponse{BatchInferenceJob: &personalize.BatchInferenceJob{
		JobName: &j.Name, BatchInferenceJobArn: &j.ARN, FilterArn: awsapi.Present(j.FilterARN), SolutionVersionArn: &j.SolutionVersionARN,
		NumResults: given(j.NumResults), JobInput: j.JobInput, JobOutput: j.JobOutput, BatchInferenceJobConfig: j.Config,
		RoleArn: &j.RoleARN, BatchInferenceJobMode: &j.Mode, ThemeGenerationConfig: j.ThemeGenerationConfig,
		Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
		CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
	}}, nil
}

func (s *Service) listBatchInferenceJobs(_ context.Context, req *personalize.ListBatchInferenceJobsRequest) (*personalize.ListBatchInferenceJobsResponse, error) {
	version := awsapi.Text(req.SolutionVersionArn)
	jobs, next, err := list(s, page{"ListBatchInferenceJobs " + version, req.NextToken, req.MaxResults},
		func(j *catalog.BatchInferenceJob) bool { return version == "" || j.SolutionVersionARN == version },
		func(j *catalog.BatchInferenceJob) personalize.BatchInferenceJobSummary {
			return personalize.BatchInferenceJobSummary{
				BatchInferenceJobArn: &j.ARN, JobName: &j.Name, SolutionVersionArn: &j.SolutionVersionARN, BatchInferenceJobMode: &j.Mode,
				Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		})
	return &personalize.ListBatchInferenceJobsResponse{BatchInferenceJobs: jobs, NextToken: next}, err
}
