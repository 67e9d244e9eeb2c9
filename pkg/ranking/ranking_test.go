package ranking

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/ranking/diversity"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// fixed is a Scorer with the same scores for everybody.
type fixed []float32

func (f fixed) Score([]int32) (Scores, error) { return ScoresOf(slices.Clone(f)), nil }

// described are the attributes of a shop of records.
type described struct {
	*filter.Table
	records map[string]bool
}

func (d described) Known(row int32) bool { return d.records[d.ID(row)] }

func (d described) Created(row int32) int64 {
	created, _ := d.Attribute(row, "CREATED").(int64)
	return created
}

var shopSchemas = filter.Schemas{
	"ITEMS": {Type: schema.Items, Fields: []schema.Field{
		{Name: "ITEM_ID"}, {Name: "COLOUR", Categorical: true}, {Name: "CREATED", Kind: schema.Long},
	}},
	"USERS":        {Type: schema.Users, Fields: []schema.Field{{Name: "USER_ID"}, {Name: "MEMBER"}}},
	"INTERACTIONS": {Type: schema.Interactions, Fields: []schema.Field{{Name: "EVENT_TYPE"}}},
}

// shop is a catalogue whose model knows red0, blue1, red2, … blue9, of which blue9 has no record, and whose dataset
// also has green-old and green-new.
func shop(t *testing.T, recipeName string) *Catalogue {
	t.Helper()
	r, ok := recipe.ByName(recipeName)
	if !ok {
		t.Fatalf("there is no recipe %s", recipeName)
	}
	table := described{filter.NewTable(shopSchemas["ITEMS"]), map[string]bool{}}
	put := func(id, colour string, created int64) {
		table.Put(reco.Entity{ID: id, Properties: map[string]any{"COLOUR": colour, "CREATED": created}})
		table.records[id] = true
	}
	put("green-old", "green", 1)
	put("green-new", "green", 2)
	var ids []string
	for n := range 10 {
		colour := []string{"red", "blue"}[n%2]
		ids = append(ids, fmt.Sprintf("%s%d", colour, n))
		if n < 9 {
			put(ids[n], colour, int64(100+n))
		}
	}
	return NewCatalogue(r, model.NewItems(ids)).WithAttributes(table.Table, table)
}

// descending are scores in the order of the catalogue.
var descending = fixed{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}

func listed(picks []Pick) string {
	ids := make([]string, len(picks))
	for i := range picks {
		ids[i] = picks[i].ID
	}
	return strings.Join(ids, " ")
}

const personal = "aws-user-personalization"

func TestLists(t *testing.T) {
	t.Parallel()
	click := func(id string) reco.RecentInteraction {
		return reco.RecentInteraction{ItemID: id, EventType: "click", EventID: id}
	}
	for name, c := range map[string]struct {
		recipe   string
		filter   string
		subject  filter.Subject
		results  int
		want     string
		excluded int
	}{
		"no filter":               {results: 4, want: "red0 blue1 red2 blue3"},
		"none at all":             {results: 0, want: ""},
		"longer than the model's": {results: 50, want: "red0 blue1 red2 blue3 red4 blue5 red6 blue7 red8 blue9"},
		"one colour":              {filter: `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`, results: 3, want: "red0 red2 red4"},
		"filled up, the newest first": {
			filter: `EXCLUDE ItemID WHERE Items.COLOUR IN ("red")`, results: 20,
			want: "blue1 blue3 blue5 blue7 blue9 green-new green-old",
		},
		"filled up as far as wanted": {
			filter: `INCLUDE ItemID WHERE Items.COLOUR IN ("green")`, results: 1, want: "green-new",
		},
		"by events": {
			filter:  `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`,
			subject: filter.Subject{History: []reco.RecentInteraction{click("red0"), click("green-new")}}, results: 20,
			want: "blue1 red2 blue3 red4 blue5 red6 blue7 red8 blue9 green-old",
		},
		"IF of a user": {
			filter:  `INCLUDE ItemID WHERE Items.COLOUR IN ("blue") IF CurrentUser.MEMBER = "yes"`,
			subject: filter.Subject{User: map[string]any{"MEMBER": "yes"}}, results: 3, want: "blue1 blue3 blue5",
		},
		"not the item itself": {
			recipe: "aws-sims", filter: `INCLUDE ItemID WHERE Items.COLOUR IN CurrentItem.COLOUR`,
			subject: filter.Subject{CurrentItem: "green-old"}, results: 5, want: "green-new", excluded: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.recipe == "" {
				c.recipe = personal
			}
			req := &Request{Scorer: descending, Results: c.results, Subject: c.subject}
			if c.filter != "" {
				req.Filter = NewFilter(bind(t, c.filter, shopSchemas))
			}
			list, err := shop(t, c.recipe).List(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := listed(list.Picks); got != c.want {
				t.Errorf("listed %q, want %q", got, c.want)
			}
			if list.Excluded != c.excluded {
				t.Errorf("%d items are excluded, want %d", list.Excluded, c.excluded)
			}
			for _, p := range list.Picks {
				if known := !strings.HasPrefix(p.ID, "green"); p.Known() != known || (p.Share > 0) != (known && c.recipe == personal) {
					t.Errorf("picked %+v", p)
				}
			}
		})
	}
}

