package recommender

import (
	"math/rand/v2"
	"slices"
)

// promotion asks for a share of the answer to be of a filter's items.
type promotion struct {
	name    *string
	percent int // 0 where none was given
	filter  filterUse
}

// slots is how many of the results are the promotion's: the nearest number, half up.
func (p *promotion) slots(results int) int { return (p.percent*results + 50) / 100 }

// mix puts the promoted picks among the others: at places drawn from the seed, both in their own order.
func mix(promoted, others []pick, seed uint64) []pick {
	if len(promoted) == 0 {
		return others
	}
	list := make([]pick, len(promoted)+len(others))
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
