package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/process"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/control"
	"github.com/penchant-io/penchant/services/control/crud"
	"github.com/penchant-io/penchant/services/firehose"
	"github.com/penchant-io/penchant/services/recommender"
	"github.com/penchant-io/penchant/services/retrainer"
	"github.com/penchant-io/penchant/services/sessionupdater"
	"github.com/penchant-io/penchant/services/tracker"
)

// target says which services a process runs.
type target struct {
	name     string
	services []string
	// usesRedis and usesModels say what the services need beside Kafka and the bucket, which all of them need.
	usesRedis, usesModels bool
	// withoutRedis says what the services of a target that starts without Redis cannot do; "" waits for it.
	withoutRedis string
	// onlyReads is whether the services can start, from the local cache of models, whatever is away.
	onlyReads bool
	// embeds is whether servers that are not set are started in this process.
	embeds bool
	// isClient is whether the services know Penchant by its API alone: they have neither its bucket nor its catalog.
	isClient bool
}

var (
	allTargets = target{name: "all", embeds: true, usesRedis: true, usesModels: true,
		services: []string{"tracker", "session-updater", "firehose", "retrainer", "recommender", "control"}}

	targets = []target{
		allTargets,
		{name: "tracker", services: []string{"tracker"}},
		{name: "session-updater", services: []string{"session-updater"}, usesRedis: true, usesModels: true},
		{name: "firehose", services: []string{"firehose"}},
		{name: "retrainer", services: []string{"retrainer"}, usesRedis: true, withoutRedis: "data deletion jobs wait, and no results of batch jobs can be looked up"},
		{name: "recommender", services: []string{"recommender"}, usesRedis: true, usesModels: true, onlyReads: true,
			withoutRedis: "visitors are answered as unknown ones"},
		{name: "control", services: []string{"control"}},
	}

	bridgeTarget = target{name: "bridge", services: []string{"bridge"}, isClient: true}
)

// TargetCmd runs one target.
type TargetCmd struct {
	Settings
}

// Run serves until ctx ends.
func (c *TargetCmd) Run(ctx context.Context, command *kong.Context) error {
	i := slices.IndexFunc(targets, func(t target) bool { return t.name == command.Command() })
	log, err := c.logger()
	if err != nil {
		return err
	}
	app, err := newApp(ctx, &c.Settings, targets[i], log)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// app is one process: the servers it embeds, the clients of the outside world, and its target's services.
type app struct {
	settings    *Settings
	bridge      *bridgeParts // nil but for bridgeTarget
	target      target
	log         *zap.Logger
	metrics     *prometheus.Registry
	credentials []awsapi.Credential

	servers *embedded.Servers // nil where everything is outside
	http    *process.HTTPServer
	// handler and services stand once the outside world could be reached; until then calls are answered with 503.
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
}

// newApp takes the process's addresses and starts the servers that it embeds. The app must be Run, which gives all back.
func newApp(ctx context.Context, settings *Settings, t target, log *zap.Logger) (*app, error) {
	credentials, err := awsapi.ParseCredentials(settings.AccessKeys)
	if err != nil {
		return nil, err
	}
	a := &app{settings: settings, target: t, log: log, credentials: credentials, metrics: prometheus.NewRegistry()}
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		process.ReadinessCollector(a.readiness))
	if !t.embeds {
		if err := settings.missingServers(true, t.usesRedis, !t.isClient); err != nil {
			return nil, fmt.Errorf("target %s: %w", t.name, err)
		}
	}
	if a.http, err = process.Listen(ctx, process.HTTPConfig{
		Addr: settings.HTTPAddr, AdminAddr: settings.AdminAddr, Log: log.Named("http"), Gatherer: a.metrics,
		Handler: http.HandlerFunc(a.serveHTTP), Services: a.readiness,
	}); err != nil {
		return nil, err
	}
	if t.embeds {
		if err := a.embed(ctx); err != nil {
			a.http.Close()
			return nil, err
		}
	}
	a.s3 = blob.Config{
		Endpoint: settings.S3Endpoint, AccessKey: settings.S3AccessKey, SecretKey: settings.S3SecretKey, Region: settings.Region,
	}
	if settings.S3Endpoint == "" && a.servers != nil {
		a.s3.Endpoint, a.s3.AccessKey, a.s3.SecretKey = a.servers.S3Endpoint(), credentials[0].AccessKeyID, credentials[0].SecretKey
	}
	if err := a.writeEndpoints(); err != nil {
		a.http.Close()
		return nil, errors.Join(err, a.closeServers())
	}
	return a, nil
}

