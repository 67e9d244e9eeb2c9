package linear

import (
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Sequences are the histories of a training set in the order in which users had them, and the way back: where each item
// occurs. Items are numbered as in the catalogue.
type Sequences struct {
	Items *model.Items
	// Counts is the number of interactions of each item; see model.Popular.
	Counts []int64
	// Item and Weight are the events, user after user, oldest first.
	Item   []int32
	Weight []float32
	// End is, for each event, the position after its user's last.
	End []int32
	// Begin is, for each event, the position of its user's first.
	Begin []int32
	// first, of length items+1, says where in event the positions of an item's events stand.
	first []int32
	event []int32
}

// NewSequences arranges a training set. Of each user the newest events count, maxHistory at most.
func NewSequences(ts *trainingset.Set, maxHistory int) *Sequences {
	items, counts := model.Popular(ts)
	rank := make([]int32, len(ts.Items))
	for i, id := range ts.Items {
		to, _ := items.Index(id)
		rank[i] = int32(to)
	}
	s := &Sequences{Items: items, Counts: counts, first: make([]int32, items.Len()+1)}
	for u := range ts.Users {
		from, to := ts.UserEvents(u)
		from = max(from, to-maxHistory)
		begin := int32(len(s.Item))
		for e := from; e < to; e++ {
			s.Item, s.Weight = append(s.Item, rank[ts.Item[e]]), append(s.Weight, ts.EventWeight(e))
			s.Begin, s.End = append(s.Begin, begin), append(s.End, begin+int32(to-from))
		}
	}
	for _, i := range s.Item {
		s.first[i+1]++
	}
	for i := range items.Len() {
		s.first[i+1] += s.first[i]
	}
	next := append([]int32(nil), s.first...)
	s.event = make([]int32, len(s.Item))
	for e, i := range s.Item {
		s.event[next[i]] = int32(e)
		next[i]++
	}
	return s
}

// Events are the positions of an item's events, ascending.
func (s *Sequences) Events(item int) []int32 { return s.event[s.first[item]:s.first[item+1]] }
