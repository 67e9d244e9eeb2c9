// Package sims is the model of aws-sims: for each item, the items that the same users interacted with. The number of users
// who share two items is shrunk, because few users prove little, and discounted by both items' popularity, because what
// everybody has is related to nothing: Koren, Bell: "Advances in Collaborative Filtering" (Recommender Systems Handbook,
// 2011), section 5.1, gives the shrinkage; a discount of 0.5 is the cosine of Sarwar et al., "Item-based collaborative
// filtering recommendation algorithms" (WWW 2001), section 3.1.
package sims

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
)

const (
	// neighbours is how many related items are kept of each item. Answers that need more go on with popular items.
	neighbours = 200
	// shrinkage pulls the scores of pairs that few users share towards zero, as if that many had shared neither.
	shrinkage = 10
	// alwaysLooked is how many users of an item are looked at in any case: in sparse data the percentile alone is too low.
	alwaysLooked = 500
	// maxHistory bounds the work of one user, which grows with the square of what he has.
	maxHistory = 1000
)

// Config holds the recipe's parameters.
type Config struct {
	// PopularityDiscount is the exponent of both items' number of users under the number that they share: 0 counts shared
	// users alone and favours popular items, 1 divides by what popularity alone would give.
	PopularityDiscount float64
	// MinCointeractions is how many users two items must share to be related.
	MinCointeractions int
	// Users leaves out very short and very long histories.
	Users model.Percentiles
	// Items leaves out items with few users. An item with many stays, but no more of its users than the upper percentile
	// are looked at for its related items: that bounds the work on popular items and costs little, while leaving them out
	// would keep what most people look for out of every list.
	Items   model.Percentiles
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// Model holds the related items of each item. It implements model.Model.
type Model struct {
	items *model.Items
	// start, of length items+1, says where in item and score an item's neighbours stand; they are ascending by index.
	start []int
	item  []int32
	// score is positive.
	score []float32
}

// Train counts shared users.
func Train(ctx context.Context, ts *dataset.TrainingSet, c Config) (*Model, error) {
	t := newTrainer(model.NewMatrix(ts, model.MatrixOptions{Users: c.Users, MaxHistory: maxHistory}), c)
	if err := t.run(ctx); err != nil {
		return nil, fmt.Errorf("counting shared users: %w", err)
	}
	return t.model(), nil
}

// trainer relates one item after the other; nothing is shared between them but what is read.
type trainer struct {
	config Config
	matrix *model.Matrix
	start  []int // the rows that hold each item, one row a user
	row    []int32
	// atLeast and atMost bound the users of an item.
	atLeast, atMost int
	related         [][]neighbour
}

type neighbour struct {
	item  int32
	score float32
}

func newTrainer(matrix *model.Matrix, c Config) *trainer {
	t := &trainer{config: c, matrix: matrix, related: make([][]neighbour, matrix.Items.Len())}
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

func (t *trainer) users(item int) int { return t.start[item+1] - t.start[item] }

func (t *trainer) run(ctx context.Context) error {
	threads := model.Threads(t.config.Threads)
	workers := make([]scratch, threads)
	progress := model.NewProgress(t.matrix.Items.Len(), t.config.Progress)
	return model.Blocks(ctx, t.matrix.Items.Len(), 64, threads, func(worker, from, to int) {
		s := &workers[worker]
		if s.shared == nil {
			s.shared = make([]int32, t.matrix.Items.Len())
		}
		for i := from; i < to; i++ {
			if t.users(i) >= t.atLeast {
				t.related[i] = t.relate(i, s)
			}
		}
		progress(to - from)
	})
}

// scratch belongs to one worker.
type scratch struct {
	// shared counts, for each other item, the users that it shares with the one in hand; touched lists those above zero.
	shared  []int32
	touched []int32
	scores  []float32
}

func (t *trainer) relate(item int, s *scratch) []neighbour {
	s.touched = s.touched[:0]
	rows := t.row[t.start[item]:t.start[item+1]]
	looked := min(len(rows), t.atMost)
	for k := range looked {
		for _, j := range t.matrix.Row(int(rows[len(rows)*k/looked])) {
			if s.shared[j] == 0 {
				s.touched = append(s.touched, j)
			}
			s.shared[j]++
		}
	}
	s.sortTouched() // so that a tie goes to the more popular item
	s.scores = s.scores[:0]
	for _, j := range s.touched {
		score := float32(0)
		if int(j) != item && t.users(int(j)) >= t.atLeast && int(s.shared[j]) >= t.config.MinCointeractions {
			score = t.score(looked, t.users(int(j)), int(s.shared[j]))
		}
		s.scores = append(s.scores, score)
		s.shared[j] = 0
	}
	best := model.TopK(s.scores, neighbours, func(i int) bool { return s.scores[i] <= 0 })
	related := make([]neighbour, len(best))
	for k, b := range best {
		related[k] = neighbour{item: s.touched[b], score: s.scores[b]}
	}
	slices.SortFunc(related, func(a, b neighbour) int { return int(a.item - b.item) })
	return related
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
func (t *trainer) score(users, others, shared int) float32 {
	n := float64(shared)
	return float32(n / (n + shrinkage) * n / math.Pow(float64(users)*float64(others), t.config.PopularityDiscount))
}

func (t *trainer) model() *Model {
	m := &Model{items: t.matrix.Items, start: make([]int, 1, len(t.related)+1)}
	for _, related := range t.related {
		for _, n := range related {
			m.item, m.score = append(m.item, n.item), append(m.score, n.score)
		}
		m.start = append(m.start, len(m.item))
	}
	return m
}

// Items is the catalogue.
func (m *Model) Items() *model.Items { return m.items }

// Score gives the related items of the query's item positive scores, all others zero, so that popular items follow; the
// item itself is never recommended. For an unknown item everything is zero: popular items alone.
func (m *Model) Score(q model.Query, scores []float32) error {
	if err := model.CheckScores(m.items, scores); err != nil {
		return err
	}
	clear(scores)
	item, ok := m.items.Index(q.ItemID)
	if !ok {
		return nil
	}
	for k := m.start[item]; k < m.start[item+1]; k++ {
		scores[m.item[k]] = m.score[k]
	}
	scores[item] = model.Never
	return nil
}
