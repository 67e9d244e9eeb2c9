// Package sims is the model of aws-sims: for each item, the items that the same users interacted with. The number of
// users who share two items is shrunk, because few users prove little, and discounted by both items' popularity,
// because what everybody has is related to nothing: Koren, Bell: "Advances in Collaborative Filtering" (Recommender
// Systems Handbook, 2011), section 5.1, gives the shrinkage; a discount of 0.5 is the cosine of Sarwar et al.,
// "Item-based collaborative filtering recommendation algorithms" (WWW 2001), section 3.1.
package sims

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/related"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

const (
	// shrinkage pulls the scores of pairs that few users share towards zero, as if that many had shared neither.
	shrinkage = 10
	// alwaysLooked is how many users of an item are looked at in any case: in sparse data the percentile alone is too
	// low.
	alwaysLooked = 500
	// maxHistory bounds the work of one user, which grows with the square of what they have.
	maxHistory = 1000
)

// Config holds the recipe's parameters.
type Config struct {
	// PopularityDiscount is the exponent of both items' number of users under the number that they share: 0 counts
	// shared users alone and favours popular items, 1 divides by what popularity alone would give.
	PopularityDiscount float64
	// MinCointeractions is how many users two items must share to be related.
	MinCointeractions int
	// Users leaves out very short and very long histories.
	Users model.Percentiles
	// Items leaves out items with few users. An item with many stays, but no more of its users than the upper
	// percentile are looked at for its related items: that bounds the work on popular items and costs little, while
	// leaving them out would keep what most people look for out of every list.
	Items   model.Percentiles
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// kind names the model's part.
const kind = "sims"

// Load decodes the parts of a model.
var Load = related.Load(kind)

// Train counts shared users.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*related.Model, error) {
	t := newTrainer(model.NewMatrix(ts, model.MatrixOptions{Users: c.Users, MaxHistory: maxHistory}), c)
	if ts.Weight != nil {
		t.weigh()
	}
	if err := t.run(ctx); err != nil {
		return nil, fmt.Errorf("counting shared users: %w", err)
	}
	return related.New(kind, t.matrix.Items, t.related), nil
}

// trainer relates one item after the other; nothing is shared between them but what is read.
type trainer struct {
	config Config
	matrix *model.Matrix
	start  []int // the rows that hold each item, one row a user
	row    []int32
	// In a training set that weighs interactions, strength is what matrix.Weight counts for, own the same by item, like
	// row, and degree its sum over an item's users; else all are nil, and each user counts 1.
	strength, own []float32
	degree        []float64
	// atLeast and atMost bound the users of an item.
	atLeast, atMost int
	related         [][]related.Neighbour
}

func newTrainer(matrix *model.Matrix, c Config) *trainer {
	t := &trainer{config: c, matrix: matrix, related: make([][]related.Neighbour, matrix.Items.Len())}
	t.start, t.row, _ = matrix.Transposed()
	var sizes []int
	for i := range t.related {
		if n := t.users(i); n > 0 {
			sizes = append(sizes, n)
		}
	}
	t.atLeast, t.atMost = c.Items.Bounds(sizes)
	t.atMost = max(t.atMost, alwaysLooked)
	return t
}

// weigh lets a user count for an item as much as their interactions with it weigh, and for two items as much as the
// product of both: 1 at most, because one who comes back is still one user.
func (t *trainer) weigh() {
	_, _, own := t.matrix.Transposed()
	t.strength, t.own = atMostOne(t.matrix.Weight), atMostOne(own)
	t.degree = make([]float64, len(t.related))
	for i := range t.degree {
		for _, w := range t.own[t.start[i]:t.start[i+1]] {
			t.degree[i] += float64(w)
		}
	}
}

func atMostOne(weights []float32) []float32 {
	strength := make([]float32, len(weights))
	for k, w := range weights {
		strength[k] = min(w, 1)
	}
	return strength
}

// userWeight is the number of an item's users, or what they weigh.
func (t *trainer) userWeight(item int) float64 {
	if t.degree == nil {
		return float64(t.users(item))
	}
	return t.degree[item]
}

func (t *trainer) users(item int) int { return t.start[item+1] - t.start[item] }

