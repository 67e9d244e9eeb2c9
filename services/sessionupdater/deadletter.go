package sessionupdater

import (
	"context"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/bus"
)

// deadLetterTimeout bounds the wait for the dead-letter topic. A topic that does not take a record must not hold up the
// good ones behind it: the firehose keeps the same record in the bucket.
const deadLetterTimeout = 5 * time.Second

// bury tells the dead-letter topic about a record that cannot be folded, once however often it is read. The error is that
// of ctx alone.
func (p *partition) bury(ctx context.Context, record *bus.Record, reason error) error {
	if record.Offset <= p.buried {
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
	p.buried = record.Offset
	p.service.metrics.deadLetters.Inc()
	if err != nil {
		p.log.Error("a record cannot be folded, and the dead-letter topic does not take it",
			zap.Int64("offset", record.Offset), zap.NamedError("reason", reason), zap.Error(err))
		return nil
	}
	p.log.Warn("a record cannot be folded", zap.Int64("offset", record.Offset), zap.Error(reason))
	return nil
}
