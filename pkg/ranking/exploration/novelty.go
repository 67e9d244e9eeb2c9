package exploration

import (
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Novelty is how new each item of a model was when the model was trained. It is stored with models of recipes that
// explore: items without a creation in the Items dataset are as old as their first interaction.
type Novelty struct {
	// Created is by item, in seconds. 0 is not known.
	Created []int64
	// Interactions is by item.
	Interactions []int64
}

// NoveltyOf finds the novelty of a model's items in the set that it was trained on or extended with.
func NoveltyOf(ts *trainingset.Set, items *model.Items) *Novelty {
	n := newNovelty(items.Len())
	appeared, interactions := ts.Appearances()
	for i, id := range ts.Items {
		if item, known := items.Index(id); known {
			n.Created[item], n.Interactions[item] = max(appeared[i]/1000, 0), int64(interactions[i])
		}
	}
	return n
}

func newNovelty(items int) *Novelty {
	return &Novelty{make([]int64, items), make([]int64, items)}
}

const (
	// NoveltyPart is the name of the part that holds it.
	NoveltyPart = "novelty"
	version     = 1
)

// Part encodes it.
func (n *Novelty) Part() model.Part {
	w := codec.NewWriter(NoveltyPart, version)
	w.Uvarints(n.Created)
	w.Uvarints(n.Interactions)
	return model.Part{Name: NoveltyPart, Data: w.Bytes()}
}

// DecodeNovelty reads the novelty of so many items.
func DecodeNovelty(data []byte, items int) (*Novelty, error) {
	r := codec.NewReader(data, NoveltyPart, version)
	n := &Novelty{r.Uvarints(items), r.Uvarints(items)}
	return n, r.Close()
}
