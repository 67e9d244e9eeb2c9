package hrnn

import (
	"context"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Extend adds the items of a training set that the model does not know, among those that its Items dataset says they
// are like, or else with the zero vector and the least bias of all items: nobody wants them yet. What the network has
// learned stays as it is, and so do users' vectors; the numbers of interactions, by which an unknown user's items are
// ranked, become those of the set.
func (m *Model) Extend(ts *trainingset.Set) model.Model {
	items, counts, before := model.Extended(m.items, ts)
	net, dim := m.net, m.Dim()
	net.inputs, net.outputs, net.bias = make([]float32, items.Len()*dim), make([]float32, items.Len()*dim),
		make([]float32, items.Len())
	least := float32(0)
	if len(m.net.bias) > 0 {
		least = slices.Min(m.net.bias)
	}
	var added []int32
	for to, from := range before {
		if from < 0 {
			added = append(added, int32(to))
			net.bias[to] = least
			continue
		}
		copy(net.inputs[to*dim:(to+1)*dim], m.net.inputs[int(from)*dim:])
		copy(net.outputs[to*dim:(to+1)*dim], m.net.outputs[int(from)*dim:])
		net.bias[to] = m.net.bias[from]
	}
	learned := func(item int32) int64 {
		if before[item] < 0 {
			return 0
		}
		return m.counts[before[item]]
	}
	// Without a context that ends, this does not fail; if it did, the new items would be like none.
	_ = net.place(context.Background(), ts, items, placing{added, learned}, 0)
	return newModel(items, counts, net)
}
