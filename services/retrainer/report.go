package retrainer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

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
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
)

// reports writes the reports of metric attributions: for each window of 15 minutes in which something happened one file in the
// user's bucket. An interaction belongs to the window in which the log took it.
//
// Each interaction is in exactly one report. The attribution's progress says at which offsets the next window begins; it moves on, by
// compare-and-swap, after the files are written. A retrainer that dies in between has its files written again, from the same
// offsets and so with the same content, under the same names.
type reports struct {
	service *Service
	// later is when an attribution whose report failed is tried again, by ARN. Run's alone.
	later map[string]time.Time
}

const (
	// reportInterval is how often due windows are looked for.
	reportInterval = 5 * time.Second
	// reportDelay is how long after its end a window is reported: brokers' clocks may be behind.
	reportDelay = time.Minute
	// reportLease bounds one report's time; another retrainer then tries.
	reportLease = 5 * time.Minute
	// reportRetry is the pause after a failure.
	reportRetry = time.Minute
	// reportsAtOnce bounds the windows of one report after an outage.
	reportsAtOnce = 96
	// recommendationMemory is how long before a window a recommendation may have been given whose source its interactions have.
	recommendationMemory = time.Hour
)

func newReports(s *Service) *reports { return &reports{service: s, later: map[string]time.Time{}} }

func (r *reports) run(ctx context.Context) error {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		if r.service.config.View.Ready() {
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
func (r *reports) look(ctx context.Context) {
	now := r.service.config.Now()
	attributions := map[string]bool{}
	for _, m := range catalog.All[*catalog.MetricAttribution](r.service.config.View) {
		attributions[m.ARN] = true
		if ctx.Err() != nil || !reportDue(m, now) || now.Before(r.later[m.ARN]) {
			continue
		}
		err := r.write(ctx, m.ARN, now)
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, catalog.ErrLeased), errors.Is(err, catalog.ErrLeaseLost), errors.Is(err, catalog.ErrDeleting), errors.Is(err, catalog.ErrNotFound):
			// Another retrainer is at it, or the attribution is going away.
		default:
			r.service.config.Log.Warn("writing a report of metrics failed, it is tried again", zap.String("metric_attribution", m.ARN), zap.Error(err))
			r.later[m.ARN] = now.Add(reportRetry)
		}
	}
	maps.DeleteFunc(r.later, func(arn string, _ time.Time) bool { return !attributions[arn] })
}

func reportDue(m *catalog.MetricAttribution, now time.Time) bool {
	return m.Status == status.Active && m.WritesReports() && m.Reports != nil &&
		!now.Before(m.Reports.Until.Add(attribution.Window+reportDelay))
}

