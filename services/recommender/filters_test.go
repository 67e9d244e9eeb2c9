package recommender

import (
	stdcmp "cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/pkg/wire"
)

// documents are the fields of the datasets' schemas.
var documents = map[string]string{
	"Items": `{"name":"ITEM_ID","type":"string"},{"name":"COLOUR","type":["null","string"],"categorical":true},{"name":"PRICE","type":["null","float"]},` +
		`{"name":"STOCK","type":["null","int"]},{"name":"NEW","type":["null","boolean"]},{"name":"STORY","type":["null","string"],"textual":true},{"name":"CREATION_TIMESTAMP","type":"long"}`,
	"Users":        `{"name":"USER_ID","type":"string"},{"name":"AGE","type":["null","int"]}`,
	"Interactions": `{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"},{"name":"EVENT_TYPE","type":"string"}`,
}

// datasets gives the dataset group its datasets and their topics.
func (s *shop) datasets() {
	s.Helper()
	described := map[string]string{}
	for name, fields := range documents {
		described[strings.ToUpper(name)] = `{"type":"record","name":"` + name + `","namespace":"com.amazonaws.personalize.schema","version":"1.0","fields":[` + fields + `]}`
	}
	s.describe(described)
}

// describe makes datasets with the schemas, by upper-case type, and their topics.
func (s *shop) describe(documents map[string]string) {
	s.Helper()
	s.must(s.bus.EnsureTopics(s.Context(), bus.TopicSpec{Name: schema.Items.Topic(groupKey), Compacted: true}, bus.TopicSpec{Name: schema.Users.Topic(groupKey), Compacted: true}))
	for kind, document := range documents {
		s.must(s.store.Create(s.Context(), &catalog.Schema{Metadata: active("schema/"+kind, kind), Document: document}))
		s.must(s.store.Create(s.Context(), &catalog.Dataset{
			Metadata: active("dataset/shop/"+kind, kind), DatasetGroupARN: account + "dataset-group/shop", DatasetType: kind, SchemaARN: account + "schema/" + kind,
		}))
	}
}

// put records entities, as the tracker does.
func (s *shop) put(topic string, entities ...reco.Entity) {
	s.Helper()
	records := make([]bus.Record, len(entities))
	for i := range entities {
		value, err := wire.MarshalEntity(&entities[i])
		s.must(err)
		records[i] = bus.Record{Topic: topic, Key: []byte(entities[i].ID), Value: value}
	}
	s.must(s.bus.Publish(s.Context(), records...))
}

func (s *shop) filter(name, expression string) string {
	s.Helper()
	f := &catalog.Filter{Metadata: active("filter/"+name, name), DatasetGroupARN: account + "dataset-group/shop", Expression: expression}
	s.must(s.store.Create(s.Context(), f))
	return f.ARN
}

// openStocked is openTrained with records: of each colour, the items 0 to 11 cost 0 to 11, and two items that no model
// knows are in the Items dataset. blue11 has no record.
func openStocked(t testing.TB) *shop {
	t.Helper()
	s := openTrained(t)
	s.stock()
	return s
}

func (s *shop) stock() {
	s.Helper()
	s.datasets()
	var items []reco.Entity
	for n := range 12 {
		for _, colour := range []string{"red", "blue"} {
			if colour == "blue" && n == 11 {
				continue
			}
			items = append(items, reco.Entity{ID: fmt.Sprintf("%s%d", colour, n), Properties: map[string]any{
				"COLOUR": colour + "|any", "PRICE": float64(n) + 0.5, "STOCK": int64(n), "NEW": n == 0, "STORY": "of " + colour, "CREATION_TIMESTAMP": int64(1000 + n),
			}})
		}
	}
	items = append(items,
		reco.Entity{ID: "green-old", Properties: map[string]any{"COLOUR": "green", "PRICE": 1.0, "CREATION_TIMESTAMP": int64(1)}},
		reco.Entity{ID: "green-new", Properties: map[string]any{"COLOUR": "green", "PRICE": 1.0, "CREATION_TIMESTAMP": int64(2)}})
	s.put(schema.Items.Topic(groupKey), items...)
	s.put(schema.Users.Topic(groupKey), reco.Entity{ID: "grown", Properties: map[string]any{"AGE": int64(30)}}, reco.Entity{ID: "child", Properties: map[string]any{"AGE": int64(8)}})
}

