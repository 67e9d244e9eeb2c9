package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// A client gets this long to send its request's headers, and then its body.
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	// From a request's headers to the end of its answer. A client that doesn't read would otherwise hold its connection
	// indefinitely.
	writeTimeout = readTimeout + 30*time.Second
	// AWS SDKs send a few hundred bytes of headers; a signature's session token can take a few thousand.
	maxHeaderBytes = 32 << 10
	// drainTimeout bounds how long a stopping server waits for answers under way: SIGTERM has 30 s in all.
	drainTimeout = 15 * time.Second
	// readyTimeout bounds one readiness probe, so that a hanging dependency can't hang the page.
	readyTimeout = 2 * time.Second
)

// HTTPConfig configures what an HTTPServer serves, and where.
type HTTPConfig struct {
	// Addr is host:port of the API; port 0 takes a free one.
	Addr string
	// AdminAddr is host:port for /healthz and /metrics alone; empty serves them on Addr.
	AdminAddr string
	// Handler answers everything but /healthz and /metrics.
	Handler http.Handler
	// Services gives those whose readiness /healthz/ready reports; it is asked at each request, since a process listens
	// before what it depends on can be reached.
	Services func() []Service
	Gatherer prometheus.Gatherer
	Log      *zap.Logger
}

// HTTPServer is the process's HTTP server, itself a Service.
type HTTPServer struct {
	log       *zap.Logger
	listeners []net.Listener
	servers   []*http.Server
}

// Listen takes the addresses, so that a taken port is known before anything else starts; Run serves on them.
func Listen(ctx context.Context, cfg HTTPConfig) (*HTTPServer, error) {
	admin := http.NewServeMux()
	admin.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	admin.Handle("GET /healthz/ready", readiness(cfg.Services))
	admin.Handle("GET /metrics", promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{}))

	s := &HTTPServer{log: cfg.Log}
	api := cfg.Handler
	if api == nil {
		api = http.NotFoundHandler()
	}
	if cfg.AdminAddr == "" {
		api = beside(admin, api)
	} else if err := s.listen(ctx, "--admin-addr", cfg.AdminAddr, admin); err != nil {
		return nil, err
	}
	if err := s.listen(ctx, "--http-addr", cfg.Addr, api); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// beside has the pages of admin stand on the API's address. No ServeMux decides, which would redirect the API's clients
// from paths that it finds untidy: they can't follow, since the path is part of what they signed.
func beside(admin, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" || strings.HasPrefix(r.URL.Path, "/healthz/") {
			admin.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

func (s *HTTPServer) listen(ctx context.Context, flag, addr string, handler http.Handler) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listening on %s (%s): %w", addr, flag, err)
	}
	s.listeners = append(s.listeners, l)
	s.servers = append(s.servers, &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          zap.NewStdLog(s.log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))),
	})
	return nil
}

// Addr is the API's address, with the port that was taken.
func (s *HTTPServer) Addr() string { return s.listeners[len(s.listeners)-1].Addr().String() }

// Close gives the addresses back where Run was never called.
func (s *HTTPServer) Close() {
	for _, l := range s.listeners {
		_ = l.Close() // nothing was served on it
	}
}

// Name implements Service.
func (s *HTTPServer) Name() string { return "http" }

// Ready implements Service: a server that answers the question is ready.
func (s *HTTPServer) Ready(context.Context) error { return nil }

// Run serves until ctx ends, then stops accepting and waits for the answers under way.
func (s *HTTPServer) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for i, server := range s.servers {
		group.Go(func() error {
			if err := server.Serve(s.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving HTTP: %w", err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
			defer cancel()
			if err := server.Shutdown(drain); err != nil {
				s.log.Warn("requests were still under way when the time to drain was over", zap.Error(err))
				return server.Close()
			}
			return nil
		})
	}
	return group.Wait()
}

// readiness answers 200 when every service is ready, and otherwise 503 with the reasons by service.
func readiness(services func() []Service) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		type page struct {
			Ready   bool              `json:"ready"`
			Reasons map[string]string `json:"reasons,omitempty"`
		}
		answer := page{Ready: true, Reasons: map[string]string{}}
		// All at once: one that waits in vain for its dependency must not use up the others' time.
		all := services()
		reasons := make([]error, len(all))
		var asking sync.WaitGroup
		for i, s := range all {
			asking.Go(func() { reasons[i] = s.Ready(ctx) })
		}
		asking.Wait()
		for i, reason := range reasons {
			if reason != nil {
				answer.Ready = false
				answer.Reasons[all[i].Name()] = reason.Error()
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if !answer.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(answer) // a client that went away needs no answer
	})
}
