package backoff

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestDelayDoublesUpToTheMaximum(t *testing.T) {
	t.Parallel()
	pace := Exponential{First: 50 * time.Millisecond, Max: 5 * time.Second}
	for attempt, want := range map[int]time.Duration{
		0: 50 * time.Millisecond, 1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 6: 3200 * time.Millisecond,
		7: 5 * time.Second, 8: 5 * time.Second, 1000: 5 * time.Second, math.MaxInt: 5 * time.Second,
	} {
		if got := pace.Delay(attempt); got != want {
			t.Errorf("after attempt %d the delay is %s, want %s", attempt, got, want)
		}
	}
	if got := (Exponential{First: time.Hour, Max: time.Second}).Delay(0); got != time.Second {
		t.Errorf("a first delay above the maximum gives %s", got)
	}
}

func TestWaitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, pace := time.Now(), Exponential{First: time.Second, Max: time.Minute}
		if err := pace.Wait(t.Context(), 2); err != nil || time.Since(start) != 4*time.Second {
			t.Errorf("waited %s: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if err := pace.Wait(ctx, 2); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("waited %s: %v", time.Since(start), err)
		}
	})
}
