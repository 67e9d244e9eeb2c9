package eval

import (
	"fmt"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// prophet scores its items alike for everybody.
type prophet struct {
	model.Model
	items  *model.Items
	scores map[string]float32
}

func (p prophet) Items() *model.Items { return p.items }

func (p prophet) Score(_ model.Query, scores []float32) error {
	for i := range scores {
		scores[i] = p.scores[p.items.ID(i)]
	}
	return nil
}

func TestTrendByHand(t *testing.T) {
	t.Parallel()
	// 30 old favourites fall from 3 to 1; "up" rises from 0 to 10, "slow" from 1 to 6. Hours 1 and 2 are the last two.
	b := trainingset.NewBuilder(trainingset.Options{})
	n := 0
	add := func(item string, minute, times int) {
		for range times {
			n++
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(n), UserID: fmt.Sprintf("u%d", n%11), ItemID: item,
				TimestampMS: int64(minute) * 60_000,
			})
		}
	}
	for k := range 30 {
		add(fmt.Sprintf("old%02d", k), 70, 3)
		add(fmt.Sprintf("old%02d", k), 130, 1)
	}
	add("up", 10, 1)
	add("up", 180, 10)
	add("slow", 100, 1)
	add("slow", 150, 6)
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	measure := func(scores map[string]float32) Report {
		t.Helper()
		report, err := runTrend(t.Context(), ts, time.Hour, func(before *trainingset.Set) (model.Model, error) {
			if before.Events() != 92 {
				t.Errorf("trained on %d interactions", before.Events())
			}
			items := []string{"up", "slow", "nothing"}
			for k := range 22 {
				items = append(items, fmt.Sprint("none", k))
			}
			return prophet{items: model.NewItems(append(items, "old00", "old01")), scores: scores}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	// The best 25 grow by 10 + 5.
	right := measure(map[string]float32{"up": 2, "slow": 1})
	if right.Metrics[trendAccuracy] != 1 || right.Popularity[trendAccuracy] != 0 || len(right.Metrics) != 1 {
		t.Errorf("all that rises: %v, popularity %v", right.Metrics, right.Popularity)
	}
	half := measure(map[string]float32{"up": -1, "old00": 1})
	if got := half.Metrics[trendAccuracy]; got != 0.2 { // 5 - 2 of 15
		t.Errorf("slow and a favourite that falls: %v", got)
	}
}

func TestActionsByHand(t *testing.T) {
	t.Parallel()
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range 100 {
		user := fmt.Sprintf("u%02d", u)
		b.Add(&reco.Interaction{EventID: "0", UserID: user, ItemID: "i", TimestampMS: 1})
		for k, e := range []reco.Interaction{{ItemID: "call", EventType: "VIEWED"}, {ItemID: "mail", EventType: "NOT_TAKEN"}, {ItemID: "call", EventType: "TAKEN"}} {
			e.EventID, e.UserID, e.TimestampMS = fmt.Sprint(k), user, int64(k)
			b.AddActionInteraction(&e)
		}
	}
	b.AddAction(reco.Entity{ID: "visit"})
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	report, err := runActions(t.Context(), ts, 2, func(rest *trainingset.Set) (model.Model, error) {
		if len(rest.Actions.Events) != 270 || rest.Events() != 100 {
			t.Errorf("trained on %d answers and %d interactions", len(rest.Actions.Events), rest.Events())
		}
		return prophet{items: model.NewItems(rest.Actions.IDs), scores: map[string]float32{"call": 1, "mail": 2}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// mail comes first, then call, which they took after they had seen it.
	if m := report.Metrics; report.TestUsers != 10 || m["mean_reciprocal_rank_at_25"] != 0.5 ||
		m["precision_at_5"] != 0.2 || m["coverage"] != 1 {
		t.Errorf("%d users: %v", report.TestUsers, m)
	}
	if m := report.Popularity; m["mean_reciprocal_rank_at_25"] != 1 {
		t.Errorf("by popularity: %v", m)
	}
}
