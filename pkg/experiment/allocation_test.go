package experiment

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func allocate(t *testing.T, from Allocation, shares ...Share) Allocation {
	t.Helper()
	a, err := from.Reallocate(shares)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func owners(a Allocation) []string {
	all := make([]string, Slots)
	for _, r := range a.Ranges {
		for slot := r.From; slot < r.To; slot++ {
			all[slot] = r.Arm
		}
	}
	return all
}

// Whatever changes, no more users move than must, and only from arms that shrink to arms that grow.
func TestAChangeOfSharesMovesAsFewUsersAsCanBe(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var a Allocation
	before := map[string]float64{}
	for step := range 60 {
		names := []string{"a", "b", "c", "d", "e"}[:2+random.IntN(4)]
		weights, sum := make([]float64, len(names)), 0.0
		for n := range names {
			weights[n] = random.Float64() * float64(random.IntN(4))
			sum += weights[n]
		}
		if sum == 0 {
			continue
		}
		shares, after := make([]Share, len(names)), map[string]float64{}
		for n, name := range names {
			shares[n] = Share{name, weights[n] / sum}
			after[name] = weights[n] / sum
		}
		next := allocate(t, a, shares...)
		counts, moved := map[string]float64{}, 0
		was := owners(a)
		for slot, arm := range owners(next) {
			counts[arm]++
			if was[slot] == "" || was[slot] == arm {
				continue
			}
			moved++
			if after[arm] < before[arm] || after[was[slot]] > before[was[slot]] {
				t.Fatalf("step %d: a user moved from %s (%v → %v) to %s (%v → %v)", step, was[slot], before[was[slot]], after[was[slot]], arm, before[arm], after[arm])
			}
		}
		must := 0.0
		for name, share := range after {
			if math.Abs(counts[name]-share*Slots) > 1 {
				t.Fatalf("step %d: arm %s has %v slots for a share of %v", step, name, counts[name], share)
			}
			must += max(0, share-before[name]) * Slots
		}
		if len(before) > 0 && float64(moved) > must+float64(len(names)) {
			t.Fatalf("step %d: %d slots moved, %v had to", step, moved, must)
		}
		a, before = next, after
	}
}

func TestSharesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, shares := range [][]Share{
		nil, {{"a", 0.5}}, {{"a", 0.7}, {"b", 0.7}}, {{"a", -0.5}, {"b", 1.5}}, {{"a", math.NaN()}}, {{"a", math.Inf(1)}},
	} {
		if got, err := (Allocation{}).Reallocate(shares); err == nil {
			t.Errorf("%v gave %v", shares, got)
		}
	}
	thirds := allocate(t, Allocation{}, Share{"a", 0.333}, Share{"b", 0.333}, Share{"c", 0.334})
	if last := thirds.Ranges[len(thirds.Ranges)-1]; last.To != Slots || len(thirds.Ranges) != 3 {
		t.Errorf("got %v", thirds)
	}
	if got := (Allocation{}).Arm(7); got != "" {
		t.Errorf("an empty allocation has arm %q", got)
	}
}

// Ten million users: each arm has its share, and adding arms and changing shares moves those who must, as documented.
func TestTenMillionAssignments(t *testing.T) {
	t.Parallel()
	users := 10_000_000
	if raced {
		users = 1_000_000 // there is nothing to race for
	}
	steps := [][]Share{
		{{"a", 0.5}, {"b", 0.5}},
		{{"a", 0.4}, {"b", 0.4}, {"c", 0.2}},               // an arm is added
		{{"a", 0.4}, {"b", 0.3}, {"c", 0.3}},               // b gives to c
		{{"a", 0.25}, {"b", 0.3}, {"c", 0.3}, {"d", 0.15}}, // a gives to d
	}
	var allocations []Allocation
	var before Allocation
	for _, shares := range steps {
		before = allocate(t, before, shares...)
		allocations = append(allocations, before)
	}
	var counts [4][4]int64   // by step and arm
	var moves [4][4][4]int64 // by step, from which arm and to which
	id := []byte("user-")
	for u := range users {
		hash, was := HashOf("experiment", string(strconv.AppendInt(id[:5], int64(u), 10))), 0
		for step, a := range allocations {
			arm := int(a.Arm(hash)[0] - 'a')
			counts[step][arm]++
			if step > 0 && arm != was {
				moves[step][was][arm]++
			}
			was = arm
		}
	}
	for step, shares := range steps {
		wanted := make([]float64, 4)
		for n, s := range shares {
			wanted[n] = s.Share
		}
		if evidence := logRatioEvidence(counts[step][:], wanted); evidence > math.Log(1/mismatchBelow) {
			t.Errorf("step %d: the arms have %v users: evidence e^%v against their shares", step, counts[step], evidence)
		}
	}
	const a, b, c, d = 0, 1, 2, 3
	wanted := map[[3]int]float64{{1, a, c}: 0.1, {1, b, c}: 0.1, {2, b, c}: 0.1, {3, a, d}: 0.15}
	for step := range moves {
		for from := range moves[step] {
			for to, count := range moves[step][from] {
				want := wanted[[3]int{step, from, to}]
				if share := float64(count) / float64(users); math.Abs(share-want) > 0.002 || want == 0 && count > 0 {
					t.Errorf("step %d: %v of the users moved from arm %d to %d, wanted %v", step, share, from, to, want)
				}
			}
		}
	}
}

// The arms of one experiment say nothing about those of another, nor about the clusters.
func TestAssignmentsAreIndependent(t *testing.T) {
	t.Parallel()
	a := allocate(t, Allocation{}, Share{"a", 0.5}, Share{"b", 0.5})
	var both [2][2]int64
	var halves [2][2]int64
	for u := range 100_000 {
		user := strconv.Itoa(u)
		one, other := HashOf("one", user), HashOf("other", user)
		x, y := 0, 0
		if a.Arm(one) == "a" {
			x = 1
		}
		if a.Arm(other) == "a" {
			y = 1
		}
		both[x][y]++
		halves[x][one.cluster()/(Clusters/2)]++
	}
	for what, table := range map[string][2][2]int64{"two experiments": both, "arm and cluster": halves} {
		flat := []int64{table[0][0], table[0][1], table[1][0], table[1][1]}
		if evidence := logRatioEvidence(flat, []float64{0.25, 0.25, 0.25, 0.25}); evidence > math.Log(1/mismatchBelow) {
			t.Errorf("%s: %v", what, table)
		}
	}
}

func BenchmarkAssignment(b *testing.B) {
	shares := []Share{{"a", 0.4}, {"b", 0.3}, {"c", 0.2}, {"d", 0.1}}
	a, err := (Allocation{}).Reallocate(shares)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		a.Arm(HashOf("experiment", "some-user-of-usual-length"))
	}
}
