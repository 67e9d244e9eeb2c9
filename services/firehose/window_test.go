package firehose

import (
	"fmt"
	"testing"
)

func TestTheWindowForgetsTheOldest(t *testing.T) {
	t.Parallel()
	w := newWindow(3)
	for _, step := range []struct {
		id   string
		want bool
	}{
		{"a", true}, {"a", false}, {"b", true}, {"c", true}, {"a", false},
		{"d", true}, // a is the fourth newest now
		{"b", false}, {"a", true}, {"b", true}, {"", true}, {"", true}, {"d", false},
	} {
		if got := w.add(step.id); got != step.want {
			t.Fatalf("%q is new: %t, want %t", step.id, got, step.want)
		}
	}
}

func TestTheWindowStaysBounded(t *testing.T) {
	t.Parallel()
	w := newWindow(10)
	for i := range 1000 {
		w.add(fmt.Sprint(i))
	}
	if len(w.seen) != 10 || len(w.order) != 10 {
		t.Errorf("%d ids and %d in order, want 10", len(w.seen), len(w.order))
	}
}
