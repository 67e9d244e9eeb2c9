package tracker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// What the event log does not take is never answered with 200.
func TestUnavailableLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, fail := range map[string]error{"overloaded": fmt.Errorf("publishing: %w", bus.ErrOverloaded), "away": errAway} {
		f.log.fail = fail
		for path, body := range map[string]string{"/events": call(click(``)), "/users": putUsers(usersARN, `{"userId":"u"}`)} {
			resp, answer := f.post(t, path, body)
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(answer, "ServiceUnavailable") {
				t.Errorf("%s: %s: status %d, %s", name, path, resp.StatusCode, answer)
			}
		}
	}
	f.log.fail, f.admit = nil, errors.New("the log is full")
	if resp, answer := f.post(t, "/events", call(click(``))); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("full: status %d, %s", resp.StatusCode, answer)
	}
	if published := f.log.take(); published != nil {
		t.Errorf("%d records were published", len(published))
	}
	f.admit = nil
	if resp, answer := f.post(t, "/events", call(click(``))); resp.StatusCode != 200 {
		t.Errorf("afterwards: status %d, %s", resp.StatusCode, answer)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.post(t, "/events", call(click(``), click(``)))
	f.post(t, "/events", call())
	f.post(t, "/events", call(click(``), withProperties(`{"userId":"x"}`)))
	f.post(t, "/items", putItems(strings.Replace(itemsARN, "shop", "other", 1), item("A01", `{}`)))
	f.log.fail = bus.ErrOverloaded
	f.post(t, "/events", call(click(``)))
	want := `
# HELP penchant_tracker_events_accepted_total Interactions, items, users and actions that were answered with 200: the event log has them.
# TYPE penchant_tracker_events_accepted_total counter
penchant_tracker_events_accepted_total{kind="action"} 0
penchant_tracker_events_accepted_total{kind="action-interaction"} 0
penchant_tracker_events_accepted_total{kind="interaction"} 2
penchant_tracker_events_accepted_total{kind="item"} 0
penchant_tracker_events_accepted_total{kind="user"} 0
# HELP penchant_tracker_events_refused_total Interactions, items, users and actions that were refused; a call whose body breaks the API model counts as one.
# TYPE penchant_tracker_events_refused_total counter
penchant_tracker_events_refused_total{kind="interaction",reason="invalid"} 3
penchant_tracker_events_refused_total{kind="interaction",reason="overloaded"} 1
penchant_tracker_events_refused_total{kind="item",reason="not_found"} 1
`
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(want), "penchant_tracker_events_accepted_total", "penchant_tracker_events_refused_total"); err != nil {
		t.Error(err)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if f.service.Ready(context.Background()) == nil {
		t.Error("ready before the event log was reached")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.service.Run(ctx) }()
	eventually.Succeeds(t, "the service is ready", func() error { return f.service.Ready(ctx) })
	f.admit = errors.New("the log is full")
	if err := f.service.Ready(ctx); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("full: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
