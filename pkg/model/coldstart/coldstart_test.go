package coldstart_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/dataset/datasettest"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/model/coldstart"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/model/popularity"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// club is a set whose users choose among the even or the odd of 20 items, by where they live; their names and the
// weather tell nothing. Without meaning, where they live does not, either.
func club(t *testing.T, meaning bool) *trainingset.Set {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range 400 {
		user, side := fmt.Sprintf("u%03d", u), random.IntN(2)
		for e := range 8 {
			item := random.IntN(20)
			if meaning {
				item = item/2*2 + side
			}
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(user, e), UserID: user, ItemID: fmt.Sprintf("i%02d", item),
				TimestampMS: int64(1000 * e),
			})
		}
		b.AddUser(reco.Entity{ID: user, Properties: map[string]any{
			"TOWN": []string{"Even", "Odd"}[side], "NAME": user, "WEATHER": fmt.Sprint("w", random.IntN(3)),
			"SHOE": 36 + float64(side)*4 + random.Float64(),
		}})
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// logits has popularity score as the models do that recommend to users.
type logits struct{ model.Model }

func (l logits) Score(q model.Query, scores []float32) error {
	err := l.Model.Score(q, scores)
	for i, n := range scores {
		scores[i] = float32(math.Log(float64(n) + 0.5))
	}
	return err
}

func trained(t *testing.T, ts *trainingset.Set, threads int) (base, adjusted model.Model) {
	t.Helper()
	popular, err := popularity.Train(t.Context(), ts, nil)
	if err != nil {
		t.Fatal(err)
	}
	base = logits{popular}
	lifts, err := coldstart.Train(t.Context(), base.Items(), ts, threads)
	if err != nil {
		t.Fatal(err)
	}
	if lifts == nil {
		return base, base
	}
	return base, model.Adjust(base, lifts)
}

func scored(t *testing.T, m model.Model, q model.Query) []float32 {
	t.Helper()
	scores := make([]float32, m.Items().Len())
	if err := m.Score(q, scores); err != nil {
		t.Fatal(err)
	}
	return scores
}

func TestAttributesDecideForWhomNothingElseIsKnownOf(t *testing.T) {
	t.Parallel()
	base, m := trained(t, club(t, true), 2)
	lifts, err := coldstart.Load(modeltest.Parts(t, m)[coldstart.PartName], base.Items())
	if err != nil {
		t.Fatal(err)
	}
	loaded := model.Adjust(base, lifts)
	for what, m := range map[string]model.Model{"trained": m, "loaded": loaded} {
		for side, user := range []map[string]any{
			{"TOWN": "Even"}, {"TOWN": "Odd"}, {"SHOE": 36.5}, {"SHOE": 40.5},
			{"TOWN": "Even", "WEATHER": "w1", "NAME": "u999", "AGE": 3},
		} {
			for rank, item := range model.TopK(scored(t, m, model.Query{User: user}), 10, nil) {
				if id := m.Items().ID(int(item)); int(id[2]-'0')%2 != side%2 {
					t.Errorf("%s: %v is recommended %s at rank %d", what, user, id, rank+1)
				}
			}
		}
		same := func(why string, q model.Query) {
			without := q
			without.User = nil
			if diff := cmp.Diff(scored(t, base, without), scored(t, m, q)); diff != "" {
				t.Errorf("%s: scores of %s differ from those of the model itself:\n%s", what, why, diff)
			}
		}
		odd := map[string]any{"TOWN": "Odd"}
		same("a user with a history", model.Query{User: odd, History: []reco.RecentInteraction{{ItemID: "i02"}}})
		same("somebody without attributes", model.Query{})
		same("somebody from elsewhere", model.Query{User: map[string]any{"TOWN": "Elsewhere"}})
		stranger := model.Query{User: odd, History: []reco.RecentInteraction{{ItemID: "unheard of"}}}
		if diff := cmp.Diff(scored(t, m, model.Query{User: odd}), scored(t, m, stranger)); diff != "" {
			t.Errorf("%s: a history of unknown items counts:\n%s", what, diff)
		}
	}
}

func TestAttributesThatTellNothingAreLeftOut(t *testing.T) {
	t.Parallel()
	base, m := trained(t, club(t, false), 2)
	if m != base {
		t.Error("a model is adjusted though attributes do not matter")
	}
	few := club(t, true)
	base, m = trained(t, few.Subset(func(user, _ int) bool { return user < 30 }), 2)
	if m != base {
		t.Error("a model is adjusted though there are only 30 users")
	}
}

func TestThreadsDoNotMatter(t *testing.T) {
	t.Parallel()
	_, one := trained(t, club(t, true), 1)
	_, four := trained(t, club(t, true), 4)
	if diff := cmp.Diff(modeltest.Parts(t, one), modeltest.Parts(t, four)); diff != "" {
		t.Error("the parts differ")
	}
}

func TestCorruptPartsAreRefused(t *testing.T) {
	t.Parallel()
	base, m := trained(t, club(t, true), 2)
	whole := modeltest.Parts(t, m)["newcomer"]
	for cut := range len(whole) {
		if _, err := coldstart.Load(whole[:cut], base.Items()); !errors.Is(err, codec.ErrCorrupt) {
			t.Fatalf("%d of %d bytes load with the error %v, want %v", cut, len(whole), err, codec.ErrCorrupt)
		}
	}
}

func FuzzLoad(f *testing.F) {
	b := trainingset.NewBuilder(trainingset.Options{})
	b.Add(&reco.Interaction{EventID: "e", UserID: "u", ItemID: "i"})
	ts, err := b.Build()
	if err != nil {
		f.Fatal(err)
	}
	base, err := popularity.Train(f.Context(), ts, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("newcomer"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lifts, err := coldstart.Load(data, base.Items())
		if err != nil {
			if !errors.Is(err, codec.ErrCorrupt) {
				t.Errorf("the error is %v, want one that is %v", err, codec.ErrCorrupt)
			}
			return
		}
		q := model.Query{User: map[string]any{"TOWN": "Odd", "SHOE": 1.5}}
		if err := model.Adjust(base, lifts).Score(q, make([]float32, base.Items().Len())); err != nil {
			t.Error(err)
		}
	})
}

// TestAttributesFindMoreThanPopularity recommends to the tenth of MovieLens' users whom nothing was learned from, by
// their gender, age and occupation.
func TestAttributesFindMoreThanPopularity(t *testing.T) {
	all := datasettest.Research(t, "ml-1m", datasettest.AllUsers)
	newUsers := func(user int) bool { return user%10 == 3 }
	base, m := trained(t, all.Subset(func(user, _ int) bool { return !newUsers(user) }), 2)
	with, without, users := 0, 0, 0
	for u := range all.Users {
		if !newUsers(u) {
			continue
		}
		users++
		had := map[string]bool{}
		for _, h := range all.History(u) {
			had[h.ItemID] = true
		}
		found := func(m model.Model, q model.Query) (n int) {
			for _, item := range model.TopK(scored(t, m, q), 10, nil) {
				if had[m.Items().ID(int(item))] {
					n++
				}
			}
			return n
		}
		without += found(base, model.Query{})
		with += found(m, model.Query{User: all.UserRows[int32(u)].Properties})
	}
	t.Logf(
		"of the first ten, %d users chose %.2f by attributes, %.2f by popularity", users, float64(with)/float64(users),
		float64(without)/float64(users),
	)
	if float64(with) < 1.03*float64(without) {
		t.Error("attributes do not find more than popularity")
	}
}
