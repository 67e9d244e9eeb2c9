package eval

import (
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// taken is the event type of an action that a user took.
const taken = "TAKEN"

// runActions measures recommendations of actions with the metrics of those of items. A tenth of the users with at least
// two action interactions is held back. The model sees their interactions with items and the older nine tenths of those
// with actions; to be found is what they took among the newest tenth, at least one. Users who took nothing there are
// not measured. An action may be recommended again.
func runActions(
	ctx context.Context, ts *trainingset.Set, threads int, fit func(*trainingset.Set) (model.Model, error),
) (Report, error) {
	rest, tests := splitActions(ts)
	m, err := fit(rest)
	if err != nil {
		return Report{}, fmt.Errorf("training without the test users' actions: %w", err)
	}
	h := &Holdout{Rest: rest, tests: tests}
	return h.report(ctx, m.Items(), popularActions(rest), threads, func(t *testUser, scores []float32) error {
		return m.Score(model.Query{History: t.input, ActionHistory: t.actions}, scores)
	})
}

// splitActions takes the action interactions of a tenth of the users away. Without any action interaction to spare the
// set stays as it is.
func splitActions(ts *trainingset.Set) (*trainingset.Set, []testUser) {
	byUser := map[string][]trainingset.ActionEvent{}
	for _, e := range ts.Actions.Events { // by user, then time
		byUser[e.UserID] = append(byUser[e.UserID], e)
	}
	var users []string
	for id, events := range byUser {
		if len(events) >= 2 {
			users = append(users, id)
		}
	}
	slices.SortFunc(users, func(a, b string) int {
		return cmp.Or(cmp.Compare(crc32.ChecksumIEEE([]byte(a)), crc32.ChecksumIEEE([]byte(b))), cmp.Compare(a, b))
	})
	if len(users) > 0 {
		users = users[:max(1, int(math.Round(float64(len(users))/10)))]
	}
	held := map[string]bool{}
	var tests []testUser
	for _, id := range users {
		held[id] = true
		if t := newActionTest(ts, id, byUser[id]); len(t.relevant) > 0 {
			tests = append(tests, t)
		}
	}
	rest := *ts
	rest.Reward = nil
	rest.Actions.Events = nil
	for _, e := range ts.Actions.Events {
		if !held[e.UserID] {
			rest.Actions.Events = append(rest.Actions.Events, e)
		}
	}
	return &rest, tests
}

func newActionTest(ts *trainingset.Set, id string, events []trainingset.ActionEvent) testUser {
	t := testUser{relevant: map[string]struct{}{}, again: true}
	if u, known := slices.BinarySearch(ts.Users, id); known {
		t.input = ts.History(u)
	}
	older := len(events) - max(1, len(events)/10)
	for k, e := range events {
		action := ts.Actions.IDs[e.Action]
		switch {
		case k < older:
			t.actions = append(
				t.actions, reco.RecentInteraction{ItemID: action, EventType: e.Type, TimestampMS: e.TimeMS},
			)
		case e.Type == taken:
			t.relevant[action] = struct{}{}
		}
	}
	return t
}

// popularActions are the actions by how often they were taken.
func popularActions(ts *trainingset.Set) *model.Items {
	count := map[string]int{}
	for _, e := range ts.Actions.Events {
		if e.Type == taken {
			count[ts.Actions.IDs[e.Action]]++
		}
	}
	ids := slices.Clone(ts.Actions.IDs)
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(count[b], count[a]) })
	return model.NewItems(ids)
}
