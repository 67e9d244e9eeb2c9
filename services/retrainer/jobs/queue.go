package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// Runner does one job. It reports the completed share, from 0 to 1, from any goroutine and as often as it likes, and
// returns what to write into the resource that becomes ACTIVE, or nil for nothing. A Fault fails the job with its text;
// any other error is an internal one, after which the job is retried a few times.
type Runner[R catalog.Resource] func(ctx context.Context, job R, report func(done float64)) (finish func(R), err error)

// Queue runs the jobs of one type.
type Queue[R catalog.Resource] struct {
	// Runner does the jobs.
	Runner Runner[R]

	worker      *Worker
	name        string // in logs and metrics
	concurrency int
	// ended, if set, is called for each job that this process has completed or failed.
	ended   func(ctx context.Context, job R)
	wakeUps chan struct{}
}

const (
	// scanInterval bounds how long a job waits if every wake-up for it was lost.
	scanInterval = 5 * time.Second
	// settleTimeout bounds the writing of an outcome at shutdown.
	settleTimeout = 10 * time.Second
	// progressStep is the least progress worth a write.
	progressStep = 0.01
)

// errStopped ends a job's context when its user stops it.
var errStopped = errors.New("the job was stopped by its user")

// ErrLeaseLost ends a job's context when its lease has passed to another worker. A runner that returns it drops its
// job.
var ErrLeaseLost = errors.New("the job's lease has passed to another worker")

// NewQueue returns the queue of a type of jobs, of which concurrency run at once in this process.
func NewQueue[R catalog.Resource](w *Worker, name string, concurrency int, run Runner[R]) *Queue[R] {
	return &Queue[R]{
		Runner: run, worker: w, name: name, concurrency: concurrency, wakeUps: make(chan struct{}, concurrency),
	}
}

// OnEnd has ended called for each job that this process has completed or failed. It must precede Run.
func (q *Queue[R]) OnEnd(ended func(ctx context.Context, job R)) { q.ended = ended }

// Wake makes idle workers look for jobs. Wake-ups during a look cause one more look.
func (q *Queue[R]) Wake() {
	for range q.concurrency {
		select {
		case q.wakeUps <- struct{}{}:
		default:
			return
		}
	}
}

// Run runs jobs until ctx ends. Running jobs are then handed back at once, for other workers.
func (q *Queue[R]) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range q.concurrency {
		group.Go(func() error {
			q.work(ctx)
			return nil
		})
	}
	return group.Wait()
}

func (q *Queue[R]) work(ctx context.Context) {
	scan := time.NewTicker(min(scanInterval, q.worker.config.LeaseTTL))
	defer scan.Stop()
	for {
		for ctx.Err() == nil && q.runNext(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-q.wakeUps:
		case <-scan.C:
		}
	}
}

// runNext runs the oldest job without a worker to its end. It returns false if there is none.
func (q *Queue[R]) runNext(ctx context.Context) bool {
	for _, r := range catalog.All[R](q.worker.config.View) {
		if !Waiting(r.Meta()) {
			continue
		}
		a, ok := q.acquire(ctx, r.Meta().ARN)
		if !ok {
			continue
		}
		a.run(ctx)
		return true
	}
	return false
}

// Waiting reports whether a job needs a worker: it has not begun, or its worker is gone.
func Waiting(m *catalog.Metadata) bool {
	return unfinished(m) && !m.Leased(time.Now())
}

func unfinished(m *catalog.Metadata) bool {
	return m.Waiting() || m.Running() || m.Status == status.CreateStopping
}

// attempt is one attempt at a job, under a lease of this process.
type attempt[R catalog.Resource] struct {
	*Queue[R]
	job   R // as it was when the lease was acquired
	lease *catalog.Held[R]
	log   *zap.Logger
}

func (q *Queue[R]) acquire(ctx context.Context, arn string) (*attempt[R], bool) {
	w := q.worker
	log := w.config.Log.With(zap.String("job", arn))
	lease, err := catalog.Of[R](w.config.Store).Acquire(ctx, arn, w.Owner, w.config.LeaseTTL)
	switch {
	case errors.Is(err, catalog.ErrLeased), errors.Is(err, catalog.ErrDeleting), errors.Is(err, catalog.ErrNotFound):
		return nil, false // the view lags behind: another worker was faster, or the job is gone
	case err != nil:
		if ctx.Err() == nil {
			log.Warn("acquiring a job failed, retrying", zap.Error(err))
		}
		return nil, false
	}
	a := &attempt[R]{Queue: q, job: lease.Resource, lease: lease, log: log.With(zap.Int64("attempt", lease.Epoch()))}
	if !unfinished(a.job.Meta()) { // finished since the view was updated
		a.write(ctx, "releasing a finished job", func(R) {})
		return nil, false
	}
	return a, true
}

