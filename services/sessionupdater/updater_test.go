package sessionupdater

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// person is what a run without faults keeps of a user or session: computed from the events themselves.
type person struct {
	Recent   []reco.RecentInteraction
	Sessions []string
}

func faultFree(events []reco.Interaction) map[string]person {
	seen := map[string]map[string]int64{}
	people := map[string]person{}
	counted := map[string]bool{}
	for _, e := range events {
		p := people[e.Key()]
		if !counted[e.EventID] {
			counted[e.EventID] = true
			p.Recent = append(p.Recent, e.Recent())
		}
		people[e.Key()] = p
		if e.UserID != "" {
			if seen[e.UserID] == nil {
				seen[e.UserID] = map[string]int64{}
			}
			seen[e.UserID][e.SessionID] = max(seen[e.UserID][e.SessionID], e.TimestampMS)
		}
	}
	for id, p := range people {
		slices.SortFunc(p.Recent, reco.CompareRecent)
		p.Recent = p.Recent[max(0, len(p.Recent)-200):]
		for session := range seen[id] {
			p.Sessions = append(p.Sessions, session)
		}
		slices.SortFunc(p.Sessions, func(a, b string) int {
			return cmp.Or(cmp.Compare(seen[id][a], seen[id][b]), cmp.Compare(a, b))
		})
		people[id] = p
	}
	return people
}

// wantFolded waits until the states are those of a run without faults, offsets included, and the group is healthy.
func (i *installation) wantFolded(events []reco.Interaction) {
	i.Helper()
	people := faultFree(events)
	ends, err := i.bus.Offsets(i.Context(), i.topic())
	i.must(err)
	eventually.Succeeds(i, "states are those of a run without faults", func() error {
		for id, want := range people {
			states, err := i.users.Load(i.Context(), i.key(), []string{id})
			if err != nil {
				return err
			}
			got := person{states[0].Recent, states[0].Sessions()}
			if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				return fmt.Errorf("%s (-fault-free +found):\n%s", id, diff)
			}
			tp := bus.TopicPartition{Topic: i.topic(), Partition: bus.PartitionOf([]byte(id), partitions)}
			applied := states[0].Applied()
			if len(applied) != 1 || applied[0].Partition != tp.Partition || applied[0].Offset >= ends[tp].End {
				return fmt.Errorf("%s has the offsets %v", id, applied)
			}
			own, err := i.users.View(i.Context(), i.key(), id)
			if err != nil {
				return err
			}
			if v := own.Vectors["m"]; v != nil && v[0] != float32(len(want.Recent)) {
				return fmt.Errorf("%s has %d interactions and the vector %v", id, len(want.Recent), v)
			}
		}
		if !i.users.Healthy(i.Context(), i.key(), schema.Interactions, partitions) {
			return fmt.Errorf("the group is not healthy")
		}
		return nil
	})
}

func TestEventsBecomeVisible(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.put(events(1, 300)...)
	stop := i.start()
	i.wantFolded(events(1, 300))

	i.put(reco.Interaction{EventID: "now", UserID: "visitor", ItemID: "item", EventType: "view", TimestampMS: 5})
	var view userstate.View
	eventually.Succeeds(i, "the visitor is known", func() (err error) {
		if view, err = i.users.View(t.Context(), i.key(), "visitor"); err == nil && !view.Known {
			err = fmt.Errorf("the visitor is unknown")
		}
		return err
	})
	if diff := gocmp.Diff(map[string][]float32{"m": {1, 5}}, view.Vectors); diff != "" {
		t.Error(diff)
	}
	stop()

	ends, err := i.bus.Offsets(t.Context(), i.topic())
	i.must(err)
	committed, err := i.bus.Committed(t.Context(), ConsumerGroup)
	i.must(err)
	for tp, held := range ends {
		if held.End > 0 && committed[tp] != held.End {
			t.Errorf("partition %d: committed %d of %d", tp.Partition, committed[tp], held.End)
		}
	}
	// Stopping has written the watermarks: nothing is folded again.
	marks, err := i.users.Marks(t.Context(), i.key())
	i.must(err)
	topics, err := i.bus.Topics(t.Context(), i.topic())
	i.must(err)
	for tp, held := range ends {
		if got := marks.Applied(userstate.Log{TopicID: topics[i.topic()].ID, Partition: tp.Partition, Type: schema.Interactions}); got != held.End-1 {
			t.Errorf("partition %d: watermark %d, the log ends at %d", tp.Partition, got, held.End)
		}
	}
}

