package recipe_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

const day = 24 * 60 * 60

// shelf builds a set of items: each has an age in days, which is 0 for the newest, and a number of interactions, all at
// the moment when the item appeared.
func shelf(t *testing.T, s *schema.Schema, items ...shelved) *trainingset.Set {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{ItemSchema: s})
	for n, item := range items {
		appeared := int64(1_700_000_000 - item.age*day)
		for k := range item.interactions {
			b.Add(&reco.Interaction{
				EventID: fmt.Sprint(n, k), UserID: fmt.Sprint(k), ItemID: fmt.Sprint(n), TimestampMS: appeared * 1000,
			})
		}
		properties := item.properties
		if item.dated {
			properties = map[string]any{"CREATION_TIMESTAMP": appeared}
		}
		b.AddItem(reco.Entity{ID: fmt.Sprint(n), Properties: properties})
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

type shelved struct {
	age, interactions int
	dated             bool
	properties        map[string]any
}

func several(n int, s shelved) (all []shelved) {
	for range n {
		all = append(all, s)
	}
	return all
}

func TestCheckData(t *testing.T) {
	t.Parallel()
	text := &schema.Schema{
		Type:   schema.Items,
		Fields: []schema.Field{{Name: "ITEM_ID"}, {Name: "SUMMARY", Textual: true}, {Name: "KIND", Categorical: true}},
	}
	described := shelved{interactions: 1, properties: map[string]any{"SUMMARY": "a fine thing"}}
	sorted := shelved{interactions: 1, properties: map[string]any{"KIND": "thing"}}
	for _, c := range []struct {
		name, recipe string
		given        map[string]string
		ts           *trainingset.Set
		refused      string // "": accepted
	}{
		{"interactions alone", "aws-sims", nil, &trainingset.Set{}, ""},
		{"no items", "aws-vod-top-picks", nil, &trainingset.Set{}, "needs an Items dataset"},
		{"no text", "aws-semantic-similarity", nil, shelf(t, text, sorted), "no textual column"},
		{"text", "aws-semantic-similarity", nil, shelf(t, text, described), ""},
		{"only text", "aws-item-attribute-affinity", nil, shelf(t, text, described), "neither textual nor reserved"},
		{"attributes", "aws-item-attribute-affinity", nil, shelf(t, text, sorted), ""},
		{
			"no cold items", "aws-hrnn-coldstart", nil, shelf(t, nil, several(200, shelved{interactions: 20})...),
			"0 cold items, the recipe needs from 100 to 80000",
		},
		{"cold items", "aws-hrnn-coldstart", nil, shelf(t, nil, several(100, shelved{interactions: 15})...), ""},
		{
			"items without interactions are new", "aws-hrnn-coldstart", nil,
			shelf(t, nil, append(several(99, shelved{}), several(1, shelved{interactions: 3})...)...), "",
		},
		{
			"one too few", "aws-hrnn-coldstart", nil,
			shelf(t, nil, append(several(99, shelved{interactions: 2}), shelved{interactions: 16})...), "99 cold items",
		},
		{
			"other maximum", "aws-hrnn-coldstart", map[string]string{"cold_start_max_interactions": "20"},
			shelf(t, nil, several(100, shelved{interactions: 20})...), "",
		},
		{
			"old ones are not cold", "aws-hrnn-coldstart", nil,
			shelf(t, nil, append(several(200, shelved{age: 6, interactions: 2}), shelved{interactions: 2})...),
			"1 cold items",
		},
		{
			"other duration", "aws-hrnn-coldstart", map[string]string{"cold_start_max_duration": "6.5"},
			shelf(t, nil, append(several(200, shelved{age: 6, interactions: 2}), shelved{interactions: 2})...), "",
		},
		// The newest item is dated 10 days after the newest interaction.
		{
			"before the latest item", "aws-hrnn-coldstart", nil,
			shelf(t, nil, append(several(200, shelved{interactions: 2}), shelved{age: -10, dated: true})...),
			"1 cold items",
		},
		{
			"before the newest interaction", "aws-hrnn-coldstart",
			map[string]string{"cold_start_relative_from": "currentTime"},
			shelf(t, nil, append(several(200, shelved{interactions: 2}), shelved{age: -10, dated: true})...), "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, ok := recipe.ByName(c.recipe)
			if !ok {
				t.Fatal("no such recipe")
			}
			params, err := r.ParseParams(c.given)
			if err != nil {
				t.Fatal(err)
			}
			err = r.CheckData(c.ts, params)
			var unsuitable *recipe.UnsuitableError
			if (err != nil) != (c.refused != "") || err != nil &&
				(!errors.As(err, &unsuitable) || !strings.Contains(err.Error(), c.refused)) {
				t.Errorf("error %v, want one with %q", err, c.refused)
			}
		})
	}
}

