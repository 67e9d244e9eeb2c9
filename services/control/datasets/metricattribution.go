package datasets

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/attribution"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/constraint"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

// metricAttributions are the metrics that the retrainer computes of a dataset group's events, and reports.
type metricAttributions struct{ *crud.Env }

func (s metricAttributions) row() crud.Row {
	return crud.Kind[*catalog.MetricAttribution]{
		Pending:   s.pending,
		Reconcile: s.beginReports,
		Operations: []crud.Operation{
			crud.Handle("CreateMetricAttribution", s.create),
			crud.Handle("DescribeMetricAttribution", s.describe),
			crud.Handle("ListMetricAttributions", s.list),
			crud.Handle("ListMetricAttributionMetrics", s.listMetrics),
			crud.Handle("UpdateMetricAttribution", s.update),
			crud.Handle("DeleteMetricAttribution", s.delete),
		},
	}.Row()
}

func (s metricAttributions) create(
	ctx context.Context, req *personalize.CreateMetricAttributionRequest,
) (*personalize.CreateMetricAttributionResponse, error) {
	var group *catalog.DatasetGroup
	created, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.MetricAttribution]{
		Name: *req.Name,
		Resolve: func() (err error) {
			group, err = crud.Find[*catalog.DatasetGroup](ctx, s.Env, "datasetGroupArn", *req.DatasetGroupArn)
			return err
		},
		ARN: func() string { return crud.SiblingARN(group.ARN, resource.MetricAttribution, *req.Name) },
		Parents: func(arn string) []crud.Parent {
			return []crud.Parent{crud.Under(group,
				crud.Limit[*catalog.DatasetGroup](arn, s.Quotas.MetricAttributionsPerGroup), crud.ValidateActive)}
		},
		Build: func(m catalog.Metadata) (*catalog.MetricAttribution, error) {
			if err := s.validateMetrics(ctx, req.Metrics, group.ARN); err != nil {
				return nil, err
			}
			return &catalog.MetricAttribution{
				Metadata: m, DatasetGroupARN: group.ARN, Metrics: req.Metrics, OutputConfig: req.MetricsOutputConfig,
			}, validateMetricsOutput(req.MetricsOutputConfig)
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateMetricAttributionResponse{MetricAttributionArn: &created.ARN}, nil
}

// validateMetrics refuses metrics that cannot be computed from the group's datasets.
func (s metricAttributions) validateMetrics(
	ctx context.Context, metrics []personalize.MetricAttribute, groupARN string,
) error {
	schemas, err := crud.GroupSchemas(ctx, s.Env, groupARN)
	if err != nil {
		return err
	}
	interactions, ok := schemas[schema.Interactions.DatasetType()]
	if ok {
		_, ok = interactions.Field("EVENT_TYPE")
	}
	if !ok {
		return awsapi.InvalidInput("A metric attribution needs an Interactions dataset with column EVENT_TYPE")
	}
	seen := map[string]bool{}
	for _, m := range metrics {
		if seen[*m.MetricName] {
			return awsapi.InvalidInput("Metric %s is named twice", *m.MetricName)
		}
		seen[*m.MetricName] = true
		expression, err := attribution.Parse(*m.Expression)
		if err == nil {
			err = expression.Check(schemas)
		}
		if err != nil {
			return awsapi.InvalidInput("Expression of metric %s: %v", *m.MetricName, err)
		}
	}
	return nil
}

func validateMetricsOutput(output *personalize.MetricAttributionOutput) error {
	if output == nil || output.S3DataDestination == nil {
		return nil
	}
	if _, _, err := dataset.ParseLocation(*output.S3DataDestination.Path); err != nil {
		return awsapi.InvalidInput(
			"metricsOutputConfig.s3DataDestination.path %q is not s3://<bucket>/<folder>/",
			*output.S3DataDestination.Path,
		)
	}
	return nil
}

func (s metricAttributions) describe(
	ctx context.Context, req *personalize.DescribeMetricAttributionRequest,
) (*personalize.DescribeMetricAttributionResponse, error) {
	m, err := crud.Find[*catalog.MetricAttribution](ctx, s.Env, "metricAttributionArn", *req.MetricAttributionArn)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeMetricAttributionResponse{MetricAttribution: &personalize.MetricAttribution{
		Name: &m.Name, MetricAttributionArn: &m.ARN, DatasetGroupArn: &m.DatasetGroupARN,
		MetricsOutputConfig: m.OutputConfig,
		Status:              &m.Status, FailureReason: awsapi.Present(m.FailureReason),
		CreationDateTime: awsapi.At(m.CreatedAt), LastUpdatedDateTime: awsapi.At(m.UpdatedAt),
	}}, nil
}

func (s metricAttributions) list(
	_ context.Context, req *personalize.ListMetricAttributionsRequest,
) (*personalize.ListMetricAttributionsResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	attributions, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListMetricAttributions " + group, Token: req.NextToken, Size: req.MaxResults},
		func(m *catalog.MetricAttribution) bool { return group == "" || m.DatasetGroupARN == group },
		func(m *catalog.MetricAttribution) personalize.MetricAttributionSummary {
			return personalize.MetricAttributionSummary{
				Name: &m.Name, MetricAttributionArn: &m.ARN, Status: &m.Status,
				FailureReason:    awsapi.Present(m.FailureReason),
				CreationDateTime: awsapi.At(m.CreatedAt), LastUpdatedDateTime: awsapi.At(m.UpdatedAt),
			}
		},
	)
	return &personalize.ListMetricAttributionsResponse{MetricAttributions: attributions, NextToken: next}, err
}

