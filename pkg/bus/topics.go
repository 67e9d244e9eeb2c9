package bus

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/backoff"
)

// refreshTopics makes watchTopics check the topics at once.
func (c *Consumer) refreshTopics() {
	select {
	case c.wakeTopics <- struct{}{}:
	default:
	}
}

// watchTopics keeps the topics the member takes part in equal to those that are wanted and exist, under the identity
// they have now. The library sees neither a deletion soon nor a topic made again under a name; and it is only ever told
// of topics that exist, so that it doesn't keep asking for others.
func (c *Consumer) watchTopics(ctx context.Context) {
	for {
		missing, err := c.updateTopics(ctx)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("checking the topics failed, retrying", zap.String("group", c.cfg.Group), zap.Error(err))
		}
		interval := topicInterval
		if missing || err != nil {
			interval = missingInterval
		}
		if backoff.Sleep(ctx, minTopicPause) != nil { // wake-ups may be frequent
			return
		}
		timer := time.NewTimer(interval)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.wakeTopics:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// updateTopics compares the wanted topics with those that exist, and reports whether any is missing.
func (c *Consumer) updateTopics(ctx context.Context) (missing bool, err error) {
	c.mu.Lock()
	wanted := slices.Sorted(maps.Keys(c.wanted))
	known := maps.Clone(c.joined)
	c.mu.Unlock()

	existing := map[string]TopicInfo{}
	asked := slices.Collect(maps.Keys(known))
	for _, topic := range wanted {
		if _, ok := known[topic]; !ok {
			asked = append(asked, topic)
		}
	}
	if len(asked) > 0 {
		if existing, err = c.cfg.Client.Topics(ctx, asked...); err != nil {
			return true, err
		}
	}
	var leave, join []string
	for topic, was := range known {
		if existing[topic].ID != was.ID || !slices.Contains(wanted, topic) {
			leave = append(leave, topic)
			delete(known, topic)
		}
	}
	for _, topic := range wanted {
		if _, ok := known[topic]; ok {
			continue
		}
		if _, ok := existing[topic]; ok {
			join = append(join, topic)
		} else {
			missing = true
		}
	}
	c.leave(leave, existing)
	c.join(join, existing)
	c.notePartitions(existing)
	c.refreshEnds(ctx, existing)
	return missing, nil
}

// leave ends the work on topics that aren't wanted any more, are gone, or are others now.
func (c *Consumer) leave(topics []string, existing map[string]TopicInfo) {
	if len(topics) == 0 {
		return
	}
	c.mu.Lock()
	var gone []TopicPartition
	for tp, r := range c.runners {
		if !slices.Contains(topics, tp.Topic) {
			continue
		}
		gone = append(gone, tp)
		if existing[tp.Topic].ID != c.joined[tp.Topic].ID {
			r.setTopicGone()
		}
	}
	for _, topic := range topics {
		delete(c.joined, topic)
	}
	c.mu.Unlock()
	c.release(gone, false)
	c.member.PurgeTopicsFromConsuming(topics...)
	c.reader.forget(topics...)
}

func (r *runner) setTopicGone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.topicGone = true
}

// join takes part in topics.
func (c *Consumer) join(topics []string, existing map[string]TopicInfo) {
	if len(topics) == 0 {
		return
	}
	c.mu.Lock()
	for _, topic := range topics {
		c.joined[topic] = existing[topic]
	}
	// A topic left and joined again before the group noticed is still assigned, and the group won't say so again.
	for tp := range c.assigned {
		if slices.Contains(topics, tp.Topic) {
			c.startRunner(tp)
		}
	}
	c.mu.Unlock()
	c.member.AddConsumeTopics(topics...)
}

// notePartitions has the group share out partitions that were added to a topic. The library would find them within a
// minute.
func (c *Consumer) notePartitions(existing map[string]TopicInfo) {
	c.mu.Lock()
	grown := false
	for topic, joined := range c.joined {
		if now, ok := existing[topic]; ok && now.Partitions > joined.Partitions {
			c.joined[topic] = now
			grown = true
		}
	}
	c.mu.Unlock()
	if grown {
		c.member.ForceMetadataRefresh()
	}
}

// refreshEnds keeps the lag honest where nothing is fetched: paused, or failing.
func (c *Consumer) refreshEnds(ctx context.Context, existing map[string]TopicInfo) {
	if len(existing) == 0 {
		return
	}
	held, err := c.cfg.Client.Offsets(ctx, slices.Collect(maps.Keys(existing))...)
	if err != nil {
		return // said by whoever needs them
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for tp, r := range c.runners {
		if here, ok := held[tp]; ok {
			r.sawEnd(here.End)
		}
	}
}

// commitError is the first error of a commit.
func commitError(response *kmsg.OffsetCommitResponse, err error) error {
	if err != nil || response == nil {
		return err
	}
	for _, topic := range response.Topics {
		for _, partition := range topic.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}
