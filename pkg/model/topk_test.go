package model

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestTopK(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	for _, c := range []struct {
		name   string
		scores []float32
		k      int
		skip   func(int) bool
		want   []int32
	}{
		{"best first", []float32{1, 3, 2}, 2, nil, []int32{1, 2}},
		{"the lower index wins ties", []float32{1, 2, 2, 2, 1}, 4, nil, []int32{1, 2, 3, 0}},
		{"all alike", []float32{0, 0, 0, 0}, 2, nil, []int32{0, 1}},
		{"fewer than wanted", []float32{1, 2}, 5, nil, []int32{1, 0}},
		{"none wanted", []float32{1, 2}, 0, nil, nil},
		{"no items", nil, 3, nil, nil},
		{"negative scores", []float32{-3, -1, -2}, 2, nil, []int32{1, 2}},
		{"skipped items", []float32{5, 4, 3, 2}, 2, func(i int) bool { return i%2 == 0 }, []int32{1, 3}},
		{"everything skipped", []float32{5, 4}, 2, func(int) bool { return true }, []int32{}},
		{"never and not a number", []float32{Never, 1, nan, 2, Never}, 5, nil, []int32{3, 1}},
		{"plus infinity", []float32{1, float32(math.Inf(1)), 2}, 2, nil, []int32{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := TopK(c.scores, c.k, c.skip); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestTopKEqualsSorting(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		scores := make([]float32, random.IntN(200))
		all := make([]int32, len(scores))
		for i := range scores {
			scores[i], all[i] = float32(random.IntN(20)), int32(i) // many ties
		}
		slices.SortFunc(all, func(a, b int32) int {
			return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
		})
		k := random.IntN(50)
		if got, want := TopK(scores, k, nil), all[:min(k, len(all))]; !slices.Equal(got, want) {
			t.Fatalf("top %d of %v: got %v, want %v", k, scores, got, want)
		}
	}
}

func TestSoftmax(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		scores, want []float32
	}{
		{"by hand", []float32{0, float32(math.Log(3))}, []float32{0.25, 0.75}},
		{"alike", []float32{5, 5, 5, 5}, []float32{0.25, 0.25, 0.25, 0.25}},
		{"large scores do not overflow", []float32{1e30, 1e30, 0}, []float32{0.5, 0.5, 0}},
		{"never gets nothing", []float32{Never, 1, 1}, []float32{0, 0.5, 0.5}},
		{"nothing but never", []float32{Never, Never}, []float32{0, 0}},
		{"empty", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := slices.Clone(c.scores)
			Softmax(got)
			for i := range got {
				if math.Abs(float64(got[i]-c.want[i])) > 1e-6 {
					t.Fatalf("got %v, want %v", got, c.want)
				}
			}
		})
	}
}

func BenchmarkTopK(b *testing.B) {
	for _, n := range []int{3416, 100_000} {
		random := rand.New(rand.NewPCG(1, 1))
		scores := make([]float32, n)
		for i := range scores {
			scores[i] = float32(random.NormFloat64())
		}
		for _, k := range []int{25, 500} {
			b.Run(fmt.Sprintf("items=%d/k=%d", n, k), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					TopK(scores, k, nil)
				}
			})
		}
	}
}
