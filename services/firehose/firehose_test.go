package firehose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// installation is a Kafka, a bucket and a catalog with what the test puts into them.
type installation struct {
	*testing.T
	environment
	store *catalog.Store
	view  *catalog.View
}

func install(t *testing.T) *installation {
	e := servers(t)
	i := &installation{T: t, environment: e, store: catalog.NewStore(e.bucket, catalog.BusNotifier(e.bus))}
	i.topics(bus.TopicSpec{Name: bus.ControlTopic, Compacted: true, Partitions: 1})
	i.view = catalog.NewView(i.store, e.bus, nil)
	i.background(i.view.Run)
	return i
}

// background runs until the test ends, or stop is called.
func (i *installation) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return run(ctx) })
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := g.Wait(); err != nil && ctx.Err() == nil {
			i.Error(err)
		}
	}
	i.Cleanup(stop)
	return stop
}

func (i *installation) topics(specs ...bus.TopicSpec) {
	i.Helper()
	if err := i.bus.EnsureTopics(i.Context(), specs...); err != nil {
		i.Fatal(err)
	}
}

// group is a new active dataset group with its topics.
func (i *installation) group(name string) *catalog.DatasetGroup {
	i.Helper()
	g := &catalog.DatasetGroup{
		Metadata: catalog.Metadata{ARN: "arn:aws:personalize:eu-central-1:000000000000:dataset-group/" + name, Name: name, Type: resource.DatasetGroup, Status: status.Active},
		ShortID:  "1a2b",
	}
	key := g.GroupKey()
	i.topics(bus.TopicSpec{Name: schema.Interactions.Topic(key)}, bus.TopicSpec{Name: bus.DeadLetterTopic(key)},
		bus.TopicSpec{Name: schema.Items.Topic(key), Compacted: true}, bus.TopicSpec{Name: schema.Users.Topic(key), Compacted: true})
	if err := i.store.Create(i.Context(), g); err != nil {
		i.Fatal(err)
	}
	return g
}

func (i *installation) firehose() (s *Service, stop func()) {
	i.Helper()
	s, err := New(Config{Bus: i.bus, Bucket: i.bucket, View: i.view, Options: Options{FlushInterval: 100 * time.Millisecond}})
	if err != nil {
		i.Fatal(err)
	}
	return s, i.background(s.Run)
}

// put publishes events with the numbers from first to last, of several users.
func (i *installation) put(g *catalog.DatasetGroup, first, last int) {
	i.Helper()
	var all []bus.Record
	for n := first; n <= last; n++ {
		user := fmt.Sprintf("user-%d", n%17)
		value, err := wire.MarshalInteraction(&reco.Interaction{
			EventID: fmt.Sprint(n), UserID: user, ItemID: "item", EventType: "click", TimestampMS: int64(n),
			Properties: map[string]any{"DEVICE": "phone"},
		})
		if err != nil {
			i.Fatal(err)
		}
		all = append(all, bus.Record{Topic: schema.Interactions.Topic(g.GroupKey()), Key: []byte(user), Value: value})
	}
	if err := i.bus.Publish(i.Context(), all...); err != nil {
		i.Fatal(err)
	}
}

// wantArchived waits until the events from first to last are in the archive, and checks that they are there once.
func (i *installation) wantArchived(g *catalog.DatasetGroup, first, last int) {
	i.Helper()
	eventually.Succeeds(i, "the events are archived once", func() error {
		var numbers []int
		for row, err := range archive.ReadInteractions(i.Context(), i.bucket, g.GroupKey(), schema.Interactions, archive.ReadOptions{}) {
			if err != nil {
				return err
			}
			if row.Properties["DEVICE"] != "phone" || row.Origin.Arrival.IsZero() {
				return fmt.Errorf("event %s has the properties %v and the origin %+v", row.EventID, row.Properties, row.Origin)
			}
			numbers = append(numbers, int(row.TimestampMS))
		}
		slices.Sort(numbers)
		if len(numbers) != last-first+1 || numbers[0] != first || numbers[len(numbers)-1] != last || len(slices.Compact(numbers)) != last-first+1 {
			return fmt.Errorf("%d events of %d", len(numbers), last-first+1)
		}
		return nil
	})
	report, err := archive.Verify(i.Context(), i.bucket, g.GroupKey())
	if err != nil {
		i.Fatal(err)
	}
	if len(report.Problems) > 0 || len(report.Gaps) > 0 {
		i.Errorf("%+v", report)
	}
}