// embed starts the servers for which no outside one is set.
func (a *app) embed(ctx context.Context) error {
	cfg := embedded.Config{
		DataDir: a.settings.DataDir, AccessKeys: a.credentials, Region: a.settings.Region, Log: a.log.Named("embedded"),
		SnapshotFirst: userstate.IsWatermarkKey,
	}
	if len(a.settings.KafkaBrokers) == 0 {
		cfg.KafkaAddr = a.settings.KafkaAddr
	}
	if a.settings.RedisURL == "" {
		cfg.RedisAddr = a.settings.RedisAddr
	}
	if a.settings.S3Endpoint == "" {
		cfg.S3Addr = a.settings.S3Addr
	}
	if cfg.KafkaAddr == "" && cfg.RedisAddr == "" && cfg.S3Addr == "" {
		return nil
	}
	servers, err := embedded.Start(ctx, cfg)
	if err != nil {
		return fmt.Errorf("starting the embedded servers: %w", err)
	}
	a.servers = servers
	return nil
}

func (a *app) closeServers() error {
	if a.servers == nil {
		return nil
	}
	return a.servers.Close()
}

// Endpoint is the URL of the API.
func (a *app) Endpoint() string { return "http://" + a.http.Addr() }

// S3 returns the address and the keys of the store.
func (a *app) S3() blob.Config { return a.s3 }

// View returns the catalog. It is nil until WaitReady returns.
func (a *app) View() *catalog.View { return a.view }

func (a *app) kafkaBrokers() []string {
	if len(a.settings.KafkaBrokers) > 0 {
		return a.settings.KafkaBrokers
	}
	return []string{a.servers.KafkaAddr()}
}

func (a *app) redisURL() string {
	if a.settings.RedisURL != "" {
		return a.settings.RedisURL
	}
	return "redis://" + a.servers.RedisAddr()
}

// embeddedServers is the member of endpoints.json that names the servers of the process itself.
const embeddedServers = "embedded"

func endpointsFile(dataDir string) string { return filepath.Join(dataDir, "endpoints.json") }

// embedded names the servers that this process brings along.
func (a *app) embedded() (servers []string) {
	if !a.target.embeds {
		return nil
	}
	if len(a.settings.KafkaBrokers) == 0 {
		servers = append(servers, "kafka")
	}
	if a.settings.RedisURL == "" {
		servers = append(servers, "redis")
	}
	if a.settings.S3Endpoint == "" {
		servers = append(servers, "s3")
	}
	return servers
}

// writeEndpoints notes the addresses that were taken, for scripts that started the process on port 0, and for the
// operator's commands.
func (a *app) writeEndpoints() error {
	endpoints := map[string]string{"http": a.Endpoint(), "kafka": a.kafkaBrokers()[0]}
	if a.s3.Endpoint != "" {
		endpoints["s3"] = a.s3.Endpoint
	}
	if a.target.usesRedis && a.settings.RedisURL == "" {
		endpoints["redis"] = a.redisURL()
	}
	if embedded := a.embedded(); len(embedded) > 0 {
		endpoints[embeddedServers] = strings.Join(embedded, ",")
	}
	content, err := json.MarshalIndent(endpoints, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the endpoints: %w", err)
	}
	if err := os.MkdirAll(a.settings.DataDir, 0o755); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	path := endpointsFile(a.settings.DataDir)
	if err := replaceFile(path, append(content, '\n')); err != nil {
		return fmt.Errorf("writing the endpoints: %w", err)
	}
	return nil
}

// replaceFile writes a file that is whole at any time, also where replicas that share the folder write it at once.
func replaceFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error that is returned says more
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// drainTimeout is how long a stopping process may take in all.
const drainTimeout = 30 * time.Second

// Run serves until ctx ends, drains, and closes what newApp opened.
func (a *app) Run(ctx context.Context) error {
	a.log.Info("penchant starts", zap.String("target", a.target.name), zap.String("endpoint", a.Endpoint()))
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
		case <-time.After(drainTimeout):
			a.log.Fatal("draining took longer than it may", zap.Duration("limit", drainTimeout))
		}
	})
	err := group.Wait()
	a.disconnect() // not before: the calls that are answered while the process drains need the clients
	return errors.Join(err, a.closeServers())
}

