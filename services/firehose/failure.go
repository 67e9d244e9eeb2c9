package firehose

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
)

// failure is a record that can never be archived as a row. It is kept in archive-errors/ before the file that passes
// over its offset is written, and published to the dead-letter topic.
type failure struct {
	record bus.Record
	reason error

	kept, told bool
	attempts   int // of telling
}

// The dead-letter topic is for notice; the record itself is safe in the bucket. So a topic that does not take it must
// not hold up the records behind.
const (
	deadLetterAttempts = 3
	deadLetterTimeout  = 10 * time.Second
)

func (p *partition) writeFailures(ctx context.Context) error {
	for _, f := range p.failures {
		if err := p.keep(ctx, f); err != nil {
			return err
		}
		if err := p.tell(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (p *partition) keep(ctx context.Context, f *failure) error {
	if f.kept {
		return nil
	}
	headers := map[string][]byte{}
	for _, h := range f.record.Headers {
		headers[h.Key] = h.Value
	}
	err := archive.PutFailure(ctx, p.service.config.Bucket, p.target.group, archive.Failure{
		Topic: p.Topic, TopicID: hex.EncodeToString(p.TopicID[:]), Partition: p.Partition, Offset: f.record.Offset,
		Arrival: f.record.Arrival, Key: f.record.Key, Value: f.record.Value, Headers: headers, Reason: f.reason.Error(),
	})
	if err != nil {
		return fmt.Errorf("keeping a record that cannot be archived: %w", err)
	}
	f.kept = true
	p.service.metrics.failures.WithLabelValues(p.Topic).Inc()
	p.log.Warn("a record cannot be archived; it is kept in archive-errors", zap.Int64("offset", f.record.Offset),
		zap.Error(f.reason))
	return nil
}

func (p *partition) tell(ctx context.Context, f *failure) error {
	if f.told {
		return nil
	}
	publishing, cancel := context.WithTimeout(ctx, deadLetterTimeout)
	defer cancel()
	err := p.service.config.Bus.Publish(publishing, bus.Record{
		Topic: bus.DeadLetterTopic(p.target.group), Key: f.record.Key, Value: f.record.Value,
		Headers: append(f.record.Headers[:len(f.record.Headers):len(f.record.Headers)],
			bus.Header{Key: "penchant-reason", Value: []byte(f.reason.Error())},
			bus.Header{Key: "penchant-consumer", Value: []byte(ConsumerGroup)},
			bus.Header{Key: "penchant-topic", Value: []byte(p.Topic)},
			bus.Header{Key: "penchant-partition", Value: strconv.AppendInt(nil, int64(p.Partition), 10)},
			bus.Header{Key: "penchant-offset", Value: strconv.AppendInt(nil, f.record.Offset, 10)},
		),
	})
	if err == nil {
		f.told = true
		return nil
	}
	if f.attempts++; f.attempts < deadLetterAttempts {
		return fmt.Errorf("publishing to the dead-letter topic: %w", err)
	}
	p.service.metrics.errors.WithLabelValues(p.Topic).Inc()
	p.log.Error("the dead-letter topic does not take a record, which is kept in archive-errors",
		zap.Int64("offset", f.record.Offset), zap.Error(err))
	f.told = true
	return nil
}
