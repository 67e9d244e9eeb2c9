package sessionupdater

import (
	"context"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/bus"
)

// deadLetterTimeout bounds the wait for the dead-letter topic. A topic that refuses a record must not hold up the good
// ones behind it, and the firehose keeps the same record in the bucket.
const deadLetterTimeout = 5 * time.Second

// deadLetter publishes a record that cannot be folded to the dead-letter topic, once however often it is read. It
// returns the error of ctx and no other.
func (p *partition) deadLetter(ctx context.Context, record *bus.Record, reason error) error {
	if record.Offset <= p.lastDeadLettered {
		return nil
	}
	publishing, cancel := context.WithTimeout(ctx, deadLetterTimeout)
	defer cancel()
	err := p.service.config.Bus.Publish(publishing, bus.Record{
		Topic: bus.DeadLetterTopic(p.group), Key: record.Key, Value: record.Value,
		Headers: append(slices.Clip(record.Headers),
			bus.Header{Key: "penchant-reason", Value: []byte(reason.Error())},
			bus.Header{Key: "penchant-consumer", Value: []byte(ConsumerGroup)},
			bus.Header{Key: "penchant-topic", Value: []byte(record.Topic)},
			bus.Header{Key: "penchant-partition", Value: strconv.AppendInt(nil, int64(record.Partition), 10)},
			bus.Header{Key: "penchant-offset", Value: strconv.AppendInt(nil, record.Offset, 10)},
		),
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.lastDeadLettered = record.Offset
	p.service.metrics.deadLetters.Inc()
	if err != nil {
		p.log.Error("cannot fold a record, and publishing it to the dead-letter topic failed",
			zap.Int64("offset", record.Offset), zap.NamedError("reason", reason), zap.Error(err))
		return nil
	}
	p.log.Warn("cannot fold a record; it is on the dead-letter topic",
		zap.Int64("offset", record.Offset), zap.Error(reason))
	return nil
}
