package recommender

import (
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

// sharesOf gives the picked items' shares of the whole catalogue; an item that the model does not know has none.
func sharesOf(scores []float32, picks []pick) []float64 {
	known := make([]int32, 0, len(picks))
	for _, p := range picks {
		if p.item >= 0 {
			known = append(known, p.item)
		}
	}
	next := model.Shares(scores, known)
	shares := make([]float64, len(picks))
	for i, p := range picks {
		if p.item >= 0 {
			shares[i], next = next[0], next[1:]
		}
	}
	return shares
}
