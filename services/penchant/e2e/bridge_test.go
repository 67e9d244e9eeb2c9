package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/penchant/operator"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

const clicksMapping = `
when: '@.type == "click"'
event: {userId: $.user, sessionId: $.session, eventType: view, itemId: $.sku, sentAt: {path: $.at, unit: ms}}
`

func writeMapping(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mapping.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBridgeSurvivesKills streams records through a bridge that is killed, and stopped, in the middle of its work: each
// is in the archive once, and the users' states are what they lead to.
func TestBridgeSurvivesKills(t *testing.T) {
	t.Parallel()
	all := penchanttest.Start(t, "all", t.TempDir(), "PENCHANT_ARCHIVE_FLUSH_INTERVAL=300ms")
	bucket := all.Bucket("penchant")
	group, trackingID := penchanttest.TrackedGroup(t, all.API(), bucket, "shop")
	process := &installation{all, t}
	kafka, err := bus.Open(t.Context(), bus.Config{
		Brokers: []string{all.Endpoints["kafka"]},
		Topics:  bus.TopicDefaults{Partitions: 3, ReplicationFactor: 1, MinInSyncReplicas: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	const topic = "clicks"
	if err := kafka.EnsureTopics(t.Context(), bus.TopicSpec{Name: topic}); err != nil {
		t.Fatal(err)
	}
	forwarder := penchanttest.Launch(t, "bridge", t.TempDir(), "PENCHANT_KAFKA_BROKERS="+all.Endpoints["kafka"],
		"PENCHANT_TOPIC_REPLICATION_FACTOR=1", "PENCHANT_TOPIC_MIN_INSYNC_REPLICAS=1",
		"PENCHANT_BRIDGE_ENDPOINT="+all.Endpoints["http"], "PENCHANT_BRIDGE_TOPICS="+topic,
		"PENCHANT_BRIDGE_TRACKING_ID="+trackingID,
		"PENCHANT_BRIDGE_MAPPING="+writeMapping(t, clicksMapping))

	const rounds, records, users = 3, 600, 20
	total := 0
	for round := range rounds {
		for range records {
			user := fmt.Sprint("user-", total%users)
			kind := "click"
			if total%10 == 9 {
				kind = "heartbeat"
			}
			value := fmt.Sprintf(`{"type":%q,"user":%q,"session":"s-%d","sku":"item-%d","at":%d}`, kind, user, round,
				total%97, 1_700_000_000_000+int64(total)*10)
			if err := kafka.Publish(t.Context(),
				bus.Record{Topic: topic, Key: []byte(user), Value: []byte(value)}); err != nil {
				t.Fatal(err)
			}
			total++
		}
		// In the middle of its work: when half of the round has arrived, or soon after all of it has.
		half := total - total/10 - records/2
		eventually.Succeeds(t, "events arrive", func() error {
			if n := loggedEvents(t, kafka, group.GroupKey()); n < int64(half) {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		switch round {
		case 0:
			forwarder.Kill() // Kafka notices after its session has timed out, 15 seconds later
			forwarder.Restart()
		case 1:
			forwarder.Terminate()
			forwarder.Restart()
		}
	}
	eventually.Succeeds(t, "the bridge has read everything", func() error {
		committed, err := kafka.Committed(t.Context(), bridge.ConsumerGroup)
		if err != nil {
			return err
		}
		sum := int64(0)
		for _, offset := range committed {
			sum += offset
		}
		if sum != int64(total) {
			return fmt.Errorf("%d of %d", sum, total)
		}
		return nil
	})
	forwarder.AwaitReady(time.Minute)
	lags := decoded[operator.Lags](process, 0, "topics", "lag", "--topic", topic)
	if len(lags.Partitions) != 3 || lags.Partitions[0].ConsumerGroup != bridge.ConsumerGroup || lags.Above(0) != nil {
		t.Errorf("lags: %+v", lags)
	}
	forwarder.Terminate()

	want := total - total/10
	times := map[string]int{}
	eventually.Succeeds(t, "every event is archived", func() error {
		clear(times)
		for i, err := range archive.ReadInteractions(t.Context(), bucket, group.GroupKey(), schema.Interactions,
			archive.ReadOptions{}) {
			if err != nil {
				return err
			}
			times[i.EventID]++
		}
		if len(times) < want {
			return fmt.Errorf("%d of %d", len(times), want)
		}
		return nil
	})
	if len(times) != want {
		t.Errorf("%d events, want %d", len(times), want)
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("event %s stands %d times in the archive", id, n)
		}
	}
	penchanttest.CheckStates(t, bucket, group.GroupKey(), penchanttest.OpenUsers(t, all.Endpoints["redis"]),
		time.Minute)
}

// loggedEvents is the number of records in a group's interactions topic, repeats included.
func loggedEvents(t *testing.T, kafka *bus.Client, group string) (n int64) {
	t.Helper()
	held, err := kafka.Offsets(t.Context(), schema.Interactions.Topic(group))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range held {
		n += r.End
	}
	return n
}
