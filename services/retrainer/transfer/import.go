package transfer

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/datadoctor"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

const (
	// importAttempts is how often an import is repeated while the store fails, before the queue's longer pauses.
	importAttempts = 5
	// examinedRows of each dataset are examined after an import: some seconds' worth.
	examinedRows = 5_000_000
)

var importPace = backoff.Exponential{First: time.Second, Max: time.Minute}

// Importer runs dataset import jobs.
type Importer struct {
	Data *groupdata.Source
	// Source is the store that has the users' buckets.
	Source *blob.Client
	// ReportMetrics writes a report about what an import has brought, if its job asks for one.
	ReportMetrics func(ctx context.Context, job *catalog.DatasetImportJob, version dataset.Version) error
	// MinInteractions and MinUsers are the least data that can be imported and trained on.
	MinInteractions, MinUsers int
	// Now is the time as of which imported data is examined.
	Now func() time.Time
	Log *zap.Logger
}

// Run brings the files into the dataset, then writes the new version into the catalog. Both steps may be repeated, here
// or by another worker: an import that has succeeded is recognised by the job's id, and the dataset's version only
// rises.
func (m *Importer) Run(
	ctx context.Context, job *catalog.DatasetImportJob, report func(done float64),
) (finish func(*catalog.DatasetImportJob), err error) {
	request, err := m.request(ctx, job)
	if err != nil {
		return nil, err
	}
	request.Progress = report
	version, err := m.importPatiently(ctx, request)
	if err != nil {
		return nil, blameUser(err)
	}
	_, err = m.Data.Store.Datasets.Update(ctx, job.DatasetARN, func(d *catalog.Dataset) error {
		d.Version = max(d.Version, version.Number)
		return nil
	})
	if err != nil {
		return nil, jobs.Missing(err, "dataset", job.DatasetARN)
	}
	log := m.Log.With(zap.String("import_job", job.ARN))
	if err := m.ReportMetrics(ctx, job, version); err != nil {
		// The data is imported, and importing it again would not bring the report.
		log.Error("writing an import's report of metrics failed", zap.Error(err))
	}
	diagnosis, err := m.examine(ctx, job)
	if err != nil {
		log.Warn("examining imported data failed", zap.Error(err))
	}
	return func(j *catalog.DatasetImportJob) { j.DataReport = diagnosis }, nil
}

// examine has the data doctor look at the data of the job's dataset group as it is now.
func (m *Importer) examine(ctx context.Context, job *catalog.DatasetImportJob) (json.RawMessage, error) {
	group, err := m.Data.Store.DatasetGroups.Get(ctx, job.DatasetGroupARN)
	if err != nil {
		return nil, err
	}
	doctor := datadoctor.Group{Catalog: m.Data.Store, Bucket: m.Data.Bucket, Group: group, Rows: examinedRows}
	report, err := doctor.Examine(ctx, datadoctor.Options{
		AsOf: m.Now(), MinInteractions: m.MinInteractions, MinUsers: m.MinUsers,
	})
	if err != nil {
		return nil, err
	}
	m.Log.Info("imported data examined", zap.String("import_job", job.ARN),
		zap.Int("errors", report.Errors), zap.Int("warnings", report.Warnings), zap.Int("notes", report.Notes))
	return json.Marshal(report)
}

// request gathers what the catalog knows about a job.
func (m *Importer) request(ctx context.Context, job *catalog.DatasetImportJob) (dataset.ImportRequest, error) {
	var none dataset.ImportRequest
	d, err := m.Data.Store.Datasets.Get(ctx, job.DatasetARN)
	if err != nil {
		return none, jobs.Missing(err, "dataset", job.DatasetARN)
	}
	group, parsed, err := m.Data.SchemaOf(ctx, d)
	if err != nil {
		return none, err
	}
	importMode := dataset.Full
	if job.ImportMode == mode.ImportIncremental {
		importMode = dataset.Incremental
	}
	return dataset.ImportRequest{
		Source: m.Source, Location: job.DataLocation, Bucket: m.Data.Bucket, Group: group, Schema: parsed,
		Mode: importMode, ID: job.ID, MinInteractions: m.MinInteractions,
	}, nil
}

// importPatiently repeats an import that failed because of the store, not because of the data.
func (m *Importer) importPatiently(ctx context.Context, request dataset.ImportRequest) (dataset.Version, error) {
	for attempt := 0; ; attempt++ {
		version, err := dataset.Import(ctx, request)
		if err == nil {
			return version, nil
		}
		if _, fault := dataset.Reason(err); fault || attempt == importAttempts-1 || ctx.Err() != nil {
			return version, err
		}
		m.Log.Warn("an import failed, repeating it", zap.Error(err), zap.Duration("pause", importPace.Delay(attempt)))
		if importPace.Wait(ctx, attempt) != nil {
			return version, err
		}
	}
}
