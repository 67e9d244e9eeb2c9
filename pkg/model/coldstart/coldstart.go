// Package coldstart recommends to users of whom nothing is known but their attributes: the columns of the Users
// dataset, such as age or country. To the scores of a model for an unknown user, which rank by popularity, it adds for
// each of the user's attributes how much more, or less, those who share it chose each item than everybody did.
//
// That is naive Bayes over attributes, with two precautions. Each ratio is shrunk towards 1 where there are few
// interactions (DuMouchel, "Bayesian data mining in large frequency tables", 1999), and the sum is damped by the
// strength that suits held back users best, as attributes repeat each other. Where no strength helps, the model stays
// as it is.
//
// pkg/recipe adjusts the models that recommend to users and that were trained on a set with a Users dataset. From the
// first interaction that the model knows, a user's history decides alone.
package coldstart

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/reco"
)

// Lifts are what the attributes of a user without a known history add to the scores of items. They implement
// model.Adjustment.
type Lifts struct {
	items *model.Items
	terms *content.Terms
	names []string // of terms, ascending
	// rows hold what is added to the scores of items, by term.
	rows linear.Rows
}

// AsksUser reports whether nothing of the history is known.
func (l *Lifts) AsksUser(history []reco.RecentInteraction) bool {
	return !slices.ContainsFunc(history, func(h reco.RecentInteraction) bool {
		_, known := l.items.Index(h.ItemID)
		return known
	})
}

// Adjust adds the lifts of the attributes of a user without a known history.
func (l *Lifts) Adjust(q model.Query, scores []float32) {
	if l.AsksUser(q.History) {
		l.add(q.User, scores)
	}
}

func (l *Lifts) add(user map[string]any, scores []float32) {
	if len(user) == 0 {
		return
	}
	for _, term := range l.terms.Of(user) {
		if t, known := slices.BinarySearch(l.names, term); known {
			l.rows.Add(scores, 1, t)
		}
	}
}

// Attributes names, in explanations, what this package adds to a score.
const Attributes = "attributes of the user"

// Explain appends what the attributes add to the terms of each item.
func (l *Lifts) Explain(q model.Query, items []int32, terms [][]model.Contribution) {
	lifts := make([]float32, l.items.Len())
	l.Adjust(q, lifts)
	for k, item := range items {
		if v := lifts[item]; v != 0 {
			terms[k] = append(terms[k], model.Contribution{Name: Attributes, Score: float64(v)})
		}
	}
}

// PartName is the name of the part that holds the lifts.
const PartName = "newcomer"

const (
	version = 1
	// maxTerms is how many terms count at most, those that most users have.
	maxTerms = 1000
)

// Part encodes the lifts.
func (l *Lifts) Part() model.Part {
	w := codec.NewWriter(PartName, version)
	l.terms.Encode(w)
	w.Len(len(l.names))
	w.Strings(l.names)
	l.rows.Encode(w)
	return model.Part{Name: PartName, Data: w.Bytes()}
}

// Load decodes the part of a model with the given items.
func Load(data []byte, items *model.Items) (*Lifts, error) {
	r := codec.NewReader(data, PartName, version)
	l := &Lifts{items: items, terms: content.DecodeTerms(r)}
	l.names = r.Strings(r.Len(maxTerms))
	l.rows = linear.DecodeRows(r, len(l.names), items.Len())
	if !slices.IsSorted(l.names) {
		r.Fail("the terms are not in order")
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding the lifts of users' attributes: %w", err)
	}
	return l, nil
}

// Extend returns the lifts for a model with more items, which have none.
func (l *Lifts) Extend(items *model.Items) *Lifts {
	lists := make([][]linear.Entry, len(l.names))
	for t := range lists {
		columns, values := l.rows.Row(t)
		for k, c := range columns {
			if at, known := items.Index(l.items.ID(int(c))); known {
				lists[t] = append(lists[t], linear.Entry{Column: int32(at), Value: values[k]})
			}
		}
		slices.SortFunc(lists[t], func(a, b linear.Entry) int { return cmp.Compare(a.Column, b.Column) })
	}
	return &Lifts{items: items, terms: l.terms, names: l.names, rows: linear.NewRows(lists)}
}
