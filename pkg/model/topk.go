package model

import (
	"math"
	"slices"
)

// TopK is the k best indices of scores, best first; of equal scores the lower index comes first, which is popularity
// and then id in a model's catalogue. Items for which skip reports true are left out (nil skips none), as are scores of
// minus infinity and NaN. The result is shorter than k only when nothing else is left.
//
// It is one pass with a heap of the best k so far: an item that does not beat the worst of them costs one comparison,
// and skip is asked only about items that would enter the list.
func TopK(scores []float32, k int, skip func(i int) bool) []int32 {
	k = min(k, len(scores))
	if k <= 0 {
		return nil
	}
	worst := worstFirst{scores: scores, heap: make([]int32, 0, k)}
	i := 0
	for ; i < len(scores) && len(worst.heap) < k; i++ {
		if s := scores[i]; s > Never && (skip == nil || !skip(i)) {
			worst.heap = append(worst.heap, int32(i))
		}
	}
	worst.build()
	if len(worst.heap) == k {
		threshold := scores[worst.heap[0]]
		for ; i < len(scores); i++ {
			// An equal score loses to all that are in the heap: their indices are lower.
			if s := scores[i]; s > threshold && (skip == nil || !skip(i)) {
				worst.replaceRoot(int32(i))
				threshold = scores[worst.heap[0]]
			}
		}
	}
	slices.SortFunc(worst.heap, func(a, b int32) int {
		if worst.better(a, b) {
			return -1
		}
		return 1
	})
	return worst.heap
}

// worstFirst is a binary heap of item indices with the worst of them at the root. It is written out because
// container/heap's interface calls cost three times as much in the scan's hot loop.
type worstFirst struct {
	scores []float32
	heap   []int32
}

func (w *worstFirst) better(a, b int32) bool {
	if w.scores[a] != w.scores[b] {
		return w.scores[a] > w.scores[b]
	}
	return a < b
}

func (w *worstFirst) build() {
	for i := len(w.heap)/2 - 1; i >= 0; i-- {
		w.sink(i)
	}
}

func (w *worstFirst) replaceRoot(item int32) {
	w.heap[0] = item
	w.sink(0)
}

func (w *worstFirst) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(w.heap) {
			return
		}
		if right := child + 1; right < len(w.heap) && w.better(w.heap[child], w.heap[right]) {
			child = right
		}
		if w.better(w.heap[child], w.heap[i]) {
			return
		}
		w.heap[i], w.heap[child] = w.heap[child], w.heap[i]
		i = child
	}
}

// Softmax turns scores into shares that sum to 1, in place: exp(s_i) / sum_j exp(s_j), computed relative to the largest
// score so that nothing overflows. Scores of minus infinity get the share 0; if there is no other, all shares are 0.
func Softmax(scores []float32) {
	top := Never
	for _, s := range scores {
		top = max(top, s)
	}
	if math.IsInf(float64(top), -1) {
		clear(scores)
		return
	}
	sum := 0.0
	for i, s := range scores {
		e := math.Exp(float64(s - top))
		scores[i] = float32(e)
		sum += e
	}
	for i := range scores {
		scores[i] = float32(float64(scores[i]) / sum)
	}
}
