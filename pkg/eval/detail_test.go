package eval

import (
	"math"
	"testing"
)

// TestDetailByHand: two users, a model and popularity with lists of two.
func TestDetailByHand(t *testing.T) {
	t.Parallel()
	bar := newMeans(4)
	bar.show([]int32{0, 1})
	bar.show([]int32{0, 1})
	bar.add([]bool{true, false}, 2) // a, b: a is to be found, and c
	bar.add([]bool{false, false}, 1)
	reached := newMeans(4)
	reached.show([]int32{2, 0})
	reached.show([]int32{3, 1})
	// c, a: c is no surprise among one, popularity's first is another; a is none among two
	reached.add([]bool{true, true}, 2)
	reached.surprise([]string{"c", "a"}, []bool{true, true}, []string{"a", "b"})
	reached.add([]bool{false, true}, 1) // d, b: the hit b is what popularity shows as well
	reached.surprise([]string{"d", "b"}, []bool{false, true}, []string{"a", "b"})

	d := newDetail(reached, bar)
	two := d.Model.ByLength[1]
	want := AtLength{
		Length: 2, HitRate: 1, Precision: 0.75, Recall: 1, Gain: round((1 + math.Log(2)/math.Log(3)) / 2),
		Serendipity: 0.25, Coverage: 1,
	}
	if two != want {
		t.Errorf("lists of two: %+v, want %+v", two, want)
	}
	one := d.Model.ByLength[0]
	if one.Coverage != 0.5 || one.Serendipity != 0.5 || one.HitRate != 0.5 || one.Recall != 0.25 {
		t.Errorf("lists of one: %+v", one)
	}
	if p := d.Popularity.ByLength[1]; p.Coverage != 0.5 || p.Precision != 0.25 || p.Serendipity != 0 {
		t.Errorf("popularity's lists of two: %+v", p)
	}
	// Reciprocal ranks are 1 and 1/2 against 1 and 0.
	if lead := d.Lead[reciprocalRank]; lead != (Interval{0.25, -0.24, 0.74}) {
		t.Errorf("the lead is %v", lead)
	}
	if c := d.Model.Confidence[reciprocalRank]; c != (Interval{0.75, 0.26, 1}) {
		t.Errorf("the reciprocal rank is %v", c)
	}
	if c := d.Model.Confidence["serendipity_at_5"]; c.Mean != 0.1 {
		t.Errorf("serendipity at 5 is %v", c)
	}
	if _, leads := d.Lead["serendipity_at_5"]; leads {
		t.Error("popularity surprises")
	}
}

func TestIntervals(t *testing.T) {
	t.Parallel()
	half := make([]float64, 400)
	for k := range half {
		half[k] = float64(k % 2)
	}
	for _, c := range []struct {
		name   string
		values []float64
		want   Interval
	}{
		{"nobody", nil, Interval{}},
		{"one user says nothing about others", []float64{0.5}, Interval{0.5, 0.5, 0.5}},
		{"all alike", []float64{0.2, 0.2, 0.2}, Interval{0.2, 0.2, 0.2}},
		{"a coin thrown 400 times", half, Interval{0.5, 0.4509, 0.5491}},
		{"no value is below 0", []float64{0, 0, 0, 1}, Interval{0.25, 0, 0.74}},
	} {
		if got := interval(c.values, 0, 1); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
