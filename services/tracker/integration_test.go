package tracker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/tracker"
)

// installation is a tracker over real servers. control stands for the control service in another process: what it
// writes reaches the tracker's view by notices and look-ups only.
type installation struct {
	*fixture
	bus     *bus.Client
	control *catalog.Store
}

func newInstallation(t *testing.T) *installation {
	servers := embeddedtest.Servers(t)
	client, err := bus.Open(t.Context(), bus.Config{
		Brokers: servers.KafkaBrokers, Log: zap.NewNop(), Topics: bus.TopicDefaults{Partitions: 4, ReplicationFactor: 1, MinInSyncReplicas: 1},
	})
	must(t, err)
	t.Cleanup(client.Close)
	store, err := blob.Open(servers.S3)
	must(t, err)
	t.Cleanup(store.Close)
	view := catalog.NewView(catalog.NewStore(store.Bucket(servers.Bucket), nil), client, zap.NewNop())
	in := &installation{
		fixture: &fixture{},
		bus:     client,
		control: catalog.NewStore(store.Bucket(servers.Bucket), catalog.BusNotifier(client)),
	}
	must(t, client.EnsureTopics(t.Context(), bus.TopicSpec{Name: bus.ControlTopic, Compacted: true, Partitions: 1}))
	in.service, err = tracker.New(tracker.Config{Bus: client, View: view, Log: zap.NewNop()})
	must(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- view.Run(ctx) }()
	go func() { done <- in.service.Run(ctx) }()
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{key}, Log: zap.NewNop()})
	in.service.Register(router)
	in.Server = httptest.NewServer(router)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		in.Close()
		cancel()
		<-done
		<-done
	})
	eventually.True(t, "the tracker is ready", func() bool { return in.service.Ready(ctx) == nil })
	return in
}

// create makes a dataset group with an event tracker and datasets.
func (in *installation) create(t *testing.T) (group *catalog.DatasetGroup) {
	t.Helper()
	ctx := t.Context()
	meta := func(arn, status string) catalog.Metadata {
		return catalog.Metadata{ARN: arn, Name: "shop", Status: status}
	}
	group = &catalog.DatasetGroup{Metadata: meta(groupARN, status.Active), ShortID: "1"}
	must(t, in.bus.EnsureTopics(ctx, bus.TopicSpec{Name: schema.ActionInteractions.Topic(group.GroupKey())}, bus.TopicSpec{Name: schema.Interactions.Topic(group.GroupKey())}, bus.TopicSpec{Name: schema.Items.Topic(group.GroupKey()), Compacted: true}))
	must(t, in.control.Create(ctx, group))
	for _, d := range []struct {
		t        schema.Type
		document string
		status   string
	}{{schema.Interactions, interactions, status.Active}, {schema.Items, items, status.CreatePending}, {schema.ActionInteractions, actionInteractions, status.Active}} {
		schemaARN := strings.Replace(groupARN, "dataset-group/shop", "schema/"+string(d.t), 1)
		datasetARN := strings.Replace(groupARN, "dataset-group/shop", "dataset/shop/"+d.t.DatasetType(), 1)
		must(t, in.control.Create(ctx, &catalog.Schema{Metadata: meta(schemaARN, status.Active), Document: d.document}))
		dataset := &catalog.Dataset{Metadata: meta(datasetARN, d.status), DatasetGroupARN: groupARN, DatasetType: d.t.DatasetType(), SchemaARN: schemaARN}
		if d.t == schema.ActionInteractions {
			dataset.TrackingID = actionTrackingID
		}
		must(t, in.control.Create(ctx, dataset))
	}
	must(t, in.control.Create(ctx, &catalog.EventTracker{Metadata: meta(trackerARN, status.Active), DatasetGroupARN: groupARN, TrackingID: trackingID}))
	return group
}

