package model

import "github.com/penchant-io/penchant/pkg/reco"

// Adjustment changes the scores of a model, such as in favour of items that bring in more. It is read-only and safe for
// concurrent use. One that reads Query.User has the method AsksUser as well, and one that contributes terms to
// explanations the method Explain; see Adjusted.
type Adjustment interface {
	// Adjust changes the scores that a query has got.
	Adjust(q Query, scores []float32)
	// Part encodes the adjustment.
	Part() Part
}

// Adjusted is a model whose scores are adjusted.
type Adjusted struct {
	Model
	// Adjustments are applied in order.
	Adjustments []Adjustment
}

// Adjust returns the model with one more adjustment, which comes last. The model itself stays as it is.
func Adjust(m Model, last Adjustment) *Adjusted {
	if a, ok := m.(*Adjusted); ok {
		return &Adjusted{a.Model, append(a.Adjustments[:len(a.Adjustments):len(a.Adjustments)], last)}
	}
	return &Adjusted{m, []Adjustment{last}}
}

// Score writes the model's scores, adjusted.
func (a *Adjusted) Score(q Query, scores []float32) error {
	if err := a.Model.Score(q, scores); err != nil {
		return err
	}
	for _, adjustment := range a.Adjustments {
		adjustment.Adjust(q, scores)
	}
	return nil
}

// Parts are those of the model, then those of the adjustments.
func (a *Adjusted) Parts() ([]Part, error) {
	parts, err := a.Model.Parts()
	if err != nil {
		return nil, err
	}
	for _, adjustment := range a.Adjustments {
		parts = append(parts, adjustment.Part())
	}
	return parts, nil
}

// Explain returns the model's terms with those of the adjustments that explain themselves, and nil if the model has
// none.
func (a *Adjusted) Explain(q Query, items []int32) ([][]Contribution, error) {
	explainer, ok := a.Model.(Explainer)
	if !ok {
		return nil, nil
	}
	terms, err := explainer.Explain(q, items)
	if err != nil || terms == nil {
		return nil, err
	}
	for _, adjustment := range a.Adjustments {
		if e, explains := adjustment.(interface {
			Explain(q Query, items []int32, terms [][]Contribution)
		}); explains {
			e.Explain(q, items, terms)
		}
	}
	return terms, nil
}

// As returns what a model can do beyond Model, such as Folder: an adjusted model can do what the model without the
// adjustments can.
func As[T any](m Model) (capable T, ok bool) {
	if capable, ok = m.(T); ok {
		return capable, true
	}
	if a, adjusted := m.(*Adjusted); adjusted {
		capable, ok = a.Model.(T)
	}
	return capable, ok
}

// AsksUser reports whether a model looks at Query.User, given the user's history.
func AsksUser(m Model, history []reco.RecentInteraction) bool {
	a, ok := m.(*Adjusted)
	if !ok {
		return false
	}
	for _, adjustment := range a.Adjustments {
		if asking, asks := adjustment.(interface {
			AsksUser(history []reco.RecentInteraction) bool
		}); asks && asking.AsksUser(history) {
			return true
		}
	}
	return false
}
