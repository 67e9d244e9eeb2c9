package eventually

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test that records its failure.
type recorder struct {
	testing.TB
	failure string
}

func (*recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// run returns with what a wait failed, and how long it took.
func run(wait func(testing.TB)) (failure string, took time.Duration) {
	r, start, done := &recorder{}, time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		wait(r)
	}()
	<-done
	return r.failure, time.Since(start)
}

func TestWaitsAsLongAsItTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		late := func() bool { return time.Since(start) >= time.Second }
		if failure, took := run(func(t testing.TB) { True(t, "late", late) }); failure != "" || took != time.Second {
			t.Errorf("failed with %q after %s, want success after a second", failure, took)
		}
		now := func() error { return nil }
		if failure, took := run(func(t testing.TB) { Succeeds(t, "now", now) }); failure != "" || took != 0 {
			t.Errorf("failed with %q after %s, want success at once", failure, took)
		}
	})
}

func TestFailsWithTheLastErrorAtTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		check := func() error {
			calls++
			return fmt.Errorf("call %d", calls)
		}
		failure, took := run(func(t testing.TB) { SucceedsWithin(t, 10*time.Millisecond, "it listens", check) })
		if want := "not within 10ms: it listens: call 4"; failure != want || took > 20*time.Millisecond {
			t.Errorf("failed with %q after %s, want %q", failure, took, want)
		}
		failure, took = run(func(t testing.TB) { Succeeds(t, "never", func() error { return errors.ErrUnsupported }) })
		if failure != "not within 1m0s: never: unsupported operation" || took < limit {
			t.Errorf("failed with %q after %s", failure, took)
		}
		failure, _ = run(func(t testing.TB) { True(t, "never", func() bool { return false }) })
		if failure != "not within 1m0s: never: the condition is false" {
			t.Errorf("failed with %q", failure)
		}
	})
}
