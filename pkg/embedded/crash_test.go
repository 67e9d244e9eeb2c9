package embedded_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// TestNothingAcknowledgedIsLostByAKill runs the servers in another process, kills that while clients write, starts them
// again over the same directory, three times over, and compares what they hold with what was acknowledged.
func TestNothingAcknowledgedIsLostByAKill(t *testing.T) {
	dir := t.TempDir()
	acked := &acknowledged{records: map[string]bool{}, objects: map[string][32]byte{}}
	topics := map[string]bus.TopicInfo{}
	for round := range 3 {
		child, where := startChild(t, dir)
		client := openBus(t, where.Kafka)
		topic := fmt.Sprintf("topic-%d", round)
		if err := client.EnsureTopics(t.Context(), bus.TopicSpec{Name: topic}, bus.TopicSpec{Name: "topic-all"}); err != nil {
			t.Fatal(err)
		}
		existing, err := client.Topics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, was := range topics {
			if existing[name] != was {
				t.Errorf("round %d: topic %s is %+v, was %+v", round, name, existing[name], was)
			}
		}
		topics = existing
		bucket := openBucket(t, where.S3, keys[0], "bucket")

		ctx, stop := context.WithCancel(t.Context())
		var writing sync.WaitGroup
		for writer := range 4 {
			writing.Go(func() { acked.publish(ctx, client, topic, round, writer) })
			writing.Go(func() { acked.put(ctx, bucket, round, writer) })
		}
		before := acked.count()
		eventually.True(t, "some writes are acknowledged", func() bool { return acked.count() > before+400 })
		if err := child.Process.Kill(); err != nil { // SIGKILL
			t.Fatal(err)
		}
		_ = child.Wait()
		stop()
		writing.Wait()
		client.Close()
	}

	servers := start(t, config(dir))
	client := openBus(t, servers.KafkaAddr())
	existing, err := client.Topics(t.Context())
	if err != nil || !maps.Equal(existing, topics) {
		t.Errorf("the topics are %v, were %v (%v)", existing, topics, err)
	}
	acked.checkRecords(t, client, slices.Collect(maps.Keys(topics)))
	acked.checkObjects(t, openBucket(t, servers.S3Endpoint(), keys[0], "bucket"))
	t.Logf("%d records and %d objects were acknowledged", len(acked.records), len(acked.objects))
}

func startChild(t *testing.T, dir string, env ...string) (*exec.Cmd, addresses) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(append(os.Environ(), childDir+"="+dir), env...)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	var where addresses
	if err := json.NewDecoder(out).Decode(&where); err != nil {
		t.Fatal(err)
	}
	return child, where
}

// acknowledged is what the servers have said they hold.
type acknowledged struct {
	mu      sync.Mutex
	records map[string]bool
	objects map[string][32]byte
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.records) + len(a.objects)
}

func (a *acknowledged) publish(ctx context.Context, client *bus.Client, topic string, round, writer int) {
	for n := 0; ctx.Err() == nil; n++ {
		value := fmt.Sprintf("%d/%d/%d", round, writer, n)
		each := []bus.Record{{Topic: topic, Key: []byte(value), Value: []byte(value)}, {Topic: "topic-all", Key: []byte(value), Value: []byte(value)}}
		if err := client.Publish(ctx, each...); err != nil {
			continue // killed
		}
		a.mu.Lock()
		a.records[topic+" "+value], a.records["topic-all "+value] = true, true
		a.mu.Unlock()
	}
}

// put writes objects of any size, and one over and over. An object holds its own checksum.
func (a *acknowledged) put(ctx context.Context, bucket *blob.Bucket, round, writer int) {
	for n := 0; ctx.Err() == nil; n++ {
		key := fmt.Sprintf("%d/%d/%d", round, writer, n)
		if n%3 == 0 {
			key = fmt.Sprintf("overwritten/%d/%d", round, writer)
		}
		data := checked(rand.N(300_000))
		if _, err := bucket.Put(ctx, key, data, blob.PutOptions{}); err != nil {
			continue
		}
		a.mu.Lock()
		a.objects[key] = [32]byte(data)
		a.mu.Unlock()
	}
}

func checked(size int) []byte {
	content := bytes.Repeat([]byte{byte(rand.N(256))}, size)
	sum := sha256.Sum256(content)
	return append(sum[:], content...)
}

func (a *acknowledged) checkRecords(t *testing.T, client *bus.Client, topics []string) {
	t.Helper()
	held := map[string]bool{}
	var mu sync.Mutex
	ctx, stop := context.WithCancel(t.Context())
	err := client.Follow(ctx, bus.FollowConfig{Topics: topics, FromStart: true, CaughtUp: stop}, func(_ context.Context, records []bus.Record) error {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range records {
			if held[r.Topic+" "+string(r.Value)] {
				t.Errorf("record %s is in %s twice", r.Value, r.Topic)
			}
			held[r.Topic+" "+string(r.Value)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for record := range a.records {
		if !held[record] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged records are gone", lost, len(a.records))
	}
}

func (a *acknowledged) checkObjects(t *testing.T, bucket *blob.Bucket) {
	t.Helper()
	listed := map[string]bool{}
	for info, err := range bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		listed[info.Key] = true
		data, _, err := bucket.Get(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		if want, ok := a.objects[info.Key]; ok && !strings.HasPrefix(info.Key, "overwritten/") && !bytes.HasPrefix(data, want[:]) {
			t.Errorf("%s isn't what was acknowledged", info.Key)
		}
		if strings.Contains(info.Key, "sgwtmp") || len(data) < 32 || sha256.Sum256(data[32:]) != [32]byte(data) {
			t.Errorf("%s is not whole", info.Key)
		}
	}
	for key := range a.objects {
		if !listed[key] {
			t.Errorf("the acknowledged object %s is gone", key)
		}
	}
}
