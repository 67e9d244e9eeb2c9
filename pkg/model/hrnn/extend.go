package hrnn

import (
	"slices"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
)

// Extend adds the items of a training set that the model does not know, with the zero vector and the least bias of all
// items: nobody wants them yet. What the network has learned stays as it is, and so do users' vectors; the numbers of
// interactions, by which an unknown user's items are ranked, become those of the set.
func (m *Model) Extend(ts *dataset.TrainingSet) model.Model {
	items, counts, before := model.Extended(m.items, ts)
	net, dim := m.net, m.Dim()
	net.inputs, net.outputs, net.bias = make([]float32, items.Len()*dim), make([]float32, items.Len()*dim), make([]float32, items.Len())
	least := float32(0)
	if len(m.net.bias) > 0 {
		least = slices.Min(m.net.bias)
	}
	for to, from := range before {
		if from < 0 {
			net.bias[to] = least
			continue
		}
		copy(net.inputs[to*dim:(to+1)*dim], m.net.inputs[int(from)*dim:])
		copy(net.outputs[to*dim:(to+1)*dim], m.net.outputs[int(from)*dim:])
		net.bias[to] = m.net.bias[from]
	}
	return newModel(items, counts, net)
}
