package eval

import (
	"encoding/xml"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Plot is a drawing of a report.
type Plot struct {
	// Name is that of a file.
	Name string
	SVG  []byte
}

// Plots draws the report of what the title names: the metrics beside those of popularity, with their intervals, and
// where there is a Detail what lists of each length are worth. The same report gives the same bytes.
//
// They are written as SVG directly: lines, bars and texts at places are all there is to them, and the SVG of gonum/plot
// comes with libraries under licences that this project does not link (svgo's CC BY, freetype's own).
func (r Report) Plots(title string) []Plot {
	plots := []Plot{{"metrics.svg", r.bars(title)}}
	if r.Detail != nil {
		plots = append(plots, Plot{"list-length.svg", r.panels(title)})
	}
	return plots
}

// order is that of the metrics in tables and plots; others follow by name.
var order = []string{
	"mean_reciprocal_rank_at_25",
	"normalized_discounted_cumulative_gain_at_5", "normalized_discounted_cumulative_gain_at_10",
	"normalized_discounted_cumulative_gain_at_25",
	"precision_at_5", "precision_at_10", "precision_at_25", "hit_rate_at_5", "hit_rate_at_10", "hit_rate_at_25",
	"serendipity_at_5", "serendipity_at_10", "serendipity_at_25", "coverage",
}

// Line is one metric of a report. Popularity has a value where PopularityKnown says so, the intervals are more than the
// mean where Sure does, and Lead is known where Leads does.
type Line struct {
	Metric                       string
	Model, Popularity, Lead      Interval
	PopularityKnown, Sure, Leads bool
}

// Lines are the metrics of a report in the order in which people read them.
func (r Report) Lines() []Line {
	of := map[string]Line{}
	for metric, v := range r.Metrics {
		l := Line{Metric: metric, Model: Interval{v, v, v}}
		if p, known := r.Popularity[metric]; known {
			l.Popularity, l.PopularityKnown = Interval{p, p, p}, true
		}
		of[metric] = l
	}
	if r.Detail != nil {
		for metric, i := range r.Detail.Model.Confidence {
			l := Line{Metric: metric, Model: i, Sure: true}
			l.Popularity, l.PopularityKnown = r.Detail.Popularity.Confidence[metric]
			l.Lead, l.Leads = r.Detail.Lead[metric]
			of[metric] = l
		}
	}
	place := func(metric string) int {
		if k := slices.Index(order, metric); k >= 0 {
			return k
		}
		return len(order)
	}
	names := slices.Sorted(maps.Keys(of))
	slices.SortStableFunc(names, func(a, b string) int { return place(a) - place(b) })
	lines := make([]Line, len(names))
	for k, name := range names {
		lines[k] = of[name]
	}
	return lines
}

// The look of the plots.
const (
	modelColour, popularityColour = "#1f5fa8", "#b5b5b5"
	width                         = 760
	textSize                      = 12
)

// drawing is an SVG that grows.
type drawing struct{ svg strings.Builder }

func newDrawing(height int, title string) *drawing {
	d := &drawing{}
	fmt.Fprintf(
		&d.svg,
		`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="%d">`+"\n",
		width, height, width, height, textSize,
	)
	fmt.Fprintf(&d.svg, `<title>%s</title>`+"\n", escaped(title))
	fmt.Fprintf(&d.svg, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	d.text(16, 24, "start", title)
	d.rect(16, 36, 12, 10, modelColour)
	d.text(34, 45, "start", "model")
	d.rect(96, 36, 12, 10, popularityColour)
	d.text(114, 45, "start", "popularity")
	return d
}

func (d *drawing) end() []byte {
	d.svg.WriteString("</svg>\n")
	return []byte(d.svg.String())
}

func (d *drawing) text(x, y float64, anchor, text string) {
	fmt.Fprintf(&d.svg, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, escaped(text))
}

func (d *drawing) rect(x, y, w, h float64, colour string) {
	fmt.Fprintf(&d.svg, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, w, h, colour)
}

func (d *drawing) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(&d.svg, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, colour)
}

func (d *drawing) path(points [][2]float64, colour string) {
	texts := make([]string, len(points))
	for k, p := range points {
		texts[k] = fmt.Sprintf("%.1f,%.1f", p[0], p[1])
	}
	fmt.Fprintf(
		&d.svg, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(texts, " "),
		colour,
	)
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes all
	return b.String()
}

// bars draws two bars for each metric, and a whisker for what is known of where its mean lies.
func (r Report) bars(title string) []byte {
	const left, right, top, step, thick = 330.0, 70.0, 64.0, 34.0, 12.0
	lines := r.Lines()
	d := newDrawing(int(top+step*float64(len(lines)))+16, fmt.Sprintf("%s, %d test users", title, r.TestUsers))
	limit := 0.0
	for _, l := range lines {
		limit = max(limit, l.Model.High, l.Popularity.High)
	}
	scale := (width - left - right) / nice(limit)
	bar := func(y float64, i Interval, sure bool, colour string) {
		d.rect(left, y, max(i.Mean, 0)*scale, thick, colour)
		end := i.Mean
		if sure {
			middle := y + thick/2
			d.line(left+i.Low*scale, middle, left+i.High*scale, middle, "black")
			d.line(left+i.Low*scale, middle-3, left+i.Low*scale, middle+3, "black")
			d.line(left+i.High*scale, middle-3, left+i.High*scale, middle+3, "black")
			end = i.High
		}
		d.text(left+end*scale+6, y+thick-2, "start", fmt.Sprintf("%.4f", i.Mean))
	}
	for k, l := range lines {
		y := top + step*float64(k)
		d.text(left-10, y+thick+4, "end", l.Metric)
		bar(y, l.Model, l.Sure, modelColour)
		if l.PopularityKnown {
			bar(y+thick+1, l.Popularity, l.Sure, popularityColour)
		}
	}
	d.line(left, top-4, left, top+step*float64(len(lines)), "black")
	return d.end()
}

// nice is a round number that is not below v, for the end of an axis.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 2.5, 5} {
		if v <= step*unit*(1+1e-9) {
			return step * unit
		}
	}
	return 10 * unit
}