func (t *trainer) run(ctx context.Context) error {
	threads := model.Threads(t.config.Threads)
	workers := make([]scratch, threads)
	total := 0
	for i := range t.matrix.Items.Len() {
		total += t.cost(i)
	}
	progress := model.NewProgress(total, t.config.Progress)
	return model.Blocks(ctx, t.matrix.Items.Len(), 64, threads, func(worker, from, to int) {
		s := &workers[worker]
		if s.shared == nil {
			s.shared = make([]int32, t.matrix.Items.Len())
			if t.strength != nil {
				s.weight = make([]float32, t.matrix.Items.Len())
			}
		}
		done := 0
		for i := from; i < to; i++ {
			if t.users(i) >= t.atLeast {
				t.related[i] = t.relate(i, s)
			}
			done += t.cost(i)
		}
		progress(done)
	})
}

// cost is how much work an item is, for the progress: the interactions of its users are counted, and for each item that
// these have there is a score. Popular items come first and cost most, so that their number says little.
func (t *trainer) cost(item int) int {
	if t.users(item) < t.atLeast {
		return 1
	}
	counted := min(t.users(item), t.atMost) * (1 + len(t.matrix.Item)/max(t.matrix.Rows(), 1))
	return 1 + counted + scored*min(counted, t.matrix.Items.Len())
}

// scored is how many interactions are counted in the time of one score, as measured.
const scored = 8

// scratch belongs to one worker.
type scratch struct {
	// shared counts, for each other item, the users that it shares with the one in hand; touched lists those above
	// zero.
	shared  []int32
	touched []int32
	// weight is what these users weigh, in a training set that weighs interactions.
	weight []float32
	scores []float32
}

func (t *trainer) relate(item int, s *scratch) []related.Neighbour {
	s.touched = s.touched[:0]
	rows := t.row[t.start[item]:t.start[item+1]]
	looked := min(len(rows), t.atMost)
	for k := range looked {
		at := len(rows) * k / looked
		for _, j := range t.matrix.Row(int(rows[at])) {
			if s.shared[j] == 0 {
				s.touched = append(s.touched, j)
			}
			s.shared[j]++
		}
		if t.strength != nil {
			s.addWeights(t, t.start[item]+at)
		}
	}
	users := t.userWeight(item) * float64(looked) / float64(max(len(rows), 1))
	s.sortTouched() // so that a tie goes to the more popular item
	s.scores = s.scores[:0]
	for _, j := range s.touched {
		score := float32(0)
		if int(j) != item && t.users(int(j)) >= t.atLeast && int(s.shared[j]) >= t.config.MinCointeractions {
			score = t.score(users, t.userWeight(int(j)), s.sharedWeight(j))
		}
		s.scores = append(s.scores, score)
		s.forget(j)
	}
	best := model.TopK(s.scores, related.MaxNeighbours, func(i int) bool { return s.scores[i] <= 0 })
	neighbours := make([]related.Neighbour, len(best))
	for k, b := range best {
		neighbours[k] = related.Neighbour{Item: s.touched[b], Score: s.scores[b]}
	}
	return neighbours
}

// addWeights adds what the user of one place among an item's rows weighs for all of their items.
func (s *scratch) addWeights(t *trainer, at int) {
	r, own := t.row[at], t.own[at]
	for k := t.matrix.Start[r]; k < t.matrix.Start[r+1]; k++ {
		s.weight[t.matrix.Item[k]] += own * t.strength[k]
	}
}

// sharedWeight is the number of users that an item shares with the one in hand, or what they weigh.
func (s *scratch) sharedWeight(item int32) float64 {
	if s.weight == nil {
		return float64(s.shared[item])
	}
	return float64(s.weight[item])
}

func (s *scratch) forget(item int32) {
	s.shared[item] = 0
	if s.weight != nil {
		s.weight[item] = 0
	}
}

// sortTouched orders the touched items; when they are many, reading them off the counters is cheaper than sorting.
func (s *scratch) sortTouched() {
	if len(s.touched) < len(s.shared)/16 {
		slices.Sort(s.touched)
		return
	}
	s.touched = s.touched[:0]
	for j, n := range s.shared {
		if n > 0 {
			s.touched = append(s.touched, int32(j))
		}
	}
}

// score relates two items with so many users, of whom so many are shared.
func (t *trainer) score(users, others, shared float64) float32 {
	return float32(shared / (shared + shrinkage) * shared / math.Pow(users*others, t.config.PopularityDiscount))
}
