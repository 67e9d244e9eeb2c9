package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/datadoctor"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/resource"
)

func (s *Service) createDatasetImportJob(ctx context.Context, req *personalize.CreateDatasetImportJobRequest) (*personalize.CreateDatasetImportJobResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	dataset, err := findCreated[*catalog.Dataset](ctx, s, "datasetArn", *req.DatasetArn, resource.Dataset)
	if err != nil {
		return nil, err
	}
	arn := beside(dataset.ARN, resource.DatasetImportJob, *req.JobName)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underAccount, err := s.placeJob(ctx, arn, s.quotas.RunningImports)
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
	mode := catalog.ImportFull
	if req.ImportMode != nil {
		mode = *req.ImportMode
	}
	if err := checkImport(awsapi.Text(req.DataSource.DataLocation), mode, dataset); err != nil {
		return nil, err
	}
	job := &catalog.DatasetImportJob{
		Metadata:   pending(arn, *req.JobName, tags),
		DatasetARN: dataset.ARN, DatasetGroupARN: dataset.DatasetGroupARN,
		DataLocation: *req.DataSource.DataLocation, RoleARN: awsapi.Text(req.RoleArn), ImportMode: mode,
		PublishAttributionMetricsToS3: req.PublishAttributionMetricsToS3,
	}
	if err := createUnder(ctx, s, job, underAccount, underDataset); err != nil {
		return nil, err
	}
	s.wakeWorkers(ctx, arn)
	return &personalize.CreateDatasetImportJobResponse{DatasetImportJobArn: &arn}, nil
}

func checkImport(dataLocation, mode string, into *catalog.Dataset) error {
	if _, _, err := dataset.ParseLocation(dataLocation); err != nil {
		return awsapi.InvalidInput("Invalid Data location. It is s3://<bucket>/<file> or s3://<bucket>/<folder>/")
	}
	if mode == catalog.ImportIncremental && into.Version == 0 {
		return awsapi.InvalidInput("importMode INCREMENTAL needs an earlier import into %s", into.ARN)
	}
	return nil
}

// placeJob limits the jobs of a type that wait or run in the account.
func (s *Service) placeJob(ctx context.Context, jobARN string, limit int) (catalog.Place, error) {
	kind := resource.TypeOf(jobARN)
	rule := func(a *catalog.Account) error { return within(a.Children.Count(kind, jobARN), limit, unfinished) }
	account, err := s.readAccount(ctx)
	if err != nil {
		return catalog.Place{}, err
	}
	if err := s.store.Sweep(ctx, account); err != nil {
		return catalog.Place{}, err
	}
	return catalog.UnderAccount(s.account, rule), rule(account)
}

// readAccount reads the account's reservations; an account without any may not exist yet.
func (s *Service) readAccount(ctx context.Context) (*catalog.Account, error) {
	account, err := s.store.Accounts.Get(ctx, resource.AccountARN(s.account))
	if errors.Is(err, catalog.ErrNotFound) {
		return &catalog.Account{}, nil
	}
	return account, err
}

// describedImportJob is Personalize's answer and, beside its members, what the data doctor says. SDKs pass over a member that they do
// not know.
type describedImportJob struct {
	DatasetImportJob *examinedImportJob `json:"datasetImportJob"`
}

type examinedImportJob struct {
	personalize.DatasetImportJob
	DataReport *datadoctor.Report `json:"dataReport,omitempty"`
}

func (s *Service) describeDatasetImportJob(ctx context.Context, req *personalize.DescribeDatasetImportJobRequest) (*describedImportJob, error) {
	j, err := find[*catalog.DatasetImportJob](ctx, s, "datasetImportJobArn", *req.DatasetImportJobArn, resource.DatasetImportJob)
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

func (s *Service) listDatasetImportJobs(_ context.Context, req *personalize.ListDatasetImportJobsRequest) (*personalize.ListDatasetImportJobsResponse, error) {
	dataset := awsapi.Text(req.DatasetArn)
	jobs, next, err := list(s, page{"ListDatasetImportJobs " + dataset, req.NextToken, req.MaxResults},
		func(j *catalog.DatasetImportJob) bool { return dataset == "" || j.DatasetARN == dataset },
		func(j *catalog.DatasetImportJob) personalize.DatasetImportJobSummary {
			return personalize.DatasetImportJobSummary{
				JobName: &j.Name, DatasetImportJobArn: &j.ARN, Status: &j.Status, FailureReason: awsapi.Present(j.FailureReason), ImportMode: &j.ImportMode,
				CreationDateTime: awsapi.At(j.CreatedAt), LastUpdatedDateTime: awsapi.At(j.UpdatedAt),
			}
		})
	return &personalize.ListDatasetImportJobsResponse{DatasetImportJobs: jobs, NextToken: next}, err
}
