package recipe

import (
	"context"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/coldstart"
	"github.com/penchant-io/penchant/pkg/model/objective"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Fit trains a model and lets it follow the training set's objective, if that has one. It is what the retrainer trains
// with, and measures.
func (r *Recipe) Fit(ctx context.Context, ts *trainingset.Set, p Params, o Options) (model.Model, error) {
	m, err := r.Train(ctx, ts, p, o)
	if err != nil || ts.Reward == nil {
		return m, err
	}
	return withObjective(m, ts), nil
}

// withObjective adds to each item's score what it brings in.
func withObjective(m model.Model, ts *trainingset.Set) model.Model {
	bonus := make(objective.Bonus, m.Items().Len())
	for i := range bonus {
		if at, known := slices.BinarySearch(ts.Items, m.Items().ID(i)); known {
			bonus[i] = float32(ts.Objective.Weight) * ts.Reward[at]
		}
	}
	return model.Adjust(m, bonus)
}

// Extend makes a model that knows the items of a training set which m does not, and has the set's interaction counts,
// but has learned nothing else. It is false for models that cannot: those have to be trained again.
func (r *Recipe) Extend(m model.Model, ts *trainingset.Set) (model.Model, bool) {
	extender, ok := model.As[model.Extender](m)
	if !ok {
		return nil, false
	}
	extended := extender.Extend(ts)
	if lifts, ok := liftsOf(m); ok {
		extended = model.Adjust(extended, lifts.Extend(extended.Items()))
	}
	if ts.Reward == nil {
		return extended, true
	}
	return withObjective(extended, ts), true
}

// liftsOf returns what a model has learned about the attributes of users.
func liftsOf(m model.Model) (*coldstart.Lifts, bool) {
	adjusted, ok := m.(*model.Adjusted)
	if !ok {
		return nil, false
	}
	for _, a := range adjusted.Adjustments {
		if lifts, is := a.(*coldstart.Lifts); is {
			return lifts, true
		}
	}
	return nil, false
}
