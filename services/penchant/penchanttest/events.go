package penchanttest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// InteractionsSchema is the schema of TrackedGroup's dataset.
const InteractionsSchema = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","version":"1.0","fields":[
	{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"},{"name":"EVENT_TYPE","type":"string"}]}`

// TrackedGroup creates a dataset group with an Interactions dataset and an event tracker, and waits for all of them.
func TrackedGroup(t testing.TB, api *awsapi.Client, bucket *blob.Bucket, name string) (group *catalog.DatasetGroup,
	trackingID string) {
	t.Helper()
	call := func(operation string, in, out any) {
		t.Helper()
		if err := api.Call(t.Context(), operation, in, out); err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
	}
	store := catalog.NewStore(bucket, nil)
	var groupAnswer personalize.CreateDatasetGroupResponse
	call("CreateDatasetGroup", &personalize.CreateDatasetGroupRequest{Name: &name}, &groupAnswer)
	group = WaitActive[*catalog.DatasetGroup](t, store, *groupAnswer.DatasetGroupArn)
	var schema personalize.CreateSchemaResponse
	call("CreateSchema", &personalize.CreateSchemaRequest{Name: &name, Schema: new(InteractionsSchema)}, &schema)
	var dataset personalize.CreateDatasetResponse
	call("CreateDataset", &personalize.CreateDatasetRequest{
		Name: &name, DatasetGroupArn: &group.ARN, DatasetType: new("Interactions"), SchemaArn: schema.SchemaArn,
	}, &dataset)
	WaitActive[*catalog.Dataset](t, store, *dataset.DatasetArn)
	var tracker personalize.CreateEventTrackerResponse
	call("CreateEventTracker", &personalize.CreateEventTrackerRequest{Name: &name, DatasetGroupArn: &group.ARN},
		&tracker)
	WaitActive[*catalog.EventTracker](t, store, *tracker.EventTrackerArn)
	return group, *tracker.TrackingId
}

// WaitActive waits until a resource is ACTIVE, and fails the test if it fails.
func WaitActive[R catalog.Resource](t testing.TB, store *catalog.Store, arn string) R {
	t.Helper()
	return WaitActiveFor[R](t, 2*time.Minute, store, arn)
}

// WaitActiveFor does the same for what takes longer.
func WaitActiveFor[R catalog.Resource](t testing.TB, limit time.Duration, store *catalog.Store, arn string) R {
	t.Helper()
	var resource R
	eventually.SucceedsWithin(t, limit, arn+" is ACTIVE", func() (err error) {
		if resource, err = catalog.Of[R](store).Get(t.Context(), arn); err != nil {
			return err
		}
		switch base := resource.Meta(); base.Status {
		case status.Active:
			return nil
		case status.CreateFailed:
			t.Fatalf("%s failed: %s", arn, base.FailureReason)
			return nil
		default:
			return fmt.Errorf("status is %s", base.Status)
		}
	})
	return resource
}

// Sender sends events with numbers in their ids and remembers the outcome of each. It is safe for concurrent use.
type Sender struct {
	TrackingID string
	PerCall    int                   // events in a call; 0: one to four
	Users      int                   // over which the events spread; 0: 40
	At         func(n int) time.Time // when event number n was sent; nil: in the order of the numbers, 10 ms apart
	Impression []string              // of every event
	// Visit returns the user of a call, "" for an anonymous one, and the session; nil: any of Users, in a
	// session of the client's.
	Visit func() (user, session string)

	mu           sync.Mutex
	next         int
	sent         map[string]bool
	acknowledged map[string]bool
}

// Stream makes one PutEvents call after the other until ctx ends, as client number lane. pick chooses the tracker that
// takes a call. Half of the calls with an unknown outcome are repeated, as SDKs do.
func (s *Sender) Stream(ctx context.Context, pick func() *awsapi.Client, lane int) {
	for ctx.Err() == nil {
		if err := s.Send(ctx, pick, lane); err != nil && Pause(ctx, time.Millisecond) != nil {
			return
		}
	}
}

// Send makes one call, and perhaps repeats it. It returns nil if the events were acknowledged.
func (s *Sender) Send(ctx context.Context, pick func() *awsapi.Client, lane int) error {
	events := s.PerCall
	if events == 0 {
		events = 1 + rand.IntN(4)
	}
	request, ids := s.request(lane, events)
	err := pick().Post(ctx, "/events", request, nil)
	if err != nil && rand.IntN(2) == 0 {
		err = pick().Post(ctx, "/events", request, nil)
	}
	return s.note(ids, err)
}

// SendOnce makes one call with so many events, and never repeats it.
func (s *Sender) SendOnce(ctx context.Context, api *awsapi.Client, lane, events int) error {
	request, ids := s.request(lane, events)
	return s.note(ids, api.Post(ctx, "/events", request, nil))
}

// note remembers the outcome of a call for its events, and returns it.
func (s *Sender) note(ids []string, err error) error {
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.acknowledged[id] = true
	}
	return nil
}