// serve reaches the outside world, builds the services and runs them.
func (a *app) serve(ctx context.Context) error {
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

// connect opens every client. A server that can't be reached is waited for: the order in which a stack starts is free.
func (a *app) connect(ctx context.Context) error {
	return errors.Join(
		a.retry(ctx, "connecting to Kafka", func(ctx context.Context) (err error) {
			a.bus, err = bus.Open(ctx, bus.Config{
				Brokers: a.kafkaBrokers(), ClientID: "penchant-" + a.target.name, Log: a.log.Named("bus"), Registerer: a.metrics,
				Topics: a.settings.topicDefaults(a.embedsKafka()),
			})
			return err
		}),
		a.retry(ctx, "creating Penchant's own topics", func(ctx context.Context) error {
			if a.target.onlyReads || a.target.isClient {
				return nil // it answers without Kafka, too; or the topics are others' affair
			}
			return a.bus.EnsureTopics(ctx, control.OwnTopics()...)
		}),
		a.retry(ctx, "opening the bucket", func(ctx context.Context) (err error) {
			if a.target.isClient {
				return nil
			}
			if a.objects, err = blob.Open(a.s3); err != nil {
				return err
			}
			a.bucket = a.objects.Bucket(a.settings.Bucket)
			if a.target.onlyReads {
				return nil
			}
			if err := a.objects.EnsureBucket(ctx, a.settings.Bucket); err != nil {
				return err
			}
			return a.bucket.Probe(ctx)
		}),
		a.connectRedis(ctx),
	)
}

// connectRedis waits for Redis, and refuses one that may evict users: that is a setting which no waiting mends.
func (a *app) connectRedis(ctx context.Context) error {
	if !a.target.usesRedis {
		return nil
	}
	var refused error
	err := a.retry(ctx, "connecting to Redis", func(ctx context.Context) error {
		users, err := userstate.Open(ctx, a.redisURL(), userstate.Options{History: a.settings.UserHistory, TTL: a.settings.UserTTL})
		if err != nil {
			return err
		}
		if err = users.Ping(ctx); err == nil {
			err = users.CheckPolicy(ctx)
		}
		switch {
		case errors.Is(err, userstate.ErrEvicts):
			refused = errors.Join(err, users.Close())
			return nil
		case err != nil && a.target.withoutRedis != "":
			a.log.Warn("Redis does not answer: until it does, "+a.target.withoutRedis, zap.Error(err))
		case err != nil:
			return errors.Join(err, users.Close())
		}
		a.users = users // disconnect closes it
		return nil
	})
	return errors.Join(err, refused)
}

func (a *app) disconnect() {
	if a.bus != nil {
		a.bus.Close()
	}
	if a.bridge != nil {
		a.bridge.tracker.Close()
	}
	if a.users != nil {
		if err := a.users.Close(); err != nil {
			a.log.Warn("closing Redis", zap.Error(err))
		}
	}
	if a.objects != nil {
		a.objects.Close() // an embedded S3 waits for connections that are kept open
	}
}

func (a *app) embedsKafka() bool { return len(a.settings.KafkaBrokers) == 0 }

// retry tries until it succeeds or ctx ends, and logs the first failure and then one a minute.
func (a *app) retry(ctx context.Context, doing string, try func(context.Context) error) error {
	const slowest = 5 * time.Second
	delay, nextLog := 50*time.Millisecond, time.Time{}
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", doing, ctx.Err())
		}
		err := try(ctx)
		if err == nil {
			return nil
		}
		if now := time.Now(); now.After(nextLog) {
			a.log.Warn(doing+" failed, trying on", zap.Error(err))
			nextLog = now.Add(time.Minute)
		}
		if err := pause(ctx, delay); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		delay = min(2*delay, slowest)
	}
}

// build makes the target's services, in the order of the picture above main.
func (a *app) build() ([]process.Service, error) {
	var services []process.Service
	if !a.target.isClient {
		a.store = catalog.NewStore(a.bucket, catalog.BusNotifier(a.bus), catalog.WithLog(a.log.Named("catalog")), catalog.WithRegisterer(a.metrics))
		a.view = catalog.NewView(a.store, a.bus, a.log.Named("catalog"))
		services = append(services, background{"catalog", a.view.Run, a.viewReady})
	}
	if a.target.usesModels {
		a.models = modelstore.NewRegistry(a.view, a.bucket, filepath.Join(a.settings.DataDir, "models"), a.log.Named("models"), a.metrics)
		services = append(services, background{"models", a.models.Run, ready})
	}
	if a.embedsKafka() {
		a.keeper = newLogKeeper(filepath.Join(a.settings.DataDir, "kafka"), int64(a.settings.EmbeddedLogBytes), a.bus, a.view, a.log.Named("log-keeper"), a.metrics)
		services = append(services, background{"log-keeper", a.keeper.Run, ready})
	}
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: a.credentials, Log: a.log.Named("api"), Registerer: a.metrics, MaxCalls: a.settings.MaxRequests})
	for _, name := range a.target.services {
		service, err := a.newService(name)
		if err != nil {
			return nil, fmt.Errorf("building the %s: %w", name, err)
		}
		if api, ok := service.(interface{ Register(*awsapi.Router) }); ok {
			api.Register(router)
		}
		services = append(services, service)
	}
	a.handler.Store(router)
	return services, nil
}

