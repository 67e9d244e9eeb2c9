package process

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fakeService struct {
	name  string
	run   func(ctx context.Context) error
	ready error
}

func (f fakeService) Name() string                  { return f.name }
func (f fakeService) Run(ctx context.Context) error { return f.run(ctx) }
func (f fakeService) Ready(context.Context) error   { return f.ready }

func untilStopped(stopped *atomic.Bool) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		stopped.Store(true)
		return nil
	}
}

func TestFirstFailureStopsAllAndIsReturned(t *testing.T) {
	t.Parallel()
	var stopped atomic.Bool
	boom := errors.New("boom")
	err := Run(t.Context(), zap.NewNop(),
		fakeService{name: "steady", run: untilStopped(&stopped)},
		fakeService{name: "broken", run: func(context.Context) error { return boom }})
	if !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "broken: ") {
		t.Errorf("got error %v, want boom of the broken service", err)
	}
	if !stopped.Load() {
		t.Error("Run returned before the other service had stopped")
	}
}

func TestServiceThatEndsUnaskedIsAFailure(t *testing.T) {
	t.Parallel()
	err := Run(t.Context(), zap.NewNop(), fakeService{name: "short", run: func(context.Context) error { return nil }})
	if err == nil || !strings.Contains(err.Error(), "ended before it was asked to") {
		t.Errorf("got %v", err)
	}
}

func TestCancelledContextIsNoFailure(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stopped atomic.Bool
	if err := Run(ctx, zap.NewNop(), fakeService{name: "steady", run: untilStopped(&stopped)}); err != nil {
		t.Error(err)
	}
}

func serve(t *testing.T, cfg HTTPConfig) string {
	t.Helper()
	cfg.Addr, cfg.Log, cfg.Gatherer = "127.0.0.1:0", zap.NewNop(), prometheus.NewRegistry()
	if cfg.Services == nil {
		cfg.Services = func() []Service { return nil }
	}
	s, err := Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestReadinessNamesTheReasons(t *testing.T) {
	t.Parallel()
	base := serve(t, HTTPConfig{Services: func() []Service {
		return []Service{fakeService{name: "tracker"}, fakeService{name: "firehose", ready: errors.New("S3 is away")}}
	}})
	status, body := get(t, base+"/healthz/ready")
	var answer struct {
		Ready   bool
		Reasons map[string]string
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if status != http.StatusServiceUnavailable || answer.Ready || answer.Reasons["firehose"] != "S3 is away" || len(answer.Reasons) != 1 {
		t.Errorf("got %d %s", status, body)
	}
	if status, _ := get(t, base+"/healthz/live"); status != http.StatusOK {
		t.Errorf("live: got %d", status)
	}
	if status, _ := get(t, base+"/metrics"); status != http.StatusOK {
		t.Errorf("metrics: got %d", status)
	}
}

func TestTakenPortNamesTheFlag(t *testing.T) {
	t.Parallel()
	base := serve(t, HTTPConfig{})
	_, err := Listen(t.Context(), HTTPConfig{Addr: strings.TrimPrefix(base, "http://"), Log: zap.NewNop(), Gatherer: prometheus.NewRegistry()})
	if err == nil || !strings.Contains(err.Error(), "--http-addr") {
		t.Errorf("got %v, want an error that names --http-addr", err)
	}
}

func TestShutdownWaitsForAnswersUnderWay(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	s, err := Listen(t.Context(), HTTPConfig{
		Addr: "127.0.0.1:0", Log: zap.NewNop(), Gatherer: prometheus.NewRegistry(),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-release
			_, _ = io.WriteString(w, "done")
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + s.Addr())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answer <- string(body)
	}()
	<-entered
	cancel()
	select {
	case <-ran:
		t.Error("the server stopped before its answer was written")
	case <-time.After(50 * time.Millisecond): // not a wait for something to happen: the wrong outcome would come at once
	}
	close(release)
	if got := <-answer; got != "done" {
		t.Errorf("got answer %q", got)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestLoggerRefusesUnknownLevelsAndFormats(t *testing.T) {
	t.Parallel()
	if _, err := NewLogger("loud", "json"); err == nil {
		t.Error("level loud was accepted")
	}
	if _, err := NewLogger("info", "xml"); err == nil {
		t.Error("format xml was accepted")
	}
}

func TestUntidyPathsAreTheAPIs(t *testing.T) {
	t.Parallel()
	url := serve(t, HTTPConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, r.URL.Path)
	})})
	for _, path := range []string{"//events", "/x/../events", "/metrics/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusTeapot || string(body) != path {
			t.Errorf("%s: status %d, the API saw %q", path, resp.StatusCode, body)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