func TestFilteredListsAreFull(t *testing.T) {
	t.Parallel()
	s := openStocked(t)
	red := s.filter("red", `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`)
	notRed := s.filter("not-red", `EXCLUDE ItemID WHERE Items.COLOUR IN ("red")`)
	one := s.filter("one", `INCLUDE ItemID WHERE Items.COLOUR IN ("blue") AND Items.PRICE < 1`)
	green := s.filter("green", `INCLUDE ItemID WHERE Items.COLOUR IN ("green") OR Items.COLOUR IN ("blue") AND Items.PRICE < 1`)
	none := s.filter("none", `INCLUDE ItemID WHERE Items.COLOUR IN ("RED")`)
	clicked := s.filter("clicked", `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("CLICK")`)
	fresh := s.filter("fresh", `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`)
	grown := s.filter("grown", `INCLUDE ItemID WHERE Items.COLOUR IN ("red") IF CurrentUser.AGE > 18`)
	below := s.filter("below", `INCLUDE ItemID WHERE Items.PRICE <= $MOST`)
	cheaper := s.filter("cheaper", `INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE`)
	s.sees("grown", true, "blue1", "blue2", "blue5")

	for name, c := range map[string]struct {
		req   map[string]any
		count int
		also  string // ends the list
		want  func(id string) bool
	}{
		"only red, all of them":         {req: map[string]any{"filterArn": red}, count: 12, want: isA("red")},
		"only red, the best three":      {req: map[string]any{"filterArn": red, "numResults": 3}, count: 3, want: isA("red")},
		"all but red, unknown ones too": {req: map[string]any{"filterArn": notRed}, count: 14, also: "green-new green-old", want: func(id string) bool { return !isA("red")(id) }},
		"one":                           {req: map[string]any{"filterArn": one}, count: 1, want: isA("blue0")},
		"filled up with unknown items":  {req: map[string]any{"filterArn": green}, count: 3, also: "green-new green-old", want: func(string) bool { return true }},
		"filled up as far as wanted":    {req: map[string]any{"filterArn": green, "numResults": 2}, count: 2, also: "green-new", want: func(string) bool { return true }},
		"none":                          {req: map[string]any{"filterArn": none}, count: 0, want: isA("")},
		"what he clicked":               {req: map[string]any{"filterArn": clicked}, count: 3, want: isA("blue")},
		"what he did not touch":         {req: map[string]any{"filterArn": fresh}, count: 23, want: func(id string) bool { return !slices.Contains([]string{"blue1", "blue2", "blue5"}, id) }},
		"the user is grown":             {req: map[string]any{"filterArn": grown}, count: 12, want: isA("red")},
		"the user is not":               {req: map[string]any{"filterArn": grown, "userId": "child"}, count: 25, want: func(string) bool { return true }},
		"the user is unknown":           {req: map[string]any{"filterArn": grown, "userId": "stranger"}, count: 25, want: func(string) bool { return true }},
		"a value":                       {req: map[string]any{"filterArn": below, "filterValues": map[string]string{"MOST": "1.5"}}, count: 6, also: "green-new green-old", want: func(string) bool { return true }},
		"cheaper than the item":         {req: map[string]any{"campaignArn": campaignARN(related), "itemId": "red2", "filterArn": cheaper}, count: 6, also: "green-new green-old", want: func(id string) bool { return id != "red2" }},
		"popular red ones for nobody":   {req: map[string]any{"campaignArn": campaignARN(popularity), "userId": nil, "filterArn": red}, count: 12, want: isA("red")},
	} {
		req := map[string]any{"campaignArn": campaignARN(personal), "userId": "grown"}
		for k, v := range c.req {
			req[k] = v
		}
		resp, err := s.recommendations(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		list := ids(resp.ItemList)
		if len(list) != c.count || !strings.HasSuffix(strings.Join(list, " "), c.also) {
			t.Errorf("%s: %d items, not %d that end with %q: %v", name, len(list), c.count, c.also, list)
		}
		for i, id := range list {
			if !c.want(id) {
				t.Errorf("%s: %s is answered", name, id)
			}
			if known := !isA("green")(id); req["campaignArn"] == campaignARN(personal) && (resp.ItemList[i].Score != nil) != known {
				t.Errorf("%s: the score of %s is %v", name, id, resp.ItemList[i].Score)
			}
		}
	}

	// The order and the scores are those of the list without a filter.
	all, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "grown"})
	s.must(err)
	some, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "grown", "filterArn": red})
	s.must(err)
	want := slices.DeleteFunc(all.ItemList, func(i personalizeruntime.PredictedItem) bool { return !isA("red")(*i.ItemId) })
	if diff := cmp.Diff(want, some.ItemList); diff != "" {
		t.Errorf("filtered otherwise than recommended:\n%s", diff)
	}
}

