package sims_test

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/model/sims"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// related returns the items with positive scores.
func related(t *testing.T, ts *trainingset.Set, c sims.Config, item string) map[string]float32 {
	t.Helper()
	if c.Users == (model.Percentiles{}) {
		c.Users = model.All
	}
	if c.Items == (model.Percentiles{}) {
		c.Items = model.All
	}
	m, err := sims.Train(context.Background(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, m.Items().Len())
	if err := m.Score(model.Query{ItemID: item}, scores); err != nil {
		t.Fatal(err)
	}
	positive := map[string]float32{}
	for i, s := range scores {
		if s > 0 {
			positive[m.Items().ID(i)] = s
		}
		if i, ok := m.Items().Index(item); ok && scores[i] != model.Never {
			t.Errorf("the item itself has score %g", scores[i])
		}
	}
	return positive
}

func TestScoreByHand(t *testing.T) {
	t.Parallel()
	// a has 3 users, b 2 and c 3; a and b share 2 of them, a and c 1. A repetition counts once.
	ts := modeltest.Histories(3, []int32{0, 1, 0}, []int32{0, 1}, []int32{0, 2}, []int32{2}, []int32{2})
	got := related(t, ts, sims.Config{PopularityDiscount: 0.5}, "a")
	want := map[string]float64{
		"b": 2. / 12 * 2 / math.Sqrt(3*2),
		"c": 1. / 11 * 1 / math.Sqrt(3*3),
	}
	for id, score := range want {
		if math.Abs(float64(got[id])-score) > 1e-6 {
			t.Errorf("%s has score %g, want %g", id, got[id], score)
		}
	}
	if len(got) != len(want) {
		t.Errorf("related are %v", got)
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	ts := modeltest.Histories(
		4, []int32{0, 1, 2}, []int32{0, 1}, []int32{0, 2}, []int32{1, 2}, []int32{2}, []int32{0, 1, 2, 3},
	)
	for _, c := range []struct {
		name   string
		config sims.Config
		want   []string // related to a
	}{
		{"any pair", sims.Config{}, []string{"b", "c", "d"}},
		{"pairs that two users share", sims.Config{MinCointeractions: 2}, []string{"b", "c"}},
		{"without long histories", sims.Config{Users: model.Percentiles{Min: 0, Max: 0.8}}, []string{"b", "c"}},
		{"without rare items", sims.Config{Items: model.Percentiles{Min: 0.3, Max: 1}}, []string{"b", "c"}},
		{"frequent items stay", sims.Config{Items: model.Percentiles{Min: 0, Max: 0.5}}, []string{"b", "c", "d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := related(t, ts, c.config, "a")
			for _, id := range c.want {
				if got[id] == 0 {
					t.Errorf("%s is not related", id)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("related are %v, want %v", got, c.want)
			}
		})
	}
}

func TestDiscountDecidesBetweenPopularAndSpecial(t *testing.T) {
	t.Parallel()
	// b is popular with everybody; c is rare and shared with a only.
	var users [][]int32
	for range 6 {
		users = append(users, []int32{0, 1, 2})
	}
	for range 6 {
		users = append(users, []int32{0, 1})
	}
	for range 60 {
		users = append(users, []int32{1})
	}
	ts := modeltest.Histories(3, users...)
	if got := related(t, ts, sims.Config{PopularityDiscount: 0}, "a"); got["b"] <= got["c"] {
		t.Errorf("without discount: %v, want b first", got)
	}
	if got := related(t, ts, sims.Config{PopularityDiscount: 1}, "a"); got["c"] <= got["b"] {
		t.Errorf("with full discount: %v, want c first", got)
	}
}

func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	row := make([]int32, 400)
	for i := range row {
		row[i] = int32(i)
	}
	ts := modeltest.Histories(400, row, row)
	got := related(t, ts, sims.Config{}, "a")
	if len(got) != 200 {
		t.Errorf("%d related items, want 200", len(got))
	}
	// All are alike: the more popular, here the smaller ids, are kept.
	ids := slices.Sorted(func(yield func(string) bool) {
		for id := range got {
			if !yield(id) {
				return
			}
		}
	})
	if ids[0] != "b" {
		t.Errorf("related begin with %q", ids[0])
	}
}

func FuzzLoad(f *testing.F) { modeltest.FuzzLoad(f, "aws-sims") }

// TestWeightsOrderRelatedItems relates a to b by ten users who click both, and to c by eight who buy both.
func TestWeightsOrderRelatedItems(t *testing.T) {
	t.Parallel()
	train := func(click, buy float64) map[string]float32 {
		b := trainingset.NewBuilder(trainingset.Options{
			Events: []trainingset.EventRule{{Type: "click", Weight: click}, {Type: "buy", Weight: buy}},
		})
		add := func(user int, item, kind string) {
			b.Add(&reco.Interaction{UserID: strconv.Itoa(user), ItemID: item, EventType: kind, TimestampMS: 1})
		}
		for u := range 10 {
			add(u, "a", "click")
			add(u, "b", "click")
		}
		for u := range 8 {
			add(10+u, "a", "buy")
			add(10+u, "c", "buy")
		}
		ts, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return related(t, ts, sims.Config{PopularityDiscount: 0.5, MinCointeractions: 3}, "a")
	}
	if r := train(1, 1); r["b"] <= r["c"] {
		t.Errorf("with equal weights: %v", r)
	}
	if r := train(0.1, 1); r["b"] >= r["c"] || r["b"] == 0 {
		t.Errorf("with clicks a tenth of what buying is: %v", r)
	}
	if equal, alike := train(1, 1), train(0.3, 0.3); !maps.Equal(equal, alike) {
		t.Errorf("weights that are equal make a difference: %v, %v", equal, alike)
	}
}