// panels draws each value of AtLength over the length of the list.
func (r Report) panels(title string) []byte {
	const top, columns, high, wide, gap = 64.0, 3, 150.0, 200.0, 48.0
	kinds := []struct {
		name string
		of   func(AtLength) float64
	}{
		{"hit rate", func(a AtLength) float64 { return a.HitRate }},
		{"precision", func(a AtLength) float64 { return a.Precision }},
		{"recall", func(a AtLength) float64 { return a.Recall }},
		{"NDCG", func(a AtLength) float64 { return a.Gain }},
		{"serendipity", func(a AtLength) float64 { return a.Serendipity }},
		{"coverage", func(a AtLength) float64 { return a.Coverage }},
	}
	rows := (len(kinds) + columns - 1) / columns
	d := newDrawing(int(top+float64(rows)*(high+gap))+8, title+", by the length of the list")
	for k, kind := range kinds {
		x, y := 48+float64(k%columns)*(wide+36), top+18+float64(k/columns)*(high+gap)
		limit := 0.0
		for _, side := range [][]AtLength{r.Detail.Model.ByLength, r.Detail.Popularity.ByLength} {
			for _, a := range side {
				limit = max(limit, kind.of(a))
			}
		}
		limit = nice(limit)
		curve := func(side []AtLength) (points [][2]float64) {
			for _, a := range side {
				points = append(
					points, [2]float64{x + wide*float64(a.Length-1)/(listLength-1), y + high*(1-kind.of(a)/limit)},
				)
			}
			return points
		}
		d.text(x, y-6, "start", kind.name)
		d.line(x, y, x, y+high, "black")
		d.line(x, y+high, x+wide, y+high, "black")
		d.text(x-4, y+8, "end", fmt.Sprintf("%.3g", limit))
		d.text(x-4, y+high, "end", "0")
		d.text(x, y+high+14, "middle", "1")
		d.text(x+wide, y+high+14, "middle", fmt.Sprint(listLength))
		d.path(curve(r.Detail.Popularity.ByLength), popularityColour)
		d.path(curve(r.Detail.Model.ByLength), modelColour)
	}
	return d.end()
}
