package retrainer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
)

// runner does one job. It reports the share that is done, from 0 to 1, from any goroutine, as often as it likes, and
// returns what to write into the resource that becomes ACTIVE; nil is nothing. An error made by userFault fails the job
// with its text; another one is an internal fault, after which the job is tried again a few times.
type runner[R catalog.Resource] func(ctx context.Context, job R, report func(done float64)) (finish func(R), err error)

// queue runs the jobs of one type.
type queue[R catalog.Resource] struct {
	service *Service
	name    string // in logs and metrics
	workers int
	runJob  runner[R]
	// ended, if there is one, is told of the jobs that this process has brought to their end.
	ended   func(ctx context.Context, job R)
	wakeUps chan struct{}
	// heartbeat is how often a running job looks whether it was stopped, and its progress is written.
	heartbeat time.Duration
}

const (
	heartbeat = time.Second
	// settleTimeout bounds the writing of an outcome at shutdown.
	settleTimeout = 10 * time.Second
	// progressStep is the least progress worth a write.
	progressStep = 0.01
)

// Why a job's context ended before the job did.
var (
	errStopped   = errors.New("the job was stopped by its user")
	errLeaseLost = errors.New("the job's lease has passed to another worker")
)

// fault is an error that the user made, or can mend; its text is what he reads as the failure reason.
type fault struct{ error }

func (f fault) Unwrap() error { return f.error }

// userFault marks an error whose text is meant for the user.
func userFault(err error) error { return fault{err} }

// rejected is userFault of a sentence.
func rejected(format string, args ...any) error { return fault{fmt.Errorf(format, args...)} }

func newQueue[R catalog.Resource](s *Service, name string, workers int, run runner[R]) *queue[R] {
	return &queue[R]{
		service: s, name: name, workers: workers, runJob: run, wakeUps: make(chan struct{}, workers), heartbeat: heartbeat,
	}
}

// wake has the idle workers look for jobs. Wake-ups during a look make one more look.
func (q *queue[R]) wake() {
	for range q.workers {
		select {
		case q.wakeUps <- struct{}{}:
		default:
			return
		}
	}
}

func (q *queue[R]) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range q.workers {
		group.Go(func() error {
			q.work(ctx)
			return nil
		})
	}
	return group.Wait()
}

