package popularity_test

import (
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/model/popularity"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	ts := &trainingset.Set{
		Users: []string{"u", "v"}, Items: []string{"a", "b", "c", "d"}, UserStart: []int32{0, 3, 4},
		Item: []int32{2, 1, 2, 1},
	}
	m, err := popularity.Train(t.Context(), ts, nil)
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, 4)
	if err := m.Score(model.Query{}, scores); err != nil {
		t.Fatal(err)
	}
	var order []string
	for i := range scores {
		order = append(order, m.Items().ID(i))
	}
	// b and c have two interactions each: the smaller id comes first, as for a and d, which have none.
	if !slices.Equal(order, []string{"b", "c", "a", "d"}) || !slices.Equal(scores, []float32{2, 2, 0, 0}) {
		t.Errorf("items %v with scores %v", order, scores)
	}
}

func FuzzLoad(f *testing.F) { modeltest.FuzzLoad(f, "aws-popularity-count") }
