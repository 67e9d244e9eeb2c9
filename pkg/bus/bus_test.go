package bus_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }

func startKafka(t testing.TB) *embedded.Servers {
	t.Helper()
	servers, err := embedded.Start(t.Context(), embedded.Config{DataDir: t.TempDir(), KafkaAddr: "127.0.0.1:0", Unsynced: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	return servers
}

func openClient(t testing.TB, cfg bus.Config) *bus.Client {
	t.Helper()
	if cfg.Brokers == nil {
		cfg.Brokers = embeddedtest.Kafka(t)
	}
	cfg.Topics = bus.TopicDefaults{Partitions: 4, ReplicationFactor: 1, MinInSyncReplicas: 1}
	if test, ok := t.(*testing.T); ok && os.Getenv("PENCHANT_TEST_LOG") != "" {
		cfg.Log = zaptest.NewLogger(test)
	}
	client, err := bus.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// newTopic creates a topic that no other test uses, also on a broker that outlives the test.
func newTopic(t testing.TB, client *bus.Client, partitions int32) string {
	t.Helper()
	topic := fmt.Sprintf("penchant-test-%d", time.Now().UnixNano())
	createTopic(t, client, topic, partitions)
	return topic
}

func createTopic(t testing.TB, client *bus.Client, topic string, partitions int32) {
	t.Helper()
	if err := client.EnsureTopics(t.Context(), bus.TopicSpec{Name: topic, Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
}

// publish appends records with the values first, first+1, … under keys that spread over the partitions.
func publish(t testing.TB, client *bus.Client, topic string, first, count int) {
	t.Helper()
	records := make([]bus.Record, count)
	for i := range records {
		records[i] = numbered(topic, first+i)
	}
	if err := client.Publish(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
}

func numbered(topic string, n int) bus.Record {
	return bus.Record{Topic: topic, Key: fmt.Appendf(nil, "key-%d", n), Value: fmt.Appendf(nil, "%d", n)}
}
