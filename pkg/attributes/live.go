package attributes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Need asks for the attributes of one type of entities of a dataset group.
type Need struct {
	Group *catalog.DatasetGroup
	Type  schema.Type
	// Text asks for columns of prose, too.
	Text bool
}

// Config is what a Live works with.
type Config struct {
	Source
	// Needs returns the tables to hold. It is called whenever the catalog changes, and must be quick.
	Needs func() []Need
	// Limit bounds the memory of all tables together, in bytes as estimated; 0: no bound.
	Limit      int64
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Live holds the tables that are needed and keeps them up to date: a record that was put is there as soon as Kafka has
// it, an import as soon as the catalog has it. Failures are retried less and less often, up to five seconds; meanwhile
// what is there stays.
type Live struct {
	config Config
	budget budget
	wake   chan struct{}

	mu        sync.RWMutex
	followers map[place]*follower
}

// place is a table's place: a dataset group's key and a type.
type place struct {
	group string
	t     schema.Type
}

// ErrNotLoaded means that a table is needed and not there yet.
var ErrNotLoaded = errors.New("the attributes are being loaded")

const (
	// resyncInterval bounds how long a lost notice of the catalog goes unnoticed.
	resyncInterval = 2 * time.Second
	// manifestInterval is how often a dataset's manifest is read although the catalog has no new version: removing a
	// dataset's data makes none.
	manifestInterval = 30 * time.Second
	// tableTimeout is how long Table waits for a table that is being loaded.
	tableTimeout = time.Second
	tablePoll    = 5 * time.Millisecond
)

// retryPace spaces the attempts to read a table, or to keep it up to date.
var retryPace = backoff.Exponential{First: 200 * time.Millisecond, Max: 5 * time.Second}

// NewLive returns a Live that holds nothing until Run runs.
func NewLive(config Config) (*Live, error) {
	l := &Live{
		config: config, budget: budget{limit: config.Limit}, wake: make(chan struct{}, 1),
		followers: map[place]*follower{},
	}
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "penchant_attributes_bytes",
			Help: "Memory of the attributes of items, users and actions, as estimated.",
		}, func() float64 { return float64(l.budget.used.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "penchant_attributes_loading", Help: "Tables of attributes that are needed and not there yet.",
		}, l.loading),
	} {
		if err := config.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return l, nil
}

func (l *Live) loading() float64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := 0
	for _, f := range l.followers {
		if f.table.Load() == nil {
			n++
		}
	}
	return float64(n)
}

// Table returns a table. While it is being loaded the caller waits a moment; then the error matches ErrNotLoaded and
// gives the reason why it takes so long.
func (l *Live) Table(ctx context.Context, group string, t schema.Type) (*Table, error) {
	table, reason := l.table(group, t)
	if table != nil {
		return table, nil
	}
	signal(l.wake)
	deadline := time.NewTimer(tableTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(tablePoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			return nil, fmt.Errorf("%w: the %s of %s%s", ErrNotLoaded, strings.ToLower(t.DatasetType()), group, reason)
		case <-poll.C:
			if table, reason = l.table(group, t); table != nil {
				return table, nil
			}
		}
	}
}

// Loaded returns a table at once, nil while it is not there.
func (l *Live) Loaded(group string, t schema.Type) *Table {
	table, _ := l.table(group, t)
	return table
}

func (l *Live) table(group string, t schema.Type) (table *Table, reason string) {
	l.mu.RLock()
	f := l.followers[place{group, t}]
	l.mu.RUnlock()
	if f == nil {
		return nil, ""
	}
	if err := f.failure.Load(); err != nil {
		reason = ": " + (*err).Error()
	}
	return f.table.Load(), reason
}

