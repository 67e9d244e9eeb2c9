// Package retrainertest gives the tests of the retrainer's rooms what they all work on: a Kafka, a bucket and a catalog
// with a dataset group, and ways to put data, solutions and solution versions there.
package retrainertest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// Account begins every ARN of the tests.
const Account = "arn:aws:personalize:us-east-1:000000000000:"

// Installation is a Kafka, a bucket and a catalog with what the test puts into them.
type Installation struct {
	*testing.T
	Bus    *bus.Client
	S3     *blob.Client
	Bucket *blob.Bucket
	Store  *catalog.Store
	View   *catalog.View
	Group  *catalog.DatasetGroup
}

// Install returns an installation of the test's own.
func Install(t *testing.T) *Installation {
	t.Helper()
	e := embeddedtest.Servers(t)
	i := &Installation{T: t}
	var err error
	if i.S3, err = blob.Open(e.S3); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.S3.Close)
	i.Bucket = i.S3.Bucket(e.Bucket)
	i.Bus, err = bus.Open(t.Context(), bus.Config{
		Brokers: e.KafkaBrokers, Topics: bus.TopicDefaults{Partitions: 2, ReplicationFactor: 1, MinInSyncReplicas: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Bus.Close)
	i.Store = catalog.NewStore(i.Bucket, catalog.BusNotifier(i.Bus))
	i.Group = &catalog.DatasetGroup{Metadata: Active(Account+"dataset-group/shop", "shop"), ShortID: "1a2b"}
	key := i.Group.GroupKey()
	err = i.Bus.EnsureTopics(t.Context(),
		bus.TopicSpec{Name: bus.ControlTopic, Compacted: true, Partitions: 1}, bus.TopicSpec{Name: bus.JobsTopic, Partitions: 1},
		bus.TopicSpec{Name: schema.Interactions.Topic(key)},
		bus.TopicSpec{Name: schema.Items.Topic(key), Compacted: true}, bus.TopicSpec{Name: schema.Users.Topic(key), Compacted: true})
	if err != nil {
		t.Fatal(err)
	}
	Create(i, i.Group)
	i.View = catalog.NewView(i.Store, i.Bus, zap.NewNop())
	i.Background(i.View.Run)
	if err := i.View.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return i
}

// Active is the Meta of a resource that is ACTIVE.
func Active(arn, name string) catalog.Metadata {
	return catalog.Metadata{ARN: arn, Name: name, Status: status.Active}
}

// Create puts a resource into the catalog.
func Create[R catalog.Resource](i *Installation, r R) {
	i.Helper()
	if err := i.Store.Create(i.Context(), r); err != nil {
		i.Fatal(err)
	}
}

// Background runs until the test ends, or stop is called.
func (i *Installation) Background(run func(context.Context) error) (stop func()) {
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

// Solution creates a solution of a recipe, as change wants it.
func (i *Installation) Solution(name, recipe string, change func(*catalog.Solution)) *catalog.Solution {
	i.Helper()
	s := &catalog.Solution{
		Metadata: Active(Account+"solution/"+name, name), DatasetGroupARN: i.Group.ARN, RecipeARN: "arn:aws:personalize:::recipe/" + recipe,
	}
	if change != nil {
		change(s)
	}
	Create(i, s)
	return s
}

// Version creates a solution version the way control does.
func (i *Installation) Version(s *catalog.Solution, id string) *catalog.SolutionVersion {
	i.Helper()
	v := &catalog.SolutionVersion{
		Metadata:    catalog.Metadata{ARN: s.ARN + "/" + id, Status: status.CreatePending},
		SolutionARN: s.ARN, RecipeARN: s.RecipeARN, DatasetGroupARN: s.DatasetGroupARN, EventType: s.EventType, Config: s.Config,
		PerformHPO: s.PerformHPO, PerformAutoML: s.PerformAutoML,
		TrainingMode: mode.TrainingFull, TrainingType: mode.TrainingManual,
	}
	if err := i.Store.Create(i.Context(), v, catalog.Under(s.ARN, func(*catalog.Solution) error { return nil })); err != nil {
		i.Fatal(err)
	}
	return v
}

// PutEvents puts interactions of so many users, six each, into the log: users of even number like even items.
func (i *Installation) PutEvents(users int, eventType string) {
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
	i.Interact(interactions...)
}

// Interact publishes interactions as the tracker does.
func (i *Installation) Interact(interactions ...*reco.Interaction) {
	i.Helper()
	var records []bus.Record
	for _, interaction := range interactions {
		value, err := wire.MarshalInteraction(interaction)
		if err != nil {
			i.Fatal(err)
		}
		records = append(records, bus.Record{Topic: schema.Interactions.Topic(i.Group.GroupKey()), Key: []byte(interaction.UserID), Value: value})
	}
	if err := i.Bus.Publish(i.Context(), records...); err != nil {
		i.Fatal(err)
	}
}

// Ends waits until the version has come to its end and returns it.
func (i *Installation) Ends(v *catalog.SolutionVersion) *catalog.SolutionVersion {
	i.Helper()
	return i.Until(v, "it ends", func(v *catalog.SolutionVersion) bool { return v.Finished() })
}

// Until waits until the version is as wanted and returns it.
func (i *Installation) Until(
	v *catalog.SolutionVersion, what string, holds func(*catalog.SolutionVersion) bool,
) *catalog.SolutionVersion {
	i.Helper()
	var now *catalog.SolutionVersion
	eventually.Succeeds(i, what, func() (err error) {
		if now, err = i.Store.SolutionVersions.Get(i.Context(), v.ARN); err != nil {
			i.Fatal(err)
		}
		if !holds(now) {
			return fmt.Errorf("version is %s %s", now.Status, now.FailureReason)
		}
		return nil
	})
	return now
}

// VersionsOf lists the versions of a solution.
func (i *Installation) VersionsOf(s *catalog.Solution) []*catalog.SolutionVersion {
	i.Helper()
	all, err := i.Store.SolutionVersions.List(i.Context())
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
