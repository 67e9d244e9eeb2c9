package crud

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// CreatePending is the Pending of resources that only have to be activated.
func CreatePending[R catalog.Resource](r R) bool {
	return r.Meta().Status == status.CreatePending
}

// Activator returns the Reconcile of resources that only have to be activated.
func Activator[R catalog.Resource](e *Env) func(context.Context, R) error {
	return func(ctx context.Context, r R) error { return Activate(ctx, e, r) }
}

// Activate completes the creation of a resource: it becomes ACTIVE if it is still CREATE PENDING.
func Activate(ctx context.Context, e *Env, r catalog.Resource) error {
	m := r.Meta()
	if m.Status != status.CreatePending {
		return nil
	}
	_, err := e.Store.Update(ctx, m.ARN, func(r catalog.Resource) error {
		if r.Meta().ID != m.ID || r.Meta().Status != status.CreatePending {
			return ErrOvertaken
		}
		r.Meta().Status = status.Active
		return nil
	})
	return IgnoreOvertaken(err)
}

// ErrOvertaken ends an update that another replica has made.
var ErrOvertaken = errors.New("already done")

// IgnoreOvertaken returns nil for ErrOvertaken, and any other error as it is.
func IgnoreOvertaken(err error) error {
	if errors.Is(err, ErrOvertaken) {
		return nil
	}
	return err
}

// ErrWaiting ends a reconciliation that waits for another process: a deletion for a training to stop.
var ErrWaiting = errors.New("waiting for a training to stop")