// Run holds what is needed until ctx ends.
func (l *Live) Run(ctx context.Context) error {
	unsubscribe := l.config.View.Subscribe(func(string) { signal(l.wake) })
	defer unsubscribe()
	defer l.stopAll()
	tick := time.NewTicker(resyncInterval)
	defer tick.Stop()
	for {
		if l.config.View.Ready() {
			l.sync(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-tick.C:
		}
	}
}

// sync starts what is newly needed, stops what no longer is, and has the others look at the catalog.
func (l *Live) sync(ctx context.Context) {
	needs := map[place]Need{}
	for _, need := range l.config.Needs() {
		at := place{need.Group.GroupKey(), need.Type}
		need.Text = need.Text || needs[at].Text
		needs[at] = need
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, f := range l.followers {
		if _, needed := needs[at]; !needed {
			delete(l.followers, at)
			f.stop()
		}
	}
	for at, need := range needs {
		f := l.followers[at]
		if f == nil {
			f = l.start(ctx, need)
			l.followers[at] = f
		}
		f.need.Store(&need)
		signal(f.wake)
	}
}

func (l *Live) start(ctx context.Context, need Need) *follower {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{live: l, wake: make(chan struct{}, 1), cancel: cancel}
	f.need.Store(&need)
	f.running.Go(func() { f.run(ctx) })
	return f
}

func (l *Live) stopAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, f := range l.followers {
		delete(l.followers, at)
		f.stop()
	}
}

func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// follower keeps one table.
type follower struct {
	live    *Live
	need    atomic.Pointer[Need]
	wake    chan struct{}
	cancel  context.CancelFunc
	running sync.WaitGroup
	table   atomic.Pointer[Table] // nil until there is one
	failure atomic.Pointer[error] // why the newest attempt failed
}

func (f *follower) stop() {
	f.cancel()
	f.running.Wait()
}

// run reads the data whole, keeps it up to date as long as that can be done by adding to it, and then reads it again
// while the old table is in use.
func (f *follower) run(ctx context.Context) {
	var used *reading
	defer func() { used.stop() }()
	for attempt := 0; ctx.Err() == nil; {
		next, err := f.read(ctx)
		if err != nil {
			f.fail(ctx, err)
			delay := retryPace.Delay(attempt)
			if errors.Is(err, ErrTooMuch) {
				delay = time.Minute // each attempt reads everything
			}
			if backoff.Sleep(ctx, delay) != nil {
				return
			}
			attempt++
			continue
		}
		attempt = 0
		f.failure.Store(nil)
		f.table.Store(next.table)
		used.stop()
		used = next
		f.keep(ctx, used)
	}
}

// fail records and logs a failure; one that lasts is logged once.
func (f *follower) fail(ctx context.Context, err error) {
	before := f.failure.Swap(&err)
	if ctx.Err() == nil && (before == nil || (*before).Error() != err.Error()) {
		need := f.need.Load()
		f.live.config.Log.Warn("reading attributes failed, retrying", zap.String("group", need.Group.GroupKey()),
			zap.String("dataset", need.Type.DatasetType()), zap.Error(err))
	}
}

// reading is the data of one full import, or of none, with all that was put: what one table is made of. Other data,
// another schema or another dataset make another reading.
type reading struct {
	table     *Table
	datasetID string
	schemaARN string
	text      bool
	base      int64 // the full import it begins with
	number    int64 // the newest import it has
	version   int64 // what the catalog said then

	cancel  context.CancelFunc
	running sync.WaitGroup
	failed  chan error // holds what ended the following
}

// stop ends the following and gives the memory back; nil has nothing to end.
func (r *reading) stop() {
	if r == nil {
		return
	}
	r.cancel()
	r.running.Wait()
	r.table.release()
}

// read reads everything there is, and returns when it is complete and being followed.
func (f *follower) read(ctx context.Context) (_ *reading, err error) {
	need, source := f.need.Load(), f.live.config.Source
	var parsed *schema.Schema
	d := source.dataset(need.Group.ARN, need.Type)
	if d != nil {
		if parsed, err = source.schema(d); err != nil {
			return nil, err
		}
	}
	r := &reading{table: newTable(parsed, need.Text, &f.live.budget), text: need.Text, failed: make(chan error, 1)}
	ctx, r.cancel = context.WithCancel(ctx)
	if d == nil {
		return r, nil
	}
	r.datasetID, r.schemaARN, r.version = d.ID, d.SchemaARN, d.Version
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	caughtUp := make(chan struct{})
	r.running.Go(func() {
		r.follow(ctx, source.Bus, need.Type.Topic(need.Group.GroupKey()), func() { close(caughtUp) })
	})
	imported, err := source.version(ctx, need.Group.GroupKey(), need.Type)
	if err != nil {
		return nil, err
	}
	r.base, r.number = imported.Base, imported.Number
	if err := r.table.putImported(ctx, source.Bucket, imported); err != nil {
		return nil, err
	}
	select {
	case <-caughtUp:
		return r, nil
	case err := <-r.failed:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// follow takes what is put until ctx ends.
func (r *reading) follow(ctx context.Context, client *bus.Client, topic string, caughtUp func()) {
	err := client.Follow(ctx, bus.FollowConfig{Topics: []string{topic}, FromStart: true, CaughtUp: caughtUp},
		func(_ context.Context, records []bus.Record) error {
			err := r.table.putRecords(records)
			if err != nil {
				r.fail(err)
			}
			return err
		})
	if err != nil {
		r.fail(err)
	}
}

func (r *reading) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}

// keep adds what is imported, until that takes another reading or ctx ends.
func (f *follower) keep(ctx context.Context, r *reading) {
	tick := time.NewTicker(manifestInterval)
	defer tick.Stop()
	for {
		look := false
		select {
		case <-ctx.Done():
			return
		case err := <-r.failed:
			f.fail(ctx, err) // what there is answers on
			continue
		case <-f.wake:
		case <-tick.C:
			look = true
		}
		stale, err := f.update(ctx, r, look)
		if err != nil {
			f.fail(ctx, err)
			if retryPace.Wait(ctx, 0) != nil {
				return
			}
			signal(f.wake)
			continue
		}
		if stale {
			return
		}
	}
}

// update compares the reading with the catalog and the manifest. With look the manifest is read in any case.
func (f *follower) update(ctx context.Context, r *reading, look bool) (stale bool, err error) {
	need, source := f.need.Load(), f.live.config.Source
	d := source.dataset(need.Group.ARN, need.Type)
	switch {
	case d == nil:
		return r.datasetID != "", nil
	case d.ID != r.datasetID || d.SchemaARN != r.schemaARN || need.Text != r.text:
		return true, nil
	case d.Version <= r.version && !look:
		return false, nil
	}
	imported, err := source.version(ctx, need.Group.GroupKey(), need.Type)
	if err != nil || imported.Base != r.base {
		return err == nil, err
	}
	if err := r.table.putImported(ctx, source.Bucket, imported.Since(r.number)); err != nil {
		return false, err
	}
	r.number, r.version = imported.Number, d.Version
	return false, nil
}
