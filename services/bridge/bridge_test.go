package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }

var key = awsapi.Credential{AccessKeyID: "shop", SecretKey: "shop-secret"}

const trackingID = "tracker-of-the-shop"

// fakeTracker takes PutEvents calls behind the real router, and answers as the test says.
type fakeTracker struct {
	*httptest.Server

	mu     sync.Mutex
	answer func(*personalizeevents.PutEventsRequest) error
	taken  []personalizeevents.PutEventsRequest
	calls  int
}

func newTracker(t *testing.T) *fakeTracker {
	t.Helper()
	f := &fakeTracker{}
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{key}})
	awsapi.HandlePath(router, "/events", "PutEvents", func(_ context.Context, req *personalizeevents.PutEventsRequest) (*awsapi.Empty, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls++
		if f.answer != nil {
			if err := f.answer(req); err != nil {
				return nil, err
			}
		}
		f.taken = append(f.taken, *req)
		return nil, nil
	})
	f.Server = httptest.NewServer(router)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeTracker) answers(answer func(*personalizeevents.PutEventsRequest) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// events are those that were taken, in the order in which they were.
func (f *fakeTracker) events() (events []personalizeevents.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, call := range f.taken {
		events = append(events, call.EventList...)
	}
	return events
}

func (f *fakeTracker) called() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// world is a Kafka with a topic, and a tracker.
type world struct {
	*testing.T
	bus     *bus.Client
	topic   string
	group   string
	tracker *fakeTracker
}

const simpleMapping = `
when: '@.type'
event: {userId: $.user, sessionId: $.session, eventType: $.type, itemId: $.item, sentAt: $.at}`

func newWorld(t *testing.T) *world {
	t.Helper()
	name := uuid.NewString()
	w := &world{T: t, topic: "clicks-" + name, group: ConsumerGroup + "-" + name, tracker: newTracker(t)}
	var err error
	w.bus, err = bus.Open(t.Context(), bus.Config{Brokers: embeddedtest.Kafka(t), Topics: bus.TopicDefaults{Partitions: 3, ReplicationFactor: 1, MinInSyncReplicas: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.bus.Close)
	if err := w.bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: w.topic}); err != nil {
		t.Fatal(err)
	}
	return w
}

// put publishes records under a key.
func (w *world) put(key string, values ...string) {
	w.Helper()
	var records []bus.Record
	for _, value := range values {
		records = append(records, bus.Record{Topic: w.topic, Key: []byte(key), Value: []byte(value), Headers: []bus.Header{{Key: "trace", Value: []byte("t")}}})
	}
	if err := w.bus.Publish(w.Context(), records...); err != nil {
		w.Fatal(err)
	}
}

// run runs a bridge until stop is called, or the test ends.
func (w *world) run(change func(*Config)) (s *Service, stop func()) {
	w.Helper()
	client := awsapi.NewClient(w.tracker.URL, key, "us-east-1")
	cfg := Config{
		Bus: w.bus, Mapping: parse(w.T, simpleMapping), Tracker: client,
		Options: Options{Topics: []string{w.topic}, Group: w.group, TrackingID: trackingID},
		Log:     zaptest.NewLogger(w.T),
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
		client.Close()
	})
	w.Cleanup(stop)
	return s, stop
}

func (w *world) awaitEvents(n int) (events []personalizeevents.Event) {
	w.Helper()
	eventually.Succeeds(w, "events", func() error {
		if events = w.tracker.events(); len(events) < n {
			return fmt.Errorf("%d of %d", len(events), n)
		}
		return nil
	})
	return events
}

// committed is what the group has committed, over all partitions.
func (w *world) committed() (sum int64) {
	w.Helper()
	committed, err := w.bus.Committed(w.Context(), w.group)
	if err != nil {
		w.Fatal(err)
	}
	for place, offset := range committed {
		if place.Topic == w.topic {
			sum += offset
		}
	}
	return sum
}