// A catalogue without attributes lists by scores alone.
func TestListsWithoutAttributes(t *testing.T) {
	t.Parallel()
	r, _ := recipe.ByName(personal)
	c := NewCatalogue(r, model.NewItems([]string{"a", "b", "c"}))
	list, err := c.List(&Request{Scorer: fixed{1, 3, 2}, Results: 2})
	if err != nil || listed(list.Picks) != "b c" || list.Selection != nil {
		t.Errorf("listed %v, %v", list, err)
	}
	if c.Diversity(diversity.Settings{Weight: 1}, shopSchemas["ITEMS"]) != nil {
		t.Error("a list is made diverse without attributes")
	}
}

func TestPromotionsTakeTheirShare(t *testing.T) {
	t.Parallel()
	list, err := shop(t, personal).List(&Request{
		Scorer: descending, Results: 5, Filter: NewFilter(bind(t, `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`, shopSchemas)),
		Promotion: &Promotion{
			Filter: NewFilter(bind(t, `EXCLUDE ItemID WHERE Items.COLOUR IN ("blue")`, shopSchemas)), Percent: 50, Seed: 7,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var promoted, others []Pick
	for _, p := range list.Picks {
		if p.Promoted {
			promoted = append(promoted, p)
		} else {
			others = append(others, p)
		}
	}
	if listed(promoted) != "red0 red2 red4" || listed(others) != "red6 red8" {
		t.Errorf("promoted %q among %q", listed(promoted), listed(others))
	}
	if list.Promoted.Count() != 8 || list.Selection.Count() != 5 {
		t.Errorf("selected are %d and %d", list.Promoted.Count(), list.Selection.Count())
	}
}

func TestDiversityReordersWhatIsNotPromoted(t *testing.T) {
	t.Parallel()
	c := shop(t, personal)
	d := c.Diversity(diversity.Settings{Weight: 0.9}, shopSchemas["ITEMS"])
	scores := fixed{10, 1, 9, 2, 8, 3, 7, 4, 6, 0} // all red items before the blue ones; blue9 has no colour
	req := &Request{Scorer: scores, Results: 4, Diversity: d}
	const want = "red0 blue7 blue9 red2"
	check := func(when string) {
		t.Helper()
		list, err := c.List(req)
		if err != nil || listed(list.Picks) != want {
			t.Errorf("%s: listed %q, want %q, %v", when, listed(list.Picks), want, err)
		}
		ranks := []Reordered{{"red0", 1}, {"blue7", 6}, {"blue9", 10}, {"red2", 2}}
		if !slices.Equal(list.Reordered, ranks) {
			t.Errorf("%s: ranks before are %v", when, list.Reordered)
		}
	}
	check("looked up")
	d.Prepare()
	check("prepared")

	req.Promotion = &Promotion{Filter: NewFilter(bind(t, `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`, shopSchemas)), Percent: 50}
	list, err := c.List(req)
	if err != nil {
		t.Fatal(err)
	}
	others := slices.DeleteFunc(list.Picks, func(p Pick) bool { return p.Promoted })
	if listed(others) != "red4 blue7" {
		t.Errorf("beside promoted items are %q", listed(others))
	}
	if c.Diversity(diversity.Settings{}, shopSchemas["ITEMS"]) != nil || c.Diversity(diversity.Settings{Weight: 1, Column: "SIZE"}, shopSchemas["ITEMS"]) != nil {
		t.Error("a list is made diverse by nothing")
	}
}

func TestColdItemsAreLifted(t *testing.T) {
	t.Parallel()
	c := shop(t, personal)
	settings := exploration.Settings{Weight: 1, MaxAge: 1 << 62}
	cold := slices.DeleteFunc(c.Newest(nil), func(i exploration.ColdItem) bool { return i.ID != "red8" && i.ID != "blue7" })
	if len(cold) != 2 || cold[0].ID != "red8" {
		t.Fatalf("cold are %v", cold)
	}
	first, second := 0, 0
	for seed := range uint64(200) {
		list, err := c.List(&Request{
			Scorer: descending, Results: 3, Exploration: &Exploration{Settings: settings, Cold: cold, Seed: seed},
		})
		if err != nil || list.Lifted != 2 {
			t.Fatal(list, err)
		}
		explored := list.Explored()
		for _, p := range list.Picks {
			if isCold := p.ID == "red8" || p.ID == "blue7"; explored[p.Item] != isCold {
				t.Errorf("%s is explored: %v", p.ID, explored[p.Item])
			}
		}
		if explored[8] {
			first++
		}
		if explored[7] {
			second++
		}
	}
	if first < 40 || second < 40 {
		t.Errorf("of 200 lists %d and %d have the cold items", first, second)
	}
	list, err := c.List(&Request{
		Scorer: descending, Results: 3,
		Exploration: &Exploration{Settings: settings, Cold: cold, Shown: func(string) uint32 { return 1 << 30 }},
	})
	if err != nil || listed(list.Picks) != "red0 blue1 red2" || len(list.Explored()) != 0 {
		t.Errorf("items that were shown often are listed: %q, %v", listed(list.Picks), err)
	}
}

// An item is marked as explored only if it would not be in the list otherwise.
func TestExploredAreOnlyItemsThatWereLiftedIntoTheList(t *testing.T) {
	t.Parallel()
	list := &List{
		lifted: []lifted{{2, 0.5}, {3, 3}},
		Picks:  []Pick{{Item: 2, Score: 9}, {Item: 3, Score: 4}, {Item: 0, Score: 2}, {Item: unknownItem}},
	}
	if got := list.Explored(); len(got) != 1 || !got[2] {
		t.Errorf("explored are %v", got)
	}
}

func TestRankings(t *testing.T) {
	t.Parallel()
	ids := []string{"red8", "nowhere", "green-new", "blue3", "red8", "red0", "blue9"}
	for name, c := range map[string]struct{ filter, want string }{
		"no filter": {"", "red0 blue3 red8 blue9 nowhere green-new"},
		"included":  {`INCLUDE ItemID WHERE Items.COLOUR IN ("red", "green")`, "red0 red8 green-new"},
		"excluded":  {`EXCLUDE ItemID WHERE Items.COLOUR IN ("red")`, "blue3 blue9 nowhere green-new"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f *Filter
			if c.filter != "" {
				f = NewFilter(bind(t, c.filter, shopSchemas))
			}
			ranked, err := shop(t, "aws-personalized-ranking").Rank(descending, ids, f, &filter.Subject{})
			if err != nil || listed(ranked) != c.want {
				t.Errorf("ranked %q, want %q, %v", listed(ranked), c.want, err)
			}
			sum := 0.0
			for _, p := range ranked {
				sum += p.Share
			}
			if sum < 0.999 || sum > 1.001 {
				t.Errorf("shares sum to %v", sum)
			}
		})
	}
}

// A selection is made again only where the subject can change it.
func TestFiltersKeepWhatIsTheSameForAll(t *testing.T) {
	t.Parallel()
	c := shop(t, personal)
	for expression, kept := range map[string]bool{
		`INCLUDE ItemID WHERE Items.COLOUR IN ("red")`:                              true,
		`EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`:                 false,
		`EXCLUDE ItemID WHERE Items.COLOUR IN ("red") IF CurrentUser.MEMBER = "no"`: false,
		`INCLUDE ItemID WHERE Items.COLOUR IN CurrentItem.COLOUR`:                   false,
	} {
		f := NewFilter(bind(t, expression, shopSchemas))
		first, second := f.selects(c.table, &filter.Subject{}), f.selects(c.table, &filter.Subject{})
		if (first == second) != kept {
			t.Errorf("%s: kept %v", expression, first == second)
		}
	}
}

type failing struct{}

var errFailing = errors.New("no scores")

func (failing) Score([]int32) (Scores, error) { return Scores{}, errFailing }

func TestErrorsOfScorersAreReturned(t *testing.T) {
	t.Parallel()
	c := shop(t, personal)
	if _, err := c.List(&Request{Scorer: failing{}, Results: 1}); !errors.Is(err, errFailing) {
		t.Errorf("a list: %v", err)
	}
	if _, err := c.Rank(failing{}, []string{"red0"}, nil, &filter.Subject{}); !errors.Is(err, errFailing) {
		t.Errorf("a ranking: %v", err)
	}
	if _, err := ListActions(&ActionRequest{Actions: model.NewItems(nil), Scorer: failing{}}); !errors.Is(err, errFailing) {
		t.Errorf("actions: %v", err)
	}
}

// crowd is a segmenter of u0, u1, … u39.
type crowd struct{}

func (crowd) Segment(_ model.SegmentQuery, k int) (users []model.ScoredUser, err error) {
	for n := range min(k, 40) {
		users = append(users, model.ScoredUser{UserID: fmt.Sprintf("u%d", n)})
	}
	return users, nil
}

func TestSegmentsAreFull(t *testing.T) {
	t.Parallel()
	table := filter.NewTable(shopSchemas["USERS"])
	table.Put(reco.Entity{ID: "u30", Properties: map[string]any{"MEMBER": "yes"}})
	table.Put(reco.Entity{ID: "u39", Properties: map[string]any{"MEMBER": "yes"}})
	members := bind(t, `INCLUDE UserID WHERE Users.MEMBER IN ("yes")`, shopSchemas)
	for name, c := range map[string]struct {
		filter  *filter.Bound
		results int
		want    string
	}{
		"all": {nil, 3, "u0 u1 u2"}, "members": {members, 1, "u30"}, "all members": {members, 25, "u30 u39"},
	} {
		users, err := ListUsers(&SegmentRequest{Segmenter: crowd{}, Results: c.results, Filter: c.filter, Table: table})
		if got := strings.Join(users, " "); err != nil || got != c.want {
			t.Errorf("%s: %q, want %q, %v", name, got, c.want, err)
		}
	}
}
