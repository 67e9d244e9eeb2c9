package retrainer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

// experiments counts what the arms of experiments have shown and what came of it, and stops an experiment whose guard metric
// has become worse.
//
// What is counted of an experiment, and the offsets up to which it is, are one object of the bucket (experiment.Tally), which is
// replaced as a whole and only if it is still what was read. So a record counts once, whoever dies when: what was not written down is
// counted again from the same offsets by the next retrainer, and of two that count at the same time one has counted for nothing.
// Nobody needs a lease.
//
// Interactions are counted some seconds after they arrived: by then the log has the answers that they name, which the recommenders
// tell it beside the requests' way.
type experiments struct {
	service *Service
	// known are the tallies as they were last read or written, by the experiment's id. Run's alone, as are the others.
	known map[string]*counted
	// later is when an experiment is looked at again, by id.
	later map[string]time.Time
}

// counted is a tally and the version of the object that holds it; "" if there is none.
type counted struct {
	tally *experiment.Tally
	etag  string
}

const (
	// experimentsInterval is how often is looked for experiments.
	experimentsInterval = time.Second
	// experimentRetry is the pause after a failure.
	experimentRetry = 30 * time.Second
	// experimentSpan bounds what is counted at once after an outage, so that answers do not pile up before their rewards are counted.
	experimentSpan = 10 * time.Minute
	// experimentMargin is how much the broker's clock may be behind the one that dated the experiment's creation.
	experimentMargin = 5 * time.Minute
	// experimentRest is how many times as long as it took to count an experiment it is left alone, if that is longer than the interval.
	// It is no longer than the retry's pause, for a guard metric must not wait.
	experimentRest = 4
)

func newExperiments(s *Service) *experiments {
	return &experiments{service: s, known: map[string]*counted{}, later: map[string]time.Time{}}
}

