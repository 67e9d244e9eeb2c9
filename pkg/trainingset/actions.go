package trainingset

import (
	"cmp"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/reco"
)

// actions collects an ActionSet. A dataset group has at most some thousand actions and far fewer interactions with them
// than with items, so they are kept as they come.
type actions struct {
	rows   entityRows
	events []actionEvent
}

type actionEvent struct {
	user            int32
	id, action, typ string
	timeMS          int64
}

// AddActionInteraction takes what a user did about an action, whose id is the ItemID. The caller may reuse it. One
// without action, or without user and session, is left out. The options of the builder are about interactions with
// items and do not select here.
func (b *Builder) AddActionInteraction(i *reco.Interaction) {
	b.link(i)
	if i.ItemID == "" || i.Key() == "" {
		return
	}
	e := actionEvent{
		user: b.user(i.Key()), id: strings.Clone(i.EventID), action: strings.Clone(i.ItemID),
		typ: strings.Clone(i.EventType), timeMS: i.TimestampMS,
	}
	if i.UserID != "" {
		b.named[e.user] = true
	}
	b.actions.events = append(b.actions.events, e)
}

// build makes the set; target says which user each user index stands for. Of several interactions of a user with the
// same event id the earliest counts, and of rows that are equal in everything one.
func (a *actions) build(users *interner, target []int32) ActionSet {
	var set ActionSet
	index := map[string]int32{}
	for id := range a.rows {
		index[id] = 0
	}
	for k := range a.events {
		a.events[k].user = target[a.events[k].user]
		index[a.events[k].action] = 0
	}
	for id := range index {
		set.IDs = append(set.IDs, id)
	}
	slices.Sort(set.IDs)
	for k, id := range set.IDs {
		index[id] = int32(k)
	}
	set.Rows = make(map[int32]reco.Entity, len(a.rows))
	for id, row := range a.rows {
		set.Rows[index[id]] = row.Entity
	}
	slices.SortFunc(a.events, func(x, y actionEvent) int {
		return cmp.Or(
			strings.Compare(users.names[x.user], users.names[y.user]), cmp.Compare(x.timeMS, y.timeMS),
			strings.Compare(x.id, y.id),
			strings.Compare(x.action, y.action), strings.Compare(x.typ, y.typ),
		)
	})
	type identity struct {
		user int32
		id   string
	}
	seen := map[identity]struct{}{}
	for k, e := range a.events {
		if k > 0 && e == a.events[k-1] {
			continue
		}
		if e.id != "" {
			key := identity{e.user, e.id}
			if _, again := seen[key]; again {
				continue
			}
			seen[key] = struct{}{}
		}
		set.Events = append(
			set.Events,
			ActionEvent{UserID: users.names[e.user], Action: index[e.action], TimeMS: e.timeMS, Type: e.typ},
		)
	}
	return set
}
