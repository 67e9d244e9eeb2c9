package recipe

import "testing"

// TestErrorsAreFollowedBackUnlessBPTTIsGiven: bptt's default is Personalize's on the wire, and costs quality.
func TestErrorsAreFollowedBackUnlessBPTTIsGiven(t *testing.T) {
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