func isA(prefix string) func(string) bool {
	return func(id string) bool { return strings.HasPrefix(id, prefix) }
}

func TestFilteredRankings(t *testing.T) {
	t.Parallel()
	s := openStocked(t)
	red := s.filter("red", `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`)
	notRed := s.filter("not-red", `EXCLUDE ItemID WHERE Items.COLOUR IN ("red")`)
	list := []string{"red2", "nowhere", "green-new", "blue4", "red2", "blue3", "red7", "blue11"}
	for filter, want := range map[string][]string{red: {"red2", "red7"}, notRed: {"blue11", "blue3", "blue4", "green-new", "nowhere"}} {
		resp, err := s.ranking(map[string]any{"campaignArn": campaignARN(ranker), "userId": "u", "inputList": list, "filterArn": filter})
		s.must(err)
		got := ids(resp.PersonalizedRanking)
		if last := len(got) - 1; len(got) == 5 && got[last]+got[last-1] != "green-newnowhere" {
			t.Errorf("unknown items are not last: %v", got)
		}
		checkScores(t, slices.DeleteFunc(resp.PersonalizedRanking, func(i personalizeruntime.PredictedItem) bool { return i.Score == nil }))
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("ranked %v, want %v", got, want)
		}
	}
}

func TestFilterRefusals(t *testing.T) {
	t.Parallel()
	s := openStocked(t)
	red := s.filter("red", `INCLUDE ItemID WHERE Items.COLOUR IN ($COLOUR)`)
	clicked := s.filter("clicked", `INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`)
	users := s.filter("users", `INCLUDE UserID WHERE Users.AGE > 18`)
	current := s.filter("current", `INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE`)
	broken := s.filter("broken", `INCLUDE ItemID WHERE Items.GONE IN ("x")`)
	foreign := &catalog.Filter{Metadata: active("filter/foreign", "foreign"), DatasetGroupARN: account + "dataset-group/other", Expression: "x"}
	s.must(s.store.Create(t.Context(), foreign))
	pending := active("filter/pending", "pending")
	pending.Status = status.CreatePending
	s.must(s.store.Create(t.Context(), &catalog.Filter{Metadata: pending, DatasetGroupARN: account + "dataset-group/shop", Expression: "x"}))

	const invalid, absent = awsapi.CodeInvalidInput, awsapi.CodeResourceNotFound
	colour := map[string]string{"COLOUR": "red"}
	for name, c := range map[string]struct {
		req  map[string]any
		code string
	}{
		"absent":                       {map[string]any{"filterArn": account + "filter/none"}, absent},
		"of another group":             {map[string]any{"filterArn": foreign.ARN}, invalid},
		"not active":                   {map[string]any{"filterArn": pending.ARN}, invalid},
		"of users":                     {map[string]any{"filterArn": users}, invalid},
		"no current item":              {map[string]any{"filterArn": current}, invalid},
		"no longer fitting":            {map[string]any{"filterArn": broken}, invalid},
		"value missing":                {map[string]any{"filterArn": red}, invalid},
		"unknown value":                {map[string]any{"filterArn": red, "filterValues": map[string]string{"COLOUR": "red", "SIZE": "1"}}, invalid},
		"values without filter":        {map[string]any{"filterValues": colour}, invalid},
		"no user":                      {map[string]any{"campaignArn": campaignARN(popularity), "userId": nil, "filterArn": clicked}, invalid},
		"promotion without percent":    {map[string]any{"promotions": []any{map[string]any{"filterArn": red, "filterValues": colour}}}, invalid},
		"promotion of 101 percent":     {map[string]any{"promotions": []any{map[string]any{"percentPromotedItems": 101, "filterArn": red, "filterValues": colour}}}, invalid},
		"promotion's value missing":    {map[string]any{"promotions": []any{map[string]any{"percentPromotedItems": 10, "filterArn": red}}}, invalid},
		"two promotions":               {map[string]any{"promotions": slices.Repeat([]any{map[string]any{"percentPromotedItems": 10, "filterArn": red, "filterValues": colour}}, 2)}, invalid},
		"context key with a dash":      {map[string]any{"context": map[string]string{"DEVICE-TYPE": "phone"}}, invalid},
		"long context value":           {map[string]any{"context": map[string]string{"DEVICE": strings.Repeat("x", 1001)}}, invalid},
		"context of 151 entries":       {map[string]any{"context": manyValues(151)}, invalid},
		"26 values of filters":         {map[string]any{"filterArn": red, "filterValues": manyValues(26)}, invalid},
		"metadata that is not to be":   {map[string]any{"metadataColumns": map[string][]string{"ITEMS": {"PRICE"}}}, invalid},
		"filter ARN of something else": {map[string]any{"filterArn": campaignARN(personal)}, invalid},
	} {
		req := map[string]any{"campaignArn": campaignARN(personal), "userId": "u"}
		for k, v := range c.req {
			req[k] = v
		}
		_, err := s.recommendations(req)
		checkRefusal(t, name, err, c.code)
	}
}

