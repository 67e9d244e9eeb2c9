package recommender

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"github.com/penchant-io/penchant/pkg/model"
)

// buffers lends score vectors, so that a request does not allocate one as long as the catalogue.
type buffers struct{ pool sync.Pool }

// get returns a vector of n scores with arbitrary content.
func (b *buffers) get(n int) *[]float32 {
	if scores, ok := b.pool.Get().(*[]float32); ok && cap(*scores) >= n {
		*scores = (*scores)[:n]
		return scores
	}
	scores := make([]float32, n)
	return &scores
}

func (b *buffers) put(scores *[]float32) { b.pool.Put(scores) }

// sharesOf gives the softmax over the whole catalogue for the picked items: exp(s_i) / Σ_j exp(s_j), relative to the largest
// score so that nothing overflows. Only the picked ones are divided; the sum runs over all.
func sharesOf(scores []float32, picks []pick) []float64 {
	shares := make([]float64, len(picks))
	if len(picks) == 0 {
		return shares
	}
	top := model.Never
	for _, s := range scores {
		if s > top {
			top = s
		}
	}
	sum := 0.0
	for _, s := range scores {
		sum += math.Exp(float64(s - top))
	}
	for i, p := range picks {
		if p.item >= 0 {
			shares[i] = math.Exp(float64(scores[p.item]-top)) / sum
		}
	}
	return shares
}

// divide parts a list into the catalogue's indices of known items and the ids of unknown ones, each once and in the order
// of the list.
func divide(catalogue *model.Items, list []string) (known []int32, unknown []string) {
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

// rank orders items by descending score, of equal ones the more popular first, and gives each its share in the softmax
// over the list.
func rank(scores []float32, items []int32) ([]int32, []float64) {
	slices.SortFunc(items, func(a, b int32) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	list := make([]float32, len(items))
	for i, item := range items {
		list[i] = scores[item]
	}
	model.Softmax(list)
	shares := make([]float64, len(list))
	for i, share := range list {
		shares[i] = float64(share)
	}
	return items, shares
}
