package results

import (
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/attribution"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
	"github.com/penchant-io/penchant/services/retrainer/transfer"
)

// reporting creates a metric attribution the way control does, with reports under reports/shop/ in the installation's
// bucket.
func (i *installation) reporting() *catalog.MetricAttribution {
	i.Helper()
	topic := schema.Interactions.Topic(i.Group.GroupKey())
	topics, err := i.Bus.Topics(i.Context(), topic)
	if err != nil {
		i.Fatal(err)
	}
	id := topics[topic].ID
	m := &catalog.MetricAttribution{
		Metadata: retrainertest.Active(retrainertest.Account+"metric-attribution/revenue", "revenue"), DatasetGroupARN: i.Group.ARN,
		Metrics: []personalize.MetricAttribute{
			{MetricName: new("clicks"), EventType: new("click"), Expression: new("SAMPLECOUNT()")},
			{MetricName: new("revenue"), EventType: new("buy"), Expression: new("SUM(Items.PRICE)")},
		},
		OutputConfig: &personalize.MetricAttributionOutput{S3DataDestination: &personalize.S3DataConfig{Path: i.At("reports/shop").Path}},
		Reports:      &catalog.ReportProgress{Until: attribution.Begin(time.Now()), TopicID: hex.EncodeToString(id[:]), Next: map[int32]int64{}},
	}
	retrainertest.Create(i.Installation, m)
	return m
}

// happens puts interactions into the log.
func (i *installation) happens(interactions ...reco.Interaction) {
	i.Helper()
	var records []bus.Record
	for _, event := range interactions {
		event.UserID, event.TimestampMS = "u"+event.EventID, time.Now().UnixMilli()
		value, err := wire.MarshalInteraction(&event)
		if err != nil {
			i.Fatal(err)
		}
		records = append(records, bus.Record{Topic: schema.Interactions.Topic(i.Group.GroupKey()), Key: []byte(event.UserID), Value: value})
	}
	if err := i.Bus.Publish(i.Context(), records...); err != nil {
		i.Fatal(err)
	}
}

// archive does the firehose's part for everything that the log holds and the archive does not.
func (i *installation) archive() {
	i.Helper()
	group, topic := i.Group.GroupKey(), schema.Interactions.Topic(i.Group.GroupKey())
	topics, err := i.Bus.Topics(i.Context(), topic)
	if err != nil {
		i.Fatal(err)
	}
	held, err := i.Bus.Offsets(i.Context(), topic)
	if err != nil {
		i.Fatal(err)
	}
	for place, offsets := range held {
		chain, err := archive.OpenChain(i.Context(), i.Bucket, archive.ChainID{Group: group, Type: schema.Interactions, TopicID: topics[topic].ID, Partition: place.Partition})
		if err != nil {
			i.Fatal(err)
		}
		var rows []reco.Interaction
		offsets.Start = chain.Next()
		err = i.Bus.ReadRange(i.Context(), topic, map[int32]bus.OffsetRange{place.Partition: offsets}, func(records []bus.Record) error {
			for _, r := range records {
				event, err := wire.UnmarshalInteraction(r.Value)
				if err != nil {
					return err
				}
				event.Origin = groupdata.OriginOf(r)
				rows = append(rows, event)
			}
			return nil
		})
		if err == nil && len(rows) > 0 {
			err = chain.AppendInteractions(i.Context(), nil, rows, offsets.End-1)
		}
		if err != nil {
			i.Fatal(err)
		}
	}
}

// files are the reports by name.
func (i *installation) files() map[string]string {
	i.Helper()
	files := map[string]string{}
	for info, err := range i.Bucket.List(i.Context(), "reports/") {
		if err != nil {
			i.Fatal(err)
		}
		data, _, err := i.Bucket.Get(i.Context(), info.Key)
		if err != nil {
			i.Fatal(err)
		}
		name := strings.TrimPrefix(info.Key, "reports/")
		if !strings.HasPrefix(name, "shop/AggregatedAttributionMetrics - ") {
			i.Errorf("a report named %s", info.Key)
		}
		files[name] = string(data)
	}
	return files
}

