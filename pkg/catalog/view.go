package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/resource"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

const (
	// rescanInterval bounds how long a view can miss a change whose notice was lost.
	rescanInterval = 30 * time.Second
	// outageLogInterval is how often an outage that goes on is logged.
	outageLogInterval = time.Minute
	// missTTL bounds how long an unknown tracking id is not looked up again, maxMisses how many are remembered.
	missTTL   = 2 * time.Second
	maxMisses = 10_000
	// fetchTimeout bounds the look-up of a tracking id.
	fetchTimeout = 5 * time.Second
	// forgetAfter is how long the ids of deleted resources are remembered: longer than any read of them can be on its
	// way.
	forgetAfter = 2 * time.Minute
)

// retryPace spaces the repeats of a failed scan and of a lost connection to Kafka.
var retryPace = backoff.Exponential{First: 500 * time.Millisecond, Max: 5 * time.Second}

// View is a copy of all resources in memory. It follows penchant.control, so that it is milliseconds behind the bucket,
// and rescans the bucket in case a notice was lost; it sees the writes of its own process's Store at once. Without
// Kafka, the view still scans. Resources that it returns are shared by all callers, who must not change them.
//
// A resource only ever moves to higher revisions in a view, and one that was seen deleted does not come back.
type View struct {
	store *Store
	bus   *bus.Client
	log   *zap.Logger
	ready chan struct{}

	fetches singleflight.Group

	mu          sync.RWMutex
	resources   map[string]Resource  // by ARN
	keys        map[string]string    // key in the bucket → ARN
	trackers    map[string]string    // tracking id → ARN, of an event tracker or a dataset
	deleted     map[string]time.Time // Metadata.ID → when it was seen deleted
	misses      map[string]time.Time // tracking id → when it was last looked for
	subscribers map[int]func(arn string)
	nextID      int
}

// NewView returns an empty view, which Run fills. Without a bus client (nil) the view only scans.
func NewView(store *Store, client *bus.Client, log *zap.Logger) *View {
	if log == nil {
		log = zap.NewNop()
	}
	v := &View{
		store: store, bus: client, log: log,
		ready:       make(chan struct{}),
		resources:   map[string]Resource{},
		keys:        map[string]string{},
		trackers:    map[string]string{},
		deleted:     map[string]time.Time{},
		misses:      map[string]time.Time{},
		subscribers: map[int]func(string){},
	}
	store.observe(func(r Resource, deleted bool) {
		if deleted {
			v.forget(r)
		} else {
			v.apply(r)
		}
	})
	return v
}

// Run keeps the view up to date until the context ends.
func (v *View) Run(ctx context.Context) error {
	rescan := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return v.scanLoop(ctx, rescan) })
	if v.bus != nil {
		group.Go(func() error { return v.followLoop(ctx, rescan) })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Ready reports whether the bucket has been read once.
func (v *View) Ready() bool {
	select {
	case <-v.ready:
		return true
	default:
		return false
	}
}

// WaitReady returns when the bucket has been read once, or with the context's error.
func (v *View) WaitReady(ctx context.Context) error {
	select {
	case <-v.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the catalog: %w", ctx.Err())
	}
}

// Lookup returns the resource of an ARN, if the view has it.
func Lookup[R Resource](v *View, arn string) (R, bool) {
	var none R
	r, ok := v.lookup(arn)
	if !ok {
		return none, false
	}
	typed, ok := r.(R)
	return typed, ok
}

// All returns the resources of a type, oldest first; equal ages by ARN. The caller owns the slice.
func All[R Resource](v *View) []R {
	var list []R
	for _, r := range v.snapshot() {
		if typed, ok := r.(R); ok {
			list = append(list, typed)
		}
	}
	slices.SortFunc(list, func(a, b R) int { return compareAge(a.Meta(), b.Meta()) })
	return list
}

// TrackerByID finds the event tracker of a tracking id. An id that the view does not know is looked for in the bucket,
// once in two seconds: a client may use it on any replica as soon as it was created. The error says that the bucket
// could not be asked.
func (v *View) TrackerByID(ctx context.Context, trackingID string) (*EventTracker, bool, error) {
	if tracker, ok := tracked[*EventTracker](v, trackingID); ok {
		return tracker, true, nil
	}
	if v.missedLately(trackingID) {
		return nil, false, nil
	}
	key, err := keyFor(resource.EventTracker, trackerID(trackingID))
	if err != nil {
		return nil, false, nil
	}
	// Callers with the same id share one read, which therefore outlives any of them.
	_, err, _ = v.fetches.Do(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return nil, v.fetch(ctx, key)
	})
	if err != nil {
		return nil, false, fmt.Errorf("looking for an event tracker: %w", err)
	}
	tracker, ok := tracked[*EventTracker](v, trackingID)
	if !ok {
		v.miss(trackingID)
	}
	return tracker, ok, nil
}

