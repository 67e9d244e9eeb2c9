package userstate

import (
	"fmt"
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

func longState(n int) *State {
	s := newState(bounds{200, 20, 900})
	for k := range n {
		s.Apply(schema.Interactions, &reco.Interaction{
			EventID: fmt.Sprintf("0b5e3c1e-6f0a-4f6e-9d2b-%012d", k), UserID: "u", SessionID: fmt.Sprint("session-", k/20),
			ItemID: fmt.Sprint("item-", k), EventType: "view", TimestampMS: 1_700_000_000_000 + int64(k)*1000,
			Origin: reco.Origin{Offset: int64(k)},
		})
	}
	return s
}

// The work on one event of a user with a full history, Redis apart.
func BenchmarkApplyToAFullHistory(b *testing.B) {
	encoded := string(longState(200).encode())
	b.ReportAllocs()
	b.SetBytes(int64(len(encoded)))
	for n := 0; b.Loop(); n++ {
		s := newState(bounds{200, 20, 900})
		if err := s.decode(encoded); err != nil {
			b.Fatal(err)
		}
		s.Apply(schema.Interactions, &reco.Interaction{
			EventID: fmt.Sprintf("0b5e3c1e-6f0a-4f6e-9d2b-x%011d", n), UserID: "u", ItemID: "item", EventType: "view", TimestampMS: 1_800_000_000_000,
		})
		s.encode()
	}
}

// Load, Apply, Fold and Save through Redis, by the number of users written together.
func BenchmarkFoldThroughRedis(b *testing.B) {
	for _, history := range []int{1, 50, 200} {
		for _, users := range []int{1, 32, 512} {
			b.Run(fmt.Sprintf("history=%d/users=%d", history, users), func(b *testing.B) {
				s := openStore(b, Options{})
				ids := make([]string, users)
				states := make([]*State, users)
				for k := range ids {
					ids[k] = fmt.Sprint("user-", k)
					states[k] = longState(history)
					states[k].ID = ids[k]
				}
				save(b, s, states...)
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					states, err := s.Load(b.Context(), "shop-1", ids)
					if err != nil {
						b.Fatal(err)
					}
					for _, state := range states {
						state.Apply(schema.Interactions, &reco.Interaction{
							EventID: fmt.Sprint("event-", n), UserID: state.ID, ItemID: "item", EventType: "view", TimestampMS: 1_800_000_000_000 + int64(n),
						})
						state.Fold([]Model{{"m", counting{}}})
					}
					save(b, s, states...)
				}
				b.ReportMetric(float64(b.N*users)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

func BenchmarkView(b *testing.B) {
	for _, history := range []int{20, 200} {
		b.Run(fmt.Sprint("history=", history), func(b *testing.B) {
			s := openStore(b, Options{})
			state := longState(history)
			state.Fold([]Model{{"m", counting{}}})
			save(b, s, state)
			b.ReportAllocs()
			for b.Loop() {
				if v := view(b, s, "u"); len(v.History) != history {
					b.Fatal(len(v.History))
				}
			}
		})
	}
}
