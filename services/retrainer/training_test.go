package retrainer

import (
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
)

func TestTrainingPublishesAModelOfEventsThatWereNeverArchived(t *testing.T) {
	i := install(t)
	i.events(40, "click")
	i.background(i.retrainer(nil).Run)
	for _, r := range recipe.All() {
		if r.Domain != "" || r.NeedsItems || r.Type == recipe.PersonalizedActions {
			continue // trained by recommenders, or on data that is not here
		}
		v := i.ends(i.version(i.solution(r.Name, r.Name, nil), "00000001"))
		if v.Status != catalog.StatusActive {
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
		loaded, err := modelstore.Load(t.Context(), i.bucket, v.ManifestKey, "")
		if err != nil {
			t.Fatal(err)
		}
		if loaded.ModelID != v.ModelID || loaded.Recipe != r || loaded.Manifest.DataCut.Interactions != 240 || loaded.Model.Items().Len() != 20 {
			t.Errorf("%s: published %+v", r.Name, loaded.Manifest)
		}
	}
}

func TestTrainingFailsWithTheUsersReason(t *testing.T) {
	i := install(t)
	i.events(30, "click")
	i.events(5, "buy")
	i.background(i.retrainer(nil).Run)
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
		v := i.ends(i.version(i.solution(strings.ReplaceAll(name, " ", "-"), "aws-user-personalization", c.change), "00000001"))
		if v.Status != catalog.StatusCreateFailed || !strings.Contains(v.FailureReason, c.reason) {
			t.Errorf("%s: %s: %q", name, v.Status, v.FailureReason)
		}
	}
}

func TestSameDataAndSeedGiveTheSameModel(t *testing.T) {
	i := install(t)
	i.events(40, "click")
	i.background(i.retrainer(nil).Run)
	s := i.solution("taste", "aws-user-personalization", nil)
	first, second := i.ends(i.version(s, "00000001")), i.ends(i.version(s, "00000002"))
	if first.ModelID == "" || first.ModelID != second.ModelID {
		t.Errorf("models %q and %q", first.ModelID, second.ModelID)
	}
}