func TestActionInteractionsOverRealServers(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	if resp, answer := in.post(t, "/action-interactions", strings.Replace(actionCall(taken(``)), actionTrackingID, "other", 1)); resp.StatusCode != 404 {
		t.Fatalf("a tracking id before its dataset exists: status %d, %s", resp.StatusCode, answer)
	}
	group := in.create(t)
	// An id never asked for is found at once, whether or not the notice of its dataset has come.
	if resp, answer := in.post(t, "/action-interactions", actionCall(taken(``))); resp.StatusCode != 200 {
		t.Fatalf("status %d, %s", resp.StatusCode, answer)
	}
	if resp, answer := in.post(t, "/events", strings.Replace(call(click(``)), trackingID, actionTrackingID, 1)); resp.StatusCode != 400 {
		t.Errorf("events with the dataset's tracking id: status %d, %s", resp.StatusCode, answer)
	}
	if resp, answer := in.post(t, "/action-interactions", strings.Replace(actionCall(taken(``)), actionTrackingID, trackingID, 1)); resp.StatusCode != 404 {
		t.Errorf("action interactions with the event tracker's id: status %d, %s", resp.StatusCode, answer)
	}
	records := in.read(t, 1, schema.ActionInteractions.Topic(group.GroupKey()))
	if i, err := wire.UnmarshalActionInteraction(records[0].Value); err != nil || i.ItemID != "join" || headersOf(records[0])["ce_source"] != actionSetARN {
		t.Errorf("%+v, %v", i, err)
	}
	dataset, err := in.control.Datasets.Get(t.Context(), actionSetARN)
	must(t, err)
	must(t, in.control.Delete(t.Context(), dataset))
	eventually.True(t, "the deleted dataset takes nothing", func() bool {
		resp, _ := in.post(t, "/action-interactions", actionCall(taken(``)))
		return resp.StatusCode == 404
	})
}

func TestOverRealServers(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	if resp, answer := in.post(t, "/events", call(click(``))); resp.StatusCode != 400 {
		t.Fatalf("a tracking id before its tracker exists: status %d, %s", resp.StatusCode, answer)
	}
	if resp, answer := in.post(t, "/items", putItems(itemsARN, item("A01", `{}`))); resp.StatusCode != 404 {
		t.Fatalf("a dataset before it exists: status %d, %s", resp.StatusCode, answer)
	}
	group := in.create(t)
	good := putItems(itemsARN, item("A01", `{"genres":"a","creationTimestamp":1}`))

	// The first refusal of this id may be remembered for a moment; one never asked for is found at once.
	eventually.True(t, "the new tracker takes events", func() bool {
		resp, _ := in.post(t, "/events", call(click(``)))
		return resp.StatusCode == 200
	})
	if resp, answer := in.post(t, "/items", good); resp.StatusCode != 409 {
		t.Errorf("items for a dataset that is being created: status %d, %s", resp.StatusCode, answer)
	}
	_, err := in.control.Datasets.Update(t.Context(), itemsARN, func(d *catalog.Dataset) error {
		d.Status = status.Active
		return nil
	})
	must(t, err)
	if resp, answer := in.post(t, "/items", good); resp.StatusCode != 200 {
		t.Errorf("items for a dataset that has just become active: status %d, %s", resp.StatusCode, answer)
	}
	if resp, answer := in.post(t, "/users", putUsers(itemsARN, `{"userId":"u"}`)); resp.StatusCode != 400 {
		t.Errorf("users for an items dataset: status %d, %s", resp.StatusCode, answer)
	}
	if resp, answer := in.post(t, "/items", strings.Replace(good, itemsARN, groupARN, 1)); resp.StatusCode != 400 {
		t.Errorf("items for a dataset group: status %d, %s", resp.StatusCode, answer)
	}

	records := in.read(t, 2, schema.Interactions.Topic(group.GroupKey()), schema.Items.Topic(group.GroupKey()))
	for _, record := range records {
		if record.Partition != bus.PartitionOf(record.Key, 4) || headersOf(record)["ce_source"] == "" {
			t.Errorf("partition %d of key %s, headers %v", record.Partition, record.Key, headersOf(record))
		}
		if record.Topic == schema.Interactions.Topic(group.GroupKey()) {
			i, err := wire.UnmarshalInteraction(record.Value)
			if err != nil || i.EventID != "e1" || i.UserID != "u1" {
				t.Errorf("interaction %+v, %v", i, err)
			}
		}
	}

	eventTracker, err := in.control.EventTrackers.Get(t.Context(), trackerARN)
	must(t, err)
	must(t, in.control.Delete(t.Context(), eventTracker))
	eventually.True(t, "the deleted tracker takes no events", func() bool {
		resp, _ := in.post(t, "/events", call(click(``)))
		return resp.StatusCode == 400
	})
}

// read returns the first n records of the topics.
func (in *installation) read(t *testing.T, n int, topics ...string) []bus.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var read []bus.Record
	err := in.bus.Follow(ctx, bus.FollowConfig{Topics: topics, FromStart: true}, func(_ context.Context, records []bus.Record) error {
		if read = append(read, records...); len(read) >= n {
			cancel()
		}
		return nil
	})
	if len(read) < n {
		t.Fatalf("%d records of %d: %v", len(read), n, err)
	}
	return read
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