// DatasetByTrackingID finds the Action_Interactions dataset of a tracking id. For an id that the view does not know,
// all datasets are looked through in the bucket, once in two seconds: the id does not say which of them it belongs to.
func (v *View) DatasetByTrackingID(ctx context.Context, trackingID string) (*Dataset, bool, error) {
	if dataset, ok := tracked[*Dataset](v, trackingID); ok {
		return dataset, true, nil
	}
	if trackingID == "" || v.missedLately(trackingID) {
		return nil, false, nil
	}
	const prefix = root + resource.Dataset + "/"
	_, err, _ := v.fetches.Do(prefix, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		known := v.known()
		changed, err := v.store.load(ctx, prefix, func(key, etag string) bool {
			r, ok := known[key]
			return ok && r.Meta().etag == etag
		})
		for _, r := range changed {
			v.apply(r)
		}
		return nil, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("looking for a dataset by its tracking id: %w", err)
	}
	dataset, ok := tracked[*Dataset](v, trackingID)
	if !ok {
		v.miss(trackingID)
	}
	return dataset, ok, nil
}

// Fetch reads one resource from the bucket into the view, or removes it there if it is gone.
func (v *View) Fetch(ctx context.Context, arn string) error {
	key, err := keyOf(arn)
	if err != nil {
		return err
	}
	return v.fetch(ctx, key)
}

// Subscribe calls f with the ARN after each change of the view: new, changed and deleted resources. f is called from
// whoever made the change, several at once, and must not block or write to the store.
func (v *View) Subscribe(f func(arn string)) (cancel func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := v.nextID
	v.nextID++
	v.subscribers[id] = f
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.subscribers, id)
	}
}

func (v *View) scanLoop(ctx context.Context, rescan <-chan struct{}) error {
	reading := outage{log: v.log, doing: "reading the catalog"}
	for {
		pause := rescanInterval
		switch err := v.scan(ctx); {
		case err == nil:
			reading.over()
		case ctx.Err() == nil:
			pause = reading.failed(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rescan:
		case <-time.After(pause):
		}
	}
}

// outage is a row of failures to do one thing. It paces the repeats and tells of the first failure, then once a minute,
// and of the end.
type outage struct {
	log      *zap.Logger
	doing    string
	failures int
	nextLog  time.Time
}

// failed notes a failure and returns the pause before the next attempt.
func (o *outage) failed(err error) time.Duration {
	if now := time.Now(); now.After(o.nextLog) {
		o.log.Warn(o.doing+" failed, trying on", zap.Error(err))
		o.nextLog = now.Add(outageLogInterval)
	}
	o.failures++
	return retryPace.Delay(o.failures - 1)
}

// over notes a success.
func (o *outage) over() {
	if o.failures > 0 {
		o.log.Info(o.doing+" works again", zap.Int("failed_attempts", o.failures))
	}
	o.failures, o.nextLog = 0, time.Time{}
}

// scan compares the view with the bucket's listing and reads what differs.
func (v *View) scan(ctx context.Context) error {
	before := v.known()
	listed := map[string]bool{}
	changed, err := v.store.load(ctx, root, func(key, etag string) bool {
		listed[key] = true
		r, ok := before[key]
		return ok && r.Meta().etag == etag
	})
	if err != nil {
		return err
	}
	for _, r := range changed {
		v.apply(r)
	}
	for key := range before {
		if !listed[key] {
			if err := v.fetch(ctx, key); err != nil {
				return err
			}
		}
	}
	v.tidy()
	if !v.Ready() {
		close(v.ready) // scans are made by one goroutine
	}
	return nil
}

// followLoop applies the notices. A rescan after the follower's start covers what changed before it listened.
func (v *View) followLoop(ctx context.Context, rescan chan<- struct{}) error {
	following := outage{log: v.log, doing: "following the catalog's changes"}
	for {
		err := v.follow(ctx, rescan, following.over)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(following.failed(err)):
		}
	}
}

func (v *View) follow(ctx context.Context, rescan chan<- struct{}, begun func()) error {
	// Whichever process is first makes the topic.
	if err := v.bus.EnsureTopics(ctx, bus.TopicSpec{Name: bus.ControlTopic, Compacted: true, Partitions: 1}); err != nil {
		return err
	}
	begun()
	return v.bus.Follow(ctx, bus.FollowConfig{
		Topics: []string{bus.ControlTopic},
		CaughtUp: func() {
			select {
			case rescan <- struct{}{}:
			default:
			}
		},
	}, v.noticed)
}

// noticed reads the resources that notices name. The next scan reads those that cannot be read now.
func (v *View) noticed(ctx context.Context, records []bus.Record) error {
	for _, arn := range v.outdated(records) {
		if err := v.Fetch(ctx, arn); err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
			v.log.Warn("reading a changed resource", zap.String("arn", arn), zap.Error(err))
		}
	}
	return nil
}

// outdated returns the ARNs of the resources of which the notices are newer than the view, each once.
func (v *View) outdated(records []bus.Record) []string {
	var arns []string
	for _, record := range records {
		var notice penchantv1.ResourceChanged
		if err := proto.Unmarshal(record.Value, &notice); err != nil {
			v.log.Warn("unreadable record on "+bus.ControlTopic, zap.Int64("offset", record.Offset), zap.Error(err))
			continue
		}
		r, known := v.lookup(notice.Arn)
		if known && !notice.Deleted && r.Meta().Revision >= notice.Revision || !known && notice.Deleted {
			continue
		}
		if !slices.Contains(arns, notice.Arn) {
			arns = append(arns, notice.Arn)
		}
	}
	return arns
}

