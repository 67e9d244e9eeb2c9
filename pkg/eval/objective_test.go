package eval

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// priced is a shop of 200 users who stay with the items of one parity; an item's price is its number.
func priced(t *testing.T, weight float64) *trainingset.Set {
	t.Helper()
	o := trainingset.Options{}
	if weight > 0 {
		o.Objective = trainingset.Objective{Attribute: "PRICE", Weight: weight}
	}
	b := trainingset.NewBuilder(o)
	for u := range 200 {
		for k := range 10 {
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(k), UserID: fmt.Sprintf("u%03d", u), ItemID: fmt.Sprint(2*((u*7+k*k)%30) + u%2),
				TimestampMS: int64(k),
			})
		}
	}
	for i := range 60 {
		b.AddItem(reco.Entity{ID: fmt.Sprint(i), Properties: map[string]any{"PRICE": int64(i)}})
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// TestObjectiveFavoursWhatBringsIn trains with rising weights: the first recommendations cost more and more.
func TestObjectiveFavoursWhatBringsIn(t *testing.T) {
	t.Parallel()
	r := mustRecipe(t, "aws-user-personalization")
	params, _ := r.ParseParams(nil)
	last := 0.0
	for _, weight := range []float64{0, 1, 4} {
		ts := priced(t, weight)
		m, err := r.Fit(t.Context(), ts, params, recipe.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		parts, err := m.Parts()
		if err != nil {
			t.Fatal(err)
		}
		stored := map[string][]byte{}
		for _, p := range parts {
			stored[p.Name] = p.Data
		}
		if m, err = r.Load(stored); err != nil {
			t.Fatal(err)
		}
		price, lists := 0.0, 0.0
		scores := make([]float32, m.Items().Len())
		for u := range ts.Users {
			if err := m.Score(model.Query{History: ts.History(u)}, scores); err != nil {
				t.Fatal(err)
			}
			for _, i := range model.TopK(scores, 5, nil) {
				n, err := strconv.Atoi(m.Items().ID(int(i)))
				if err != nil {
					t.Fatal(err)
				}
				price += float64(n)
				lists++
			}
		}
		if price/lists <= last {
			t.Errorf("with weight %g the recommendations cost %g, with less %g", weight, price/lists, last)
		}
		last = price / lists
		report := run(t, r, ts, 2)
		rewards, measured := report.Metrics["average_rewards_at_k"]
		if measured != (weight > 0) || measured && (rewards <= 0 || rewards > 1) {
			t.Errorf("with weight %g: %v", weight, report.Metrics)
		}
	}
}

// TestRewardsByHand: a list of 27 in which position 0 is worth 1, position 26 nothing, and the others a half.
func TestRewardsByHand(t *testing.T) {
	t.Parallel()
	ts := &trainingset.Set{Reward: make([]float32, 27)}
	for i := range 27 {
		ts.Items = append(ts.Items, fmt.Sprintf("%02d", i))
		ts.Reward[i] = 0.5
	}
	ts.Reward[0], ts.Reward[26] = 1, 0
	items := model.NewItems(ts.Items)
	list := make([]int32, 27)
	for i := range list {
		list[i] = int32(i)
	}
	of := func(hits ...int) []bool {
		at := make([]bool, 27)
		for _, h := range hits {
			at[h] = true
		}
		return at
	}
	r := newRewards(ts)
	r.add(items, list, of(0, 25)) // position 25 is the 26th in rewards: 1 of 1.5
	r.add(items, list, of(26))    // brings in nothing: not counted
	r.add(items, list, of(3))     // all
	if got := round(r.average()); got != round((1/1.5+1)/2) {
		t.Errorf("average rewards are %g", got)
	}
	if got := newRewards(ts).average(); got != 0 {
		t.Errorf("without hits: %g", got)
	}
}

// oracle is a model that finds the users of an item whose names begin with it.
type oracle struct {
	model.Model
	users []string
}

func (o oracle) Segment(q model.SegmentQuery, k int) ([]model.ScoredUser, error) {
	var found []model.ScoredUser
	for _, u := range o.users {
		if u[0] == q.ItemID[0] && len(found) < k {
			found = append(found, model.ScoredUser{UserID: u})
		}
	}
	return found, nil
}

func TestSegmentsByHand(t *testing.T) {
	t.Parallel()
	// 100 users of a, 100 of b; the last of their five interactions is what a user is named after.
	b := trainingset.NewBuilder(trainingset.Options{})
	for _, item := range []string{"a", "b"} {
		for u := range 100 {
			for k := range 5 {
				of := "c"
				if k == 4 {
					of = item
				}
				b.Add(&reco.Interaction{
					EventID: fmt.Sprint(k), UserID: fmt.Sprintf("%s%02d", item, u), ItemID: of, TimestampMS: int64(k),
				})
			}
		}
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	report, err := runSegments(t.Context(), ts, func(rest *trainingset.Set) (model.Model, error) {
		if len(rest.Item) != 800 {
			t.Errorf("trained on %d interactions", len(rest.Item))
		}
		return oracle{users: rest.Users}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Segments hold 2 of 200 users: both are right, of 100 to be found.
	if m := report.Metrics; m["hits_at_1_percent"] != 1 || m["recall_at_1_percent"] != 0.02 || m["coverage"] != 0.02 ||
		len(m) != 3 {
		t.Errorf("metrics %v", m)
	}
	if m := report.Popularity; m["hits_at_1_percent"] != 0.5 || m["recall_at_1_percent"] != 0.01 {
		t.Errorf("the most active users: %v", m)
	}
}
