package trainingset

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/reco"
)

func TestActions(t *testing.T) {
	t.Parallel()
	events := []reco.Interaction{
		{EventID: "1", UserID: "u", ItemID: "call", EventType: "VIEWED", TimestampMS: 1},
		{EventID: "2", UserID: "u", ItemID: "call", EventType: "TAKEN", TimestampMS: 2},
		{EventID: "2", UserID: "u", ItemID: "call", EventType: "TAKEN", TimestampMS: 3}, // the id was there
		{EventID: "2", UserID: "v", ItemID: "mail", EventType: "NOT_TAKEN", TimestampMS: 1},
		{EventID: "3", SessionID: "s", ItemID: "mail", EventType: "TAKEN", TimestampMS: 0}, // v, before he was known
		{EventID: "4", UserID: "v", SessionID: "s", ItemID: "mail", EventType: "VIEWED", TimestampMS: 4},
		{UserID: "w", ItemID: "mail", EventType: "TAKEN", TimestampMS: 5},
		{UserID: "w", ItemID: "mail", EventType: "TAKEN", TimestampMS: 5}, // an imported row twice
		{EventID: "5", UserID: "w", EventType: "TAKEN"},                   // no action
		{EventID: "6", ItemID: "mail", EventType: "TAKEN"},                // nobody
	}
	want := ActionSet{
		IDs:  []string{"call", "mail", "visit"},
		Rows: map[int32]reco.Entity{2: {ID: "visit", Properties: map[string]any{"VALUE": int64(3)}}},
		Events: []ActionEvent{
			{"u", 0, 1, "VIEWED"}, {"u", 0, 2, "TAKEN"}, {"v", 1, 0, "TAKEN"}, {"v", 1, 1, "NOT_TAKEN"},
			{"v", 1, 4, "VIEWED"}, {"w", 1, 5, "TAKEN"},
		},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		b := NewBuilder(Options{EventType: "click"})
		for k := range events {
			b.AddActionInteraction(&events[k])
		}
		b.AddAction(reco.Entity{ID: "visit", Properties: map[string]any{"VALUE": int64(3)}})
		set, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, set.Actions); diff != "" {
			t.Fatalf("actions differ (-want +got):\n%s", diff)
		}
		if len(set.Users) != 0 {
			t.Errorf("users %v have interactions with items", set.Users)
		}
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	}
}