// fetch reads a key into the view.
func (v *View) fetch(ctx context.Context, key string) error {
	v.mu.RLock()
	before := v.resources[v.keys[key]]
	v.mu.RUnlock()
	r, err := v.store.read(ctx, key)
	if errors.Is(err, ErrNotFound) {
		// Not if it was replaced meanwhile.
		if before != nil {
			v.forget(before)
		}
		return nil
	}
	if err != nil {
		return err
	}
	v.apply(r)
	return nil
}

// apply adds a resource to the view unless the view has a newer state.
func (v *View) apply(r Resource) {
	m := r.Meta()
	key, err := keyOf(m.ARN)
	if err != nil {
		v.log.Warn("a resource with an impossible name", zap.String("arn", m.ARN), zap.Error(err))
		return
	}
	v.mu.Lock()
	if _, gone := v.deleted[m.ID]; gone || v.superseded(key, m) {
		v.mu.Unlock()
		return
	}
	// The key may have belonged to a resource of another region.
	if old := v.resources[v.keys[key]]; old != nil && old.Meta().ID != m.ID {
		v.drop(key, old)
	}
	v.resources[m.ARN], v.keys[key] = r, m.ARN
	if id := trackingIDOf(r); id != "" {
		v.trackers[id] = m.ARN
		delete(v.misses, id)
	}
	v.mu.Unlock()
	v.publish(m.ARN)
}

// superseded reports whether the view already has this state or a newer one under the key.
func (v *View) superseded(key string, m *Metadata) bool {
	old := v.resources[v.keys[key]]
	if old == nil {
		return false
	}
	o := old.Meta()
	if o.ID == m.ID {
		// Equal revisions: only an etag that was unknown before is news.
		return o.Revision > m.Revision || o.Revision == m.Revision && o.etag != ""
	}
	return o.CreatedAt.After(m.CreatedAt)
}

// forget removes a resource that is gone from the bucket, unless another one has taken its place.
func (v *View) forget(r Resource) {
	m := r.Meta()
	key, err := keyOf(m.ARN)
	if err != nil {
		return
	}
	v.mu.Lock()
	v.deleted[m.ID] = v.store.now()
	old := v.resources[m.ARN]
	gone := old != nil && old.Meta().ID == m.ID
	if gone {
		v.drop(key, old)
	}
	v.mu.Unlock()
	if gone {
		v.publish(m.ARN)
	}
}

func (v *View) drop(key string, r Resource) {
	delete(v.resources, r.Meta().ARN)
	delete(v.keys, key)
	if id := trackingIDOf(r); id != "" {
		delete(v.trackers, id)
	}
}

// trackingIDOf returns the id by which events name a resource, "" for resources without events.
func trackingIDOf(r Resource) string {
	switch r := r.(type) {
	case *EventTracker:
		return r.TrackingID
	case *Dataset:
		return r.TrackingID
	}
	return ""
}

func (v *View) publish(arn string) {
	v.mu.RLock()
	subscribers := make([]func(string), 0, len(v.subscribers))
	for _, f := range v.subscribers {
		subscribers = append(subscribers, f)
	}
	v.mu.RUnlock()
	for _, f := range subscribers {
		f(arn)
	}
}

func (v *View) lookup(arn string) (Resource, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r, ok := v.resources[arn]
	return r, ok
}

// tracked is the resource of a type that has a tracking id.
func tracked[R Resource](v *View, trackingID string) (R, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r, ok := v.resources[v.trackers[trackingID]].(R)
	return r, ok
}

func (v *View) snapshot() []Resource {
	v.mu.RLock()
	defer v.mu.RUnlock()
	list := make([]Resource, 0, len(v.resources))
	for _, r := range v.resources {
		list = append(list, r)
	}
	return list
}

// known returns the view's resources by key.
func (v *View) known() map[string]Resource {
	v.mu.RLock()
	defer v.mu.RUnlock()
	known := make(map[string]Resource, len(v.keys))
	for key, arn := range v.keys {
		known[key] = v.resources[arn]
	}
	return known
}

func (v *View) missedLately(trackingID string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	at, ok := v.misses[trackingID]
	return ok && v.store.now().Sub(at) < missTTL
}

func (v *View) miss(trackingID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.misses) >= maxMisses {
		clear(v.misses) // a client is guessing ids
	}
	v.misses[trackingID] = v.store.now()
}

// tidy drops deleted ids and misses that have expired.
func (v *View) tidy() {
	now := v.store.now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, at := range v.deleted {
		if now.Sub(at) > forgetAfter {
			delete(v.deleted, id)
		}
	}
	for id, at := range v.misses {
		if now.Sub(at) > missTTL {
			delete(v.misses, id)
		}
	}
}
