//go:build !race

// Under the race detector this takes minutes, and the other tests run the same code.

package stack

import (
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/dataset/datasettest"
	"github.com/penchant-io/penchant/pkg/model"
)

// TestTogetherIsNoWorseThanTheBestAlone holds the stack to its promise on parts of three very different data sets: sparse and
// with content, with three types of event and repetitions, and dense. What it gains must not fall far below what it gained
// when this was written, either.
func TestTogetherIsNoWorseThanTheBestAlone(t *testing.T) {
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
			together, alone := lastEvents(t, m, ts)
			for k, component := range m.components {
				mean, deviation := meanOf(len(together), func(u int) float64 { return alone[k][u] - together[u] })
				if mean > deviation {
					t.Errorf("%s alone gains %.4f ± %.4f more than all together", component.name, mean, deviation)
				}
			}
			if mean, _ := meanOf(len(together), func(u int) float64 { return together[u] }); mean < c.gain {
				t.Errorf("NDCG@%d is %.4f for %d users, want %g at least", cutoff, mean, len(together), c.gain)
			}
		})
	}
}

// lastEvents is what the stack, and each component by itself, gains of each user's last event that is not a repetition.
func lastEvents(t *testing.T, m *Model, ts *dataset.TrainingSet) (together []float64, alone [][]float64) {
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
		together = append(together, gain(m.rank(mem, scores, item, false)))
		for k := range m.components {
			if err := m.standardise(mem, &m.components[k], q); err != nil {
				t.Fatal(err)
			}
			alone[k] = append(alone[k], gain(m.rank(mem, mem.raw, item, false)))
		}
		m.end(mem)
	}
	return together, alone
}
