package eval

import (
	"os"
	"syscall"
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset/datasettest"
	"github.com/penchant-io/penchant/pkg/recipe"
)

// cpuSeconds is what this process has taken of its CPUs: unlike the time that passes, the same however busy the machine
// is.
func cpuSeconds(t *testing.T) float64 {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

// TestProgressMeansTime trains each recipe that takes a while and compares, at each step of its progress after the
// first tenth of the work and of the time, what remains if all shares take as long with what did remain: a factor of
// two at most, except for the last twentieth.
func TestProgressMeansTime(t *testing.T) {
	if os.Getenv("PENCHANT_TEST_LONG") == "" {
		t.Skip("trains for minutes: set PENCHANT_TEST_LONG=1")
	}
	ts := datasettest.Research(t, "ml-1m", datasettest.AllUsers)
	for _, name := range []string{"aws-sims", "aws-similar-items", "aws-semantic-similarity", "aws-user-personalization", "aws-item-affinity", "aws-hrnn"} {
		t.Run(name, func(t *testing.T) {
			r := mustRecipe(t, name)
			params, err := r.ParseParams(nil)
			if err != nil {
				t.Fatal(err)
			}
			type step struct{ done, spent float64 }
			var steps []step
			began := cpuSeconds(t)
			o := recipe.Options{
				Seed: 1, Threads: 1,
				Progress: func(done float64) { steps = append(steps, step{done, cpuSeconds(t) - began}) },
			}
			if _, err := r.Fit(t.Context(), ts, params, o); err != nil {
				t.Fatal(err)
			}
			total := cpuSeconds(t) - began
			if total < 0.3 {
				t.Skipf("it takes %.1f s", total)
			}
			worst := 1.0
			for _, s := range steps {
				if s.done < 0.1 || s.spent < total/10 {
					continue
				}
				said, remains := s.spent*(1-s.done)/s.done, total-s.spent
				slack := total / 20
				if said > 2*remains+slack || said < remains/2-slack {
					t.Errorf(
						"at %.0f %%, after %.2f of %.2f s, %.2f s are said to remain", 100*s.done, s.spent, total, said,
					)
				}
				if remains > 2*slack && said > 0 {
					worst = max(worst, said/remains, remains/said)
				}
			}
			t.Logf("%.1f s of CPU, %d steps, at worst a factor of %.2f", total, len(steps), worst)
		})
	}
}