func (w *world) letters(n int) (letters []bus.Record) {
	w.Helper()
	topic := DeadLetterTopic(w.topic)
	eventually.Succeeds(w, "dead letters", func() error {
		held, err := w.bus.Offsets(w.Context(), topic)
		if err != nil {
			return err
		}
		ranges, count := map[int32]bus.OffsetRange{}, int64(0)
		for place, r := range held {
			ranges[place.Partition] = r
			count += r.End - r.Start
		}
		if count < int64(n) {
			return fmt.Errorf("%d of %d", count, n)
		}
		letters = nil
		return w.bus.ReadRange(w.Context(), topic, ranges, func(records []bus.Record) error {
			for _, r := range records {
				r.Key, r.Value = slices.Clone(r.Key), slices.Clone(r.Value)
				letters = append(letters, r)
			}
			return nil
		})
	})
	return letters
}

func click(user, session string, n int) string {
	return fmt.Sprintf(`{"type":"view","user":%q,"session":%q,"item":"i%03d","at":%d}`, user, session, n, 1_700_000_000+n)
}

func TestRecordsBecomeEventsInTheirOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const users, each = 7, 45
	for n := range each {
		for u := range users {
			user := fmt.Sprint("u", u)
			w.put(user, click(user, fmt.Sprint("s", n/20), n), `{"heartbeat":true}`)
		}
	}
	s, _ := w.run(nil)
	events := w.awaitEvents(users * each)
	eventually.Succeeds(w, "offsets are committed", func() error {
		if n := w.committed(); n != 2*users*each {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	ids := map[string]bool{}
	for _, e := range events {
		ids[*e.EventId] = true
	}
	if len(events) != users*each || len(ids) != len(events) {
		t.Errorf("%d events with %d ids", len(events), len(ids))
	}
	items, sessions := map[string][]string{}, map[string]bool{}
	for _, call := range w.tracker.taken {
		if len(call.EventList) > maxEventsOfCall || *call.TrackingId != trackingID {
			t.Errorf("a call with %d events for %s", len(call.EventList), *call.TrackingId)
		}
		sessions[*call.UserId+*call.SessionId] = true
		for _, e := range call.EventList {
			items[*call.UserId] = append(items[*call.UserId], *e.ItemId)
		}
	}
	if len(sessions) != 3*users || len(items) != users {
		t.Errorf("%d sessions of %d users", len(sessions), len(items))
	}
	for user, list := range items {
		if !slices.IsSorted(list) || len(list) != each {
			t.Errorf("%s: %v", user, list)
		}
	}
}

func TestBadRecordsArePutAsideAndHoldUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tracker.answers(func(req *personalizeevents.PutEventsRequest) error {
		if slices.ContainsFunc(req.EventList, func(e personalizeevents.Event) bool { return *e.ItemId == "i003" }) {
			return awsapi.InvalidInput("the item is not to the tracker's taste")
		}
		return nil
	})
	w.put("u", click("u", "s", 1), `not JSON`, click("u", "s", 2), click("u", "s", 3), click("u", "s", 4), `{"type":"view","user":"u"}`, click("u", "s", 5))
	w.run(nil)
	var items []string
	for _, e := range w.awaitEvents(4) {
		items = append(items, *e.ItemId)
	}
	if diff := cmp.Diff([]string{"i001", "i002", "i004", "i005"}, items); diff != "" {
		t.Error(diff)
	}
	got := map[string]string{}
	for _, letter := range w.letters(3) {
		headers := map[string]string{}
		for _, h := range letter.Headers {
			headers[h.Key] = string(h.Value)
		}
		if headers["penchant-topic"] != w.topic || headers["penchant-consumer"] != w.group || headers["trace"] != "t" || string(letter.Key) != "u" || headers["penchant-partition"] == "" {
			t.Errorf("%v", headers)
		}
		got[headers["penchant-offset"]] = headers["penchant-reason"]
	}
	for offset, reason := range map[string]string{"1": "not JSON", "3": "not to the tracker's taste", "5": "itemId"} {
		if !strings.Contains(got[offset], reason) {
			t.Errorf("offset %s: %q, want %q", offset, got[offset], reason)
		}
	}
	eventually.Succeeds(w, "offsets are committed", func() error {
		if n := w.committed(); n != 7 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
}

// TestATrackerThatIsAwayIsWaitedFor: nothing is lost, committed or put aside meanwhile, whatever the reason.
func TestATrackerThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{
		"overloaded": awsapi.ServiceUnavailable("later"),
		"unknown":    awsapi.ResourceNotFound("no such tracker"),
		"key":        &awsapi.Error{Code: awsapi.CodeUnrecognizedClient, Message: "who are you", Status: http.StatusForbidden},
		"broken":     awsapi.Internal("oh"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.tracker.answers(func(*personalizeevents.PutEventsRequest) error { return refusal })
			w.put("u", click("u", "s", 1), click("u", "s", 2))
			s, _ := w.run(nil)
			eventually.Succeeds(w, "the bridge tries on, and says that it is not ready", func() error {
				if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "does not take events") || w.tracker.called() < 3 {
					return fmt.Errorf("after %d calls it is ready: %w", w.tracker.called(), err)
				}
				return nil
			})
			if n := w.committed(); n != 0 {
				t.Errorf("%d records are committed", n)
			}
			w.tracker.answers(nil)
			if events := w.awaitEvents(2); len(events) != 2 {
				t.Errorf("%d events", len(events))
			}
			eventually.Succeeds(w, "the bridge is ready again", func() error { return s.Ready(t.Context()) })
			held, err := w.bus.Offsets(t.Context(), DeadLetterTopic(w.topic))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range held {
				if r.End > 0 {
					t.Error("records were put aside")
				}
			}
		})
	}
}

// TestARepeatIsTheSameEvent: a bridge whose calls were taken and never answered sends them again, as another bridge
// does in its place.
func TestARepeatIsTheSameEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := func(req *personalizeevents.PutEventsRequest) error {
		w.tracker.taken = append(w.tracker.taken, *req)
		return awsapi.Internal("the answer is lost")
	}
	w.tracker.answers(lost)
	for n := range 25 {
		w.put(fmt.Sprint("u", n), click(fmt.Sprint("u", n), "s", n))
	}
	_, stop := w.run(nil)
	w.awaitEvents(30)
	stop()
	if n := w.committed(); n != 0 {
		t.Errorf("%d records are committed", n)
	}
	w.tracker.answers(nil)
	w.run(nil)
	eventually.Succeeds(w, "offsets are committed", func() error {
		if n := w.committed(); n != 25 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	byID := map[string]string{}
	for _, e := range w.tracker.events() {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if before, repeated := byID[*e.EventId]; repeated && before != string(text) {
			t.Errorf("%s, and then %s", before, text)
		}
		byID[*e.EventId] = string(text)
	}
	if len(byID) != 25 {
		t.Errorf("%d events", len(byID))
	}
}

func TestABridgeMayBeginWithWhatComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("u", click("u", "s", 1))
	latest := func(c *Config) { c.From = fromLatest }
	_, stop := w.run(latest)
	eventually.Succeeds(w, "the place is committed before anything comes", func() error {
		if n := w.committed(); n != 1 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	stop()
	w.put("u", click("u", "s", 2)) // while no bridge runs: the place stands
	w.run(latest)
	if events := w.awaitEvents(1); len(events) != 1 || *events[0].ItemId != "i002" {
		t.Errorf("got %+v", events)
	}
}

func TestCallsAreCutBySessionAndSize(t *testing.T) {
	t.Parallel()
	var lane []mapped
	for n := range 24 {
		lane = append(lane, mapped{Event: Event{UserID: "u", SessionID: fmt.Sprint("s", n/22)}})
	}
	var sizes []int
	for _, call := range callsOf(lane) {
		sizes = append(sizes, len(call))
	}
	if diff := cmp.Diff([]int{10, 10, 2, 2}, sizes); diff != "" {
		t.Error(diff)
	}
}