func TestEventsOfAllActiveGroupsAreArchived(t *testing.T) {
	t.Parallel()
	i := install(t)
	first := i.group("first")
	i.put(first, 1, 500)
	s, stop := i.firehose()
	i.wantArchived(first, 1, 500)

	second := i.group("second") // while the firehose runs
	i.put(second, 1, 100)
	i.put(first, 501, 600)
	i.wantArchived(second, 1, 100)
	i.wantArchived(first, 1, 600)
	eventually.Succeeds(i, "the firehose is ready", func() error { return s.Ready(i.Context()) })

	i.put(first, 601, 650)
	stop()
	_, stop = i.firehose()
	i.wantArchived(first, 1, 650)
	stop()

	// What is archived is committed, for lag displays.
	topic := schema.Interactions.Topic(first.GroupKey())
	ends, err := i.bus.Offsets(i.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := i.bus.Committed(i.Context(), ConsumerGroup)
	if err != nil {
		t.Fatal(err)
	}
	for partition, offsets := range ends {
		if offsets.End > 0 && committed[partition] != offsets.End {
			t.Errorf("partition %d: committed %d, want %d", partition.Partition, committed[partition], offsets.End)
		}
	}
}

func TestColumnsFollowTheDatasetsSchema(t *testing.T) {
	t.Parallel()
	i := install(t)
	g := i.group("shop")
	arn, err := resource.ParseARN(g.ARN)
	if err != nil {
		t.Fatal(err)
	}
	document := &catalog.Schema{
		Metadata: catalog.Metadata{ARN: arn.With(resource.Schema, "events").String(), Name: "events", Type: resource.Schema},
		Document: `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","version":"1.0","fields":[
			{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"},
			{"name":"DEVICE","type":["null","string"],"categorical":true}]}`,
	}
	if err := i.store.Create(i.Context(), document); err != nil {
		t.Fatal(err)
	}
	dataset := &catalog.Dataset{
		Metadata:        catalog.Metadata{ARN: arn.With(resource.Dataset, "shop/INTERACTIONS").String(), Name: "events", Type: resource.Dataset, Status: status.Active},
		DatasetGroupARN: g.ARN, DatasetType: "INTERACTIONS", SchemaARN: document.ARN,
	}
	if err := i.store.Create(i.Context(), dataset); err != nil {
		t.Fatal(err)
	}
	s := schemas{view: i.view, log: zap.NewNop()}
	targets := targetsOf(g)
	eventually.Succeeds(i, "the schema has the column", func() error {
		schema := s.of(targets[schema.Interactions.Topic(g.GroupKey())])
		if schema == nil {
			return errors.New("no schema")
		}
		if _, ok := schema.Field("DEVICE"); !ok {
			return fmt.Errorf("a schema without the column: %+v", schema)
		}
		return nil
	})
	if schema := s.of(targets[schema.Items.Topic(g.GroupKey())]); schema != nil {
		t.Errorf("items have the schema %+v, there is none", schema)
	}
}

func TestSeveralFirehosesShareThePartitions(t *testing.T) {
	t.Parallel()
	i := install(t)
	g := i.group("shop")
	_, stopFirst := i.firehose()
	i.put(g, 1, 300)
	_, stopSecond := i.firehose()
	i.put(g, 301, 600)
	i.wantArchived(g, 1, 600)
	stopFirst()
	i.put(g, 601, 900)
	i.wantArchived(g, 1, 900)
	stopSecond()
}