// Forget gives up on events that the test has destroyed: they need not be archived.
func (s *Sender) Forget(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.acknowledged, id)
	}
}

func (s *Sender) request(lane, events int) (*personalizeevents.PutEventsRequest, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent == nil {
		s.sent, s.acknowledged = map[string]bool{}, map[string]bool{}
	}
	users := s.Users
	if users == 0 {
		users = 40
	}
	user, session := "user-"+strconv.Itoa(rand.IntN(users)), "session-"+strconv.Itoa(lane)
	if s.Visit != nil {
		user, session = s.Visit()
	}
	request := &personalizeevents.PutEventsRequest{TrackingId: &s.TrackingID, SessionId: &session}
	if user != "" {
		request.UserId = &user
	}
	var ids []string
	for range events {
		id := fmt.Sprintf("event-%07d", s.next)
		s.next++
		s.sent[id] = true
		ids = append(ids, id)
		at := time.UnixMilli(1_700_000_000_000 + int64(s.next)*10)
		if s.At != nil {
			at = s.At(s.next)
		}
		request.EventList = append(request.EventList, personalizeevents.Event{
			EventId: new(id), EventType: new("view"), ItemId: new("item-" + strconv.Itoa(s.next%97)),
			SentAt: awsapi.At(at), Impression: s.Impression,
		})
	}
	return request, ids
}

// Counts are how many events were sent and how many of them acknowledged.
func (s *Sender) Counts() (sent, acknowledged int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sent), len(s.acknowledged)
}

// CheckArchive waits until every acknowledged event is in the archive, fails the test if any event is there twice or
// was never sent, and returns what is archived. Nothing may be sent meanwhile.
func (s *Sender) CheckArchive(t testing.TB, bucket *blob.Bucket, group string, limit time.Duration) []reco.Interaction {
	t.Helper()
	var archived []reco.Interaction
	eventually.SucceedsWithin(t, limit, "every acknowledged event is archived", func() error {
		archived = archived[:0]
		missing := len(s.acknowledged)
		for interaction, err := range archive.ReadInteractions(t.Context(), bucket, group, schema.Interactions,
			archive.ReadOptions{}) {
			if err != nil {
				return err
			}
			archived = append(archived, interaction)
			if s.acknowledged[interaction.EventID] {
				missing--
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d are missing", missing)
		}
		return nil
	})
	times := map[string]int{}
	for _, interaction := range archived {
		times[interaction.EventID]++
		if !s.sent[interaction.EventID] {
			t.Errorf("event %s was never sent", interaction.EventID)
		}
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("event %s stands %d times in the archive", id, n)
		}
	}
	return archived
}

// History is the number of interactions that are kept of a user: --user-history's default.
const History = 200

// FaultFree computes each user's, and each anonymous session's, recent interactions from the events themselves: a few
// lines that share nothing with the session-updater.
func FaultFree(events []reco.Interaction) map[string][]reco.RecentInteraction {
	recent := map[string][]reco.RecentInteraction{}
	for _, event := range events {
		recent[event.Key()] = append(recent[event.Key()], event.Recent())
	}
	for id, list := range recent {
		slices.SortFunc(list, reco.CompareRecent)
		recent[id] = list[max(0, len(list)-History):]
	}
	return recent
}

// CheckStates waits until each user's recent interactions are what the archive's events lead to without a fault.
// Nothing may be sent meanwhile.
func CheckStates(t testing.TB, bucket *blob.Bucket, group string, users *userstate.Store, limit time.Duration) {
	t.Helper()
	eventually.SucceedsWithin(t, limit, "user states are what a run without faults holds", func() error {
		var archived []reco.Interaction
		for interaction, err := range archive.ReadInteractions(t.Context(), bucket, group, schema.Interactions,
			archive.ReadOptions{}) {
			if err != nil {
				return err
			}
			archived = append(archived, interaction)
		}
		want := FaultFree(archived)
		states, err := users.Load(t.Context(), group, slices.Sorted(maps.Keys(want)))
		if err != nil {
			return err
		}
		for _, state := range states {
			if diff := cmp.Diff(want[state.ID], state.Recent); diff != "" {
				return fmt.Errorf("user %s (-fault-free +found):\n%s", state.ID, diff)
			}
		}
		return nil
	})
}

// OpenUsers opens the user states in a Redis.
func OpenUsers(t testing.TB, redisURL string) *userstate.Store {
	t.Helper()
	users, err := userstate.Open(t.Context(), redisURL, userstate.Options{History: 200})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { users.Close() })
	return users
}
