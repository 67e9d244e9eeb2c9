package firehose

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
)

// environment is a test's own Kafka and bucket.
type environment struct {
	embeddedtest.Endpoints
	bus    *bus.Client
	bucket *blob.Bucket
}

func servers(t *testing.T) environment {
	t.Helper()
	e := environment{Endpoints: embeddedtest.Servers(t)}
	var err error
	e.bus, err = bus.Open(t.Context(), bus.Config{
		Brokers: e.KafkaBrokers, Topics: bus.TopicDefaults{Partitions: 4, ReplicationFactor: 1, MinInSyncReplicas: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.bus.Close)
	store, err := blob.Open(e.S3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	e.bucket = store.Bucket(e.Bucket)
	return e
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }
