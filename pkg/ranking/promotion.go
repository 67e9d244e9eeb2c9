package ranking

import (
	"math/rand/v2"
	"slices"
)

// Promotion gives a share of a list to the items of a filter of its own, which the request's filter has no say in.
type Promotion struct {
	Filter  *Filter
	Percent int
	// Seed decides the places of the promoted items.
	Seed uint64
}

// slots returns how many of the results are promoted items: the nearest number, half up.
func (p *Promotion) slots(results int) int { return (p.Percent*results + 50) / 100 }

// mix puts the promoted picks among the others, at places drawn from the seed. Both keep their order.
func mix(promoted, others []Pick, seed uint64) []Pick {
	list := make([]Pick, len(promoted)+len(others))
	places := rand.New(rand.NewPCG(seed, uint64(len(list)))).Perm(len(list))[:len(promoted)]
	slices.Sort(places)
	for i := range list {
		if len(places) > 0 && places[0] == i {
			list[i], promoted, places = promoted[0], promoted[1:], places[1:]
		} else {
			list[i], others = others[0], others[1:]
		}
	}
	return list
}