func (x *experiments) run(ctx context.Context) error {
	tick := time.NewTicker(experimentsInterval)
	defer tick.Stop()
	for {
		if x.service.config.View.Ready() {
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
func (x *experiments) look(ctx context.Context) {
	s := x.service
	exists := map[string]bool{}
	for _, e := range catalog.All[*catalog.Experiment](s.config.View) {
		exists[e.ID] = true
		if e.Status != status.Active || s.config.Now().Before(x.later[e.ID]) || ctx.Err() != nil {
			continue
		}
		started := time.Now()
		err := x.count(ctx, e)
		rest := max(s.config.ExperimentInterval, min(experimentRest*time.Since(started), experimentRetry))
		if err != nil && ctx.Err() == nil {
			s.config.Log.Warn("counting an experiment failed, it is tried again", zap.String("experiment", e.ARN), zap.Error(err))
			rest = max(rest, experimentRetry)
		}
		x.later[e.ID] = s.config.Now().Add(rest)
	}
	for id := range x.later {
		if !exists[id] {
			delete(x.later, id)
			delete(x.known, id)
			s.metrics.forget(id)
		}
	}
}

// count takes an experiment's tally one step further, if there is anything to count.
func (x *experiments) count(ctx context.Context, e *catalog.Experiment) error {
	s := x.service
	group, ok := catalog.Lookup[*catalog.DatasetGroup](s.config.View, e.DatasetGroupARN)
	if !ok {
		return nil // the view will know in a moment
	}
	c, err := x.read(ctx, e)
	if err != nil {
		return err
	}
	s.metrics.show(e, c.tally.Results())
	until := s.config.Now().Add(-s.config.ExperimentInterval)
	if e.Stopped() && until.After(e.CountedUntil()) {
		until = e.CountedUntil()
	}
	if last := c.tally.Until; !last.IsZero() && until.After(last.Add(experimentSpan)) {
		until = last.Add(experimentSpan)
	}
	until = until.Truncate(time.Millisecond) // as it is written down
	if !until.After(c.tally.Until) {
		return nil
	}
	delete(x.known, e.ID) // unless it is written down, what is counted from here on is not
	if err := s.countUntil(ctx, group.GroupKey(), e, c.tally, until); err != nil {
		return err
	}
	c.tally.Look()
	written, err := x.write(ctx, e, c)
	if err != nil || !written {
		return err
	}
	s.metrics.show(e, c.tally.Results())
	return x.judge(ctx, e, c.tally)
}

// read returns the newest tally of an experiment, which may be another retrainer's.
func (x *experiments) read(ctx context.Context, e *catalog.Experiment) (*counted, error) {
	bucket := x.service.config.Bucket
	info, err := bucket.Head(ctx, e.TallyKey())
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
	tally, etag, err := x.tallyOf(e).Read(ctx)
	if err != nil {
		return nil, err
	}
	x.known[e.ID] = &counted{tally, etag}
	return x.known[e.ID], nil
}

// tallyOf is the object of an experiment's tally.
func (x *experiments) tallyOf(e *catalog.Experiment) blob.Document[*experiment.Tally] {
	return blob.Document[*experiment.Tally]{
		Bucket: x.service.config.Bucket, Key: e.TallyKey(), ContentType: "application/octet-stream",
		Encode: (*experiment.Tally).Encode,
		Decode: func(data []byte) (*experiment.Tally, error) { return experiment.Decode(data, e.Plan()) },
	}
}

// write puts a tally in the place of the one that it was counted from. False: somebody else has counted meanwhile.
func (x *experiments) write(ctx context.Context, e *catalog.Experiment, c *counted) (bool, error) {
	etag, err := x.tallyOf(e).Swap(ctx, c.tally, c.etag)
	if errors.Is(err, blob.ErrPrecondition) || errors.Is(err, blob.ErrNotFound) {
		return false, nil // ErrNotFound: it was deleted with its experiment
	}
	if err != nil {
		return false, err
	}
	x.known[e.ID] = &counted{c.tally, etag}
	return true, nil
}

// judge stops an experiment whose guard metric is worse in an arm: the control answers everybody from then on. What was just written for
// an experiment that is gone goes after it.
func (x *experiments) judge(ctx context.Context, e *catalog.Experiment, tally *experiment.Tally) error {
	s := x.service
	current, err := s.config.Store.Experiments.Get(ctx, e.ARN)
	if errors.Is(err, catalog.ErrNotFound) || err == nil && (current.ID != e.ID || current.Deleting()) {
		return s.config.Bucket.Delete(ctx, e.TallyKey())
	}
	worse := tally.GuardTripped()
	if err != nil || current.Stopped() || current.Guard == nil || len(worse) == 0 {
		return err
	}
	reason := fmt.Sprintf("rolled back to %s: the rate of the guard metric %s is worse in %s", current.Control().Name, current.Guard.EventType, strings.Join(worse, ", "))
	_, err = s.config.Store.Experiments.Update(ctx, e.ARN, func(now *catalog.Experiment) error {
		if now.ID != e.ID || now.Deleting() || now.Stopped() {
			return errOtherwiseEnded
		}
		now.Stop(now.Control().Name, reason, s.config.Now())
		return nil
	})
	if errors.Is(err, errOtherwiseEnded) || errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rolling back: %w", err)
	}
	s.metrics.rollbacks.Inc()
	s.config.Log.Warn("an experiment was stopped by its guard metric", zap.String("experiment", e.ARN), zap.String("reason", reason))
	return nil
}

var errOtherwiseEnded = errors.New("the experiment has ended otherwise")

// countUntil counts the interactions that arrived before a time, and before them the answers that they may name.
func (s *Service) countUntil(ctx context.Context, group string, e *catalog.Experiment, tally *experiment.Tally, until time.Time) error {
	shown := bus.RecommendationsTopic(group)
	answers, err := s.uncounted(ctx, shown, e, tally, until.Add(s.config.ExperimentInterval))
	if err != nil {
		return err
	}
	for _, lost := range answers.gone {
		tally.Lose(lost.End - lost.Start)
	}
	err = s.config.Bus.ReadRange(ctx, shown, answers.held, func(records []bus.Record) error {
		for _, record := range records {
			var answer penchantv1.RecommendationShown
			if proto.Unmarshal(record.Value, &answer) != nil || answer.Experiment.GetId() != e.ID {
				continue
			}
			tally.Show(experiment.Answer{
				RecommendationID: answer.RecommendationId, UserID: answer.UserId, Arm: answer.Experiment.Arm, Phase: int(answer.Experiment.Phase), At: record.Arrival,
			})
		}
		return nil
	})
	if err != nil {
		return err
	}

	happened := schema.Interactions.Topic(group)
	events, err := s.uncounted(ctx, happened, e, tally, until)
	if err != nil {
		return err
	}
	for partition, archived := range events.gone {
		if err := s.countArchived(ctx, group, events.topicID, partition, archived, tally); err != nil {
			return err
		}
	}
	err = s.config.Bus.ReadRange(ctx, happened, events.held, func(records []bus.Record) error {
		for _, record := range records {
			if i, err := wire.UnmarshalInteraction(record.Value); err == nil { // else it is the firehose's to report
				i.Origin = groupdata.OriginOf(record)
				tally.Happen(&i)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	tally.Expire(until)
	tally.Until = until
	tally.Progress[shown], tally.Progress[happened] = answers.progress(), events.progress()
	return nil
}

// span is the part of a topic that is to be counted.
type span struct {
	topicID [16]byte
	// held are the offsets that the log has, gone those before them that it has no longer, by partition.
	held, gone map[int32]bus.OffsetRange
}

// progress is the one after the span.
func (s *span) progress() experiment.Progress {
	next := map[int32]int64{}
	for partition, offsets := range s.held {
		next[partition] = max(offsets.Start, offsets.End)
	}
	return experiment.Progress{TopicID: s.topicID, Next: next}
}

// uncounted is what of a topic arrived before a time and has not been counted. Of a topic that was made again, that is all it holds.
func (s *Service) uncounted(ctx context.Context, topic string, e *catalog.Experiment, tally *experiment.Tally, until time.Time) (*span, error) {
	topics, err := s.config.Bus.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	info, ok := topics[topic]
	if !ok {
		return nil, fmt.Errorf("there is no topic %s", topic)
	}
	ends, err := s.config.Bus.OffsetsFrom(ctx, topic, until)
	if err != nil {
		return nil, err
	}
	last, counted := tally.Progress[topic]
	var first map[int32]bus.OffsetRange
	if !counted {
		if first, err = s.config.Bus.OffsetsFrom(ctx, topic, e.CreatedAt.Add(-experimentMargin)); err != nil {
			return nil, err
		}
	}
	held, err := s.config.Bus.Offsets(ctx, topic)
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

// countArchived counts interactions that only the archive has.
func (s *Service) countArchived(ctx context.Context, group string, topic [16]byte, partition int32, offsets bus.OffsetRange, tally *experiment.Tally) error {
	options := archive.ReadOptions{TopicID: &topic, Partition: &partition, FromOffset: offsets.Start}
	for i, err := range archive.ReadInteractions(ctx, s.config.Bucket, group, schema.Interactions, options) {
		var corrupt *archive.CorruptError
		if errors.As(err, &corrupt) {
			s.config.Log.Error("a damaged archive file is left out of experiments", zap.Error(err))
			continue
		}
		if err != nil {
			return err
		}
		if i.Origin.Offset >= offsets.End {
			return nil
		}
		tally.Happen(&i)
	}
	return nil
}