func (q *queue[R]) work(ctx context.Context) {
	scan := time.NewTicker(min(scanInterval, q.service.config.LeaseTTL))
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

// runNext runs the oldest job that nobody works on, to its end. It reports false when there is none.
func (q *queue[R]) runNext(ctx context.Context) bool {
	for _, r := range catalog.All[R](q.service.config.View) {
		if !q.waiting(r.Head()) {
			continue
		}
		h, ok := q.acquire(ctx, r.Head().ARN)
		if !ok {
			continue
		}
		q.runHeld(ctx, h)
		return true
	}
	return false
}

// waiting says whether a job needs a worker: it was not begun, or its worker is gone.
func (q *queue[R]) waiting(m *catalog.Meta) bool {
	return unfinished(m) && !m.Leased(time.Now())
}

func unfinished(m *catalog.Meta) bool {
	return m.Waiting() || m.Running() || m.Status == catalog.StatusCreateStopping
}

// held is a job under this process's lease.
type held[R catalog.Resource] struct {
	*queue[R]
	job   R // as it was when the lease was taken
	arn   string
	epoch int64
	log   *zap.Logger
}

func (q *queue[R]) acquire(ctx context.Context, arn string) (*held[R], bool) {
	log := q.service.config.Log.With(zap.String("job", arn))
	r, epoch, err := catalog.Acquire[R](ctx, q.service.config.Store, arn, q.service.owner, q.service.config.LeaseTTL)
	switch {
	case errors.Is(err, catalog.ErrLeased), errors.Is(err, catalog.ErrDeleting), errors.Is(err, catalog.ErrNotFound):
		return nil, false // the view lags behind: another worker was faster, or the job is gone
	case err != nil:
		if ctx.Err() == nil {
			log.Warn("taking a job failed, it is tried again", zap.Error(err))
		}
		return nil, false
	}
	h := &held[R]{queue: q, job: r, arn: arn, epoch: epoch, log: log.With(zap.Int64("attempt", epoch))}
	if !unfinished(r.Head()) { // finished since the view's last look
		h.write(ctx, "giving back a finished job", func(R) {})
		return nil, false
	}
	return h, true
}

// runHeld brings a job to an end, whatever it is, and writes that down.
func (q *queue[R]) runHeld(ctx context.Context, h *held[R]) {
	started := time.Now()
	outcome := h.outcome(ctx)
	q.service.metrics.jobs.WithLabelValues(q.name, outcome).Inc()
	q.service.metrics.seconds.WithLabelValues(q.name).Observe(time.Since(started).Seconds())
	if q.ended != nil && (outcome == "active" || outcome == "failed") {
		q.ended(ctx, h.job)
	}
}

func (h *held[R]) outcome(ctx context.Context) string {
	attempts := int64(h.service.config.Attempts)
	if h.job.Head().Running() && h.epoch > attempts {
		return h.failed(ctx, fmt.Sprintf("The %s was started %d times, and each time its worker process ended or failed before it was done", h.name, h.epoch-1))
	}
	if err := h.begin(ctx); err != nil {
		if ctx.Err() != nil { // the write may have arrived
			return h.handedBack(ctx)
		}
		h.log.Warn("beginning a job failed, it is tried again when its lease has expired", zap.Error(err))
		return "lost"
	}
	switch m := h.job.Head(); {
	case m.Running():
	case m.Status == catalog.StatusCreateStopping:
		return h.stopped(ctx)
	default: // it was stopped before it began
		h.write(ctx, "giving back a finished job", func(R) {})
		return "stopped"
	}
	h.log.Info(h.name + " begins")
	finish, err := h.runWatched(ctx)
	var f fault
	switch {
	case err == nil:
		return h.done(ctx, finish)
	case errors.Is(err, errStopped):
		return h.stopped(ctx)
	case errors.Is(err, errLeaseLost):
		h.log.Warn(h.name + " was taken over by another worker; this one's work is dropped")
		return "lost"
	case ctx.Err() != nil:
		return h.handedBack(ctx)
	case errors.As(err, &f):
		return h.failed(ctx, f.Error())
	}
	h.log.Error(h.name+" broke", zap.Error(err))
	if h.epoch >= attempts {
		return h.failed(ctx, fmt.Sprintf("The %s was tried %d times: %s", h.name, h.epoch, causeOf(err)))
	}
	// The lease is left to expire: that is the pause before the next attempt.
	return "broken"
}

// causeOf is what a client is told of an internal fault: what an operator can look after, but none of the text of the error.
func causeOf(err error) string {
	switch {
	case errors.Is(err, errResultsNotLoaded):
		return "the results are in the output, but could not be loaded into Redis; the retrainer's log holds the details"
	case errors.Is(err, blob.ErrAccessDenied):
		return "the S3 store denied access"
	case errors.Is(err, blob.ErrUnavailable):
		return "the S3 store was unavailable"
	}
	return "internal error; the retrainer's log holds the details"
}

// begin moves the job to CREATE IN_PROGRESS (a deletion to IN_PROGRESS), unless it was stopped. A job that was created although its parents did not
// allow it (the creator died in between) is removed instead.
func (h *held[R]) begin(ctx context.Context) error {
	store := h.service.config.Store
	if h.job.Head().Waiting() {
		orphaned, err := catalog.Orphaned(ctx, store, h.job)
		if err != nil {
			return err
		}
		if orphaned {
			_, err := catalog.RemoveOrphan(ctx, store, h.arn)
			return errors.Join(errors.New("the job has no parent"), err)
		}
	}
	begun, err := catalog.Held(ctx, store, h.arn, h.service.owner, h.epoch, func(r R) error {
		if m := r.Head(); m.Waiting() {
			m.Begin()
		}
		return nil
	})
	if err != nil {
		return err
	}
	h.job = begun
	return nil
}

// runWatched runs the job while keeping its lease alive. If the job is stopped or lost, its context ends, and the error
// says why.
func (h *held[R]) runWatched(ctx context.Context) (finish func(R), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	var newest atomic.Pointer[progress]
	newest.Store(&progress{})
	watched := make(chan struct{})
	watching, stopWatching := context.WithCancel(ctx)
	go func() {
		defer close(watched)
		h.watch(watching, cancel, newest.Load)
	}()
	finish, err = h.runGuarded(ctx, func(done float64) { newest.Store(&progress{done, expectedEnd(began, time.Now(), done)}) })
	stopWatching()
	<-watched
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, errStopped) || errors.Is(cause, errLeaseLost)) {
		return nil, cause
	}
	return finish, err
}