func manyValues(n int) map[string]string {
	values := map[string]string{}
	for i := range n {
		values[fmt.Sprintf("K%d", i)] = "1"
	}
	return values
}

func TestNewRecordsAndEventsCountAtOnce(t *testing.T) {
	t.Parallel()
	s := openStocked(t)
	violet := s.filter("violet", `INCLUDE ItemID WHERE Items.COLOUR IN ("violet")`)
	touched := s.filter("touched", `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`)
	list := func(filter string) []string {
		resp, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "u", "filterArn": filter, "numResults": 500})
		s.must(err)
		return ids(resp.ItemList)
	}
	if got := list(violet); len(got) != 0 {
		t.Fatalf("violet: %v", got)
	}
	started := time.Now()
	s.put(schema.Items.Topic(groupKey), reco.Entity{ID: "red3", Properties: map[string]any{"COLOUR": "violet"}}, reco.Entity{ID: "brand-new", Properties: map[string]any{"COLOUR": "violet"}})
	eventually.True(s, "the new records count", func() bool { return slices.Equal(list(violet), []string{"red3", "brand-new"}) })
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("new records count after %s", took)
	}
	s.sees("u", true, "red1")
	if got := list(touched); slices.Contains(got, "red1") || len(got) != 26 {
		t.Errorf("an event does not count at once: %v", got)
	}
}

func TestPromotions(t *testing.T) {
	t.Parallel()
	s := openStocked(t)
	red := s.filter("red", `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`)
	blue := s.filter("blue", `INCLUDE ItemID WHERE Items.COLOUR IN ("blue")`)
	green := s.filter("green", `INCLUDE ItemID WHERE Items.COLOUR IN ("green")`)
	s.sees("reader", true, "blue1", "blue2", "blue5")
	for name, c := range map[string]struct {
		promoted, filter   string
		percent, results   int
		promotions, others int
	}{
		"a fifth":                  {red, blue, 20, 10, 2, 8},
		"half up":                  {red, blue, 50, 5, 3, 2},
		"less than half":           {red, blue, 24, 10, 2, 8},
		"all":                      {red, blue, 100, 10, 10, 0},
		"not enough":               {green, blue, 80, 10, 2, 8},
		"with the same filter":     {red, red, 50, 10, 5, 5},
		"without a request filter": {red, "", 50, 10, 5, 5},
		"more than there are":      {green, blue, 10, 50, 2, 11},
	} {
		req := map[string]any{"campaignArn": campaignARN(personal), "userId": "reader", "numResults": c.results,
			"promotions": []any{map[string]any{"name": "deal", "percentPromotedItems": c.percent, "filterArn": c.promoted}}}
		if c.filter != "" {
			req["filterArn"] = c.filter
		}
		resp, err := s.recommendations(req)
		s.must(err)
		var promoted, others []personalizeruntime.PredictedItem
		for _, item := range resp.ItemList {
			if item.PromotionName != nil && *item.PromotionName == "deal" {
				promoted = append(promoted, item)
			} else {
				others = append(others, item)
			}
		}
		if len(promoted) != c.promotions || len(others) != c.others {
			t.Errorf("%s: %d promoted and %d others, want %d and %d: %v", name, len(promoted), len(others), c.promotions, c.others, ids(resp.ItemList))
		}
		unique := slices.Compact(slices.Sorted(slices.Values(ids(resp.ItemList))))
		if len(unique) != len(resp.ItemList) {
			t.Errorf("%s: an item is answered twice: %v", name, ids(resp.ItemList))
		}
		for _, part := range [][]personalizeruntime.PredictedItem{promoted, others} {
			if !slices.IsSortedFunc(part, func(a, b personalizeruntime.PredictedItem) int {
				if a.Score == nil || b.Score == nil {
					return 0
				}
				return stdcmp.Compare(*b.Score, *a.Score)
			}) {
				t.Errorf("%s: not in the order of relevance: %v", name, ids(part))
			}
		}
	}
}

