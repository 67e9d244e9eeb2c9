package affinity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

const (
	fans   = 20
	people = 1000
	films  = 60
)

// cinema is a set in which the first users watch nearly only westerns, of which there are few; the others watch all
// else, and now and then a western.
func cinema(t *testing.T) *trainingset.Set {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range people {
		for k := range 15 {
			film := 10 + random.IntN(films-10)
			if (random.Float64() < 0.9) == (u < fans) {
				film = random.IntN(10)
			}
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(k), UserID: fmt.Sprintf("u%03d", u), ItemID: fmt.Sprintf("f%02d", film),
				TimestampMS: int64(k),
			})
		}
	}
	for film := range films {
		genre, year := "drama", int64(1990)
		if film < 10 {
			genre = "western|outdoor"
		}
		if film%2 == 0 {
			year = 2020
		}
		b.AddItem(reco.Entity{ID: fmt.Sprintf("f%02d", film), Properties: map[string]any{"genre": genre, "YEAR": year}})
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func TestTheFansComeFirst(t *testing.T) {
	t.Parallel()
	m, err := Train(t.Context(), cinema(t), Config{Dim: 32, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		query   model.SegmentQuery
		atLeast int
	}{
		// Others have seen this one, too.
		"a western": {model.SegmentQuery{ItemID: "f03"}, fans / 2},
		"westerns":  {model.SegmentQuery{Attributes: []model.Attribute{{Column: "GENRE", Value: "western"}}}, fans - 2},
		"new westerns": {model.SegmentQuery{Attributes: []model.Attribute{
			{Column: "GENRE", Value: "western"}, {Column: "GENRE", Value: "outdoor"}, {Column: "YEAR", Value: "2020"},
		}}, fans - 2},
	} {
		segment, err := m.Segment(c.query, fans)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, u := range segment {
			if u.UserID < fmt.Sprintf("u%03d", fans) {
				found++
			}
		}
		if found < c.atLeast {
			t.Errorf("%s: %d of %d fans are among the first: %v", name, found, fans, segment)
		}
	}
}

func TestQuantisationIsFine(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	vector, small := make([]float32, 64), make([]int8, 64)
	for range 100 {
		square, off := 0.0, 0.0
		for k := range vector {
			vector[k] = float32(random.NormFloat64())
			square += float64(vector[k] * vector[k])
		}
		scale := quantise(vector, small)
		for k := range vector {
			off += math.Pow(float64(vector[k]-scale*float32(small[k])), 2)
		}
		if math.Sqrt(off/square) > 0.01 {
			t.Fatalf("a vector is off by %g of its length", math.Sqrt(off/square))
		}
	}
	if quantise(make([]float32, 64), small) != 0 || small[0] != 0 {
		t.Error("the zero vector does not stay zero")
	}
}
