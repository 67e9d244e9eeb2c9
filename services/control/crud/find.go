package crud

import (
	"context"
	"errors"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// Find reads the resource whose ARN is given in a member of the request.
func Find[R catalog.Resource](ctx context.Context, e *Env, member, arn string) (R, error) {
	var none R
	if err := ValidateType(member, arn, catalog.TypeFor[R]()); err != nil {
		return none, err
	}
	return Get[R](ctx, e, arn)
}

// Get is Find for an ARN whose type is known.
func Get[R catalog.Resource](ctx context.Context, e *Env, arn string) (R, error) {
	if IsHidden(arn) {
		var none R
		return none, NotFound(arn)
	}
	r, err := catalog.Of[R](e.Store).Get(ctx, arn)
	if errors.Is(err, catalog.ErrNotFound) {
		return r, NotFound(arn)
	}
	return r, err
}

const (
	// createdTimeout bounds the wait for a resource that was just created, createdPoll is how often it is read.
	createdTimeout = 2 * time.Second
	createdPoll    = 20 * time.Millisecond
)

// FindCreated is Find for a resource that requests use as soon as they have its ARN, as Amazon's samples do with
// solutions and datasets: it gives the reconciler a moment to make the resource ACTIVE.
func FindCreated[R catalog.Resource](ctx context.Context, e *Env, member, arn string) (R, error) {
	r, err := Find[R](ctx, e, member, arn)
	deadline := time.Now().Add(createdTimeout)
	for err == nil && r.Meta().Status == status.CreatePending && time.Now().Before(deadline) {
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(createdPoll):
			r, err = Find[R](ctx, e, member, arn)
		}
	}
	return r, err
}

// ValidateType refuses an ARN of another type.
func ValidateType(member, arn, kind string) error {
	if resource.TypeOf(arn) != kind {
		return awsapi.InvalidInput("%s is not the ARN of a %s: %s", member, kind, arn)
	}
	return nil
}

// checkNameFree refuses an ARN that a resource has.
func checkNameFree(ctx context.Context, e *Env, arn string) error {
	_, err := e.Store.Get(ctx, arn)
	switch {
	case err == nil:
		return AlreadyExists(arn)
	case errors.Is(err, catalog.ErrNotFound):
		return nil
	}
	return err
}

// ValidateActive refuses a resource that cannot be built upon yet, or no longer.
func ValidateActive[R catalog.Resource](r R) error {
	m := r.Meta()
	if m.Status != status.Active {
		return awsapi.ResourceInUse("Resource %s is %s, it must be ACTIVE", m.ARN, m.Status)
	}
	return nil
}

// validateSettled refuses a resource that is on its way to another state.
func validateSettled(m *catalog.Metadata) error {
	switch m.Status {
	case status.CreatePending, status.CreateInProgress, status.CreateStopping,
		status.StopPending, status.StopInProgress, status.StartPending, status.StartInProgress,
		status.DeletePending, status.DeleteInProgress:
		return awsapi.ResourceInUse("Resource %s is %s", m.ARN, m.Status)
	}
	return nil
}
