package bus_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// returning goes back to the start once, in the middle of its records.
type returning struct {
	mu      sync.Mutex
	offsets []int64
	starts  int
	stops   int
	goBack  bool
}

func (r *returning) Start(context.Context) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starts++
	return 0, nil
}

func (r *returning) Handle(_ context.Context, batch []bus.Record) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.goBack {
		r.goBack = false
		return bus.NoCommit, fmt.Errorf("lost: %w", bus.ErrRestart)
	}
	for _, record := range batch {
		r.offsets = append(r.offsets, record.Offset)
	}
	return bus.NoCommit, nil
}

func (r *returning) Stop(context.Context) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stops++
	return bus.NoCommit, nil
}

func (r *returning) seen() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.offsets)
}

func TestAHandlerMayStartAgain(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 1)
	publish(t, client, topic, 0, 10_000)
	r := &returning{}
	consumer, err := bus.NewConsumer(bus.ConsumerConfig{Client: client, Group: topic}, func(bus.Assignment) bus.PartitionConsumer { return r })
	if err != nil {
		t.Fatal(err)
	}
	consumer.SetTopics(topic)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- consumer.Run(ctx) }()
	eventually.True(t, "some records", func() bool { return len(r.seen()) > 0 })
	r.mu.Lock()
	r.goBack, r.offsets = true, nil // what comes until it does is of the first time
	r.mu.Unlock()
	publish(t, client, topic, 10_000, 10)
	eventually.True(t, "the return", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.starts == 2
	})
	publish(t, client, topic, 10_010, 10)
	eventually.True(t, "all records again", func() bool { return len(r.seen()) >= 10_020 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for k, offset := range r.seen() {
		if offset != int64(k) {
			t.Fatalf("record %d of the second time has offset %d", k, offset)
		}
	}
	if r.stops != 1 {
		t.Errorf("stopped %d times", r.stops)
	}
}
