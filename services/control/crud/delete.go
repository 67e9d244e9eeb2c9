package crud

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/catalog"
)

// MarkDeleting begins the deletion of the resource whose ARN is given in a member of the request, if the rules approve
// of it. The reconciler completes it.
func MarkDeleting[R catalog.Resource](ctx context.Context, e *Env, member, arn string, rules ...func(R) error) error {
	if _, err := Find[R](ctx, e, member, arn); err != nil {
		return err
	}
	_, err := catalog.Of[R](e.Store).MarkDeleting(ctx, arn, func(r R) error {
		if err := validateSettled(r.Meta()); err != nil {
			return err
		}
		return all(rules)(r)
	})
	if errors.Is(err, catalog.ErrNotFound) {
		return NotFound(arn)
	}
	return err
}

// Delete completes the deletion of a resource: first what it owns, which cleanup (nil: nothing) deletes, then itself.
// The catalog lets one replica at a time do it.
func Delete[R catalog.Resource](ctx context.Context, e *Env, r R, cleanup func(context.Context, R) error) error {
	return e.Store.DeleteAfter(ctx, r, func(ctx context.Context, r catalog.Resource) error {
		if cleanup == nil {
			return nil
		}
		return cleanup(ctx, r.(R))
	})
}

// DeleteAll deletes the resources of a type that match selects, and that own nothing, such as the finished jobs of a
// parent that is being deleted.
func DeleteAll[R catalog.Resource](ctx context.Context, e *Env, match func(R) bool) error {
	found, err := catalog.Of[R](e.Store).List(ctx)
	if err != nil {
		return err
	}
	for _, r := range found {
		if match(r) {
			if err := e.Store.Delete(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}
