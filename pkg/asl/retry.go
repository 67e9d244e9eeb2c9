package asl

import (
	"math"
	"time"
)

// fail has a state's Retry and Catch take a failure, or fails the thread. Tasks, branches and iterations of the state
// have ended.
func (r *run) fail(f *frame, failed *failure) outcome {
	s := f.of()
	if failed.cause == "" && failed.message != "" {
		failed.cause = causeAt(f, failed.message)
	}
	f.Task, f.Branches, f.Results, f.Map = nil, nil, nil, nil
	if r.retries(f, s, failed) {
		return waiting
	}
	if s.kind == typeParallel || s.kind == typeMap {
		r.record(f, s.kind+"StateFailed", nil)
	}
	for i := range s.catchers {
		c := &s.catchers[i]
		if !failed.matches(c.errors) {
			continue
		}
		caught := jsonObject{"Error": failed.name}
		if failed.cause != "" {
			caught["Cause"] = failed.cause
		}
		output, unplaced := c.resultPath.place(stored(f.Input), caught)
		if unplaced != nil {
			unplaced.cause = causeAt(f, unplaced.message)
			return outcome{failed: unplaced}
		}
		r.exit(f, s, output)
		return outcome{next: c.next, output: output}
	}
	return outcome{failed: failed}
}

// retries has the first retrier that takes the failure try the state again, if it may.
func (r *run) retries(f *frame, s *state, failed *failure) bool {
	for i := range s.retriers {
		retrier := &s.retriers[i]
		if !failed.matches(retrier.errors) {
			continue
		}
		if f.Retries[i] >= retrier.maxAttempts {
			return false
		}
		f.WakesAt, f.Retrying = r.now.Add(retrier.delay(f.Retries[i], r.random("retry"))), true
		f.Retries[i]++
		f.RetryCount++
		return true
	}
	return false
}

// delay is the pause before the next attempt, after so many of them.
func (r *retrier) delay(attempts int64, random *source) time.Duration {
	seconds := float64(r.interval) * math.Pow(r.backOff, float64(attempts))
	if r.maxDelay > 0 {
		seconds = min(seconds, float64(r.maxDelay))
	}
	seconds = min(seconds, maxSeconds)
	if r.fullJitter {
		seconds *= random.fraction()
	}
	return time.Duration(seconds * float64(time.Second)).Truncate(time.Millisecond)
}
