package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/process"
	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/control"
	"github.com/penchant-io/penchant/services/firehose"
	"github.com/penchant-io/penchant/services/recommender"
	"github.com/penchant-io/penchant/services/retrainer"
	"github.com/penchant-io/penchant/services/sessionupdater"
	"github.com/penchant-io/penchant/services/tracker"
)

// constructors has how each service is made of the process's clients and settings.
var constructors = map[Part]func(*App, *zap.Logger) (process.Service, error){
	Tracker:        (*App).newTracker,
	SessionUpdater: (*App).newSessionUpdater,
	Firehose:       (*App).newFirehose,
	Retrainer:      (*App).newRetrainer,
	Recommender:    (*App).newRecommender,
	Control:        (*App).newControl,
	Bridge:         (*App).newBridge,
}

// build makes the target's services, and what they share, in the order of the picture above main.
func (a *App) build() ([]process.Service, error) {
	services := a.shared()
	router := awsapi.NewRouter(awsapi.RouterConfig{
		Credentials: a.credentials, Log: a.log.Named("api"), Registerer: a.metrics, MaxCalls: a.settings.MaxRequests,
	})
	targets := []Part{a.target}
	if a.target == All {
		targets = Services()
	}
	for _, target := range targets {
		service, err := constructors[target](a, a.log.Named(string(target)))
		if err != nil {
			return nil, fmt.Errorf("building the %s: %w", target, err)
		}
		if api, ok := service.(interface{ Register(*awsapi.Router) }); ok {
			api.Register(router)
		}
		services = append(services, service)
	}
	a.handler.Store(router)
	return services, nil
}

// shared makes what the services share and what keeps the embedded log within its bound.
func (a *App) shared() (services []process.Service) {
	if a.target.Needs(Catalog) {
		log := a.log.Named("catalog")
		a.store = catalog.NewStore(a.bucket, catalog.BusNotifier(a.bus), catalog.WithLog(log),
			catalog.WithRegisterer(a.metrics))
		a.view = catalog.NewView(a.store, a.bus, log)
		services = append(services, background{"catalog", a.view.Run, a.viewReady})
	}
	if a.target.Needs(Models) {
		cache := filepath.Join(a.settings.DataDir, "models")
		a.models = modelstore.NewRegistry(a.view, a.bucket, cache, a.log.Named("models"), a.metrics)
		services = append(services, background{"models", a.models.Run, ready})
	}
	if a.settings.embedsKafka() {
		a.keeper = newLogKeeper(logKeeperConfig{
			dir: filepath.Join(a.settings.DataDir, "kafka"), bound: int64(a.settings.EmbeddedLogBytes),
			bus: a.bus, view: a.view, log: a.log.Named("log-keeper"),
		}, a.metrics)
		services = append(services, background{"log-keeper", a.keeper.Run, ready})
	}
	return services
}

func (a *App) newTracker(log *zap.Logger) (process.Service, error) {
	cfg := tracker.Config{Bus: a.bus, View: a.view, Log: log, Registerer: a.metrics}
	if a.keeper != nil {
		cfg.Admit = a.keeper.Admit
	}
	return tracker.New(cfg)
}

func (a *App) newSessionUpdater(log *zap.Logger) (process.Service, error) {
	return sessionupdater.New(sessionupdater.Config{
		Bus: a.bus, Bucket: a.bucket, Users: a.users, View: a.view, Models: a.models, Log: log, Registerer: a.metrics,
	})
}

func (a *App) newFirehose(log *zap.Logger) (process.Service, error) {
	return firehose.New(firehose.Config{
		Options: a.settings.Firehose,
		Bus:     a.bus, Bucket: a.bucket, View: a.view, Log: log, Registerer: a.metrics,
	})
}

func (a *App) newRetrainer(log *zap.Logger) (process.Service, error) {
	return retrainer.New(retrainer.Config{
		Options: a.settings.Retrainer,
		Bus:     a.bus, S3: a.objects, Bucket: a.bucket, Store: a.store, View: a.view, Users: a.users, Log: log,
		Registerer:  a.metrics,
		UserHistory: a.settings.Users.History, Explore: a.settings.Exploration, LeaseTTL: a.settings.JobLease,
	})
}

func (a *App) newRecommender(log *zap.Logger) (process.Service, error) {
	return recommender.New(recommender.Config{
		Options: a.settings.Recommender,
		Bus:     a.bus, Bucket: a.bucket, Users: a.users, View: a.view, Models: a.models, Log: log,
		Registerer: a.metrics,
		Explore:    a.settings.Exploration,
	})
}

func (a *App) newControl(log *zap.Logger) (process.Service, error) {
	return control.New(control.Config{
		Options: a.settings.Control,
		Bus:     a.bus, Bucket: a.bucket, Store: a.store, View: a.view, Log: log, Registerer: a.metrics,
		Region: a.settings.Region, LeaseTTL: a.settings.JobLease,
	})
}

// forwarder holds the parts that only the bridge has.
type forwarder struct {
	options *bridge.Options
	mapping *bridge.Mapping
	tracker *awsapi.Client
}

func newForwarder(options *bridge.Options, key awsapi.Credential, region string) (*forwarder, error) {
	mapping, err := bridge.ReadMapping(options.MappingFile)
	if err != nil {
		return nil, err
	}
	return &forwarder{options, mapping, awsapi.NewClient(options.Endpoint, key, region)}, nil
}

func (a *App) newBridge(log *zap.Logger) (process.Service, error) {
	return bridge.New(bridge.Config{
		Options: *a.bridge.options,
		Bus:     a.bus, Mapping: a.bridge.mapping, Tracker: a.bridge.tracker, Log: log, Registerer: a.metrics,
	})
}

// viewReady is always nil where the target starts without its bucket: its service then reports whether it has what it
// needs.
func (a *App) viewReady(context.Context) error {
	if !a.view.Ready() && a.target.Needs(ReadyBucket) {
		return errors.New("the catalog is not read yet")
	}
	return nil
}

// background makes a Service of what runs together with the services.
type background struct {
	name  string
	run   func(context.Context) error
	ready func(context.Context) error
}

func (b background) Name() string                    { return b.name }
func (b background) Run(ctx context.Context) error   { return b.run(ctx) }
func (b background) Ready(ctx context.Context) error { return b.ready(ctx) }

func ready(context.Context) error { return nil }
