package catalog

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// process is a store and a view as one process has them.
type process struct {
	*Store
	*View
}

// twoProcesses share a bucket and a Kafka.
func twoProcesses(t *testing.T) (a, b process) {
	t.Helper()
	servers := embeddedtest.Servers(t)
	start := func() process {
		client := must(bus.Open(t.Context(), bus.Config{
			Brokers: servers.KafkaBrokers, Topics: bus.TopicDefaults{Partitions: 1, ReplicationFactor: 1, MinInSyncReplicas: 1},
		}))(t)
		t.Cleanup(client.Close)
		objects := must(blob.Open(servers.S3))(t)
		t.Cleanup(objects.Close)
		store := NewStore(objects.Bucket(servers.Bucket), BusNotifier(client), WithLog(zaptest.NewLogger(t)))
		return process{store, runView(t, NewView(store, client, zaptest.NewLogger(t)))}
	}
	return start(), start()
}

// runView runs a view until the test ends.
func runView(t *testing.T, v *View) *View {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := v.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	must(0, v.WaitReady(t.Context()))(t)
	return v
}

func TestAViewFollowsTheOtherProcesses(t *testing.T) {
	t.Parallel()
	a, b := twoProcesses(t)
	ctx := t.Context()
	var mu sync.Mutex
	seen := map[string]int{}
	defer b.Subscribe(func(arn string) { mu.Lock(); defer mu.Unlock(); seen[arn]++ })()

	group := newGroup("movies")
	must(0, a.Create(ctx, group))(t)
	if _, ok := Lookup[*DatasetGroup](a.View, group.ARN); !ok {
		t.Error("a process does not see its own write at once")
	}
	eventually.True(t, "the other view has the group", func() bool { _, ok := Lookup[*DatasetGroup](b.View, group.ARN); return ok })

	started := time.Now()
	must(a.DatasetGroups.Update(ctx, group.ARN, func(g *DatasetGroup) error { g.RoleARN = "r"; return nil }))(t)
	eventually.True(t, "the other view has the update", func() bool { g, _ := Lookup[*DatasetGroup](b.View, group.ARN); return g.RoleARN == "r" })
	t.Logf("an update was seen after %v", time.Since(started))

	must(0, a.Delete(ctx, group))(t)
	eventually.True(t, "the other view has lost the group", func() bool { _, ok := Lookup[*DatasetGroup](b.View, group.ARN); return !ok })
	eventually.True(t, "the subscriber was told", func() bool { mu.Lock(); defer mu.Unlock(); return seen[group.ARN] >= 3 })
}

func TestAViewThatMissedNoticesCatchesUpByItsScan(t *testing.T) {
	t.Parallel()
	bucket := embeddedtest.Bucket(t)
	writer := NewStore(bucket, nil)
	ctx := t.Context()
	gone, changed := newGroup("gone"), newGroup("changed")
	must(0, writer.Create(ctx, gone))(t)
	must(0, writer.Create(ctx, changed))(t)
	view := NewView(NewStore(bucket, nil), nil, nil)
	must(0, view.scan(ctx))(t)

	must(0, writer.Delete(ctx, gone))(t)
	must(writer.DatasetGroups.Update(ctx, changed.ARN, func(g *DatasetGroup) error { g.RoleARN = "r"; return nil }))(t)
	must(0, writer.Create(ctx, newGroup("new")))(t)
	must(0, view.scan(ctx))(t)
	groups := All[*DatasetGroup](view)
	if len(groups) != 2 || groups[0].RoleARN != "r" || groups[1].Name != "new" {
		t.Errorf("got %d groups", len(groups))
	}
}

func TestAViewNeverGoesBack(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	view := NewView(s, nil, nil)
	group := newGroup("movies")
	must(0, s.Create(ctx, group))(t)
	old := must(s.DatasetGroups.Get(ctx, group.ARN))(t)
	must(s.DatasetGroups.Update(ctx, group.ARN, func(g *DatasetGroup) error { g.RoleARN = "r"; return nil }))(t)
	view.apply(old)
	if got, _ := Lookup[*DatasetGroup](view, group.ARN); got.RoleARN != "r" {
		t.Error("an old read replaced a newer state")
	}
	must(0, s.Delete(ctx, group))(t)
	view.apply(old)
	if _, ok := Lookup[*DatasetGroup](view, group.ARN); ok {
		t.Error("an old read brought a deleted resource back")
	}
	again := newGroup("movies")
	must(0, s.Create(ctx, again))(t)
	if got, ok := Lookup[*DatasetGroup](view, group.ARN); !ok || got.ID != again.ID {
		t.Error("a resource made again under the name is not seen")
	}
}

