package attributes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

const account = "arn:aws:personalize:us-east-1:000000000000:"

const document = `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","version":"1.0","fields":[
	{"name":"ITEM_ID","type":"string"},
	{"name":"GENRES","type":["null","string"],"categorical":true},
	{"name":"PRICE","type":["null","float"]},
	{"name":"STORY","type":["null","string"],"textual":true}]}`

// shop is a dataset group with an Items dataset.
type shop struct {
	*testing.T
	source  attributes.Source
	objects *blob.Client
	store   *catalog.Store
	group   *catalog.DatasetGroup
	dataset *catalog.Dataset
	schema  *schema.Schema
	text    atomic.Bool
}

func newShop(t *testing.T) *shop {
	t.Helper()
	e := embeddedtest.Servers(t)
	s := &shop{T: t}
	var err error
	s.objects, err = blob.Open(e.S3)
	s.must(err)
	t.Cleanup(s.objects.Close)
	s.source.Bucket = s.objects.Bucket(e.Bucket)
	s.source.Bus, err = bus.Open(t.Context(), bus.Config{Brokers: e.KafkaBrokers, Topics: bus.TopicDefaults{Partitions: 2, ReplicationFactor: 1, MinInSyncReplicas: 1}})
	s.must(err)
	t.Cleanup(s.source.Bus.Close)
	s.store = catalog.NewStore(s.source.Bucket, nil)
	s.source.View = catalog.NewView(s.store, nil, nil)
	s.run(s.source.View.Run)
	s.must(s.source.View.WaitReady(t.Context()))

	s.group = &catalog.DatasetGroup{Metadata: active("dataset-group/shop", "shop"), ShortID: strings.ToLower(fmt.Sprintf("%x", time.Now().UnixNano()))}
	s.must(s.store.Create(t.Context(), s.group))
	s.must(s.store.Create(t.Context(), &catalog.Schema{Metadata: active("schema/items", "items"), Document: document}))
	s.dataset = &catalog.Dataset{Metadata: active("dataset/shop/ITEMS", "items"), DatasetGroupARN: s.group.ARN, DatasetType: "ITEMS", SchemaARN: account + "schema/items"}
	s.must(s.store.Create(t.Context(), s.dataset))
	s.schema, err = schema.Parse(document, "")
	s.must(err)
	s.must(s.source.Bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: schema.Items.Topic(s.group.GroupKey()), Compacted: true}))
	return s
}

func active(arn, name string) catalog.Metadata {
	return catalog.Metadata{ARN: account + arn, Name: name, Status: status.Active}
}

func (s *shop) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	s.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
	})
}

// imports brings rows of "id,genres,price,story" in and tells the catalog.
func (s *shop) imports(mode dataset.Mode, rows ...string) {
	s.Helper()
	_, err := s.source.Bucket.Put(s.Context(), "in.csv", []byte("ITEM_ID,GENRES,PRICE,STORY\n"+strings.Join(rows, "\n")+"\n"), blob.PutOptions{})
	s.must(err)
	v, err := dataset.Import(s.Context(), dataset.ImportRequest{
		Source: s.objects, Location: "s3://" + s.source.Bucket.Name() + "/in.csv", Bucket: s.source.Bucket, Group: s.group.GroupKey(), Schema: s.schema, Mode: mode,
	})
	s.must(err)
	_, err = s.store.Datasets.Update(s.Context(), s.dataset.ARN, func(d *catalog.Dataset) error {
		d.Version = v.Number
		return nil
	})
	s.must(err)
}

func (s *shop) puts(id, genres string) {
	s.Helper()
	value, err := wire.MarshalEntity(&reco.Entity{ID: id, Properties: map[string]any{"GENRES": genres, "STORY": "put"}})
	s.must(err)
	s.publish(id, value)
}

func (s *shop) publish(id string, value []byte) {
	s.Helper()
	s.must(s.source.Bus.Publish(s.Context(), bus.Record{Topic: schema.Items.Topic(s.group.GroupKey()), Key: []byte(id), Value: value}))
}

func (s *shop) live(limit int64) *attributes.Live {
	s.Helper()
	live, err := attributes.NewLive(attributes.Config{
		Source: s.source, Limit: limit, Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
		Needs: func() []attributes.Need {
			return []attributes.Need{{Group: s.group, Type: schema.Items, Text: s.text.Load()}}
		},
	})
	s.must(err)
	s.run(live.Run)
	return live
}

// attribute is a value as text, "-" where there is none.
func attribute(t *attributes.Table, id, column string) string {
	row, ok := t.Row(id)
	if !ok {
		return "-"
	}
	if v := t.Attribute(row, column); v != nil {
		return fmt.Sprint(v)
	}
	return "-"
}

func genres(t *attributes.Table) string {
	var list []string
	for _, id := range []string{"a", "b", "c", "d"} {
		list = append(list, attribute(t, id, "GENRES"))
	}
	return strings.Join(list, " ")
}

// becomes waits until the items a, b, c, d have the genres, in the live table and in one that is loaded.
func (s *shop) becomes(live *attributes.Live, want string) {
	s.Helper()
	eventually.Succeeds(s, "the items have the genres "+want, func() error {
		table, err := live.Table(s.Context(), s.group.GroupKey(), schema.Items)
		s.must(err)
		if got := genres(table); got != want {
			return fmt.Errorf("they have %s", got)
		}
		return nil
	})
	loaded, err := s.source.Load(s.Context(), s.group, schema.Items)
	s.must(err)
	if once := genres(loaded); once != want {
		s.Fatalf("loaded once, the genres are %s; want %s", once, want)
	}
}

func TestTheNewestRecordCounts(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	live := s.live(0)
	s.becomes(live, "- - - -")
	s.puts("a", "put")
	s.becomes(live, "put - - -")
	s.imports(dataset.Full, "a,import1,1,story", "b,import1,1,story")
	s.becomes(live, "import1 import1 - -")
	s.puts("b", "put|again")
	s.puts("c", "put")
	s.becomes(live, "import1 put|again put -")
	s.imports(dataset.Incremental, "b,import2,2,story", "d,import2,2,story")
	s.becomes(live, "import1 import2 put import2")
	s.imports(dataset.Full, "a,import3,3,story")
	s.becomes(live, "import3 put|again put -")
	s.publish("c", nil)
	s.becomes(live, "import3 put|again - -")
}

func TestProseIsKeptOnDemand(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.imports(dataset.Full, "a,x,1,once upon a time")
	live := s.live(0)
	s.becomes(live, "x - - -")
	story := func() string {
		table, err := live.Table(t.Context(), s.group.GroupKey(), schema.Items)
		s.must(err)
		return attribute(table, "a", "STORY")
	}
	if got := story(); got != "-" {
		t.Errorf("the story %q is kept though nobody asked for it", got)
	}
	s.text.Store(true)
	eventually.True(t, "the story is kept", func() bool { return story() == "once upon a time" })
}

func TestWhatIsTooMuchIsNotLoaded(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.imports(dataset.Full, "a,x,1,", "b,x,1,")
	live := s.live(100)
	_, err := live.Table(t.Context(), s.group.GroupKey(), schema.Items)
	if !errors.Is(err, attributes.ErrNotLoaded) || !strings.Contains(err.Error(), "more memory") {
		t.Errorf("the error is %v", err)
	}
	if _, err := live.Table(t.Context(), "another-group", schema.Items); !errors.Is(err, attributes.ErrNotLoaded) {
		t.Errorf("the error of what nobody needs is %v", err)
	}
}
