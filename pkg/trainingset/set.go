// Package trainingset holds what a model is trained on: the interactions of a dataset group by user, with dense numbers
// for users and items, and the rows of its items, users and actions. A Builder collects events and rows in any order
// and makes a Set of them; a Set is never modified afterwards.
//
// The package knows nothing of storage. pkg/dataset reads a bucket and feeds a Builder, demos and tests feed one from
// memory, and the packages under pkg/model train on the Set.
package trainingset

import (
	"fmt"
	"math"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Set is what a model is trained on: the interactions of a dataset group, grouped by user, with dense indices
// for users and items. It is made by a Builder and never modified afterwards. The same data, added in any order, gives
// an equal Set.
type Set struct {
	// Users and Items hold the ids in ascending order; their positions are the indices used everywhere else. Users have
	// at least one interaction; an anonymous session that no user claims is a user under its session id. Items holds
	// those of the interactions and those of ItemRows.
	Users, Items []string
	// UserStart has len(Users)+1 entries: the events of user u are [UserStart[u], UserStart[u+1]) of the event columns.
	UserStart []int32
	// Item, TimeMS, Type and Value are the event columns. A user's events are in the order of reco.CompareRecent.
	Item []int32
	// TimeMS is the event time in milliseconds since the Unix epoch.
	TimeMS []int64
	// Type indexes EventTypes.
	Type []uint16
	// Value is EVENT_VALUE, NaN where there is none.
	Value []float32
	// Weight is how much each event counts, from above 0 to 1, by its type. Nil where all count alike.
	Weight []float32
	// EventTypes are the event types in ascending order; "" stands for none.
	EventTypes []string
	// ItemRows is the metadata by item index. It may hold items without interactions, and lack items that have some.
	ItemRows map[int32]reco.Entity
	// UserRows is the metadata by user index. Users without interactions are left out.
	UserRows map[int32]reco.Entity
	// EventType is the filter that the events have passed, "" for none.
	EventType string
	// Objective is what recommendations are to bring in, and Reward how much each item does, from 0 to 1; nil without
	// one.
	Objective Objective
	Reward    []float32
	// Columns says which columns the set was made without.
	Columns Columns
	// ItemSchema and UserSchema say what the columns of ItemRows and UserRows are. Nil where that is unknown: models
	// then judge columns by their values.
	ItemSchema, UserSchema *schema.Schema
	// Actions is empty in dataset groups without Actions datasets.
	Actions ActionSet
}

// ActionSet is what the Actions and Action_Interactions datasets of a group hold.
type ActionSet struct {
	// IDs are the actions in ascending order: those of the interactions and those of Rows.
	IDs []string
	// Rows is the metadata by the action's position in IDs.
	Rows map[int32]reco.Entity
	// Events are ordered by user, then as by reco.CompareRecent.
	Events []ActionEvent
}

// ActionEvent is something that a user did about an action. The user need not be among those of the Set, who have
// interactions with items.
type ActionEvent struct {
	UserID string
	// Action is a position in ActionSet.IDs.
	Action int32
	TimeMS int64
	// Type is TAKEN, NOT_TAKEN or VIEWED.
	Type string
}

// Events is the number of interactions.
func (t *Set) Events() int { return len(t.Item) }

// Appearances tell when each item appeared, in milliseconds, and how many interactions it has. An item appeared at its
// CREATION_TIMESTAMP, or else with its first interaction, or else with the newest interaction of all: it is new.
func (t *Set) Appearances() (timeMS []int64, interactions []int) {
	timeMS, interactions = make([]int64, len(t.Items)), make([]int, len(t.Items))
	newest := int64(math.MinInt64)
	for e, i := range t.Item {
		if interactions[i] == 0 || t.TimeMS[e] < timeMS[i] {
			timeMS[i] = t.TimeMS[e]
		}
		interactions[i]++
		newest = max(newest, t.TimeMS[e])
	}
	for i := range timeMS {
		if created, ok := t.ItemRows[int32(i)].Properties["CREATION_TIMESTAMP"].(int64); ok {
			timeMS[i] = created * 1000
		} else if interactions[i] == 0 {
			timeMS[i] = newest
		}
	}
	return timeMS, interactions
}

// Subset is a set of the events for which keep says so, in the same order and with the same items. Users of whom no
// event is kept are not in it.
func (t *Set) Subset(keep func(user, event int) bool) *Set {
	s := *t
	s.Users, s.UserStart, s.UserRows = nil, []int32{0}, map[int32]reco.Entity{}
	s.Item, s.TimeMS, s.Type, s.Value, s.Weight = nil, nil, nil, nil, nil
	for u, id := range t.Users {
		start, end := t.UserEvents(u)
		for e := start; e < end; e++ {
			if !keep(u, e) {
				continue
			}
			s.Item, s.TimeMS = append(s.Item, t.Item[e]), append(s.TimeMS, t.TimeMS[e])
			s.Type, s.Value = append(s.Type, t.Type[e]), append(s.Value, t.Value[e])
			if t.Weight != nil {
				s.Weight = append(s.Weight, t.Weight[e])
			}
		}
		if len(s.Item) == int(s.UserStart[len(s.Users)]) {
			continue
		}
		if row, ok := t.UserRows[int32(u)]; ok {
			s.UserRows[int32(len(s.Users))] = row
		}
		s.Users = append(s.Users, id)
		s.UserStart = append(s.UserStart, int32(len(s.Item)))
	}
	return &s
}

// EventWeight is how much event e counts, 1 where all count alike.
func (t *Set) EventWeight(e int) float32 {
	if t.Weight == nil {
		return 1
	}
	return t.Weight[e]
}

// UserEvents is the range of user u's events.
func (t *Set) UserEvents(u int) (start, end int) {
	return int(t.UserStart[u]), int(t.UserStart[u+1])
}

// History is user u's events, oldest first, as models see them when they serve. Event ids are left out: the order is
// final.
func (t *Set) History(u int) []reco.RecentInteraction {
	start, end := t.UserEvents(u)
	history := make([]reco.RecentInteraction, 0, end-start)
	for e := start; e < end; e++ {
		r := reco.RecentInteraction{
			ItemID: t.Items[t.Item[e]], EventType: t.EventTypes[t.Type[e]], TimestampMS: t.TimeMS[e],
		}
		if v := t.Value[e]; v == v { // not NaN
			value := float64(v)
			r.EventValue = &value
		}
		history = append(history, r)
	}
	return history
}

// TooSmallError says that there is too little data to train on; its text is the failure reason that clients see.
type TooSmallError struct{ reason string }

// Error is the failure reason.
func (e *TooSmallError) Error() string { return e.reason }

// CheckMinimum holds the set to Personalize's minima: the number of interactions, and the number of users that have at
// least two. The error is a *TooSmallError.
func (t *Set) CheckMinimum(minInteractions, minUsers int) error {
	active := 0
	for u := range t.Users {
		if start, end := t.UserEvents(u); end-start >= 2 {
			active++
		}
	}
	return CheckMinimum(int64(t.Events()), int64(active), minInteractions, minUsers, t.EventType)
}

// CheckMinimum is Set.CheckMinimum for counts: of interactions (of a type, "" for all), and of users who have two.
func CheckMinimum(interactions, active int64, minInteractions, minUsers int, eventType string) error {
	switch {
	case interactions < int64(minInteractions) && eventType != "":
		return &TooSmallError{
			fmt.Sprintf(
				"Dataset has fewer than %d interactions after filtering by event type: %s", minInteractions, eventType,
			),
		}
	case interactions < int64(minInteractions):
		return &TooSmallError{fmt.Sprintf("Dataset has fewer than %d interactions", minInteractions)}
	case active < int64(minUsers):
		return &TooSmallError{
			fmt.Sprintf("Dataset has fewer than %d users with at least 2 interactions each", minUsers),
		}
	}
	return nil
}
