package results

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/experiment"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
)

// Experiments counts what the arms of experiments have shown and what came of it, and stops an experiment whose guard
// metric has become worse.
//
// The tally of an experiment, and the offsets up to which it was counted, are one object of the bucket
// (experiment.Tally), which is replaced as a whole and only if it is still what was read. So a record counts once,
// whoever dies when: what was not written down is counted again from the same offsets by the next retrainer, and of two
// that count at the same time one has counted for nothing. No lease is needed.
//
// Interactions are counted some seconds after they arrived: by then the log has the answers that they name, which the
// recommenders publish outside the requests' path.
type Experiments struct {
	config  ExperimentsConfig
	metrics *experimentMetrics
	// known are the tallies as they were last read or written, by the experiment's id. Only Run uses it and the others.
	known map[string]*counted
	// later is when an experiment is counted again, by id.
	later map[string]time.Time
}

// ExperimentsConfig is what Experiments work with.
type ExperimentsConfig struct {
	Data *groupdata.Source
	// Interval is how often experiments are counted, and how long after its arrival an event is.
	Interval time.Duration
	Now      func() time.Time

	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// counted is a tally and the version of the object that holds it; "" if there is none.
type counted struct {
	tally *experiment.Tally
	etag  string
}

const (
	// experimentsInterval is how often due experiments are checked for.
	experimentsInterval = time.Second
	// experimentRetry is the pause after a failure.
	experimentRetry = 30 * time.Second
	// experimentSpan bounds what is counted at once after an outage, so that answers do not pile up before their
	// rewards are counted.
	experimentSpan = 10 * time.Minute
	// experimentMargin is how much the broker's clock may be behind the one that dated the experiment's creation.
	experimentMargin = 5 * time.Minute
	// experimentRest times the duration of a count is the pause after it, if that is longer than the interval. It is no
	// longer than the retry's pause, because a guard metric must not wait.
	experimentRest = 4
)

// NewExperiments returns what counts experiments once Run runs.
func NewExperiments(config ExperimentsConfig) (*Experiments, error) {
	m, err := newExperimentMetrics(config.Registerer)
	if err != nil {
		return nil, err
	}
	return &Experiments{config: config, metrics: m, known: map[string]*counted{}, later: map[string]time.Time{}}, nil
}

// Run counts experiments until ctx ends.
func (x *Experiments) Run(ctx context.Context) error {
	tick := time.NewTicker(experimentsInterval)
	defer tick.Stop()
	for {
		if x.config.Data.View.Ready() {
			x.look(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look counts every experiment that is due.
func (x *Experiments) look(ctx context.Context) {
	exists := map[string]bool{}
	for _, e := range catalog.All[*catalog.Experiment](x.config.Data.View) {
		exists[e.ID] = true
		if e.Status != status.Active || x.config.Now().Before(x.later[e.ID]) || ctx.Err() != nil {
			continue
		}
		started := time.Now()
		err := x.count(ctx, e)
		rest := max(x.config.Interval, min(experimentRest*time.Since(started), experimentRetry))
		if err != nil && ctx.Err() == nil {
			x.config.Log.Warn("counting an experiment failed, retrying",
				zap.String("experiment", e.ARN), zap.Error(err))
			rest = max(rest, experimentRetry)
		}
		x.later[e.ID] = x.config.Now().Add(rest)
	}
	for id := range x.later {
		if !exists[id] {
			delete(x.later, id)
			delete(x.known, id)
			x.metrics.forget(id)
		}
	}
}

// count takes an experiment's tally one step further, if there is anything to count.
func (x *Experiments) count(ctx context.Context, e *catalog.Experiment) error {
	group, ok := catalog.Lookup[*catalog.DatasetGroup](x.config.Data.View, e.DatasetGroupARN)
	if !ok {
		return nil // the view will show it in a moment
	}
	c, err := x.read(ctx, e)
	if err != nil {
		return err
	}
	x.metrics.show(e, c.tally.Results())
	until := x.config.Now().Add(-x.config.Interval)
	if e.Stopped() && until.After(e.CountedUntil()) {
		until = e.CountedUntil()
	}
	if last := c.tally.Until; !last.IsZero() && until.After(last.Add(experimentSpan)) {
		until = last.Add(experimentSpan)
	}
	until = until.Truncate(time.Millisecond) // the precision that is stored
	if !until.After(c.tally.Until) {
		return nil
	}
	delete(x.known, e.ID) // what is counted from here on is dropped unless it is written
	if err := x.countUntil(ctx, group.GroupKey(), e, c.tally, until); err != nil {
		return err
	}
	c.tally.Look()
	written, err := x.write(ctx, e, c)
	if err != nil || !written {
		return err
	}
	x.metrics.show(e, c.tally.Results())
	return x.judge(ctx, e, c.tally)
}

// read returns the newest tally of an experiment, which another retrainer may have written.
func (x *Experiments) read(ctx context.Context, e *catalog.Experiment) (*counted, error) {
	bucket := x.config.Data.Bucket
	info, err := bucket.Head(ctx, e.Tally(bucket).Key)
	if errors.Is(err, blob.ErrNotFound) {
		return &counted{tally: experiment.NewTally(e.Plan())}, nil
	}
	if err != nil {
		return nil, err
	}
	if known := x.known[e.ID]; known != nil && known.etag == info.ETag {
		known.tally.SetPlan(e.Plan())
		return known, nil
	}
	tally, etag, err := e.Tally(x.config.Data.Bucket).Read(ctx)
	if err != nil {
		return nil, err
	}
	x.known[e.ID] = &counted{tally, etag}
	return x.known[e.ID], nil
}

// write replaces the tally that this one was counted from. It returns false if another retrainer has counted meanwhile.
func (x *Experiments) write(ctx context.Context, e *catalog.Experiment, c *counted) (bool, error) {
	etag, err := e.Tally(x.config.Data.Bucket).Swap(ctx, c.tally, c.etag)
	if errors.Is(err, blob.ErrPrecondition) || errors.Is(err, blob.ErrNotFound) {
		return false, nil // ErrNotFound: it was deleted with its experiment
	}
	if err != nil {
		return false, err
	}
	x.known[e.ID] = &counted{c.tally, etag}
	return true, nil
}

// judge stops an experiment whose guard metric is worse in an arm: from then on the control answers everybody. A tally
// that was just written for an experiment that is gone is deleted.
func (x *Experiments) judge(ctx context.Context, e *catalog.Experiment, tally *experiment.Tally) error {
	current, err := x.config.Data.Store.Experiments.Get(ctx, e.ARN)
	if errors.Is(err, catalog.ErrNotFound) || err == nil && (current.ID != e.ID || current.Deleting()) {
		return x.config.Data.Bucket.Delete(ctx, e.Tally(x.config.Data.Bucket).Key)
	}
	worse := tally.GuardTripped()
	if err != nil || current.Stopped() || current.Guard == nil || len(worse) == 0 {
		return err
	}
	reason := fmt.Sprintf("rolled back to %s: the rate of the guard metric %s is worse in %s",
		current.Control().Name, current.Guard.EventType, strings.Join(worse, ", "))
	_, err = x.config.Data.Store.Experiments.Update(ctx, e.ARN, func(now *catalog.Experiment) error {
		if now.ID != e.ID || now.Deleting() || now.Stopped() {
			return errAlreadyEnded
		}
		now.Stop(now.Control().Name, reason, x.config.Now())
		return nil
	})
	if errors.Is(err, errAlreadyEnded) || errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rolling back: %w", err)
	}
	x.metrics.rollbacks.Inc()
	x.config.Log.Warn("an experiment was stopped by its guard metric",
		zap.String("experiment", e.ARN), zap.String("reason", reason))
	return nil
}

var errAlreadyEnded = errors.New("the experiment has already ended")

// countUntil counts the interactions that arrived before a time, and before them the answers that they may name.
func (x *Experiments) countUntil(
	ctx context.Context, group string, e *catalog.Experiment, tally *experiment.Tally, until time.Time,
) error {
	shown := bus.RecommendationsTopic(group)
	answers, err := x.uncounted(ctx, shown, e, tally, until.Add(x.config.Interval))
	if err != nil {
		return err
	}
	if err := x.countAnswers(ctx, shown, e, answers, tally); err != nil {
		return err
	}
	happened := schema.Interactions.Topic(group)
	events, err := x.uncounted(ctx, happened, e, tally, until)
	if err != nil {
		return err
	}
	if err := x.countEvents(ctx, group, events, tally); err != nil {
		return err
	}
	tally.Expire(until)
	tally.Until = until
	tally.Progress[shown], tally.Progress[happened] = answers.progress(), events.progress()
	return nil
}

// countAnswers counts the answers of the experiment in a span of the recommendations. What the log no longer has is
// lost.
func (x *Experiments) countAnswers(
	ctx context.Context, topic string, e *catalog.Experiment, answers *span, tally *experiment.Tally,
) error {
	for _, lost := range answers.gone {
		tally.Lose(lost.End - lost.Start)
	}
	return x.config.Data.Bus.ReadRange(ctx, topic, answers.held, func(records []bus.Record) error {
		for _, record := range records {
			var answer penchantv1.RecommendationShown
			if proto.Unmarshal(record.Value, &answer) != nil || answer.Experiment.GetId() != e.ID {
				continue
			}
			tally.Show(experiment.Answer{
				RecommendationID: answer.RecommendationId, UserID: answer.UserId,
				Arm: answer.Experiment.Arm, Phase: int(answer.Experiment.Phase), At: record.Arrival,
			})
		}
		return nil
	})
}

// countEvents counts the interactions of a span, those that the log no longer has from the archive.
func (x *Experiments) countEvents(ctx context.Context, group string, events *span, tally *experiment.Tally) error {
	for partition, offsets := range events.gone {
		options := archive.ReadOptions{TopicID: &events.topicID, Partition: &partition, FromOffset: offsets.Start}
		if err := x.countArchived(ctx, group, options, offsets.End, tally); err != nil {
			return err
		}
	}
	topic := schema.Interactions.Topic(group)
	return x.config.Data.Bus.ReadRange(ctx, topic, events.held, func(records []bus.Record) error {
		for _, record := range records {
			// The firehose reports what cannot be decoded.
			if i, err := wire.UnmarshalInteraction(record.Value); err == nil {
				i.Origin = groupdata.OriginOf(record)
				tally.Happen(&i)
			}
		}
		return nil
	})
}

// countArchived counts interactions that only the archive has, up to the offset end of a partition.
func (x *Experiments) countArchived(
	ctx context.Context, group string, options archive.ReadOptions, end int64, tally *experiment.Tally,
) error {
	for i, err := range archive.ReadInteractions(ctx, x.config.Data.Bucket, group, schema.Interactions, options) {
		var corrupt *archive.CorruptError
		if errors.As(err, &corrupt) {
			x.config.Log.Error("a damaged archive file is left out of experiments", zap.Error(err))
			continue
		}
		if err != nil {
			return err
		}
		if i.Origin.Offset >= end {
			return nil
		}
		tally.Happen(&i)
	}
	return nil
}

// span is the part of a topic that is to be counted.
type span struct {
	topicID [16]byte
	// held are the offsets that the log has, gone those before them that it no longer has, by partition.
	held, gone map[int32]bus.OffsetRange
}

// progress returns the progress after the span.
func (s *span) progress() experiment.Progress {
	next := map[int32]int64{}
	for partition, offsets := range s.held {
		next[partition] = max(offsets.Start, offsets.End)
	}
	return experiment.Progress{TopicID: s.topicID, Next: next}
}

// uncounted returns the part of a topic that arrived before a time and has not been counted. Of a topic that was
// created again, that is all it holds.
func (x *Experiments) uncounted(
	ctx context.Context, topic string, e *catalog.Experiment, tally *experiment.Tally, until time.Time,
) (*span, error) {
	topics, err := x.config.Data.Bus.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	info, ok := topics[topic]
	if !ok {
		return nil, fmt.Errorf("there is no topic %s", topic)
	}
	ends, err := x.config.Data.Bus.OffsetsFrom(ctx, topic, until)
	if err != nil {
		return nil, err
	}
	last, counted := tally.Progress[topic]
	var first map[int32]bus.OffsetRange
	if !counted {
		if first, err = x.config.Data.Bus.OffsetsFrom(ctx, topic, e.CreatedAt.Add(-experimentMargin)); err != nil {
			return nil, err
		}
	}
	held, err := x.config.Data.Bus.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	found := &span{topicID: info.ID, held: map[int32]bus.OffsetRange{}, gone: map[int32]bus.OffsetRange{}}
	for partition, end := range ends {
		next := int64(0)
		switch {
		case counted && last.TopicID == info.ID:
			next = last.Next[partition]
		case !counted:
			next = first[partition].Start
		}
		begin := held[bus.TopicPartition{Topic: topic, Partition: partition}].Start
		if next < begin {
			found.gone[partition] = bus.OffsetRange{Start: next, End: begin}
		}
		found.held[partition] = bus.OffsetRange{Start: max(next, begin), End: end.Start}
	}
	return found, nil
}
