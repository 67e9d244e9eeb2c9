// Package backoff spaces the repeats of calls that fail because a server is away or busy. The delay doubles from repeat
// to repeat up to a limit, so that a short outage costs little time and a long one little load:
//
//	pace := backoff.Exponential{First: 50 * time.Millisecond, Max: 5 * time.Second}
//	for attempt := 0; ; attempt++ {
//		err := call(ctx)
//		if err == nil {
//			return nil
//		}
//		log.Warn("calling failed, retrying", zap.Error(err))
//		if err := pace.Wait(ctx, attempt); err != nil {
//			return err
//		}
//	}
//
// It holds no state and makes no decisions: which errors are worth a repeat, and how many, is the caller's to decide.
package backoff

import (
	"context"
	"time"
)

// Exponential doubles the delay from First up to Max.
type Exponential struct {
	First, Max time.Duration
}

// Delay returns the time between a failed attempt and the next one. Attempts are counted from 0.
func (e Exponential) Delay(attempt int) time.Duration {
	delay := e.First
	for ; attempt > 0 && delay < e.Max; attempt-- {
		delay *= 2
	}
	return min(delay, e.Max)
}

// Wait sleeps for the delay after an attempt, or returns the context's error when it ends before.
func (e Exponential) Wait(ctx context.Context, attempt int) error {
	return Sleep(ctx, e.Delay(attempt))
}

// Sleep sleeps for d, or returns the context's error when it ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
