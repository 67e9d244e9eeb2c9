package eval

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestPlotsShowTheReport(t *testing.T) {
	t.Parallel()
	ts := shop(t, 200, always(10), func(u, k int) string { return fmt.Sprint(2*((u*7+k*k)%30) + u%2) })
	report := run(t, mustRecipe(t, "aws-user-personalization"), ts, 2)
	plots := report.Plots(`aws-user-personalization of <"shop" & co>`)
	if len(plots) != 2 {
		t.Fatalf("%d plots", len(plots))
	}
	for _, p := range plots {
		elements := svg(t, p)
		if elements["title"] != 1 || elements["rect"] < 3 {
			t.Errorf("%s has %v", p.Name, elements)
		}
		switch p.Name {
		case "metrics.svg":
			for metric := range report.Metrics {
				if !strings.Contains(string(p.SVG), ">"+metric+"<") {
					t.Errorf("%s does not show %s", p.Name, metric)
				}
			}
			mean := fmt.Sprintf(">%.4f<", report.Metrics["precision_at_10"])
			if !strings.Contains(string(p.SVG), mean) {
				t.Errorf("%s does not show %s", p.Name, mean)
			}
		case "list-length.svg":
			if elements["polyline"] != 12 {
				t.Errorf("%s has %d curves", p.Name, elements["polyline"])
			}
		}
	}
	for k, again := range report.Plots(`aws-user-personalization of <"shop" & co>`) {
		if !bytes.Equal(again.SVG, plots[k].SVG) {
			t.Errorf("%s is drawn otherwise the second time", again.Name)
		}
	}
}

func TestPlotsOfLittle(t *testing.T) {
	t.Parallel()
	for name, report := range map[string]Report{
		"nothing":          {},
		"no test users":    run(t, mustRecipe(t, "aws-popularity-count"), shop(t, 3, always(1), own), 1),
		"what trends":      {Metrics: Metrics{trendAccuracy: 0.5}, Popularity: Metrics{trendAccuracy: 0}},
		"values above all": {Metrics: Metrics{"coverage": 1}},
	} {
		for _, p := range report.Plots(name) {
			svg(t, p)
			if strings.Contains(string(p.SVG), "NaN") || strings.Contains(string(p.SVG), "Inf") {
				t.Errorf("%s: %s is drawn at no place", name, p.Name)
			}
		}
	}
}

// svg checks that a plot is well-formed, and counts its elements.
func svg(t *testing.T, p Plot) map[string]int {
	t.Helper()
	elements := map[string]int{}
	for decoder := xml.NewDecoder(bytes.NewReader(p.SVG)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
		}
	}
}

func TestLinesAreInOrder(t *testing.T) {
	t.Parallel()
	report := Report{
		Metrics:    Metrics{"coverage": 1, "precision_at_10": 0.1, "precision_at_5": 0.2, "another": 0.3},
		Popularity: Metrics{"coverage": 0.5},
	}
	var names []string
	for _, l := range report.Lines() {
		names = append(names, l.Metric)
		if l.PopularityKnown != (l.Metric == "coverage") || l.Sure {
			t.Errorf("%+v", l)
		}
	}
	if want := []string{"precision_at_5", "precision_at_10", "coverage", "another"}; !slices.Equal(names, want) {
		t.Errorf("%v", names)
	}
}
