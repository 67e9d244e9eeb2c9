package recipe

import (
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// TestErrorsAreFollowedBackUnlessBPTTIsGiven: bptt's default is Personalize's on the wire, and costs quality.
func TestErrorsAreFollowedBackUnlessBPTTIsGiven(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"aws-hrnn", "aws-user-personalization"} {
		r, known := ByName(name)
		if !known {
			t.Fatalf("there is no recipe %s", name)
		}
		for given, want := range map[string]int{"": 0, "8": 8, "32": 32} {
			hyper := map[string]string{}
			if given != "" {
				hyper["bptt"] = given
			}
			p, err := r.ParseParams(hyper)
			if err != nil {
				t.Fatal(err)
			}
			if got := networkConfig(p, Options{}).Unroll; got != want {
				t.Errorf("%s with bptt %q looks back %d interactions, want %d", name, given, got, want)
			}
		}
	}
}

func TestModelsLoadWithoutAdjustmentsThatTheyWereNotStoredWith(t *testing.T) {
	t.Parallel()
	r, known := ByName("aws-popularity-count")
	if !known {
		t.Fatal("there is no popularity")
	}
	ts := &trainingset.Set{Users: []string{"u"}, Items: []string{"a"}, UserStart: []int32{0, 1}, Item: []int32{0}}
	m, err := r.Train(t.Context(), ts, Params{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := m.Parts()
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string][]byte{}
	for _, p := range parts {
		stored[p.Name] = p.Data
	}
	loaded, err := r.Load(stored)
	if _, adjusted := loaded.(*model.Adjusted); err != nil || adjusted {
		t.Errorf("a model without adjustments is loaded as %T, error %v", loaded, err)
	}
}
