// Package similar is the model of aws-similar-items and of the related-items use cases: items that people choose
// shortly after or before one another, and items that are alike by what the Items dataset says about them. The first is
// known of items with a history, the second of new ones too; the fewer interactions an item has, the more its metadata
// counts.
//
// Two interactions of a user are evidence for each other in proportion to one over the number of steps between them: an
// item is more like its neighbours in a visit than like what the same person chose a year ago.
package similar

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/model/related"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

const kind = "similar"

const (
	// window is how many steps apart two interactions may be.
	window = 10
	// shrinkage pulls pairs with little evidence towards zero.
	shrinkage = 5
	// warm is the number of interactions at which an item's own history and its metadata weigh alike.
	warm = 10
	// maxEvents bounds the work for an item: so many of its interactions, evenly from all, are looked at.
	maxEvents = 20_000
)

// Config holds the recipe's parameters.
type Config struct {
	// Neighbours is how many items an item's history relates it to, Attributes how many terms of metadata describe it.
	Neighbours, Attributes int
	// Content is the weight of metadata against interactions for an item that has many of them; an item that has none
	// goes by its metadata alone.
	Content float64
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// Train relates all items.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*related.Model, error) {
	items, counts := model.Popular(ts)
	// For the progress the unit of work is the surroundings of one event.
	compared := 1 + items.Len()/comparedPerEvent
	total := items.Len() * (compared + joined)
	for _, n := range counts {
		total += min(int(n), maxEvents)
	}
	progress := model.NewProgress(total, c.Progress)
	vectors := content.NewCategoryVectors(content.Categories(ts, items), c.Attributes)
	alike, err := vectors.Nearest(ctx, related.MaxNeighbours, c.Threads, func(done int) { progress(done * compared) })
	if err != nil {
		return nil, fmt.Errorf("comparing metadata: %w", err)
	}
	t := newTrainer(ts, items, counts)
	lists := make([][]related.Neighbour, items.Len())
	workers := make([]scratch, model.Threads(c.Threads))
	err = model.Blocks(ctx, items.Len(), 64, len(workers), func(worker, from, to int) {
		s := &workers[worker]
		if s.evidence == nil {
			s.evidence = make([]float64, items.Len())
		}
		done := 0
		for i := from; i < to; i++ {
			lists[i] = join(t.near(i, c.Neighbours, s), alike[i], t.contentWeight(i, c.Content))
			done += joined + min(int(counts[i]), maxEvents)
		}
		progress(done)
	})
	if err != nil {
		return nil, fmt.Errorf("relating items: %w", err)
	}
	return related.New(kind, items, lists), nil
}

// As measured, the metadata of comparedPerEvent items are compared, and the lists of an item are sorted and joined in
// as much time as the surroundings of 1 and of joined events take.
const (
	comparedPerEvent = 32
	joined           = 100
)

// Load decodes the parts of a model.
var Load = related.Load(kind)

// trainer holds the events, in catalogue numbers.
type trainer struct {
	counts []int64
	weight func(event int) float32
	item   []int32 // of each event
	user   []int32
	start  []int // by item: where its events stand in event
	event  []int32
}

func newTrainer(ts *trainingset.Set, items *model.Items, counts []int64) *trainer {
	t := &trainer{
		counts: counts, weight: ts.EventWeight, item: make([]int32, len(ts.Item)), user: make([]int32, len(ts.Item)),
		start: make([]int, items.Len()+1), event: make([]int32, len(ts.Item)),
	}
	rank := make([]int32, len(ts.Items))
	for i, id := range ts.Items {
		to, _ := items.Index(id)
		rank[i] = int32(to)
	}
	for u := range ts.Users {
		start, end := ts.UserEvents(u)
		for e := start; e < end; e++ {
			t.item[e], t.user[e] = rank[ts.Item[e]], int32(u)
			t.start[t.item[e]+1]++
		}
	}
	for i := range items.Len() {
		t.start[i+1] += t.start[i]
	}
	next := slices.Clone(t.start)
	for e, i := range t.item {
		t.event[next[i]] = int32(e)
		next[i]++
	}
	return t
}

// scratch belongs to one worker.
type scratch struct {
	evidence []float64 // by item; touched lists those above zero
	touched  []int32
	scores   []float32
}

// near is what stands around an item in the histories, with scores up to 1.
func (t *trainer) near(item, k int, s *scratch) []related.Neighbour {
	s.touched = s.touched[:0]
	events := t.event[t.start[item]:t.start[item+1]]
	looked := min(len(events), maxEvents)
	for n := range looked {
		e := int(events[len(events)*n/looked])
		for other := max(0, e-window); other <= min(e+window, len(t.item)-1); other++ {
			j := t.item[other]
			if t.user[other] != t.user[e] || int(j) == item {
				continue
			}
			if s.evidence[j] == 0 {
				s.touched = append(s.touched, j)
			}
			s.evidence[j] += float64(t.weight(e)*t.weight(other)) / math.Abs(float64(other-e))
		}
	}
	slices.Sort(s.touched) // so that a tie goes to the more popular item
	s.scores = s.scores[:0]
	for _, j := range s.touched {
		a := s.evidence[j]
		s.scores = append(s.scores, float32(a/(a+shrinkage)*a/math.Sqrt(float64(t.counts[j]))))
		s.evidence[j] = 0
	}
	best := model.TopK(s.scores, k, nil)
	list := make([]related.Neighbour, len(best))
	for n, b := range best {
		list[n] = related.Neighbour{Item: s.touched[b], Score: s.scores[b] / s.scores[best[0]]}
	}
	return list
}

// contentWeight is the weight of metadata for an item, from c up to 1.
func (t *trainer) contentWeight(item int, c float64) float32 {
	history := float64(t.counts[item]) / (float64(t.counts[item]) + warm)
	return float32(c*history + 1 - history)
}

// join adds the scores of both lists, the one for metadata weighted, and keeps the best.
func join(near, alike []related.Neighbour, weight float32) []related.Neighbour {
	sum := map[int32]float32{}
	for _, n := range near {
		sum[n.Item] += n.Score * (1 - weight)
	}
	for _, n := range alike {
		sum[n.Item] += n.Score * weight
	}
	list := make([]related.Neighbour, 0, len(sum))
	for item, score := range sum {
		if score > 0 {
			list = append(list, related.Neighbour{Item: item, Score: score})
		}
	}
	slices.SortFunc(list, func(a, b related.Neighbour) int {
		if a.Score != b.Score {
			if a.Score > b.Score {
				return -1
			}
			return 1
		}
		return int(a.Item - b.Item)
	})
	return list[:min(len(list), related.MaxNeighbours)]
}
