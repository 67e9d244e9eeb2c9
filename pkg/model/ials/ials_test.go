package ials

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/simd"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// TestSolveIsTheSolution compares conjugate gradient, run to the end, with the linear system written out and solved by
// Cholesky's method.
func TestSolveIsTheSolution(t *testing.T) {
	t.Parallel()
	const dim, items = 16, 50
	random := rand.New(rand.NewPCG(1, 2))
	vectors := make([]float32, items*dim)
	for k := range vectors {
		vectors[k] = float32(random.NormFloat64())
	}
	l := loss{unobserved: 0.3, regularization: 0.01, exponent: 1}
	rows, weights := []int32{3, 7, 20, 21, 49}, []float32{1, 0.5, 2, 1, 0.1}
	s, err := newSystem(t.Context(), vectors, dim, l, 2)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, dim)
	c := newSolver(dim)
	s.solve(&c, vectors, observations{rows, weights}, got, 200)

	a, b := mat.NewSymDense(dim, nil), mat.NewVecDense(dim, nil)
	vector := func(i int) *mat.VecDense {
		v := mat.NewVecDense(dim, nil)
		for k := range dim {
			v.SetVec(k, float64(vectors[i*dim+k]))
		}
		return v
	}
	for i := range items {
		a.SymRankOne(a, l.unobserved, vector(i))
	}
	observed := 0.0
	for k, i := range rows {
		a.SymRankOne(a, float64(weights[k]), vector(int(i)))
		b.AddScaledVec(b, float64(weights[k]), vector(int(i)))
		observed += float64(weights[k])
	}
	for k := range dim {
		a.SetSym(k, k, a.At(k, k)+l.regularization*(observed+l.unobserved*items))
	}
	var cholesky mat.Cholesky
	var want mat.VecDense
	if !cholesky.Factorize(a) {
		t.Fatal("the matrix is not positive definite")
	}
	if err := cholesky.SolveVecTo(&want, b); err != nil {
		t.Fatal(err)
	}
	for k := range dim {
		if math.Abs(float64(got[k])-want.AtVec(k)) > 1e-4 {
			t.Fatalf("element %d is %g, want %g", k, got[k], want.AtVec(k))
		}
	}
}

// planted is a set in which a user stays with the items of one parity.
func planted(users, perUser int) *trainingset.Set {
	random := rand.New(rand.NewPCG(5, 6))
	ts := &trainingset.Set{UserStart: []int32{0}, EventTypes: []string{""}}
	for i := range 100 {
		ts.Items = append(ts.Items, strconv.Itoa(i))
	}
	for u := range users {
		for range perUser {
			ts.Item = append(ts.Item, int32(2*random.IntN(50)+u%2))
		}
		ts.Users = append(ts.Users, strconv.Itoa(u))
		ts.UserStart = append(ts.UserStart, int32(len(ts.Item)))
	}
	ts.TimeMS, ts.Type = make([]int64, len(ts.Item)), make([]uint16, len(ts.Item))
	ts.Value = slices.Repeat([]float32{float32(math.NaN())}, len(ts.Item))
	return ts
}