// listMetrics lists by name, so that metrics that come and go between two pages do not move the others.
func (s metricAttributions) listMetrics(
	_ context.Context, req *personalize.ListMetricAttributionMetricsRequest,
) (*personalize.ListMetricAttributionMetricsResponse, error) {
	wanted := awsapi.Text(req.MetricAttributionArn)
	metrics := map[string]personalize.MetricAttribute{}
	for _, m := range catalog.All[*catalog.MetricAttribution](s.View) {
		if wanted != "" && m.ARN != wanted {
			continue
		}
		for _, metric := range m.Metrics {
			metrics[m.ARN+" "+*metric.MetricName] = metric
		}
	}
	names, next, err := crud.Paginate(
		crud.Page{Scope: "ListMetricAttributionMetrics " + wanted, Token: req.NextToken, Size: req.MaxResults},
		slices.Sorted(maps.Keys(metrics)), func(name string) crud.Position { return crud.Position{ARN: name} },
	)
	if err != nil {
		return nil, err
	}
	found := make([]personalize.MetricAttribute, len(names))
	for i, name := range names {
		found[i] = metrics[name]
	}
	return &personalize.ListMetricAttributionMetricsResponse{Metrics: found, NextToken: next}, nil
}

// maxMetrics bounds the metrics of an attribution.
const maxMetrics = 10

// update changes what the next reports hold. Nothing runs that would have to be waited for, so the attribution stays
// ACTIVE.
func (s metricAttributions) update(
	ctx context.Context, req *personalize.UpdateMetricAttributionRequest,
) (*personalize.UpdateMetricAttributionResponse, error) {
	if req.MetricAttributionArn == nil {
		// The model says it is optional, but there is no other way to name one.
		return nil, awsapi.InvalidInput("%s", constraint.Missing("metricAttributionArn").Error())
	}
	current, err := crud.Find[*catalog.MetricAttribution](ctx, s.Env, "metricAttributionArn", *req.MetricAttributionArn)
	if err != nil {
		return nil, err
	}
	if err := applyMetricsUpdate(current, req); err != nil {
		return nil, err
	}
	if err := s.validateMetrics(ctx, req.AddMetrics, current.DatasetGroupARN); err != nil {
		return nil, err
	}
	if err := validateMetricsOutput(req.MetricsOutputConfig); err != nil {
		return nil, err
	}
	_, err = s.Store.MetricAttributions.Update(ctx, current.ARN, func(m *catalog.MetricAttribution) error {
		return applyMetricsUpdate(m, req)
	})
	return &personalize.UpdateMetricAttributionResponse{MetricAttributionArn: &current.ARN}, err
}