// Version 2 recipes say why an item is answered.
func TestReasons(t *testing.T) {
	t.Parallel()
	s := open(t)
	r, _ := recipe.ByName("aws-user-personalization-v2")
	s.campaign(r, trainOn(t, r, taste))
	s.stock()
	some := s.filter("some", `INCLUDE ItemID WHERE Items.COLOUR IN ("green") OR Items.PRICE < 1`)
	cheap := s.filter("cheap", `INCLUDE ItemID WHERE Items.PRICE < 2 AND Items.COLOUR IN ("red")`)
	req := map[string]any{
		"campaignArn": campaignARN(r.Name), "userId": "u", "numResults": 5, "filterArn": some,
		"promotions": []any{map[string]any{"name": "deal", "percentPromotedItems": 40, "filterArn": cheap}},
	}
	var got map[string][]string
	eventually.True(s, "all records are there", func() bool {
		resp, err := s.recommendations(req)
		if err != nil {
			return false
		}
		got = map[string][]string{}
		for _, item := range resp.ItemList {
			got[*item.ItemId] = item.Reason
		}
		return len(got) == 5
	})
	want := map[string][]string{"red0": {reasonPromoted}, "red1": {reasonPromoted}, "blue0": nil, "green-new": {reasonFilling}, "green-old": {reasonFilling}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	s := openStocked(t)
	for _, r := range []string{personal, ranker} {
		_, err := s.store.Campaigns.Update(t.Context(), campaignARN(r), func(c *catalog.Campaign) error {
			yes := true
			c.Config = &personalize.CampaignConfig{EnableMetadataWithRecommendations: &yes}
			return nil
		})
		s.must(err)
	}
	eventually.True(s, "the campaigns return metadata", func() bool {
		return len(slices.DeleteFunc(s.models.All(), func(m *modelstore.Serving) bool { return !m.Metadata() })) == 2
	})
	columns := map[string][]string{"ITEMS": {"colour", "PRICE", "STOCK", "NEW", "STORY"}}
	want := map[string]map[string]string{
		"red0":   {"COLOUR": "red|any", "PRICE": "0.5", "STOCK": "0", "NEW": "true", "STORY": "of red"},
		"red10":  {"COLOUR": "red|any", "PRICE": "10.5", "STOCK": "10", "NEW": "false", "STORY": "of red"},
		"blue11": {},
	}
	// The metadata of the table before the campaigns returned some has no story.
	eventually.True(s, "stories are there", func() bool {
		resp, err := s.ranking(map[string]any{"campaignArn": campaignARN(ranker), "userId": "u", "inputList": []string{"red0", "red10", "blue11"}, "metadataColumns": columns})
		s.must(err)
		got := map[string]map[string]string{}
		for _, item := range resp.PersonalizedRanking {
			got[*item.ItemId] = item.Metadata
			if item.Metadata == nil {
				got[*item.ItemId] = map[string]string{}
			}
		}
		return cmp.Equal(want, got)
	})
	resp, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "u", "numResults": 50, "metadataColumns": columns})
	s.must(err)
	if len(resp.ItemList) != 24 || resp.ItemList[0].Metadata["COLOUR"] == "" {
		t.Errorf("recommended %v", resp.ItemList)
	}
	for name, req := range map[string]map[string]any{
		"unknown column":  {"metadataColumns": map[string][]string{"ITEMS": {"SIZE"}}},
		"id column":       {"metadataColumns": map[string][]string{"ITEMS": {"ITEM_ID"}}},
		"unknown dataset": {"metadataColumns": map[string][]string{"USERS": {"AGE"}}},
		"11 columns":      {"metadataColumns": map[string][]string{"ITEMS": slices.Repeat([]string{"PRICE"}, 11)}},
		"51 results":      {"metadataColumns": columns, "numResults": 51},
	} {
		req["campaignArn"], req["userId"] = campaignARN(personal), "u"
		_, err := s.recommendations(req)
		checkRefusal(t, name, err, awsapi.CodeInvalidInput)
	}
	_, err = s.ranking(map[string]any{"campaignArn": campaignARN(ranker), "userId": "u", "inputList": slices.Repeat([]string{"red1"}, 51), "metadataColumns": columns})
	checkRefusal(t, "51 items to rank", err, awsapi.CodeInvalidInput)
}