func train(t testing.TB, ts *trainingset.Set, c Config) *Model {
	t.Helper()
	m, err := Train(context.Background(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func history(items ...string) []reco.RecentInteraction {
	var h []reco.RecentInteraction
	for _, id := range items {
		h = append(h, reco.RecentInteraction{ItemID: id})
	}
	return h
}

func fold(m *Model, h []reco.RecentInteraction) []float32 {
	v := make([]float32, m.Dim())
	m.Fold(h, v)
	return v
}

func norm(v []float32) float64 { return math.Sqrt(float64(simd.Dot(v, v))) }

// evenShare is the share of the even items in the answer.
func evenShare(t *testing.T, m *Model, h []reco.RecentInteraction) float32 {
	t.Helper()
	scores := make([]float32, m.Items().Len())
	if err := m.Score(model.Query{History: h}, scores); err != nil {
		t.Fatal(err)
	}
	model.Softmax(scores)
	even := float32(0)
	for i, share := range scores {
		if n, _ := strconv.Atoi(m.Items().ID(i)); n%2 == 0 {
			even += share
		}
	}
	return even
}

func TestNewestInteractionsWeighMost(t *testing.T) {
	t.Parallel()
	m := train(t, planted(400, 10), DefaultConfig())
	evenLast := evenShare(t, m, history("1", "3", "5", "7", "2", "4", "6", "8"))
	oddLast := evenShare(t, m, history("2", "4", "6", "8", "1", "3", "5", "7"))
	if evenLast < 0.6 || oddLast > 0.4 {
		t.Errorf("even items have the share %g after even items and %g after odd ones", evenLast, oddLast)
	}
}

func TestFoldReadsNoMoreThanTheNewest(t *testing.T) {
	t.Parallel()
	m := train(t, planted(400, 10), DefaultConfig())
	var long []reco.RecentInteraction
	for k := range 500 {
		long = append(long, reco.RecentInteraction{ItemID: strconv.Itoa(k % 100)})
	}
	if !slices.Equal(fold(m, long), fold(m, long[len(long)-200:])) {
		t.Error("what lies beyond the newest 200 interactions changes the vector")
	}
}

func TestFoldOfHalfIsHardlyDifferent(t *testing.T) {
	t.Parallel()
	// User states may keep less than the model would read: that must not matter.
	m := train(t, planted(400, 10), DefaultConfig())
	var long []reco.RecentInteraction
	for k := range 100 {
		long = append(long, reco.RecentInteraction{ItemID: strconv.Itoa(2 * (k * 7 % 50))})
	}
	whole, half := fold(m, long), fold(m, long[50:])
	simd.Axpy(-1, whole, half)
	if d := norm(half) / norm(whole); d > 1e-4 {
		t.Errorf("the vector of the newest half differs by %g", d)
	}
}

func TestScoresAreShares(t *testing.T) {
	t.Parallel()
	m := train(t, planted(400, 10), DefaultConfig())
	if even := evenShare(t, m, history("2", "4", "6")); even < 0.65 || even > 0.99 {
		t.Errorf("even items have the share %g after even items", even)
	}
	scores := make([]float32, m.Items().Len())
	if err := m.Score(model.Query{}, scores); err != nil {
		t.Fatal(err)
	}
	model.Softmax(scores)
	want := (float64(m.counts[0]) + 0.5) / (4000 + 0.5*100)
	if math.Abs(float64(scores[0])-want) > 1e-5 {
		t.Errorf("a cold user's best item has the share %g, want its share of all interactions, %g", scores[0], want)
	}
}

func TestSmallCataloguesTakeFewFactors(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	if m := train(t, planted(50, 10), c); m.Dim() != 16 {
		t.Errorf("100 items have %d factors, want an eighth, rounded up to 16", m.Dim())
	}
	c.Dim = 5
	if m := train(t, planted(50, 10), c); m.Dim() != 8 {
		t.Errorf("%d factors, want 5 rounded up to 8", m.Dim())
	}
}

// TestWeightsDecideWhatIsRecommended has visitors of two tastes, each with ten items that are clicked and ten that are
// bought, three times less: the weights say which of their taste come first for a visitor.
func TestWeightsDecideWhatIsRecommended(t *testing.T) {
	t.Parallel()
	train := func(click, buy float64) (clicked, bought float64) {
		random := rand.New(rand.NewPCG(1, 2))
		b := trainingset.NewBuilder(trainingset.Options{
			Events: []trainingset.EventRule{{Type: "click", Weight: click}, {Type: "buy", Weight: buy}},
		})
		for u := range 200 {
			for e := range 8 {
				kind := "click"
				if e%4 == 3 {
					kind = "buy"
				}
				item := kind + strconv.Itoa(u%2) + strconv.Itoa(random.IntN(10))
				b.Add(&reco.Interaction{UserID: strconv.Itoa(u), ItemID: item, EventType: kind, TimestampMS: int64(e)})
			}
		}
		ts, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		m, err := Train(t.Context(), ts, DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		scores := make([]float32, m.Items().Len())
		if err := m.Score(
			model.Query{History: []reco.RecentInteraction{{ItemID: "click00"}, {ItemID: "buy00"}}}, scores,
		); err != nil {
			t.Fatal(err)
		}
		mean := func(kind string) (sum float64) {
			for k := range 9 {
				i, _ := m.Items().Index(kind + "0" + strconv.Itoa(k+1))
				sum += float64(scores[i])
			}
			return sum / 9
		}
		return mean("click"), mean("buy")
	}
	if clicked, bought := train(1, 1); clicked <= bought {
		t.Errorf("with equal weights clicked items have %g, bought ones %g", clicked, bought)
	}
	if clicked, bought := train(0.1, 1); clicked >= bought {
		t.Errorf("with clicks a tenth of what buying is clicked items have %g, bought ones %g", clicked, bought)
	}
}
