// Package objective lets any model that scores for users favour items that bring in more: a solution's
// optimizationObjective. To the score of item i, a logit, it adds weight · reward(i), with rewards from 0 to 1; so an item's
// share of the recommendations is multiplied by e^(weight · reward), and how relevant items are to a user still counts as
// before among items with equal rewards.
//
// pkg/recipe wraps the models of trainings that have an objective, and those that it loads with the part that this package
// adds.
package objective

import (
	"fmt"

	"github.com/penchant-io/penchant/pkg/model"
)

// Model is a model that favours some items.
type Model struct {
	model.Model
	// bonus is added to the items' scores.
	bonus []float32
}

// Wrap adds a bonus to each item's score. The bonuses are by the model's item numbers.
func Wrap(m model.Model, bonus []float32) model.Model {
	return model.Folding(&Model{Model: m, bonus: bonus}, m)
}

// Unwrap is the model without its bonuses.
func (m *Model) Unwrap() model.Model { return m.Model }

// Score is that of the wrapped model with the bonus.
func (m *Model) Score(q model.Query, scores []float32) error {
	if err := m.Model.Score(q, scores); err != nil {
		return err
	}
	for i, b := range m.bonus {
		scores[i] += b
	}
	return nil
}

const (
	part    = "objective"
	version = 1
)

// Parts are those of the wrapped model and the bonuses.
func (m *Model) Parts() ([]model.Part, error) {
	w := model.NewWriter(part, version)
	w.Float32s(m.bonus)
	return model.PartsWith(m.Model, model.Part{Name: part, Data: w.Bytes()})
}

// Load wraps a decoded model if its parts have bonuses, and otherwise returns it as it is.
func Load(m model.Model, parts map[string][]byte) (model.Model, error) {
	data, ok := parts[part]
	if !ok {
		return m, nil
	}
	r := model.NewReader(data, part, version)
	bonus := r.Float32s(m.Items().Len())
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding the objective: %w", err)
	}
	return Wrap(m, bonus), nil
}
