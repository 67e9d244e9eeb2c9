package datasets

import (
	"cmp"
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/services/control/crud"
)

// exportJobs write datasets to files. The retrainer runs them.
type exportJobs struct{ *crud.Env }

func (s exportJobs) row() crud.Row {
	return crud.Kind[*catalog.DatasetExportJob]{
		Taggable: true,
		Operations: []crud.Operation{
			crud.Handle("CreateDatasetExportJob", s.create),
			crud.Handle("DescribeDatasetExportJob", s.describe),
			crud.Handle("ListDatasetExportJobs", s.list),
		},
	}.Row()
}

func (s exportJobs) create(
	ctx context.Context, req *personalize.CreateDatasetExportJobRequest,
) (*personalize.CreateDatasetExportJobResponse, error) {
	var from *catalog.Dataset
	job, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.DatasetExportJob]{
		Name: *req.JobName, Tags: req.Tags, JobLimit: s.Quotas.RunningExports,
		Resolve: func() (err error) {
			from, err = crud.Find[*catalog.Dataset](ctx, s.Env, "datasetArn", *req.DatasetArn)
			return err
		},
		ARN: func() string { return crud.SiblingARN(from.ARN, resource.DatasetExportJob, *req.JobName) },
		Parents: func(string) []crud.Parent {
			return []crud.Parent{crud.Under(from, crud.ValidateActive)}
		},
		Build: func(m catalog.Metadata) (*catalog.DatasetExportJob, error) {
			if err := crud.CheckNotDeleting(ctx, s.Env, from.DatasetGroupARN); err != nil {
				return nil, err
			}
			return &catalog.DatasetExportJob{
				Metadata: m, DatasetARN: from.ARN, DatasetGroupARN: from.DatasetGroupARN, RoleARN: *req.RoleArn,
				IngestionMode: cmp.Or(awsapi.Text(req.IngestionMode), mode.IngestionPut), JobOutput: req.JobOutput,
			}, crud.ValidateOutputPath(awsapi.Text(req.JobOutput.S3DataDestination.Path))
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateDatasetExportJobResponse{DatasetExportJobArn: &job.ARN}, nil
}

func (s exportJobs) describe(
	ctx context.Context, req *personalize.DescribeDatasetExportJobRequest,
) (*personalize.DescribeDatasetExportJobResponse, error) {
	j, err := crud.Find[*catalog.DatasetExportJob](ctx, s.Env, "datasetExportJobArn", *req.DatasetExportJobArn)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeDatasetExportJobResponse{DatasetExportJob: &personalize.DatasetExportJob{
		JobName: &j.Name, DatasetExportJobArn: &j.ARN, DatasetArn: &j.DatasetARN, IngestionMode: &j.IngestionMode,
		RoleArn:   &j.RoleARN,
		JobOutput: j.JobOutput, Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
		CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
	}}, nil
}

func (s exportJobs) list(
	_ context.Context, req *personalize.ListDatasetExportJobsRequest,
) (*personalize.ListDatasetExportJobsResponse, error) {
	dataset := awsapi.Text(req.DatasetArn)
	jobs, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListDatasetExportJobs " + dataset, Token: req.NextToken, Size: req.MaxResults},
		func(j *catalog.DatasetExportJob) bool { return dataset == "" || j.DatasetARN == dataset },
		func(j *catalog.DatasetExportJob) personalize.DatasetExportJobSummary {
			return personalize.DatasetExportJobSummary{
				JobName: &j.Name, DatasetExportJobArn: &j.ARN, Status: &j.Status,
				FailureReason:    awsapi.Present(j.FailureReason),
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		},
	)
	return &personalize.ListDatasetExportJobsResponse{DatasetExportJobs: jobs, NextToken: next}, err
}
