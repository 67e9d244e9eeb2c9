package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/control"
	"github.com/penchant-io/penchant/services/firehose"
	"github.com/penchant-io/penchant/services/sessionupdater"
)

const topicPrefix = "penchant."

// Lags are the lags of consumer groups.
type Lags struct {
	Partitions []PartitionLag `json:"partitions"`
}

// PartitionLag is the lag of one consumer group in one partition.
type PartitionLag struct {
	ConsumerGroup string `json:"consumerGroup"`
	Topic         string `json:"topic"`
	Partition     int32  `json:"partition"`
	// Committed is the offset that the group has committed; null: none.
	Committed *int64 `json:"committedOffset"`
	// Start and End are what the log holds: offsets from Start up to, not including, End.
	Start int64 `json:"startOffset"`
	End   int64 `json:"endOffset"`
	// Lag counts the offsets that the group has not committed.
	Lag int64 `json:"lag"`
	// Lost counts those of them that the log has deleted: the archive may have them.
	Lost int64 `json:"lost"`
}

// LagFilter chooses consumer groups and topics; the zero value leaves nothing out.
type LagFilter struct{ ConsumerGroup, DatasetGroup, Topic string }

// Lag compares what consumer groups have committed with what Penchant's topics hold: Penchant's own groups, and
// everybody else's who has committed anything to these topics; and the bridges', with the topics that they read.
func (i *Installation) Lag(ctx context.Context, filter LagFilter) (*Lags, error) {
	if err := i.need(ctx, kafka); err != nil {
		return nil, err
	}
	groups, err := i.bus.Groups(ctx)
	if err != nil {
		return nil, err
	}
	// Penchant's groups are listed even before they have run.
	groups[firehose.ConsumerGroup] += ""
	groups[sessionupdater.ConsumerGroup] += ""
	held, err := i.held(ctx, groups, filter)
	if err != nil {
		return nil, err
	}
	lags := &Lags{Partitions: []PartitionLag{}}
	for group := range groups {
		if filter.ConsumerGroup != "" && filter.ConsumerGroup != group {
			continue
		}
		committed, err := i.bus.Committed(ctx, group)
		if err != nil {
			return nil, err
		}
		for place, offsets := range held {
			offset, ok := committed[place]
			if !ok && !reads(group, place.Topic) {
				continue
			}
			lags.Partitions = append(lags.Partitions, lagOf(group, place, offsets, offset, ok))
		}
	}
	slices.SortFunc(lags.Partitions, func(a, b PartitionLag) int {
		return cmp.Or(cmp.Compare(a.ConsumerGroup, b.ConsumerGroup), cmp.Compare(a.Topic, b.Topic),
			cmp.Compare(a.Partition, b.Partition))
	})
	return lags, nil
}

// held returns the offsets that the topics of the filter hold, by partition.
func (i *Installation) held(ctx context.Context, groups map[string]string,
	filter LagFilter) (map[bus.TopicPartition]bus.OffsetRange, error) {
	held := map[bus.TopicPartition]bus.OffsetRange{}
	if filter.Topic == "" || strings.HasPrefix(filter.Topic, topicPrefix) {
		topics, err := i.topics(ctx, filter.DatasetGroup, filter.Topic)
		if err != nil {
			return nil, err
		}
		ours, err := i.bus.Offsets(ctx, topics...)
		if err != nil {
			return nil, err
		}
		maps.Copy(held, ours)
	}
	if filter.DatasetGroup == "" {
		if err := i.addBridged(ctx, groups, filter.Topic, held); err != nil {
			return nil, err
		}
	}
	return held, nil
}

// addBridged adds what the topics hold that bridges read, which are others' topics.
func (i *Installation) addBridged(ctx context.Context, groups map[string]string, topic string,
	held map[bus.TopicPartition]bus.OffsetRange) error {
	read := map[string]bool{}
	for group := range groups {
		if !strings.HasPrefix(group, bridge.ConsumerGroup) {
			continue
		}
		committed, err := i.bus.Committed(ctx, group)
		if err != nil {
			return err
		}
		for place := range committed {
			if topic == "" || topic == place.Topic {
				read[place.Topic] = true
			}
		}
	}
	more, err := i.bus.Offsets(ctx, slices.Collect(maps.Keys(read))...)
	if err != nil {
		return err
	}
	maps.Copy(held, more)
	return nil
}

