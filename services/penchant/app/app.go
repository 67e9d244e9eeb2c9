// Package app is one penchant process: the servers that it embeds, the clients of the outside ones, the services of its
// target, and what runs with them. services/penchant parses the command line and runs an App; `penchant demo` and tests
// start one on free ports.
//
//	New      listens, and starts the embedded servers
//	Run      connects, builds the services, serves, drains, and closes everything
//
// A process answers /healthz from the first moment. API calls get 503 until every server that the target waits for has
// answered once.
package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/process"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/bridge"
)

// Config describes a process.
type Config struct {
	Settings *Settings
	Target   Part
	// Bridge are the options of the Bridge target, and nil for the others.
	Bridge *bridge.Options
	Log    *zap.Logger
}

// App is one process.
type App struct {
	settings    *Settings
	target      Part
	log         *zap.Logger
	metrics     *prometheus.Registry
	credentials []awsapi.Credential

	servers *embedded.Servers // nil where everything is outside
	http    *process.HTTPServer
	// handler and services are set once the outside world could be reached; until then calls are answered with 503.
	handler  atomic.Pointer[awsapi.Router]
	services atomic.Pointer[[]process.Service]

	s3      blob.Config
	bus     *bus.Client
	objects *blob.Client
	bucket  *blob.Bucket
	users   *userstate.Store
	view    *catalog.View
	store   *catalog.Store
	models  *modelstore.Registry
	keeper  *logKeeper // nil unless Kafka is embedded
	bridge  *forwarder // nil unless the target is Bridge
}

// New takes the process's addresses and starts the servers that it embeds. The app must be Run, which gives all back.
func New(ctx context.Context, cfg Config) (*App, error) {
	settings := cfg.Settings
	if err := settings.Require(cfg.Target); err != nil {
		return nil, fmt.Errorf("target %s: %w", cfg.Target, err)
	}
	credentials, err := awsapi.ParseCredentials(settings.AccessKeys)
	if err != nil {
		return nil, err
	}
	a := &App{
		settings: settings, target: cfg.Target, log: cfg.Log, credentials: credentials,
		metrics: prometheus.NewRegistry(),
	}
	if cfg.Bridge != nil {
		if a.bridge, err = newForwarder(cfg.Bridge, credentials[0], settings.Region); err != nil {
			return nil, err
		}
	}
	a.metrics.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		process.ReadinessCollector(a.readiness))
	if a.http, err = process.Listen(ctx, process.HTTPConfig{
		Addr: settings.HTTPAddr, AdminAddr: settings.AdminAddr, Log: a.log.Named("http"), Gatherer: a.metrics,
		Handler: http.HandlerFunc(a.serveHTTP), Services: a.readiness,
	}); err != nil {
		return nil, err
	}
	if err := a.embed(ctx); err != nil {
		a.http.Close()
		return nil, err
	}
	if err := a.writeEndpoints(); err != nil {
		a.http.Close()
		return nil, errors.Join(err, a.closeServers())
	}
	return a, nil
}

// embed starts the servers for which no outside one is set, and notes where S3 is.
func (a *App) embed(ctx context.Context) error {
	s := a.settings
	a.s3 = blob.Config{Endpoint: s.S3Endpoint, AccessKey: s.S3AccessKey, SecretKey: s.S3SecretKey, Region: s.Region}
	if len(a.embedded()) == 0 {
		return nil
	}
	cfg := embedded.Config{
		DataDir: s.DataDir, AccessKeys: a.credentials, Region: s.Region, Log: a.log.Named("embedded"),
		SnapshotFirst: userstate.IsWatermarkKey,
	}
	if s.embedsKafka() {
		cfg.KafkaAddr = s.KafkaAddr
	}
	if s.embedsRedis() {
		cfg.RedisAddr = s.RedisAddr
	}
	if s.embedsS3() {
		cfg.S3Addr = s.S3Addr
	}
	servers, err := embedded.Start(ctx, cfg)
	if err != nil {
		return fmt.Errorf("starting the embedded servers: %w", err)
	}
	a.servers = servers
	if s.embedsS3() {
		key := a.credentials[0]
		a.s3.Endpoint, a.s3.AccessKey, a.s3.SecretKey = servers.S3Endpoint(), key.AccessKeyID, key.SecretKey
	}
	return nil
}

func (a *App) closeServers() error {
	if a.servers == nil {
		return nil
	}
	return a.servers.Close()
}

// Endpoint returns the URL of the API.
func (a *App) Endpoint() string { return "http://" + a.http.Addr() }

// Client returns a client of the API, with the first of the key pairs. The caller closes it.
func (a *App) Client() *awsapi.Client {
	return awsapi.NewClient(a.Endpoint(), a.credentials[0], a.settings.Region)
}

// S3 returns the address and the keys of the store.
func (a *App) S3() blob.Config { return a.s3 }

// View returns the catalog. It is nil until WaitReady returns.
func (a *App) View() *catalog.View { return a.view }

// Metrics returns the registry of everything that the process measures.
func (a *App) Metrics() *prometheus.Registry { return a.metrics }

func (a *App) kafkaBrokers() []string {
	if !a.settings.embedsKafka() {
		return a.settings.KafkaBrokers
	}
	return []string{a.servers.KafkaAddr()}
}

func (a *App) redisURL() string {
	if !a.settings.embedsRedis() {
		return a.settings.RedisURL
	}
	return "redis://" + a.servers.RedisAddr()
}

// DrainTimeout is how long a stopping process may take in all.
const DrainTimeout = 30 * time.Second

// Run serves until ctx ends, drains, and closes what New opened.
func (a *App) Run(ctx context.Context) error {
	a.log.Info("penchant starts", zap.String("target", string(a.target)), zap.String("endpoint", a.Endpoint()))
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return a.http.Run(serving) })
	group.Go(func() error { return a.serve(serving) })

	// Draining hangs only if a service breaks its promise; then the process ends all the same, and what was not
	// committed is done again at the next start.
	ended := make(chan struct{})
	defer close(ended)
	context.AfterFunc(ctx, func() {
		select {
		case <-ended:
		case <-time.After(DrainTimeout):
			a.log.Fatal("draining took longer than it may", zap.Duration("limit", DrainTimeout))
		}
	})
	err := group.Wait()
	a.disconnect() // not before: the calls that are answered while the process drains need the clients
	return errors.Join(err, a.closeServers())
}

// serve reaches the outside world, builds the services and runs them.
func (a *App) serve(ctx context.Context) error {
	if err := a.connect(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	services, err := a.build()
	if err != nil {
		return err
	}
	a.services.Store(&services)
	return process.Run(ctx, a.log, services...)
}

// serveHTTP answers API calls, with 503 before the services are built.
func (a *App) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if router := a.handler.Load(); router != nil {
		router.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, `{"__type":"ServiceUnavailable","message":"Penchant is starting"}`, http.StatusServiceUnavailable)
}

// readiness lists the services that /healthz/ready asks.
func (a *App) readiness() []process.Service {
	if services := a.services.Load(); services != nil {
		return *services
	}
	return []process.Service{background{name: "start", ready: func(context.Context) error {
		return errors.New("not every one of Kafka, Redis and S3 could be reached yet; see the log")
	}}}
}

// WaitReady returns when every service is ready.
func (a *App) WaitReady(ctx context.Context) error {
	for {
		waiting := slices.ContainsFunc(a.readiness(), func(s process.Service) bool { return s.Ready(ctx) != nil })
		if !waiting {
			return nil
		}
		if err := backoff.Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}
