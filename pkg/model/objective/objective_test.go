package objective

import (
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
)

// fixed scores its items alike for everybody.
type fixed struct {
	items  *model.Items
	scores []float32
}

func (f fixed) Items() *model.Items { return f.items }

func (f fixed) Score(_ model.Query, scores []float32) error {
	copy(scores, f.scores)
	return model.CheckScores(f.items, scores)
}

func (f fixed) Parts() ([]model.Part, error) {
	return []model.Part{{Name: "fixed", Data: []byte("x")}}, nil
}

type foldingFixed struct{ fixed }

func (foldingFixed) Dim() int                                 { return 1 }
func (foldingFixed) Fold([]reco.RecentInteraction, []float32) {}

func TestBonusesAreAddedAndSurvive(t *testing.T) {
	t.Parallel()
	inner := fixed{model.NewItems([]string{"a", "b", "c"}), []float32{1, 2, model.Never}}
	m := model.Adjust(inner, Bonus{3, 0, 5})
	parts, err := m.Parts()
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string][]byte{}
	for _, p := range parts {
		stored[p.Name] = p.Data
	}
	bonus, err := Load(stored[PartName], inner.items.Len())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []model.Model{m, model.Adjust(inner, bonus)} {
		scores := make([]float32, 3)
		if err := m.Score(model.Query{}, scores); err != nil || !slices.Equal(scores, []float32{4, 2, model.Never}) {
			t.Errorf("scores %v, error %v", scores, err)
		}
	}
	for cut := range len(stored[PartName]) {
		if _, err := Load(stored[PartName][:cut], inner.items.Len()); err == nil {
			t.Errorf("%d bytes of the part are accepted", cut)
		}
	}
}

func TestAdjustedModelsFoldAsBefore(t *testing.T) {
	t.Parallel()
	items := model.NewItems([]string{"a"})
	if _, ok := model.As[model.Folder](model.Adjust(fixed{items: items}, Bonus{1})); ok {
		t.Error("a model that does not fold does once it is adjusted")
	}
	m := model.Adjust(model.Adjust(foldingFixed{fixed{items: items}}, Bonus{1}), Bonus{2})
	if _, ok := model.As[model.Folder](m); !ok {
		t.Error("a model that folds does not once it is adjusted")
	}
	if _, ok := m.Model.(foldingFixed); !ok || len(m.Adjustments) != 2 {
		t.Errorf("%d adjustments of a %T", len(m.Adjustments), m.Model)
	}
}