func lagOf(group string, place bus.TopicPartition, held bus.OffsetRange, committed int64, ok bool) PartitionLag {
	lag := PartitionLag{ConsumerGroup: group, Topic: place.Topic, Partition: place.Partition, Start: held.Start,
		End: held.End}
	if !ok {
		lag.Lag = held.End - held.Start
		return lag
	}
	lag.Committed = &committed
	lag.Lag = max(0, held.End-committed)
	lag.Lost = max(0, held.Start-committed)
	return lag
}

// reads reports whether one of Penchant's consumers reads a topic.
func reads(group, topic string) bool {
	t, ok := schema.TypeOfTopic(topic)
	switch group {
	case sessionupdater.ConsumerGroup:
		return ok && t.IsInteractions()
	case firehose.ConsumerGroup:
		return ok
	}
	return false
}

// topics finds Penchant's topics: all of them, those of one dataset group, or the one that is named.
func (i *Installation) topics(ctx context.Context, datasetGroup, topic string) ([]string, error) {
	prefix := topicPrefix
	if datasetGroup != "" {
		if err := i.need(ctx, s3); err != nil {
			return nil, err
		}
		groups, err := i.groups(ctx, datasetGroup)
		if err != nil {
			return nil, err
		}
		prefix += groups[0].GroupKey() + "."
	}
	all, err := i.bus.Topics(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range all {
		if strings.HasPrefix(name, prefix) && (topic == "" || topic == name) {
			names = append(names, name)
		}
	}
	if topic != "" && len(names) == 0 {
		return nil, fmt.Errorf("no topic %s", topic)
	}
	slices.Sort(names)
	return names, nil
}

// Above returns ErrProblems when a partition's lag is above the limit.
func (l *Lags) Above(limit int64) error {
	for _, p := range l.Partitions {
		if p.Lag > limit {
			return fmt.Errorf("%w: %s is %d behind in %s, partition %d", ErrProblems, p.ConsumerGroup, p.Lag, p.Topic,
				p.Partition)
		}
	}
	return nil
}

// Page is the lags for people.
func (l *Lags) Page() string {
	var page strings.Builder
	var rows [][]string
	for _, p := range l.Partitions {
		committed := "-"
		if p.Committed != nil {
			committed = fmt.Sprint(*p.Committed)
		}
		rows = append(rows, []string{
			p.ConsumerGroup, p.Topic, fmt.Sprint(p.Partition), committed, fmt.Sprint(p.Start), fmt.Sprint(p.End),
			fmt.Sprint(p.Lag), fmt.Sprint(p.Lost),
		})
	}
	printTable(&page, []string{"CONSUMER GROUP", "TOPIC", "PARTITION", "COMMITTED", "START", "END", "LAG", "LOST"},
		rows)
	return page.String()
}

// Tail selects the topics to follow, where to begin and when to end.
type Tail struct {
	DatasetGroup string // name, key or ARN; "": all of Penchant's topics
	Topic        string // one topic
	FromStart    bool   // what the topics hold first; otherwise only what comes
	UntilEnd     bool   // end when what the topics held at the beginning is written
	Limit        int    // end after so many records; 0: don't
}

// tailed is one line of a tail.
type tailed struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Arrival   time.Time         `json:"arrival"`
	Key       string            `json:"key,omitempty"`
	KeyBytes  []byte            `json:"keyBase64,omitempty"` // instead of key, where that is no text
	Headers   map[string]string `json:"headers,omitempty"`
	// Type and Value are the message and its proto3 JSON. Bytes replace them where there is none: what they should be,
	// but are not, is the Error.
	Type  string          `json:"type,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
	Bytes []byte          `json:"valueBase64,omitempty"`
	Error string          `json:"error,omitempty"`
}

// Tail writes records as they come, one JSON object a line, until ctx ends or Tail's end is reached. Records of one
// partition come in order.
func (i *Installation) Tail(ctx context.Context, t Tail, w io.Writer) error {
	if err := i.need(ctx, kafka); err != nil {
		return err
	}
	topics, err := i.topics(ctx, t.DatasetGroup, t.Topic)
	if err != nil {
		return err
	}
	if len(topics) == 0 {
		return errors.New("there is no topic of Penchant's")
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	var (
		written  int
		failed   error
		encoder  = json.NewEncoder(w)
		followed = bus.FollowConfig{Topics: topics, FromStart: t.FromStart}
	)
	encoder.SetEscapeHTML(false)
	if t.UntilEnd {
		followed.CaughtUp = stop
	}
	err = i.bus.Follow(following, followed, func(_ context.Context, records []bus.Record) error {
		for k := range records {
			if failed != nil || t.Limit > 0 && written >= t.Limit {
				return nil
			}
			if failed = encoder.Encode(decoded(&records[k])); failed != nil { // the reader of the pipe has gone
				stop()
				return nil
			}
			if written++; written == t.Limit {
				stop()
			}
		}
		return nil
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("following the topics: %w", err)
	}
	return nil
}

// messageOf makes the message that a topic's records hold; nil for dead letters, which are bytes that nobody could
// read.
func messageOf(topic string) proto.Message {
	switch topic {
	case bus.ControlTopic:
		return new(penchantv1.ResourceChanged)
	case bus.JobsTopic:
		return new(penchantv1.JobReady)
	}
	if strings.HasSuffix(topic, strings.TrimPrefix(bus.RecommendationsTopic(""), topicPrefix)) {
		return new(penchantv1.RecommendationShown)
	}
	t, ok := schema.TypeOfTopic(topic)
	switch {
	case !ok:
		return nil
	case t == schema.Interactions:
		return new(penchantv1.Interaction)
	case t == schema.ActionInteractions:
		return new(penchantv1.ActionInteraction)
	}
	return new(penchantv1.EntityRecord)
}

func decoded(r *bus.Record) tailed {
	line := tailed{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Arrival: r.Arrival.UTC(),
		Headers: textHeaders(r.Headers)}
	if utf8.Valid(r.Key) {
		line.Key = string(r.Key)
	} else {
		line.KeyBytes = r.Key
	}
	message := messageOf(r.Topic)
	if message == nil || len(r.Value) == 0 { // the latter is a tombstone
		line.Bytes = r.Value
		return line
	}
	line.Type = string(message.ProtoReflect().Descriptor().FullName())
	err := proto.Unmarshal(r.Value, message)
	if err == nil {
		line.Value, err = protojson.Marshal(message)
	}
	if err != nil {
		line.Error, line.Bytes = err.Error(), r.Value
	}
	return line
}

// textHeaders is a record's headers as JSON can hold them; of several with one key the last counts.
func textHeaders(headers []bus.Header) map[string]string {
	if len(headers) == 0 {
		return nil
	}
	texts := make(map[string]string, len(headers))
	for _, h := range headers {
		texts[h.Key] = strings.ToValidUTF8(string(h.Value), "\uFFFD")
	}
	return texts
}

// CreatedTopics are the topics that were missing and are there again.
type CreatedTopics struct {
	Created []string `json:"created"`
}

// CreateTopics creates the topics of active dataset groups, and Penchant's own, that do not exist: after a Kafka
// cluster was lost or replaced. They get the settings that new topics get.
func (i *Installation) CreateTopics(ctx context.Context) (*CreatedTopics, error) {
	if err := i.need(ctx, kafka, s3); err != nil {
		return nil, err
	}
	missing, err := i.missingTopics(ctx)
	if err != nil {
		return nil, err
	}
	result := &CreatedTopics{Created: []string{}}
	for _, spec := range missing {
		if err := i.bus.EnsureTopics(ctx, spec); err != nil {
			return result, err
		}
		result.Created = append(result.Created, spec.Name)
	}
	return result, nil
}

// missingTopics are the topics that should be there and are not.
func (i *Installation) missingTopics(ctx context.Context) ([]bus.TopicSpec, error) {
	groups, err := i.groups(ctx, "")
	if err != nil {
		return nil, err
	}
	wanted := control.OwnTopics()
	for _, group := range groups {
		if group.Status == status.Active {
			wanted = append(wanted, control.GroupTopics(group.GroupKey())...)
		}
	}
	existing, err := i.bus.Topics(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(wanted, func(spec bus.TopicSpec) bool {
		_, ok := existing[spec.Name]
		return ok
	}), nil
}

// Page returns the result for people.
func (c *CreatedTopics) Page() string {
	var page strings.Builder
	if len(c.Created) == 0 {
		fmt.Fprintln(&page, "no topic is missing")
	}
	for _, name := range c.Created {
		fmt.Fprintf(&page, "created %s\n", name)
	}
	return page.String()
}
