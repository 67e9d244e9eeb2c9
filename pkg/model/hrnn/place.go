package hrnn

import (
	"context"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/simd"
)

// place gives each of the cold items, of which no interaction was learned from, the mean of the vectors and biases of those that
// are most like it by their metadata: a mapping of attributes to factors by nearest neighbours (Gantner, Drumond,
// Freudenthaler, Rendle, Schmidt-Thieme, "Learning attribute-to-feature mappings for cold-start recommendations", ICDM 2010,
// section III.A). learned is from how many interactions an item was learned. Items that are like none stay as they are.
func (n *network) place(ctx context.Context, ts *dataset.TrainingSet, items *model.Items, cold []int32, learned func(item int32) int64, threads int) error {
	if len(cold) == 0 || !content.Has(ts, content.Category, content.Number) {
		return nil
	}
	metadata, err := content.Train(ctx, ts, content.DefaultConfig())
	if err != nil {
		return err
	}
	// An item that is not in the set any more has no metadata, and one that is has a number in the catalogue.
	back := make([]int32, metadata.Items().Len())
	for i := range back {
		at, _ := items.Index(metadata.Items().ID(i))
		back[i] = int32(at)
	}
	sought := make([]int32, len(cold))
	for k, item := range cold {
		sought[k] = -1
		if at, known := metadata.Items().Index(items.ID(int(item))); known {
			sought[k] = int32(at)
		}
	}
	likes, err := metadata.Likes(ctx, sought, func(item int32) int64 { return learned(back[item]) }, threads)
	if err != nil {
		return err
	}
	for k, item := range cold {
		columns, shares := likes.Row(k)
		if len(columns) == 0 {
			continue
		}
		input, output := at(n.inputs, int(item), n.dim), at(n.outputs, int(item), n.dim)
		clear(input)
		clear(output)
		n.bias[item] = 0
		for c, column := range columns {
			like := int(back[column])
			simd.Axpy(shares[c], at(n.inputs, like, n.dim), input)
			simd.Axpy(shares[c], at(n.outputs, like, n.dim), output)
			n.bias[item] += shares[c] * n.bias[like]
		}
	}
	return nil
}
