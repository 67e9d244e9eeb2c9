package modelstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// Registry holds the model of every active campaign and recommender, once per model id however many of them share it.
// It follows the catalog: a model is loaded, verified and warmed up beside the one that answers, then swapped in with
// one pointer. On any failure the last good model stays and the load is tried again, ever less often.
//
// What is being served is also noted in the cache directory, so that a process that starts while the bucket is away
// serves what it served last.
type Registry struct {
	view    *catalog.View
	bucket  *blob.Bucket
	cache   cache
	log     *zap.Logger
	metrics registryMetrics
	now     func() time.Time

	serving  atomic.Pointer[snapshot]
	loads    singleflight.Group // by model id
	wake     chan struct{}
	restored atomic.Bool // what was served last has been tried
	synced   atomic.Bool // everything the catalog deploys has been tried once

	mu       sync.Mutex // guards the replacement of serving, and what follows
	failures map[string]*failure

	noted []*Serving // what the cache directory says is being served; Run's alone
}

// snapshot is the whole of what is served at one moment. It is replaced, never changed.
type snapshot struct {
	deployed map[string]*Serving // by ARN
	groups   map[string][]*Loaded
}

// failure remembers a model that did not load, so that requests do not hammer the bucket for it.
type failure struct {
	err   error
	count int // of loads that failed, one after the other
	retry time.Time
}

// retryPace spaces the loads of a model that fails.
var retryPace = backoff.Exponential{First: time.Second, Max: 5 * time.Minute}

const (
	// resyncInterval bounds how long a failed load or a lost notice goes without another try.
	resyncInterval = 2 * time.Second
	// loadTimeout bounds one load of one model on behalf of a request.
	loadTimeout = 5 * time.Minute
	// cacheGrace is how long an unused file of the cache is kept: long enough for whoever is loading it.
	cacheGrace = time.Hour
)

// NewRegistry returns a registry that follows view once Run runs. cacheDir is a directory of its own, made when needed;
// "" keeps nothing locally.
func NewRegistry(
	view *catalog.View, b *blob.Bucket, cacheDir string, log *zap.Logger, reg prometheus.Registerer,
) *Registry {
	r := &Registry{
		view: view, bucket: b, cache: cache(cacheDir), log: log, now: time.Now,
		wake: make(chan struct{}, 1), failures: map[string]*failure{},
	}
	r.serving.Store(&snapshot{})
	r.metrics = newRegistryMetrics(reg, r)
	return r
}

