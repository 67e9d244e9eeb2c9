package eval

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// segmentItems bounds how many items' segments are measured: those with the most interactions to find.
const segmentItems = 1000

// runSegments measures user segmentation. The newest fifth of each user's interactions is held back. For each item that
// occurs there, its segment is the first percent of the users, at least one, without those who had the item before;
// those to be found are the others who have it in what was held back.
//
//	hits_at_1_percent    the share of the segment's users who have the item, mean over items
//	recall_at_1_percent  the share of the item's users who are in the segment, mean over items
//	coverage             distinct users in any segment over all users
func runSegments(
	ctx context.Context, ts *trainingset.Set, fit func(*trainingset.Set) (model.Model, error),
) (Report, error) {
	older, later := splitEvents(ts)
	m, err := fit(older)
	if err != nil {
		return Report{}, fmt.Errorf("training without the newest interactions: %w", err)
	}
	segmenter, ok := m.(model.Segmenter)
	if !ok {
		return Report{}, fmt.Errorf("model %T finds no segments", m)
	}
	popular := activeUsers(older)
	k := max(1, len(ts.Users)/100)
	var found, byActivity segments
	for _, item := range later {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		scored, err := segmenter.Segment(model.SegmentQuery{ItemID: item.id}, k+len(item.before))
		if err != nil {
			return Report{}, fmt.Errorf("finding the segment of an item: %w", err)
		}
		users := make([]string, len(scored))
		for n, s := range scored {
			users[n] = s.UserID
		}
		found.add(item.firstOf(users, k), item.users, k)
		byActivity.add(item.firstOf(popular, k), item.users, k)
	}
	return Report{
		Metrics: found.metrics(len(ts.Users)), Popularity: byActivity.metrics(len(ts.Users)), TestUsers: len(ts.Users),
	}, nil
}

// laterItem is an item with the users who have it in the held-back interactions for the first time, and those who had
// it before.
type laterItem struct {
	id            string
	users, before map[string]struct{}
}

// firstOf is the first users who did not have the item before.
func (i laterItem) firstOf(users []string, k int) []string {
	var first []string
	for _, u := range users {
		if len(first) == k {
			break
		}
		if _, had := i.before[u]; !had {
			first = append(first, u)
		}
	}
	return first
}

// splitEvents cuts off the newest fifth of each user's interactions. Users keep at least one.
func splitEvents(ts *trainingset.Set) (*trainingset.Set, []laterItem) {
	cut := func(user int) int {
		start, end := ts.UserEvents(user)
		return end - (end-start)/5
	}
	older := ts.Subset(func(user, event int) bool { return event < cut(user) })
	users := map[int32]map[string]struct{}{}
	for u, id := range ts.Users {
		_, end := ts.UserEvents(u)
		for _, item := range ts.Item[cut(u):end] {
			if users[item] == nil {
				users[item] = map[string]struct{}{}
			}
			users[item][id] = struct{}{}
		}
	}
	items := slices.SortedFunc(maps.Keys(users), func(a, b int32) int {
		return cmp.Or(cmp.Compare(len(users[b]), len(users[a])), cmp.Compare(a, b))
	})
	items = items[:min(len(items), segmentItems)]
	before := map[int32]map[string]struct{}{}
	for _, i := range items {
		before[i] = map[string]struct{}{}
	}
	for u, id := range ts.Users {
		start, end := older.UserEvents(u)
		for _, i := range older.Item[start:end] {
			if of := before[i]; of != nil {
				of[id] = struct{}{}
				delete(users[i], id)
			}
		}
	}
	var later []laterItem
	for _, i := range items {
		if len(users[i]) > 0 {
			later = append(later, laterItem{ts.Items[i], users[i], before[i]})
		}
	}
	return older, later
}

// activeUsers are the users with the most interactions first: the segment without knowing anything about the item.
func activeUsers(ts *trainingset.Set) []string {
	order := make([]int, len(ts.Users))
	for u := range order {
		order[u] = u
	}
	size := func(u int) int {
		start, end := ts.UserEvents(u)
		return end - start
	}
	slices.SortStableFunc(order, func(a, b int) int { return size(b) - size(a) })
	ids := make([]string, len(order))
	for n, u := range order {
		ids[n] = ts.Users[u]
	}
	return ids
}

type segments struct {
	items        int
	hits, recall float64
	seen         map[string]struct{}
}

func (s *segments) add(segment []string, relevant map[string]struct{}, k int) {
	if s.seen == nil {
		s.seen = map[string]struct{}{}
	}
	found := 0
	for _, user := range segment {
		s.seen[user] = struct{}{}
		if _, hit := relevant[user]; hit {
			found++
		}
	}
	s.items++
	s.hits += float64(found) / float64(k)
	s.recall += float64(found) / float64(len(relevant))
}

func (s *segments) metrics(users int) Metrics {
	items := math.Max(float64(s.items), 1)
	return Metrics{
		"coverage":          round(float64(len(s.seen)) / math.Max(float64(users), 1)),
		"hits_at_1_percent": round(s.hits / items), "recall_at_1_percent": round(s.recall / items),
	}
}
