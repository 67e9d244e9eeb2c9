package semantic_test

import (
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/semantic"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

var catalogue = map[string]string{
	"laser":   "The compact laser printer for the office prints forty pages a minute",
	"inkjet":  "An inkjet printer for printing the photos of the family",
	"trainer": "The running shoe for trails, light and with a good grip",
	"boots":   "Hiking boots for wet trails with a sole that grips",
	"kettle":  "The electric kettle that boils a litre in three minutes",
	"teapot":  "The teapot of cast iron that keeps a litre of tea warm",
	"sushi":   "寿司と刺身の作り方",
	"ramen":   "ラーメンと寿司の店",
	"blank":   "",
}

func train(t *testing.T) *trainingset.Set {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{ItemSchema: &schema.Schema{Type: schema.Items, Fields: []schema.Field{
		{Name: "ITEM_ID"}, {Name: "SUMMARY", Textual: true}, {Name: "NOTE"},
	}}})
	for id, text := range catalogue {
		// All share the note, which is no text to compare.
		b.AddItem(reco.Entity{
			ID: id, Properties: map[string]any{"SUMMARY": text, "NOTE": "an internal note that everything has"},
		})
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func TestNearTextsAreFound(t *testing.T) {
	t.Parallel()
	m, err := semantic.Train(t.Context(), train(t), semantic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	scores := make([]float32, m.Items().Len())
	for item, near := range map[string]string{
		"laser": "inkjet", "inkjet": "laser", // share "printer", and a piece of "printing"
		"trainer": "boots", "boots": "trainer", "kettle": "teapot", "teapot": "kettle",
		"sushi": "ramen", "ramen": "sushi", // without spaces between words
	} {
		if err := m.Score(model.Query{ItemID: item}, scores); err != nil {
			t.Fatal(err)
		}
		best := model.TopK(scores, 1, nil)[0]
		if id := m.Items().ID(int(best)); id != near || scores[best] <= 0 || scores[best] > 1 {
			t.Errorf("nearest to %s is %s with score %g, want %s", item, id, scores[best], near)
		}
	}
	if err := m.Score(model.Query{ItemID: "blank"}, scores); err != nil {
		t.Fatal(err)
	}
	for i, s := range scores {
		if s > 0 {
			t.Errorf("an item without text is near %s", m.Items().ID(i))
		}
	}
}
