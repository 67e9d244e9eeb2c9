package training

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/model/stack"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

func TestTrainingPublishesAModelOfEventsThatWereNeverArchived(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	i.Background(i.retrainer(nil).Run)
	for _, r := range recipe.All() {
		if r.Domain != "" || r.NeedsItems || r.Type == recipe.PersonalizedActions {
			continue // trained by recommenders, or on data that is not here
		}
		v := i.Ends(i.Version(i.Solution(r.Name, r.Name, nil), "00000001"))
		if v.Status != status.Active {
			t.Fatalf("%s: %s: %s", r.Name, v.Status, v.FailureReason)
		}
		measured := v.Metrics["precision_at_25"] > 0 && v.Metrics["coverage"] > 0
		if r.Type == recipe.UserSegmentation {
			_, measured = v.Metrics["recall_at_1_percent"]
		} else if r.Name == "aws-trending-now" {
			measured = len(v.Metrics) > 0
		}
		if !measured || v.TrainingHours <= 0 || v.Progress != 1 {
			t.Errorf("%s: metrics %v, %v hours, progress %v", r.Name, v.Metrics, v.TrainingHours, v.Progress)
		}
		loaded, err := modelstore.Load(t.Context(), i.Bucket, v.ManifestKey, "")
		if err != nil {
			t.Fatal(err)
		}
		if loaded.ModelID != v.ModelID || loaded.Recipe != r || loaded.Manifest.DataCut.Interactions != 240 || loaded.Model.Items().Len() != 20 {
			t.Errorf("%s: published %+v", r.Name, loaded.Manifest)
		}
	}
}

func TestTrainingFailsWithTheUsersReason(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(30, "click")
	i.PutEvents(5, "buy")
	i.Background(i.retrainer(nil).Run)
	threshold := "high"
	for name, c := range map[string]struct {
		change func(*catalog.Solution)
		reason string
	}{
		"too few of the type": {
			change: func(s *catalog.Solution) { s.EventType = "buy" },
			reason: "Dataset has fewer than 100 interactions after filtering by event type: buy",
		},
		"unknown recipe": {
			change: func(s *catalog.Solution) { s.RecipeARN = "arn:aws:personalize:::recipe/aws-none" },
			reason: "aws-none is not supported",
		},
		"parameter out of range": {
			change: func(s *catalog.Solution) {
				s.Config = &personalize.SolutionConfig{AlgorithmHyperParameters: map[string]string{"hidden_dimension": "1"}}
			},
			reason: "hidden_dimension",
		},
		"threshold": {
			change: func(s *catalog.Solution) { s.Config = &personalize.SolutionConfig{EventValueThreshold: &threshold} },
			reason: "eventValueThreshold",
		},
	} {
		v := i.Ends(i.Version(i.Solution(strings.ReplaceAll(name, " ", "-"), "aws-user-personalization", c.change), "00000001"))
		if v.Status != status.CreateFailed || !strings.Contains(v.FailureReason, c.reason) {
			t.Errorf("%s: %s: %q", name, v.Status, v.FailureReason)
		}
	}
}

// TestSameDataAndSeedGiveTheSameModel trains every recipe twice, in processes with different numbers of threads.
func TestSameDataAndSeedGiveTheSameModel(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	trained := map[string][]*catalog.SolutionVersion{}
	solutions := map[string]*catalog.Solution{}
	for run, threads := range []int{1, 3} {
		stop := i.Background(i.retrainer(func(c *Config) { c.Threads = threads }).Run)
		for _, r := range recipe.All() {
			if r.Domain != "" || r.NeedsItems || r.Type == recipe.PersonalizedActions {
				continue // trained by recommenders, or on data that is not here
			}
			if solutions[r.Name] == nil {
				solutions[r.Name] = i.Solution(r.Name, r.Name, nil)
			}
			trained[r.Name] = append(trained[r.Name], i.Ends(i.Version(solutions[r.Name], fmt.Sprintf("0000000%d", run))))
		}
		stop()
	}
	for name, v := range trained {
		if v[0].ModelID == "" || v[0].ModelID != v[1].ModelID {
			t.Errorf("%s: models %q and %q", name, v[0].ModelID, v[1].ModelID)
		}
		reports := make([]*QualityReport, 2)
		for k := range v {
			var err error
			if reports[k], _, err = ReadQualityReport(t.Context(), i.Bucket, v[k].ReportFolder); err != nil {
				t.Fatal(err)
			}
			reports[k].SolutionVersion = ""
		}
		if diff := cmp.Diff(reports[0], reports[1]); diff != "" {
			t.Errorf("%s: reports differ:\n%s", name, diff)
		}
	}
}

func TestATrainingReportsItsQuality(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	i.Background(i.retrainer(nil).Run)
	v := i.Ends(i.Version(i.Solution("taste", "aws-user-personalization", nil), "00000001"))
	if want := fmt.Sprintf("models/taste/00000001/report-%s", v.ModelID); v.ReportFolder != want {
		t.Errorf("the report is in %q, want %q", v.ReportFolder, want)
	}
	report, files, err := ReadQualityReport(t.Context(), i.Bucket, v.ReportFolder)
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, []string{"list-length.svg", "metrics.svg", "report.json"}) {
		t.Errorf("the report has %v", names)
	}
	if diff := cmp.Diff(map[string]float64(report.Metrics), v.Metrics); diff != "" {
		t.Errorf("the report's metrics are not the version's:\n%s", diff)
	}
	if len(v.Metrics) != 8 {
		t.Errorf("clients see %v: Personalize's eight names are expected, and no others", v.Metrics)
	}
	if report.ModelID != v.ModelID || report.Interactions != 240 || report.Users != 40 || report.Items != 20 || report.TestUsers == 0 ||
		report.Detail == nil || report.HyperParameters["hidden_dimension"] == "" {
		t.Errorf("report %+v", report)
	}
	// 240 interactions train no network, and there are no items to have content.
	want := []string{"ease", "factors", "log ease", "log neighbours", "log ridge", "log rules", "neighbours", stack.Popularity, stack.PopularityDepth,
		stack.Repetition, stack.Recency, "ridge", "rules"}
	slices.Sort(want)
	if names := slices.Sorted(maps.Keys(report.Weights)); !slices.Equal(names, want) {
		t.Errorf("the report has the weights of %q, want %q", names, want)
	}
	if counted := weightsOf(i.model(v).Model); !maps.Equal(report.Weights, counted) || len(slices.Compact(slices.Sorted(maps.Values(counted)))) < 2 {
		t.Errorf("the report's weights are %v, the model's %v", report.Weights, counted)
	}
	if !v.ExpectedEnd.IsZero() {
		t.Errorf("a training that has ended is expected to end at %v", v.ExpectedEnd)
	}
	if info, err := i.Bucket.Head(t.Context(), v.ReportFolder+"/metrics.svg"); err != nil || info.Size == 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestAModelWithoutWeightsReportsNone(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	i.Background(i.retrainer(nil).Run)
	v := i.Ends(i.Version(i.Solution("related", "aws-sims", nil), "00000001"))
	report, files, err := ReadQualityReport(t.Context(), i.Bucket, v.ReportFolder)
	if err != nil {
		t.Fatal(err)
	}
	if report.Weights != nil || strings.Contains(string(files["report.json"]), "weights") {
		t.Errorf("the report is %s", files["report.json"])
	}
}
