package stack

import (
	"fmt"
	"strings"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
)

const (
	part    = "stack"
	version = 2
	// separator stands between a component's name and the name of its part.
	separator = "."
)

// Parts encodes the model: the catalogue, each component's parts under its name, and the weights, in the part that is
// the stack's own.
func (m *Model) Parts() ([]model.Part, error) {
	parts := []model.Part{model.EncodeItems(m.items)}
	w := codec.NewWriter(part, version)
	w.Uvarints(m.counts)
	seen := make([]int8, len(m.seen))
	for i, s := range m.seen {
		if s {
			seen[i] = 1
		}
	}
	w.Int8s(seen)
	w.Len(len(m.components))
	for _, c := range m.components {
		w.Strings([]string{c.name})
		w.Float64(c.weight)
		w.Float64(c.bend)
		w.Float64(c.decay)
		own, err := c.model.Parts()
		if err != nil {
			return nil, fmt.Errorf("encoding component %s: %w", c.name, err)
		}
		for _, p := range own {
			parts = append(parts, model.Part{Name: c.name + separator + p.Name, Data: p.Data})
		}
	}
	for _, x := range m.extras.all() {
		w.Float64(*x)
	}
	for _, x := range m.ranking.weights {
		w.Float64(x)
	}
	w.Float32s(m.ranking.expected)
	return append(parts, model.Part{Name: part, Data: w.Bytes()}), nil
}

func (x *extras) all() []*float64 {
	return []*float64{&x.popularity, &x.depth, &x.repetition, &x.recency}
}

// Load decodes the parts of a model.
func Load(parts map[string][]byte) (model.Model, error) {
	items, err := model.DecodeItems(parts)
	if err != nil {
		return nil, err
	}
	if len(parts[part]) == 0 {
		return nil, fmt.Errorf(
			"%w: the part %q, which the model of this recipe has, is missing: a model that an earlier version has "+
				"trained must be trained again",
			codec.ErrCorrupt, part,
		)
	}
	l, err := decode(parts[part], items)
	if err != nil {
		return nil, fmt.Errorf("decoding the weights: %w", err)
	}
	for k := range l.components {
		c := &l.components[k]
		if c.model, err = c.load(partsOf(parts, c.name)); err != nil {
			return nil, fmt.Errorf("decoding component %s: %w", c.name, err)
		}
	}
	return assemble(l).folded(), nil
}

// decode reads the part that is the stack's own; the components have no models yet.
func decode(data []byte, items *model.Items) (learned, error) {
	r := codec.NewReader(data, part, version)
	l := learned{items: items, counts: r.Uvarints(items.Len()), seen: make([]bool, items.Len())}
	for i, s := range r.Int8s(items.Len()) {
		if s != 0 && s != 1 {
			r.Fail("a mark is %d", s)
		}
		l.seen[i] = s == 1
	}
	l.components = decodeComponents(r)
	for _, v := range l.extras.all() {
		*v = r.Float64()
	}
	for k := range l.ranking.weights {
		l.ranking.weights[k] = r.Float64()
	}
	l.ranking.expected = r.Float32s(items.Len())
	return l, r.Close()
}

// decodeComponents reads names and weights. Names are known and occur once.
func decodeComponents(r *codec.Reader) []component {
	components := make([]component, r.Len(len(kinds)))
	for k := range components {
		name := r.Strings(1)
		if r.Err() != nil {
			break
		}
		known := false
		if components[k].kind, known = kindOf(name[0]); !known {
			r.Fail("component %q is unknown", name[0])
		}
		for _, other := range components[:k] {
			if other.name == name[0] {
				r.Fail("component %q occurs twice", name[0])
			}
		}
		components[k].weight, components[k].bend, components[k].decay = r.Float64(), r.Float64(), r.Float64()
	}
	return components
}

// partsOf are a component's parts, by their own names.
func partsOf(parts map[string][]byte, component string) map[string][]byte {
	own := map[string][]byte{}
	for name, data := range parts {
		if rest, ok := strings.CutPrefix(name, component+separator); ok {
			own[rest] = data
		}
	}
	return own
}
