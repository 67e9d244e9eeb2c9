package training

import (
	"sync"
	"time"
)

// stage is a part of a training.
type stage int

const (
	reading stage = iota
	choosing
	evaluating // the training without the test users
	scoring    // the test users
	fitting
	publishing
	stages
)

// clock turns the progress of the stages of a training into the share of the whole time that has passed. What a stage
// takes is known when it has ended; while it runs it follows from the share of its work that is done; and before it
// begins from what the others took: the second training costs as much as the first, on a tenth more of the users. So
// the share means time, whatever the recipe, and what remains follows from it (jobs.ExpectedEnd).
//
// While the data is read nothing is known about the rest, so nothing is reported.
type clock struct {
	out func(share float64)
	now func() time.Time

	mu    sync.Mutex
	began [stages]time.Time
	took  [stages]time.Duration
	at    stage
	// candidates is how many trainings a search makes, one after the other.
	candidates float64
}

func newClock(report func(share float64)) *clock {
	c := &clock{out: report, now: time.Now}
	c.began[reading] = c.now()
	return c
}

// search begins the stage in which so many candidates are trained and measured.
func (c *clock) search(candidates float64) {
	c.mu.Lock()
	c.candidates = candidates
	c.mu.Unlock()
	c.enter(choosing)
}

// enter ends the stage under way and begins another.
func (c *clock) enter(s stage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enterLocked(s)
	c.report(0)
}

func (c *clock) enterLocked(s stage) {
	now := c.now()
	c.took[c.at] = now.Sub(c.began[c.at])
	c.at, c.began[s] = s, now
}

// progress returns the function to which a stage reports the share of its work. With its training an evaluation has not
// ended.
func (c *clock) progress(s stage) func(done float64) {
	return func(done float64) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.at != s {
			return
		}
		if s == evaluating && done >= 1 {
			c.enterLocked(scoring)
			done = 0
		}
		c.report(done)
	}
}

// What is expected of a stage before anything is known of it, relative to another.
const (
	scoringShare = 0.05 // of the training without the test users
	whole        = 1 / 0.9
	// Publishing is writing and reading the model, which grows with the data.
	publishingShareOfReading, publishingShareOfFitting = 0.05, 0.01
)

// report reports the share of the time that has passed, given the share of the current stage's work that is done.
func (c *clock) report(done float64) {
	expected := c.took
	now := c.now()
	spent := now.Sub(c.began[c.at])
	switch {
	case done > 0:
		expected[c.at] = max(spent, time.Duration(float64(spent)/min(done, 1)))
	case c.guess(c.at, expected) > 0:
		expected[c.at] = max(spent, c.guess(c.at, expected))
	}
	if expected[c.at] == 0 {
		return // nothing to extrapolate from
	}
	for s := c.at + 1; s < stages; s++ {
		expected[s] = c.guess(s, expected)
	}
	passed, total := time.Duration(0), time.Duration(0)
	for s := range stages {
		if s < c.at {
			passed += c.took[s]
		}
		total += expected[s]
	}
	if total > 0 {
		c.out(float64(passed+spent) / float64(total))
	}
}

// guess estimates what a stage will take from what the stages before it take.
func (c *clock) guess(s stage, expected [stages]time.Duration) time.Duration {
	scaled := func(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }
	switch s {
	case evaluating:
		if c.candidates == 0 {
			return 0
		}
		return scaled(expected[choosing], 1/c.candidates)
	case scoring:
		return scaled(expected[evaluating], scoringShare)
	case fitting:
		return scaled(expected[evaluating], whole)
	case publishing:
		return scaled(expected[reading], publishingShareOfReading) + scaled(expected[fitting], publishingShareOfFitting)
	default:
		return 0
	}
}
