// Package related is what the models of related items have in common once they are trained: for each item a short list
// of others with scores. The packages sims, similar and semantic make such lists, each in its own way; looking one up
// costs nothing, so these recipes are fast whatever their training.
package related

import (
	"fmt"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
)

// MaxNeighbours is how many related items are kept of each item at most. Answers that need more go on with popular
// items.
const MaxNeighbours = 200

// Neighbour is a related item: its index in the catalogue, and how much it is related, which is more than zero.
type Neighbour struct {
	Item  int32
	Score float32
}

// Model holds the related items of each item. It implements model.Model.
type Model struct {
	kind  string
	items *model.Items
	// start, of length items+1, says where in item and score an item's neighbours stand; they are ascending by index.
	start []int
	item  []int32
	// score is positive.
	score []float32
}

// New makes a model of the neighbours of each item, in any order, at most MaxNeighbours each; it sorts them. The kind
// names its part.
func New(kind string, items *model.Items, neighbours [][]Neighbour) *Model {
	m := &Model{kind: kind, items: items, start: make([]int, 1, len(neighbours)+1)}
	for _, list := range neighbours {
		slices.SortFunc(list, func(a, b Neighbour) int { return int(a.Item - b.Item) })
		for _, n := range list {
			m.item, m.score = append(m.item, n.Item), append(m.score, n.Score)
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

const version = 1

// Parts encodes the model: the number of neighbours of each item, then their indices and their scores.
func (m *Model) Parts() ([]model.Part, error) {
	w := codec.NewWriter(m.kind, version)
	sizes := make([]int64, m.items.Len())
	for i := range sizes {
		sizes[i] = int64(m.start[i+1] - m.start[i])
	}
	w.Uvarints(sizes)
	w.Int32s(m.item)
	w.Float32s(m.score)
	return []model.Part{model.EncodeItems(m.items), {Name: m.kind, Data: w.Bytes()}}, nil
}

// Load returns the function that decodes the parts of a model of the kind.
func Load(kind string) func(parts map[string][]byte) (*Model, error) {
	return func(parts map[string][]byte) (*Model, error) {
		items, err := model.DecodeItems(parts)
		if err != nil {
			return nil, err
		}
		r := codec.NewReader(parts[kind], kind, version)
		m := &Model{kind: kind, items: items, start: make([]int, 1, items.Len()+1)}
		total := 0
		for _, size := range r.Uvarints(items.Len()) {
			if size > MaxNeighbours {
				r.Fail("an item has %d neighbours", size)
				break
			}
			total += int(size)
			m.start = append(m.start, total)
		}
		m.item = r.Int32s(total, items.Len())
		m.score = r.Float32s(total)
		if err := r.Close(); err != nil {
			return nil, fmt.Errorf("decoding related items: %w", err)
		}
		return m, nil
	}
}
