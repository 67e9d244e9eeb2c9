package sessionupdater

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }

// installation is a Kafka, a Redis, a bucket and a catalog with one dataset group.
type installation struct {
	testing.TB
	bus      *bus.Client
	blobs    *blob.Client
	bucket   *blob.Bucket
	name     string // the bucket's
	redisURL string
	users    *userstate.Store
	store    *catalog.Store
	view     *catalog.View
	group    *catalog.DatasetGroup
	models   fakeModels
}

const partitions = 4

// install prepares an installation.
func install(t testing.TB) *installation {
	servers := embeddedtest.Servers(t)
	i := &installation{TB: t, name: servers.Bucket, models: fakeModels{"m": {}}}
	var err error
	i.bus, err = bus.Open(t.Context(), bus.Config{
		Brokers: servers.KafkaBrokers, Topics: bus.TopicDefaults{Partitions: partitions, ReplicationFactor: 1, MinInSyncReplicas: 1},
	})
	i.must(err)
	t.Cleanup(i.bus.Close)
	i.blobs, err = blob.Open(servers.S3)
	i.must(err)
	t.Cleanup(i.blobs.Close)
	i.bucket = i.blobs.Bucket(servers.Bucket)
	i.useRedis(servers.RedisURL)

	i.store = catalog.NewStore(i.bucket, catalog.BusNotifier(i.bus))
	i.must(i.bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: bus.ControlTopic, Compacted: true, Partitions: 1}))
	i.view = catalog.NewView(i.store, i.bus, nil)
	i.background(i.view.Run)
	i.group = &catalog.DatasetGroup{
		Metadata: catalog.Metadata{
			ARN:  "arn:aws:personalize:eu-central-1:000000000000:dataset-group/shop",
			Name: "shop", Type: resource.DatasetGroup, Status: status.Active,
		},
		ShortID: "1a2b",
	}
	i.must(i.bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: i.topic()}, bus.TopicSpec{Name: bus.DeadLetterTopic(i.key())}))
	i.must(i.store.Create(t.Context(), i.group))
	return i
}

func (i *installation) useRedis(url string) {
	users, err := userstate.Open(i.Context(), url, userstate.Options{})
	i.must(err)
	i.Cleanup(func() { users.Close() })
	i.users, i.redisURL = users, url
}

func (i *installation) key() string   { return i.group.GroupKey() }
func (i *installation) topic() string { return schema.Interactions.Topic(i.key()) }

func (i *installation) must(err error) {
	i.Helper()
	if err != nil {
		i.Fatal(err)
	}
}

// background runs until the test ends, or stop is called.
func (i *installation) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return run(ctx) })
	stop = func() {
		cancel()
		if err := g.Wait(); err != nil && ctx.Err() == nil {
			i.Error(err)
		}
	}
	i.Cleanup(stop)
	return stop
}

func (i *installation) config() Config {
	return Config{Bus: i.bus, Bucket: i.bucket, Users: i.users, View: i.view, Models: i.models, Log: zaptest.NewLogger(i).Named("updater")}
}

func (i *installation) start() (stop func()) {
	s, err := New(i.config())
	i.must(err)
	return i.background(s.Run)
}

// flush empties Redis, as a restart without a dump does.
func (i *installation) flush() {
	i.Helper()
	u, err := url.Parse(i.redisURL)
	i.must(err)
	connection, err := net.Dial("tcp", u.Host)
	i.must(err)
	defer connection.Close()
	fmt.Fprint(connection, "*1\r\n$8\r\nFLUSHALL\r\n")
	if answer, err := bufio.NewReader(connection).ReadString('\n'); err != nil || !strings.HasPrefix(answer, "+OK") {
		i.Fatalf("emptying Redis: %q, %v", answer, err)
	}
}

// put publishes events.
func (i *installation) put(events ...reco.Interaction) {
	i.Helper()
	var records []bus.Record
	for k := range events {
		value, err := wire.MarshalInteraction(&events[k])
		i.must(err)
		records = append(records, bus.Record{Topic: i.topic(), Key: []byte(events[k].Key()), Value: value})
	}
	i.must(i.bus.Publish(i.Context(), records...))
}

// events are events with the numbers from first to last, of several users and sessions, in no order of time.
func events(first, last int) []reco.Interaction {
	var list []reco.Interaction
	for n := first; n <= last; n++ {
		event := reco.Interaction{
			EventID: fmt.Sprint("event-", n), UserID: fmt.Sprint("user-", n%13), SessionID: fmt.Sprint("session-", n%13),
			ItemID: fmt.Sprint("item-", n%7), EventType: "view", TimestampMS: int64(1000 + n*7919%10007),
		}
		if n%5 == 0 {
			event.UserID = ""
		}
		list = append(list, event)
	}
	return list
}

// archive puts all the log's records into the archive, as the firehose does.
func (i *installation) archive() {
	i.Helper()
	ends, err := i.bus.Offsets(i.Context(), i.topic())
	i.must(err)
	topics, err := i.bus.Topics(i.Context(), i.topic())
	i.must(err)
	ranges, rows := map[int32]bus.OffsetRange{}, map[int32][]reco.Interaction{}
	for tp, held := range ends {
		ranges[tp.Partition] = held
	}
	i.must(i.bus.ReadRange(i.Context(), i.topic(), ranges, func(records []bus.Record) error {
		for k := range records {
			row, err := (stream{data: schema.Interactions}).decode(&records[k])
			if err != nil {
				return err
			}
			rows[row.Origin.Partition] = append(rows[row.Origin.Partition], row)
		}
		return nil
	}))
	for partition, list := range rows {
		chain, err := archive.OpenChain(i.Context(), i.bucket, archive.ChainID{
			Group: i.key(), Type: schema.Interactions, TopicID: topics[i.topic()].ID, Partition: partition,
		})
		i.must(err)
		for next := chain.Next(); len(list) > 0 && list[0].Origin.Offset < next; {
			list = list[1:]
		}
		if len(list) > 0 {
			i.must(chain.AppendInteractions(i.Context(), nil, list, list[len(list)-1].Origin.Offset))
		}
	}
}

// trim deletes the log up to its end.
func (i *installation) trim() {
	i.Helper()
	ends, err := i.bus.Offsets(i.Context(), i.topic())
	i.must(err)
	upTo := map[bus.TopicPartition]int64{}
	for tp, held := range ends {
		upTo[tp] = held.End
	}
	i.must(i.bus.DeleteRecords(i.Context(), upTo))
}

// fakeModels are models whose vector is the number of interactions and the newest time.
type fakeModels map[string]fakeModel

func (m fakeModels) Group(string) []*modelstore.Loaded {
	var all []*modelstore.Loaded
	for id, one := range m {
		all = append(all, &modelstore.Loaded{ModelID: id, Model: one})
	}
	return all
}

type fakeModel struct{}

func (fakeModel) Items() *model.Items                { return model.NewItems(nil) }
func (fakeModel) Score(model.Query, []float32) error { return nil }
func (fakeModel) Parts() ([]model.Part, error)       { return nil, nil }
func (fakeModel) Dim() int                           { return 2 }
func (fakeModel) Fold(h []reco.RecentInteraction, vector []float32) {
	vector[0] = float32(len(h))
	if len(h) > 0 {
		vector[1] = float32(h[len(h)-1].TimestampMS)
	}
}

// copyDir copies a directory's files, a running server's lock left out.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
