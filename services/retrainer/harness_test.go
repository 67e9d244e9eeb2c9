package retrainer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
)

const account = "arn:aws:personalize:us-east-1:000000000000:"

// installation is a Kafka, a bucket and a catalog with what the test puts into them.
type installation struct {
	*testing.T
	bus    *bus.Client
	s3     *blob.Client
	bucket *blob.Bucket
	store  *catalog.Store
	view   *catalog.View
	group  *catalog.DatasetGroup
}

func install(t *testing.T) *installation {
	t.Helper()
	e := embeddedtest.Servers(t)
	i := &installation{T: t}
	var err error
	if i.s3, err = blob.Open(e.S3); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.s3.Close)
	i.bucket = i.s3.Bucket(e.Bucket)
	i.bus, err = bus.Open(t.Context(), bus.Config{
		Brokers: e.KafkaBrokers, Topics: bus.TopicDefaults{Partitions: 2, ReplicationFactor: 1, MinInSyncReplicas: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.bus.Close)
	i.store = catalog.NewStore(i.bucket, catalog.BusNotifier(i.bus))
	i.group = &catalog.DatasetGroup{Meta: active(account+"dataset-group/shop", "shop"), ShortID: "1a2b"}
	key := i.group.GroupKey()
	err = i.bus.EnsureTopics(t.Context(),
		bus.TopicSpec{Name: bus.ControlTopic, Compacted: true, Partitions: 1}, bus.TopicSpec{Name: bus.JobsTopic, Partitions: 1},
		bus.TopicSpec{Name: bus.InteractionsTopic(key)},
		bus.TopicSpec{Name: bus.ItemsTopic(key), Compacted: true}, bus.TopicSpec{Name: bus.UsersTopic(key), Compacted: true})
	if err != nil {
		t.Fatal(err)
	}
	create(i, i.group)
	i.view = catalog.NewView(i.store, i.bus, zap.NewNop())
	i.background(i.view.Run)
	if err := i.view.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return i
}

func active(arn, name string) catalog.Meta {
	return catalog.Meta{ARN: arn, Name: name, Status: catalog.StatusActive}
}

func create[R catalog.Resource](i *installation, r R) {
	i.Helper()
	if err := catalog.Create(i.Context(), i.store, r); err != nil {
		i.Fatal(err)
	}
}

// background runs until the test ends, or stop is called.
func (i *installation) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			i.Error(err)
		}
	}
	i.Cleanup(stop)
	return stop
}

// retrainer makes a retrainer with quick leases and heartbeats; it works once run.
func (i *installation) retrainer(change func(*Config)) *Service {
	i.Helper()
	config := Config{
		Bus: i.bus, S3: i.s3, Bucket: i.bucket, Store: i.store, View: i.view, MinInteractions: 100, MinUsers: 10, Seed: 1,
		LeaseTTL: time.Second, Log: zaptest.NewLogger(i), Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&config)
	}
	s, err := New(config)
	if err != nil {
		i.Fatal(err)
	}
	s.imports.heartbeat, s.training.heartbeat, s.batches.heartbeat, s.shards.heartbeat = 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	return s
}

func (i *installation) solution(name, recipe string, change func(*catalog.Solution)) *catalog.Solution {
	i.Helper()
	s := &catalog.Solution{
		Meta: active(account+"solution/"+name, name), DatasetGroupARN: i.group.ARN, RecipeARN: "arn:aws:personalize:::recipe/" + recipe,
	}
	if change != nil {
		change(s)
	}
	create(i, s)
	return s
}

// version creates a solution version the way control does.
func (i *installation) version(s *catalog.Solution, id string) *catalog.SolutionVersion {
	i.Helper()
	v := &catalog.SolutionVersion{
		Meta:        catalog.Meta{ARN: s.ARN + "/" + id, Status: catalog.StatusCreatePending},
		SolutionARN: s.ARN, RecipeARN: s.RecipeARN, DatasetGroupARN: s.DatasetGroupARN, EventType: s.EventType, Config: s.Config,
		PerformHPO: s.PerformHPO, PerformAutoML: s.PerformAutoML,
		TrainingMode: catalog.TrainingFull, TrainingType: catalog.TrainingManual,
	}
	if err := catalog.CreateUnder(i.Context(), i.store, v, catalog.Under(s.ARN, func(*catalog.Solution) error { return nil })); err != nil {
		i.Fatal(err)
	}
	return v
}

// events puts interactions of so many users, six each, into the log: users of even number like even items.
func (i *installation) events(users int, eventType string) {
	i.Helper()
	var interactions []*reco.Interaction
	for u := range users {
		for e := range 6 {
			id := fmt.Sprintf("u%03d", u)
			interactions = append(interactions, &reco.Interaction{
				EventID: fmt.Sprintf("%s-%s-%d", eventType, id, e), UserID: id, SessionID: "s" + id, EventType: eventType,
				ItemID: fmt.Sprintf("i%02d", (u%2)+2*((u/2+e)%10)), TimestampMS: int64(1000 * e),
			})
		}
	}
	i.interact(interactions...)
}

// interact publishes interactions as the tracker does.
func (i *installation) interact(interactions ...*reco.Interaction) {
	i.Helper()
	var records []bus.Record
	for _, interaction := range interactions {
		value, err := reco.MarshalInteraction(interaction)
		if err != nil {
			i.Fatal(err)
		}
		records = append(records, bus.Record{Topic: bus.InteractionsTopic(i.group.GroupKey()), Key: []byte(interaction.UserID), Value: value})
	}
	if err := i.bus.Publish(i.Context(), records...); err != nil {
		i.Fatal(err)
	}
}

// ends waits until the version has come to its end and returns it.
func (i *installation) ends(v *catalog.SolutionVersion) *catalog.SolutionVersion {
	i.Helper()
	return i.until(v, "it ends", func(v *catalog.SolutionVersion) bool { return v.Finished() })
}

func (i *installation) until(v *catalog.SolutionVersion, what string, holds func(*catalog.SolutionVersion) bool) *catalog.SolutionVersion {
	i.Helper()
	var now *catalog.SolutionVersion
	eventually.Succeeds(i, what, func() (err error) {
		if now, err = catalog.Get[*catalog.SolutionVersion](i.Context(), i.store, v.ARN); err != nil {
			i.Fatal(err)
		}
		if !holds(now) {
			return fmt.Errorf("version is %s %s", now.Status, now.FailureReason)
		}
		return nil
	})
	return now
}

func (i *installation) versionsOf(s *catalog.Solution) []*catalog.SolutionVersion {
	i.Helper()
	all, err := catalog.List[*catalog.SolutionVersion](i.Context(), i.store)
	if err != nil {
		i.Fatal(err)
	}
	var of []*catalog.SolutionVersion
	for _, v := range all {
		if strings.HasPrefix(v.ARN, s.ARN+"/") {
			of = append(of, v)
		}
	}
	return of
}
