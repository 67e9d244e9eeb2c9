package jobs

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
)

// Maintain runs the queue's runner on a resource that is ACTIVE and stays so, under its lease: of several processes one
// does. due decides on the newest state whether there is still anything to do; attempted is written after a success and
// after a failure alike, so that the next attempt comes when the resource is due again. An attempt that was lost, or
// ended with the process, writes nothing.
func (q *Queue[R]) Maintain(ctx context.Context, arn string, due func(R) bool, attempted func(R)) {
	w := q.worker
	log := w.config.Log.With(zap.String("resource", arn))
	lease, err := catalog.Of[R](w.config.Store).Acquire(ctx, arn, w.Owner, w.config.LeaseTTL)
	switch {
	case errors.Is(err, catalog.ErrLeased), errors.Is(err, catalog.ErrDeleting), errors.Is(err, catalog.ErrNotFound):
		return
	case err != nil:
		if ctx.Err() == nil {
			log.Warn("acquiring a resource for its "+q.name+" failed, retrying", zap.Error(err))
		}
		return
	}
	a := &attempt[R]{Queue: q, job: lease.Resource, lease: lease, log: log}
	change := func(R) {}
	if due(a.job) {
		change = a.maintain(ctx, attempted)
	}
	a.write(ctx, "writing the outcome of an automatic "+q.name, change)
}

// maintain runs the runner and returns what to write about it.
func (a *attempt[R]) maintain(ctx context.Context, attempted func(R)) func(R) {
	started, outcome := time.Now(), "active"
	finish, err := a.runWatched(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil || errors.Is(err, ErrLeaseLost):
		return func(R) {}
	default:
		outcome = "failed"
		a.log.Error(a.name+" failed; what is served stays as it was", zap.Error(err))
	}
	a.worker.metrics.observe(a.name, outcome, started)
	return func(r R) {
		if finish != nil {
			finish(r)
		}
		attempted(r)
	}
}
