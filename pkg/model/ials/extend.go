package ials

import (
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Extend adds the items of a training set that the model does not know: like those that had no interactions at the
// training, they have the zero vector. The vectors of the others stay as they are; the numbers of interactions, by
// which an unknown user's items are ranked, become those of the set. A user's vector moves by a hair: its
// regularisation grows with the catalogue.
func (m *Model) Extend(ts *trainingset.Set) model.Model {
	items, counts, before := model.Extended(m.items, ts)
	dim := m.Dim()
	factors := make([]float32, items.Len()*dim)
	for to, from := range before {
		if from >= 0 {
			copy(factors[to*dim:(to+1)*dim], m.factors[int(from)*dim:])
		}
	}
	s := m.system
	s.others = items.Len()
	extended := newModel(items, counts, factors, s, m.fold)
	extended.temperature = m.temperature
	return extended
}
