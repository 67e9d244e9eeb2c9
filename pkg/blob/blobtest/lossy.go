package blobtest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/penchant-io/penchant/pkg/blob"
)

// Lossy stands between a client and a store, and loses answers to writes: the store has carried them out, and the
// client learns nothing of it.
type Lossy struct {
	// Config is the store as clients reach it through Lossy.
	Config blob.Config

	mu        sync.Mutex
	left      int
	meanwhile func()
}

// NewLossy starts a Lossy before the store of a Config. At first it loses nothing.
func NewLossy(t *testing.T, cfg blob.Config) *Lossy {
	t.Helper()
	store, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	l := &Lossy{Config: cfg}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Transport:      transport,
		Rewrite:        func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = store.Scheme, store.Host },
		ModifyResponse: l.lose,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	l.Config.Endpoint = server.URL
	return l
}

// Lose makes the next n answers to PUT requests get lost. Before the first is lost, meanwhile (which may be nil) runs.
func (l *Lossy) Lose(n int, meanwhile func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.meanwhile = n, meanwhile
}

func (l *Lossy) lose(response *http.Response) error {
	if response.Request.Method != http.MethodPut {
		return nil
	}
	l.mu.Lock()
	lost, meanwhile := l.left > 0, l.meanwhile
	if lost {
		l.left, l.meanwhile = l.left-1, nil
	}
	l.mu.Unlock()
	if !lost {
		return nil
	}
	if meanwhile != nil {
		meanwhile()
	}
	return http.ErrAbortHandler
}
