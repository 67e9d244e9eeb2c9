package main

import (
	"strings"
	"testing"
	"time"
)

func TestMomentsAreWrittenInThreeWays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"2026-05-06T07:08:09Z": time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC),
		"2026-05-06":           time.Date(2026, 5, 6, 0, 0, 0, 0, time.UTC),
		"36h":                  time.Now().Add(-36 * time.Hour),
	} {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err != nil || time.Time(m).Sub(want).Abs() > time.Minute {
			t.Errorf("%s is %s (%v), want %s", text, time.Time(m), err, want)
		}
	}
	if err := new(moment).UnmarshalText([]byte("yesterday")); err == nil || !strings.Contains(err.Error(), "36h") {
		t.Errorf("got %v", err)
	}
}