func TestRecommenders(t *testing.T) {
	t.Parallel()
	s := open(t)
	r, _ := recipe.ByName(personal)
	version := s.version(r, trainOn(t, r, taste))
	for name, status := range map[string]string{"picks": status.Active, "off": status.Inactive, "stopping": status.StopPending} {
		meta := active("recommender/"+name, name)
		meta.Status = status
		s.must(s.store.Create(t.Context(), &catalog.Recommender{Metadata: meta, DatasetGroupARN: version.DatasetGroupARN, SolutionVersionARN: version.ARN}))
	}
	eventually.True(s, "the recommender is served", func() bool { return len(s.models.All()) == 1 })
	resp, err := s.recommendations(map[string]any{"recommenderArn": account + "recommender/picks", "userId": "u"})
	s.must(err)
	if len(resp.ItemList) != 24 {
		t.Errorf("recommended %v", ids(resp.ItemList))
	}
	for _, name := range []string{"off", "stopping"} {
		_, err = s.recommendations(map[string]any{"recommenderArn": account + "recommender/" + name, "userId": "u"})
		checkRefusal(t, name, err, awsapi.CodeInvalidInput)
	}
	_, err = s.recommendations(map[string]any{"recommenderArn": account + "recommender/none", "userId": "u"})
	checkRefusal(t, "absent", err, awsapi.CodeResourceNotFound)
}

func TestExplanations(t *testing.T) {
	t.Parallel()
	s := openStocked(t)
	s.filter("cheap-red", `INCLUDE ItemID WHERE Items.COLOUR IN ("red") | EXCLUDE ItemID WHERE Items.PRICE > 5 | EXCLUDE ItemID WHERE Items.COLOUR IN ($NOT)`)
	s.sees("reader", true, "blue1", "blue2")
	var got Explanation
	s.must(s.client.Post(t.Context(), ExplainPath, map[string]any{"campaignArn": campaignARN(personal), "userId": "reader", "filterArn": account + "filter/cheap-red"}, &got))
	want := &FilterEffect{FilterARN: account + "filter/cheap-red", Expression: got.Filter.Expression, Selected: 5, Clauses: []ClauseEffect{
		{Expression: `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`, Kind: "INCLUDE", Applied: true, Matched: 12, Removed: 14},
		{Expression: `EXCLUDE ItemID WHERE Items.PRICE > 5`, Kind: "EXCLUDE", Applied: true, Matched: 13, Removed: 7},
		{Expression: `EXCLUDE ItemID WHERE Items.COLOUR IN ($NOT)`, Kind: "EXCLUDE", Missing: "NOT"},
	}}
	if diff := cmp.Diff(want, got.Filter); diff != "" {
		t.Error(diff)
	}
	if got.Recipe != personal || got.HistoryLength != 2 || got.CatalogueSize != 24 || len(got.ItemList) != 5 || got.ModelID == "" {
		t.Errorf("explained %+v", got)
	}
}

