package control

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/services/control/crud"
)

func metric(name, eventType, expression string) *personalize.MetricAttribute {
	return &personalize.MetricAttribute{MetricName: &name, EventType: &eventType, Expression: &expression}
}

func TestAMetricAttribution(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	output := &personalize.MetricAttributionOutput_{
		RoleArn:           aws.String("arn:aws:iam::000000000000:role/reports"),
		S3DataDestination: &personalize.S3DataConfig{Path: aws.String("s3://reports/movies/"), KmsKeyArn: aws.String("arn:aws:kms:us-east-1:000000000000:key/k")},
	}
	create := func(name string, metrics ...*personalize.MetricAttribute) (*personalize.CreateMetricAttributionOutput, error) {
		return i.CreateMetricAttribution(&personalize.CreateMetricAttributionInput{Name: &name, DatasetGroupArn: &group, Metrics: metrics, MetricsOutputConfig: output})
	}
	_, err := create("revenue", metric("clicks", "click", "SAMPLECOUNT()"))
	refused(t, err, invalid, "Interactions dataset with column EVENT_TYPE")
	i.typed(group, "Interactions", withColumns(interactionsSchema, `{"name":"EVENT_VALUE","type":["null","float"]}`))
	i.typed(group, "Items", itemsSchema)

	metrics := []*personalize.MetricAttribute{metric("clicks", "click", "SAMPLECOUNT()"), metric("revenue", "purchase", "SUM(Items.PRICE)"), metric("value", "purchase", "SUM(Interactions.EVENT_VALUE)")}
	arn := must(create("revenue", metrics...))(t).MetricAttributionArn
	describe := func() *personalize.MetricAttribution {
		return must(i.DescribeMetricAttribution(&personalize.DescribeMetricAttributionInput{MetricAttributionArn: arn}))(t).MetricAttribution
	}
	reaches(t, "ACTIVE", func() (string, error) { return *describe().Status, nil })
	if m := describe(); *m.Name != "revenue" || *m.DatasetGroupArn != group || m.MetricsOutputConfig.String() != output.String() || m.FailureReason != nil {
		t.Errorf("got %v", m)
	}
	progress := func() *catalog.ReportProgress {
		return must(i.store.MetricAttributions.Get(t.Context(), *arn))(t).Reports
	}
	if p := progress(); p == nil || len(p.Next) != 2 || len(p.TopicID) != 32 || time.Since(p.Until) > 16*time.Minute {
		t.Errorf("reports begin at %+v", p)
	}
	_, err = create("second", metric("clicks", "click", "SAMPLECOUNT()"))
	refused(t, err, limit, "More than 1 resources in ACTIVE state")
	if listed := must(i.ListMetricAttributions(&personalize.ListMetricAttributionsInput{DatasetGroupArn: &group}))(t).MetricAttributions; len(listed) != 1 || *listed[0].MetricAttributionArn != *arn || *listed[0].Status != "ACTIVE" {
		t.Errorf("listed %v", listed)
	}

	names := func(pageSize int64) (names []string) {
		t.Helper()
		must(0, i.ListMetricAttributionMetricsPages(&personalize.ListMetricAttributionMetricsInput{MetricAttributionArn: arn, MaxResults: &pageSize},
			func(page *personalize.ListMetricAttributionMetricsOutput, _ bool) bool {
				for _, m := range page.Metrics {
					names = append(names, fmt.Sprint(*m.MetricName, " of ", *m.EventType, ": ", *m.Expression))
				}
				return true
			}))(t)
		return names
	}
	want := []string{"clicks of click: SAMPLECOUNT()", "revenue of purchase: SUM(Items.PRICE)", "value of purchase: SUM(Interactions.EVENT_VALUE)"}
	for _, size := range []int64{1, 2, 100} {
		if got := names(size); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v", size, got)
		}
	}

	update := func(in personalize.UpdateMetricAttributionInput) error {
		in.MetricAttributionArn = arn
		_, err := i.UpdateMetricAttribution(&in)
		return err
	}
	elsewhere := &personalize.MetricAttributionOutput_{RoleArn: output.RoleArn, S3DataDestination: &personalize.S3DataConfig{Path: aws.String("s3://reports/other/")}}
	must(0, update(personalize.UpdateMetricAttributionInput{
		AddMetrics: []*personalize.MetricAttribute{metric("value", "click", "sum(interactions.event_value)"), metric("years", "watch", "SUM(Items.YEAR)")}, RemoveMetrics: aws.StringSlice([]string{"value", "clicks"}),
		MetricsOutputConfig: elsewhere,
	}))(t)
	want = []string{"revenue of purchase: SUM(Items.PRICE)", "value of click: sum(interactions.event_value)", "years of watch: SUM(Items.YEAR)"}
	if got := names(100); !slices.Equal(got, want) || describe().MetricsOutputConfig.String() != elsewhere.String() {
		t.Errorf("got %v, %v", got, describe())
	}
	refused(t, update(personalize.UpdateMetricAttributionInput{AddMetrics: []*personalize.MetricAttribute{metric("years", "watch", "SAMPLECOUNT()")}}), exists, "years")
	refused(t, update(personalize.UpdateMetricAttributionInput{RemoveMetrics: aws.StringSlice([]string{"absent"})}), invalid, "absent")
	refused(t, update(personalize.UpdateMetricAttributionInput{AddMetrics: []*personalize.MetricAttribute{metric("x", "watch", "SUM(Items.GENRES)")}}), invalid, "GENRES is not numeric")
	var eight []*personalize.MetricAttribute
	for n := range 8 {
		eight = append(eight, metric(fmt.Sprint("m", n), "watch", "SAMPLECOUNT()"))
	}
	refused(t, update(personalize.UpdateMetricAttributionInput{AddMetrics: eight}), invalid, "at most 10")
	must(0, update(personalize.UpdateMetricAttributionInput{AddMetrics: eight[:7]}))(t)

	// Without a destination there are no reports; with one again they begin anew.
	must(0, update(personalize.UpdateMetricAttributionInput{MetricsOutputConfig: &personalize.MetricAttributionOutput_{RoleArn: output.RoleArn}}))(t)
	if p := progress(); p != nil {
		t.Errorf("got %+v", p)
	}
	must(0, update(personalize.UpdateMetricAttributionInput{MetricsOutputConfig: output}))(t)
	reaches(t, "begun", func() (string, error) {
		if progress() == nil {
			return "not begun", nil
		}
		return "begun", nil
	})

	_, err = i.DeleteDatasetGroup(&personalize.DeleteDatasetGroupInput{DatasetGroupArn: &group})
	refused(t, err, inUse, *arn)
	must(i.DeleteMetricAttribution(&personalize.DeleteMetricAttributionInput{MetricAttributionArn: arn}))(t)
	disappears(t, func() error {
		_, err := i.DescribeMetricAttribution(&personalize.DescribeMetricAttributionInput{MetricAttributionArn: arn})
		return err
	})
}