// run brings a job to an end, whatever that is, and records it.
func (a *attempt[R]) run(ctx context.Context) {
	started := time.Now()
	outcome := a.outcome(ctx)
	a.worker.metrics.observe(a.name, outcome, started)
	if a.ended != nil && (outcome == "active" || outcome == "failed") {
		a.ended(ctx, a.job)
	}
}

func (a *attempt[R]) outcome(ctx context.Context) string {
	attempts, epoch := int64(a.worker.config.Attempts), a.lease.Epoch()
	if a.job.Meta().Running() && epoch > attempts {
		return a.failed(ctx, fmt.Sprintf(
			"The %s was started %d times, and each time its worker process ended or failed before it was done",
			a.name, epoch-1))
	}
	if err := a.begin(ctx); err != nil {
		if ctx.Err() != nil { // the write may have arrived
			return a.handedBack(ctx)
		}
		a.log.Warn("beginning a job failed, retrying once its lease has expired", zap.Error(err))
		return "lost"
	}
	switch m := a.job.Meta(); {
	case m.Running():
	case m.Status == status.CreateStopping:
		return a.stopped(ctx)
	default: // stopped before it began
		a.write(ctx, "releasing a finished job", func(R) {})
		return "stopped"
	}
	a.log.Info(a.name + " begins")
	finish, err := a.runWatched(ctx)
	var f fault
	switch {
	case err == nil:
		return a.done(ctx, finish)
	case errors.Is(err, errStopped):
		return a.stopped(ctx)
	case errors.Is(err, ErrLeaseLost):
		a.log.Warn(a.name + " was taken over by another worker; this one's work is dropped")
		return "lost"
	case ctx.Err() != nil:
		return a.handedBack(ctx)
	case errors.As(err, &f):
		return a.failed(ctx, f.Error())
	}
	a.log.Error(a.name+" broke", zap.Error(err))
	if epoch >= attempts {
		return a.failed(ctx, fmt.Sprintf("The %s was tried %d times: %s", a.name, epoch, causeOf(err)))
	}
	// The lease is left to expire: that is the pause before the next attempt.
	return "broken"
}

// begin moves the job to CREATE IN_PROGRESS (a deletion to IN_PROGRESS), unless it was stopped. A job that was created
// although its parents did not allow it (the creator died in between) is removed instead.
func (a *attempt[R]) begin(ctx context.Context) error {
	store := a.worker.config.Store
	if a.job.Meta().Waiting() {
		orphaned, err := store.Orphaned(ctx, a.job)
		if err != nil {
			return err
		}
		if orphaned {
			_, err := store.RemoveOrphan(ctx, a.job.Meta().ARN)
			return errors.Join(errors.New("the job has no parent"), err)
		}
	}
	begun, err := a.lease.Update(ctx, func(r R) error {
		if m := r.Meta(); m.Waiting() {
			m.Begin()
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.job = begun
	return nil
}

// runWatched runs the job while keeping its lease alive. If the job is stopped or its lease lost, its context ends and
// the error is errStopped or ErrLeaseLost.
func (a *attempt[R]) runWatched(ctx context.Context) (finish func(R), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	var newest atomic.Pointer[progress]
	newest.Store(&progress{})
	watched := make(chan struct{})
	watching, stopWatching := context.WithCancel(ctx)
	go func() {
		defer close(watched)
		a.watch(watching, cancel, newest.Load)
	}()
	finish, err = a.runGuarded(ctx, func(done float64) {
		newest.Store(&progress{done, ExpectedEnd(began, time.Now(), done)})
	})
	stopWatching()
	<-watched
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, errStopped) || errors.Is(cause, ErrLeaseLost)) {
		return nil, cause
	}
	return finish, err
}

// runGuarded turns a panic of the job into its failure: one bad data set must not end every other job of the process.
func (a *attempt[R]) runGuarded(ctx context.Context, report func(float64)) (finish func(R), err error) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error(a.name+" panicked", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			finish, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	return a.Runner(ctx, a.job, report)
}

// watch renews the lease, writes the progress and ends the job's context if its user stops it, until ctx ends.
func (a *attempt[R]) watch(ctx context.Context, end context.CancelCauseFunc, newest func() *progress) {
	tick := time.NewTicker(a.worker.config.Heartbeat)
	defer tick.Stop()
	ttl := a.worker.config.LeaseTTL
	renewed, written := time.Now(), 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		seen, ok := catalog.Lookup[R](a.worker.config.View, a.job.Meta().ARN)
		if ok && seen.Meta().Status == status.CreateStopping {
			end(errStopped)
			return
		}
		p := newest()
		if p.done < written+progressStep && time.Since(renewed) < ttl/3 {
			continue
		}
		r, err := a.lease.Renew(ctx, ttl, func(r R) error {
			m := r.Meta()
			m.Progress, m.ExpectedEnd = max(written, p.done), p.end
			return nil
		})
		switch {
		case err == nil:
			renewed, written = time.Now(), max(written, p.done)
			if r.Meta().Status == status.CreateStopping {
				end(errStopped)
				return
			}
		case errors.Is(err, catalog.ErrLeaseLost), errors.Is(err, catalog.ErrNotFound):
			end(ErrLeaseLost)
			return
		case ctx.Err() == nil:
			// Without the bucket no other worker can take the job over either.
			a.log.Warn("renewing a job's lease failed, retrying", zap.Error(err))
		}
	}
}

