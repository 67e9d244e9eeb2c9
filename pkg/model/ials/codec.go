package ials

import (
	"fmt"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/simd"
)

const (
	// Part is the name of the part that holds the factors.
	Part    = "ials"
	version = 1
	// Limits of what a part may claim.
	maxDim         = 4096
	maxHistory     = 1 << 16
	maxSteps       = 1000
	minTemperature = 1e-6
)

// Parts encodes the model.
func (m *Model) Parts() ([]model.Part, error) {
	w := codec.NewWriter(Part, version)
	w.Len(m.system.dim)
	w.Len(m.fold.history)
	w.Len(m.fold.steps)
	w.Float64(m.fold.decay)
	w.Float64(m.system.loss.unobserved)
	w.Float64(m.system.loss.regularization)
	w.Float64(m.system.loss.exponent)
	w.Float64(m.temperature)
	w.Uvarints(m.counts)
	w.Float32s(m.system.unobserved)
	w.Float32s(m.factors)
	return []model.Part{model.EncodeItems(m.items), {Name: Part, Data: w.Bytes()}}, nil
}

// Load decodes the parts of a model.
func Load(parts map[string][]byte) (*Model, error) {
	items, err := model.DecodeItems(parts)
	if err != nil {
		return nil, err
	}
	r := codec.NewReader(parts[Part], Part, version)
	s := system{dim: r.Len(maxDim), others: items.Len()}
	if s.dim == 0 || s.dim%simd.Lanes != 0 {
		r.Fail("dimension %d is not a multiple of %d", s.dim, simd.Lanes)
	}
	fold := foldConfig{history: r.Len(maxHistory), steps: r.Len(maxSteps)}
	fold.decay = r.Float64()
	s.loss.unobserved = r.Float64()
	s.loss.regularization = r.Float64()
	s.loss.exponent = r.Float64()
	temperature := r.Float64()
	if min(fold.decay, s.loss.unobserved, s.loss.regularization, s.loss.exponent) < 0 || fold.decay > 1 {
		r.Fail("a weight is out of range")
	}
	if temperature < minTemperature {
		r.Fail("temperature %g", temperature)
	}
	counts := r.Uvarints(items.Len())
	s.unobserved = r.Float32s(s.dim * s.dim)
	factors := r.Float32s(items.Len() * s.dim)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding factors: %w", err)
	}
	m := newModel(items, counts, factors, s, fold)
	m.temperature = temperature
	return m, nil
}
