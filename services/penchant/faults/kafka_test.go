package faults

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestEventsSurviveABrokerThatFails (promises 1, 3, 4 and 10): the only broker becomes slow, swallows packets until it
// has thrown every consumer out of its group, refuses connections, hangs, and is killed, while events stream in.
// Meanwhile calls are answered with 503 and Retry-After; afterwards every acknowledged event is archived and folded
// once, every other once or not at all. There are two of each consumer: after being thrown out, each believes for a
// while in partitions that the other has.
func TestEventsSurviveABrokerThatFails(t *testing.T) {
	proxy, kafka := penchanttest.StartProxiedKafka(t)
	servers := penchanttest.SharedServers(t)
	servers.KafkaBrokers = kafka.Addrs
	p := startPipeline(t, servers, 2, "firehose", "session-updater")
	tracker := p.stack.one("tracker")
	stop := p.stream(t)
	p.flow(t, startLimit, 100)

	proxy.Slow(200 * time.Millisecond)
	p.flow(t, recoverLimit, 20)
	proxy.Mend()
	p.flow(t, recoverLimit, 100)

	proxy.Mute()
	muted := time.Now()
	api := tracker.API()
	eventually.SucceedsWithin(t, recoverLimit, "calls are refused while the log swallows them",
		func() error { return p.unavailable(t.Context(), api) })
	outage := sessionTimeout + 2*time.Second
	if long {
		outage = 2 * time.Minute
	}
	if err := penchanttest.Pause(t.Context(), outage-time.Since(muted)); err != nil {
		t.Fatal(err)
	}
	proxy.Mend()
	p.flow(t, recoverLimit, 100)

	proxy.Cut()
	eventually.SucceedsWithin(t, recoverLimit, "calls are refused while the log is away",
		func() error { return p.unavailable(t.Context(), api) })
	proxy.Mend()
	p.flow(t, recoverLimit, 100)

	broker := kafka.Brokers[0]
	broker.Freeze()
	_ = penchanttest.Pause(t.Context(), 2*time.Second) // shorter than calls are willing to wait
	broker.Thaw()
	p.flow(t, recoverLimit, 100)

	broker.Kill()
	broker.Start()
	p.flow(t, recoverLimit, 100)
	stop()
	p.check(t)
	p.stack.terminate()
}

// sessionTimeout is how long a Kafka group waits for a member that is silent.
const sessionTimeout = 15 * time.Second

