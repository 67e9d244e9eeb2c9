package content_test

import (
	"context"
	"math"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

var component = modeltest.NewComponent(
	func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (*content.Model, error) {
		c := content.DefaultConfig()
		c.Progress = o.Progress
		return content.Train(ctx, ts, c)
	}, content.Load)

func TestSuite(t *testing.T) { modeltest.RunComponent(t, component) }

func FuzzLoad(f *testing.F) { modeltest.FuzzComponent(f, component) }

// profile trains on items that nobody had, and gives what a history, oldest first, makes of each.
func profile(t *testing.T, rows []reco.Entity, history ...string) map[string]float64 {
	t.Helper()
	ts, _ := build(t, nil, rows...)
	c := content.DefaultConfig()
	c.Decay = 0.5
	m, err := content.Train(t.Context(), ts, c)
	if err != nil {
		t.Fatal(err)
	}
	return modeltest.Scores(t, m, history...)
}

func TestCosineToTheFadingProfile(t *testing.T) {
	t.Parallel()
	// x and y are each in two of five items: all vectors have length 1 in one of two directions.
	rows := []reco.Entity{
		{ID: "x1", Properties: map[string]any{"GENRE": "x"}}, {ID: "x2", Properties: map[string]any{"GENRE": "x"}},
		{ID: "y1", Properties: map[string]any{"GENRE": "y"}}, {ID: "y2", Properties: map[string]any{"GENRE": "y"}},
		{ID: "none"},
	}
	for _, c := range []struct {
		history []string
		x, y    float64
	}{
		{[]string{"x1"}, 1, 0},
		{[]string{"x1", "y1"}, 0.5, 1},
		{[]string{"x1", "never heard of", "y1"}, 0.25, 1},
		{[]string{"x1", "x2", "y1"}, 0.75, 1},
		{[]string{"none"}, 0, 0},
		{nil, 0, 0},
	} {
		length := max(math.Hypot(c.x, c.y), 1e-9)
		want := map[string]float64{"x1": c.x / length, "x2": c.x / length, "y1": c.y / length, "y2": c.y / length}
		for id, s := range profile(t, rows, c.history...) {
			if math.Abs(s-want[id]) > 1e-5 {
				t.Errorf("history %v: %s has score %g, want %g", c.history, id, s, want[id])
			}
		}
	}
}

func TestNumbersThatAreNearAreAlike(t *testing.T) {
	t.Parallel()
	var rows []reco.Entity
	var years []string
	for y := range 100 {
		id := string(rune('A'+y/10)) + string(rune('0'+y%10))
		years = append(years, id)
		rows = append(rows, reco.Entity{ID: id, Properties: map[string]any{"YEAR": int64(1900 + y)}})
	}
	scores := profile(t, rows, years[44])
	for _, id := range years {
		if scores[id] > scores["E4"] {
			t.Errorf("%s has score %g, the year itself %g", id, scores[id], scores["E4"])
		}
	}
	for _, pair := range [][2]string{{"E5", "E8"}, {"E3", "E0"}, {"E1", "D4"}, {"E9", "J9"}} {
		if scores[pair[0]] <= scores[pair[1]] {
			t.Errorf("%s has score %g, %s, which is farther, %g", pair[0], scores[pair[0]], pair[1], scores[pair[1]])
		}
	}
	if scores["A0"] != 0 {
		t.Errorf("a year far away has score %g", scores["A0"])
	}
}

func TestLikesAreTheMostAlikeOfThoseWithInteractions(t *testing.T) {
	t.Parallel()
	ts, _ := build(t, nil,
		reco.Entity{ID: "xy", Properties: map[string]any{"GENRE": "x|y"}},
		reco.Entity{ID: "xy2", Properties: map[string]any{"GENRE": "x|y"}},
		reco.Entity{ID: "x", Properties: map[string]any{"GENRE": "x"}},
		reco.Entity{ID: "y", Properties: map[string]any{"GENRE": "y"}},
		reco.Entity{ID: "z", Properties: map[string]any{"GENRE": "z"}}, reco.Entity{
			ID: "z2", Properties: map[string]any{"GENRE": "z"},
		}, reco.Entity{ID: "none"})
	m, err := content.Train(t.Context(), ts, content.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	catalogue := model.NewItems([]string{"never heard of", "z2", "y", "x", "xy2", "none", "xy", "z"})
	half := math.Sqrt(0.5)
	for _, c := range []struct {
		of           string
		interactions map[string]int64
		want         map[string]float64
	}{
		{
			"xy", map[string]int64{"xy": 30, "xy2": 30, "x": 30, "y": 30},
			map[string]float64{"xy2": 1 / (1 + 2*half), "x": half / (1 + 2*half), "y": half / (1 + 2*half)},
		},
		{"xy", map[string]int64{"x": 30, "y": 30}, map[string]float64{"x": 0.5, "y": 0.5}},
		// they count 1/2 and 1/4
		{"xy", map[string]int64{"x": 30, "y": 10, "z": 1000}, map[string]float64{"x": 2. / 3, "y": 1. / 3}},
		{"z", map[string]int64{"z": 1, "z2": 1}, map[string]float64{"z2": 1}},
		{"z", map[string]int64{"xy": 1}, map[string]float64{}},
		{"none", map[string]int64{"xy": 1}, map[string]float64{}},
		{"never heard of", map[string]int64{"xy": 1}, map[string]float64{}},
	} {
		at, _ := catalogue.Index(c.of)
		likes, err := m.Likes(
			t.Context(), catalogue, []int32{int32(at)},
			func(item int32) int64 { return c.interactions[catalogue.ID(int(item))] }, 2,
		)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		columns, shares := likes.Row(0)
		for n, column := range columns {
			got[catalogue.ID(int(column))] = float64(shares[n])
		}
		modeltest.RequireScores(t, got, c.want)
		if len(got) != len(c.want) {
			t.Errorf("the likes of %s are %v, want %v", c.of, got, c.want)
		}
	}
}
