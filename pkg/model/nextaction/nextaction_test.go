package nextaction_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/nextaction"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

const day = 24 * time.Hour

// offers collects a set of actions and items.
type offers struct {
	*trainingset.Builder
	events int
}

func newOffers() *offers { return &offers{Builder: trainingset.NewBuilder(trainingset.Options{})} }

func (o *offers) answer(user, action, kind string, at time.Duration) {
	o.events++
	o.AddActionInteraction(&reco.Interaction{
		EventID: fmt.Sprint(o.events), UserID: user, ItemID: action, EventType: kind, TimestampMS: at.Milliseconds(),
	})
}

func (o *offers) chooses(user, item string, at time.Duration) {
	o.events++
	o.Add(&reco.Interaction{EventID: fmt.Sprint(o.events), UserID: user, ItemID: item, TimestampMS: at.Milliseconds()})
}

func (o *offers) train(t *testing.T) *nextaction.Model {
	t.Helper()
	ts, err := o.Build()
	if err != nil {
		t.Fatal(err)
	}
	m, err := nextaction.Train(t.Context(), ts, nextaction.Config{Period: 14 * day, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func propensities(t *testing.T, m *nextaction.Model, q model.Query) map[string]float64 {
	t.Helper()
	scores := make([]float32, m.Items().Len())
	if err := m.Score(q, scores); err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for i, s := range scores {
		all[m.Items().ID(i)] = float64(s)
	}
	return all
}

// coin gives true with a probability, the same in every run.
type coin struct{ *rand.Rand }

func (c coin) answer(probability float64) string {
	if c.Float64() < probability {
		return nextaction.Taken
	}
	return nextaction.NotTaken
}

func newCoin() coin { return coin{rand.New(rand.NewPCG(1, 2))} }

func TestAnActionNeedsFiftyTakers(t *testing.T) {
	t.Parallel()
	o := newOffers()
	for u := range 100 {
		id := fmt.Sprint(u)
		o.answer(id, "often", []string{nextaction.Taken, nextaction.NotTaken}[u%2], 0)
		if u < 49 {
			o.answer(id, "seldom", nextaction.Taken, 0)
		}
	}
	o.AddAction(reco.Entity{ID: "never"})
	got := propensities(t, o.train(t), model.Query{})
	if got["seldom"] != 0 || got["never"] != 0 {
		t.Errorf("actions with fewer than 50 takers have propensities: %v", got)
	}
	if math.Abs(got["often"]-0.5) > 0.15 {
		t.Errorf("an action that every second takes has propensity %g", got["often"])
	}
}

func TestPropensitiesAreRates(t *testing.T) {
	t.Parallel()
	o, c := newOffers(), newCoin()
	for u := range 1500 {
		o.answer(fmt.Sprint(u), "hard", c.answer(0.1), 0)
		o.answer(fmt.Sprint(u), "easy", c.answer(0.7), time.Hour)
	}
	got := propensities(t, o.train(t), model.Query{})
	if math.Abs(got["hard"]-0.1) > 0.05 || math.Abs(got["easy"]-0.7) > 0.1 {
		t.Errorf("propensities are %v, want about 0.1 and 0.7", got)
	}
}

func TestTasteDecides(t *testing.T) {
	t.Parallel()
	o, c := newOffers(), newCoin()
	for u := range 600 {
		id, sport := fmt.Sprint(u), u%2 == 0
		for k := range 8 {
			item := fmt.Sprintf("book %d", (u+k*k)%12)
			if sport {
				item = fmt.Sprintf("ball %d", (u+k*k)%12)
			}
			o.chooses(id, item, time.Duration(k)*time.Hour)
		}
		chance := 0.1
		if sport {
			chance = 0.8
		}
		o.answer(id, "join the club", c.answer(chance), day)
	}
	m := o.train(t)
	history := func(item string) []reco.RecentInteraction {
		return []reco.RecentInteraction{{ItemID: item + " 1"}, {ItemID: item + " 4"}, {ItemID: item + " 7"}}
	}
	sport := propensities(t, m, model.Query{History: history("ball")})["join the club"]
	other := propensities(t, m, model.Query{History: history("book")})["join the club"]
	if sport < 0.6 || other > 0.3 {
		t.Errorf("propensities are %g for who likes sport and %g for who does not", sport, other)
	}
}

func TestThePastDecides(t *testing.T) {
	t.Parallel()
	// Half of the users take what they are offered, the others do not.
	o, c := newOffers(), newCoin()
	for u := range 300 {
		chance := 0.9
		if u%2 == 0 {
			chance = 0.1
		}
		for k := range 6 {
			o.answer(fmt.Sprint(u), fmt.Sprintf("offer %d", k%2), c.answer(chance), time.Duration(k)*30*day)
		}
	}
	m := o.train(t)
	history := func(kind string) []reco.RecentInteraction {
		return []reco.RecentInteraction{{ItemID: "offer 0", EventType: kind}, {ItemID: "offer 0", EventType: kind}}
	}
	taker := propensities(t, m, model.Query{ActionHistory: history(nextaction.Taken)})
	refuser := propensities(t, m, model.Query{ActionHistory: history(nextaction.NotTaken)})
	for _, action := range []string{"offer 0", "offer 1"} {
		if taker[action] < refuser[action]+0.2 {
			t.Errorf(
				"%s: who has taken others has propensity %g, who has not %g", action, taker[action], refuser[action],
			)
		}
	}
}

func TestAViewIsNoRefusalIfTheActionIsTakenInTime(t *testing.T) {
	t.Parallel()
	rate := func(later time.Duration) float64 {
		o := newOffers()
		for u := range 200 {
			o.answer(fmt.Sprint(u), "offer", nextaction.Viewed, 0)
			o.answer(fmt.Sprint(u), "offer", nextaction.Taken, later)
		}
		return propensities(t, o.train(t), model.Query{})["offer"]
	}
	if soon, late := rate(10*day), rate(20*day); soon < 0.9 || late > 0.7 {
		t.Errorf("propensity is %g where the action follows in 10 days, %g where it follows in 20", soon, late)
	}
}
