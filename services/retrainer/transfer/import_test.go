package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/datadoctor"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

func (i *installation) datasetVersion(d *catalog.Dataset) int64 {
	i.Helper()
	now, err := i.Store.Datasets.Get(i.Context(), d.ARN)
	if err != nil {
		i.Fatal(err)
	}
	return now.Version
}

func TestImportJobs(t *testing.T) {
	t.Parallel()
	i := install(t)
	d := i.InteractionsDataset()
	i.runsImports()

	job := i.finished(i.ImportJob(d, "full", mode.ImportFull, retrainertest.InteractionsCSV(200)))
	if job.Status != status.Active || i.datasetVersion(d) != 1 {
		t.Fatalf("%s %q, dataset version %d", job.Status, job.FailureReason, i.datasetVersion(d))
	}
	v, err := dataset.Current(t.Context(), i.Bucket, i.Group.GroupKey(), "INTERACTIONS")
	if err != nil || v.Rows != 200 || v.Number != 1 {
		t.Errorf("version %+v, %v", v, err)
	}
	job = i.finished(i.ImportJob(d, "more", mode.ImportIncremental, strings.ReplaceAll(retrainertest.InteractionsCSV(150), "u", "v")))
	if job.Status != status.Active || i.datasetVersion(d) != 2 {
		t.Fatalf("%s %q, dataset version %d", job.Status, job.FailureReason, i.datasetVersion(d))
	}
	if v, err = dataset.Current(t.Context(), i.Bucket, i.Group.GroupKey(), "INTERACTIONS"); err != nil || v.Rows != 350 {
		t.Errorf("version %+v, %v", v, err)
	}
}

// TestImportJobsAreAnsweredWithWhatTheDataCanTrain imports what is enough for no recipe, and then enough.
func TestImportJobsAreAnsweredWithWhatTheDataCanTrain(t *testing.T) {
	t.Parallel()
	i := install(t)
	d := i.InteractionsDataset()
	importer := i.importer()
	importer.MinUsers = 15
	retrainertest.Run(i.Installation, i.Worker(nil), "import", importer.Run)

	report := func(job *catalog.DatasetImportJob) (r datadoctor.Report) {
		t.Helper()
		if job.Status != status.Active {
			t.Fatalf("%s %q", job.Status, job.FailureReason)
		}
		if err := json.Unmarshal(job.DataReport, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	content := retrainertest.InteractionsCSV(200)
	r := report(i.finished(i.ImportJob(d, "full", mode.ImportFull, content+"u1,i1,1\nu2,i2,32503680000\n")))
	if r.Interactions != 201 || r.Users != 10 || r.Finding("TOO_FEW_USERS", "") == nil {
		t.Errorf("too few users:\n%s", r.Page())
	}
	if f := r.Finding("DUPLICATE_ROWS", ""); f == nil || f.Count != 1 || f.Of != 202 {
		t.Errorf("a repeated row: %+v", f)
	}
	if f := r.Finding("TIMESTAMP_IN_FUTURE", "TIMESTAMP"); f == nil || f.Count != 1 {
		t.Errorf("an event of the year 3000: %+v", f)
	}
	for _, v := range r.Recipes {
		if v.Trainable {
			t.Errorf("%+v", v)
		}
	}
	r = report(i.finished(i.ImportJob(d, "more", mode.ImportIncremental, strings.ReplaceAll(content, "u", "v"))))
	if r.Interactions != 401 || r.Users != 20 || r.Finding("TOO_FEW_USERS", "") != nil || r.Errors > 0 {
		t.Errorf("enough users:\n%s", r.Page())
	}
}

func TestImportJobsNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	i := install(t)
	d := i.InteractionsDataset()
	i.runsImports()
	for name, c := range map[string]struct{ content, want string }{
		"row":     {retrainertest.InteractionsCSV(150) + "u,i,soon\n", "/in/row.csv, line 152, column TIMESTAMP: the value is not a long"},
		"few":     {retrainertest.InteractionsCSV(99), "has 99 rows; an import of Interactions needs at least 100"},
		"columns": {"USER_ID\n", "Input CSV is missing the following columns:[ITEM_ID, TIMESTAMP]"},
	} {
		job := i.finished(i.ImportJob(d, name, mode.ImportFull, c.content))
		if job.Status != status.CreateFailed || !strings.Contains(job.FailureReason, c.want) {
			t.Errorf("%s: %s %q, want %q", name, job.Status, job.FailureReason, c.want)
		}
	}
	if v := i.datasetVersion(d); v != 0 {
		t.Errorf("the dataset has version %d", v)
	}
}

func TestAnImportWhoseWorkerDiedIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	i := install(t)
	d := i.InteractionsDataset()
	importer := i.importer()
	job := i.ImportJob(d, "full", mode.ImportFull, retrainertest.InteractionsCSV(200))
	// The first worker ends after the data was switched and before the catalog knew.
	request, err := importer.request(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.Import(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	retrainertest.Run(i.Installation, i.Worker(nil), "import", importer.Run)
	if job := i.finished(job); job.Status != status.Active {
		t.Errorf("%s %q", job.Status, job.FailureReason)
	}
	v, err := dataset.Current(t.Context(), i.Bucket, i.Group.GroupKey(), "INTERACTIONS")
	if err != nil || v.Number != 1 || i.datasetVersion(d) != 1 {
		t.Errorf("version %d, in the catalog %d, %v", v.Number, i.datasetVersion(d), err)
	}
}

func TestImportJobsFailWithoutTheirDataset(t *testing.T) {
	t.Parallel()
	i := install(t)
	d := i.InteractionsDataset()
	job := i.ImportJob(d, "full", mode.ImportFull, retrainertest.InteractionsCSV(200))
	if err := i.Store.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	i.runsImports()
	if job := i.finished(job); job.Status != status.CreateFailed || !strings.Contains(job.FailureReason, "no longer exists") {
		t.Errorf("%s %q", job.Status, job.FailureReason)
	}
}

func TestAStoreThatIsAwayIsNotTheUsersFault(t *testing.T) {
	t.Parallel()
	i := install(t)
	d := i.InteractionsDataset()
	job := i.ImportJob(d, "full", mode.ImportFull, retrainertest.InteractionsCSV(200))
	away, err := blob.Open(blob.Config{Endpoint: "http://127.0.0.1:1", AccessKey: "test", SecretKey: "test-secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(away.Close)
	importer := i.importer()
	importer.Source = away
	request, err := importer.request(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = dataset.Import(t.Context(), request); err == nil {
		t.Fatal("it imported from a store that is away")
	}
	if _, fault := dataset.Reason(err); fault {
		t.Errorf("the user is blamed: %v", err)
	}
	// Trying again ends with the job.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := importer.importPatiently(ctx, request); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
