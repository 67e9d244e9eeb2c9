package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// EnsureTopics creates the topics that don't exist yet and returns when all of them can be used. It leaves those that
// exist as they are.
func (c *Client) EnsureTopics(ctx context.Context, specs ...TopicSpec) error {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	// Brokers learn of a topic, and of the end of one that had its name, a moment after the controller has answered.
	for attempt := 0; ; attempt++ {
		existing, err := c.Topics(ctx, names...)
		if err != nil {
			return err
		}
		missing := ""
		for _, spec := range specs {
			if _, ok := existing[spec.Name]; ok {
				continue
			}
			missing = spec.Name
			if err := c.createTopic(ctx, spec); err != nil {
				return err
			}
		}
		if missing == "" {
			return nil
		}
		if topicPace.Wait(ctx, attempt) != nil {
			return fmt.Errorf("waiting for topic %s: %w", missing, ctx.Err())
		}
	}
}

func (c *Client) createTopic(ctx context.Context, spec TopicSpec) error {
	partitions := spec.Partitions
	if partitions <= 0 {
		partitions = c.cfg.Topics.Partitions
	}
	_, err := c.admin.CreateTopic(ctx, partitions, c.cfg.Topics.ReplicationFactor, c.topicConfig(spec), spec.Name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("creating topic %s: %w", spec.Name, err)
	}
	return nil
}

// topicConfig states everything we rely on, so that a broker's own defaults don't matter.
func (c *Client) topicConfig(spec TopicSpec) map[string]*string {
	topics := c.cfg.Topics
	config := map[string]*string{
		"message.timestamp.type": kadm.StringPtr("LogAppendTime"),
		"min.insync.replicas":    kadm.StringPtr(strconv.Itoa(topics.MinInSyncReplicas)),
		"compression.type":       kadm.StringPtr("producer"),
	}
	if topics.SegmentBytes > 0 {
		config["segment.bytes"] = kadm.StringPtr(strconv.FormatInt(topics.SegmentBytes, 10))
	}
	retention := strconv.FormatInt(topics.RetentionTime.Milliseconds(), 10)
	if spec.Compacted {
		config["cleanup.policy"] = kadm.StringPtr("compact")
		config["delete.retention.ms"] = &retention // a reader may be away that long and still learn of a deletion
		config["retention.ms"] = kadm.StringPtr("-1")
		config["retention.bytes"] = kadm.StringPtr("-1")
		return config
	}
	config["cleanup.policy"] = kadm.StringPtr("delete")
	config["retention.ms"] = &retention
	config["retention.bytes"] = kadm.StringPtr(strconv.FormatInt(topics.RetentionBytes, 10))
	return config
}

// deletedWithin bounds the wait for brokers that still show a deleted topic.
const deletedWithin = 10 * time.Second

// topicPace spaces the looks at topics that are being created or deleted.
var topicPace = backoff.Exponential{First: 50 * time.Millisecond, Max: 500 * time.Millisecond}

// DeleteTopics deletes the topics that exist, and waits a while until the brokers don't show them any more: who makes
// one again under its name must not take the old one for it.
func (c *Client) DeleteTopics(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	before, err := c.Topics(ctx, names...)
	if err != nil {
		return err
	}
	responses, err := c.admin.DeleteTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("deleting topics: %w", err)
	}
	var failed []error
	for name, response := range responses {
		if response.Err != nil && !errors.Is(response.Err, kerr.UnknownTopicOrPartition) {
			failed = append(failed, fmt.Errorf("deleting topic %s: %w", name, response.Err))
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	deadline := time.Now().Add(deletedWithin)
	for attempt := 0; time.Now().Before(deadline); attempt++ {
		now, err := c.Topics(ctx, names...)
		if err != nil {
			return err
		}
		shown := false
		for name, topic := range now {
			shown = shown || topic.ID == before[name].ID
		}
		if !shown || topicPace.Wait(ctx, attempt) != nil {
			break
		}
	}
	return ctx.Err()
}

// Topics describes the named topics. One that doesn't exist is absent from the map. Without names it describes all.
func (c *Client) Topics(ctx context.Context, names ...string) (map[string]TopicInfo, error) {
	// Asked for by hand because the admin library answers from a cache, which knows a deleted topic a while longer.
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, topic)
	}
	response, err := request.RequestWith(ctx, c.kafka)
	if err != nil {
		return nil, fmt.Errorf("describing topics: %w", err)
	}
	topics := make(map[string]TopicInfo, len(response.Topics))
	for _, topic := range response.Topics {
		if topic.Topic == nil || topic.IsInternal {
			continue
		}
		switch err := kerr.ErrorForCode(topic.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.LeaderNotAvailable): // the latter: being created
			continue
		case err != nil:
			return nil, fmt.Errorf("describing topic %s: %w", *topic.Topic, err)
		case len(topic.Partitions) > 0:
			topics[*topic.Topic] = TopicInfo{ID: topic.TopicID, Partitions: int32(len(topic.Partitions))}
		}
	}
	return topics, nil
}

