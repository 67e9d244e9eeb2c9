package nextaction

import (
	"fmt"
	"math"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/model/ials"
)

const (
	part    = "nextaction"
	version = 1
	// tastePrefix keeps the parts of the factorisation, whose catalogue is another one, apart.
	tastePrefix = "tastes-"
	// maxBase is the logit of a rate so near to 0 or 1 that no count can give it.
	maxBase = 30
)

// Parts encodes the model.
func (m *Model) Parts() ([]model.Part, error) {
	parts, err := m.tastes.Parts()
	if err != nil {
		return nil, err
	}
	for k := range parts {
		parts[k].Name = tastePrefix + parts[k].Name
	}
	w := codec.NewWriter(part, version)
	w.Float64(m.base)
	known := make([]int64, len(m.known))
	for a, k := range m.known {
		if k {
			known[a] = 1
		}
	}
	w.Uvarints(known)
	w.Float32s(m.bias)
	w.Float32s(m.past)
	w.Float32s(m.taste)
	return append(parts, model.EncodeItems(m.actions), model.Part{Name: part, Data: w.Bytes()}), nil
}

// Load decodes the parts of a model.
func Load(parts map[string][]byte) (*Model, error) {
	actions, err := model.DecodeItems(parts)
	if err != nil {
		return nil, err
	}
	tastes, err := ials.Load(map[string][]byte{
		model.ItemsPart: parts[tastePrefix+model.ItemsPart], ials.Part: parts[tastePrefix+ials.Part],
	})
	if err != nil {
		return nil, fmt.Errorf("decoding tastes: %w", err)
	}
	m := &Model{actions: actions, tastes: tastes, known: make([]bool, actions.Len())}
	r := codec.NewReader(parts[part], part, version)
	if m.base = r.Float64(); math.Abs(m.base) > maxBase {
		r.Fail("base %g", m.base)
	}
	for a, known := range r.Uvarints(actions.Len()) {
		if known > 1 {
			r.Fail("an action is neither known nor unknown")
			break
		}
		m.known[a] = known == 1
	}
	m.bias = r.Float32s(actions.Len())
	m.past = r.Float32s(pastFeatures)
	m.taste = r.Float32s(actions.Len() * tastes.Dim())
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding propensities: %w", err)
	}
	return m, nil
}
