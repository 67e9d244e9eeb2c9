package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// What the operator's commands ask about the brokers. None of it changes anything.

// Cluster describes the brokers.
type Cluster struct {
	// Brokers are the addresses that clients connect to.
	Brokers []string
	// Version is the oldest release that the brokers' abilities fit, such as "v4.0".
	Version string
}

// Cluster asks for the brokers and their version.
func (c *Client) Cluster(ctx context.Context) (Cluster, error) {
	brokers, err := c.admin.ListBrokers(ctx)
	if err != nil {
		return Cluster{}, fmt.Errorf("listing the brokers: %w", err)
	}
	var cluster Cluster
	for _, b := range brokers {
		cluster.Brokers = append(cluster.Brokers, fmt.Sprintf("%s:%d", b.Host, b.Port))
	}
	slices.Sort(cluster.Brokers)
	versions, err := c.admin.ApiVersions(ctx)
	if err != nil {
		return Cluster{}, fmt.Errorf("asking the brokers for their versions: %w", err)
	}
	for _, v := range versions {
		if guess := v.VersionGuess(); v.Err == nil && (cluster.Version == "" || guess < cluster.Version) {
			cluster.Version = guess
		}
	}
	return cluster, nil
}

// TopicState is a topic's settings and the health of its replicas.
type TopicState struct {
	Partitions int32
	// Replicas is the fewest that a partition has, InSync the fewest in sync.
	Replicas, InSync int
	// Leaderless counts the partitions that cannot be read or written.
	Leaderless int
	// Config holds the topic's effective settings by Kafka's names; empty where the brokers don't let us ask.
	Config map[string]string
}

// TopicStates describes topics further than Topics does. One that doesn't exist is absent from the map.
func (c *Client) TopicStates(ctx context.Context, names ...string) (map[string]TopicState, error) {
	if len(names) == 0 {
		return nil, nil
	}
	metadata, err := c.admin.Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describing topics: %w", err)
	}
	states := make(map[string]TopicState, len(names))
	for name, topic := range metadata.Topics {
		if errors.Is(topic.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if topic.Err != nil {
			return nil, fmt.Errorf("describing topic %s: %w", name, topic.Err)
		}
		states[name] = stateOf(topic)
	}
	if len(states) == 0 {
		return states, nil
	}
	return states, c.addConfigs(ctx, states)
}

func stateOf(topic kadm.TopicDetail) TopicState {
	state := TopicState{Partitions: int32(len(topic.Partitions)), Config: map[string]string{}}
	first := true
	for _, p := range topic.Partitions {
		if p.Leader < 0 {
			state.Leaderless++
		}
		if first || len(p.Replicas) < state.Replicas {
			state.Replicas = len(p.Replicas)
		}
		if first || len(p.ISR) < state.InSync {
			state.InSync = len(p.ISR)
		}
		first = false
	}
	return state
}

// addConfigs reads the settings of topics into their states.
func (c *Client) addConfigs(ctx context.Context, states map[string]TopicState) error {
	configs, err := c.admin.DescribeTopicConfigs(ctx, slices.Sorted(maps.Keys(states))...)
	if err != nil {
		return fmt.Errorf("reading the settings of topics: %w", err)
	}
	for _, config := range configs {
		if config.Err != nil {
			continue // not allowed to ask, or deleted since
		}
		for _, entry := range config.Configs {
			if entry.Value != nil {
				states[config.Name].Config[entry.Key] = *entry.Value
			}
		}
	}
	return nil
}

// Groups returns the state of each consumer group that the brokers know: "Stable" with members at work, "Empty"
// without.
func (c *Client) Groups(ctx context.Context) (map[string]string, error) {
	listed, err := c.admin.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the consumer groups: %w", err)
	}
	states := make(map[string]string, len(listed))
	for name, group := range listed {
		states[name] = group.State
	}
	return states, nil
}

// GroupMembers counts the members of a consumer group. One whose process was killed counts until the brokers give it
// up.
func (c *Client) GroupMembers(ctx context.Context, group string) (int, error) {
	described, err := c.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("describing the consumer group %s: %w", group, err)
	}
	return len(described[group].Members), nil
}

// NewestArrivals returns for each topic when its newest record arrived, by the brokers' clocks. Topics without records
// are absent from the map.
func (c *Client) NewestArrivals(ctx context.Context, topics ...string) (map[string]time.Time, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	listed, err := c.admin.ListMaxTimestampOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("asking for the newest records' times: %w", err)
	}
	newest := map[string]time.Time{}
	for topic, partitions := range listed {
		for _, p := range partitions {
			if p.Err != nil || p.Timestamp < 0 {
				continue
			}
			if at := time.UnixMilli(p.Timestamp); at.After(newest[topic]) {
				newest[topic] = at
			}
		}
	}
	return newest, nil
}