// Run keeps the models in step with the catalog until ctx ends. Before the catalog has been read for the first time it
// serves what this process served last.
func (r *Registry) Run(ctx context.Context) error {
	unsubscribe := r.view.Subscribe(func(string) { r.nudge() })
	defer unsubscribe()
	r.restore(ctx)
	r.restored.Store(true)
	tick := time.NewTicker(resyncInterval)
	defer tick.Stop()
	for {
		if r.view.Ready() {
			r.sync(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-tick.C:
		}
	}
}

// nudge has Run look at the catalog now. Nudges that come while it looks are one.
func (r *Registry) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Campaign returns what the campaign answers with: usually one look into a map. A campaign that became active a moment
// ago is looked up in the catalog and its model loaded while the caller waits.
//
// Errors match ErrNotDeployed, ErrNotActive or ErrUnavailable.
func (r *Registry) Campaign(ctx context.Context, arn string) (*Serving, error) {
	return r.deployed(ctx, arn)
}

// Recommender is Campaign for a recommender.
func (r *Registry) Recommender(ctx context.Context, arn string) (*Serving, error) {
	return r.deployed(ctx, arn)
}

func (r *Registry) deployed(ctx context.Context, arn string) (*Serving, error) {
	if s, ok := r.serving.Load().deployed[arn]; ok {
		return s, nil
	}
	t, err := r.find(ctx, arn)
	if err != nil {
		return nil, err
	}
	s, err := r.bring(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return s, nil
}

// Group returns the models whose vectors are kept for the dataset group's users: each model once, those that fold.
func (r *Registry) Group(group string) []*Loaded {
	return r.serving.Load().groups[group]
}

// All returns everything that is being served, ordered by ARN.
func (r *Registry) All() []*Serving {
	deployed := r.serving.Load().deployed
	all := make([]*Serving, 0, len(deployed))
	for _, arn := range slices.Sorted(maps.Keys(deployed)) {
		all = append(all, deployed[arn])
	}
	return all
}

// Ready returns nil once the model of all that is active was tried and any of them answers, or none exists, and
// otherwise the reason. A campaign that is added later, or whose model is damaged, is its own callers' loss: it must
// not take away the process from the callers of the others.
func (r *Registry) Ready() error {
	served := r.serving.Load().deployed
	if !r.view.Ready() {
		if len(served) > 0 && r.restored.Load() {
			return nil // the catalog is away; what was served last is served on
		}
		return errors.New("the catalog has not been read yet")
	}
	if len(served) > 0 && r.synced.Load() {
		return nil
	}
	for _, d := range deployments(r.view) {
		if d.Status == status.Active && served[d.ARN] == nil {
			return fmt.Errorf("%s %s has no model loaded yet%s", d.Type, d.Name, r.reason(d))
		}
	}
	return nil
}

// reason is why a model did not load, as far as that was tried.
func (r *Registry) reason(d deployment) string {
	t, err := r.resolve(d)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		f := r.failures[t.version.ModelID]
		if f == nil {
			return ""
		}
		err = f.err
	}
	return ": " + err.Error()
}

// target is what the catalog wants a campaign or a recommender to answer with.
type target struct {
	deployment
	version *catalog.SolutionVersion
	group   string
}

// sync makes what is served equal to what the catalog wants, as far as models load.
func (r *Registry) sync(ctx context.Context) {
	for _, d := range deployments(r.view) {
		if ctx.Err() != nil {
			return
		}
		if d.Status != status.Active {
			continue
		}
		t, err := r.resolve(d)
		if err != nil {
			continue // a parent is not in the view yet; the notice about it brings us back
		}
		// The error is counted, logged and remembered where the load failed.
		_, _ = r.bring(ctx, t)
	}
	r.synced.Store(true)
	r.dropAbandoned()
	r.note()
}

// find asks the view about what is not being served, and the catalog itself where the view would refuse: the notice may
// still be under way.
func (r *Registry) find(ctx context.Context, arn string) (target, error) {
	if !r.view.Ready() {
		return target{}, fmt.Errorf("%w: the catalog has not been read yet", ErrUnavailable)
	}
	d, ok := lookupDeployment(r.view, arn)
	if !ok || d.Status != status.Active {
		err := r.view.Fetch(ctx, arn)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) && !errors.Is(err, resource.ErrBadARN) {
			return target{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if d, ok = lookupDeployment(r.view, arn); !ok {
			return target{}, ErrNotDeployed
		}
	}
	if d.Status != status.Active {
		return target{}, fmt.Errorf("%w: its status is %s", ErrNotActive, d.Status)
	}
	t, err := r.resolve(d)
	if err == nil {
		return t, nil
	}
	for _, parent := range []string{d.versionARN, d.groupARN} {
		if err := r.view.Fetch(ctx, parent); err != nil {
			return target{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	if t, err = r.resolve(d); err != nil {
		return target{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return t, nil
}

// resolve finds the version and the dataset group in the view.
func (r *Registry) resolve(d deployment) (target, error) {
	version, ok := catalog.Lookup[*catalog.SolutionVersion](r.view, d.versionARN)
	if !ok || version.ManifestKey == "" {
		return target{}, fmt.Errorf("no trained version %s", d.versionARN)
	}
	group, ok := catalog.Lookup[*catalog.DatasetGroup](r.view, d.groupARN)
	if !ok {
		return target{}, fmt.Errorf("no dataset group %s", d.groupARN)
	}
	return target{deployment: d, version: version, group: group.GroupKey()}, nil
}

// bring makes the target's model answer, loading it if nobody has. On failure what was served stays.
func (r *Registry) bring(ctx context.Context, t target) (*Serving, error) {
	current := r.serving.Load().deployed[t.ARN]
	if current != nil && current.Loaded.ModelID == t.version.ModelID && current.Version.ID == t.version.ID {
		if was := current.deployment(); was.ID == t.ID && was.Revision == t.Revision {
			return current, nil
		}
	}
	loaded, err := r.model(ctx, t.version)
	if err != nil {
		return nil, err
	}
	next := &Serving{
		Campaign: t.campaign, Recommender: t.recommender, Version: t.version, Group: t.group, Loaded: loaded,
	}
	r.replace(func(deployed map[string]*Serving) { deployed[t.ARN] = next })
	if current == nil || current.Loaded.ModelID != loaded.ModelID {
		r.log.Info("a new model answers", zap.String("arn", t.ARN),
			zap.String("solution_version", t.version.ARN), zap.String("model", loaded.ModelID))
	}
	return next, nil
}

// model returns a version's model: one that is in memory already, or else loads it, once for all who ask at the same
// time.
func (r *Registry) model(ctx context.Context, v *catalog.SolutionVersion) (*Loaded, error) {
	loaded, err, _ := r.loads.Do(v.ModelID, func() (any, error) {
		for _, s := range r.serving.Load().deployed {
			if s.Loaded.ModelID == v.ModelID {
				return s.Loaded, nil
			}
		}
		if err := r.recentFailure(v.ModelID); err != nil {
			return nil, err
		}
		// Whoever came first loads for all: its going away must not fail the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		loaded, err := r.load(ctx, r.bucket, v.ManifestKey, v.ModelID)
		r.remember(v, err)
		return loaded, err
	})
	if err != nil {
		return nil, err
	}
	return loaded.(*Loaded), nil
}

func (r *Registry) load(ctx context.Context, b *blob.Bucket, manifestKey, modelID string) (loaded *Loaded, err error) {
	started := time.Now()
	defer func() { r.metrics.observe(time.Since(started), err) }()
	loaded, err = Load(ctx, b, manifestKey, string(r.cache))
	if err != nil {
		return nil, err
	}
	if loaded.ModelID != modelID {
		return nil, fmt.Errorf(
			"%w: %s holds model %s, the catalog names %s", ErrCorrupt, manifestKey, loaded.ModelID, modelID,
		)
	}
	if loaded.cacheErr != nil {
		r.log.Warn(
			"model is served, but will not survive a restart while the bucket is away", zap.Error(loaded.cacheErr),
		)
	}
	return loaded, nil
}

func (r *Registry) recentFailure(modelID string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.failures[modelID]; f != nil && r.now().Before(f.retry) {
		return f.err
	}
	return nil
}

// remember notes how a load ended. A model that keeps failing for the same reason is logged once.
func (r *Registry) remember(v *catalog.SolutionVersion, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.failures[v.ModelID]
	if err == nil {
		delete(r.failures, v.ModelID)
		return
	}
	f := &failure{err: err, count: 1}
	if before != nil {
		f.count += before.count
	}
	f.retry = r.now().Add(retryPace.Delay(f.count - 1))
	r.failures[v.ModelID] = f
	if before == nil || before.err.Error() != err.Error() {
		r.log.Error("model does not load; what was served before is served on", zap.String("solution_version", v.ARN),
			zap.String("model", v.ModelID), zap.Error(err))
	}
}

// replace swaps in a snapshot that differs from the present one by change.
func (r *Registry) replace(change func(deployed map[string]*Serving)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := &snapshot{deployed: map[string]*Serving{}, groups: map[string][]*Loaded{}}
	maps.Copy(next.deployed, r.serving.Load().deployed)
	change(next.deployed)
	for _, arn := range slices.Sorted(maps.Keys(next.deployed)) {
		s := next.deployed[arn]
		same := func(l *Loaded) bool { return l.ModelID == s.Loaded.ModelID }
		if s.Loaded.Folder() != nil && !slices.ContainsFunc(next.groups[s.Group], same) {
			next.groups[s.Group] = append(next.groups[s.Group], s.Loaded)
		}
	}
	r.serving.Store(next)
}

// dropAbandoned stops serving what the catalog no longer has, or no longer as active, and forgets failures of models
// that nobody wants.
func (r *Registry) dropAbandoned() {
	for arn := range r.serving.Load().deployed {
		if d, ok := lookupDeployment(r.view, arn); !ok || d.Status != status.Active {
			r.replace(func(deployed map[string]*Serving) { delete(deployed, arn) })
			r.log.Info("served no longer", zap.String("arn", arn))
		}
	}
	wanted := map[string]bool{}
	for _, d := range deployments(r.view) {
		if t, err := r.resolve(d); err == nil {
			wanted[t.version.ModelID] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.failures, func(id string, _ *failure) bool { return !wanted[id] })
}
