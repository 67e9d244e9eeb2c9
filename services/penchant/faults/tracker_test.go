package faults

import (
	"errors"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestTrackersThatDieLoseNothing (promises 1, 3 and 8): of two trackers under load, each is killed in the middle of
// calls, hangs, and is asked to end. Whatever was acknowledged is archived once; of a call without an answer each event
// is there once or not at all; and who is asked to end drains within 30 s, answering the calls that it has taken.
func TestTrackersThatDieLoseNothing(t *testing.T) {
	p := startPipeline(t, penchanttest.SharedServers(t), 1, "firehose", "session-updater")
	p.stack["tracker"] = append(p.stack["tracker"],
		penchanttest.Start(t, "tracker", t.TempDir(), p.servers.Settings()...))
	stop := p.stream(t)
	p.flow(t, startLimit, 200)
	for _, tracker := range p.stack["tracker"] {
		tracker.Kill()
		p.flow(t, recoverLimit, 200) // by the other one
		tracker.Restart()
		tracker.AwaitReady(startLimit)
	}
	for _, tracker := range p.stack["tracker"] {
		tracker.Freeze()
		_ = penchanttest.Pause(t.Context(), time.Second) // long enough for each client to wait for it
		tracker.Thaw()
		p.flow(t, recoverLimit, 200)
	}
	for _, tracker := range p.stack["tracker"] {
		tracker.Terminate()
		p.flow(t, recoverLimit, 200)
		tracker.Restart()
		tracker.AwaitReady(startLimit)
	}
	p.flow(t, recoverLimit, 200)
	stop()
	p.check(t)
	p.stack.terminate()
}

// TestTerminatedTrackerAnswersTheCallsItHasTaken (promise 8): a tracker that is asked to end while the event log is
// slow answers what it has taken, as acknowledged, before it ends.
func TestTerminatedTrackerAnswersTheCallsItHasTaken(t *testing.T) {
	kafkaProxy, kafka := penchanttest.StartProxiedKafka(t)
	servers := penchanttest.SharedServers(t)
	servers.KafkaBrokers = kafka.Addrs
	p := startPipeline(t, servers, 1, "firehose")
	tracker := p.stack.one("tracker")
	api := tracker.API()
	if err := p.sender.SendOnce(t.Context(), api, 0, 1); err != nil {
		t.Fatal(err)
	}
	const slow = time.Second
	kafkaProxy.Slow(slow)
	answers := make(chan error, 8)
	for lane := range cap(answers) {
		go func() { answers <- p.sender.SendOnce(t.Context(), api, lane, 2) }()
	}
	eventually.SucceedsWithin(t, recoverLimit, "the calls wait for the log", func() error {
		return exceeds(tracker, "penchant_bus_buffered_records", 2*float64(cap(answers))-1)
	})
	tracker.Terminate()
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Errorf("a call that the tracker had taken: %v", err)
		}
	}
	kafkaProxy.Mend()
	p.sender.CheckArchive(t, p.bucket, p.group, recoverLimit)
	delete(p.stack, "tracker")
	p.stack.terminate()
}

// TestRefusedEventsAreNowhere (promise 2): a call with one bad member is refused whole, whatever the others are.
func TestRefusedEventsAreNowhere(t *testing.T) {
	p := startPipeline(t, penchanttest.SharedServers(t), 1, "firehose", "session-updater")
	api := p.stack.one("tracker").API()
	good := personalizeevents.Event{
		EventId: new("refused-1"), EventType: new("view"), ItemId: new("item-1"), SentAt: awsapi.At(time.Now()),
	}
	bad := good
	bad.EventId, bad.ItemId = new("refused-2"), nil
	for range 10 {
		err := api.Post(t.Context(), "/events", &personalizeevents.PutEventsRequest{
			TrackingId: &p.sender.TrackingID, UserId: new("user-1"), SessionId: new("s"),
			EventList: []personalizeevents.Event{good, bad},
		}, nil)
		var refused *awsapi.Error
		if !errors.As(err, &refused) || refused.Code != awsapi.CodeInvalidInput {
			t.Fatalf("an event without an item: %v", err)
		}
		if err := p.sender.SendOnce(t.Context(), api, 0, 4); err != nil {
			t.Fatal(err)
		}
	}
	p.check(t) // which allows no event that the sender does not know
	p.stack.terminate()
}
