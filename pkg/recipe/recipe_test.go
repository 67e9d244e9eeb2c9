package recipe_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/modeltest"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// sameModel are recipes whose training is that of another one, which is slow: it is tested under the other name.
var sameModel = map[string]string{
	"aws-user-personalization-v2":   "aws-user-personalization",
	"aws-personalized-ranking-v2":   "aws-personalized-ranking",
	"aws-ecomm-recommended-for-you": "aws-user-personalization",
	"aws-vod-top-picks":             "aws-user-personalization",
}

func TestEveryRecipeKeepsTheModelPromises(t *testing.T) {
	t.Parallel()
	for _, r := range recipe.All() {
		t.Run(r.Name, func(t *testing.T) {
			if other, same := sameModel[r.Name]; same {
				sharesTraining(t, r, other)
				return
			}
			modeltest.Run(t, r)
		})
	}
}

// sharesTraining checks that two recipes train the same model, except for parameters: on one interaction, where that is
// quick.
func sharesTraining(t *testing.T, r *recipe.Recipe, name string) {
	t.Helper()
	other, ok := recipe.ByName(name)
	if !ok {
		t.Fatalf("there is no recipe %s", name)
	}
	b := trainingset.NewBuilder(trainingset.Options{})
	b.Add(&reco.Interaction{EventID: "e", UserID: "u", ItemID: "i"})
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	parts := func(r *recipe.Recipe) []model.Part {
		parts, err := modeltest.Train(t, r, ts, recipe.Options{}).Parts()
		if err != nil {
			t.Fatal(err)
		}
		return parts
	}
	if diff := cmp.Diff(parts(other), parts(r)); diff != "" {
		t.Errorf("the models of %s and %s differ:\n%s", other.Name, r.Name, diff)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range recipe.All() {
		if seen[r.Name] {
			t.Errorf("%s stands twice in the table", r.Name)
		}
		seen[r.Name] = true
		if found, ok := recipe.ByARN(r.ARN()); !ok || found != r {
			t.Errorf("%s is not found by its ARN %s", r.Name, r.ARN())
		}
		if r.Algorithm == "" || r.FeatureTransformation == "" || r.Description == "" || r.Type == "" {
			t.Errorf("%s is not described", r.Name)
		}
		if _, err := r.ParseParams(nil); err != nil {
			t.Errorf("%s: its defaults are refused: %v", r.Name, err)
		}
		for _, p := range r.HyperParameters {
			if _, err := r.ParseParams(map[string]string{p.Name: p.Default}); err != nil {
				t.Errorf("%s: the default of %s is refused: %v", r.Name, p.Name, err)
			}
		}
	}
}

func TestByARN(t *testing.T) {
	t.Parallel()
	for _, arn := range []string{"", "aws-sims", "arn:aws:personalize:::recipe/", "arn:aws:personalize:::recipe/aws-magic", "arn:aws:personalize:::algorithm/aws-sims"} {
		if r, ok := recipe.ByARN(arn); ok {
			t.Errorf("ARN %q finds %s", arn, r.Name)
		}
	}
}

func TestParseParams(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, recipe string
		given        map[string]string
		refused      []string // words of the error; none: accepted
	}{
		{"nothing", "aws-sims", nil, nil},
		{
			"in range", "aws-sims",
			map[string]string{"popularity_discount_factor": "0.7", "min_cointeraction_count": "0"}, nil,
		},
		{"bounds", "aws-user-personalization", map[string]string{"hidden_dimension": "32", "bptt": "32"}, nil},
		{"categorical", "aws-user-personalization", map[string]string{"recency_mask": "false"}, nil},
		{"unknown", "aws-sims", map[string]string{"magic": "1"}, []string{`"magic"`, "unknown", "aws-sims"}},
		{
			"unknown where there are none", "aws-popularity-count", map[string]string{"magic": "1"},
			[]string{`"magic"`, "unknown"},
		},
		{
			"no integer", "aws-sims", map[string]string{"min_cointeraction_count": "2.5"},
			[]string{"min_cointeraction_count", `"2.5"`, "integer"},
		},
		{
			"no number", "aws-sims", map[string]string{"popularity_discount_factor": "much"},
			[]string{"popularity_discount_factor", `"much"`, "number"},
		},
		{
			"not a number", "aws-sims", map[string]string{"popularity_discount_factor": "NaN"},
			[]string{"popularity_discount_factor", "range"},
		},
		{
			"too small", "aws-personalized-ranking", map[string]string{"hidden_dimension": "31"},
			[]string{"hidden_dimension", "31", "[32,256]"},
		},
		{
			"too large", "aws-user-personalization", map[string]string{"hidden_dimension": "257"},
			[]string{"hidden_dimension", "257", "[32,256]"},
		},
		{
			"empty", "aws-user-personalization", map[string]string{"hidden_dimension": ""},
			[]string{"hidden_dimension", `""`},
		},
		{
			"not in the list", "aws-user-personalization", map[string]string{"recency_mask": "maybe"},
			[]string{"recency_mask", `"maybe"`, "true, false"},
		},
		{
			"crossed percentiles", "aws-sims",
			map[string]string{"min_user_history_length_percentile": "0.9", "max_user_history_length_percentile": "0.2"},
			[]string{"min_user_history_length_percentile", "0.9", "max_user_history_length_percentile", "0.2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, ok := recipe.ByName(c.recipe)
			if !ok {
				t.Fatal("no such recipe")
			}
			params, err := r.ParseParams(c.given)
			if (err != nil) != (c.refused != nil) {
				t.Fatalf("error %v, want one: %v", err, c.refused != nil)
			}
			for _, word := range c.refused {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not name %s", err, word)
				}
			}
			if err != nil {
				return
			}
			for _, p := range r.HyperParameters {
				want, given := c.given[p.Name]
				if !given {
					want = p.Default
				}
				if got := params.String(p.Name); got != want {
					t.Errorf("%s is %q, want %q", p.Name, got, want)
				}
			}
		})
	}
}

func TestParseConfigKeepsTheTwoSortsApart(t *testing.T) {
	t.Parallel()
	r, _ := recipe.ByName("aws-sims")
	params, err := r.ParseConfig(
		map[string]string{"min_cointeraction_count": "5"},
		map[string]string{"max_user_history_length_percentile": "0.5"},
	)
	if err != nil {
		t.Fatal(err)
	}
	if n, f := params.Int("min_cointeraction_count"), params.Float("max_user_history_length_percentile"); n != 5 ||
		f != 0.5 {
		t.Errorf("parameters are %d and %g, want 5 and 0.5", n, f)
	}
	if _, err := r.ParseConfig(map[string]string{"max_user_history_length_percentile": "0.5"}, nil); err == nil {
		t.Error("a feature transformation parameter is accepted as an algorithm's")
	}
	if _, err := r.ParseConfig(nil, map[string]string{"min_cointeraction_count": "5"}); err == nil {
		t.Error("an algorithm's parameter is accepted as a feature transformation's")
	}
}
