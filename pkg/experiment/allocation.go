package experiment

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Slots is the number of equal parts into which the users are divided: a share is a multiple of 0.0001.
const Slots = 10_000

// Share is the part of the users that an arm gets, from 0 to 1.
type Share struct {
	Arm   string  `json:"arm"`
	Share float64 `json:"share"`
}

// Allocation maps slots to arms. A user's slot never changes, so they change their arm only when their slot does.
type Allocation struct {
	// Ranges cover the slots from 0 on without a gap.
	Ranges []Range `json:"ranges"`
}

// Range is the slots from From up to, not including, To.
type Range struct {
	From int    `json:"from"`
	To   int    `json:"to"`
	Arm  string `json:"arm"`
}

// Arm is the arm of a user; "" in an allocation without slots.
func (a Allocation) Arm(user Hash) string {
	slot := user.slot()
	byFrom := func(r Range, slot int) int { return cmp.Compare(r.From, slot) }
	at, found := slices.BinarySearchFunc(a.Ranges, slot, byFrom)
	if !found {
		at--
	}
	if at < 0 {
		return ""
	}
	return a.Ranges[at].Arm
}

// Reallocate gives arms the shares that they are to have from now on. It moves as few slots as can be: an arm whose
// share grows, or that is new, takes slots from those whose share shrinks, or that are gone; everybody else stays where
// he is.
func (a Allocation) Reallocate(shares []Share) (Allocation, error) {
	wanted, err := slotsOf(shares)
	if err != nil {
		return Allocation{}, err
	}
	var owners [Slots]string
	for _, r := range a.Ranges {
		for slot := r.From; slot < r.To; slot++ {
			owners[slot] = r.Arm
		}
	}
	left := map[string]int{}
	for n, share := range shares {
		left[share.Arm] = wanted[n]
	}
	var free []int
	for slot, arm := range owners {
		if arm == "" || left[arm] == 0 {
			free = append(free, slot)
			continue
		}
		left[arm]--
	}
	for _, share := range shares {
		n := left[share.Arm]
		for _, slot := range free[:n] {
			owners[slot] = share.Arm
		}
		free = free[n:]
	}
	return ranges(owners[:]), nil
}

func ranges(owners []string) Allocation {
	var a Allocation
	for slot, arm := range owners {
		if n := len(a.Ranges); n > 0 && a.Ranges[n-1].Arm == arm {
			a.Ranges[n-1].To = slot + 1
			continue
		}
		a.Ranges = append(a.Ranges, Range{slot, slot + 1, arm})
	}
	return a
}

// slotsOf is the number of slots of each share. What is left over by rounding goes to the largest remainders.
func slotsOf(shares []Share) ([]int, error) {
	sum, left := 0.0, Slots
	slots := make([]int, len(shares))
	for n, s := range shares {
		if math.IsNaN(s.Share) || s.Share < 0 || s.Share > 1 {
			return nil, fmt.Errorf("share %v of arm %s is not a number from 0 to 1", s.Share, s.Arm)
		}
		sum += s.Share
		slots[n] = int(math.Floor(s.Share*Slots + 1e-6))
		left -= slots[n]
	}
	if math.Abs(sum-1) > 1e-3 {
		return nil, fmt.Errorf("the shares add up to %v, they must add up to 1", sum)
	}
	order := make([]int, len(shares))
	for n := range order {
		order[n] = n
	}
	remainder := func(n int) float64 { return shares[n].Share*Slots - float64(slots[n]) }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainder(b), remainder(a)) })
	for ; left > 0; left-- {
		slots[order[0]]++
		order = append(order[1:], order[0])
	}
	for largest := 0; left < 0; left++ { // a sum a little above 1
		for n := range slots {
			if slots[n] > slots[largest] {
				largest = n
			}
		}
		slots[largest]--
	}
	return slots, nil
}
