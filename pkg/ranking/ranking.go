// Package ranking makes lists. From the scores of a model, the attributes of its items, the filters of a request and
// the settings for exploration, diversity and promotion it makes the list that a user is shown. The recommender calls
// it for each request and batch jobs call it for each line of their input, so both give the same lists for the same
// input.
//
// The package is pure: it does no I/O, reads no clock, and draws only what the seeds in a request decide. A list is
// made in this order:
//
//  1. The Scorer scores the items.
//  2. Exploration lifts the scores of cold items.
//  3. The promotion's filter selects the promoted items, best first.
//  4. The request's filter selects the other items, best first. Diversity reorders them, and items that the model does
//     not know fill up a list that is too short.
//  5. The promoted items are put among the others.
//
// A filter is applied before the best items are taken, so a list is full as long as enough items pass. Only what is not
// promoted is made diverse, since the order of promoted items was asked for.
package ranking

import (
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
)

// Request asks for a list of a catalogue's items.
type Request struct {
	Scorer Scorer
	// Results is the length of the list, as far as there are enough items.
	Results int
	// Subject is the user or item that the list is for: what filters see of them. Items that the recipe hides from
	// users with certain events are found in its History.
	Subject filter.Subject
	// Filter selects the items that are not promoted; nil: there is no filter, and the list holds only items that the
	// model knows.
	Filter *Filter
	// The following are nil where the list is made without them.
	Promotion   *Promotion
	Exploration *Exploration
	Diversity   *Diversity
}

// Pick is one item of a list.
type Pick struct {
	// Item is the item's index in the model's catalogue, -1 for an item that the model does not know. Such an item has
	// neither score nor share.
	Item  int32
	ID    string
	Score float32
	// Share is the item's share in the softmax of all scores, for recipes that show it.
	Share    float64
	Promoted bool
}

// Known reports whether the model knows the item.
func (p *Pick) Known() bool { return p.Item != unknownItem }

// List is a list of items, best first, and how it came about.
type List struct {
	Picks []Pick
	// Selection and Promoted are what the filters of request and promotion selected; nil without such a filter.
	Selection, Promoted *filter.Selection
	// Excluded is the number of items that the list must not hold whatever the filter selects.
	Excluded int
	// Lifted is the number of cold items whose scores were lifted.
	Lifted int
	// Reordered are the items of a list that was made diverse, with the ranks that they had by score; promoted items
	// are not among them. It is nil where the list was not made diverse.
	Reordered []Reordered

	lifted []lifted
}

// List makes a list. An error is the Scorer's.
func (c *Catalogue) List(req *Request) (*List, error) {
	scores, err := req.Scorer.Score(nil)
	if err != nil {
		return nil, err
	}
	list := new(List)
	list.explore(req.Exploration, scores)
	var promoted []Pick
	if p := req.Promotion; p != nil {
		pool := c.candidates(p.Filter, &req.Subject)
		list.Promoted = pool.selection
		promoted = pool.picks(scores, p.slots(req.Results))
		for i := range promoted {
			promoted[i].Promoted = true
		}
	}
	pool := c.candidates(req.Filter, &req.Subject)
	list.Selection, list.Excluded = pool.selection, len(pool.excludedIDs)
	for i := range promoted {
		pool.exclude(promoted[i].ID)
	}
	pool.reorder = list.reorder(req.Diversity)
	others := pool.picks(scores, req.Results-len(promoted))
	list.Picks = others
	if len(promoted) > 0 {
		list.Picks = mix(promoted, others, req.Promotion.Seed)
	}
	if c.showsShares {
		addShares(list.Picks, scores)
	}
	return list, nil
}

// Rank orders the items with these ids by descending score and returns each of them once. Share is the share in the
// softmax of the items that the model knows. The other items come last, in the order of the ids. Items that the filter
// (nil: none) does not select are left out.
func (c *Catalogue) Rank(scorer Scorer, ids []string, f *Filter, subject *filter.Subject) ([]Pick, error) {
	if f != nil {
		ids = c.selected(f, subject, ids)
	}
	known, unknown := model.Divide(c.items, ids)
	scores, err := scorer.Score(known)
	if err != nil {
		return nil, err
	}
	ranked, shares := model.Rank(scores.values, known)
	picks := make([]Pick, 0, len(ranked)+len(unknown))
	for rank, item := range ranked {
		picks = append(picks, Pick{Item: item, ID: c.items.ID(int(item)), Score: scores.of(item), Share: shares[rank]})
	}
	for _, id := range unknown {
		picks = append(picks, Pick{Item: unknownItem, ID: id})
	}
	return picks, nil
}

// unknownItem is the index of an item that the model does not know.
const unknownItem = -1

// Exploration lifts the scores of cold items.
type Exploration struct {
	Settings exploration.Settings
	// Cold are the items that may be lifted. An Exploration without any changes nothing.
	Cold []exploration.ColdItem
	// Seed decides how far each item is lifted.
	Seed uint64
	// Shown returns how often an item was shown since the training; nil: never.
	Shown func(id string) uint32
}

// lifted is a lifted item with the score that it had before.
type lifted struct {
	item   int32
	before float32
}

// explore lifts the scores of cold items.
func (l *List) explore(e *Exploration, scores Scores) {
	if e == nil || len(e.Cold) == 0 {
		return
	}
	l.lifted = make([]lifted, 0, len(e.Cold))
	e.Settings.Lift(scores.values, e.Cold, e.Seed, e.Shown, func(item int32, before float32) {
		l.lifted = append(l.lifted, lifted{item, before})
	})
	l.Lifted = len(l.lifted)
}

// Explored returns the items of the list that would not be in it if their scores had not been lifted: those whose score
// was lower before than that of the last item that was not lifted.
func (l *List) Explored() map[int32]bool {
	if len(l.lifted) == 0 {
		return nil
	}
	before := make(map[int32]float32, len(l.lifted))
	for _, was := range l.lifted {
		before[was.item] = was.before
	}
	worst, none := float32(0), true
	for i := range l.Picks {
		pick := &l.Picks[i]
		if _, cold := before[pick.Item]; !cold && pick.Item != unknownItem && (none || pick.Score < worst) {
			worst, none = pick.Score, false
		}
	}
	explored := map[int32]bool{}
	for i := range l.Picks {
		if score, cold := before[l.Picks[i].Item]; cold && (none || score < worst) {
			explored[l.Picks[i].Item] = true
		}
	}
	return explored
}
