package eval

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hitsAt makes a list of 25 with hits at the given positions, counted from 1.
func hitsAt(positions ...int) []bool {
	hits := make([]bool, listLength)
	for _, p := range positions {
		hits[p-1] = true
	}
	return hits
}

func TestMetricsByHand(t *testing.T) {
	t.Parallel()
	ln := math.Log
	for _, c := range []struct {
		name     string
		hits     []bool
		relevant int
		rank     float64
		gain     [3]float64 // at 5, 10, 25
		found    [3]float64
	}{
		// The worked example of Personalize's guide: relevant at 2 and 5 gives 0.6241 at 5.
		{"positions 2 and 5 of 2", hitsAt(2, 5), 2, 1. / 2, [3]float64{0.6241, 0.6241, 0.6241}, [3]float64{2, 2, 2}},
		{"position 1 of 1", hitsAt(1), 1, 1, [3]float64{1, 1, 1}, [3]float64{1, 1, 1}},
		{
			"position 10 of 1", hitsAt(10), 1, 1. / 10, [3]float64{0, ln(2) / ln(11), ln(2) / ln(11)},
			[3]float64{0, 1, 1},
		},
		{"position 25 of 1", hitsAt(25), 1, 1. / 25, [3]float64{0, 0, ln(2) / ln(26)}, [3]float64{0, 0, 1}},
		{"nothing of 3", hitsAt(), 3, 0, [3]float64{}, [3]float64{}},
		{"more to find than the list is long", hitsAt(1, 2, 3, 4, 5), 40, 1, [3]float64{
			1, idealGain(5) / idealGain(10), idealGain(5) / idealGain(25),
		}, [3]float64{5, 5, 5}},
		{
			"a catalogue shorter than the list", []bool{false, true}, 1, 1. / 2,
			[3]float64{ln(2) / ln(3), ln(2) / ln(3), ln(2) / ln(3)}, [3]float64{1, 1, 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMeans(2)
			m.show([]int32{0})
			m.add(c.hits, c.relevant)
			want := Metrics{
				"coverage":                   0.5,
				"mean_reciprocal_rank_at_25": round(c.rank),
				"normalized_discounted_cumulative_gain_at_5":  round(c.gain[0]),
				"normalized_discounted_cumulative_gain_at_10": round(c.gain[1]),
				"normalized_discounted_cumulative_gain_at_25": round(c.gain[2]),
				"precision_at_5":  round(c.found[0] / 5),
				"precision_at_10": round(c.found[1] / 10),
				"precision_at_25": round(c.found[2] / 25),
			}
			if diff := cmp.Diff(want, m.metrics()); diff != "" {
				t.Errorf("metrics differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMetricsAreMeansOverUsers(t *testing.T) {
	t.Parallel()
	m := newMeans(4)
	m.show([]int32{2, 0})
	m.show([]int32{1, 0})
	m.add(hitsAt(1), 1)
	m.add(hitsAt(4), 1)
	m.add(hitsAt(), 1)
	got := m.metrics()
	if got["mean_reciprocal_rank_at_25"] != 0.4167 || got["precision_at_5"] != 0.1333 || got["coverage"] != 0.75 {
		t.Errorf("got %v", got)
	}
}

// shop builds a set of users with n interactions each, on items that nobody else has unless shared is set.
func shop(t *testing.T, users int, n func(u int) int, item func(u, k int) string) *trainingset.Set {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{})
	for u := range users {
		for k := range n(u) {
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(k), UserID: fmt.Sprintf("u%03d", u), ItemID: item(u, k), TimestampMS: int64(k),
			})
		}
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func always(n int) func(int) int { return func(int) int { return n } }

func own(u, k int) string { return fmt.Sprintf("i%d-%d", u, k) }

func TestSplit(t *testing.T) {
	t.Parallel()
	ts := shop(t, 50, always(25), own)
	rest, tests := split(ts)
	if len(tests) != 5 || len(rest.Users) != 45 || len(rest.Item) != 45*25 {
		t.Fatalf("%d test users, %d others with %d interactions", len(tests), len(rest.Users), len(rest.Item))
	}
	if !slices.Equal(rest.Items, ts.Items) {
		t.Error("the rest has other items")
	}
	for _, test := range tests {
		if len(test.input) != 23 || len(test.relevant) != 2 {
			t.Errorf("%d interactions are shown and %d to be found, want 23 and 2", len(test.input), len(test.relevant))
		}
		if !slices.IsSortedFunc(test.input, reco.CompareRecent) {
			t.Error("what is shown is not in order")
		}
		for _, h := range test.input {
			if _, both := test.relevant[h.ItemID]; both {
				t.Errorf("%s is shown and to be found", h.ItemID)
			}
		}
	}
	// The others keep their interactions.
	for u, id := range rest.Users {
		start, end := rest.UserEvents(u)
		if end-start != 25 || rest.Items[rest.Item[start]] != own(atoi(t, id), 0) {
			t.Errorf("user %s has %d interactions, the first with %s", id, end-start, rest.Items[rest.Item[start]])
		}
	}
}

func atoi(t *testing.T, id string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(id, "u%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSplitOfLittle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		ts          *trainingset.Set
		tests, rest int
	}{
		{"at least one user", shop(t, 3, always(2), own), 1, 2},
		{"nobody with a past", shop(t, 3, always(1), own), 0, 3},
		{"nothing", shop(t, 0, always(0), own), 0, 0},
		{"who only repeats is not measured", shop(t, 1, always(5), func(int, int) string { return "same" }), 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			rest, tests := split(c.ts)
			if len(tests) != c.tests || len(rest.Users) != c.rest {
				t.Errorf("%d test users and %d others, want %d and %d", len(tests), len(rest.Users), c.tests, c.rest)
			}
		})
	}
}

func TestAUserIsHeldBackAlikeInGrowingData(t *testing.T) {
	t.Parallel()
	before := shop(t, 100, always(3), own)
	after := shop(t, 100, always(9), own)
	if !slices.Equal(heldBack(before), heldBack(after)) {
		t.Error("more interactions of the same users hold back others")
	}
}

// TestRunByHand: everybody but the test user has a, b, c and d in that popularity; that user is shown a and must find
// b, which popularity puts first once a is left out.
func TestRunByHand(t *testing.T) {
	t.Parallel()
	ts := shop(t, 10, always(2), func(u, k int) string { return []string{"a", "b"}[k] })
	r := mustRecipe(t, "aws-popularity-count")
	report := run(t, r, ts, 1)
	want := Metrics{
		"coverage": 0.5, "mean_reciprocal_rank_at_25": 1, // b of a and b
		"normalized_discounted_cumulative_gain_at_5": 1, "normalized_discounted_cumulative_gain_at_10": 1,
		"normalized_discounted_cumulative_gain_at_25": 1,
		"precision_at_5": 0.2, "precision_at_10": 0.1, "precision_at_25": 0.04,
	}
	if diff := cmp.Diff(want, report.Metrics); diff != "" {
		t.Errorf("metrics differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(report.Metrics, report.Popularity); diff != "" {
		t.Errorf("the popularity recipe differs from popularity:\n%s", diff)
	}
	if report.TestUsers != 1 {
		t.Errorf("%d test users", report.TestUsers)
	}
}

func TestEveryRecipeIsMeasured(t *testing.T) {
	t.Parallel()
	// Users stay with the items of one parity, so personalisation can win.
	ts := shop(t, 200, always(10), func(u, k int) string { return fmt.Sprint(2*((u*7+k*k)%30) + u%2) })
	for _, r := range recipe.All() {
		t.Run(r.Name, func(t *testing.T) {
			report := run(t, r, ts, 1)
			m := report.Metrics
			const gain = "normalized_discounted_cumulative_gain_at_10"
			personal, metrics := r.Type != recipe.PopularItems && !r.NeedsItems, 8 // what needs items has none here
			switch {
			case r.Type == recipe.UserSegmentation: // nobody comes back here: see TestSegmentsByHand
				personal, metrics = false, 3
			case r.Name == "aws-trending-now" || r.Name == "aws-vod-trending-now":
				metrics = 1
			case r.Type == recipe.PersonalizedActions: // nobody has done anything with actions: see TestActionsByHand
				personal = false
			case report.TestUsers != 20:
				t.Errorf("%d test users", report.TestUsers)
			}
			if len(m) != metrics {
				t.Errorf("metrics %v", m)
			}
			for name, v := range m {
				if v < 0 || v > 1 {
					t.Errorf("%s is %g", name, v)
				}
			}
			if 5*m["precision_at_5"] > 10*m["precision_at_10"]+1e-3 ||
				10*m["precision_at_10"] > 25*m["precision_at_25"]+1e-3 {
				t.Errorf("longer lists have fewer hits: %v", m)
			}
			if personal && m[gain] <= report.Popularity[gain] {
				t.Errorf("no better than popularity: %v, %v", m, report.Popularity)
			}
			if diff := cmp.Diff(report, run(t, r, ts, 4)); diff != "" {
				t.Errorf("four threads measure otherwise:\n%s", diff)
			}
		})
	}
}

func TestRunStopsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := mustRecipe(t, "aws-sims")
	params, _ := r.ParseParams(nil)
	if _, err := Personalize(ctx, r, shop(t, 30, always(5), own), params, recipe.Options{}); err == nil {
		t.Error("no error")
	}
}

func TestAFailingModelIsAnError(t *testing.T) {
	t.Parallel()
	ts := shop(t, 10, always(2), own)
	items, _ := model.Popular(ts)
	broken := func(*testUser, []float32) error { return fmt.Errorf("broken") }
	if _, err := Split(ts).measure(t.Context(), items, 2, broken, nil); err == nil {
		t.Error("no error")
	}
}

func mustRecipe(t *testing.T, name string) *recipe.Recipe {
	t.Helper()
	r, ok := recipe.ByName(name)
	if !ok {
		t.Fatalf("no recipe %s", name)
	}
	return r
}

func run(t *testing.T, r *recipe.Recipe, ts *trainingset.Set, threads int) Report {
	t.Helper()
	params, err := r.ParseParams(nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), r, params, ts, recipe.Options{Seed: 1, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	return report
}
