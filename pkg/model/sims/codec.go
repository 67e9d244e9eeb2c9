package sims

import (
	"fmt"

	"github.com/penchant-io/penchant/pkg/model"
)

const (
	part    = "sims"
	version = 1
)

// Parts encodes the model: the number of neighbours of each item, then their indices and their scores.
func (m *Model) Parts() ([]model.Part, error) {
	w := model.NewWriter(part, version)
	sizes := make([]int64, m.items.Len())
	for i := range sizes {
		sizes[i] = int64(m.start[i+1] - m.start[i])
	}
	w.Uvarints(sizes)
	w.Int32s(m.item)
	w.Float32s(m.score)
	return []model.Part{model.EncodeItems(m.items), {Name: part, Data: w.Bytes()}}, nil
}

// Load decodes the parts of a model.
func Load(parts map[string][]byte) (*Model, error) {
	items, err := model.DecodeItems(parts)
	if err != nil {
		return nil, err
	}
	r := model.NewReader(parts[part], part, version)
	m := &Model{items: items, start: make([]int, 1, items.Len()+1)}
	total := 0
	for _, size := range r.Uvarints(items.Len()) {
		if size > neighbours {
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
