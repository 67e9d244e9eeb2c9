package main

import (
	"fmt"
	"math"
	"strings"
)

// page is the table of a split in Markdown, with the goals and the anchors below it.
func page(s split, results []result) string {
	var text strings.Builder
	users := 0
	for _, r := range results {
		users = max(users, r.Users)
	}
	fmt.Fprintf(&text, "### %s, %s (%d test users)\n\n", s.set, strings.ToUpper(s.protocol), users)
	names := columns[s.protocol]
	row(&text, "", headingsOf(names), "training, CPU s", "training, wall s", "command, CPU s", "peak MiB")
	text.WriteString("|" + strings.Repeat("---|", len(names)+5) + "\n")
	for _, r := range results {
		if r.Failed != "" {
			fmt.Fprintf(&text, "| `%s` | failed: %s |\n", r.Trained, r.Failed)
			continue
		}
		row(&text, "`"+r.Trained+"`", r.cells(names),
			fmt.Sprintf(
				"%.1f", r.TrainCPUSeconds,
			), fmt.Sprintf("%.1f", r.TrainSeconds), fmt.Sprintf("%.1f", r.CPUSeconds), fmt.Sprint(r.PeakBytes>>20))
	}
	for _, a := range anchors {
		if a.set == s.set && a.protocol == s.protocol {
			spent := "–"
			if v, ok := a.metrics[cpu]; ok {
				spent = fmt.Sprintf("%.0f", v)
			}
			row(&text, "*"+a.name+"*", result{Metrics: a.metrics}.cells(names), "–", "–", spent, "–")
		}
	}
	text.WriteString("\n")
	for _, g := range goals {
		if g.set == s.set && g.protocol == s.protocol {
			text.WriteString(g.verdict(results))
		}
	}
	for _, source := range sources(s) {
		text.WriteString(source)
	}
	return text.String() + "\n"
}

func headingsOf(metrics []string) []string {
	texts := make([]string, len(metrics))
	for k, m := range metrics {
		texts[k] = headings[m]
	}
	return texts
}

func row(text *strings.Builder, name string, cells []string, more ...string) {
	fmt.Fprintf(text, "| %s | %s | %s |\n", name, strings.Join(cells, " | "), strings.Join(more, " | "))
}

// cells are a result's metrics. A share of users who hit has a standard error that follows from it; for the other
// metrics evaluate.py does not say.
func (r result) cells(metrics []string) []string {
	texts := make([]string, len(metrics))
	for k, m := range metrics {
		v, ok := r.Metrics[m]
		switch {
		case !ok:
			texts[k] = "–"
		case strings.HasPrefix(m, "hit@") && r.Users > 0:
			texts[k] = fmt.Sprintf("%.4f ± %.4f", v, math.Sqrt(v*(1-v)/float64(r.Users)))
		default:
			texts[k] = fmt.Sprintf("%.4f", v)
		}
	}
	return texts
}

// line is a result for who waits for the next.
func (r result) line() string {
	if r.Failed != "" {
		return fmt.Sprintf("%s %s %s: failed: %s", r.Set, r.Protocol, r.Trained, r.Failed)
	}
	var texts []string
	for k, cell := range r.cells(columns[r.Protocol]) {
		texts = append(texts, headings[columns[r.Protocol][k]]+" "+cell)
	}
	return fmt.Sprintf(
		"%s %s %s: %s; trained in %.1f CPU s, peak %d MiB", r.Set, r.Protocol, r.Trained, strings.Join(texts, ", "),
		r.TrainCPUSeconds, r.PeakBytes>>20,
	)
}

// value is what was reached of a goal; false if it was not measured.
func (g goal) value(results []result) (float64, bool) {
	for _, r := range results {
		if r.Set == g.set && r.Protocol == g.protocol && r.Trained == g.trained {
			return r.of(g.metric)
		}
	}
	return 0, false
}

func (g goal) verdict(results []result) string {
	v, measured := g.value(results)
	if !measured {
		return ""
	}
	word := "**missed**"
	switch {
	case met(g.metric, v, g.aim):
		word = "reached, the aim too"
	case met(g.metric, v, g.must):
		word = "reached"
	}
	return fmt.Sprintf(
		"- `%s` %s: %.4g; must %.4g, aim %.4g: %s\n", g.trained, headings[g.metric], v, g.must, g.aim, word,
	)
}

// misses reports whether something was measured that does not reach what it must.
func misses(results []result) bool {
	for _, g := range goals {
		if v, measured := g.value(results); measured && !met(g.metric, v, g.must) {
			return true
		}
	}
	return false
}

// sources says once where the anchors of a split come from.
func sources(s split) []string {
	var names []string
	of := map[string][]string{}
	for _, a := range anchors {
		if a.set == s.set && a.protocol == s.protocol {
			if of[a.source] == nil {
				names = append(names, a.source)
			}
			of[a.source] = append(of[a.source], a.name)
		}
	}
	var lines []string
	for _, source := range names {
		lines = append(lines, fmt.Sprintf("- *%s*: %s\n", strings.Join(of[source], "; "), source))
	}
	return lines
}
