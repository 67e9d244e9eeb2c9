package training

import (
	"testing"
	"time"

	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// TestWhatRemainsIsWithinAFactorOfTwo plays trainings of very different kinds on a clock of their own and looks at
// every end that is foretold: from a tenth of the time on, what remains must be between half and twice of what is said.
// Near the end a hundredth of the whole is not worth a word.
func TestWhatRemainsIsWithinAFactorOfTwo(t *testing.T) {
	t.Parallel()
	const candidates = 10
	for name, seconds := range map[string][stages]float64{
		"a network":                      {reading: 3, evaluating: 60, scoring: 2, fitting: 67, publishing: 1},
		"factors":                        {reading: 2, evaluating: 4, scoring: 0.3, fitting: 4.5, publishing: 0.3},
		"counts, in no time":             {reading: 2, evaluating: 0.01, scoring: 0.02, fitting: 0.01, publishing: 0.2},
		"large data":                     {reading: 600, evaluating: 900, scoring: 100, fitting: 1000, publishing: 60},
		"a search":                       {reading: 3, choosing: 60 * candidates, evaluating: 65, scoring: 3, fitting: 70, publishing: 2},
		"a search among unequal recipes": {reading: 3, choosing: 300, evaluating: 60, scoring: 3, fitting: 66, publishing: 2},
		"everybody is a test user":       {reading: 1, evaluating: 20, scoring: 10, fitting: 25, publishing: 1},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Unix(1_700_000_000, 0)
			now, total := began, 0.0
			for _, s := range seconds {
				total += s
			}
			foretold := 0
			c := newClock(func(share float64) {
				passed := now.Sub(began).Seconds()
				end := jobs.ExpectedEnd(began, now, share)
				if end.IsZero() || passed < total/10 {
					return
				}
				foretold++
				remains, said := total-passed, passed*(1-share)/share // the end itself is in whole seconds
				if slack := total / 100; said < remains/2-slack || said > 2*remains+slack {
					t.Errorf("after %.1f of %.1f s: %.1f s are said to remain", passed, total, said)
				}
			})
			c.now = func() time.Time { return now }
			c.began[reading] = now
			play := func(s stage, steps int) {
				report := c.progress(s)
				for step := range steps {
					now = now.Add(time.Duration(seconds[s] / float64(steps) * float64(time.Second)))
					report(float64(step+1) / float64(steps))
				}
			}
			pass := func(s stage) { now = now.Add(time.Duration(seconds[s] * float64(time.Second))) }
			pass(reading)
			if seconds[choosing] > 0 {
				c.search(candidates)
				play(choosing, candidates)
			}
			c.enter(evaluating)
			play(evaluating, 100)
			pass(scoring)
			c.enter(fitting)
			play(fitting, 100)
			c.enter(publishing)
			if foretold < 100 {
				t.Errorf("the end was foretold %d times only", foretold)
			}
		})
	}
}
