package related_test

import (
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/related"
)

func TestScores(t *testing.T) {
	t.Parallel()
	items := model.NewItems([]string{"a", "b", "c"})
	m := related.New(
		"test", items,
		[][]related.Neighbour{{{Item: 2, Score: 0.5}, {Item: 1, Score: 0.25}}, nil, {{Item: 0, Score: 1}}},
	)
	for item, want := range map[string][]float32{
		"a": {model.Never, 0.25, 0.5}, "b": {0, model.Never, 0}, "c": {1, 0, model.Never}, "unknown": {0, 0, 0},
	} {
		scores := make([]float32, 3)
		if err := m.Score(model.Query{ItemID: item}, scores); err != nil || !slices.Equal(scores, want) {
			t.Errorf("%s: scores %v, want %v; error %v", item, scores, want, err)
		}
	}
}

func TestLoadKnowsItsKind(t *testing.T) {
	t.Parallel()
	m := related.New("test", model.NewItems([]string{"a"}), [][]related.Neighbour{nil})
	list, err := m.Parts()
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string][]byte{}
	for _, p := range list {
		parts[p.Name] = p.Data
	}
	if _, err := related.Load("test")(parts); err != nil {
		t.Error(err)
	}
	parts["other"] = parts["test"]
	if _, err := related.Load("other")(parts); err == nil {
		t.Error("a part of another kind is taken")
	}
}