func TestColdItemsAreExplored(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	s := openWith(t, func(c *Config) {
		c.Explore = true
		c.Now = func() time.Time { return now }
	})
	r, _ := recipe.ByName(personal)
	s.campaign(r, trainOn(t, r, func(b *trainingset.Builder) {
		taste(b)
		for n := range 30 {
			b.AddItem(reco.Entity{ID: fmt.Sprintf("cold%d", n)})
		}
	}))
	var items []reco.Entity
	explore := func(config map[string]string) {
		_, err := s.store.Campaigns.Update(t.Context(), campaignARN(personal), func(c *catalog.Campaign) error {
			c.Config = &personalize.CampaignConfig{ItemExplorationConfig: config}
			return nil
		})
		s.must(err)
		eventually.True(s, "the campaign is served so", func() bool {
			return len(s.models.All()) == 1 && cmp.Equal(s.models.All()[0].Exploration(), config)
		})
		if config["explorationWeight"] == "0" {
			return // which gives up the attributes of items
		}
		// Before the first answer, which makes the list of cold items for the next minute.
		eventually.True(s, "all cold items are known", func() bool {
			table := s.service.attributes.Loaded(groupKey, schema.Items)
			return table != nil && !slices.ContainsFunc(items, func(e reco.Entity) bool {
				row, ok := table.Row(e.ID)
				return !ok || table.Created(row) == 0
			})
		})
	}
	cold := func(n int) int {
		found := 0
		for visitor := range n {
			resp, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": fmt.Sprintf("visitor%d", visitor), "numResults": 10})
			s.must(err)
			found += count(ids(resp.ItemList), "cold", 10)
		}
		return found
	}
	s.datasets()
	for n := range 30 {
		items = append(items, reco.Entity{ID: fmt.Sprintf("cold%d", n), Properties: map[string]any{"CREATION_TIMESTAMP": now.Unix() - 86400}})
	}
	s.put(schema.Items.Topic(groupKey), items...)
	explore(map[string]string{"explorationWeight": "0.3"})
	if cold(10) == 0 {
		t.Error("no cold item is shown")
	}

	for _, c := range []struct {
		config   map[string]string
		min, max int
	}{
		{map[string]string{"explorationWeight": "0"}, 0, 0},
		{map[string]string{"explorationWeight": "1", "explorationItemAgeCutOff": "0.5"}, 0, 0},
		{map[string]string{"explorationWeight": "1"}, 150, 400},
		{map[string]string{"explorationWeight": "0.3"}, 10, 200},
	} {
		explore(c.config)
		if n := cold(40); n < c.min || n > c.max {
			t.Errorf("%v: %d of 400 items are cold", c.config, n)
		}
	}
	// What everybody was shown makes room.
	before := cold(40)
	for n := range 30 {
		s.service.impressions.count(groupKey, 3000, fmt.Sprintf("cold%d", n))
	}
	if after := cold(40); after >= before/2 {
		t.Errorf("%d of 400 items were cold, and %d are when they were shown often", before, after)
	}
}

func TestImpressionsAreCounted(t *testing.T) {
	t.Parallel()
	s := openWith(t, func(c *Config) { c.Explore = true })
	r, _ := recipe.ByName(personal)
	s.campaign(r, trainOn(t, r, taste))
	eventually.True(s, "the model is loaded", func() bool { return len(s.models.All()) == 1 })
	s.service.impressions.track(groupKey, []exploration.ColdItem{{ID: "red0"}, {ID: "cold"}})
	eventually.True(s, "answers are counted", func() bool {
		_, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "u"})
		s.must(err)
		return s.service.impressions.of(groupKey, "red0") > 0
	})
	event := interaction("u", "blue1", 1)
	event.Impression = []string{"cold", "unknown"}
	value, err := wire.MarshalInteraction(event)
	s.must(err)
	s.must(s.bus.Publish(t.Context(), bus.Record{Topic: schema.Interactions.Topic(groupKey), Key: []byte("u"), Value: value}))
	eventually.True(s, "explicit impressions are counted", func() bool { return s.service.impressions.of(groupKey, "cold") == 1 })
	if n := s.service.impressions.of(groupKey, "unknown"); n != 0 {
		t.Errorf("an item that is not explored is counted %d times", n)
	}
}

func TestWithoutAttributesFiltersAreRefused(t *testing.T) {
	t.Parallel()
	s := openWith(t, func(c *Config) { c.AttributesBytes = 1 })
	r, _ := recipe.ByName(popularity)
	s.campaign(r, trainOn(t, r, taste))
	s.stock()
	red := s.filter("red", `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`)
	_, err := s.recommendations(map[string]any{"campaignArn": campaignARN(popularity), "filterArn": red})
	var refusal *awsapi.Error
	if !errors.As(err, &refusal) || refusal.Status != http.StatusServiceUnavailable || !strings.Contains(refusal.Message, "items") {
		t.Errorf("the refusal is %v", err)
	}
	if _, err := s.recommendations(map[string]any{"campaignArn": campaignARN(popularity)}); err != nil {
		t.Errorf("a request without a filter: %v", err)
	}
}
