package hrnn

import (
	"fmt"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/simd"
)

const (
	part    = "hrnn"
	version = 2
	// maxDim limits what a part may claim.
	maxDim = 1024
)

// arrays are the network's numbers in the order in which they are written.
func (n *network) arrays(items int) []struct {
	values *[]float32
	length int
} {
	return []struct {
		values *[]float32
		length int
	}{
		{&n.linear, n.dim * states * n.dim}, {&n.in, n.hidden * states * n.dim}, {&n.out, n.dim * n.hidden},
		{&n.inBias, n.hidden}, {&n.outBias, n.dim},
		{&n.inputs, items * n.dim}, {&n.outputs, items * n.dim}, {&n.bias, items},
	}
}

// Parts encodes the model. The rates of decay belong to the version.
func (m *Model) Parts() ([]model.Part, error) {
	w := codec.NewWriter(part, version)
	w.Len(m.net.dim)
	w.Len(m.net.hidden)
	w.Uvarints(m.counts)
	for _, a := range m.net.arrays(m.items.Len()) {
		w.Float32s(*a.values)
	}
	return []model.Part{model.EncodeItems(m.items), {Name: part, Data: w.Bytes()}}, nil
}

// Load decodes the parts of a model.
func Load(parts map[string][]byte) (*Model, error) {
	items, err := model.DecodeItems(parts)
	if err != nil {
		return nil, err
	}
	r := codec.NewReader(parts[part], part, version)
	net := network{dim: r.Len(maxDim), hidden: r.Len(maxDim)}
	for _, n := range []int{net.dim, net.hidden} {
		if n == 0 || n%simd.Lanes != 0 {
			r.Fail("dimension %d is not a multiple of %d", n, simd.Lanes)
		}
	}
	counts := r.Uvarints(items.Len())
	for _, a := range net.arrays(items.Len()) {
		*a.values = r.Float32s(a.length)
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding the network: %w", err)
	}
	return newModel(items, counts, net), nil
}