// totals adds the reports of all windows up: the test may run across the end of one.
func totals(t *testing.T, files map[string]string) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for name, content := range files {
		rows, err := csv.NewReader(strings.NewReader(content)).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, row := range rows[1:] {
			value, err := strconv.ParseFloat(row[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			sums[fmt.Sprint(row[0], " ", row[4])] += value
		}
	}
	return sums
}

// Every interaction is in one report, whether the archive has it or only the log, and whoever dies when.
func TestReportsOfMetrics(t *testing.T) {
	t.Parallel()
	i := install(t)
	recommendations := bus.RecommendationsTopic(i.Group.GroupKey())
	if err := i.Bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: recommendations}); err != nil {
		t.Fatal(err)
	}
	shown, err := proto.Marshal(&penchantv1.RecommendationShown{RecommendationId: "RID-1", CampaignArn: retrainertest.Account + "campaign/home"})
	if err != nil {
		t.Fatal(err)
	}
	item, err := wire.MarshalEntity(&reco.Entity{ID: "a", Properties: map[string]any{"PRICE": 2.5}})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Bus.Publish(t.Context(),
		bus.Record{Topic: recommendations, Key: []byte("RID-1"), Value: shown},
		bus.Record{Topic: schema.Items.Topic(i.Group.GroupKey()), Key: []byte("a"), Value: item}); err != nil {
		t.Fatal(err)
	}
	m := i.reporting()
	var later time.Duration
	s := i.reporter(func(c *ReportsConfig) { c.Now = func() time.Time { return time.Now().Add(later) } })
	stored := func() *catalog.MetricAttribution {
		t.Helper()
		m, err := i.Store.MetricAttributions.Get(t.Context(), m.ARN)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}

	i.happens(
		reco.Interaction{EventID: "1", EventType: "click", ItemID: "a"},
		reco.Interaction{EventID: "2", EventType: "click", ItemID: "a", RecommendationID: "RID-1"},
		reco.Interaction{EventID: "3", EventType: "click", ItemID: "b", EventAttributionSource: "mail"})
	i.archive()
	i.happens(
		reco.Interaction{EventID: "4", EventType: "buy", ItemID: "a", EventAttributionSource: "mail"},
		reco.Interaction{EventID: "5", EventType: "buy", ItemID: "a", EventAttributionSource: "mail"},
		reco.Interaction{EventID: "6", EventType: "buy", ItemID: "unknown"},
		reco.Interaction{EventID: "7", EventType: "scroll", ItemID: "a"})

	s.look(t.Context())
	if files := i.files(); len(files) != 0 {
		t.Errorf("reported before the window's end: %v", files)
	}
	before := stored()
	later = 2*attribution.Window + reportDelay
	s.look(t.Context())
	files := i.files()
	want := map[string]float64{
		"clicks SOURCE_NAME_UNDEFINED": 1, "clicks " + retrainertest.Account + "campaign/home": 1, "clicks mail": 1,
		"revenue SOURCE_NAME_UNDEFINED": 0, "revenue mail": 5,
	}
	if got := totals(t, files); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	after := stored()
	if !after.Reports.Until.After(before.Reports.Until) || after.Leased(time.Now()) || !after.UpdatedAt.Equal(before.UpdatedAt) {
		t.Errorf("progress %+v after %+v", after, before)
	}

	// One that died between the files and its progress: another writes the same files again.
	if _, err := i.Store.MetricAttributions.Update(t.Context(), m.ARN, func(m *catalog.MetricAttribution) error {
		m.Reports = before.Reports
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.look(t.Context())
	if again := i.files(); !maps.Equal(again, files) {
		t.Errorf("written again: %v\nwant %v", again, files)
	}

	i.archive()
	i.happens(reco.Interaction{EventID: "8", EventType: "click", ItemID: "a", EventAttributionSource: "mail"})
	later += attribution.Window
	s.look(t.Context())
	want["clicks mail"]++
	got := i.files()
	if sums := totals(t, got); !maps.Equal(sums, want) {
		t.Errorf("got %v\nwant %v", sums, want)
	}
	for name, content := range files {
		if got[name] != content {
			t.Errorf("%s was changed", name)
		}
	}
	later += attribution.Window
	s.look(t.Context())
	if quiet := i.files(); !maps.Equal(quiet, got) {
		t.Errorf("a window in which nothing happened: %v", quiet)
	}
}

// A destination that cannot be written to is tried again, and nothing is lost meanwhile.
func TestAReportThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	t.Parallel()
	i := install(t)
	m := i.reporting()
	redirect := func(path string) {
		t.Helper()
		if _, err := i.Store.MetricAttributions.Update(t.Context(), m.ARN, func(m *catalog.MetricAttribution) error {
			m.OutputConfig.S3DataDestination.Path = &path
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	redirect("s3://absent-bucket/x/")
	i.happens(reco.Interaction{EventID: "1", EventType: "click", ItemID: "a", EventAttributionSource: "mail"})
	later := 2*attribution.Window + reportDelay
	s := i.reporter(func(c *ReportsConfig) { c.Now = func() time.Time { return time.Now().Add(later) } })
	s.look(t.Context())
	if m, err := i.Store.MetricAttributions.Get(t.Context(), m.ARN); err != nil || m.Leased(time.Now()) || len(m.Reports.Next) != 0 {
		t.Errorf("got %+v, %v", m, err)
	}
	redirect(*i.At("reports/shop/").Path)
	later += reportRetry
	s.look(t.Context())
	if got := totals(t, i.files()); got["clicks mail"] != 1 {
		t.Errorf("got %v", got)
	}
}

// An import whose job asks for it is reported in one file; what is older than two weeks is not.
func TestAnImportIsReported(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.reporting()
	document := strings.Replace(retrainertest.EventsSchema, `{"name":"TIMESTAMP"`, `{"name":"EVENT_TYPE","type":"string"},{"name":"EVENT_ATTRIBUTION_SOURCE","type":["null","string"]},{"name":"TIMESTAMP"`, 1)
	retrainertest.Create(i.Installation, &catalog.Schema{Metadata: retrainertest.Active(retrainertest.Account+"schema/typed", "typed"), Document: document})
	d := &catalog.Dataset{
		Metadata: retrainertest.Active(retrainertest.Account+"dataset/shop/INTERACTIONS", "events"), DatasetGroupARN: i.Group.ARN, DatasetType: "INTERACTIONS", SchemaARN: retrainertest.Account + "schema/typed",
	}
	retrainertest.Create(i.Installation, d)
	content := func(rows int) string {
		var b strings.Builder
		b.WriteString("USER_ID,ITEM_ID,EVENT_TYPE,EVENT_ATTRIBUTION_SOURCE,TIMESTAMP\n")
		for n := range rows {
			age := time.Hour
			if n%2 == 1 {
				age = 20 * 24 * time.Hour
			}
			fmt.Fprintf(&b, "u%d,i%d,click,%s,%d\n", n, n%7, []string{"mail", ""}[n%4/2], time.Now().Add(-age).Unix())
		}
		return b.String()
	}
	importer := &transfer.Importer{
		Data: i.Data(), Source: i.S3, ReportMetrics: i.reporter(nil).Import,
		MinInteractions: 100, MinUsers: 10, Now: time.Now, Log: zaptest.NewLogger(t),
	}
	retrainertest.Run(i.Installation, i.Worker(nil), "import", importer.Run)
	imported := func(name, mode string, rows int, publish bool) {
		t.Helper()
		if _, err := i.Bucket.Put(t.Context(), "in/"+name+".csv", []byte(content(rows)), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		job := &catalog.DatasetImportJob{
			Metadata:   catalog.Metadata{ARN: retrainertest.Account + "dataset-import-job/" + name, Name: name, Status: status.CreatePending},
			DatasetARN: d.ARN, DatasetGroupARN: i.Group.ARN, DataLocation: "s3://" + i.Bucket.Name() + "/in/" + name + ".csv", ImportMode: mode,
			PublishAttributionMetricsToS3: &publish,
		}
		retrainertest.Create(i.Installation, job)
		if job = retrainertest.JobEnds(i.Installation, job); job.Status != status.Active {
			t.Fatalf("%s: %s %s", name, job.Status, job.FailureReason)
		}
	}
	imported("quiet", mode.ImportFull, 120, false)
	if files := i.files(); len(files) != 0 {
		t.Errorf("reported unasked: %v", files)
	}
	imported("first", mode.ImportFull, 120, true)
	files := i.files()
	if got, want := totals(t, files), map[string]float64{"clicks mail": 30, "clicks SOURCE_NAME_UNDEFINED": 30}; !maps.Equal(got, want) || len(files) != 1 {
		t.Errorf("got %v, want %v", files, want)
	}
	for name := range files {
		if !strings.Contains(name, " - BulkImport - ") {
			t.Errorf("the file is named %s", name)
		}
	}
}
