package results

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/attribution"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// Reports writes the reports of metric attributions: for each window of 15 minutes in which something happened one file
// in the user's bucket. An interaction belongs to the window in which the log took it.
//
// Each interaction is in exactly one report. The attribution's progress holds the offsets at which the next window
// begins; it moves on, by compare-and-swap, after the files are written. If a retrainer dies in between, its files are
// written again, from the same offsets and so with the same content, under the same names.
type Reports struct {
	config ReportsConfig
	// later is when an attribution whose report failed is retried, by ARN. Only Run uses it.
	later map[string]time.Time
}

// ReportsConfig is what Reports work with.
type ReportsConfig struct {
	Worker *jobs.Worker
	Data   *groupdata.Source
	// Target is the store that has the users' buckets.
	Target *blob.Client
	Now    func() time.Time
	Log    *zap.Logger
}

const (
	// reportInterval is how often due windows are checked for.
	reportInterval = 5 * time.Second
	// reportDelay is how long after its end a window is reported: brokers' clocks may be behind.
	reportDelay = time.Minute
	// reportLease bounds one report's time; then another retrainer tries.
	reportLease = 5 * time.Minute
	// reportRetry is the pause after a failure.
	reportRetry = time.Minute
	// reportsAtOnce bounds the windows of one report after an outage.
	reportsAtOnce = 96
	// recommendationMemory is how long before a window the recommendations of its interactions may have been given.
	recommendationMemory = time.Hour
)

// NewReports returns what writes reports once Run runs.
func NewReports(config ReportsConfig) *Reports {
	return &Reports{config: config, later: map[string]time.Time{}}
}

