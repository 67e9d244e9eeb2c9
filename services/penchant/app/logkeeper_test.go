package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/firehose"
	"github.com/penchant-io/penchant/services/sessionupdater"
)

// TestLogKeeperDeletesOnlyWhatIsArchivedAndFolded fills a small log past its bound: as long as one of its two readers
// has not come along, nothing is deleted and new events are refused; after that the log is trimmed and takes events
// again.
func TestLogKeeperDeletesOnlyWhatIsArchivedAndFolded(t *testing.T) {
	t.Parallel()
	const anyPort, bound = "127.0.0.1:0", 6 << 20
	dataDir := t.TempDir()
	servers, err := embedded.Start(t.Context(), embedded.Config{
		DataDir: dataDir, KafkaAddr: anyPort, S3Addr: anyPort,
		AccessKeys: []awsapi.Credential{{AccessKeyID: "penchant", SecretKey: DefaultSecret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = servers.Close() })
	store, err := blob.Open(blob.Config{Endpoint: servers.S3Endpoint(), AccessKey: "penchant", SecretKey: DefaultSecret,
		Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := store.EnsureBucket(t.Context(), "penchant"); err != nil {
		t.Fatal(err)
	}
	client, err := bus.Open(t.Context(), bus.Config{
		Brokers: []string{servers.KafkaAddr()}, ClientID: "test", Log: zap.NewNop(),
		Registerer: prometheus.NewRegistry(),
		Topics:     bus.TopicDefaults{Partitions: 1, ReplicationFactor: 1, MinInSyncReplicas: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)

	group := &catalog.DatasetGroup{
		Metadata: catalog.Metadata{ARN: "arn:aws:personalize:us-east-1:000000000000:dataset-group/shop", Name: "shop",
			Status: status.Active},
		ShortID: "1a2b",
	}
	resources := catalog.NewStore(store.Bucket("penchant"), nil)
	if err := resources.Create(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	topic := bus.TopicPartition{Topic: schema.Interactions.Topic(group.GroupKey())}
	if err := client.EnsureTopics(t.Context(), bus.TopicSpec{Name: bus.ControlTopic, Compacted: true, Partitions: 1},
		bus.TopicSpec{Name: topic.Topic}, bus.TopicSpec{Name: bus.RecommendationsTopic(group.GroupKey())}); err != nil {
		t.Fatal(err)
	}
	view := catalog.NewView(resources, client, zap.NewNop())
	inBackground(t, view.Run)
	if err := view.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1}) // what can't be compressed fills a log fastest
	for range 80 {
		noise := make([]byte, 100<<10)
		_, _ = random.Read(noise) // never fails
		if err := client.Publish(t.Context(),
			bus.Record{Topic: topic.Topic, Key: []byte("ada"), Value: noise}); err != nil {
			t.Fatal(err)
		}
	}

	keeper := newLogKeeper(logKeeperConfig{
		dir: filepath.Join(dataDir, "kafka"), bound: bound, bus: client, view: view, log: zap.NewNop(),
	}, prometheus.NewRegistry())
	start := func() int64 {
		t.Helper()
		offsets, err := client.Offsets(t.Context(), topic.Topic)
		if err != nil {
			t.Fatal(err)
		}
		return offsets[topic].Start
	}
	if err := keeper.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keeper.Admit() == nil || start() != 0 {
		t.Fatalf("with %d bytes and no reader, events are admitted (%v) or deleted (start %d)", keeper.size.Load(),
			keeper.Admit() == nil, start())
	}

	readAll(t, client, firehose.ConsumerGroup, topic)
	if err := keeper.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if start() != 0 {
		t.Fatalf("archived but not folded events were deleted: the log starts at %d", start())
	}

	readAll(t, client, sessionupdater.ConsumerGroup, topic)
	if err := keeper.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := keeper.Admit(); err != nil || start() == 0 {
		t.Errorf("after archiving and folding: %v, the log starts at %d", err, start())
	}

	// What was shown a moment ago is spared where an experiment or a metric attribution counts it.
	shown := bus.TopicPartition{Topic: bus.RecommendationsTopic(group.GroupKey())}
	if err := client.Publish(t.Context(),
		bus.Record{Topic: shown.Topic, Key: []byte("RID-1"), Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	spared := func() int64 {
		t.Helper()
		upTo := map[bus.TopicPartition]int64{shown: 1}
		if err := keeper.spareUncounted(t.Context(), upTo); err != nil {
			t.Fatal(err)
		}
		return upTo[shown]
	}
	if got := spared(); got != 1 {
		t.Errorf("where nobody counts, all up to %d goes", got)
	}
	experiment := &catalog.Experiment{
		Metadata: catalog.Metadata{ARN: "arn:aws:personalize:us-east-1:000000000000:experiment/layout",
			Name: "layout", Status: status.Active},
		DatasetGroupARN: group.ARN,
	}
	attribution := &catalog.MetricAttribution{
		Metadata: catalog.Metadata{ARN: "arn:aws:personalize:us-east-1:000000000000:metric-attribution/revenue",
			Name: "revenue", Status: status.Active},
		DatasetGroupARN: group.ARN, OutputConfig: &personalize.MetricAttributionOutput{S3DataDestination: &personalize.S3DataConfig{Path: new("s3://reports/")}},
	}
	for what, counts := range map[string]catalog.Resource{"an experiment": experiment,
		"a metric attribution": attribution} {
		if err := resources.Create(t.Context(), counts); err != nil {
			t.Fatal(err)
		}
		if got := spared(); got != 0 {
			t.Errorf("with %s, all up to %d goes", what, got)
		}
		if err := resources.Delete(t.Context(), counts); err != nil {
			t.Fatal(err)
		}
	}
}

// readAll runs a consumer of the group until it has committed the whole topic.
func readAll(t *testing.T, client *bus.Client, group string, topic bus.TopicPartition) {
	t.Helper()
	consumer, err := bus.NewConsumer(bus.ConsumerConfig{
		Client: client, Group: group, FetchMaxWait: 50 * time.Millisecond, Log: zap.NewNop(),
		Registerer: prometheus.NewRegistry(),
	}, func(a bus.Assignment) bus.PartitionConsumer { return committer{a.Start} })
	if err != nil {
		t.Fatal(err)
	}
	consumer.SetTopics(topic.Topic)
	inBackground(t, consumer.Run)
	eventually.Succeeds(t, group+" has read everything", func() error {
		committed, err := client.Committed(t.Context(), group)
		if err != nil {
			return err
		}
		offsets, err := client.Offsets(t.Context(), topic.Topic)
		if err != nil {
			return err
		}
		if committed[topic] != offsets[topic].End {
			return fmt.Errorf("committed %d of %d", committed[topic], offsets[topic].End)
		}
		return nil
	})
}

// committer commits all that it is given.
type committer struct{ from int64 }

func (c committer) Start(context.Context) (int64, error) { return c.from, nil }
func (c committer) Stop(context.Context) (int64, error)  { return bus.NoCommit, nil }
func (c committer) Handle(_ context.Context, batch []bus.Record) (int64, error) {
	if len(batch) == 0 {
		return bus.NoCommit, nil
	}
	return batch[len(batch)-1].Offset + 1, nil
}

// inBackground runs something until the test ends, and waits for it.
func inBackground(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var group errgroup.Group
	group.Go(func() error { return run(ctx) })
	t.Cleanup(func() {
		stop()
		if err := group.Wait(); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
}
