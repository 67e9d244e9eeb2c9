//go:build !race

// Under the race detector this takes minutes, and the other tests run the same code.

package stack

import (
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset/datasettest"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// TestEnsembleIsNoWorseThanTheBestAlone holds the stack to its promise on parts of three very different data sets:
// sparse and with content, with three types of event and repetitions, and dense. What it gains must not fall far below
// what it gained when this was written, either.
func TestEnsembleIsNoWorseThanTheBestAlone(t *testing.T) {
	for name, c := range map[string]struct {
		users int
		gain  float64
	}{
		"toys":   {3000, 0.050}, // 0.055
		"retail": {600, 0.042},  // 0.052
		"ml-1m":  {150, 0.15},   // 0.183
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := datasettest.Research(t, name, c.users)
			last := map[int]bool{}
			for u := range ts.Users {
				if start, end := ts.UserEvents(u); end-start > minHistory {
					last[end-1] = true
				}
			}
			m := trained(t, ts.Subset(func(_, event int) bool { return !last[event] })).(folding).Model
			ensemble, alone := lastEvents(t, m, ts)
			for k, component := range m.components {
				mean, deviation := meanOf(len(ensemble), func(u int) float64 { return alone[k][u] - ensemble[u] })
				if mean > deviation {
					t.Errorf("%s alone gains %.4f ± %.4f more than the ensemble", component.name, mean, deviation)
				}
			}
			if mean, _ := meanOf(len(ensemble), func(u int) float64 { return ensemble[u] }); mean < c.gain {
				t.Errorf("NDCG@%d is %.4f for %d users, want %g at least", cutoff, mean, len(ensemble), c.gain)
			}
		})
	}
}

// lastEvents is what the stack, and each component by itself, gains of each user's last event that is not a repetition.
func lastEvents(t *testing.T, m *Model, ts *trainingset.Set) (ensemble []float64, alone [][]float64) {
	t.Helper()
	alone = make([][]float64, len(m.components))
	scores, mem := make([]float32, m.items.Len()), m.scratch.Get().(*memory)
	for u := range ts.Users {
		history := ts.History(u)
		if len(history) <= minHistory {
			continue
		}
		q := model.Query{History: history[:len(history)-1]}
		item, known := m.items.Index(history[len(history)-1].ItemID)
		if !known || !m.begin(mem, q.History) || mem.isOwn[item] {
			m.end(mem)
			continue
		}
		if err := m.Score(q, scores); err != nil {
			t.Fatal(err)
		}
		ensemble = append(ensemble, gain(m.rank(mem, scores, item, false)))
		for k := range m.components {
			if err := m.standardise(mem, &m.components[k], q); err != nil {
				t.Fatal(err)
			}
			alone[k] = append(alone[k], gain(m.rank(mem, mem.raw, item, false)))
		}
		m.end(mem)
	}
	return ensemble, alone
}

// TestNewItemsAreFoundBetterThanByLikenessAlone takes a tenth of the items for new ones, of which nothing is known but
// their metadata, and looks for those that users have had. Which weights are learned differs: how popular their likes
// are helps to find new films and misleads among new toys.
func TestNewItemsAreFoundBetterThanByLikenessAlone(t *testing.T) {
	for name, users := range map[string]int{"toys": 3000, "ml-1m": 600} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := datasettest.Research(t, name, users)
			isNew := func(item int32) bool { return item%10 == 7 }
			m := trained(t, ts.Subset(func(_, event int) bool { return !isNew(ts.Item[event]) })).(folding).Model
			alone := assemble(learned{
				m.items, m.counts, m.seen, m.components, m.extras, unseenRanking{likenessAlone, m.ranking.expected},
			})
			found := func(m *Model) (gains []float64) {
				scores := make([]float32, m.items.Len())
				for u := range ts.Users {
					var history []reco.RecentInteraction
					wanted := map[int32]bool{}
					start, _ := ts.UserEvents(u)
					for k, h := range ts.History(u) {
						if at, known := m.items.Index(h.ItemID); known && isNew(ts.Item[start+k]) {
							wanted[int32(at)] = true
						} else {
							history = append(history, h)
						}
					}
					if len(wanted) == 0 || len(history) == 0 {
						continue
					}
					if err := m.Score(model.Query{History: history}, scores); err != nil {
						t.Fatal(err)
					}
					got, ideal := 0.0, 0.0
					for rank, item := range model.TopK(scores, cutoff, func(item int) bool { return m.seen[item] }) {
						if wanted[item] {
							got += gain(rank)
						}
						if rank < len(wanted) {
							ideal += gain(rank)
						}
					}
					gains = append(gains, got/ideal)
				}
				return gains
			}
			ensemble, likeness := found(m), found(alone)
			mean, _ := meanOf(len(ensemble), func(u int) float64 { return ensemble[u] })
			more, deviation := meanOf(len(ensemble), func(u int) float64 { return ensemble[u] - likeness[u] })
			t.Logf(
				"weights %.2f: NDCG@%d is %.4f for %d users, by %.4f ± %.4f more than by likeness alone",
				m.ranking.weights, cutoff, mean, len(ensemble), more, deviation,
			)
			if more < -deviation {
				t.Error("likeness alone finds more")
			}
		})
	}
}