// write reports what is due of one attribution.
func (r *reports) write(ctx context.Context, arn string, now time.Time) error {
	s := r.service
	held, err := s.config.Store.MetricAttributions.Acquire(ctx, arn, s.worker.Owner, reportLease)
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
func (r *reports) report(ctx context.Context, m *catalog.MetricAttribution, until time.Time) (*catalog.ReportProgress, error) {
	s := r.service
	group, ok := catalog.Lookup[*catalog.DatasetGroup](s.config.View, m.DatasetGroupARN)
	if !ok {
		return nil, fmt.Errorf("%w: %s", catalog.ErrNotFound, m.DatasetGroupARN)
	}
	metrics, err := metricsOf(m)
	if err != nil {
		return nil, err
	}
	totals := attribution.NewTotals(metrics)
	progress, err := s.collect(ctx, group.GroupKey(), m.Reports, until, totals)
	if err != nil {
		return nil, fmt.Errorf("reading the interactions: %w", err)
	}
	windows, err := s.complete(ctx, group.GroupKey(), totals, m.Reports.Until.Add(-recommendationMemory))
	if err != nil {
		return nil, err
	}
	for _, report := range windows {
		if err := s.writeReport(ctx, m, attribution.FileName(attribution.Streamed, report.Begin), report); err != nil {
			return nil, err
		}
	}
	return progress, nil
}

// complete looks up what totals do not know by themselves.
func (s *Service) complete(ctx context.Context, group string, totals *attribution.Totals, since time.Time) ([]attribution.Report, error) {
	sources, err := s.sourcesOf(ctx, group, totals.Recommendations(), since)
	if err != nil {
		return nil, fmt.Errorf("looking for what recommended: %w", err)
	}
	items, err := s.itemsOf(ctx, group, totals.Items())
	if err != nil {
		return nil, fmt.Errorf("looking up items: %w", err)
	}
	return totals.Reports(sources, items), nil
}

// writeReport puts a file into the attribution's folder.
func (s *Service) writeReport(ctx context.Context, m *catalog.MetricAttribution, name string, windows ...attribution.Report) error {
	bucket, folder, err := dataset.ParseLocation(*m.OutputConfig.S3DataDestination.Path)
	if err != nil {
		return err
	}
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	if _, err := s.config.S3.Bucket(bucket).Put(ctx, folder+name, attribution.CSV(windows...), blob.PutOptions{ContentType: "text/csv"}); err != nil {
		return fmt.Errorf("writing s3://%s/%s%s: %w", bucket, folder, name, err)
	}
	for _, window := range windows {
		if window.LeftOut > 0 {
			s.config.Log.Warn("a report of metrics has more sources than it may and goes without the smallest",
				zap.String("metric_attribution", m.ARN), zap.Time("window", window.Begin), zap.Int("left_out", window.LeftOut))
		}
	}
	return nil
}

// reportImport writes one file about what an import has brought, if its job asks for it and the group has a metric attribution with a
// place for reports. Interactions are in the windows of their own time.
func (s *Service) reportImport(ctx context.Context, job *catalog.DatasetImportJob, version dataset.Version) error {
	wanted := job.PublishAttributionMetricsToS3 != nil && *job.PublishAttributionMetricsToS3 &&
		strings.HasSuffix(job.DatasetARN, "/"+schema.Interactions.DatasetType())
	for _, m := range catalog.All[*catalog.MetricAttribution](s.config.View) {
		if !wanted || m.DatasetGroupARN != job.DatasetGroupARN || m.Status != status.Active || !m.WritesReports() {
			continue
		}
		group, ok := catalog.Lookup[*catalog.DatasetGroup](s.config.View, m.DatasetGroupARN)
		if !ok {
			return fmt.Errorf("%w: %s", catalog.ErrNotFound, m.DatasetGroupARN)
		}
		metrics, err := metricsOf(m)
		if err != nil {
			return err
		}
		totals := attribution.NewTotals(metrics)
		for i, err := range dataset.Interactions(ctx, s.config.Bucket, version.Since(version.Number-1)) {
			if err != nil {
				return err
			}
			i.EventID, i.Origin.Arrival = "", version.Imported
			totals.Add(attribution.Begin(time.UnixMilli(i.TimestampMS)), &i)
		}
		windows, err := s.complete(ctx, group.GroupKey(), totals, version.Imported.Add(-recommendationMemory))
		if err != nil {
			return err
		}
		if len(windows) == 0 {
			continue
		}
		if err := s.writeReport(ctx, m, attribution.FileName(attribution.Imported, version.Imported), windows...); err != nil {
			return err
		}
	}
	return nil
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
func (s *Service) collect(ctx context.Context, group string, from *catalog.ReportProgress, until time.Time, totals *attribution.Totals) (*catalog.ReportProgress, error) {
	topic := schema.Interactions.Topic(group)
	topics, err := s.config.Bus.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	id := topics[topic].ID
	progress := &catalog.ReportProgress{Until: until, TopicID: hex.EncodeToString(id[:]), Next: map[int32]int64{}}
	if progress.TopicID == from.TopicID {
		maps.Copy(progress.Next, from.Next)
	} else {
		s.config.Log.Warn("the interactions topic was made again: what the one before held and was not reported is left out of reports", zap.String("topic", topic))
	}
	ranges, err := s.data.Unarchived(ctx, group, schema.Interactions)
	if err != nil {
		return nil, err
	}
	partitions := map[int32]*reportedPartition{}
	for partition, unarchived := range ranges {
		p := &reportedPartition{totals: totals, window: from.Until, until: until, next: progress.Next[partition]}
		partitions[partition] = p
		if err := s.collectArchived(ctx, group, id, partition, p); err != nil {
			return nil, err
		}
		unarchived.Start = max(unarchived.Start, p.next)
		ranges[partition] = unarchived
	}
	err = s.config.Bus.ReadRange(ctx, topic, ranges, func(records []bus.Record) error {
		for _, record := range records {
			if i, err := wire.UnmarshalInteraction(record.Value); err == nil { // else it is the firehose's to report
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

func (s *Service) collectArchived(ctx context.Context, group string, topic [16]byte, partition int32, p *reportedPartition) error {
	for i, err := range archive.ReadInteractions(ctx, s.config.Bucket, group, schema.Interactions, archive.ReadOptions{TopicID: &topic, Partition: &partition, FromOffset: p.next}) {
		var corrupt *archive.CorruptError
		if errors.As(err, &corrupt) {
			s.config.Log.Error("a damaged archive file is left out of reports of metrics", zap.Error(err))
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
	// ended is whether an interaction of a later window was seen.
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

// sourcesOf finds the campaigns or recommenders of recommendations.
func (s *Service) sourcesOf(ctx context.Context, group string, ids map[string]bool, since time.Time) (map[string]string, error) {
	sources := map[string]string{}
	if len(ids) == 0 {
		return sources, nil
	}
	topic := bus.RecommendationsTopic(group)
	ranges, err := s.config.Bus.OffsetsFrom(ctx, topic, since)
	if err != nil {
		return nil, err
	}
	err = s.config.Bus.ReadRange(ctx, topic, ranges, func(records []bus.Record) error {
		for _, record := range records {
			if !ids[string(record.Key)] {
				continue
			}
			var shown penchantv1.RecommendationShown
			if err := proto.Unmarshal(record.Value, &shown); err == nil {
				sources[shown.RecommendationId] = shown.CampaignArn
			}
		}
		return nil
	})
	return sources, err
}

// itemsOf finds the newest properties of items, imported or put.
func (s *Service) itemsOf(ctx context.Context, group string, ids map[string]bool) (map[string]map[string]any, error) {
	items := map[string]map[string]any{}
	if len(ids) == 0 {
		return items, nil
	}
	at := map[string]time.Time{}
	add := func(e reco.Entity, when time.Time) {
		if ids[e.ID] && !when.Before(at[e.ID]) {
			items[e.ID], at[e.ID] = e.Properties, when
		}
	}
	// Before the archive is read, so that nothing is missed between the two.
	ranges, err := s.data.Unarchived(ctx, group, schema.Items)
	if err != nil {
		return nil, err
	}
	imported, err := dataset.Current(ctx, s.config.Bucket, group, schema.Items.DatasetType())
	if err != nil && !errors.Is(err, dataset.ErrNoData) {
		return nil, err
	}
	for _, part := range imported.Parts {
		for e, err := range dataset.Entities(ctx, s.config.Bucket, dataset.Version{Parts: []dataset.Part{part}}) {
			if err != nil {
				return nil, err
			}
			add(e, part.Imported)
		}
	}
	for e, err := range archive.ReadEntities(ctx, s.config.Bucket, group, schema.Items) {
		var corrupt *archive.CorruptError
		if errors.As(err, &corrupt) {
			continue // trainings tell of it
		}
		if err != nil {
			return nil, err
		}
		add(e, e.Origin.Arrival)
	}
	err = s.config.Bus.ReadRange(ctx, schema.Items.Topic(group), ranges, func(records []bus.Record) error {
		for _, record := range records {
			if e, err := wire.UnmarshalEntity(record.Value); err == nil {
				add(e, record.Arrival)
			}
		}
		return nil
	})
	return items, err
}
