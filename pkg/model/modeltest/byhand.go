package modeltest

import (
	"math"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// What tests of single models share, whose scores are computed by hand.

// Histories is a training set of the items a, b, c, …: each user's, oldest first, as indices into them.
func Histories(items int, users ...[]int32) *trainingset.Set {
	ts := &trainingset.Set{UserStart: []int32{0}}
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

// Scores gives what a history of items, oldest first, makes of every item.
func Scores(t testing.TB, m model.Model, items ...string) map[string]float64 {
	t.Helper()
	var past []reco.RecentInteraction
	for k, id := range items {
		past = append(past, reco.RecentInteraction{ItemID: id, TimestampMS: int64(k)})
	}
	byID := map[string]float64{}
	for i, s := range scores(t, m, model.Query{History: past}) {
		byID[m.Items().ID(i)] = float64(s)
	}
	return byID
}

// RequireScores compares them, except for rounding. Items that are not wanted have the score zero.
func RequireScores(t testing.TB, got, want map[string]float64) {
	t.Helper()
	for id, s := range got {
		if math.Abs(s-want[id]) > 1e-5 {
			t.Errorf("%s has score %g, want %g", id, s, want[id])
		}
	}
}
