package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestATableHoldsResultsAnchorsAndVerdicts(t *testing.T) {
	t.Parallel()
	s := split{set: "ml-1m", protocol: "p1"}
	results := []result{
		{
			Set: "ml-1m", Protocol: "p1", Trained: defaultRecipe, Users: 6040, CPUSeconds: 59, PeakBytes: 5 << 30,
			Metrics: map[string]float64{"hit@10": 0.32, "ndcg@10": 0.185},
		},
		{Set: "ml-1m", Protocol: "p1", Trained: "aws-sims", Failed: "exit status 1"},
	}
	text := page(s, results)
	for _, want := range []string{
		"### ml-1m, P1 (6040 test users)", "| `aws-user-personalization` | 0.3200 ± 0.0060 | 0.1850 | – |",
		"| `aws-sims` | failed: exit status 1 |",
		"| *EASE* | 0.1100 |", "HR@10: 0.32; must 0.316, aim 0.335: reached\n",
		"NDCG@10: 0.185; must 0.186, aim 0.2: **missed**\n",
		"CPU seconds: 59; must 300, aim 60: reached, the aim too\n", "peak GiB: 5; must 4, aim 1.5: **missed**\n",
		"arXiv 2309.07602",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the table:\n%s", want, text)
		}
	}
	if strings.Contains(text, "toys") || strings.Contains(text, "`aws-hrnn`") {
		t.Errorf("the table holds what was not measured:\n%s", text)
	}
	if !misses(results) {
		t.Error("nothing is missed")
	}
	if results[0].Metrics["ndcg@10"], results[0].PeakBytes = 0.2, 1<<30; misses(results) {
		t.Error("something is missed")
	}
}

func TestAnchorsAndGoalsNameWhatThereIs(t *testing.T) {
	t.Parallel()
	known := append(recipes(), "ials")
	for _, g := range goals {
		if !slices.Contains(known, g.trained) || columns[g.protocol] == nil || headings[g.metric] == "" ||
			!met(g.metric, g.aim, g.must) {
			t.Errorf("%+v", g)
		}
		if g.metric != cpu && g.metric != memory && !slices.Contains(columns[g.protocol], g.metric) {
			t.Errorf("the table of %s does not show %s", g.protocol, g.metric)
		}
	}
	for _, a := range anchors {
		if a.source == "" || columns[a.protocol] == nil ||
			len(result{Metrics: a.metrics}.cells(columns[a.protocol])) == 0 {
			t.Errorf("%+v", a)
		}
	}
}

func TestWithoutTheDataNothingIsMeasured(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	missed, err := run(t.Context(), options{shared: t.TempDir(), out: out, sets: "ml-1m", protocols: "p1"})
	if missed || err != nil {
		t.Error(missed, err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
}
