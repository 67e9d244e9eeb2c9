package experiment

import (
	"math"
	"math/rand/v2"
	"testing"
)

// simulation is an experiment on users who come back: each has a taste of his own, so that his answers resemble one
// another.
type simulation struct {
	// rates of the arms: rewards per impression of the average user.
	rates [2]float64
	// shareOfNew is the new arm's share, users come in steps of perStep, and after each the results are looked at.
	shareOfNew     float64
	perStep, steps int
	guard          Direction
	// effect is the one that is found soonest.
	effect float64
}

type outcome struct {
	significant, guardTripped, mismatch bool
	// covered is whether the interval had the true difference at every look, began whether there was one.
	covered, began bool
}

func (s simulation) run(random *rand.Rand) outcome {
	p := plan()
	p.Guard, p.Effect = &Guard{p.Metric, s.guard}, s.effect
	p.Phases = [][]Share{{{"control", 1 - s.shareOfNew}, {"new", s.shareOfNew}}}
	tally := NewTally(p)
	type user struct {
		arm, cluster int
		taste        float64
	}
	users := make([]user, 0, s.perStep*s.steps)
	visit := func(u user) {
		c := &tally.arms[u.arm].clusters[u.cluster]
		c.impressions++
		if random.Float64() < s.rates[u.arm]*u.taste {
			c.rewards++
			c.guardRewards++
		}
	}
	out := outcome{covered: true}
	for range s.steps {
		for range s.perStep {
			hash := Hash(random.Uint64())
			u := user{0, hash.cluster(), 2 * random.Float64() * random.Float64() * 2} // mean 1, from 0 to 4
			if random.Float64() < s.shareOfNew {
				u.arm = 1
			}
			tally.arms[u.arm].clusters[u.cluster].users++
			tally.countPhase(0, u.arm)
			users = append(users, u)
			visit(u)
			for random.Float64() < 0.6 { // and somebody comes back
				visit(users[random.IntN(len(users))])
			}
		}
		tally.Look()
		if scale := tally.arms[1].test.scale; scale > 0 {
			d := compare(tally.arms[0].sums(PerImpression, rewardsOf), tally.arms[1].sums(PerImpression, rewardsOf))
			miss := math.Abs(d.value - (s.rates[1] - s.rates[0]))
			out.began, out.covered = true, out.covered && miss <= halfWidth(d.variance, scale, tally.alpha())
		}
	}
	r := tally.Results()
	out.significant = out.began && r.Arms[1].Metric.Comparison.Significant
	out.guardTripped, out.mismatch = len(tally.GuardTripped()) > 0, r.SampleRatio.Mismatch
	return out
}

// totals of many experiments.
type totals struct{ runs, significant, guardTripped, mismatch, uncovered, began int }

func (s simulation) repeat(runs int) totals {
	if raced {
		runs /= 10
	}
	random := rand.New(rand.NewPCG(7, uint64(runs)))
	sum := totals{runs: runs}
	one := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	for range runs {
		o := s.run(random)
		sum.significant += one(o.significant)
		sum.guardTripped += one(o.guardTripped)
		sum.mismatch += one(o.mismatch)
		sum.uncovered += one(!o.covered)
		sum.began += one(o.began)
	}
	return sum
}

// Where there is no difference none is reported but with the stated probability, though every experiment is looked at
// at every step; where there is one, it is found, and the interval has it.
func TestThousandsOfExperiments(t *testing.T) {
	t.Parallel()
	const alpha = 0.05
	equal := simulation{rates: [2]float64{0.15, 0.15}, shareOfNew: 0.5, perStep: 60, steps: 30, guard: Lower, effect: 0.3}
	got := equal.repeat(1000)
	t.Logf("equal arms: %+v", got)
	if limit := got.runs * 5 / 100; got.significant > limit || got.guardTripped > limit || got.uncovered > limit {
		t.Errorf("equal arms: %+v, each may be %v of the runs at most", got, alpha)
	}
	if got.mismatch > got.runs/100 || got.began < got.runs {
		t.Errorf("equal arms: %+v", got)
	}

	canary := simulation{rates: [2]float64{0.15, 0.15}, shareOfNew: 0.05, perStep: 150, steps: 20, guard: Lower, effect: 0.3}
	got = canary.repeat(500)
	t.Logf("an equal canary: %+v", got)
	if limit := got.runs * 5 / 100; got.significant > limit || got.guardTripped > limit || got.uncovered > limit || got.began < got.runs {
		t.Errorf("an equal canary: %+v", got)
	}

	better := simulation{rates: [2]float64{0.12, 0.17}, shareOfNew: 0.5, perStep: 150, steps: 20, guard: Lower, effect: 0.3}
	got = better.repeat(200)
	t.Logf("a planted difference: %+v", got)
	if got.significant < got.runs*95/100 || got.uncovered > got.runs*5/100 || got.guardTripped > got.runs*5/100 {
		t.Errorf("a planted difference: %+v", got)
	}

	worse := simulation{rates: [2]float64{0.15, 0.07}, shareOfNew: 0.1, perStep: 200, steps: 25, guard: Lower, effect: 0.3}
	got = worse.repeat(100)
	t.Logf("a bad canary: %+v", got)
	if got.guardTripped < got.runs*95/100 {
		t.Errorf("a bad canary: %+v", got)
	}
	worse.guard = Higher // more of something bad is what is guarded against, and there is less of it
	if got = worse.repeat(50); got.guardTripped > got.runs*5/100 {
		t.Errorf("a canary with less of something bad: %+v", got)
	}
}
