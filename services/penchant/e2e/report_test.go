package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/penchant/operator"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
	"github.com/penchant-io/penchant/services/retrainer/training"
)

func TestOperatorsReadTheReportsOfTrainings(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	process := &installation{penchanttest.Start(t, "all", t.TempDir()), t}
	bucket := process.Bucket("penchant")
	const solution = "arn:aws:personalize:us-east-1:000000000000:solution/taste"
	store := catalog.NewStore(bucket, nil)
	for _, v := range []*catalog.SolutionVersion{
		{Metadata: catalog.Metadata{ARN: solution + "/00000001", Status: status.Active}},
		{Metadata: catalog.Metadata{ARN: solution + "/00000002", Status: status.Active}},
		{Metadata: catalog.Metadata{ARN: solution + "/00000003", Status: status.CreateFailed}},
	} {
		v.SolutionARN = solution
		if v.Status == status.Active {
			report := training.QualityReport{SolutionVersion: v.ARN, Recipe: "aws-sims", ModelID: "m",
				Report: eval.Report{
					Metrics:    eval.Metrics{"coverage": 0.25, "precision_at_5": 0.5},
					Popularity: eval.Metrics{"precision_at_5": 0.125}, TestUsers: 7,
				}}
			text, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string][]byte{"report.json": text}
			for _, p := range report.Plots("aws-sims") {
				files[p.Name] = p.SVG
			}
			if v.ReportFolder, err = modelstore.PublishReport(t.Context(), bucket, v.ARN, "m", files); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Create(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	folder := filepath.Join(t.TempDir(), "new")
	newest := decoded[operator.Quality](process, 0, "report", "taste", "--save", folder)
	if newest.SolutionVersion != solution+"/00000002" || newest.Metrics["precision_at_5"] != 0.5 ||
		newest.TestUsers != 7 {
		t.Errorf("the solution's newest report: %+v", newest.QualityReport)
	}
	if want := []string{filepath.Join(folder, "metrics.svg"),
		filepath.Join(folder, "report.json")}; !slices.Equal(newest.Saved, want) {
		t.Errorf("saved %v, want %v", newest.Saved, want)
	}
	if plot, err := os.ReadFile(filepath.Join(folder, "metrics.svg")); err != nil ||
		!strings.HasPrefix(string(plot), "<svg") {
		t.Errorf("the plot begins with %.20q: %v", plot, err)
	}
	page := process.penchant(0, "report", solution+"/00000001").stdout
	for _, want := range []string{solution + "/00000001", "precision_at_5", "0.5000", "0.1250", "coverage"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page:\n%s", want, page)
		}
	}
	if o := process.penchant(2, "report", solution+"/00000003"); !strings.Contains(o.stderr, "CREATE FAILED") {
		t.Errorf("a version without a report: %s", o.stderr)
	}
	if o := process.penchant(2, "report", "nothing"); !strings.Contains(o.stderr, `"nothing"`) {
		t.Errorf("an unknown solution: %s", o.stderr)
	}
}