func TestNewGroupsAreFoldedAtOnce(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.start()
	second := &catalog.DatasetGroup{
		Metadata: catalog.Metadata{
			ARN:  "arn:aws:personalize:eu-central-1:000000000000:dataset-group/second",
			Name: "second", Type: resource.DatasetGroup, Status: status.Active,
		},
		ShortID: "3c4d",
	}
	i.group = second
	i.must(i.bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: i.topic()}, bus.TopicSpec{Name: bus.DeadLetterTopic(i.key())}))
	i.put(events(1, 20)...)
	i.must(i.store.Create(t.Context(), second))
	i.wantFolded(events(1, 20))
}

func TestABadRecordBlocksNothing(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.must(i.bus.Publish(t.Context(), bus.Record{Topic: i.topic(), Key: []byte("user-1"), Value: []byte("no protobuf")}))
	i.put(events(1, 39)...)
	stop := i.start()
	i.wantFolded(events(1, 39))
	stop()
	// All is lost, and read again: the bad record is not told a second time.
	i.flush()
	stop = i.start()
	i.wantFolded(events(1, 39))
	stop()

	var letters []bus.Record
	ends, err := i.bus.Offsets(t.Context(), bus.DeadLetterTopic(i.key()))
	i.must(err)
	ranges := map[int32]bus.OffsetRange{}
	for tp, held := range ends {
		ranges[tp.Partition] = held
	}
	i.must(i.bus.ReadRange(t.Context(), bus.DeadLetterTopic(i.key()), ranges, func(records []bus.Record) error {
		letters = append(letters, records...)
		return nil
	}))
	if len(letters) != 1 || string(letters[0].Value) != "no protobuf" {
		t.Fatalf("%d dead letters", len(letters))
	}
	headers := map[string]string{}
	for _, h := range letters[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	if headers["penchant-reason"] == "" || headers["penchant-topic"] != i.topic() || headers["penchant-consumer"] != ConsumerGroup {
		t.Errorf("its headers are %v", headers)
	}
}

func TestALossWhileRunningHeals(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.put(events(1, 200)...)
	i.start()
	i.wantFolded(events(1, 200))
	i.flush()
	i.put(events(201, 210)...) // these reach empty states before the loss is noticed
	i.wantFolded(events(1, 210))
	i.flush() // and with nothing coming in
	i.wantFolded(events(1, 210))
}

func TestALossIsHealedFromTheArchiveWhereTheLogEnds(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.put(events(1, 200)...)
	i.archive()
	i.trim()
	i.put(events(201, 250)...)
	stop := i.start()
	i.wantFolded(events(1, 250))
	stop()
	i.archive()
	i.trim()
	i.flush()
	i.start()
	i.wantFolded(events(1, 250))
	i.put(events(251, 260)...)
	i.wantFolded(events(1, 260))
}

func TestAnOlderDumpHeals(t *testing.T) {
	t.Parallel()
	i := install(t)
	dir := t.TempDir()
	redis := func(addr string) *embedded.Servers {
		servers, err := embedded.Start(t.Context(), embedded.Config{
			DataDir: dir, RedisAddr: addr, SnapshotFirst: userstate.IsWatermarkKey, SnapshotInterval: time.Hour,
		})
		i.must(err)
		return servers
	}
	servers := redis("127.0.0.1:0")
	defer func() { servers.Close() }()
	i.useRedis("redis://" + servers.RedisAddr())
	i.put(events(1, 100)...)
	i.start()
	i.wantFolded(events(1, 100))
	i.must(servers.Snapshot(t.Context()))
	dump := copyDir(t, dir)
	i.put(events(101, 200)...)
	i.wantFolded(events(1, 200))

	addr := servers.RedisAddr()
	i.must(servers.Close())
	dir = dump
	servers = redis(addr)
	i.wantFolded(events(1, 200))
	i.put(events(201, 230)...)
	i.wantFolded(events(1, 230))
}

func TestSeveralUpdatersShareThePartitions(t *testing.T) {
	t.Parallel()
	i := install(t)
	stopFirst := i.start()
	i.put(events(1, 100)...)
	i.wantFolded(events(1, 100))
	stopSecond := i.start()
	i.put(events(101, 200)...)
	i.wantFolded(events(1, 200))
	stopFirst()
	i.put(events(201, 300)...)
	i.wantFolded(events(1, 300))
	stopSecond()
}

// Updaters come and go, Redis loses everything, clients send again: the states stay those of a run without faults.
func TestAnyFaultsGiveTheSameStates(t *testing.T) {
	t.Parallel()
	i := install(t)
	random := rand.New(rand.NewPCG(7, 7))
	var stops []func()
	for first := 1; first < 600; first += 40 {
		switch random.IntN(5) {
		case 0:
			i.flush()
		case 1:
			if len(stops) > 0 {
				stops[0]()
				stops = stops[1:]
			}
		case 2:
			i.archive()
			i.trim()
		}
		if len(stops) == 0 || len(stops) < 2 && random.IntN(2) == 0 {
			stops = append(stops, i.start())
		}
		i.put(events(first, first+39)...)
		again := 1 + random.IntN(first)
		i.put(events(again, min(again+10, first))...)
	}
	i.wantFolded(events(1, 600))
	for _, stop := range stops {
		stop()
	}
}

// Two owners of one partition, as after a rebalance that one of them has not heard of, fold beside each other.
func TestAZombieDoesNoHarm(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.put(events(1, 130)...)
	topics, err := i.bus.Topics(t.Context(), i.topic())
	i.must(err)
	ends, err := i.bus.Offsets(t.Context(), i.topic())
	i.must(err)
	s, err := New(i.config())
	i.must(err)
	s.streams[i.topic()] = stream{i.key(), schema.Interactions}

	type owner struct {
		bus.PartitionConsumer
		batches [][]bus.Record
	}
	random := rand.New(rand.NewPCG(3, 3))
	ctx := context.Background()
	for tp, held := range ends {
		var all []bus.Record
		i.must(i.bus.ReadRange(ctx, i.topic(), map[int32]bus.OffsetRange{tp.Partition: held}, func(records []bus.Record) error {
			all = append(all, records...)
			return nil
		}))
		var owners []*owner
		for range 2 {
			o := &owner{PartitionConsumer: s.newPartition(bus.Assignment{TopicPartition: tp, TopicID: topics[i.topic()].ID, Committed: -1, End: held.End})}
			from, err := o.Start(ctx)
			i.must(err)
			rest := all[from:]
			for len(rest) > 0 {
				n := 1 + random.IntN(min(5, len(rest)))
				o.batches, rest = append(o.batches, rest[:n]), rest[n:]
			}
			owners = append(owners, o)
		}
		for len(owners) > 0 {
			k := random.IntN(len(owners))
			o := owners[k]
			if len(o.batches) == 0 {
				_, err := o.Stop(ctx)
				i.must(err)
				owners = slices.Delete(owners, k, k+1)
				continue
			}
			for range 1 + random.IntN(2) { // an error makes the consumer hand a batch over again
				_, err := o.Handle(ctx, o.batches[0])
				i.must(err)
			}
			o.batches = o.batches[1:]
		}
	}
	i.wantFolded(events(1, 130))
}
