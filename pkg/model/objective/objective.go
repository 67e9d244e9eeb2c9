// Package objective lets any model that scores for users favour items that bring in more: a solution's
// optimizationObjective. To the score of item i, a logit, it adds weight · reward(i), with rewards from 0 to 1; so an
// item's share of the recommendations is multiplied by e^(weight · reward), and how relevant items are to a user still
// counts as before among items with equal rewards.
//
// pkg/recipe adjusts the models of trainings that have an objective, and those that it loads with the part that this
// package adds.
package objective

import (
	"fmt"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
)

// PartName is the name of the part that holds the bonuses.
const PartName = "objective"

const version = 1

// Bonus is added to the items' scores, by the model's item numbers. It implements model.Adjustment.
type Bonus []float32

// Adjust adds the bonus of each item, whatever the query.
func (b Bonus) Adjust(_ model.Query, scores []float32) {
	for i, bonus := range b {
		scores[i] += bonus
	}
}

// Part encodes the bonuses.
func (b Bonus) Part() model.Part {
	w := codec.NewWriter(PartName, version)
	w.Float32s(b)
	return model.Part{Name: PartName, Data: w.Bytes()}
}

// Load decodes the part of a model that has so many items.
func Load(data []byte, items int) (Bonus, error) {
	r := codec.NewReader(data, PartName, version)
	bonus := r.Float32s(items)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding the objective: %w", err)
	}
	return bonus, nil
}
