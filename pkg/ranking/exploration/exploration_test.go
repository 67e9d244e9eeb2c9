package exploration

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

func TestColdItemsAreTheNewestOfKnownAge(t *testing.T) {
	t.Parallel()
	items := model.NewItems([]string{"a", "b", "c", "d"})
	newest := Newest(items, nil, func(item int) int64 { return []int64{100, 0, 300, 100}[item] })
	var ids []string
	for _, c := range newest {
		ids = append(ids, c.ID)
	}
	if !slices.Equal(ids, []string{"c", "a", "d"}) {
		t.Errorf("the newest are %v", ids)
	}
	settings := Settings{1, 100 * time.Second}
	for now, want := range map[int64]int{200: 3, 201: 1, 400: 1, 401: 0} {
		if got := len(settings.Cold(newest, time.Unix(now, 0))); got != want {
			t.Errorf("at %d there are %d cold items, want %d", now, got, want)
		}
	}
}

// What the Items dataset does not tell is told by the interactions of the training.
func TestNovelty(t *testing.T) {
	t.Parallel()
	b := trainingset.NewBuilder(trainingset.Options{})
	b.AddItem(reco.Entity{ID: "dated", Properties: map[string]any{"CREATION_TIMESTAMP": int64(70)}})
	b.AddItem(reco.Entity{ID: "unseen"})
	for n, seconds := range []int64{40, 30, 90} {
		b.Add(&reco.Interaction{EventID: strconv.Itoa(n), UserID: "u", ItemID: []string{"seen", "seen", "dated"}[n], TimestampMS: 1000 * seconds})
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	items := model.NewItems([]string{"seen", "dated", "unseen", "gone"})
	got, err := DecodeNovelty(NoveltyOf(ts, items).Part().Data, items.Len())
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Novelty{Created: []int64{30, 70, 90, 0}, Interactions: []int64{2, 1, 0, 0}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := DecodeNovelty(got.Part().Data, 3); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("read for another number of items: %v", err)
	}
	newest := Newest(items, got, func(item int) int64 { return []int64{0, 35, 0, 0}[item] })
	want := []ColdItem{{Item: 2, ID: "unseen", Created: 90}, {Item: 1, ID: "dated", Created: 35, Interactions: 1}, {Item: 0, ID: "seen", Created: 30, Interactions: 2}}
	if !slices.Equal(newest, want) {
		t.Errorf("the newest are %v", newest)
	}
}

func TestTheConfigurationHasDefaults(t *testing.T) {
	t.Parallel()
	if got, want := Read(nil), (Settings{0.3, 30 * 24 * time.Hour}); got != want {
		t.Errorf("got %v", got)
	}
	got := Read(map[string]string{"explorationWeight": "0.5", "explorationItemAgeCutOff": "1.5"})
	if want := (Settings{0.5, 36 * time.Hour}); got != want {
		t.Errorf("got %v", got)
	}
}

func TestTheWeightSaysHowManyColdItemsReachTheTop(t *testing.T) {
	t.Parallel()
	const visitors = 20_000
	cold := []ColdItem{{Item: 1, ID: "cold"}, {Item: 2, ID: "never"}}
	top := func(weight float64, shown func(string) uint32) (share float64) {
		for v := range visitors {
			scores := []float32{4, 1, model.Never, 3}
			before := map[int32]float32{}
			Settings{Weight: weight}.Lift(scores, cold, Seed(fmt.Sprint(v)), shown, func(item int32, score float32) { before[item] = score })
			if len(before) != 1 || before[1] != 1 || scores[0] != 4 || scores[2] != model.Never || scores[3] != 3 || scores[1] < 1 || scores[1] > 4 {
				t.Fatalf("lifted to %v from %v", scores, before)
			}
			if scores[1] == 4 {
				share++
			}
		}
		return share / visitors
	}
	// P(weight · drawn ≥ 1) = e^(-1/weight).
	for _, c := range []struct{ weight, want float64 }{{0.3, 0.0357}, {1, 0.368}} {
		if got := top(c.weight, nil); got < 0.9*c.want || got > 1.1*c.want {
			t.Errorf("with weight %v a share of %v reaches the top, want %v", c.weight, got, c.want)
		}
	}
	cold[0].Interactions = 5
	if got := top(1, func(string) uint32 { return 100 }); got < 0.045 || got > 0.055 { // e^-3
		t.Errorf("of an item that was shown often %v reach the top", got)
	}
}
