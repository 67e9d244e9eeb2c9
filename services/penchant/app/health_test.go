package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHealthTellsTheReasons: what a container's health check sees of each answer of the readiness page.
func TestHealthTellsTheReasons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   string // of the error; empty: ready
	}{
		{"ready", http.StatusOK, `{"ready":true}`, ""},
		{"not ready", http.StatusServiceUnavailable,
			`{"ready":false,"reasons":{"firehose":"S3 is away","catalog":"not read"}}`,
			"not ready: catalog: not read; firehose: S3 is away"},
		{"another program", http.StatusOK, `hello`, "reading the readiness page"},
		{"another program's JSON", http.StatusOK, `{}`, "not ready"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/healthz/ready" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
			for _, addr := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port, ":" + port} {
				err := CheckHealth(t.Context(), addr)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: got %v, want %q", addr, err, c.want)
				}
			}
		})
	}
}

func TestHealthOfNothing(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // nothing listens there now
	for addr, want := range map[string]string{
		server.Listener.Addr().String(): "asking for readiness", "127.0.0.1:0": "host:port", "8080": "host:port",
	} {
		if err := CheckHealth(t.Context(), addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", addr, err, want)
		}
	}
}
