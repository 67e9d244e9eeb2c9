package hrnn

import (
	"context"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/simd"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// place gives each of the cold items, of which no interaction was learned from, the mean of the vectors and biases of
// those that are most like it by their metadata: a mapping of attributes to factors by nearest neighbours (Gantner,
// Drumond, Freudenthaler, Rendle, Schmidt-Thieme, "Learning attribute-to-feature mappings for cold-start
// recommendations", ICDM 2010, section III.A). learned is from how many interactions an item was learned. Items that
// are like none stay as they are.
func (n *network) place(
	ctx context.Context, ts *trainingset.Set, items *model.Items, cold []int32, learned func(item int32) int64,
	threads int,
) error {
	if len(cold) == 0 || !content.Has(ts, content.Category, content.Number) {
		return nil
	}
	metadata, err := content.Train(ctx, ts, content.DefaultConfig())
	if err != nil {
		return err
	}
	likes, err := metadata.Likes(ctx, items, cold, learned, threads)
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
		for c, like := range columns {
			simd.Axpy(shares[c], at(n.inputs, int(like), n.dim), input)
			simd.Axpy(shares[c], at(n.outputs, int(like), n.dim), output)
			n.bias[item] += shares[c] * n.bias[like]
		}
	}
	return nil
}