func TestInterval(t *testing.T) {
	t.Parallel()
	r, _ := recipe.ByName("aws-trending-now")
	for given, want := range map[string]time.Duration{
		"": 3 * time.Hour, "30 min": 30 * time.Minute, "30 minutes": 30 * time.Minute, "1h": time.Hour,
		"1 hour": time.Hour, "3h": 3 * time.Hour, "3 hours": 3 * time.Hour, "1 day": 24 * time.Hour,
	} {
		values := map[string]string{}
		if given != "" {
			values["trend_discovery_frequency"] = given
		}
		params, err := r.ParseConfig(nil, values)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Interval(params); got != want {
			t.Errorf("%q means %s, want %s", given, got, want)
		}
	}
	if _, err := r.ParseConfig(nil, map[string]string{"trend_discovery_frequency": "2h"}); err == nil {
		t.Error("an interval that is not offered is accepted")
	}
	for name, want := range map[string]time.Duration{"aws-vod-trending-now": 3 * time.Hour, "aws-sims": 0} {
		r, _ := recipe.ByName(name)
		params, _ := r.ParseParams(nil)
		if got := r.Interval(params); got != want {
			t.Errorf("%s: interval %s, want %s", name, got, want)
		}
	}
}

// TestNames holds the table to the recipes of Amazon Personalize and their types.
func TestNames(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"aws-user-personalization": "USER_PERSONALIZATION", "aws-user-personalization-v2": "USER_PERSONALIZATION",
		"aws-hrnn": "USER_PERSONALIZATION", "aws-hrnn-metadata": "USER_PERSONALIZATION",
		"aws-hrnn-coldstart":   "USER_PERSONALIZATION",
		"aws-popularity-count": "POPULAR_ITEMS", "aws-trending-now": "POPULAR_ITEMS",
		"aws-personalized-ranking": "PERSONALIZED_RANKING", "aws-personalized-ranking-v2": "PERSONALIZED_RANKING",
		"aws-sims": "RELATED_ITEMS", "aws-similar-items": "RELATED_ITEMS", "aws-semantic-similarity": "RELATED_ITEMS",
		"aws-next-best-action": "PERSONALIZED_ACTIONS", "aws-item-affinity": "USER_SEGMENTATION",
		"aws-item-attribute-affinity":      "USER_SEGMENTATION",
		"aws-ecomm-popular-items-by-views": "POPULAR_ITEMS", "aws-ecomm-popular-items-by-purchases": "POPULAR_ITEMS",
		"aws-ecomm-frequently-bought-together":         "RELATED_ITEMS",
		"aws-ecomm-customers-who-viewed-x-also-viewed": "RELATED_ITEMS",
		"aws-ecomm-recommended-for-you":                "USER_PERSONALIZATION",
		"aws-vod-because-you-watched-x":                "RELATED_ITEMS", "aws-vod-more-like-x": "RELATED_ITEMS",
		"aws-vod-most-popular": "POPULAR_ITEMS",
		"aws-vod-trending-now": "POPULAR_ITEMS", "aws-vod-top-picks": "USER_PERSONALIZATION",
	}
	for _, r := range recipe.All() {
		if want[r.Name] != r.Type {
			t.Errorf("%s has type %s, want %q", r.Name, r.Type, want[r.Name])
		}
		delete(want, r.Name)
		domain := ""
		switch {
		case strings.HasPrefix(r.Name, "aws-ecomm-"):
			domain = recipe.Ecommerce
		case strings.HasPrefix(r.Name, "aws-vod-"):
			domain = recipe.VideoOnDemand
		}
		if r.Domain != domain || domain != "" && r.MinEvents != 1000 || domain == "" &&
			r.MinEvents+len(r.HidesEvents) > 0 {
			t.Errorf("%s: domain %q, at least %d events, hides %v", r.Name, r.Domain, r.MinEvents, r.HidesEvents)
		}
	}
	for name := range want {
		t.Errorf("%s is not in the table", name)
	}
}
