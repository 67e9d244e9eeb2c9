package userstate

import (
	"cmp"
	"slices"

	"github.com/penchant-io/penchant/pkg/reco"
)

// compare is reco.CompareRecent, made total by what is left of an interaction: two clients may give different
// interactions one event id and time, and every order of arrival must still keep the same one.
func compare(a, b reco.RecentInteraction) int {
	if c := reco.CompareRecent(a, b); c != 0 {
		return c
	}
	if c := cmp.Compare(a.ItemID, b.ItemID); c != 0 {
		return c
	}
	if c := cmp.Compare(a.EventType, b.EventType); c != 0 {
		return c
	}
	return compareValues(a.EventValue, b.EventValue)
}

// compareValues orders no value before every value.
func compareValues(a, b *float64) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}

// admit adds r to kept, which is ordered, holds at most limit interactions and is changed in place. Of two with one
// event id the newer stays; what is older than a full list is not admitted. Interactions without an event id (imported
// rows) are repeats when they are equal. It reports whether kept changed.
func admit(kept []reco.RecentInteraction, r reco.RecentInteraction, limit int) ([]reco.RecentInteraction, bool) {
	if r.EventID != "" {
		if k := indexEvent(kept, r.EventID); k >= 0 {
			if compare(kept[k], r) >= 0 {
				return kept, false
			}
			kept = slices.Delete(kept, k, k+1)
		}
	}
	at, found := slices.BinarySearchFunc(kept, r, compare)
	if found {
		return kept, false
	}
	if len(kept) < limit {
		return slices.Insert(kept, at, r), true
	}
	if at == 0 {
		return kept, false
	}
	copy(kept, kept[1:at])
	kept[at-1] = r
	return kept, true
}

// Newest orders list in place, drops the older of two interactions with one event id and equal ones without, and
// returns the newest limit: what a state keeps of them, found in bulk.
func Newest(list []reco.RecentInteraction, limit int) []reco.RecentInteraction {
	if !slices.IsSortedFunc(list, compare) {
		slices.SortFunc(list, compare)
	}
	seen := make(map[string]struct{}, min(limit, len(list)))
	at := len(list) // list[at:] is kept; it never overtakes the reading position
	for k := len(list) - 1; k >= 0 && len(list)-at < limit; k-- {
		r := list[k]
		if r.EventID == "" {
			if at < len(list) && compare(list[at], r) == 0 {
				continue
			}
		} else if _, repeat := seen[r.EventID]; repeat {
			continue
		} else {
			seen[r.EventID] = struct{}{}
		}
		at--
		list[at] = r
	}
	return list[at:]
}

// indexEvent returns the index of an event id in list, or -1. It searches the newest first: repeats are mostly recent.
func indexEvent(list []reco.RecentInteraction, eventID string) int {
	for k := len(list) - 1; k >= 0; k-- {
		if list[k].EventID == eventID {
			return k
		}
	}
	return -1
}

// unite merges two ordered lists into one, dropping the older of two interactions with one event id, and keeps the
// newest limit. It changes neither, but may return one of them as it is.
func unite(a, b []reco.RecentInteraction, limit int) []reco.RecentInteraction {
	if len(a) == 0 {
		return newest(b, limit)
	}
	if len(b) == 0 {
		return newest(a, limit)
	}
	both := inBoth(a, b)
	united := make([]reco.RecentInteraction, min(limit, len(a)+len(b)))
	at := len(united)
	for i, j := len(a)-1, len(b)-1; at > 0 && (i >= 0 || j >= 0); {
		var next reco.RecentInteraction
		if j < 0 || i >= 0 && compare(a[i], b[j]) >= 0 {
			next = a[i]
			i--
		} else {
			next = b[j]
			j--
		}
		if taken, shared := both[next.EventID]; shared {
			if taken {
				continue
			}
			both[next.EventID] = true
		}
		at--
		united[at] = next
	}
	return united[at:]
}

func newest(list []reco.RecentInteraction, limit int) []reco.RecentInteraction {
	return list[max(0, len(list)-limit):]
}

// inBoth returns the event ids that are in both lists, each with false; nil, as it nearly always is, when there is
// none.
func inBoth(a, b []reco.RecentInteraction) (both map[string]bool) {
	if len(a) > len(b) {
		a, b = b, a
	}
	add := func(id string) {
		if both == nil {
			both = map[string]bool{}
		}
		both[id] = false
	}
	// A handful of events against a long history is the usual case, and then a scan beats a map.
	if len(a)*len(b) <= 2000 {
		for k := range a {
			if id := a[k].EventID; id != "" && indexEvent(b, id) >= 0 {
				add(id)
			}
		}
		return both
	}
	ids := make(map[string]struct{}, len(a))
	for k := range a {
		ids[a[k].EventID] = struct{}{}
	}
	for k := range b {
		if id := b[k].EventID; id != "" {
			if _, ok := ids[id]; ok {
				add(id)
			}
		}
	}
	return both
}
