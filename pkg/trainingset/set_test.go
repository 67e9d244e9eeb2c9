package trainingset

import (
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
)

func TestSubsetKeepsWhatItIsToldTo(t *testing.T) {
	t.Parallel()
	b := NewBuilder(Options{})
	for k, e := range []struct{ user, item string }{{"a", "x"}, {"a", "y"}, {"b", "y"}, {"c", "z"}, {"c", "x"}} {
		b.Add(&reco.Interaction{EventID: string(rune('0' + k)), UserID: e.user, ItemID: e.item, TimestampMS: int64(k)})
	}
	for _, user := range []string{"a", "b", "c"} {
		b.AddUser(reco.Entity{ID: user})
	}
	whole, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	whole.Weight = []float32{1, 2, 3, 4, 5}
	part := whole.Subset(func(user, event int) bool { return whole.Users[user] != "b" && event != 0 })
	if !slices.Equal(part.Users, []string{"a", "c"}) || !slices.Equal(part.Items, whole.Items) ||
		!slices.Equal(part.TimeMS, []int64{1, 3, 4}) || !slices.Equal(part.Weight, []float32{2, 4, 5}) ||
		!slices.Equal(part.UserStart, []int32{0, 1, 3}) {
		t.Errorf(
			"users %v, items %v, times %v, weights %v, starts %v", part.Users, part.Items, part.TimeMS, part.Weight,
			part.UserStart,
		)
	}
	if len(part.UserRows) != 2 || part.UserRows[1].ID != "c" {
		t.Errorf("rows %v", part.UserRows)
	}
	if whole.Events() != 5 || len(whole.Users) != 3 {
		t.Error("the set itself has changed")
	}
}