func (a *attempt[R]) done(ctx context.Context, finish func(R)) string {
	outcome := "active"
	ok := a.write(ctx, "writing a finished job", func(r R) {
		m := r.Meta()
		if m.Status == status.CreateStopping { // at the last moment: the stop was acknowledged
			m.Status, outcome = status.CreateStopped, "stopped"
			return
		}
		if finish != nil {
			finish(r)
		}
		m.Succeed()
		outcome = "active"
	})
	if !ok {
		return "lost"
	}
	a.log.Info(a.name+" ended", zap.String("outcome", outcome))
	return outcome
}

func (a *attempt[R]) stopped(ctx context.Context) string {
	if !a.write(ctx, "writing a stopped job", func(r R) { r.Meta().Status = status.CreateStopped }) {
		return "lost"
	}
	a.log.Info(a.name + " was stopped")
	return "stopped"
}

func (a *attempt[R]) failed(ctx context.Context, reason string) string {
	if !a.write(ctx, "writing a failed job", func(r R) { r.Meta().Fail(reason) }) {
		return "lost"
	}
	a.log.Info(a.name+" failed", zap.String("reason", reason))
	return "failed"
}

// handedBack releases the job for another worker at once, because this process ends.
func (a *attempt[R]) handedBack(ctx context.Context) string {
	a.write(ctx, "handing a job back", func(r R) {
		if m := r.Meta(); m.Running() {
			m.HandBack()
		}
	})
	a.log.Info(a.name + " was handed back: this process ends")
	return "handed back"
}

// write applies a change and releases the lease. Hours of work may depend on it, so it retries until the lease is lost,
// or settleTimeout after ctx has ended.
func (a *attempt[R]) write(ctx context.Context, doing string, change func(R)) bool {
	detached, cancel := detachWithTimeout(ctx, settleTimeout)
	defer cancel()
	pace := backoff.Exponential{First: 100 * time.Millisecond, Max: 5 * time.Second}
	for n := 0; ; n++ {
		err := a.lease.Release(detached, func(r R) error {
			change(r)
			r.Meta().ExpectedEnd = time.Time{}
			return nil
		})
		switch {
		case err == nil:
			return true
		case errors.Is(err, catalog.ErrLeaseLost), errors.Is(err, catalog.ErrNotFound), detached.Err() != nil:
			a.log.Warn(doing+" failed", zap.Error(err))
			return false
		}
		a.log.Warn(doing+" failed, retrying", zap.Error(err))
		_ = pace.Wait(detached, n) // once it has ended, the next attempt is the last
	}
}

// detachWithTimeout returns a context that ends timeout after ctx does.
func detachWithTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(timeout, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() {
		stop()
		cancel()
	}
}
