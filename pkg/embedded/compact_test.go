package embedded_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// TestPositionSurvivesTrimmingEverything trims all records, as often as it takes to see that a partition doesn't begin
// at zero again afterwards: in order, and after a kill.
func TestPositionSurvivesTrimmingEverything(t *testing.T) {
	dir := t.TempDir()
	all := map[bus.TopicPartition]int64{}
	for partition := range int32(4) {
		all[bus.TopicPartition{Topic: "topic", Partition: partition}] = 1 << 40
	}
	child, where := startChild(t, dir)
	client := openBus(t, where.Kafka)
	if err := client.EnsureTopics(t.Context(), bus.TopicSpec{Name: "topic"}); err != nil {
		t.Fatal(err)
	}
	fill := func(client *bus.Client) {
		t.Helper()
		for n := range 100 {
			if err := client.Publish(t.Context(), bus.Record{Topic: "topic", Key: fmt.Append(nil, n), Value: make([]byte, 50_000)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.DeleteRecords(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	fill(client)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	servers := start(t, config(dir))
	client = openBus(t, servers.KafkaAddr())
	if sum := endSum(t, client, "topic"); sum != 100 {
		t.Errorf("after a kill the log ends at %d, want 100", sum)
	}
	fill(client)
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	if size := dirSize(t, filepath.Join(dir, "kafka", "partitions")); size > 5<<20 {
		t.Errorf("the trimmed log takes %d bytes", size)
	}
	servers = start(t, config(dir))
	if sum := endSum(t, openBus(t, servers.KafkaAddr()), "topic"); sum != 200 {
		t.Errorf("after a restart the log ends at %d, want 200", sum)
	}
}

// TestRetentionIsLeftToTrimming creates a topic whose retention would remove everything.
func TestRetentionIsLeftToTrimming(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.S3Addr, cfg.RedisAddr = "", ""
	cfg.CompactBytes, cfg.CompactInterval = 1, 10*time.Millisecond // which applies retention as well
	servers := start(t, cfg)
	client, err := bus.Open(t.Context(), bus.Config{Brokers: []string{servers.KafkaAddr()}, Topics: bus.TopicDefaults{
		Partitions: 1, ReplicationFactor: 1, MinInSyncReplicas: 1, RetentionTime: time.Millisecond, RetentionBytes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.EnsureTopics(t.Context(), bus.TopicSpec{Name: "events"}, bus.TopicSpec{Name: "items", Compacted: true}); err != nil {
		t.Fatal(err)
	}
	event := bus.Record{Topic: "events", Value: []byte("x")}
	if err := client.Publish(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	overwriteUntilCompacted(t, client, "items")
	held, err := client.Offsets(t.Context(), "events")
	if err != nil || held[bus.TopicPartition{Topic: "events"}] != (bus.OffsetRange{Start: 0, End: 1}) {
		t.Errorf("the topic holds %v, %v", held, err)
	}
}

func overwriteUntilCompacted(t *testing.T, client *bus.Client, topic string) {
	t.Helper()
	eventually.True(t, "the topic is compacted", func() bool {
		for range 10 {
			if err := client.Publish(t.Context(), bus.Record{Topic: topic, Key: []byte("key"), Value: []byte("v")}); err != nil {
				t.Fatal(err)
			}
		}
		held, err := client.Offsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		return held[bus.TopicPartition{Topic: topic}].Start > 0
	})
}

// TestKilledWhileCompacting overwrites a few keys of a compacted topic over and over, with a broker that compacts all
// the time, and kills that again and again. Each key must have the last acknowledged value, or one that was on its way.
func TestKilledWhileCompacting(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	acked, acks, sent := map[string]int{}, 0, 0
	for range 3 {
		child, where := startChild(t, dir, childCompacts+"=1")
		client := openBus(t, where.Kafka)
		if err := client.EnsureTopics(t.Context(), bus.TopicSpec{Name: "items", Compacted: true, Partitions: 3}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var writing sync.WaitGroup
		for writer := range 4 {
			writing.Go(func() {
				for ctx.Err() == nil {
					mu.Lock()
					sent++
					key, n := fmt.Sprintf("%d-%d", writer, rand.N(4)), sent
					mu.Unlock()
					err := client.Publish(ctx, bus.Record{Topic: "items", Key: []byte(key), Value: []byte(strconv.Itoa(n) + strings.Repeat(" ", rand.N(2000)))})
					if err != nil {
						continue // killed
					}
					mu.Lock()
					acked[key], acks = n, acks+1
					mu.Unlock()
				}
			})
		}
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return acks
		}
		before := count()
		eventually.True(t, "values are acknowledged", func() bool { return count() > before+100 })
		time.Sleep(rand.N(100 * time.Millisecond)) // any moment will do
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		stop()
		writing.Wait()
		client.Close()
	}
	cfg := config(dir)
	servers := start(t, cfg)
	client := openBus(t, servers.KafkaAddr())
	latest := map[string]int{}
	ctx, stop := context.WithCancel(t.Context())
	err := client.Follow(ctx, bus.FollowConfig{Topics: []string{"items"}, FromStart: true, CaughtUp: stop}, func(_ context.Context, records []bus.Record) error {
		for _, r := range records {
			n, err := strconv.Atoi(strings.TrimSpace(string(r.Value)))
			if err != nil {
				t.Error(err)
			}
			latest[string(r.Key)] = n
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, n := range acked {
		if latest[key] < n {
			t.Errorf("key %s has value %d, but %d was acknowledged", key, latest[key], n)
		}
	}
	held, err := client.Offsets(t.Context(), "items")
	if err != nil {
		t.Fatal(err)
	}
	compacted := 0
	for _, r := range held {
		if r.Start > 0 {
			compacted++
		}
	}
	if compacted == 0 {
		t.Error("no partition was ever compacted: the test shows nothing")
	}
	t.Logf("%d values were acknowledged for %d keys; the log holds %v", acks, len(acked), held)
}

// TestBrokenOffCompactionIsUndone is what the test above meets only by luck: killed after the broker has removed a
// partition's files and before it has written others.
func TestBrokenOffCompactionIsUndone(t *testing.T) {
	dir := t.TempDir()
	cfg := embedded.Config{DataDir: dir, KafkaAddr: "127.0.0.1:0"}
	servers := start(t, cfg)
	client := openBus(t, servers.KafkaAddr())
	if err := client.EnsureTopics(t.Context(), bus.TopicSpec{Name: "items", Compacted: true, Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		if err := client.Publish(t.Context(), bus.Record{Topic: "items", Key: fmt.Append(nil, n), Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	partition := filepath.Join(dir, "kafka", "partitions", "items-0")
	backup := filepath.Join(dir, "kafka-compaction", "ready", "items-0")
	if err := os.MkdirAll(filepath.Dir(backup), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(partition, backup); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(partition, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(partition, "0.dat"), []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers = start(t, cfg)
	if sum := endSum(t, openBus(t, servers.KafkaAddr()), "items"); sum != 50 {
		t.Errorf("the log ends at %d, want 50", sum)
	}
	if _, err := os.Stat(filepath.Join(dir, "kafka-compaction")); !os.IsNotExist(err) {
		t.Errorf("the backup is still there: %v", err)
	}
}

func dirSize(t *testing.T, dir string) (size int64) {
	t.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}