// Run writes reports until ctx ends.
func (r *Reports) Run(ctx context.Context) error {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		if r.config.Data.View.Ready() {
			r.look(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look writes every report that is due.
func (r *Reports) look(ctx context.Context) {
	now := r.config.Now()
	attributions := map[string]bool{}
	for _, m := range catalog.All[*catalog.MetricAttribution](r.config.Data.View) {
		attributions[m.ARN] = true
		if ctx.Err() != nil || !reportDue(m, now) || now.Before(r.later[m.ARN]) {
			continue
		}
		err := r.write(ctx, m.ARN, now)
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, catalog.ErrLeased), errors.Is(err, catalog.ErrLeaseLost),
			errors.Is(err, catalog.ErrDeleting), errors.Is(err, catalog.ErrNotFound):
			// Another retrainer is working on it, or the attribution is being deleted.
		default:
			r.config.Log.Warn("writing a report of metrics failed, retrying",
				zap.String("metric_attribution", m.ARN), zap.Error(err))
			r.later[m.ARN] = now.Add(reportRetry)
		}
	}
	maps.DeleteFunc(r.later, func(arn string, _ time.Time) bool { return !attributions[arn] })
}

func reportDue(m *catalog.MetricAttribution, now time.Time) bool {
	return m.Status == status.Active && m.WritesReports() && m.Reports != nil &&
		!now.Before(m.Reports.Until.Add(attribution.Window+reportDelay))
}

// write writes the due reports of one attribution.
func (r *Reports) write(ctx context.Context, arn string, now time.Time) error {
	held, err := r.config.Data.Store.MetricAttributions.Acquire(ctx, arn, r.config.Worker.Owner, reportLease)
	if err != nil {
		return err
	}
	m := held.Resource
	progress := m.Reports
	if reportDue(m, now) { // else the view was behind
		until := attribution.Begin(now.Add(-reportDelay))
		if last := progress.Until.Add(reportsAtOnce * attribution.Window); last.Before(until) {
			until = last
		}
		progress, err = r.report(ctx, m, until)
	}
	if err != nil {
		return errors.Join(err, held.Release(context.WithoutCancel(ctx), nil))
	}
	return held.Release(ctx, func(current *catalog.MetricAttribution) error {
		if current.Reports != nil { // else reports have been switched off meanwhile
			current.Reports = progress
		}
		return nil
	})
}

// report writes the files of all windows up to a time, and returns where the next begins.
func (r *Reports) report(
	ctx context.Context, m *catalog.MetricAttribution, until time.Time,
) (*catalog.ReportProgress, error) {
	group, ok := catalog.Lookup[*catalog.DatasetGroup](r.config.Data.View, m.DatasetGroupARN)
	if !ok {
		return nil, fmt.Errorf("%w: %s", catalog.ErrNotFound, m.DatasetGroupARN)
	}
	metrics, err := metricsOf(m)
	if err != nil {
		return nil, err
	}
	totals := attribution.NewTotals(metrics)
	progress, err := r.collect(ctx, group.GroupKey(), m.Reports, until, totals)
	if err != nil {
		return nil, fmt.Errorf("reading the interactions: %w", err)
	}
	windows, err := r.complete(ctx, group.GroupKey(), totals, m.Reports.Until.Add(-recommendationMemory))
	if err != nil {
		return nil, err
	}
	for _, report := range windows {
		if err := r.writeReport(ctx, m, attribution.FileName(attribution.Streamed, report.Begin), report); err != nil {
			return nil, err
		}
	}
	return progress, nil
}

// complete looks up what totals refer to: the sources of recommendations, and items.
func (r *Reports) complete(
	ctx context.Context, group string, totals *attribution.Totals, since time.Time,
) ([]attribution.Report, error) {
	sources, err := r.sourcesOf(ctx, group, totals.Recommendations(), since)
	if err != nil {
		return nil, fmt.Errorf("looking for what recommended: %w", err)
	}
	items, err := r.itemsOf(ctx, group, totals.Items())
	if err != nil {
		return nil, fmt.Errorf("looking up items: %w", err)
	}
	return totals.Reports(sources, items), nil
}

// writeReport puts a file into the attribution's folder.
func (r *Reports) writeReport(
	ctx context.Context, m *catalog.MetricAttribution, name string, windows ...attribution.Report,
) error {
	bucket, folder, err := dataset.ParseLocation(*m.OutputConfig.S3DataDestination.Path)
	if err != nil {
		return err
	}
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	options := blob.PutOptions{ContentType: "text/csv"}
	_, err = r.config.Target.Bucket(bucket).Put(ctx, folder+name, attribution.CSV(windows...), options)
	if err != nil {
		return fmt.Errorf("writing s3://%s/%s%s: %w", bucket, folder, name, err)
	}
	for _, window := range windows {
		if window.LeftOut > 0 {
			r.config.Log.Warn("a report of metrics has too many sources, leaving out the smallest",
				zap.String("metric_attribution", m.ARN),
				zap.Time("window", window.Begin), zap.Int("left_out", window.LeftOut))
		}
	}
	return nil
}

// Import writes one file about what an import has brought, if its job asks for it and the group has a metric
// attribution with a place for reports. Interactions are in the windows of their own time.
func (r *Reports) Import(ctx context.Context, job *catalog.DatasetImportJob, version dataset.Version) error {
	wanted := job.PublishAttributionMetricsToS3 != nil && *job.PublishAttributionMetricsToS3 &&
		strings.HasSuffix(job.DatasetARN, "/"+schema.Interactions.DatasetType())
	for _, m := range catalog.All[*catalog.MetricAttribution](r.config.Data.View) {
		if !wanted || m.DatasetGroupARN != job.DatasetGroupARN || m.Status != status.Active || !m.WritesReports() {
			continue
		}
		if err := r.importOf(ctx, m, version); err != nil {
			return err
		}
	}
	return nil
}

// importOf writes one attribution's file about what an import has brought.
func (r *Reports) importOf(ctx context.Context, m *catalog.MetricAttribution, version dataset.Version) error {
	group, ok := catalog.Lookup[*catalog.DatasetGroup](r.config.Data.View, m.DatasetGroupARN)
	if !ok {
		return fmt.Errorf("%w: %s", catalog.ErrNotFound, m.DatasetGroupARN)
	}
	metrics, err := metricsOf(m)
	if err != nil {
		return err
	}
	totals := attribution.NewTotals(metrics)
	for i, err := range dataset.Interactions(ctx, r.config.Data.Bucket, version.Since(version.Number-1)) {
		if err != nil {
			return err
		}
		i.EventID, i.Origin.Arrival = "", version.Imported
		totals.Add(attribution.Begin(time.UnixMilli(i.TimestampMS)), &i)
	}
	windows, err := r.complete(ctx, group.GroupKey(), totals, version.Imported.Add(-recommendationMemory))
	if err != nil || len(windows) == 0 {
		return err
	}
	return r.writeReport(ctx, m, attribution.FileName(attribution.Imported, version.Imported), windows...)
}

func metricsOf(m *catalog.MetricAttribution) ([]attribution.Metric, error) {
	metrics := make([]attribution.Metric, len(m.Metrics))
	for i, given := range m.Metrics {
		expression, err := attribution.Parse(*given.Expression)
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", *given.MetricName, err) // control has checked it
		}
		metrics[i] = attribution.Metric{Name: *given.MetricName, EventType: *given.EventType, Expression: expression}
	}
	return metrics, nil
}