func (a *app) newService(name string) (process.Service, error) {
	log := a.log.Named(name)
	switch name {
	case "tracker":
		cfg := tracker.Config{Bus: a.bus, View: a.view, Log: log, Registerer: a.metrics}
		if a.keeper != nil {
			cfg.Admit = a.keeper.Admit
		}
		return tracker.New(cfg)
	case "session-updater":
		return sessionupdater.New(sessionupdater.Config{
			Bus: a.bus, Bucket: a.bucket, Users: a.users, View: a.view, Models: a.models, Log: log, Registerer: a.metrics,
		})
	case "firehose":
		return firehose.New(firehose.Config{
			Bus: a.bus, Bucket: a.bucket, View: a.view, Log: log, Registerer: a.metrics,
			FlushInterval: a.settings.ArchiveFlushInterval, FlushBytes: int64(a.settings.ArchiveFlushBytes),
		})
	case "retrainer":
		return retrainer.New(retrainer.Config{
			Bus: a.bus, S3: a.objects, Bucket: a.bucket, Store: a.store, View: a.view, Users: a.users, Log: log, Registerer: a.metrics,
			UserHistory: a.settings.UserHistory, MinInteractions: a.settings.MinInteractions, MinUsers: a.settings.MinUsers, Seed: a.settings.Seed,
			Threads: a.settings.TrainingThreads, AutoTrainInitialDelay: a.settings.AutoTrainInitialDelay, LeaseTTL: a.settings.JobLease,
			AutoUpdateInterval: a.settings.AutoUpdateInterval, SearchTime: a.settings.SearchTime, Explore: a.settings.Exploration,
			ExperimentInterval: a.settings.ExperimentInterval,
		})
	case "recommender":
		return recommender.New(recommender.Config{
			Bus: a.bus, Bucket: a.bucket, Users: a.users, View: a.view, Models: a.models, Log: log, Registerer: a.metrics,
			AttributesLimit: int64(a.settings.AttributesBytes), Explore: a.settings.Exploration,
		})
	case "bridge":
		return a.newBridge(log)
	case "control":
		quotas, err := crud.ParseQuotas(a.settings.Quotas)
		if err != nil {
			return nil, err
		}
		return control.New(control.Config{
			Bus: a.bus, Bucket: a.bucket, Store: a.store, View: a.view, Log: log, Registerer: a.metrics,
			AccountID: a.settings.AccountID, Region: a.settings.Region, Quotas: quotas,
			Functions: a.settings.Functions, LeaseTTL: a.settings.JobLease, WorkflowRetention: a.settings.WorkflowRetention,
		})
	}
	return nil, fmt.Errorf("there is no service of that name")
}

// serveHTTP answers API calls; before the services stand it says so.
func (a *app) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if router := a.handler.Load(); router != nil {
		router.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, `{"__type":"ServiceUnavailable","message":"Penchant is starting"}`, http.StatusServiceUnavailable)
}

// readiness lists what /healthz/ready asks.
func (a *app) readiness() []process.Service {
	if services := a.services.Load(); services != nil {
		return *services
	}
	return []process.Service{background{name: "start", ready: func(context.Context) error {
		return errors.New("not every one of Kafka, Redis and S3 could be reached yet; the log says which")
	}}}
}

// WaitReady returns when every service is ready.
func (a *app) WaitReady(ctx context.Context) error {
	for {
		waiting := slices.ContainsFunc(a.readiness(), func(s process.Service) bool { return s.Ready(ctx) != nil })
		if !waiting {
			return nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

func (a *app) viewReady(context.Context) error {
	if !a.view.Ready() && !a.target.onlyReads { // who only reads says itself whether it has what it needs
		return errors.New("the catalog is not read yet")
	}
	return nil
}

// background makes a Service of what runs beside the services.
type background struct {
	name  string
	run   func(context.Context) error
	ready func(context.Context) error
}

func (b background) Name() string                    { return b.name }
func (b background) Run(ctx context.Context) error   { return b.run(ctx) }
func (b background) Ready(ctx context.Context) error { return b.ready(ctx) }

func ready(context.Context) error { return nil }

// pause waits, or ends early with ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
