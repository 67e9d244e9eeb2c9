package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// TestKillNineLosesNothing kills `penchant all` again and again in the middle of a stream of numbered events. At the end
// every acknowledged event stands in the archive exactly once, every other at most once, and each user's recent
// interactions are what a run without a fault would hold.
func TestKillNineLosesNothing(t *testing.T) {
	kills, between := 2, 700*time.Millisecond
	if os.Getenv("PENCHANT_TEST_LONG") != "" {
		kills, between = 10, 2*time.Second
	} else if testing.Short() {
		t.Skip("starts processes")
	}
	dataDir := t.TempDir()
	settings := []string{"PENCHANT_ARCHIVE_FLUSH_INTERVAL=500ms"}
	process := start(t, "all", dataDir, settings...)
	group, trackingID := trackedGroup(t, process.api(), process.bucket("penchant"), "numbered")

	sender := &numberedSender{trackingID: trackingID, acknowledged: map[string]bool{}, sent: map[string]bool{}}
	for range kills {
		ctx, stop := context.WithCancel(t.Context())
		var sending sync.WaitGroup
		for lane := range 4 {
			sending.Go(func() { sender.stream(ctx, process.api(), lane) })
		}
		// A kill at a random moment: in a fold, an upload, a commit, or between them.
		if err := pause(ctx, between+time.Duration(rand.Int64N(int64(between)))); err != nil {
			t.Fatal(err)
		}
		process.kill()
		stop()
		sending.Wait()
		process = start(t, "all", dataDir, settings...)
	}
	t.Logf("%d kills, %d events sent, %d acknowledged", kills, len(sender.sent), len(sender.acknowledged))
	if len(sender.acknowledged) < 100*kills {
		t.Fatalf("only %d events were acknowledged: the test proves little", len(sender.acknowledged))
	}

	var archived []reco.Interaction
	eventually(t, time.Minute, "every acknowledged event is archived", func() error {
		archived = archived[:0]
		missing := len(sender.acknowledged)
		for interaction, err := range archive.ReadInteractions(t.Context(), process.bucket("penchant"), group.GroupKey(), archive.ReadOptions{}) {
			if err != nil {
				return err
			}
			archived = append(archived, interaction)
			if sender.acknowledged[interaction.EventID] {
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
		if !sender.sent[interaction.EventID] {
			t.Errorf("event %s was never sent", interaction.EventID)
		}
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("event %s stands %d times in the archive", id, n)
		}
	}

	users, err := userstate.Open(t.Context(), process.endpoints["redis"], userstate.Options{History: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	want := faultFree(archived)
	eventually(t, time.Minute, "user states are what a run without faults holds", func() error {
		for id, recent := range want {
			states, err := users.Load(t.Context(), group.GroupKey(), []string{id})
			if err != nil {
				return err
			}
			if diff := cmp.Diff(recent, states[0].Recent); diff != "" {
				return fmt.Errorf("user %s (-fault-free +found):\n%s", id, diff)
			}
		}
		return nil
	})
	process.terminate()
}

// faultFree computes each user's recent interactions from the events themselves: a few lines that share nothing with the
// session-updater.
func faultFree(events []reco.Interaction) map[string][]reco.RecentInteraction {
	recent := map[string][]reco.RecentInteraction{}
	for _, event := range events {
		recent[event.UserID] = append(recent[event.UserID], event.Recent())
	}
	for id, list := range recent {
		slices.SortFunc(list, reco.CompareRecent)
		recent[id] = list[max(0, len(list)-200):]
	}
	return recent
}

// numberedSender sends events with numbers as ids and remembers which were acknowledged.
type numberedSender struct {
	trackingID string

	mu           sync.Mutex
	next         int
	sent         map[string]bool
	acknowledged map[string]bool
}

func (s *numberedSender) stream(ctx context.Context, api *awsapi.Client, lane int) {
	for ctx.Err() == nil {
		request, ids := s.request(lane)
		err := api.Post(ctx, "/events", request, nil)
		if err != nil && rand.IntN(2) == 0 {
			// Half of the unknown outcomes are retried, as SDKs do: the repeats must not count twice.
			err = api.Post(ctx, "/events", request, nil)
		}
		if err == nil {
			s.mu.Lock()
			for _, id := range ids {
				s.acknowledged[id] = true
			}
			s.mu.Unlock()
		} else if pause(ctx, time.Millisecond) != nil {
			return
		}
	}
}

func (s *numberedSender) request(lane int) (*personalizeevents.PutEventsRequest, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := "user-" + strconv.Itoa(rand.IntN(40))
	request := &personalizeevents.PutEventsRequest{
		TrackingId: &s.trackingID, UserId: &user, SessionId: new("session-" + strconv.Itoa(lane)),
	}
	var ids []string
	for range 1 + rand.IntN(4) {
		id := fmt.Sprintf("event-%07d", s.next)
		s.next++
		s.sent[id] = true
		ids = append(ids, id)
		request.EventList = append(request.EventList, personalizeevents.Event{
			EventId: new(id), EventType: new("view"), ItemId: new("item-" + strconv.Itoa(s.next%97)),
			SentAt: awsapi.At(time.UnixMilli(1_700_000_000_000 + int64(s.next)*10)),
		})
	}
	return request, ids
}
