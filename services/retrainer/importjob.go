package retrainer

import (
	"context"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/datadoctor"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

const (
	// importAttempts is how often an import is begun anew while the store fails, before the job is given to the queue's
	// longer pauses.
	importAttempts = 5
	importPause    = time.Second
	// reasonLength bounds failure reasons, in characters.
	reasonLength = 500
	// examinedRows of each dataset are examined after an import: some seconds' worth.
	examinedRows = 5_000_000
)

// importData runs a dataset import job: it brings the files into the dataset, then tells the catalog the version. Both
// steps may be repeated, here or by another worker: an import that has succeeded is recognised by the job's id, and the
// dataset's version only rises.
func (s *Service) importData(ctx context.Context, job *catalog.DatasetImportJob, report func(done float64)) (finish func(*catalog.DatasetImportJob), err error) {
	request, err := s.importRequest(ctx, job)
	if err != nil {
		return nil, err
	}
	request.Progress = report
	version, err := s.importPatiently(ctx, request)
	if err != nil {
		if reason, ok := dataset.Reason(err); ok {
			return nil, jobs.Fault(errors.New(cut(reason, reasonLength)))
		}
		return nil, err
	}
	_, err = s.config.Store.Datasets.Update(ctx, job.DatasetARN, func(d *catalog.Dataset) error {
		d.Version = max(d.Version, version.Number)
		return nil
	})
	if err != nil {
		return nil, jobs.Missing(err, "dataset", job.DatasetARN)
	}
	if err := s.reportImport(ctx, job, version); err != nil {
		// The data is imported, and importing it again would not bring the report.
		s.config.Log.Error("an import's report of metrics could not be written", zap.String("import_job", job.ARN), zap.Error(err))
	}
	diagnosis, err := s.examine(ctx, job)
	if err != nil {
		s.config.Log.Warn("imported data could not be examined", zap.String("import_job", job.ARN), zap.Error(err))
	}
	return func(j *catalog.DatasetImportJob) { j.DataReport = diagnosis }, nil
}

// examine has the data doctor look at the data of the job's dataset group as they are now.
func (s *Service) examine(ctx context.Context, job *catalog.DatasetImportJob) (json.RawMessage, error) {
	group, err := s.config.Store.DatasetGroups.Get(ctx, job.DatasetGroupARN)
	if err != nil {
		return nil, err
	}
	report, err := datadoctor.Group{Catalog: s.config.Store, Bucket: s.config.Bucket, Group: group, Rows: examinedRows}.Examine(ctx, datadoctor.Options{
		AsOf: s.config.Now(), MinInteractions: s.config.MinInteractions, MinUsers: s.config.MinUsers,
	})
	if err != nil {
		return nil, err
	}
	s.config.Log.Info("imported data examined", zap.String("import_job", job.ARN),
		zap.Int("errors", report.Errors), zap.Int("warnings", report.Warnings), zap.Int("notes", report.Notes))
	return json.Marshal(report)
}

// importRequest gathers what the catalog knows about a job.
func (s *Service) importRequest(ctx context.Context, job *catalog.DatasetImportJob) (dataset.ImportRequest, error) {
	var none dataset.ImportRequest
	d, err := s.config.Store.Datasets.Get(ctx, job.DatasetARN)
	if err != nil {
		return none, jobs.Missing(err, "dataset", job.DatasetARN)
	}
	group, parsed, err := s.data.SchemaOf(ctx, d)
	if err != nil {
		return none, err
	}
	mode := dataset.Full
	if job.ImportMode == catalog.ImportIncremental {
		mode = dataset.Incremental
	}
	return dataset.ImportRequest{
		Source: s.config.S3, Location: job.DataLocation, Bucket: s.config.Bucket, Group: group, Schema: parsed,
		Mode: mode, ID: job.ID, MinInteractions: s.config.MinInteractions,
	}, nil
}

// importPatiently begins an import anew when the store, and not the data, made it fail.
func (s *Service) importPatiently(ctx context.Context, request dataset.ImportRequest) (dataset.Version, error) {
	pause := importPause
	for attempt := 1; ; attempt++ {
		version, err := dataset.Import(ctx, request)
		if err == nil {
			return version, nil
		}
		if _, fault := dataset.Reason(err); fault || attempt == importAttempts || ctx.Err() != nil {
			return version, err
		}
		s.config.Log.Warn("an import failed on its way, it is begun anew", zap.Error(err), zap.Duration("pause", pause))
		select {
		case <-ctx.Done():
			return version, err
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// cut shortens text to a number of characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
