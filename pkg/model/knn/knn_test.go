package knn_test

import (
	"context"
	"math"
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/knn"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
)

var component = modeltest.Component{
	Train: func(ctx context.Context, ts *dataset.TrainingSet, o recipe.Options) (model.Model, error) {
		c := knn.DefaultConfig()
		c.Threads, c.Progress = o.Threads, o.Progress
		m, err := knn.Train(ctx, ts, c)
		if err != nil {
			return nil, err
		}
		return m, nil
	},
	Load: func(parts map[string][]byte) (model.Model, error) {
		m, err := knn.Load(parts)
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
	// a has 3 users, b 2 and c 2, who share 2, 1 and 1; the user of d came back to it, one of two.
	ts := trainingSet(4, []int32{0, 1}, []int32{1, 0, 2}, []int32{0, 2}, []int32{3, 3}, []int32{3})
	c := knn.DefaultConfig()
	c.Shrinkage, c.Decay = 1, 0.5
	m, err := knn.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	ab, ac, bc := 2./3*2/math.Sqrt(3*2), 2./3*2/math.Sqrt(3*2), 1./2*1/2
	requireScores(t, score(t, m, "a"), map[string]float64{"b": ab, "c": ac})
	requireScores(t, score(t, m, "a", "b"), map[string]float64{"a": ab, "b": 0.5 * ab, "c": bc + 0.5*ac})
	requireScores(t, score(t, m, "b", "b"), map[string]float64{"a": ab, "c": bc}) // an item counts once
	requireScores(t, score(t, m, "d"), map[string]float64{"d": 1. / 2 * 1 / 2})
}

func TestUsersCountAsTheirEventsWeigh(t *testing.T) {
	ts := trainingSet(3, []int32{0, 1}, []int32{0, 2})
	ts.Weight = []float32{1, 0.5, 1, 1}
	c := knn.DefaultConfig()
	c.Shrinkage = 1
	m, err := knn.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	requireScores(t, score(t, m, "a"), map[string]float64{"b": 0.5 / 1.5 * 0.5 / math.Sqrt(2*0.25), "c": 1. / 2 * 1 / math.Sqrt(2)})
}
