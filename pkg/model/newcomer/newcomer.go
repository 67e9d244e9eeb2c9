// Package newcomer recommends to users of whom nothing is known but who they are: by the columns of the Users dataset, such as
// age or country. To the scores of a model for an unknown user, which rank by popularity, it adds for each of his attributes
// how much more, or less, those who share it chose each item than everybody did.
//
// That is naive Bayes over attributes, with two precautions. Each ratio is shrunk towards 1 where there are few interactions
// (DuMouchel, "Bayesian data mining in large frequency tables", 1999), and the sum is damped by a strength that suits users
// whom nothing was learned from best, as attributes tell the same thing twice. Where even that helps none, the model stays as it
// is.
//
// pkg/recipe wraps the models that recommend to users and that were trained on a set with a Users dataset. From the first
// interaction that the model knows, a user's history decides alone.
package newcomer

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/reco"
)

// Model is a model that looks at the attributes of users whose history it does not know.
type Model struct {
	model.Model
	terms *content.Terms
	names []string // of terms, ascending
	// lifts are what is added to the scores of items, by term.
	lifts linear.Rows
}

// Unwrap is the model that knows no attributes.
func (m *Model) Unwrap() model.Model { return m.Model }

// AsksUser is true where nothing of the history is known.
func (m *Model) AsksUser(history []reco.RecentInteraction) bool {
	return !slices.ContainsFunc(history, func(h reco.RecentInteraction) bool {
		_, known := m.Items().Index(h.ItemID)
		return known
	})
}

// Score is that of the wrapped model, with the lifts of the attributes of a user without a history.
func (m *Model) Score(q model.Query, scores []float32) error {
	if err := m.Model.Score(q, scores); err != nil {
		return err
	}
	if m.AsksUser(q.History) {
		m.lift(q.User, scores)
	}
	return nil
}

func (m *Model) lift(user map[string]any, scores []float32) {
	if len(user) == 0 {
		return
	}
	for _, term := range m.terms.Of(user) {
		if t, known := slices.BinarySearch(m.names, term); known {
			m.lifts.Add(scores, 1, t)
		}
	}
}

// Attributes names what this package adds to a score.
const Attributes = "attributes of the user"

// Explain gives the wrapped model's terms, and what the attributes add; nil where that model has no parts.
func (m *Model) Explain(q model.Query, items []int32) ([][]model.Contribution, error) {
	explainer, ok := model.As[model.Explainer](m.Model)
	if !ok {
		return nil, nil
	}
	told, err := explainer.Explain(q, items)
	if err != nil || !m.AsksUser(q.History) {
		return told, err
	}
	lifts := make([]float32, m.Items().Len())
	m.lift(q.User, lifts)
	for k, item := range items {
		if v := lifts[item]; v != 0 && told != nil {
			told[k] = append(told[k], model.Contribution{Name: Attributes, Score: float64(v)})
		}
	}
	return told, nil
}

const (
	part    = "newcomer"
	version = 1
	// maxTerms is how many terms count at most, those that most users have.
	maxTerms = 1000
)

// Parts are those of the wrapped model and one more.
func (m *Model) Parts() ([]model.Part, error) {
	w := model.NewWriter(part, version)
	m.terms.Encode(w)
	w.Len(len(m.names))
	w.Strings(m.names)
	m.lifts.Encode(w)
	return model.PartsWith(m.Model, model.Part{Name: part, Data: w.Bytes()})
}

// Load wraps a decoded model if its parts have lifts, and otherwise returns it as it is.
func Load(m model.Model, parts map[string][]byte) (model.Model, error) {
	data, ok := parts[part]
	if !ok {
		return m, nil
	}
	r := model.NewReader(data, part, version)
	n := &Model{Model: m, terms: content.DecodeTerms(r)}
	n.names = r.Strings(r.Len(maxTerms))
	n.lifts = linear.DecodeRows(r, len(n.names), m.Items().Len())
	if !slices.IsSorted(n.names) {
		r.Fail("the terms are not in order")
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding what the attributes of users tell: %w", err)
	}
	return model.Folding(n, m), nil
}

// Extend gives an extended model what was learned for the one that it extends, which may be wrapped in others.
func Extend(m, extended model.Model) model.Model {
	n, ok := model.As[*Model](m)
	if !ok {
		return extended
	}
	return n.extend(extended)
}

func (m *Model) extend(extended model.Model) model.Model {
	lists := make([][]linear.Entry, len(m.names))
	for t := range lists {
		columns, values := m.lifts.Row(t)
		for k, c := range columns {
			if at, known := extended.Items().Index(m.Items().ID(int(c))); known {
				lists[t] = append(lists[t], linear.Entry{Column: int32(at), Value: values[k]})
			}
		}
		slices.SortFunc(lists[t], func(a, b linear.Entry) int { return cmp.Compare(a.Column, b.Column) })
	}
	return model.Folding(&Model{Model: extended, terms: m.terms, names: m.names, lifts: linear.NewRows(lists)}, extended)
}
