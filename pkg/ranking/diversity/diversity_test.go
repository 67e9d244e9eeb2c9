package diversity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/schema"
)

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		config map[string]string
		want   Settings
	}{
		{nil, Settings{}},
		{map[string]string{"explorationWeight": "0.5"}, Settings{}},
		{map[string]string{"diversityColumn": "GENRES"}, Settings{}},
		{map[string]string{"diversityWeight": "0.25"}, Settings{Weight: 0.25}},
		{map[string]string{"diversityWeight": "1", "diversityColumn": "GENRES"}, Settings{1, "GENRES"}},
	} {
		if got := Read(c.config); got != c.want {
			t.Errorf("%v is read as %+v, want %+v", c.config, got, c.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Read(map[string]string(nil)) }); n != 0 {
		t.Errorf("to find nothing takes %v allocations", n)
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	items := &schema.Schema{Type: schema.Items, Fields: []schema.Field{
		{Name: "ITEM_ID"}, {Name: "GENRES", Categorical: true}, {Name: "YEAR", Kind: schema.Int}, {Name: "STORY", Textual: true}, {Name: "LANGUAGE", Categorical: true},
	}}
	for column, want := range map[string]string{"": "GENRES LANGUAGE", "LANGUAGE": "LANGUAGE", "YEAR": "YEAR", "GONE": "", "ITEM_ID": ""} {
		if got := strings.Join(Settings{1, column}.Columns(items), " "); got != want {
			t.Errorf("diversityColumn %q: the categories are in %q, want %q", column, got, want)
		}
	}
	if got := (Settings{Weight: 1}).Columns(nil); got != nil {
		t.Errorf("without a dataset the categories are in %v", got)
	}
}

func TestCategories(t *testing.T) {
	t.Parallel()
	c := NewCategories([]string{"GENRES", "LANGUAGE", "YEAR"})
	for _, item := range []struct {
		values map[string]any
		want   []int32
	}{
		{map[string]any{"GENRES": "Drama|Comedy"}, []int32{0, 1}},
		{map[string]any{"GENRES": "Comedy | Crime|Comedy|"}, []int32{1, 2}},
		{map[string]any{"LANGUAGE": "Crime", "YEAR": int64(1999)}, []int32{3, 4}}, // not the genre
		{map[string]any{"GENRES": "Crime", "YEAR": int64(1999)}, []int32{2, 4}},
		{map[string]any{"GENRES": ""}, nil},
		{nil, nil},
	} {
		if got := c.Of(func(column string) any { return item.values[column] }); !slices.Equal(got, item.want) {
			t.Errorf("%v has the categories %v, want %v", item.values, got, item.want)
		}
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	for k, want := range map[int]int{1: 100, 20: 100, 25: 125, 200: 1000, 500: 1000, 1500: 1500} {
		if got := Pool(k); got != want {
			t.Errorf("%d are chosen from %d, want %d", k, got, want)
		}
	}
}

// The lists are computed by hand: a letter is an item, with its score and its categories.
func TestChoose(t *testing.T) {
	t.Parallel()
	type item struct {
		score      float32
		categories string
	}
	for _, c := range []struct {
		name   string
		weight float64
		pool   []item
		k      int
		want   string
	}{
		// b: 0.6·0.9 - 0.4·1 = 0.14, c: 0.
		{"a likeness that is worth it", 0.4, []item{{10, "x"}, {9, "x"}, {0, "y"}}, 3, "abc"},
		// b: 0.5·0.9 - 0.5·1 = -0.05, c: 0.
		{"a likeness that is not", 0.5, []item{{10, "x"}, {9, "x"}, {0, "y"}}, 3, "acb"},
		{"only as many as wanted", 0.5, []item{{10, "x"}, {9, "x"}, {0, "y"}}, 2, "ac"},
		{"none wanted", 0.5, []item{{10, "x"}, {9, "x"}, {0, "y"}}, 0, ""},
		{"more wanted than there are", 0.5, []item{{10, "x"}, {9, "x"}}, 5, "ab"},
		{"nothing to choose from", 0.5, nil, 5, ""},
		{"no weight", 0, []item{{10, "x"}, {9, "x"}, {0, "y"}}, 3, "abc"},
		// b: 0.5·0.8 - 0.5/3 = 0.233, c: 0.5·0.6 = 0.3, d: 0.
		{"partly alike", 0.5, []item{{10, "xy"}, {8, "yz"}, {6, "v"}, {0, "w"}}, 4, "acbd"},
		// b: 0.5·0.8 - 0.5/3 = 0.233, c: 0.5·0.75 - 0.5/4 = 0.25; categories that only one of two has make them less
		// alike.
		{"categories that only one has", 0.5, []item{{10, "xy"}, {8, "xv"}, {7.5, "yzu"}, {0, "xy"}}, 4, "acbd"},
		// After a and b, c: 0.5·0.8 - 0.5·1 = -0.1, d: 0.05, e: 0. On average, or going by a alone, c would come first.
		{"the most similar counts, which is the newest", 0.5, []item{{10, "x"}, {9, "y"}, {8, "y"}, {1, "z"}, {0, ""}}, 5, "abdec"},
		{"the most similar counts, which is the oldest", 0.5, []item{{10, "x"}, {9, "y"}, {8, "x"}, {1, "z"}, {0, ""}}, 5, "abdec"},
		{"items without categories resemble nothing", 0.9, []item{{10, ""}, {9, ""}, {8, ""}, {0, ""}}, 4, "abcd"},
		{"all are alike", 0.9, []item{{10, "x"}, {9, "x"}, {8, "x"}, {0, "x"}}, 4, "abcd"},
		{"all are equally relevant", 0.5, []item{{3, "x"}, {3, "x"}, {3, "y"}, {3, "xy"}}, 4, "acdb"},
		// Only the likeness counts; the best is the first of equal ones.
		{"the whole weight", 1, []item{{10, "x"}, {9, "x"}, {8, "xy"}, {0, "z"}}, 4, "adcb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var pool []int32
			var scores []float32
			for place, i := range c.pool {
				pool = append(pool, int32(place))
				scores = append(scores, i.score)
			}
			sets := NewCategories([]string{"C"})
			categories := func(item int32) []int32 {
				return sets.Of(func(string) any { return strings.Join(strings.Split(c.pool[item].categories, ""), "|") })
			}
			got := ""
			for _, place := range (Settings{Weight: c.weight}).Choose(pool, scores, categories, c.k) {
				got += string(rune('a' + place))
			}
			if got != c.want {
				t.Errorf("chose %q, want %q", got, c.want)
			}
		})
	}
}

// randomPool is a pool with few different scores, so that there are ties, and up to three of five categories an item.
func randomPool(random *rand.Rand, n int) (pool []int32, scores []float32, sets [][]int32) {
	scores, sets = make([]float32, n), make([][]int32, n)
	for item := range scores {
		scores[item] = float32(random.IntN(8)) / 2
		for category := range int32(5) {
			if len(sets[item]) < 3 && random.IntN(3) == 0 {
				sets[item] = append(sets[item], category)
			}
		}
	}
	return model.TopK(scores, n, nil), scores, sets
}

func TestWhatHoldsForAnyPool(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		pool, scores, sets := randomPool(random, 1+random.IntN(40))
		categories := func(item int32) []int32 { return sets[item] }
		k := 1 + random.IntN(len(pool))
		weight := random.Float64()
		chosen := Settings{Weight: weight}.Choose(pool, scores, categories, len(pool))
		if places := slices.Sorted(slices.Values(chosen)); !slices.Equal(places, upTo(len(pool))) {
			t.Fatalf("weight %g: chose the places %v of %d", weight, chosen, len(pool))
		}
		if chosen[0] != 0 {
			t.Fatalf("weight %g: the best item does not come first, but that at %d", weight, chosen[0])
		}
		if short := (Settings{Weight: weight}).Choose(pool, scores, categories, k); !slices.Equal(short, chosen[:k]) {
			t.Fatalf("weight %g: the first %d of %v are %v", weight, k, chosen, short)
		}
		if same := (Settings{}).Choose(pool, scores, categories, k); !slices.Equal(same, upTo(k)) {
			t.Fatalf("without weight the order is %v", same)
		}
		if naive := naively(weight, pool, scores, sets); !slices.Equal(chosen, naive) {
			t.Fatalf("weight %g, scores %v, categories %v: chose %v of %v, the definition %v", weight, scores, sets, chosen, pool, naive)
		}
	}
}

