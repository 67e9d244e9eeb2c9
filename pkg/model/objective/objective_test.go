package objective

import (
	"maps"
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
	inner := fixed{model.NewItems([]string{"a", "b", "c"}), []float32{1, 2, model.Never}}
	m := Wrap(inner, []float32{3, 0, 5})
	parts, err := m.Parts()
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string][]byte{}
	for _, p := range parts {
		stored[p.Name] = p.Data
	}
	loaded, err := Load(inner, stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []model.Model{m, loaded} {
		scores := make([]float32, 3)
		if err := m.Score(model.Query{}, scores); err != nil || !slices.Equal(scores, []float32{4, 2, model.Never}) {
			t.Errorf("scores %v, error %v", scores, err)
		}
	}
	plain, err := Load(inner, map[string][]byte{"fixed": nil})
	if _, same := plain.(fixed); err != nil || !same {
		t.Errorf("a model without bonuses is loaded as %T, error %v", plain, err)
	}
	for cut := range len(stored[part]) {
		damaged := maps.Clone(stored)
		damaged[part] = stored[part][:cut]
		if _, err := Load(inner, damaged); err == nil {
			t.Errorf("%d bytes of the part are accepted", cut)
		}
	}
}

func TestWrapKeepsFolding(t *testing.T) {
	items := model.NewItems([]string{"a"})
	if _, ok := Wrap(fixed{items: items}, []float32{1}).(model.Folder); ok {
		t.Error("a model that does not fold does once it is wrapped")
	}
	m := Wrap(foldingFixed{fixed{items: items}}, []float32{1})
	if _, ok := m.(model.Folder); !ok {
		t.Error("a model that folds does not once it is wrapped")
	}
	if _, ok := m.(interface{ Unwrap() model.Model }); !ok {
		t.Error("a wrapped model cannot be unwrapped")
	}
}