func TestATrackerIsLookedForOnce(t *testing.T) {
	t.Parallel()
	bucket := embeddedtest.Bucket(t)
	writer, reader := NewStore(bucket, nil), NewStore(bucket, nil)
	now := time.Now()
	reader.now = func() time.Time { return now }
	ctx := t.Context()
	view := NewView(reader, nil, nil)
	id, trackingID := NewTrackingID()
	tracker := &EventTracker{Metadata: Metadata{ARN: arn(resource.EventTracker, id), Status: status.Active}, TrackingID: trackingID}

	find := func(id string) bool {
		t.Helper()
		_, ok, err := view.TrackerByID(ctx, id)
		return must(ok, err)(t)
	}
	if find(trackingID) || find("nonsense") || find("../x") {
		t.Error("found a tracker that is not there")
	}
	must(0, writer.Create(ctx, tracker))(t)
	if find(trackingID) {
		t.Error("a miss is to be remembered")
	}
	now = now.Add(missTTL)
	if !find(trackingID) {
		t.Error("a tracker that another process created was not found")
	}
	if find(id + "-0000-0000-0000-000000000000") {
		t.Error("another tracking id with the same beginning was accepted")
	}
}

func TestADatasetIsFoundByItsTrackingID(t *testing.T) {
	t.Parallel()
	bucket := embeddedtest.Bucket(t)
	writer, reader := NewStore(bucket, nil), NewStore(bucket, nil)
	now := time.Now()
	reader.now = func() time.Time { return now }
	ctx := t.Context()
	view := NewView(reader, nil, nil)
	find := func(id string) string {
		t.Helper()
		d, ok, err := view.DatasetByTrackingID(ctx, id)
		must(0, err)(t)
		if !ok {
			return ""
		}
		return d.ARN
	}
	_, trackingID := NewTrackingID()
	if got := find(trackingID) + find("../x") + find(""); got != "" {
		t.Errorf("found %q where there is nothing", got)
	}
	dataset := &Dataset{Metadata: Metadata{ARN: arn(resource.Dataset, "shop/ACTION_INTERACTIONS"), Status: status.Active}, TrackingID: trackingID}
	must(0, writer.Create(ctx, dataset))(t)
	must(0, writer.Create(ctx, &Dataset{Metadata: Metadata{ARN: arn(resource.Dataset, "shop/ITEMS"), Status: status.Active}}))(t)
	if find(trackingID) != "" {
		t.Error("a miss is to be remembered")
	}
	now = now.Add(missTTL)
	if find(trackingID) != dataset.ARN {
		t.Error("a dataset that another process created was not found")
	}
	if _, ok, err := view.TrackerByID(ctx, trackingID); ok || err != nil {
		t.Errorf("an event tracker was found by a dataset's id, %v", err)
	}
	must(0, writer.Delete(ctx, dataset))(t)
	must(0, view.Fetch(ctx, dataset.ARN))(t)
	if find(trackingID) != "" {
		t.Error("a deleted dataset was found")
	}
}

func TestAFailedNoticeDoesNotFailTheWrite(t *testing.T) {
	t.Parallel()
	s := NewStore(embeddedtest.Bucket(t), failingNotifier{}, WithLog(zaptest.NewLogger(t)))
	must(0, s.Create(t.Context(), newGroup("movies")))(t)
	must(s.DatasetGroups.Get(t.Context(), arn(resource.DatasetGroup, "movies")))(t)
}

type failingNotifier struct{}

func (failingNotifier) ResourceChanged(context.Context, string, int64, bool) error {
	return errors.New("no broker")
}

func TestAnOutageIsToldOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, lines := zapobserver.New(zap.InfoLevel)
		o := outage{log: zap.New(core), doing: "reading"}
		const lasting = 150 * time.Second
		attempts := 0
		for began := time.Now(); time.Since(began) < lasting; attempts++ {
			time.Sleep(o.failed(errors.New("refused")))
		}
		if n := lines.FilterLevelExact(zap.WarnLevel).Len(); n != 3 {
			t.Errorf("%d warnings in %s", n, lasting)
		}
		if attempts < 30 || attempts > 35 {
			t.Errorf("%d attempts in %s", attempts, lasting)
		}
		o.over()
		o.over()
		if n := lines.FilterLevelExact(zap.InfoLevel).Len(); n != 1 {
			t.Errorf("the end is told %d times", n)
		}
		if pause := o.failed(errors.New("refused again")); pause != retryPace.First || lines.FilterLevelExact(zap.WarnLevel).Len() != 4 {
			t.Errorf("a new outage begins with a pause of %s and %d warnings", pause, lines.FilterLevelExact(zap.WarnLevel).Len())
		}
	})
}

// TestAViewOutlivesAStoreThatRefuses has the store refuse the first scans: the view warns once, and is ready when it
// answers.
func TestAViewOutlivesAStoreThatRefuses(t *testing.T) {
	t.Parallel()
	cfg, bucket := embeddedtest.S3(t)
	target := must(url.Parse(cfg.Endpoint))(t)
	var refused atomic.Int32
	store := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // the signature covers it
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused.Add(1) <= 2 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	cfg.Endpoint = proxy.URL
	objects := must(blob.Open(cfg))(t)
	t.Cleanup(objects.Close)
	core, lines := zapobserver.New(zap.WarnLevel)
	log := zap.New(core)
	runView(t, NewView(NewStore(objects.Bucket(bucket), nil, WithLog(log)), nil, log))
	if n := lines.FilterMessage("reading the catalog failed, trying on").Len(); n != 1 {
		t.Errorf("%d warnings of a store that refused %d calls: %v", n, refused.Load(), lines.All())
	}
}
