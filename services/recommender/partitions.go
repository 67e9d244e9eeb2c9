package recommender

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/schema"
)

// partitions knows how many partitions the interactions of each group have, which it takes to know whether user states
// are complete. Kafka is asked in the background, once for each group: the number never changes.
type partitions struct {
	bus   *bus.Client
	log   *zap.Logger
	ask   chan string
	known sync.Map // group → int32
}

func newPartitions(client *bus.Client, log *zap.Logger) *partitions {
	return &partitions{bus: client, log: log, ask: make(chan string, 16)}
}

// of returns a group's number of partitions, 0 while it is not known.
func (p *partitions) of(group string) int32 {
	if n, ok := p.known.Load(group); ok {
		return n.(int32)
	}
	select {
	case p.ask <- group:
	default: // enough are being looked up
	}
	return 0
}

// run looks groups up until ctx ends.
func (p *partitions) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case group := <-p.ask:
			if _, ok := p.known.Load(group); ok {
				continue
			}
			topic := schema.Interactions.Topic(group)
			topics, err := p.bus.Topics(ctx, topic)
			if err != nil && ctx.Err() == nil {
				p.log.Debug("the number of partitions is not known yet", zap.String("topic", topic), zap.Error(err))
			}
			if info, ok := topics[topic]; ok {
				p.known.Store(group, info.Partitions)
			}
		}
	}
}