func applyMetricsUpdate(m *catalog.MetricAttribution, req *personalize.UpdateMetricAttributionRequest) error {
	kept := slices.DeleteFunc(slices.Clone(m.Metrics), func(metric personalize.MetricAttribute) bool {
		return slices.Contains(req.RemoveMetrics, *metric.MetricName)
	})
	for _, added := range req.AddMetrics {
		if hasMetric(kept, *added.MetricName) {
			return awsapi.ResourceAlreadyExists("addMetrics: the metric attribution has a metric %s", *added.MetricName)
		}
	}
	if err := crud.ValidateActive(m); err != nil {
		return err
	}
	for _, name := range req.RemoveMetrics {
		if !hasMetric(m.Metrics, name) {
			return awsapi.InvalidInput("removeMetrics: the metric attribution has no metric %s", name)
		}
	}
	if len(kept)+len(req.AddMetrics) > maxMetrics {
		return awsapi.InvalidInput("A metric attribution has at most %d metrics", maxMetrics)
	}
	m.Metrics = append(kept, req.AddMetrics...)
	if req.MetricsOutputConfig != nil {
		had := m.WritesReports()
		m.OutputConfig = req.MetricsOutputConfig
		if !had || !m.WritesReports() {
			m.Reports = nil // reports begin with what happens from now on
		}
	}
	return nil
}

func hasMetric(metrics []personalize.MetricAttribute, name string) bool {
	return slices.ContainsFunc(metrics, func(m personalize.MetricAttribute) bool { return *m.MetricName == name })
}

func (s metricAttributions) pending(m *catalog.MetricAttribution) bool {
	return m.Status == status.CreatePending || m.Status == status.Active && lacksBeginning(m)
}

// lacksBeginning reports whether an attribution's reports have to begin somewhere yet.
func lacksBeginning(m *catalog.MetricAttribution) bool { return m.WritesReports() && m.Reports == nil }

// beginReports notes where in the log the first window begins, before a client can see the attribution ACTIVE: what is
// put from then on is reported.
func (s metricAttributions) beginReports(ctx context.Context, m *catalog.MetricAttribution) error {
	if !lacksBeginning(m) {
		return crud.Activate(ctx, s.Env, m)
	}
	progress, err := s.endOfLog(ctx, m.DatasetGroupARN)
	if err != nil {
		return fmt.Errorf("finding where reports begin: %w", err)
	}
	_, err = s.Store.MetricAttributions.Update(ctx, m.ARN, func(current *catalog.MetricAttribution) error {
		if current.ID != m.ID || current.Status != m.Status || !lacksBeginning(current) {
			return crud.ErrOvertaken
		}
		current.Status, current.Reports = status.Active, progress
		return nil
	})
	return crud.IgnoreOvertaken(err)
}

func (s metricAttributions) endOfLog(ctx context.Context, groupARN string) (*catalog.ReportProgress, error) {
	group, err := s.Store.DatasetGroups.Get(ctx, groupARN)
	if err != nil {
		return nil, err
	}
	if err := s.PingBus(ctx); err != nil {
		return nil, err
	}
	topic := schema.Interactions.Topic(group.GroupKey())
	topics, err := s.Bus.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	offsets, err := s.Bus.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	id := topics[topic].ID
	progress := &catalog.ReportProgress{
		Until:   attribution.Begin(time.Now()),
		TopicID: hex.EncodeToString(id[:]),
		Next:    map[int32]int64{},
	}
	for place, held := range offsets {
		progress.Next[place.Partition] = held.End
	}
	return progress, nil
}

func (s metricAttributions) delete(
	ctx context.Context, req *personalize.DeleteMetricAttributionRequest,
) (*awsapi.Empty, error) {
	return nil, crud.MarkDeleting[*catalog.MetricAttribution](
		ctx, s.Env, "metricAttributionArn", *req.MetricAttributionArn,
	)
}
