package penchanttest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// Proxy passes TCP connections on to a server, until a test breaks it.
type Proxy struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// StartProxy starts a proxy in front of a server at host:port. It listens on listen, host:port, or, "", on a free port.
func StartProxy(t testing.TB, listen, server string) *Proxy {
	t.Helper()
	if listen == "" {
		listen = fmt.Sprint("127.0.0.1:", FreePort(t))
	}
	p := &Proxy{t: t, proxy: toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		t.Name(), listen, server)}
	p.Mend()
	t.Cleanup(p.proxy.Stop)
	return p
}

// Addr is the host:port of the proxy.
func (p *Proxy) Addr() string { return p.proxy.Listen }

// Cut ends all connections and refuses new ones, until Mend.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Mute lets nothing through any more, both ways, while connections stay, until Mend: a network that swallows packets.
func (p *Proxy) Mute() {
	p.add(`{"name": "mute-up", "type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`)
	p.add(`{"name": "mute-down", "type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`)
}

// Slow delays everything that the server sends, until Mend.
func (p *Proxy) Slow(by time.Duration) {
	p.add(fmt.Sprintf(`{"name": "slow", "type": "latency", "stream": "downstream", "attributes": {"latency": %d}}`,
		by.Milliseconds()))
}

// BreakOff ends each connection after so many bytes from the server, until Mend.
func (p *Proxy) BreakOff(bytes int64) {
	p.add(fmt.Sprintf(`{"name": "break-off", "type": "limit_data", "stream": "downstream", "attributes": {"bytes": %d}}`, bytes))
}

func (p *Proxy) add(toxic string) {
	p.t.Helper()
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		p.t.Fatalf("breaking the proxy: %v", err)
	}
}

// Mend undoes what the other methods did. Connections that were muted are ended: what they swallowed does not come
// back.
func (p *Proxy) Mend() {
	p.t.Helper()
	p.proxy.Toxics.ResetToxics(p.t.Context())
	p.proxy.Stop()
	eventually.SucceedsWithin(p.t, 10*time.Second, "the proxy listens", p.proxy.Start)
}

// S3Proxy passes S3 calls on to a store, unless a test has them fail.
type S3Proxy struct {
	// Config is the store as it is reached through the proxy.
	Config blob.Config

	store   http.Handler
	handler atomic.Pointer[http.Handler]
}

// S3Fault sits between a call and the store: it may answer instead of the store, or spoil its answer.
type S3Fault func(store http.Handler) http.Handler

// StartS3Proxy starts a proxy in front of a store.
func StartS3Proxy(t testing.TB, store blob.Config) *S3Proxy {
	t.Helper()
	target, err := url.Parse(store.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &S3Proxy{Config: store, store: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the signature covers it
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
	p.Mend()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		(*p.handler.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.Config.Endpoint = server.URL
	return p
}

// Fail has all calls meet the fault, until Mend.
func (p *S3Proxy) Fail(fault S3Fault) {
	handler := fault(p.store)
	p.handler.Store(&handler)
}

// Mend lets all calls through.
func (p *S3Proxy) Mend() { p.handler.Store(&p.store) }

// Refuse answers with an S3 error: 403 AccessDenied, 503 SlowDown, …
func Refuse(status int, code string) S3Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>injected by the test</Message></Error>", code)
		})
	}
}

// Away breaks calls off before the store hears of them.
func Away(http.Handler) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// LoseAnswer has the store do what it is asked to, and breaks the call off then.
func LoseAnswer(store http.Handler) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		store.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
}

// Hold catches calls and keeps them until Release: what their caller did so far is done, what it would do next is not.
type Hold struct {
	caught   chan struct{}
	released chan struct{}
	once     sync.Once
}

// NewHold makes a hold that has caught nothing.
func NewHold() *Hold { return &Hold{caught: make(chan struct{}, 1), released: make(chan struct{})} }

// Caught receives a call that is held.
func (h *Hold) Caught() <-chan struct{} { return h.caught }

// Await waits until a call is held.
func (h *Hold) Await(t testing.TB, limit time.Duration) {
	t.Helper()
	select {
	case <-h.caught:
	case <-time.After(limit):
		t.Fatalf("no call was held within %s", limit)
	}
}

// Release lets the calls go on, also those that come later.
func (h *Hold) Release() { h.once.Do(func() { close(h.released) }) }

// Before is a fault that holds calls before the store hears of them.
func (h *Hold) Before(store http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // only then the end of the connection is noticed
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.hold(r)
		store.ServeHTTP(w, r)
	})
}

// After is a fault that holds calls once the store has done what they ask for, before they are answered.
func (h *Hold) After(store http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		store.ServeHTTP(answer, r)
		h.hold(r)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // whoever is gone reads nothing
	})
}

func (h *Hold) hold(r *http.Request) {
	select {
	case h.caught <- struct{}{}:
	default:
	}
	select {
	case <-h.released:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// Times has the fault befall only the first n calls that it would befall.
func Times(n int, fault S3Fault) S3Fault {
	return func(store http.Handler) http.Handler {
		faulty := fault(store)
		var calls atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls.Add(1) <= int64(n) {
				faulty.ServeHTTP(w, r)
			} else {
				store.ServeHTTP(w, r)
			}
		})
	}
}

// BreakOffAfter breaks the store's answers off in their body, after so many bytes.
func BreakOffAfter(bytes int) S3Fault {
	return func(store http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			store.ServeHTTP(&brokenWriter{ResponseWriter: w, left: bytes}, r)
		})
	}
}

type brokenWriter struct {
	http.ResponseWriter
	left int
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if len(p) <= w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	if _, err := w.ResponseWriter.Write(p[:w.left]); err == nil {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // what can't be flushed is broken off earlier
	}
	panic(http.ErrAbortHandler)
}

// On has the fault befall only calls of the method, such as PUT, on objects whose path contains part.
func On(method, part string, fault S3Fault) S3Fault {
	return func(store http.Handler) http.Handler {
		faulty := fault(store)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == method && strings.Contains(r.URL.Path, part) {
				faulty.ServeHTTP(w, r)
			} else {
				store.ServeHTTP(w, r)
			}
		})
	}
}

// ProxyRedis puts a proxy in front of a Redis and returns the URL that goes through it.
func ProxyRedis(t testing.TB, redisURL string) (*Proxy, string) {
	t.Helper()
	u, err := url.Parse(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := StartProxy(t, "", u.Host)
	u.Host = proxy.Addr()
	return proxy, u.String()
}

// StartProxiedKafka starts one broker of the test's own that clients reach only through a proxy.
func StartProxiedKafka(t testing.TB) (*Proxy, *Kafka) {
	t.Helper()
	port, advertised := FreePort(t), FreePort(t)
	kafka := StartKafka(t, 1, []int{port}, advertised)
	proxy := StartProxy(t, fmt.Sprint("127.0.0.1:", advertised), fmt.Sprint("127.0.0.1:", port))
	kafka.Addrs = []string{proxy.Addr()}
	return proxy, kafka
}
