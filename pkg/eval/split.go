package eval

import (
	"cmp"
	"hash/crc32"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// testUser is a held-back user: what the model is shown, oldest first, and the items that it should find.
type testUser struct {
	input    []reco.RecentInteraction
	relevant map[string]struct{}
	// Where actions are recommended, actions is what the user did about them, and again says that they may get them
	// again.
	actions []reco.RecentInteraction
	again   bool
}

// split holds back a tenth of the users that have at least two interactions, at least one of them: those with the
// lowest hashes of their ids, so that the same user is held back in every training of growing data. The rest is a
// training set of all other users, with the same items.
//
// The newest tenth of a held-back user's interactions, at least one, is to be found; the older ones are shown. As in
// the lists themselves, items that were shown don't count among those to be found: users of whom nothing is left to
// find are not measured.
func split(ts *trainingset.Set) (rest *trainingset.Set, tests []testUser) {
	held := make([]bool, len(ts.Users))
	for _, u := range heldBack(ts) {
		held[u] = true
		if t := newTestUser(ts.History(u)); len(t.relevant) > 0 {
			tests = append(tests, t)
		}
	}
	return ts.Subset(func(user, _ int) bool { return !held[user] }), tests
}

func newTestUser(history []reco.RecentInteraction) testUser {
	newest := max(1, len(history)/10)
	t := testUser{input: history[:len(history)-newest], relevant: map[string]struct{}{}}
	for _, h := range history[len(t.input):] {
		t.relevant[h.ItemID] = struct{}{}
	}
	for _, h := range t.input {
		delete(t.relevant, h.ItemID)
	}
	return t
}

// heldBack lists the test users, ascending.
func heldBack(ts *trainingset.Set) []int {
	type candidate struct {
		user int
		hash uint32
	}
	var candidates []candidate
	for u, id := range ts.Users {
		if start, end := ts.UserEvents(u); end-start >= 2 {
			candidates = append(candidates, candidate{u, crc32.ChecksumIEEE([]byte(id))})
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(ts.Users[a.user], ts.Users[b.user]))
	})
	n := max(1, int(math.Round(float64(len(candidates))/10)))
	users := make([]int, n)
	for k := range users {
		users[k] = candidates[k].user
	}
	slices.Sort(users)
	return users
}
