package operator

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/services/retrainer/training"
)

func TestStatusSaysHowLongAJobTakesStill(t *testing.T) {
	t.Parallel()
	now := time.Now()
	end := now.Add(90 * time.Second)
	status := Status{At: now, DatasetGroups: []GroupStatus{{Name: "shop", Jobs: []JobStatus{
		{ARN: "known", Status: "CREATE IN_PROGRESS", Progress: 0.25, Created: now, ExpectedEnd: &end},
		{ARN: "early", Status: "CREATE IN_PROGRESS", Progress: 0.05, Created: now},
	}}}}
	page := status.Page()
	for _, want := range []string{"job known: CREATE IN_PROGRESS, 25 %, about 1m30s left, created",
		"job early: CREATE IN_PROGRESS, 5 %, created"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page:\n%s", want, page)
		}
	}
}

func TestReportsShowTheLargestWeightsFirst(t *testing.T) {
	t.Parallel()
	quality := Quality{QualityReport: &training.QualityReport{Recipe: "aws-user-personalization"}}
	if page := quality.Page(); strings.Contains(page, "WEIGHT") {
		t.Errorf("a model without weights has the page\n%s", page)
	}
	quality.Weights = map[string]float64{"rules": 0.25, "network": 1.5, "popularity": -0.75, "ease": 0, "content": 0.25}
	page := quality.Page()
	_, table, _ := strings.Cut(page, "PART OF THE MODEL  WEIGHT\n")
	var rows []string
	for line := range strings.Lines(table) {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	if want := []string{"network +1.500", "popularity -0.750", "content +0.250", "rules +0.250",
		"ease +0.000"}; !slices.Equal(rows, want) {
		t.Errorf("the weights are shown as %q, want %q, on the page\n%s", rows, want, page)
	}
}
