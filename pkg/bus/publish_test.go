package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
)

func TestPublishedRecordsAreInTheLog(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 4)
	if err := client.Publish(t.Context()); err != nil {
		t.Errorf("publishing nothing: %v", err)
	}
	want := bus.Record{Topic: topic, Key: []byte("user"), Value: []byte("value"), Headers: []bus.Header{{Key: "ce_id", Value: []byte("1")}}}
	if err := client.Publish(t.Context(), want, numbered(topic, 1)); err != nil {
		t.Fatal(err)
	}
	got := follow(t, client, bus.FollowConfig{Topics: []string{topic}, FromStart: true})
	eventually.True(t, "both records are read", func() bool { return len(got.values()) == 2 })
	topics, err := client.Topics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got.all() {
		if string(r.Value) != "value" {
			continue
		}
		if string(r.Key) != "user" || len(r.Headers) != 1 || r.Headers[0].Key != "ce_id" || string(r.Headers[0].Value) != "1" {
			t.Errorf("got %+v", r)
		}
		if r.Topic != topic || r.TopicID != topics[topic].ID || r.TopicID == (bus.TopicID{}) || r.Partition != bus.PartitionOf(r.Key, 4) || r.Offset < 0 {
			t.Errorf("got %+v", r)
		}
		if age := time.Since(r.Arrival); age < 0 || age > time.Minute {
			t.Errorf("arrived %s ago", age)
		}
	}
}

func TestPartitionOfIsWhatKafkaClientsDo(t *testing.T) {
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("topic")
	for length := range 40 {
		key := make([]byte, length)
		for i := range key {
			key[i] = byte(i * 31)
		}
		for _, partitions := range []int32{1, 2, 7, 12, 100} {
			want := theirs.Partition(&kgo.Record{Key: key}, int(partitions))
			if got := bus.PartitionOf(key, partitions); int(got) != want {
				t.Errorf("%d bytes, %d partitions: got %d, want %d", length, partitions, got, want)
			}
		}
	}
}

func TestPublishFailsAtOnceWhenTheBufferIsFull(t *testing.T) {
	registry := prometheus.NewRegistry()
	servers := startKafka(t)
	client := openClient(t, bus.Config{Brokers: []string{servers.KafkaAddr()}, MaxBufferedRecords: 10, DeliveryTimeout: 3 * time.Second, Registerer: registry})
	topic := newTopic(t, client, 1)
	publish(t, client, topic, 0, 10)
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	stuck := make(chan error, 1)
	go func() {
		stuck <- client.Publish(t.Context(), numbered(topic, 1), numbered(topic, 2), numbered(topic, 3), numbered(topic, 4),
			numbered(topic, 5), numbered(topic, 6), numbered(topic, 7), numbered(topic, 8))
	}()
	eventually.True(t, "the call waits", func() bool { return gauge(t, registry, "penchant_bus_buffered_records") == 8 })
	err := client.Publish(t.Context(), numbered(topic, 9), numbered(topic, 10), numbered(topic, 11))
	if !errors.Is(err, bus.ErrOverloaded) {
		t.Errorf("the buffer is full, and Publish returns %v", err)
	}
	if len(stuck) != 0 {
		t.Error("it waited for the call before")
	}
	if err := <-stuck; err == nil || errors.Is(err, bus.ErrOverloaded) {
		t.Errorf("without a broker: %v", err)
	}
	if n := testutil.CollectAndCount(registry, "penchant_bus_published_records_total"); n != 3 {
		t.Errorf("%d outcomes are counted, want 3", n)
	}
}

func TestPublishHonoursItsContext(t *testing.T) {
	servers := startKafka(t)
	client := openClient(t, bus.Config{Brokers: []string{servers.KafkaAddr()}})
	topic := newTopic(t, client, 1)
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	started := time.Now()
	err := client.Publish(ctx, numbered(topic, 1))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > 5*time.Second {
		t.Errorf("got %v after %s", err, time.Since(started))
	}
	if err := client.Ping(ctx); err == nil {
		t.Error("the broker is gone, and answers")
	}
}

func TestPublishRefusesWhatCanNeverFit(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{MaxBufferedRecords: 3})
	topic := newTopic(t, client, 1)
	four := []bus.Record{numbered(topic, 1), numbered(topic, 2), numbered(topic, 3), numbered(topic, 4)}
	if err := client.Publish(t.Context(), four...); !errors.Is(err, bus.ErrRecordTooLarge) || errors.Is(err, bus.ErrOverloaded) {
		t.Errorf("too many: %v", err)
	}
	huge := bus.Record{Topic: topic, Value: make([]byte, 3<<20)}
	if err := client.Publish(t.Context(), huge); !errors.Is(err, bus.ErrRecordTooLarge) {
		t.Errorf("too large: %v", err)
	}
	publish(t, client, topic, 1, 3) // and the room is free again
}

func TestPublishToATopicMadeAgain(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 2)
	publish(t, client, topic, 0, 10)
	if err := client.DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if err := client.Publish(t.Context(), numbered(topic, 1)); err == nil {
		t.Error("publishing to a deleted topic succeeded")
	}
	createTopic(t, client, topic, 2)
	eventually.True(t, "the new topic takes records", func() bool { return client.Publish(t.Context(), numbered(topic, 1)) == nil })
}

func TestTopicAdministration(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	ctx := t.Context()
	plain := newTopic(t, client, 3)
	compacted := plain + "-compacted"
	specs := []bus.TopicSpec{{Name: plain, Partitions: 3}, {Name: compacted, Compacted: true}}
	for range 2 { // the second time nothing is to be done
		if err := client.EnsureTopics(ctx, specs...); err != nil {
			t.Fatal(err)
		}
	}
	topics, err := client.Topics(ctx, plain, compacted, "penchant-test-absent")
	if err != nil || len(topics) != 2 || topics[plain].Partitions != 3 || topics[compacted].Partitions != 4 || topics[plain].ID == topics[compacted].ID {
		t.Errorf("got %+v, %v", topics, err)
	}
	publish(t, client, plain, 0, 60)
	if err := client.DeleteRecords(ctx, map[bus.TopicPartition]int64{{Topic: plain, Partition: 1}: 5}); err != nil {
		t.Fatal(err)
	}
	held, err := client.Offsets(ctx, plain, "penchant-test-absent")
	if err != nil || len(held) != 3 || held[bus.TopicPartition{Topic: plain, Partition: 1}].Start != 5 {
		t.Errorf("got %+v, %v", held, err)
	}
	sum := int64(0)
	for _, r := range held {
		sum += r.End
	}
	if sum != 60 {
		t.Errorf("the ends add up to %d", sum)
	}
	if committed, err := client.Committed(ctx, "penchant-test-nobody"); err != nil || len(committed) != 0 {
		t.Errorf("got %v, %v", committed, err)
	}
	if err := client.DeleteTopics(ctx, compacted, "penchant-test-absent"); err != nil {
		t.Error(err)
	}
}

func TestTwoClientsShareARegisterer(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	kafka := embeddedtest.Kafka(t)
	for range 2 {
		openClient(t, bus.Config{Brokers: kafka, Registerer: registry})
	}
}

// gauge is the sum of a metric's series.
func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name {
				sum += metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func BenchmarkPublish(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			client := openClient(b, bus.Config{})
			topic := newTopic(b, client, 8)
			value := make([]byte, 200)
			b.SetParallelism(callers / 2)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for n := 0; pb.Next(); n++ {
					if err := client.Publish(b.Context(), bus.Record{Topic: topic, Key: fmt.Append(nil, n), Value: value}); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