// runGuarded turns a panic of the job into its failure: one bad data set must not end every other job of the process.
func (h *held[R]) runGuarded(ctx context.Context, report func(float64)) (finish func(R), err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error(h.name+" panicked", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			finish, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	return h.runJob(ctx, h.job, report)
}

// watch renews the lease, writes the progress and ends the job if its user stops it, until ctx ends.
func (h *held[R]) watch(ctx context.Context, end context.CancelCauseFunc, newest func() *progress) {
	tick := time.NewTicker(h.heartbeat)
	defer tick.Stop()
	ttl := h.service.config.LeaseTTL
	renewed, written := time.Now(), 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if seen, ok := catalog.Lookup[R](h.service.config.View, h.arn); ok && seen.Head().Status == catalog.StatusCreateStopping {
			end(errStopped)
			return
		}
		p := newest()
		if p.done < written+progressStep && time.Since(renewed) < ttl/3 {
			continue
		}
		r, err := catalog.Held(ctx, h.service.config.Store, h.arn, h.service.owner, h.epoch, func(r R) error {
			m := r.Head()
			m.Lease.Expires, m.Progress, m.ExpectedEnd = time.Now().Add(ttl), max(written, p.done), p.end
			return nil
		})
		switch {
		case err == nil:
			renewed, written = time.Now(), max(written, p.done)
			if r.Head().Status == catalog.StatusCreateStopping {
				end(errStopped)
				return
			}
		case errors.Is(err, catalog.ErrLeaseLost), errors.Is(err, catalog.ErrNotFound):
			end(errLeaseLost)
			return
		case ctx.Err() == nil:
			// Without the bucket nobody can take the job over either.
			h.log.Warn("renewing a job's lease failed, it is tried again", zap.Error(err))
		}
	}
}

// progress is what a job has said last: the share that is done, and when all will be, as it looked then.
type progress struct {
	done float64
	end  time.Time
}

// foreseen is the share of a job that must be done before its end is foretold: what the first steps took says little.
const foreseen = 0.1

// expectedEnd is when a job will have done the whole of its work if it goes on as until now; zero where that is too early to say.
func expectedEnd(began, now time.Time, done float64) time.Time {
	if done < foreseen {
		return time.Time{}
	}
	remaining := time.Duration(float64(now.Sub(began)) * (1 - min(done, 1)) / done)
	return now.Add(remaining).UTC().Truncate(time.Second)
}

func (h *held[R]) done(ctx context.Context, finish func(R)) string {
	outcome := "active"
	ok := h.write(ctx, "writing a finished job", func(r R) {
		m := r.Head()
		if m.Status == catalog.StatusCreateStopping { // stopped at the last moment: the user was told that it will stop
			m.Status, outcome = catalog.StatusCreateStopped, "stopped"
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
	h.log.Info(h.name+" ended", zap.String("outcome", outcome))
	return outcome
}

func (h *held[R]) stopped(ctx context.Context) string {
	if !h.write(ctx, "writing a stopped job", func(r R) { r.Head().Status = catalog.StatusCreateStopped }) {
		return "lost"
	}
	h.log.Info(h.name + " was stopped")
	return "stopped"
}

func (h *held[R]) failed(ctx context.Context, reason string) string {
	if !h.write(ctx, "writing a failed job", func(r R) { r.Head().Fail(reason) }) {
		return "lost"
	}
	h.log.Info(h.name+" failed", zap.String("reason", reason))
	return "failed"
}

// handedBack gives the job up for another worker at once, because this process ends.
func (h *held[R]) handedBack(ctx context.Context) string {
	h.write(ctx, "handing a job back", func(r R) {
		if m := r.Head(); m.Running() {
			m.HandBack()
		}
	})
	h.log.Info(h.name + " was handed back, this process ends")
	return "handed back"
}

// write applies a change and gives the lease back. The work of hours may hang on it, so it is tried until the lease is
// lost, or the process has ended for a while.
func (h *held[R]) write(ctx context.Context, doing string, change func(R)) bool {
	patience, cancel := outlive(ctx, settleTimeout)
	defer cancel()
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		_, err := catalog.Held(patience, h.service.config.Store, h.arn, h.service.owner, h.epoch, func(r R) error {
			change(r)
			r.Head().Lease.Owner, r.Head().ExpectedEnd = "", time.Time{}
			return nil
		})
		switch {
		case err == nil:
			return true
		case errors.Is(err, catalog.ErrLeaseLost), errors.Is(err, catalog.ErrNotFound), patience.Err() != nil:
			h.log.Warn(doing+" failed", zap.Error(err))
			return false
		}
		h.log.Warn(doing+" failed, it is tried again", zap.Error(err))
		select {
		case <-patience.Done():
		case <-time.After(delay):
		}
	}
}

// outlive returns a context that ends a while after ctx does.
func outlive(ctx context.Context, while time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(while, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() {
		stop()
		cancel()
	}
}