// Offsets returns what the partitions of the topics hold. Topics that don't exist are absent from the map.
func (c *Client) Offsets(ctx context.Context, topics ...string) (map[TopicPartition]OffsetRange, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	starts, err := c.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("reading the log's start offsets: %w", err)
	}
	ends, err := c.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("reading the log's end offsets: %w", err)
	}
	ranges := make(map[TopicPartition]OffsetRange)
	for topic, partitions := range ends {
		for partition, end := range partitions {
			start, ok := starts.Lookup(topic, partition)
			err := errors.Join(end.Err, start.Err)
			switch {
			case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID), !ok:
				continue
			case err != nil:
				return nil, fmt.Errorf("reading the offsets of topic %s, partition %d: %w", topic, partition, err)
			}
			ranges[TopicPartition{topic, partition}] = OffsetRange{Start: start.Offset, End: end.Offset}
		}
	}
	return ranges, nil
}

// Committed returns a group's committed offsets; a group that never committed has none.
func (c *Client) Committed(ctx context.Context, group string) (map[TopicPartition]int64, error) {
	responses, err := c.admin.FetchOffsets(ctx, group)
	return committedOffsets(group, responses, err)
}

// committed is Committed for one topic.
func (c *Client) committed(ctx context.Context, group, topic string) (map[TopicPartition]int64, error) {
	responses, err := c.admin.FetchOffsetsForTopics(ctx, group, topic)
	return committedOffsets(group, responses, err)
}

func committedOffsets(group string, responses kadm.OffsetResponses, err error) (map[TopicPartition]int64, error) {
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("reading the offsets of group %s: %w", group, err)
	}
	committed := make(map[TopicPartition]int64)
	for topic, partitions := range responses {
		for partition, response := range partitions {
			switch {
			case errors.Is(response.Err, kerr.UnknownTopicOrPartition), errors.Is(response.Err, kerr.UnknownTopicID),
				errors.Is(response.Err, kerr.GroupIDNotFound):
				continue
			case response.Err != nil:
				return nil, fmt.Errorf("reading the offsets of group %s: %w", group, response.Err)
			case response.At >= 0:
				committed[TopicPartition{topic, partition}] = response.At
			}
		}
	}
	return committed, nil
}

// DeleteRecords removes, from each partition, the records below the offset, except for the partition's last one: the
// embedded broker takes a partition's position from the records it finds, and would begin at zero again without any.
func (c *Client) DeleteRecords(ctx context.Context, upTo map[TopicPartition]int64) error {
	if len(upTo) == 0 {
		return nil
	}
	topics := make(map[string]bool)
	for tp := range upTo {
		topics[tp.Topic] = true
	}
	held, err := c.Offsets(ctx, slices.Collect(maps.Keys(topics))...)
	if err != nil {
		return err
	}
	offsets := make(kadm.Offsets)
	for tp, offset := range upTo {
		here, ok := held[tp]
		if offset = min(offset, here.End-1); ok && offset > here.Start {
			offsets.Add(kadm.Offset{Topic: tp.Topic, Partition: tp.Partition, At: offset})
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	responses, err := c.admin.DeleteRecords(ctx, offsets)
	if err != nil {
		return fmt.Errorf("trimming the log: %w", err)
	}
	if err := responses.Error(); err != nil {
		return fmt.Errorf("trimming the log: %w", err)
	}
	return nil
}
