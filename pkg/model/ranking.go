package model

import (
	"cmp"
	"math"
	"slices"
)

// Shares are the softmax over the whole catalogue of the chosen items: exp(s_i) / Σ_j exp(s_j), relative to the largest
// score so that nothing overflows. Only the chosen ones are divided; the sum runs over all.
func Shares(scores []float32, chosen []int32) []float64 {
	shares := make([]float64, len(chosen))
	if len(chosen) == 0 {
		return shares
	}
	top := Never
	for _, s := range scores {
		top = max(top, s)
	}
	sum := 0.0
	for _, s := range scores {
		sum += math.Exp(float64(s - top))
	}
	for i, item := range chosen {
		shares[i] = math.Exp(float64(scores[item]-top)) / sum
	}
	return shares
}

// Divide parts a list into the catalogue's indices of known items and the ids of unknown ones, each once and in the
// order of the list.
func Divide(catalogue *Items, list []string) (known []int32, unknown []string) {
	seen := make(map[string]struct{}, len(list))
	for _, id := range list {
		if _, again := seen[id]; again {
			continue
		}
		seen[id] = struct{}{}
		if i, ok := catalogue.Index(id); ok {
			known = append(known, int32(i))
		} else {
			unknown = append(unknown, id)
		}
	}
	return known, unknown
}

// Rank orders items by descending score, of equal ones the more popular first, and gives each its share in the softmax
// over the list.
func Rank(scores []float32, items []int32) ([]int32, []float64) {
	slices.SortFunc(items, func(a, b int32) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	list := make([]float32, len(items))
	for i, item := range items {
		list[i] = scores[item]
	}
	Softmax(list)
	shares := make([]float64, len(list))
	for i, share := range list {
		shares[i] = float64(share)
	}
	return items, shares
}