// TestMemoryIsBoundedWhileTheLogIsAway (promise 10): far more is sent than a tracker may hold while nothing is
// acknowledged. What does not fit is answered at once with 503 and Retry-After; the rest after the delivery timeout.
// The tracker is as good as before when the log is back.
func TestMemoryIsBoundedWhileTheLogIsAway(t *testing.T) {
	const calls, bound = 1500, 768 << 20 // of 10 events with 6 kB each
	proxy, kafka := penchanttest.StartProxiedKafka(t)
	servers := penchanttest.SharedServers(t)
	servers.KafkaBrokers = kafka.Addrs
	p := startPipeline(t, servers, 1, "firehose")
	tracker := p.stack.one("tracker")
	api := tracker.API()
	if err := p.sender.SendOnce(t.Context(), api, 0, 1); err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		p.sender.Impression = append(p.sender.Impression, fmt.Sprintf("%d-%s", i, strings.Repeat("x", 250)))
	}
	proxy.Mute()
	var sending sync.WaitGroup
	var mu sync.Mutex
	var wrong []error
	for lane := range calls {
		sending.Go(func() {
			if err := p.sender.SendOnce(t.Context(), api, lane, 10); !isUnavailable(err) {
				mu.Lock()
				wrong = append(wrong, err)
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	if len(wrong) > 0 {
		t.Errorf("%d of %d calls were answered otherwise than with 503 and Retry-After, one of them with: %v",
			len(wrong), calls, wrong[0])
	}
	if err := exceeds(tracker, "penchant_tracker_events_refused_total", 0, "reason", "overloaded"); err != nil {
		t.Errorf("nothing was refused for lack of room: %v", err)
	}
	if peak := tracker.PeakMemory(); peak > bound {
		t.Errorf("the tracker took %.0f MiB", peak/(1<<20))
	}
	proxy.Mend()
	p.sender.Impression = nil
	eventually.SucceedsWithin(t, recoverLimit, "events are taken again",
		func() error { return p.sender.SendOnce(t.Context(), api, 0, 1) })
	p.check(t)
	t.Logf("peak memory: %.0f MiB", tracker.PeakMemory()/(1<<20))
	p.stack.terminate()
}

// TestACompleteEventLogSurvivesTheLossOfBrokers (promises 1 and 3): three brokers, three replicas, of which two must
// have an event. The broker that leads is killed: the others take over within seconds. Another hangs and comes back
// believing that it still leads. Of two that are down, nothing is acknowledged; when they are back, everything goes on,
// and nothing is lost.
func TestACompleteEventLogSurvivesTheLossOfBrokers(t *testing.T) {
	kafka := penchanttest.StartKafka(t, 3, nil)
	shared := penchanttest.SharedServers(t)
	servers := penchanttest.NewServers(kafka, nil, shared.S3)
	servers.RedisURL = shared.RedisURL
	p := startPipeline(t, servers, 1, "firehose", "session-updater")
	log, admin := openLog(t, servers)
	stop := p.stream(t)
	p.flow(t, startLimit, 100)

	kafka.Brokers[0].Kill()
	p.flowEverywhere(t, log, failoverLimit)
	kafka.Brokers[0].Start()
	awaitReplicas(t, admin, p.topic(), 3)

	kafka.Brokers[1].Freeze()
	p.flowEverywhere(t, log, failoverLimit)
	kafka.Brokers[1].Thaw()
	awaitReplicas(t, admin, p.topic(), 3)
	p.flowEverywhere(t, log, failoverLimit)
	stop()

	kafka.Brokers[1].Kill()
	kafka.Brokers[2].Kill()
	api := p.stack.one("tracker").API()
	var sending sync.WaitGroup
	for range 16 {
		sending.Go(func() {
			if err := p.unavailable(t.Context(), api); err != nil {
				t.Errorf("with two of three brokers down: %v", err)
			}
		})
	}
	sending.Wait()
	kafka.Brokers[1].Start()
	kafka.Brokers[2].Start()
	stop = p.stream(t)
	p.flowEverywhere(t, log, recoverLimit)
	stop()
	p.check(t)
	p.stack.terminate()
}

// failoverLimit is how long a partition may be without a leader that takes events: the brokers notice within 6 s, and
// the tracker's call to a broker that hangs is given up after 15; the rest is for a busy machine.
const failoverLimit = 2 * time.Minute

// flowEverywhere waits until each partition has taken more events.
func (p *pipeline) flowEverywhere(t *testing.T, log *bus.Client, limit time.Duration) {
	t.Helper()
	started := time.Now()
	ends := func() (map[bus.TopicPartition]bus.OffsetRange, error) { return log.Offsets(t.Context(), p.topic()) }
	var before map[bus.TopicPartition]bus.OffsetRange
	eventually.SucceedsWithin(t, limit, "every partition takes events", func() error {
		now, err := ends()
		if err != nil {
			return err
		}
		if before == nil {
			before = now
		}
		for tp, held := range now {
			if held.End <= before[tp].End {
				return fmt.Errorf("partition %d ends at %d", tp.Partition, held.End)
			}
		}
		return nil
	})
	t.Logf("all partitions take events after %s", time.Since(started).Round(100*time.Millisecond))
}

// awaitReplicas waits until so many replicas of each partition are in sync.
func awaitReplicas(t *testing.T, admin *kadm.Client, topic string, replicas int) {
	t.Helper()
	eventually.SucceedsWithin(t, recoverLimit, "the replicas are in sync", func() error {
		topics, err := admin.ListTopics(t.Context(), topic)
		if err != nil {
			return err
		}
		for _, partition := range topics[topic].Partitions {
			if len(partition.ISR) < replicas {
				return fmt.Errorf("partition %d has %v", partition.Partition, partition.ISR)
			}
		}
		return topics.Error()
	})
}
