// Package eventually waits in tests until something holds that other goroutines or processes bring about: a record is
// consumed, a status is reached, a server listens. It polls, so that a test takes no longer than what it waits for, and
// fails the test when that takes too long.
//
//	eventually.True(t, "the topic is empty", func() bool { return size(topic) == 0 })
//	eventually.Succeeds(t, "the service is ready", func() error { return service.Ready(ctx) })
//
// A test that can run inside testing/synctest needs none of it: there it waits with synctest.Wait.
package eventually

import (
	"errors"
	"testing"
	"time"
)

const (
	// limit is far beyond what anything takes here, since many tests share few cores: it ends a test that hangs, and
	// measures nothing.
	limit    = time.Minute
	interval = 5 * time.Millisecond
)

// True polls until condition holds, and fails the test after a minute.
func True(t testing.TB, what string, condition func() bool) {
	t.Helper()
	Succeeds(t, what, func() error {
		if condition() {
			return nil
		}
		return errFalse
	})
}

var errFalse = errors.New("the condition is false")

// Succeeds polls until check returns nil, and fails the test with its last error after a minute.
func Succeeds(t testing.TB, what string, check func() error) {
	t.Helper()
	SucceedsWithin(t, limit, what, check)
}

// SucceedsWithin is Succeeds with a limit of its own, for what may take longer or must not take that long.
func SucceedsWithin(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(interval) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s: %v", limit, what, err)
		}
	}
}
