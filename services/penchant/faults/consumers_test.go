package faults

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// The groups that share the partitions, as services/sessionupdater and services/firehose name them.
const (
	updaterGroup  = "penchant-session-updater"
	firehoseGroup = "penchant-firehose"
)

// TestConsumersThatDieOrHangCountNothingTwice (promises 1 and 4): of two session-updaters and two firehoses under load,
// one of each hangs longer than the group waits for it, so that the other has its partitions when it comes back as a
// zombie with a full buffer; then one of each is killed; then the others are ended and started again, which moves all
// partitions twice.
func TestConsumersThatDieOrHangCountNothingTwice(t *testing.T) {
	p := startPipeline(t, penchanttest.SharedServers(t), 2, "session-updater", "firehose")
	targets := []string{"session-updater", "firehose"}
	stop := p.stream(t)
	p.flow(t, startLimit, 100)
	// Each works.
	for _, target := range targets {
		for _, process := range p.stack[target] {
			p.awaitMember(t, process)
		}
	}
	for _, target := range targets {
		p.stack[target][0].Freeze()
	}
	_, admin := openLog(t, p.servers)
	eventually.SucceedsWithin(t, recoverLimit, "the groups have given up the members that hang", func() error {
		groups, err := admin.DescribeGroups(t.Context(), updaterGroup, firehoseGroup)
		if err != nil {
			return err
		}
		for _, group := range groups {
			if len(group.Members) != 1 || group.State != "Stable" {
				return fmt.Errorf("%s has %d members and is %s", group.Group, len(group.Members), group.State)
			}
		}
		return nil
	})
	p.flow(t, recoverLimit, 100)
	for _, target := range targets {
		p.stack[target][0].Thaw()
	}
	for _, target := range targets {
		p.awaitMember(t, p.stack[target][0])
	}
	for _, target := range targets {
		p.stack[target][1].Kill()
	}
	p.flow(t, recoverLimit, 100)
	for _, target := range targets {
		p.stack[target][1].Restart()
		p.stack[target][1].AwaitReady(startLimit)
		p.awaitMember(t, p.stack[target][1])
	}
	for _, target := range targets {
		p.stack[target][0].Terminate()
		p.stack[target][0].Restart()
		p.stack[target][0].AwaitReady(startLimit)
	}
	stop()
	p.check(t)
	p.stack.terminate()
}

// awaitMember waits until a consumer takes records.
func (p *pipeline) awaitMember(t *testing.T, process *penchanttest.Process) {
	t.Helper()
	before, err := process.Metric("penchant_bus_consumed_records_total")
	if err != nil {
		t.Fatal(err)
	}
	eventually.SucceedsWithin(t, recoverLimit, "a consumer takes records", func() error {
		return exceeds(process, "penchant_bus_consumed_records_total", before)
	})
}

