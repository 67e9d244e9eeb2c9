package recommender

import (
	"fmt"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/filter/filtertest"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// TestFilterCasesEndToEnd puts the data of the filter cases in, makes each of their filters, and compares what is
// recommended and ranked with what must pass.
func TestFilterCasesEndToEnd(t *testing.T) {
	t.Parallel()
	s := open(t)
	all := []string{filtertest.BareItem, "never-seen"}
	for _, e := range filtertest.Items {
		all = append(all, e.ID)
	}
	for _, name := range []string{popularity, ranker, related} {
		r, _ := recipe.ByName(name)
		s.campaign(r, trainOn(t, r, func(b *trainingset.Builder) {
			for i := range filtertest.Interactions {
				b.Add(&filtertest.Interactions[i])
			}
			// The model knows some of the items that nobody touched, and not the others.
			for _, e := range filtertest.Items[:len(filtertest.Items)/2] {
				b.AddItem(e)
			}
		}))
	}
	s.describe(filtertest.Documents())
	s.put(schema.Items.Topic(groupKey), filtertest.Items...)
	s.put(schema.Users.Topic(groupKey), filtertest.Users...)
	for user := range usersOf() {
		states, err := s.users.Load(t.Context(), groupKey, []string{user})
		s.must(err)
		for i := range filtertest.Interactions {
			if filtertest.Interactions[i].UserID == user {
				states[0].Apply(schema.Interactions, &filtertest.Interactions[i])
			}
		}
		_, err = s.users.Save(t.Context(), groupKey, states)
		s.must(err)
	}
	ready := s.filter("ready", `INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP > 0 IF CurrentUser.AGE > 0`)
	eventually.True(s, "all records are there", func() bool {
		resp, err := s.recommendations(map[string]any{"campaignArn": campaignARN(popularity), "userId": "dave", "filterArn": ready, "numResults": 500})
		return err == nil && len(resp.ItemList) == len(filtertest.Items)
	})

	n := 0
	for _, c := range filtertest.Cases() {
		compiled, err := filter.Compile(c.Expression, filtertest.Schemas())
		s.must(err)
		if compiled.Target() != schema.Items {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			req := map[string]any{"campaignArn": campaignARN(popularity), "userId": filtertest.UnknownUser, "numResults": 500, "filterArn": s.filter(fmt.Sprintf("case%d", n), c.Expression)}
			if c.User != "" {
				req["userId"] = c.User
			}
			if c.Values != nil {
				req["filterValues"] = c.Values
			}
			want := slices.Clone(c.Want)
			if compiled.UsesCurrentItem() {
				if c.Item == "" {
					return // which the API refuses
				}
				req["campaignArn"], req["itemId"] = campaignARN(related), c.Item
				// The item itself is never related.
				want = slices.DeleteFunc(want, func(id string) bool { return id == c.Item })
			}
			resp, err := s.recommendations(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(slices.Values(ids(resp.ItemList))); !slices.Equal(got, want) {
				t.Errorf("%s\nrecommends %v\nwant       %v", c.Expression, got, want)
			}
			if compiled.UsesCurrentItem() {
				return
			}
			delete(req, "numResults")
			req["campaignArn"], req["inputList"] = campaignARN(ranker), all
			ranked, err := s.ranking(req)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(ids(ranked.PersonalizedRanking), func(id string) bool { return id == "never-seen" })
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s\nranks %v\nwant  %v", c.Expression, got, want)
			}
		})
	}
	if n < 100 {
		t.Errorf("only %d cases are about items", n)
	}
}

// usersOf are the users with events.
func usersOf() map[string]bool {
	users := map[string]bool{}
	for i := range filtertest.Interactions {
		users[filtertest.Interactions[i].UserID] = true
	}
	return users
}
