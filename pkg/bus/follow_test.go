package bus_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// collected is what a follower has been given.
type collected struct {
	mu       sync.Mutex
	records  []bus.Record
	failures int // how many calls are still to fail
}

func (c *collected) handle(_ context.Context, records []bus.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures > 0 {
		c.failures--
		return errors.New("on purpose")
	}
	c.records = append(c.records, records...)
	return nil
}

func (c *collected) all() []bus.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.records)
}

// values are the numbers in the records, in order.
func (c *collected) values() []int {
	values := []int{}
	for _, r := range c.all() {
		n, _ := strconv.Atoi(string(r.Value))
		values = append(values, n)
	}
	slices.Sort(values)
	return values
}

func numbers(first, count int) []int {
	values := make([]int, count)
	for i := range values {
		values[i] = first + i
	}
	return values
}

// follow follows until the test ends.
func follow(t *testing.T, client *bus.Client, cfg bus.FollowConfig) *collected {
	t.Helper()
	got := &collected{}
	followInto(t, client, cfg, got)
	return got
}

func followInto(t *testing.T, client *bus.Client, cfg bus.FollowConfig, got *collected) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- client.Follow(ctx, cfg, got.handle) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestFollowerReadsEverythingAndSaysWhenItHas(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic, empty := newTopic(t, client, 4), newTopic(t, client, 2)
	publish(t, client, topic, 0, 500)
	got := &collected{failures: 2}
	caughtUp := make(chan int, 2)
	followInto(t, client, bus.FollowConfig{
		Topics:    []string{topic, empty, topic + "-absent"},
		FromStart: true,
		CaughtUp:  func() { caughtUp <- len(got.all()) },
	}, got)
	if n := <-caughtUp; n != 500 {
		t.Errorf("caught up after %d records", n)
	}
	publish(t, client, topic, 500, 10)
	eventually.True(t, "new records come", func() bool { return len(got.all()) >= 510 })
	if values := got.values(); !slices.Equal(values, numbers(0, 510)) {
		t.Errorf("got %d values: %v", len(values), values)
	}
	if len(caughtUp) != 0 {
		t.Error("CaughtUp was called twice")
	}
}

func TestFollowerOfNewRecordsOnly(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 2)
	publish(t, client, topic, 0, 100)
	caughtUp := make(chan struct{})
	got := &collected{}
	followInto(t, client, bus.FollowConfig{Topics: []string{topic}, CaughtUp: func() { close(caughtUp) }}, got)
	<-caughtUp
	publish(t, client, topic, 100, 20)
	eventually.True(t, "new records come", func() bool { return slices.Equal(got.values(), numbers(100, 20)) })
}

func TestFollowerPicksUpTopicsThatComeLater(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 2)
	later := topic + "-later"
	started := make(chan struct{}) // what is there at the first look is not later
	got := follow(t, client, bus.FollowConfig{Topics: []string{topic, later}, CaughtUp: func() { close(started) }})
	<-started
	createTopic(t, client, later, 3)
	publish(t, client, later, 0, 30)
	eventually.True(t, "the later topic is read from its start", func() bool { return slices.Equal(got.values(), numbers(0, 30)) })

	if err := client.DeleteTopics(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	createTopic(t, client, later, 3)
	eventually.True(t, "publishing works again", func() bool {
		err := client.Publish(t.Context(), numbered(later, 30))
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
	publish(t, client, later, 31, 9)
	eventually.True(t, "the topic made again is read from its start", func() bool { return slices.Equal(got.values(), numbers(0, 40)) })
}

func TestFollowerCatchesUpWithATrimmedLog(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 1)
	publish(t, client, topic, 0, 10)
	if err := client.DeleteRecords(t.Context(), map[bus.TopicPartition]int64{{Topic: topic}: 10}); err != nil {
		t.Fatal(err)
	}
	caughtUp := make(chan struct{})
	got := &collected{}
	followInto(t, client, bus.FollowConfig{Topics: []string{topic}, FromStart: true, CaughtUp: func() { close(caughtUp) }}, got)
	<-caughtUp
	if !slices.Equal(got.values(), numbers(9, 1)) {
		t.Errorf("got %v, want the last record, which is never trimmed", got.values())
	}
}
