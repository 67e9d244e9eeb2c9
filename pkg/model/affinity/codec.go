package affinity

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/model/ials"
)

const (
	part    = "affinity"
	version = 1
	// Limits of what a part may claim.
	maxUsers      = 1 << 30
	maxAttributes = 1 << 26
)

// Parts encodes the model: the factorisation's parts, and one with users and attributes.
func (m *Model) Parts() ([]model.Part, error) {
	parts, err := m.factors.Parts()
	if err != nil {
		return nil, err
	}
	w := codec.NewWriter(part, version)
	w.Len(len(m.users))
	w.Strings(m.users)
	w.Float32s(m.scale)
	w.Float32s(m.active)
	w.Int8s(m.vector)
	attributes := make([]model.Attribute, 0, len(m.holders))
	for a := range m.holders {
		attributes = append(attributes, a)
	}
	slices.SortFunc(attributes, func(a, b model.Attribute) int {
		return cmp.Or(cmp.Compare(a.Column, b.Column), cmp.Compare(a.Value, b.Value))
	})
	w.Len(len(attributes))
	for _, a := range attributes {
		w.Strings([]string{a.Column, a.Value})
		w.Len(len(m.holders[a]))
		w.Int32s(m.holders[a])
	}
	return append(parts, model.Part{Name: part, Data: w.Bytes()}), nil
}

// Load decodes the parts of a model.
func Load(parts map[string][]byte) (*Model, error) {
	factors, err := ials.Load(parts)
	if err != nil {
		return nil, err
	}
	m := &Model{factors: factors, holders: map[model.Attribute][]int32{}}
	r := codec.NewReader(parts[part], part, version)
	m.users = r.Strings(r.Len(maxUsers))
	m.scale = r.Float32s(len(m.users))
	m.active = r.Float32s(len(m.users))
	m.vector = r.Int8s(len(m.users) * factors.Dim())
	for range r.Len(maxAttributes) {
		names := r.Strings(2)
		items := r.Int32s(r.Len(factors.Items().Len()), factors.Items().Len())
		if r.Err() != nil {
			break
		}
		if !slices.IsSorted(items) {
			r.Fail("the items of an attribute are not in order")
			break
		}
		m.holders[model.Attribute{Column: names[0], Value: names[1]}] = items
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding user segments: %w", err)
	}
	m.weigh()
	return m, nil
}
