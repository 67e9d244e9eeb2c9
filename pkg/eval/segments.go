package eval

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
)

// segmentItems bounds how many items' segments are measured: those with the most interactions to find.
const segmentItems = 1000

// runSegments measures user segmentation. The newest fifth of each user's interactions is held back. For each item that
// occurs there, its segment is the first percent of the users, at least one; those to be found are the users who have it
// in what was held back.
//
//	hits_at_1_percent    the share of the segment's users who have the item, mean over items
//	recall_at_1_percent  the share of the item's users who are in the segment, mean over items
//	coverage             distinct users in any segment over all users
func runSegments(ctx context.Context, ts *dataset.TrainingSet, fit func(*dataset.TrainingSet) (model.Model, error)) (Report, error) {
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
		scored, err := segmenter.Segment(model.SegmentQuery{ItemID: item.id}, k)
		if err != nil {
			return Report{}, fmt.Errorf("finding the segment of an item: %w", err)
		}
		users := make([]string, len(scored))
		for n, s := range scored {
			users[n] = s.UserID
		}
		found.add(users, item.users, k)
		byActivity.add(popular[:min(k, len(popular))], item.users, k)
	}
	return Report{Metrics: found.metrics(len(ts.Users)), Popularity: byActivity.metrics(len(ts.Users)), TestUsers: len(ts.Users)}, nil
}

// laterItem is an item with the users who have it in the held-back interactions.
type laterItem struct {
	id    string
	users map[string]struct{}
}

// splitEvents cuts off the newest fifth of each user's interactions. Users keep at least one.
func splitEvents(ts *dataset.TrainingSet) (*dataset.TrainingSet, []laterItem) {
	older := *ts
	older.UserStart, older.Item, older.TimeMS, older.Type, older.Value, older.Weight = []int32{0}, nil, nil, nil, nil, nil
	users := map[int32]map[string]struct{}{}
	for u, id := range ts.Users {
		start, end := ts.UserEvents(u)
		cut := end - (end-start)/5
		older.Item = append(older.Item, ts.Item[start:cut]...)
		older.TimeMS = append(older.TimeMS, ts.TimeMS[start:cut]...)
		older.Type = append(older.Type, ts.Type[start:cut]...)
		older.Value = append(older.Value, ts.Value[start:cut]...)
		if ts.Weight != nil {
			older.Weight = append(older.Weight, ts.Weight[start:cut]...)
		}
		older.UserStart = append(older.UserStart, int32(len(older.Item)))
		for _, item := range ts.Item[cut:end] {
			if users[item] == nil {
				users[item] = map[string]struct{}{}
			}
			users[item][id] = struct{}{}
		}
	}
	later := make([]laterItem, 0, len(users))
	for i, id := range ts.Items {
		if of := users[int32(i)]; of != nil {
			later = append(later, laterItem{id, of})
		}
	}
	slices.SortStableFunc(later, func(a, b laterItem) int { return len(b.users) - len(a.users) })
	return &older, later[:min(len(later), segmentItems)]
}

// activeUsers are the users with the most interactions first: the segment without knowing anything about the item.
func activeUsers(ts *dataset.TrainingSet) []string {
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
