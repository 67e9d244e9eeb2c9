package rules_test

import (
	"context"
	"math"
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/model/rules"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
)

var component = modeltest.Component{
	Train: func(ctx context.Context, ts *dataset.TrainingSet, o recipe.Options) (model.Model, error) {
		c := rules.DefaultConfig()
		c.Threads, c.Progress = o.Threads, o.Progress
		m, err := rules.Train(ctx, ts, c)
		if err != nil {
			return nil, err
		}
		return m, nil
	},
	Load: func(parts map[string][]byte) (model.Model, error) {
		m, err := rules.Load(parts)
		if err != nil {
			return nil, err
		}
		return m, nil
	},
}

func TestSuite(t *testing.T) { modeltest.RunComponent(t, component) }

func FuzzLoad(f *testing.F) { modeltest.FuzzComponent(f, component) }

// trainingSet takes a user's items as indices into the ids a, b, c, …
func trainingSet(items int, users ...[]int32) *dataset.TrainingSet {
	ts := &dataset.TrainingSet{UserStart: []int32{0}}
	for i := range items {
		ts.Items = append(ts.Items, string(rune('a'+i)))
	}
	for u, row := range users {
		ts.Users = append(ts.Users, string(rune('0'+u)))
		ts.Item = append(ts.Item, row...)
		ts.UserStart = append(ts.UserStart, int32(len(ts.Item)))
	}
	return ts
}

// score gives what a history, oldest first, makes of every item.
func score(t *testing.T, m model.Model, history ...string) map[string]float64 {
	t.Helper()
	var q model.Query
	for _, id := range history {
		q.History = append(q.History, reco.RecentInteraction{ItemID: id})
	}
	scores := make([]float32, m.Items().Len())
	if err := m.Score(q, scores); err != nil {
		t.Fatal(err)
	}
	byID := map[string]float64{}
	for i, s := range scores {
		byID[m.Items().ID(i)] = float64(s)
	}
	return byID
}

func requireScores(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for id, s := range got {
		if math.Abs(s-want[id]) > 1e-5 {
			t.Errorf("%s has score %g, want %g", id, s, want[id])
		}
	}
}

func TestScoreByHand(t *testing.T) {
	ts := trainingSet(4, []int32{0, 1, 2}, []int32{0, 2}, []int32{3, 3})
	c := rules.DefaultConfig()
	c.Window, c.Decay = 2, 0.5
	m, err := rules.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	two := math.Sqrt(2) // a, c and d have two events, b has one
	requireScores(t, score(t, m, "a"), map[string]float64{"b": 1, "c": 1.5 / two})
	requireScores(t, score(t, m, "a", "b"), map[string]float64{"b": 0.5, "c": 0.5*1.5/two + 1/two})
	requireScores(t, score(t, m, "a", "unknown"), map[string]float64{"b": 0.5, "c": 0.5 * 1.5 / two})
	requireScores(t, score(t, m, "d"), map[string]float64{"d": 1 / two})
	now, err := m.Fading(0.1)
	if err != nil {
		t.Fatal(err)
	}
	requireScores(t, score(t, now, "a", "b"), map[string]float64{"b": 0.1, "c": 0.1*1.5/two + 1/two})
	if _, err := m.Fading(1.1); err == nil {
		t.Error("a decay above 1 is taken")
	}
}

func TestStepsCountAsTheirEventsWeigh(t *testing.T) {
	ts := trainingSet(3, []int32{0, 1}, []int32{0, 2})
	ts.Weight = []float32{1, 0.5, 1, 1}
	c := rules.DefaultConfig()
	m, err := rules.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	requireScores(t, score(t, m, "a"), map[string]float64{"b": 0.5, "c": 1})
}
