package recommender

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
)

// diverse gives a campaign settings and waits until it is served so.
func (s *shop) diverse(name string, config map[string]string) {
	s.Helper()
	_, err := s.store.Campaigns.Update(s.Context(), campaignARN(name), func(c *catalog.Campaign) error {
		c.Config = &personalize.CampaignConfig{ItemExplorationConfig: config}
		return nil
	})
	s.must(err)
	eventually.True(s, "the campaign is served so", func() bool {
		serving, err := s.models.Campaign(s.Context(), campaignARN(name))
		return err == nil && cmp.Equal(serving.Exploration(), config)
	})
}

// stocked is how many items stock has records of.
const stocked = 25

// coloursKnown waits until the items' records are there.
func (s *shop) coloursKnown() {
	s.Helper()
	eventually.True(s, "the items' colours are known", func() bool {
		table := s.service.attributes.Loaded(groupKey, schema.Items)
		if table == nil {
			return false
		}
		known := 0
		for row := range table.Len() {
			if table.Known(int32(row)) {
				known++
			}
		}
		return known == stocked
	})
}

// listed are the items of an answer.
func (s *shop) listed(more map[string]any) []personalizeruntime.PredictedItem {
	s.Helper()
	req := map[string]any{"campaignArn": campaignARN(personal), "userId": "reader"}
	for k, v := range more {
		req[k] = v
	}
	resp, err := s.recommendations(req)
	s.must(err)
	return resp.ItemList
}

// first moves the first items that are so to the front, each in its turn.
func first(list []string, is ...func(string) bool) []string {
	rest := slices.Clone(list)
	var front []string
	for _, f := range is {
		at := slices.IndexFunc(rest, f)
		front = append(front, rest[at])
		rest = slices.Delete(rest, at, at+1)
	}
	return append(front, rest...)
}

// With a weight of 0.9 the most similar item decides, and relevance among those that are as similar, so that the lists
// can be told from the one without: red items have all categories in common, one in three with blue ones, and none with
// blue11, which has no record.
func TestListsAreMadeDiverse(t *testing.T) {
	t.Parallel()
	s := openStocked(t)
	s.sees("reader", true, "red1", "red2", "red5")
	affordable := s.filter("affordable", `INCLUDE ItemID WHERE Items.PRICE < 6`)
	red := s.filter("red", `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`)
	unknown := s.filter("unknown", `INCLUDE ItemID WHERE Items.COLOUR IN ("green") OR Items.COLOUR IN ("red", "blue") AND Items.PRICE < 2`)
	requests := map[string]map[string]any{
		"all": {}, "ten": {"numResults": 10}, "affordable": {"filterArn": affordable}, "red": {"filterArn": red}, "unknown": {"filterArn": unknown},
	}
	anything := func(string) bool { return true }
	eventually.True(s, "all records are there", func() bool {
		return len(s.listed(requests["affordable"])) == 14 && len(s.listed(requests["unknown"])) == 6
	})
	before, scores := map[string][]string{}, map[string]float64{}
	for name, req := range requests {
		before[name] = ids(s.listed(req))
	}
	for _, item := range s.listed(nil) {
		scores[*item.ItemId] = *item.Score
	}
	all := before["all"]
	if !isA("red")(all[0]) || count(all, "red", 5) != 5 {
		t.Fatalf("a reader of red items is given %v: the test cannot tell", all)
	}

	s.diverse(personal, map[string]string{"explorationWeight": "0", "diversityWeight": "0.9"})
	s.coloursKnown()
	want := map[string][]string{
		"all":        first(all, anything, isA("blue11"), isA("blue")),
		"ten":        first(all, anything, isA("blue11"), isA("blue"))[:10],
		"affordable": first(before["affordable"], anything, isA("blue")),
		"red":        before["red"],
		"unknown":    first(before["unknown"], anything, isA("blue")),
	}
	for name, req := range requests {
		list := s.listed(req)
		if diff := cmp.Diff(want[name], ids(list)); diff != "" {
			t.Errorf("%s, before %v:\n%s", name, before[name], diff)
		}
		for _, item := range list {
			if !isA("green")(*item.ItemId) && (item.Score == nil || *item.Score != scores[*item.ItemId]) {
				t.Errorf("%s: %s has another score than before", name, *item.ItemId)
			}
		}
	}
	if got := ids(s.listed(map[string]any{"userId": "nobody"})); !isA("red0")(got[0]) || got[1] != "blue11" {
		t.Errorf("a stranger is given %v", got)
	}

	var told Explanation
	s.must(s.client.Post(t.Context(), ExplainPath, map[string]any{"campaignArn": campaignARN(personal), "userId": "reader", "numResults": 5}, &told))
	if told.DiversityWeight != 0.9 || len(told.RanksBeforeDiversity) != 5 {
		t.Errorf("explained weight %g and ranks %v", told.DiversityWeight, told.RanksBeforeDiversity)
	}
	for k, was := range told.RanksBeforeDiversity {
		if was.ItemID != *told.ItemList[k].ItemId || all[was.Rank-1] != was.ItemID {
			t.Errorf("%s is told to have been at %d of %v", was.ItemID, was.Rank, all)
		}
	}

	// Of another column: one red and one blue item have each number in stock.
	s.diverse(personal, map[string]string{"diversityWeight": "0.9", "diversityColumn": "STOCK"})
	seen := map[string]bool{}
	var once, again []string
	for _, id := range all {
		number := strings.TrimPrefix(strings.TrimPrefix(id, "red"), "blue")
		switch {
		case id == "blue11" || !seen[number]:
			once = append(once, id)
		default:
			again = append(again, id)
		}
		seen[number] = seen[number] || id != "blue11"
	}
	s.coloursKnown()
	if diff := cmp.Diff(append(once, again...), ids(s.listed(nil))); diff != "" {
		t.Errorf("diverse by STOCK:\n%s", diff)
	}

	for name, config := range map[string]map[string]string{
		"no weight": {"diversityWeight": "0"}, "a column alone": {"diversityColumn": "COLOUR"}, "a column that is gone": {"diversityWeight": "1", "diversityColumn": "SIZE"},
	} {
		s.diverse(personal, config)
		for request, req := range requests {
			if got := ids(s.listed(req)); !slices.Equal(got, before[request]) {
				t.Errorf("%s, %s: %v, want %v", name, request, got, before[request])
			}
		}
	}
}

func TestPromotedItemsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	s := openStocked(t)
	s.sees("reader", true, "red1", "red2", "red5")
	cheap := s.filter("cheap", `INCLUDE ItemID WHERE Items.PRICE < 4 AND Items.COLOUR IN ("red")`)
	req := map[string]any{"numResults": 10, "promotions": []any{map[string]any{"name": "deal", "percentPromotedItems": 30, "filterArn": cheap}}}
	divide := func(list []personalizeruntime.PredictedItem) (promoted map[int]string, others []string) {
		promoted = map[int]string{}
		for place, item := range list {
			if item.PromotionName != nil {
				promoted[place] = *item.ItemId
			} else {
				others = append(others, *item.ItemId)
			}
		}
		return promoted, others
	}
	var promoted map[int]string
	eventually.True(s, "all records are there", func() bool {
		promoted, _ = divide(s.listed(req))
		all, _ := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "reader", "filterArn": cheap})
		return len(promoted) == 3 && len(all.ItemList) == 4
	})
	promoted, _ = divide(s.listed(req))
	_, others := divide(s.listed(map[string]any{"numResults": 25, "promotions": []any{map[string]any{"name": "deal", "percentPromotedItems": 12, "filterArn": cheap}}}))
	s.diverse(personal, map[string]string{"explorationWeight": "0", "diversityWeight": "0.9"})
	s.coloursKnown()
	stayed, diverse := divide(s.listed(req))
	if diff := cmp.Diff(promoted, stayed); diff != "" {
		t.Errorf("what is promoted is moved:\n%s", diff)
	}
	anything := func(string) bool { return true }
	if want := first(others, anything, isA("blue11"), isA("blue"))[:7]; !slices.Equal(diverse, want) {
		t.Errorf("the others are %v, want %v", diverse, want)
	}
}

// Who cannot know the categories yet, or has a recipe that explores nothing, answers as ever.
func TestListsThatAreNotMadeDiverse(t *testing.T) {
	t.Parallel()
	s := openWith(t, func(c *Config) { c.AttributesBytes = 1 })
	for _, name := range []string{personal, popularity} {
		r, _ := recipe.ByName(name)
		s.campaign(r, trainOn(t, r, taste))
	}
	eventually.True(s, "the models are loaded", func() bool { return len(s.models.All()) == 2 })
	s.stock()
	s.sees("reader", true, "red1", "red2", "red5")
	for _, name := range []string{personal, popularity} {
		before := s.listed(map[string]any{"campaignArn": campaignARN(name)})
		s.diverse(name, map[string]string{"diversityWeight": "1"})
		if diff := cmp.Diff(before, s.listed(map[string]any{"campaignArn": campaignARN(name)})); diff != "" {
			t.Errorf("%s answers otherwise:\n%s", name, diff)
		}
	}
}
