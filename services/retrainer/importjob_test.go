package retrainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/datadoctor"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

const eventsDocument = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
	{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`

// interactionsDataset creates an Interactions dataset and its schema.
func (i *installation) interactionsDataset() *catalog.Dataset {
	i.Helper()
	s := &catalog.Schema{Metadata: retrainertest.Active(retrainertest.Account+"schema/events", "events"), Document: eventsDocument}
	retrainertest.Create(i.Installation, s)
	d := &catalog.Dataset{
		Metadata: retrainertest.Active(retrainertest.Account+"dataset/shop/INTERACTIONS", "events"), DatasetGroupARN: i.Group.ARN, DatasetType: "INTERACTIONS", SchemaARN: s.ARN,
	}
	retrainertest.Create(i.Installation, d)
	return d
}

// importJob puts a file and creates the job that imports it.
func (i *installation) importJob(d *catalog.Dataset, name, mode, content string) *catalog.DatasetImportJob {
	i.Helper()
	if _, err := i.Bucket.Put(i.Context(), "in/"+name+".csv", []byte(content), blob.PutOptions{}); err != nil {
		i.Fatal(err)
	}
	job := &catalog.DatasetImportJob{
		Metadata:   catalog.Metadata{ARN: retrainertest.Account + "dataset-import-job/" + name, Name: name, Status: status.CreatePending},
		DatasetARN: d.ARN, DatasetGroupARN: i.Group.ARN, DataLocation: "s3://" + i.Bucket.Name() + "/in/" + name + ".csv", ImportMode: mode,
	}
	retrainertest.Create(i.Installation, job)
	return job
}

// finished waits for the end of an import job.
func (i *installation) finished(s *Service, job *catalog.DatasetImportJob) *catalog.DatasetImportJob {
	i.Helper()
	s.wake()
	var now *catalog.DatasetImportJob
	eventually.Succeeds(i.T, "the import job ends", func() (err error) {
		if now, err = i.Store.DatasetImportJobs.Get(i.Context(), job.ARN); err != nil {
			i.Fatal(err)
		}
		if !now.Finished() {
			return fmt.Errorf("it is %s", now.Status)
		}
		return nil
	})
	return now
}

func (i *installation) datasetVersion(d *catalog.Dataset) int64 {
	i.Helper()
	now, err := i.Store.Datasets.Get(i.Context(), d.ARN)
	if err != nil {
		i.Fatal(err)
	}
	return now.Version
}

func interactionsCSV(rows int) string {
	var b strings.Builder
	b.WriteString("USER_ID,ITEM_ID,TIMESTAMP\n")
	for n := range rows {
		fmt.Fprintf(&b, "u%d,i%d,%d\n", n%10, n%7, n)
	}
	return b.String()
}

func TestImportJobs(t *testing.T) {
	i := install(t)
	d := i.interactionsDataset()
	s := i.retrainer(nil)
	i.Background(s.Run)

	job := i.finished(s, i.importJob(d, "full", catalog.ImportFull, interactionsCSV(200)))
	if job.Status != status.Active || i.datasetVersion(d) != 1 {
		t.Fatalf("%s %q, dataset version %d", job.Status, job.FailureReason, i.datasetVersion(d))
	}
	v, err := dataset.Current(t.Context(), i.Bucket, i.Group.GroupKey(), "INTERACTIONS")
	if err != nil || v.Rows != 200 || v.Number != 1 {
		t.Errorf("version %+v, %v", v, err)
	}
	job = i.finished(s, i.importJob(d, "more", catalog.ImportIncremental, strings.ReplaceAll(interactionsCSV(150), "u", "v")))
	if job.Status != status.Active || i.datasetVersion(d) != 2 {
		t.Fatalf("%s %q, dataset version %d", job.Status, job.FailureReason, i.datasetVersion(d))
	}
	if v, err = dataset.Current(t.Context(), i.Bucket, i.Group.GroupKey(), "INTERACTIONS"); err != nil || v.Rows != 350 {
		t.Errorf("version %+v, %v", v, err)
	}
}

// TestImportJobsAreAnsweredWithWhatTheDataCanTrain imports what is enough for no recipe, and then enough.
func TestImportJobsAreAnsweredWithWhatTheDataCanTrain(t *testing.T) {
	i := install(t)
	d := i.interactionsDataset()
	s := i.retrainer(func(c *Config) { c.MinUsers = 15 })
	i.Background(s.Run)

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
	content := interactionsCSV(200)
	r := report(i.finished(s, i.importJob(d, "full", catalog.ImportFull, content+"u1,i1,1\nu2,i2,32503680000\n")))
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
	r = report(i.finished(s, i.importJob(d, "more", catalog.ImportIncremental, strings.ReplaceAll(content, "u", "v"))))
	if r.Interactions != 401 || r.Users != 20 || r.Finding("TOO_FEW_USERS", "") != nil || r.Errors > 0 {
		t.Errorf("enough users:\n%s", r.Page())
	}
}

func TestImportJobsNameWhatIsWrong(t *testing.T) {
	i := install(t)
	d := i.interactionsDataset()
	s := i.retrainer(nil)
	i.Background(s.Run)
	for name, c := range map[string]struct{ content, want string }{
		"row":     {interactionsCSV(150) + "u,i,soon\n", "/in/row.csv, line 152, column TIMESTAMP: the value is not a long"},
		"few":     {interactionsCSV(99), "has 99 rows; an import of Interactions needs at least 100"},
		"columns": {"USER_ID\n", "Input CSV is missing the following columns:[ITEM_ID, TIMESTAMP]"},
	} {
		job := i.finished(s, i.importJob(d, name, catalog.ImportFull, c.content))
		if job.Status != status.CreateFailed || !strings.Contains(job.FailureReason, c.want) {
			t.Errorf("%s: %s %q, want %q", name, job.Status, job.FailureReason, c.want)
		}
	}
	if v := i.datasetVersion(d); v != 0 {
		t.Errorf("the dataset has version %d", v)
	}
}

func TestAnImportWhoseWorkerDiedIsNotDoneTwice(t *testing.T) {
	i := install(t)
	d := i.interactionsDataset()
	s := i.retrainer(nil)
	job := i.importJob(d, "full", catalog.ImportFull, interactionsCSV(200))
	// The first worker ends after the data was switched and before the catalog knew.
	request, err := s.importRequest(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.Import(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	i.Background(s.Run)
	if job := i.finished(s, job); job.Status != status.Active {
		t.Errorf("%s %q", job.Status, job.FailureReason)
	}
	v, err := dataset.Current(t.Context(), i.Bucket, i.Group.GroupKey(), "INTERACTIONS")
	if err != nil || v.Number != 1 || i.datasetVersion(d) != 1 {
		t.Errorf("version %d, in the catalog %d, %v", v.Number, i.datasetVersion(d), err)
	}
}

func TestImportJobsFailWithoutTheirDataset(t *testing.T) {
	i := install(t)
	d := i.interactionsDataset()
	job := i.importJob(d, "full", catalog.ImportFull, interactionsCSV(200))
	if err := i.Store.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	s := i.retrainer(nil)
	i.Background(s.Run)
	if job := i.finished(s, job); job.Status != status.CreateFailed || !strings.Contains(job.FailureReason, "no longer exists") {
		t.Errorf("%s %q", job.Status, job.FailureReason)
	}
}

func TestAStoreThatIsAwayIsNotTheUsersFault(t *testing.T) {
	i := install(t)
	d := i.interactionsDataset()
	job := i.importJob(d, "full", catalog.ImportFull, interactionsCSV(200))
	away, err := blob.Open(blob.Config{Endpoint: "http://127.0.0.1:1", AccessKey: "test", SecretKey: "test-secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(away.Close)
	s := i.retrainer(func(c *Config) { c.S3 = away })
	request, err := s.importRequest(t.Context(), job)
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
	if _, err := s.importPatiently(ctx, request); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
