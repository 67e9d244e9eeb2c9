package hrnn

import (
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
)

// Extend adds the items of a training set that the model does not know: like those without interactions or metadata at the
// training, they have the zero vector, and the lowest bias that an item has. The vectors and biases of the others
// stay as they are; the numbers of interactions, by which an unknown user's items are ranked, become those of the set.
func (m *Model) Extend(ts *dataset.TrainingSet) model.Model {
	items, counts, before := model.Extended(m.items, ts)
	net, dim := m.net, m.net.dim
	net.inputs, net.outputs = make([]float32, items.Len()*dim), make([]float32, items.Len()*dim)
	net.bias = make([]float32, items.Len())
	lowest := float32(0)
	for _, bias := range m.net.bias {
		lowest = min(lowest, bias)
	}
	for to, from := range before {
		if from < 0 {
			net.bias[to] = lowest
			continue
		}
		copy(at(net.inputs, to, dim), at(m.net.inputs, int(from), dim))
		copy(at(net.outputs, to, dim), at(m.net.outputs, int(from), dim))
		net.bias[to] = m.net.bias[from]
	}
	return newModel(items, counts, net)
}
