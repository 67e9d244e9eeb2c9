package model

import (
	"math"
	"slices"
	"testing"
)

func TestSharesAndRanks(t *testing.T) {
	t.Parallel()
	scores := []float32{1, 3, 2, 3}
	shares := Shares(scores, TopK(scores, 4, nil))
	sum := 0.0
	for _, s := range shares {
		sum += s
	}
	if !slices.IsSortedFunc(shares,
		func(a, b float64) int { return int(1e9 * (b - a)) }) || math.Abs(sum-1) > 1e-9 || shares[0] != shares[1] {
		t.Errorf("shares %v", shares)
	}
	if one := Shares(scores, []int32{1}); math.Abs(one[0]-shares[0]) > 1e-12 {
		t.Errorf("the share of one is %v, among all %v", one[0], shares[0])
	}
	known, unknown := Divide(NewItems([]string{"a", "b", "c", "d"}), []string{"d", "x", "a", "d", "x", "b"})
	if !slices.Equal(known, []int32{3, 0, 1}) || !slices.Equal(unknown, []string{"x"}) {
		t.Errorf("divided into %v and %v", known, unknown)
	}
	ranked, shares := Rank(scores, known)
	if !slices.Equal(ranked, []int32{1, 3, 0}) || math.Abs(shares[0]+shares[1]+shares[2]-1) > 1e-6 {
		t.Errorf("ranked %v with %v", ranked, shares)
	}
}
