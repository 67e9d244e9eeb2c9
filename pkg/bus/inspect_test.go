package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
)

func TestTheBrokersDescribeThemselves(t *testing.T) {
	client := openClient(t, bus.Config{})
	cluster, err := client.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(cluster.Brokers) == 0 || cluster.Version == "" {
		t.Errorf("%+v", cluster)
	}
}

func TestTopicsShowTheirSettings(t *testing.T) {
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 3)
	states, err := client.TopicStates(t.Context(), topic, "penchant.no-such-topic")
	if err != nil {
		t.Fatal(err)
	}
	state, ok := states[topic]
	if !ok || len(states) != 1 {
		t.Fatalf("%+v", states)
	}
	if state.Partitions != 3 || state.Replicas != 1 || state.InSync != 1 || state.Leaderless != 0 {
		t.Errorf("%+v", state)
	}
	for name, want := range map[string]string{"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "1", "cleanup.policy": "delete"} {
		if got := state.Config[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestNewestArrivalIsTheLastRecords(t *testing.T) {
	client := openClient(t, bus.Config{})
	empty, written := newTopic(t, client, 1), newTopic(t, client, 2)
	before := time.Now().Truncate(time.Millisecond)
	publish(t, client, written, 0, 5)
	newest, err := client.NewestArrivals(t.Context(), empty, written)
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := newest[written]; !ok || at.Before(before) || at.After(time.Now()) {
		t.Errorf("the newest record arrived at %v, published after %v", at, before)
	}
	if at, ok := newest[empty]; ok {
		t.Errorf("a topic without records has one of %v", at)
	}
}

func TestGroupsShowWhetherAnybodyIsAtWork(t *testing.T) {
	client := openClient(t, bus.Config{})
	group := newTopic(t, client, 1)
	consumer, err := bus.NewConsumer(bus.ConsumerConfig{Client: client, Group: group},
		func(bus.Assignment) bus.PartitionConsumer { return idle{} })
	if err != nil {
		t.Fatal(err)
	}
	consumer.SetTopics(group)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx) }()
	state := func(want string) func() bool {
		return func() bool {
			groups, err := client.Groups(t.Context())
			return err == nil && groups[group] == want
		}
	}
	members := func(want int) func() bool {
		return func() bool {
			n, err := client.GroupMembers(t.Context(), group)
			return err == nil && n == want
		}
	}
	eventually.True(t, "the group with a member is stable", state("Stable"))
	eventually.True(t, "the group has one member", members(1))
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually.True(t, "the group that was left is empty", state("Empty"))
	eventually.True(t, "the group has no member", members(0))
}

// idle consumes nothing.
type idle struct{}

func (idle) Start(context.Context) (int64, error)                { return 0, nil }
func (idle) Handle(context.Context, []bus.Record) (int64, error) { return bus.NoCommit, nil }
func (idle) Stop(context.Context) (int64, error)                 { return bus.NoCommit, nil }
