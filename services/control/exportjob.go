package control

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
)

func (s *Service) createDatasetExportJob(ctx context.Context, req *personalize.CreateDatasetExportJobRequest) (*personalize.CreateDatasetExportJobResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	dataset, err := find[*catalog.Dataset](ctx, s, "datasetArn", *req.DatasetArn, resource.Dataset)
	if err != nil {
		return nil, err
	}
	arn := beside(dataset.ARN, resource.DatasetExportJob, *req.JobName)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underAccount, err := s.placeJob(ctx, arn, s.quotas.RunningExports)
	if err != nil {
		return nil, err
	}
	underDataset, err := place(ctx, s, dataset, func(d *catalog.Dataset) error { return mustBeActive(d) })
	if err != nil {
		return nil, err
	}
	if err := s.mustNotDeleteUsers(ctx, dataset.DatasetGroupARN); err != nil {
		return nil, err
	}
	if err := checkOutput(location(req.JobOutput.S3DataDestination)); err != nil {
		return nil, err
	}
	mode := catalog.IngestionPut
	if req.IngestionMode != nil {
		mode = *req.IngestionMode
	}
	job := &catalog.DatasetExportJob{
		Metadata:   pending(arn, *req.JobName, tags),
		DatasetARN: dataset.ARN, DatasetGroupARN: dataset.DatasetGroupARN, IngestionMode: mode, RoleARN: *req.RoleArn, JobOutput: req.JobOutput,
	}
	if err := createUnder(ctx, s, job, underAccount, underDataset); err != nil {
		return nil, err
	}
	s.wakeWorkers(ctx, arn)
	return &personalize.CreateDatasetExportJobResponse{DatasetExportJobArn: &arn}, nil
}

func (s *Service) describeDatasetExportJob(ctx context.Context, req *personalize.DescribeDatasetExportJobRequest) (*personalize.DescribeDatasetExportJobResponse, error) {
	j, err := find[*catalog.DatasetExportJob](ctx, s, "datasetExportJobArn", *req.DatasetExportJobArn, resource.DatasetExportJob)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeDatasetExportJobResponse{DatasetExportJob: &personalize.DatasetExportJob{
		JobName: &j.Name, DatasetExportJobArn: &j.ARN, DatasetArn: &j.DatasetARN, IngestionMode: &j.IngestionMode, RoleArn: &j.RoleARN,
		JobOutput: j.JobOutput, Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
		CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
	}}, nil
}

func (s *Service) listDatasetExportJobs(_ context.Context, req *personalize.ListDatasetExportJobsRequest) (*personalize.ListDatasetExportJobsResponse, error) {
	dataset := awsapi.Text(req.DatasetArn)
	jobs, next, err := list(s, page{"ListDatasetExportJobs " + dataset, req.NextToken, req.MaxResults},
		func(j *catalog.DatasetExportJob) bool { return dataset == "" || j.DatasetARN == dataset },
		func(j *catalog.DatasetExportJob) personalize.DatasetExportJobSummary {
			return personalize.DatasetExportJobSummary{
				JobName: &j.Name, DatasetExportJobArn: &j.ARN, Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason),
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		})
	return &personalize.ListDatasetExportJobsResponse{DatasetExportJobs: jobs, NextToken: next}, err
}