// collect adds up the interactions from the progress to a time, from the archive and, where that ends, from the log.
func (r *Reports) collect(
	ctx context.Context, group string, from *catalog.ReportProgress, until time.Time, totals *attribution.Totals,
) (*catalog.ReportProgress, error) {
	topic := schema.Interactions.Topic(group)
	topics, err := r.config.Data.Bus.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	id := topics[topic].ID
	progress := &catalog.ReportProgress{Until: until, TopicID: hex.EncodeToString(id[:]), Next: map[int32]int64{}}
	if progress.TopicID == from.TopicID {
		maps.Copy(progress.Next, from.Next)
	} else {
		r.config.Log.Warn(
			"the interactions topic was created again, leaving out of reports what its predecessor held unreported",
			zap.String("topic", topic))
	}
	ranges, err := r.config.Data.Unarchived(ctx, group, schema.Interactions)
	if err != nil {
		return nil, err
	}
	partitions := map[int32]*reportedPartition{}
	for partition, unarchived := range ranges {
		p := &reportedPartition{totals: totals, window: from.Until, until: until, next: progress.Next[partition]}
		partitions[partition] = p
		if err := r.collectArchived(ctx, group, id, partition, p); err != nil {
			return nil, err
		}
		unarchived.Start = max(unarchived.Start, p.next)
		ranges[partition] = unarchived
	}
	err = r.config.Data.Bus.ReadRange(ctx, topic, ranges, func(records []bus.Record) error {
		for _, record := range records {
			// The firehose reports what cannot be decoded.
			if i, err := wire.UnmarshalInteraction(record.Value); err == nil {
				i.Origin = groupdata.OriginOf(record)
				partitions[record.Partition].take(&i)
			}
		}
		return nil
	})
	for partition, p := range partitions {
		progress.Next[partition] = p.next
	}
	return progress, err
}

func (r *Reports) collectArchived(
	ctx context.Context, group string, topic [16]byte, partition int32, p *reportedPartition,
) error {
	options := archive.ReadOptions{TopicID: &topic, Partition: &partition, FromOffset: p.next}
	for i, err := range archive.ReadInteractions(ctx, r.config.Data.Bucket, group, schema.Interactions, options) {
		var corrupt *archive.CorruptError
		if errors.As(err, &corrupt) {
			r.config.Log.Error("a damaged archive file is left out of reports of metrics", zap.Error(err))
			continue
		}
		if err != nil {
			return err
		}
		if p.take(&i); p.ended {
			return nil
		}
	}
	return nil
}

// reportedPartition goes through a partition's interactions in their order.
type reportedPartition struct {
	totals *attribution.Totals
	// window is where the last interaction belonged: a broker's clock that was set back does not reopen one.
	window, until time.Time
	next          int64
	// ended is set once an interaction of a later window was seen.
	ended bool
}

func (p *reportedPartition) take(i *reco.Interaction) {
	if p.ended || i.Origin.Offset < p.next {
		return
	}
	if !i.Origin.Arrival.Before(p.until) {
		p.ended = true
		return
	}
	if window := attribution.Begin(i.Origin.Arrival); window.After(p.window) {
		p.window = window
	}
	p.totals.Add(p.window, i)
	p.next = i.Origin.Offset + 1
}
