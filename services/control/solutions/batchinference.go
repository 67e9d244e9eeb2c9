package solutions

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
	"github.com/penchant-io/penchant/services/control/crud"
)

const (
	modeInference = "BATCH_INFERENCE"
	modeThemes    = "THEME_GENERATION"

	maxBatchResults = 500
)

// batchInferenceJobs recommend items to many users at once. The retrainer runs them.
type batchInferenceJobs struct{ *crud.Env }

func (s batchInferenceJobs) row() crud.Row {
	return crud.Kind[*catalog.BatchInferenceJob]{
		Taggable: true,
		Operations: []crud.Operation{
			crud.Handle("CreateBatchInferenceJob", s.create),
			crud.Handle("DescribeBatchInferenceJob", s.describe),
			crud.Handle("ListBatchInferenceJobs", s.list),
		},
	}.Row()
}

func (s batchInferenceJobs) create(
	ctx context.Context, req *personalize.CreateBatchInferenceJobRequest,
) (*personalize.CreateBatchInferenceJobResponse, error) {
	batch := batchCreation{
		env: s.Env, kind: resource.BatchInferenceJob, name: *req.JobName, versionARN: *req.SolutionVersionArn,
		filterARN: req.FilterArn, target: schema.Items, numResults: req.NumResults, maxResults: maxBatchResults,
		input: s3Path(req.JobInput.S3DataSource), output: s3Path(req.JobOutput.S3DataDestination),
	}
	job, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.BatchInferenceJob]{
		Name: *req.JobName, Tags: req.Tags, JobLimit: s.Quotas.RunningBatchInferences,
		Resolve: func() error { return batch.resolve(ctx) }, ARN: batch.arn, Parents: batch.parents,
		Build: func(m catalog.Metadata) (*catalog.BatchInferenceJob, error) {
			used, err := batch.validate(ctx)
			if err != nil {
				return nil, err
			}
			if err := s.validate(ctx, req, used, batch.version); err != nil {
				return nil, err
			}
			resultSet, ttl, err := parseResultTags(m.Tags)
			if err != nil {
				return nil, err
			}
			return &catalog.BatchInferenceJob{
				Metadata: m, DatasetGroupARN: batch.version.DatasetGroupARN, SolutionVersionARN: batch.version.ARN,
				FilterARN: awsapi.Text(req.FilterArn), NumResults: orZero(req.NumResults),
				JobInput: req.JobInput, JobOutput: req.JobOutput, RoleARN: *req.RoleArn,
				Config: req.BatchInferenceJobConfig, Mode: modeInference, ResultSet: resultSet, ResultsTTL: ttl,
			}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateBatchInferenceJobResponse{BatchInferenceJobArn: &job.ARN}, nil
}

func (s batchInferenceJobs) validate(
	ctx context.Context, req *personalize.CreateBatchInferenceJobRequest, r *recipe.Recipe,
	version *catalog.SolutionVersion,
) error {
	if err := validateInference(req, r); err != nil {
		return err
	}
	if config := req.BatchInferenceJobConfig; config != nil {
		return validateExploration(ctx, s.Env, config.ItemExplorationConfig, r.ARN(), version.DatasetGroupARN)
	}
	return nil
}

// Tags with which a batch inference job is created to have its results looked up with GetBatchResult, which Amazon
// Personalize does not have: the name of the set that they replace, and how long they can be looked up.
const (
	resultSetTag  = "penchant:result-set"
	resultsTTLTag = "penchant:results-ttl"

	defaultResultsTTL = 7 * 24 * time.Hour
	maxResultsTTL     = 366 * 24 * time.Hour
)

// resultSetName has the pattern of the names of resources.
var resultSetName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9\-_]{0,62}$`)

func parseResultTags(tags map[string]string) (name string, ttl time.Duration, err error) {
	name, named := tags[resultSetTag]
	limit, limited := tags[resultsTTLTag]
	if named && !resultSetName.MatchString(name) {
		return "", 0, awsapi.InvalidInput(
			"Tag %s has the value %q, which must match %s", resultSetTag, name, resultSetName,
		)
	}
	if !limited {
		return name, defaultResultsTTL, nil
	}
	if !named {
		return "", 0, awsapi.InvalidInput("Tag %s is for jobs with the tag %s", resultsTTLTag, resultSetTag)
	}
	if ttl, err = time.ParseDuration(limit); err != nil || ttl < time.Minute || ttl > maxResultsTTL {
		return "", 0, awsapi.InvalidInput(
			"Tag %s has the value %q, which must be a duration from 1m to 8784h", resultsTTLTag, limit,
		)
	}
	return name, ttl, nil
}

// validateInference refuses what no batch of the recipe can do.
func validateInference(req *personalize.CreateBatchInferenceJobRequest, r *recipe.Recipe) error {
	switch {
	case awsapi.Text(req.BatchInferenceJobMode) == modeThemes:
		return awsapi.InvalidInput("batchInferenceJobMode %s is not supported: it is %s", modeThemes, modeInference)
	case req.ThemeGenerationConfig != nil:
		return awsapi.InvalidInput(
			"themeGenerationConfig is for batchInferenceJobMode %s, which is not supported", modeThemes,
		)
	case r.Type == recipe.UserSegmentation:
		return awsapi.InvalidInput("Recipe %s makes user segments: use CreateBatchSegmentJob", r.ARN())
	case r.Type == recipe.PersonalizedActions, r.Name == "aws-trending-now":
		return awsapi.InvalidInput("Batch inference is not possible with recipe %s", r.ARN())
	}
	if c := req.BatchInferenceJobConfig; c != nil && len(c.ItemExplorationConfig) > 0 &&
		r.Type != recipe.UserPersonalization {
		return awsapi.InvalidInput(
			"itemExplorationConfig is for recipes of type %s, not for %s", recipe.UserPersonalization, r.ARN(),
		)
	}
	return nil
}

func (s batchInferenceJobs) describe(
	ctx context.Context, req *personalize.DescribeBatchInferenceJobRequest,
) (*personalize.DescribeBatchInferenceJobResponse, error) {
	j, err := crud.Find[*catalog.BatchInferenceJob](ctx, s.Env, "batchInferenceJobArn", *req.BatchInferenceJobArn)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeBatchInferenceJobResponse{BatchInferenceJob: &personalize.BatchInferenceJob{
		JobName: &j.Name, BatchInferenceJobArn: &j.ARN, FilterArn: awsapi.Present(j.FilterARN),
		SolutionVersionArn: &j.SolutionVersionARN,
		NumResults:         nonZero(j.NumResults), JobInput: j.JobInput, JobOutput: j.JobOutput,
		BatchInferenceJobConfig: j.Config,
		RoleArn:                 &j.RoleARN, BatchInferenceJobMode: &j.Mode, ThemeGenerationConfig: j.ThemeGenerationConfig,
		Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
		CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
	}}, nil
}

func (s batchInferenceJobs) list(
	_ context.Context, req *personalize.ListBatchInferenceJobsRequest,
) (*personalize.ListBatchInferenceJobsResponse, error) {
	version := awsapi.Text(req.SolutionVersionArn)
	jobs, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListBatchInferenceJobs " + version, Token: req.NextToken, Size: req.MaxResults},
		func(j *catalog.BatchInferenceJob) bool { return version == "" || j.SolutionVersionARN == version },
		func(j *catalog.BatchInferenceJob) personalize.BatchInferenceJobSummary {
			return personalize.BatchInferenceJobSummary{
				BatchInferenceJobArn: &j.ARN, JobName: &j.Name, SolutionVersionArn: &j.SolutionVersionARN,
				BatchInferenceJobMode: &j.Mode,
				Status:                &j.Status, FailureReason: awsapi.Present(j.FailureReason),
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		},
	)
	return &personalize.ListBatchInferenceJobsResponse{BatchInferenceJobs: jobs, NextToken: next}, err
}
