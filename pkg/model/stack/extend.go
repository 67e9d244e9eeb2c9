package stack

import (
	"context"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Extend adds the items of a training set that the model does not know: they are placed as items without interactions
// are, by what the set's Items dataset says about them. The numbers of interactions become those of the set; what
// components and weights have learned stays as it is, and so do users' vectors.
func (m *Model) Extend(ts *trainingset.Set) model.Model {
	items, counts, before := model.Extended(m.items, ts)
	seen := make([]bool, items.Len())
	for to, from := range before {
		seen[to] = from >= 0 && m.seen[from]
	}
	components := slices.Clone(m.components)
	for k, c := range components {
		if e, ok := c.model.(model.Extender); ok {
			components[k].model = e.Extend(ts)
			continue
		}
		if c.name != contentName {
			continue
		}
		// Without a context that ends, this does not fail; if it did, the new items would have no likeness to any.
		if again, err := trainContent(context.Background(), ts, nil); err == nil {
			components[k].model, _ = fading(again, c.decay)
		}
	}
	extended := assemble(learned{items, counts, seen, components, m.extras, m.ranking})
	// Without a context that ends, this does not fail; if it did, all new items would be expected to be as popular.
	extended.ranking.expected = make([]float32, items.Len())
	_ = extended.expect(context.Background(), extended.unseen, 0)
	return extended.folded()
}
