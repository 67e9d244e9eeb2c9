package jobs

import "time"

// progress is a job's last report: the completed share, and the expected end as of then.
type progress struct {
	done float64
	end  time.Time
}

// predictable is the share of a job that must be done before its end is predicted: the first steps predict little.
const predictable = 0.1

// ExpectedEnd extrapolates when a job will end from the share it has done so far; zero if it is too early to tell.
func ExpectedEnd(began, now time.Time, done float64) time.Time {
	if done < predictable {
		return time.Time{}
	}
	remaining := time.Duration(float64(now.Sub(began)) * (1 - min(done, 1)) / done)
	return now.Add(remaining).UTC().Truncate(time.Second)
}

// Between maps the progress of one step to its part of the whole.
func Between(report func(float64), from, to float64) func(float64) {
	return func(done float64) { report(from + (to-from)*min(max(done, 0), 1)) }
}
