package attribution_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/attribution"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]attribution.Expression{
		"SAMPLECOUNT()":                    {Function: attribution.SampleCount},
		" samplecount ( ) ":                {Function: attribution.SampleCount},
		"SUM(Items.PRICE)":                 {Function: attribution.Sum, Dataset: schema.Items, Column: "PRICE"},
		"sum( interactions . EVENT_VALUE)": {Function: attribution.Sum, Dataset: schema.Interactions, Column: "EVENT_VALUE"},
	} {
		if got, err := attribution.Parse(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "SAMPLECOUNT", "SAMPLECOUNT(x)", "SUM()", "SUM(PRICE)", "SUM(Users.AGE)", "SUM(Items.PRICE) + 1", "AVG(Items.PRICE)", "SUM(Items.PRICE", "SUM(Items.A.B)"} {
		if got, err := attribution.Parse(text); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	schemas := map[string]*schema.Schema{"ITEMS": {Type: schema.Items, Fields: []schema.Field{{Name: "PRICE", Kind: schema.Float}, {Name: "GENRES", Kind: schema.String}}}}
	for text, want := range map[string]string{
		"SAMPLECOUNT()": "", "SUM(items.price)": "",
		"SUM(Items.GENRES)": "not numeric", "SUM(Items.NOPE)": "no column NOPE", "SUM(Interactions.EVENT_VALUE)": "no Interactions dataset",
	} {
		expression, err := attribution.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := expression.Check(schemas); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func metrics(t *testing.T) []attribution.Metric {
	t.Helper()
	var list []attribution.Metric
	for _, m := range []struct{ name, eventType, expression string }{
		{"clicks", "click", "SAMPLECOUNT()"}, {"revenue", "buy", "SUM(Items.price)"}, {"value", "buy", "SUM(Interactions.EVENT_VALUE)"}, {"seconds", "watch", "SUM(Interactions.Seconds)"},
	} {
		expression, err := attribution.Parse(m.expression)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, attribution.Metric{Name: m.name, EventType: m.eventType, Expression: expression})
	}
	return list
}

func interaction(id, eventType, item string) *reco.Interaction {
	return &reco.Interaction{EventID: id, EventType: eventType, ItemID: item, TimestampMS: noon.UnixMilli(), Origin: reco.Origin{Arrival: noon.Add(time.Second)}}
}

func TestReports(t *testing.T) {
	t.Parallel()
	totals := attribution.NewTotals(metrics(t))
	add := func(at time.Time, change func(*reco.Interaction), i *reco.Interaction) {
		if change != nil {
			change(i)
		}
		totals.Add(attribution.Begin(at), i)
	}
	add(noon, nil, interaction("1", "Click", "a"))
	add(noon, nil, interaction("1", "click", "a")) // a repeat
	add(noon, func(i *reco.Interaction) { i.RecommendationID = "RID-1" }, interaction("2", "click", "a"))
	add(noon, func(i *reco.Interaction) { i.RecommendationID, i.EventAttributionSource = "RID-1", "mail" }, interaction("3", "click", "b"))
	add(noon, func(i *reco.Interaction) { i.RecommendationID = "RID-forgotten" }, interaction("4", "click", "b"))
	add(noon, func(i *reco.Interaction) { i.EventValue = new(2.5) }, interaction("5", "buy", "a"))
	add(noon, nil, interaction("6", "buy", "b"))
	add(noon, nil, interaction("7", "buy", "unknown"))
	add(noon, func(i *reco.Interaction) { i.Properties = map[string]any{"SECONDS": int64(90)} }, interaction("8", "watch", "a"))
	add(noon, nil, interaction("9", "scroll", "a"))
	add(noon, func(i *reco.Interaction) { i.TimestampMS = noon.AddDate(0, 0, -15).UnixMilli() }, interaction("10", "click", "a"))
	add(noon.Add(31*time.Minute), nil, interaction("11", "click", "a"))

	if got := fmt.Sprint(totals.Recommendations(), totals.Items()); got != "map[RID-1:true RID-forgotten:true] map[a:true b:true unknown:true]" {
		t.Errorf("to be looked up: %s", got)
	}
	reports := totals.Reports(map[string]string{"RID-1": "arn:campaign"}, map[string]map[string]any{"a": {"PRICE": 9.5}, "b": {"PRICE": int64(3)}})
	if len(reports) != 2 || !reports[0].Begin.Equal(noon) || !reports[1].Begin.Equal(noon.Add(30*time.Minute)) {
		t.Fatalf("got %+v", reports)
	}
	const want = `METRIC_NAME,EVENT_TYPE,VALUE,MATH_FUNCTION,EVENT_ATTRIBUTION_SOURCE,TIMESTAMP
clicks,click,2,samplecount,SOURCE_NAME_UNDEFINED,1777636800
clicks,click,1,samplecount,arn:campaign,1777636800
clicks,click,1,samplecount,mail,1777636800
revenue,buy,12.5,sum,SOURCE_NAME_UNDEFINED,1777636800
value,buy,2.5,sum,SOURCE_NAME_UNDEFINED,1777636800
seconds,watch,90,sum,SOURCE_NAME_UNDEFINED,1777636800
`
	if got := string(attribution.CSV(reports[0])); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := attribution.FileName(attribution.Streamed, noon); got != "AggregatedAttributionMetrics - PutEvents - 1777636800.csv" {
		t.Errorf("got %s", got)
	}
}

func TestImportedRowsHaveNoEventIDs(t *testing.T) {
	t.Parallel()
	totals := attribution.NewTotals(metrics(t))
	totals.Add(noon, interaction("", "click", "a"))
	totals.Add(noon, interaction("", "click", "b"))
	totals.Add(noon.Add(attribution.Window), interaction("", "click", "b"))
	const want = `METRIC_NAME,EVENT_TYPE,VALUE,MATH_FUNCTION,EVENT_ATTRIBUTION_SOURCE,TIMESTAMP
clicks,click,2,samplecount,SOURCE_NAME_UNDEFINED,1777636800
clicks,click,1,samplecount,SOURCE_NAME_UNDEFINED,1777637700
`
	if got := string(attribution.CSV(totals.Reports(nil, nil)...)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSourcesAreBounded(t *testing.T) {
	t.Parallel()
	totals := attribution.NewTotals(metrics(t))
	for n := range attribution.MaxSources + 2 {
		for k := range 1 + n%2 { // those of even number have one click
			i := interaction(fmt.Sprint(n, "-", k), "click", "a")
			i.EventAttributionSource = fmt.Sprintf("source-%03d", n)
			totals.Add(noon, i)
		}
	}
	reports := totals.Reports(nil, nil)
	if len(reports) != 1 || reports[0].LeftOut != 2 {
		t.Fatalf("got %+v", reports)
	}
	content := string(attribution.CSV(reports[0]))
	if lines := strings.Count(content, "\n"); lines != attribution.MaxSources+1 || strings.Contains(content, "source-100") || !strings.Contains(content, "source-101") {
		t.Errorf("%d lines:\n%s", lines, content)
	}
}
