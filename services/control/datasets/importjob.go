package datasets

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/datadoctor"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/services/control/crud"
)

// importJobs read files into datasets. The retrainer runs them.
type importJobs struct{ *crud.Env }

func (s importJobs) row() crud.Row {
	return crud.Kind[*catalog.DatasetImportJob]{
		Taggable: true,
		Operations: []crud.Operation{
			crud.Handle("CreateDatasetImportJob", s.create),
			crud.Handle("DescribeDatasetImportJob", s.describe),
			crud.Handle("ListDatasetImportJobs", s.list),
		},
	}.Row()
}

func (s importJobs) create(
	ctx context.Context, req *personalize.CreateDatasetImportJobRequest,
) (*personalize.CreateDatasetImportJobResponse, error) {
	var into *catalog.Dataset
	job, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.DatasetImportJob]{
		Name: *req.JobName, Tags: req.Tags, JobLimit: s.Quotas.RunningImports,
		Resolve: func() (err error) {
			into, err = crud.FindCreated[*catalog.Dataset](ctx, s.Env, "datasetArn", *req.DatasetArn)
			return err
		},
		ARN: func() string { return crud.SiblingARN(into.ARN, resource.DatasetImportJob, *req.JobName) },
		Parents: func(string) []crud.Parent {
			return []crud.Parent{crud.Under(into, crud.ValidateActive)}
		},
		Build: func(m catalog.Metadata) (*catalog.DatasetImportJob, error) {
			if err := crud.CheckNotDeleting(ctx, s.Env, into.DatasetGroupARN); err != nil {
				return nil, err
			}
			importMode := cmp.Or(awsapi.Text(req.ImportMode), mode.ImportFull)
			return &catalog.DatasetImportJob{
				Metadata: m, DatasetARN: into.ARN, DatasetGroupARN: into.DatasetGroupARN,
				DataLocation: awsapi.Text(req.DataSource.DataLocation), RoleARN: awsapi.Text(req.RoleArn), ImportMode: importMode,
				PublishAttributionMetricsToS3: req.PublishAttributionMetricsToS3,
			}, validateImport(awsapi.Text(req.DataSource.DataLocation), importMode, into)
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateDatasetImportJobResponse{DatasetImportJobArn: &job.ARN}, nil
}

func validateImport(dataLocation, importMode string, into *catalog.Dataset) error {
	if err := validateDataLocation(dataLocation); err != nil {
		return err
	}
	if importMode == mode.ImportIncremental && into.Version == 0 {
		return awsapi.InvalidInput("importMode INCREMENTAL needs an earlier import into %s", into.ARN)
	}
	return nil
}

func validateDataLocation(location string) error {
	if _, _, err := dataset.ParseLocation(location); err != nil {
		return awsapi.InvalidInput("Invalid Data location. It is s3://<bucket>/<file> or s3://<bucket>/<folder>/")
	}
	return nil
}

// describedImportJob is Personalize's answer and, beside its members, what the data doctor says. SDKs pass over a
// member that they do not know.
type describedImportJob struct {
	DatasetImportJob *examinedImportJob `json:"datasetImportJob"`
}

type examinedImportJob struct {
	personalize.DatasetImportJob
	DataReport *datadoctor.Report `json:"dataReport,omitempty"`
}

func (s importJobs) describe(ctx context.Context, req *personalize.DescribeDatasetImportJobRequest) (*describedImportJob, error) {
	j, err := crud.Find[*catalog.DatasetImportJob](ctx, s.Env, "datasetImportJobArn", *req.DatasetImportJobArn)
	if err != nil {
		return nil, err
	}
	var report *datadoctor.Report
	if len(j.DataReport) > 0 {
		if err := json.Unmarshal(j.DataReport, &report); err != nil {
			return nil, fmt.Errorf("decoding the data report of %s: %w", j.ARN, err)
		}
	}
	return &describedImportJob{&examinedImportJob{DataReport: report, DatasetImportJob: personalize.DatasetImportJob{
		JobName: &j.Name, DatasetImportJobArn: &j.ARN, DatasetArn: &j.DatasetARN,
		DataSource: &personalize.DataSource{DataLocation: &j.DataLocation}, RoleArn: awsapi.Present(j.RoleARN), ImportMode: &j.ImportMode,
		PublishAttributionMetricsToS3: j.PublishAttributionMetricsToS3,
		Status:                        &j.Status, FailureReason: awsapi.Present(j.FailureReason),
		CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
	}}}, nil
}

func (s importJobs) list(_ context.Context, req *personalize.ListDatasetImportJobsRequest) (*personalize.ListDatasetImportJobsResponse, error) {
	dataset := awsapi.Text(req.DatasetArn)
	jobs, next, err := crud.List(s.Env, crud.Page{Scope: "ListDatasetImportJobs " + dataset, Token: req.NextToken, Size: req.MaxResults},
		func(j *catalog.DatasetImportJob) bool { return dataset == "" || j.DatasetARN == dataset },
		func(j *catalog.DatasetImportJob) personalize.DatasetImportJobSummary {
			return personalize.DatasetImportJobSummary{
				JobName: &j.Name, DatasetImportJobArn: &j.ARN, Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason), ImportMode: &j.ImportMode,
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		})
	return &personalize.ListDatasetImportJobsResponse{DatasetImportJobs: jobs, NextToken: next}, err
}