// TestAnUpdaterKilledBetweenStateAndCommitFoldsOnce (promise 4): the event log hangs right after states were written,
// so that they can't be committed, and the session-updater is killed then. The next one is given the same events again.
func TestAnUpdaterKilledBetweenStateAndCommitFoldsOnce(t *testing.T) {
	kafka := penchanttest.StartKafka(t, 1, nil)
	servers := penchanttest.SharedServers(t)
	servers.KafkaBrokers = kafka.Addrs
	p := startPipeline(t, servers, 1, "session-updater", "firehose")
	updater, broker := p.stack.one("session-updater"), kafka.Brokers[0]
	log, _ := openLog(t, servers)
	api := p.stack.one("tracker").API()
	p.sender.Users = 1
	folded := func() float64 {
		n, err := updater.Metric("penchant_session_updater_events_folded_total")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	uncommitted := int64(0)
	for attempt := 0; uncommitted == 0; attempt++ {
		if attempt == 20 {
			t.Fatal("the commit was always faster than the test")
		}
		before := folded()
		if err := p.sender.SendOnce(t.Context(), api, 0, 4); err != nil {
			t.Fatal(err)
		}
		eventually.SucceedsWithin(t, recoverLimit, "the events are folded", func() error {
			return exceeds(updater, "penchant_session_updater_events_folded_total", before+3)
		})
		broker.Freeze()
		updater.Kill()
		broker.Thaw()
		uncommitted = lag(t, log, updaterGroup, p.topic())
		updater.Restart()
		updater.AwaitReady(startLimit)
		if uncommitted == 0 {
			// The group waits for the killed member; the next attempt needs this one at work.
			eventually.SucceedsWithin(t, recoverLimit, "the new updater has its partitions", func() error {
				if err := p.sender.SendOnce(t.Context(), api, 0, 1); err != nil {
					return err
				}
				return exceeds(updater, "penchant_session_updater_events_folded_total", 0)
			})
		}
	}
	t.Logf("%d folded events were not committed", uncommitted)
	p.check(t)
	p.stack.terminate()
}

// lag is how many records of a topic a group has not committed.
func lag(t *testing.T, log *bus.Client, group, topic string) (records int64) {
	t.Helper()
	held, err := log.Offsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := log.Committed(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	for tp, offsets := range held {
		records += offsets.End - max(offsets.Start, committed[tp])
	}
	return records
}

// TestASinkKilledInAnUploadArchivesOnce (promise 1): one firehose is killed while a file is on its way to the store,
// another when the store has the file but the firehose does not know yet, nor has committed anything.
func TestASinkKilledInAnUploadArchivesOnce(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	p := startPipeline(t, servers, 1)
	stop := p.stream(t)
	p.flow(t, startLimit, 200)
	var killed []*penchanttest.Process
	for _, fault := range []func(*penchanttest.Hold) penchanttest.S3Fault{
		func(h *penchanttest.Hold) penchanttest.S3Fault { return h.Before },
		func(h *penchanttest.Hold) penchanttest.S3Fault { return h.After },
	} {
		store := penchanttest.StartS3Proxy(t, servers.S3)
		through := servers
		through.S3 = store.Config
		firehose := penchanttest.Start(t, "firehose", t.TempDir(),
			append(through.Settings(), "PENCHANT_ARCHIVE_FLUSH_INTERVAL=200ms")...)
		eventually.SucceedsWithin(t, recoverLimit, "the firehose archives", func() error {
			return exceeds(firehose, "penchant_firehose_files_total", 0)
		})
		upload := penchanttest.NewHold()
		store.Fail(penchanttest.On(http.MethodPut, "/archive/", fault(upload)))
		upload.Await(t, recoverLimit)
		firehose.Kill()
		killed = append(killed, firehose)
		store.Mend()
	}
	stop()
	for _, firehose := range killed {
		firehose.Restart()
		firehose.AwaitReady(startLimit)
	}
	p.stack["firehose"] = killed
	p.check(t)
	p.stack.terminate()
}

// TestNoStartOrderMatters (promises 1, 4 and 11): every service starts before any of its servers and waits for them;
// the servers come one by one, Kafka last. The services start in the order in which each has to wait for the next.
func TestNoStartOrderMatters(t *testing.T) {
	kafka, redis, minio := penchanttest.StartKafka(t, 1, nil), penchanttest.StartRedis(t), penchanttest.StartMinIO(t)
	servers := penchanttest.NewServers(kafka, redis, minio.Config)
	last := []*penchanttest.Server{redis.Server, minio.Server, kafka.Brokers[0]}
	for _, server := range last {
		server.Kill()
	}
	stack := installation{}
	for _, target := range slices.Backward(allTargets) {
		stack[target] = append(stack[target], penchanttest.Launch(t, target, t.TempDir(), servers.Settings()...))
	}
	outage := 3 * time.Second
	if long {
		outage = 2 * time.Minute
	}
	for _, server := range last {
		if err := penchanttest.Pause(t.Context(), outage); err != nil {
			t.Fatal(err)
		}
		server.Start()
	}
	stack.awaitReady()
	p := &pipeline{servers: servers, stack: stack, bucket: servers.OpenBucket(t, "")}
	group, trackingID := penchanttest.TrackedGroup(t, stack.one("control").API(), p.bucket, "late")
	p.group, p.sender = group.GroupKey(), &penchanttest.Sender{TrackingID: trackingID}
	stop := p.stream(t)
	p.flow(t, startLimit, 100)
	stop()
	p.check(t)
	p.stack.terminate()
}
