package hrnn

import (
	"context"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/simd"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// placing names the cold items and returns from how many interactions each item was learned.
type placing struct {
	cold    []int32
	learned func(item int32) int64
}

// place gives each of the cold items, of which no interaction was learned from, the mean of the vectors and biases of
// those that are most like it by their metadata: a mapping of attributes to factors by nearest neighbours (Gantner,
// Drumond, Freudenthaler, Rendle, Schmidt-Thieme, "Learning attribute-to-feature mappings for cold-start
// recommendations", ICDM 2010, section III.A). Items that are like none stay as they are.
func (n *network) place(
	ctx context.Context, ts *trainingset.Set, items *model.Items, of placing, threads int,
) error {
	if len(of.cold) == 0 || !content.Has(ts, content.Category, content.Number) {
		return nil
	}
	metadata, err := content.Train(ctx, ts, content.DefaultConfig())
	if err != nil {
		return err
	}
	likes, err := metadata.Likes(ctx, items, of.cold, of.learned, threads)
	if err != nil {
		return err
	}
	for k, item := range of.cold {
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
