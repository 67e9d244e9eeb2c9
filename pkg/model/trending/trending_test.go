package trending_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/trending"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// hourly builds a set from the number of interactions of each item in each hour, oldest first.
func hourly(t *testing.T, items map[string][]int) *trainingset.Set {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{})
	for id, counts := range items {
		for hour, n := range counts {
			for k := range n {
				// The last event of each hour is at its end, so that intervals and hours coincide.
				at := time.Duration(hour+1)*time.Hour - time.Duration(k)*time.Millisecond
				b.Add(&reco.Interaction{
					EventID: fmt.Sprint(id, hour, k), UserID: fmt.Sprint(k), ItemID: id, TimestampMS: at.Milliseconds(),
				})
			}
		}
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func rises(t *testing.T, ts *trainingset.Set, interval time.Duration) (map[string]float32, string) {
	t.Helper()
	m, err := trending.Train(t.Context(), ts, trending.Config{Interval: interval})
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, m.Items().Len())
	if err := m.Score(model.Query{}, scores); err != nil {
		t.Fatal(err)
	}
	all := map[string]float32{}
	for i, s := range scores {
		all[m.Items().ID(i)] = s
	}
	return all, m.Items().ID(int(model.TopK(scores, 1, nil)[0]))
}

func TestTheRiserIsFound(t *testing.T) {
	t.Parallel()
	ts := hourly(t, map[string][]int{
		"evergreen": {400, 410, 390, 400, 400, 405},
		"riser":     {10, 12, 9, 11, 10, 60},
		"faller":    {90, 80, 60, 50, 40, 10},
		"tiny":      {0, 0, 1, 0, 0, 2}, // tripled, which means nothing
		"steady":    {30, 30, 30, 30, 30, 30},
	})
	all, best := rises(t, ts, time.Hour)
	if best != "riser" {
		t.Errorf("%s trends, want the riser: %v", best, all)
	}
	if all["faller"] != 0 {
		t.Errorf("the faller rises by %g", all["faller"])
	}
	if all["tiny"] >= all["riser"]/2 {
		t.Errorf("few interactions make a trend: %v", all)
	}
	// Seen by days there is only one interval: what is popular, is.
	if _, best := rises(t, ts, 24*time.Hour); best != "evergreen" {
		t.Errorf("%s is most popular", best)
	}
}

func TestTheWholeTrafficIsNoTrend(t *testing.T) {
	t.Parallel()
	// Everything doubles in the evening; one item does so a little more.
	all, best := rises(t, hourly(t, map[string][]int{
		"a": {100, 100, 100, 200}, "b": {50, 50, 50, 100}, "c": {50, 50, 50, 130},
	}), time.Hour)
	if best != "c" || all["a"] != 0 || all["b"] != 0 {
		t.Errorf("%s trends: %v, want c alone", best, all)
	}
}

func TestRiseByHand(t *testing.T) {
	t.Parallel()
	// Before, a had 4 of 12; now it has 5 of 8.
	all, _ := rises(t, hourly(t, map[string][]int{"a": {1, 3, 5}, "b": {5, 3, 3}}), time.Hour)
	expected := 4. / 12 * 8
	if want := (5 - expected) / math.Sqrt(expected+1); math.Abs(float64(all["a"])-want) > 1e-6 || all["b"] != 0 {
		t.Errorf("rises are %v, want %g for a", all, want)
	}
}
