// Package popularity is the model of aws-popularity-count: items by how many interactions they have. It personalises
// nothing; every other model is measured against it.
package popularity

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Model holds the number of interactions of each item. It implements model.Model.
type Model struct {
	items  *model.Items
	counts []int64
}

// Train counts. report may be nil.
func Train(ctx context.Context, ts *trainingset.Set, report func(done float64)) (*Model, error) {
	progress := model.NewProgress(1, report)
	items, counts := model.Popular(ts)
	progress(1)
	return &Model{items: items, counts: counts}, ctx.Err()
}

// Items is the catalogue.
func (m *Model) Items() *model.Items { return m.items }

// Score gives each item its number of interactions, whatever the query. Beyond 2^24 neighbouring counts may give equal
// scores; the order of the catalogue still ranks them.
func (m *Model) Score(_ model.Query, scores []float32) error {
	if err := model.CheckScores(m.items, scores); err != nil {
		return err
	}
	for i, n := range m.counts {
		scores[i] = float32(n)
	}
	return nil
}

const (
	part    = "popularity"
	version = 1
)

// Parts encodes the model.
func (m *Model) Parts() ([]model.Part, error) {
	w := codec.NewWriter(part, version)
	w.Uvarints(m.counts)
	return []model.Part{model.EncodeItems(m.items), {Name: part, Data: w.Bytes()}}, nil
}

// Load decodes the parts of a model.
func Load(parts map[string][]byte) (*Model, error) {
	items, err := model.DecodeItems(parts)
	if err != nil {
		return nil, err
	}
	r := codec.NewReader(parts[part], part, version)
	counts := r.Uvarints(items.Len())
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding counts: %w", err)
	}
	return &Model{items: items, counts: counts}, nil
}