func upTo(n int) []int {
	places := make([]int, n)
	for i := range places {
		places[i] = i
	}
	return places
}

// naively is the definition: each item left is compared with each one chosen.
func naively(weight float64, pool []int32, scores []float32, sets [][]int32) (chosen []int) {
	best, worst := float64(scores[pool[0]]), float64(scores[pool[len(pool)-1]])
	for range pool {
		next, highest := -1, 0.0
		for place, item := range pool {
			if slices.Contains(chosen, place) {
				continue
			}
			relevance := 1.0
			if best > worst {
				relevance = (float64(scores[item]) - worst) / (best - worst)
			}
			similarity := 0.0
			for _, other := range chosen {
				similarity = max(similarity, jaccard(sets[item], sets[pool[other]]))
			}
			if marginal := float64((1-weight)*relevance) - float64(weight*similarity); next < 0 || marginal > highest {
				next, highest = place, marginal
			}
		}
		chosen = append(chosen, next)
	}
	return chosen
}

func jaccard(a, b []int32) float64 {
	both := 0
	for _, category := range a {
		if slices.Contains(b, category) {
			both++
		}
	}
	if both == 0 {
		return 0
	}
	return float64(both) / float64(len(a)+len(b)-both)
}

// The lists of a request, by default and at most, as of films with three of twenty genres.
func BenchmarkChoose(b *testing.B) {
	for _, k := range []int{25, 500} {
		b.Run(fmt.Sprint(k), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			n := Pool(k)
			scores, sets := make([]float32, n), make([][]int32, n)
			for item := range scores {
				scores[item] = float32(random.NormFloat64())
				for _, category := range random.Perm(20)[:3] {
					sets[item] = append(sets[item], int32(category))
				}
			}
			pool := model.TopK(scores, n, nil)
			b.ReportAllocs()
			for b.Loop() {
				Settings{Weight: 0.3}.Choose(pool, scores, func(item int32) []int32 { return sets[item] }, k)
			}
		})
	}
}
