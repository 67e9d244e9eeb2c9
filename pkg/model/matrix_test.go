package model

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trainingSet takes a user's items, oldest first, as letters: "abca".
func trainingSet(t *testing.T, users ...string) *trainingset.Set {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{})
	for u, items := range users {
		for k, item := range items {
			b.Add(&reco.Interaction{
				EventID: string(rune('A' + k)), UserID: string(rune('0' + u)), ItemID: string(item),
				TimestampMS: int64(k),
			})
		}
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// rows shows a matrix as text, such as "a2b c": the second a is a repetition.
func rows(m *Matrix) string {
	var all []string
	for r := range m.Rows() {
		text := ""
		for k, i := range m.Row(r) {
			text += m.Items.ID(int(i))
			if n := m.Weight[m.Start[r]+k]; n > 1 {
				text += string('0' + rune(n))
			}
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestNewMatrix(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		users   []string
		options MatrixOptions
		want    string
	}{
		{"a row a user", []string{"ba", "bcb"}, MatrixOptions{Users: All}, "ba b2c"},
		{"newest interactions", []string{"abbcd"}, MatrixOptions{Users: All, MaxHistory: 3}, "bcd"},
		{"windows of even length", []string{"abcdef"}, MatrixOptions{Users: All, Window: 2}, "ab cd ef"},
		{
			"a window takes what is too little for another", []string{"abcd"}, MatrixOptions{Users: All, Window: 3},
			"abcd",
		},
		{
			"short histories are windows of their own", []string{"a", "bc"}, MatrixOptions{Users: All, Window: 50},
			"a bc",
		},
		{
			"without the shortest and longest", []string{"a", "bc", "de", "abcde"},
			MatrixOptions{Users: Percentiles{0.3, 0.7}}, "bc de",
		},
		{"nobody", nil, MatrixOptions{Users: All}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := rows(NewMatrix(trainingSet(t, c.users...), c.options)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCatalogueCountsWhatRowsLeaveOut(t *testing.T) {
	t.Parallel()
	m := NewMatrix(trainingSet(t, "zzz", "az", "ba"), MatrixOptions{Users: All, MaxHistory: 1})
	if got := []string{m.Items.ID(0), m.Items.ID(1), m.Items.ID(2)}; !slices.Equal(got, []string{"z", "a", "b"}) {
		t.Errorf("items are in the order %v", got)
	}
	if !slices.Equal(m.Counts, []int64{4, 2, 1}) {
		t.Errorf("counts are %v", m.Counts)
	}
}

func TestTransposed(t *testing.T) {
	t.Parallel()
	m := NewMatrix(trainingSet(t, "aab", "b", "bc"), MatrixOptions{Users: All})
	start, row, weights := m.Transposed() // items b, a, c
	if !slices.Equal(start, []int{0, 3, 4, 5}) || !slices.Equal(row, []int32{0, 1, 2, 0, 2}) ||
		!slices.Equal(weights, []float32{1, 1, 1, 2, 1}) {
		t.Errorf("got %v, %v, %v", start, row, weights)
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	sizes := []int{50, 10, 30, 20, 40}
	for _, c := range []struct {
		p         Percentiles
		low, high int
	}{
		{All, 10, 50},
		{Percentiles{0.2, 0.8}, 10, 40},
		{Percentiles{0.21, 0.99}, 20, 50},
		{Percentiles{0.5, 0.5}, 30, 30},
	} {
		if low, high := c.p.Bounds(sizes); low != c.low || high != c.high {
			t.Errorf("%v: bounds %d, %d, want %d, %d", c.p, low, high, c.low, c.high)
		}
	}
	if low, high := All.Bounds(nil); low != 0 || high != 0 {
		t.Errorf("of nobody: bounds %d, %d", low, high)
	}
}

func TestBlocksCoverEverythingOnce(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 3, 100} {
		seen := make([]int, 1000)
		err := Blocks(t.Context(), len(seen), 7, threads, func(worker, from, to int) {
			if worker >= threads {
				t.Errorf("worker %d of %d", worker, threads)
			}
			for i := from; i < to; i++ {
				seen[i]++
			}
		})
		if err != nil || slices.ContainsFunc(seen, func(n int) bool { return n != 1 }) {
			t.Errorf("%d threads: error %v, seen %v", threads, err, seen)
		}
	}
}

func TestBlocksStopWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	done := 0
	err := Blocks(ctx, 1000, 1, 1, func(int, int, int) {
		done++
		cancel()
	})
	if !errors.Is(err, context.Canceled) || done != 1 {
		t.Errorf("error %v after %d blocks", err, done)
	}
}
