package eval

import (
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// rewardedLength is how many recommendations the rewards are looked for in.
const rewardedLength = 100

// rewards is the metric average_rewards_at_k of a training set with an objective. Of the 100 recommendations of a test
// user the 25 with the highest rewards are taken; their value is what the hits among these bring in, over what all hits
// among the 100 do. The metric is the mean over the users whose hits bring in anything, 0 if there is none.
type rewards struct {
	set   *trainingset.Set
	users int
	sum   float64
}

func newRewards(ts *trainingset.Set) *rewards {
	if ts.Reward == nil {
		return nil
	}
	return &rewards{set: ts}
}

// add takes one user's list and which positions of it were hits.
func (r *rewards) add(items *model.Items, list []int32, hits []bool) {
	if r == nil {
		return
	}
	order := make([]int, len(list))
	values := make([]float32, len(list))
	total := 0.0
	for p, item := range list {
		order[p], values[p] = p, r.of(items.ID(int(item)))
		if hits[p] {
			total += float64(values[p])
		}
	}
	if total == 0 {
		return
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case values[a] > values[b]:
			return -1
		case values[a] < values[b]:
			return 1
		}
		return 0
	})
	earned := 0.0
	for _, p := range order[:min(listLength, len(order))] {
		if hits[p] {
			earned += float64(values[p])
		}
	}
	r.users++
	r.sum += earned / total
}

func (r *rewards) of(id string) float32 {
	if i, known := slices.BinarySearch(r.set.Items, id); known {
		return r.set.Reward[i]
	}
	return 0
}

func (r *rewards) average() float64 {
	return r.sum / float64(max(r.users, 1))
}
