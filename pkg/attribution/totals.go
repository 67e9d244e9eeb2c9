package attribution

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

const (
	// Window is the span of time of one report.
	Window = 15 * time.Minute
	// UndefinedSource is the source of interactions that name none and followed no known recommendation.
	UndefinedSource = "SOURCE_NAME_UNDEFINED"
	// MaxSources bounds the sources of one report; those with the fewest interactions are left out.
	MaxSources = 100
	// maxAge is how old an interaction may be when it arrives, so as to be counted.
	maxAge = 14 * 24 * time.Hour
)

// Metric is one metric of an attribution.
type Metric struct {
	Name, EventType string
	Expression      Expression
}

// Totals adds up interactions. What an item is worth and where a recommendation came from is looked up once for all, by
// the caller, between Add and Report.
type Totals struct {
	metrics []Metric
	cells   map[cell]*amount
	events  map[string]bool
}

// cell is what is added up separately: in the end one row of a report, but for items and recommendations, which are not
// known yet.
type cell struct {
	window               int64 // begin, seconds
	metric               int
	source               string
	recommendation, item string // where still to be looked up
}

type amount struct {
	interactions int64
	sum          float64 // of the interactions' own column
}

// NewTotals has nothing yet.
func NewTotals(metrics []Metric) *Totals {
	return &Totals{metrics: metrics, cells: map[cell]*amount{}, events: map[string]bool{}}
}

// Begin is when the window that a moment lies in begins.
func Begin(at time.Time) time.Time { return at.UTC().Truncate(Window) }

// Add counts an interaction to a window, unless it was too old when it arrived. Of several with one event id the first
// counts; imported rows have none.
func (t *Totals) Add(window time.Time, i *reco.Interaction) {
	if i.Origin.Arrival.Sub(time.UnixMilli(i.TimestampMS)) > maxAge || i.EventID != "" && t.events[i.EventID] {
		return
	}
	for n, m := range t.metrics {
		if !strings.EqualFold(m.EventType, i.EventType) {
			continue
		}
		if i.EventID != "" {
			t.events[i.EventID] = true
		}
		c := cell{window: window.Unix(), metric: n, source: i.EventAttributionSource}
		if c.source == "" {
			c.recommendation = i.RecommendationID
		}
		value := 0.0
		if m.Expression.Function == Sum && m.Expression.Dataset == schema.Items {
			c.item = i.ItemID
		} else if m.Expression.Function == Sum {
			value = ownValue(i, m.Expression.Column)
		}
		a := t.cells[c]
		if a == nil {
			a = &amount{}
			t.cells[c] = a
		}
		a.interactions++
		a.sum += value
	}
}

func ownValue(i *reco.Interaction, column string) float64 {
	switch {
	case strings.EqualFold(column, "EVENT_VALUE"):
		if i.EventValue == nil {
			return 0
		}
		return *i.EventValue
	case strings.EqualFold(column, "TIMESTAMP"):
		return float64(i.TimestampMS / 1000)
	}
	return Number(i.Properties, column)
}

// Number is a numeric property by its name in any case, 0 where there is none.
func Number(properties map[string]any, column string) float64 {
	value, ok := properties[column]
	if !ok {
		for name, v := range properties {
			if strings.EqualFold(name, column) {
				value = v
			}
		}
	}
	switch v := value.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return 0
}

// Recommendations are the ids of the recommendations whose origin Report asks for.
func (t *Totals) Recommendations() map[string]bool {
	return t.lookups(func(c cell) string { return c.recommendation })
}

// Items are the ids of the items whose columns Report asks for.
func (t *Totals) Items() map[string]bool {
	return t.lookups(func(c cell) string { return c.item })
}

func (t *Totals) lookups(of func(cell) string) map[string]bool {
	ids := map[string]bool{}
	for c := range t.cells {
		if id := of(c); id != "" {
			ids[id] = true
		}
	}
	return ids
}

// Report is what is known of one window.
type Report struct {
	Begin time.Time
	// Rows are the file's, in the order of the metrics and sorted by source.
	Rows [][]string
	// LeftOut counts the sources beyond MaxSources.
	LeftOut int
}

// Reports returns the windows in which something happened, oldest first. sources returns the campaign or recommender of
// a recommendation id, items the properties of an item; either may lack some.
func (t *Totals) Reports(sources map[string]string, items map[string]map[string]any) []Report {
	windows := map[int64]map[row]amount{}
	for c, a := range t.cells {
		source := cmp.Or(c.source, sources[c.recommendation], UndefinedSource)
		rows := windows[c.window]
		if rows == nil {
			rows = map[row]amount{}
			windows[c.window] = rows
		}
		sum := a.sum
		if c.item != "" {
			sum = float64(a.interactions) * Number(items[c.item], t.metrics[c.metric].Expression.Column)
		}
		r := row{c.metric, source}
		total := rows[r]
		rows[r] = amount{total.interactions + a.interactions, total.sum + sum}
	}
	var reports []Report
	for _, begin := range slices.Sorted(maps.Keys(windows)) {
		reports = append(reports, t.report(begin, windows[begin]))
	}
	return reports
}

type row struct {
	metric int
	source string
}

func (t *Totals) report(begin int64, rows map[row]amount) Report {
	report := Report{Begin: time.Unix(begin, 0).UTC(), LeftOut: dropSources(rows)}
	order := slices.SortedFunc(maps.Keys(rows), func(a, b row) int {
		return cmp.Or(cmp.Compare(a.metric, b.metric), strings.Compare(a.source, b.source))
	})
	for _, r := range order {
		m, value := t.metrics[r.metric], rows[r].sum
		if m.Expression.Function == SampleCount {
			value = float64(rows[r].interactions)
		}
		report.Rows = append(report.Rows,
			[]string{m.Name, m.EventType, strconv.FormatFloat(value, 'f', -1, 64), string(m.Expression.Function),
				r.source, strconv.FormatInt(begin, 10)})
	}
	return report
}

// dropSources keeps the sources with the most interactions.
func dropSources(rows map[row]amount) (dropped int) {
	interactions := map[string]int64{}
	for r, a := range rows {
		interactions[r.source] += a.interactions
	}
	if len(interactions) <= MaxSources {
		return 0
	}
	order := slices.SortedFunc(maps.Keys(interactions), func(a, b string) int {
		return cmp.Or(cmp.Compare(interactions[b], interactions[a]), strings.Compare(a, b))
	})
	out := map[string]bool{}
	for _, source := range order[MaxSources:] {
		out[source] = true
	}
	maps.DeleteFunc(rows, func(r row, _ amount) bool { return out[r.source] })
	return len(out)
}

// How interactions came, as the names of files say it.
const (
	Streamed = "PutEvents"
	Imported = "BulkImport"
)

// FileName is the name of a file: of a window's report that begins at a time, or of an import of that time. It follows
// from these alone, so that a file which is written again replaces itself.
func FileName(method string, at time.Time) string {
	return "AggregatedAttributionMetrics - " + method + " - " + strconv.FormatInt(at.Unix(), 10) + ".csv"
}

// CSV is the content of a file with the rows of reports.
func CSV(reports ...Report) []byte {
	var buffer bytes.Buffer
	w := csv.NewWriter(&buffer)
	_ = w.Write([]string{"METRIC_NAME", "EVENT_TYPE", "VALUE", "MATH_FUNCTION", "EVENT_ATTRIBUTION_SOURCE",
		"TIMESTAMP"}) // into memory
	for _, report := range reports {
		_ = w.WriteAll(report.Rows)
	}
	w.Flush()
	return buffer.Bytes()
}
