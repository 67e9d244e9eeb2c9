package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// deleteLease is how long a deletion is one process's alone without a sign of life from it. The object itself is removed
	// within deleteWithin after such a sign: the difference is the margin for clocks and for a request on its way.
	deleteLease  = 60 * time.Second
	deleteWithin = 15 * time.Second
)

// Delete removes a resource, after it gave back the resource's reservations in its parents. A resource that is already gone is
// no error, nor is one that was made again under its name since r was read: that one stays. ErrLeased means that another
// process is at it.
func Delete(ctx context.Context, s *Store, r Resource) error {
	return DeleteAfter(ctx, s, r, func(context.Context, Resource) error { return nil })
}

// DeleteAfter is Delete for a resource that owns more than its object: cleanup removes the rest first. Only one process at a time
// is in a cleanup of the resource, for as long as its context lives; cleanup must bear to be called again after a failure. The
// resource is DELETE IN_PROGRESS meanwhile.
func DeleteAfter(ctx context.Context, s *Store, r Resource, cleanup func(context.Context, Resource) error) error {
	sameOnly := func(now Resource) error {
		if now.Head().ID != r.Head().ID {
			return fmt.Errorf("%w: %s as it was read; it was made again", ErrNotFound, now.Head().ARN)
		}
		return nil
	}
	return deleteIf(ctx, s, r.Head().ARN, sameOnly, cleanup)
}

// deleteIf removes a resource if allow approves of its state at the moment of the claim.
func deleteIf(ctx context.Context, s *Store, arn string, allow func(Resource) error, cleanup func(context.Context, Resource) error) error {
	owner := newNonce()
	r, err := s.claim(ctx, arn, owner, allow)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	epoch := r.Head().Lease.Epoch
	if err := s.cleanUp(ctx, r, owner, epoch, cleanup); err != nil {
		// Whoever tries again need not wait for the lease to expire.
		_ = Release(context.WithoutCancel(ctx), s, arn, owner, epoch)
		return fmt.Errorf("deleting %s: %w", arn, err)
	}
	return s.remove(ctx, r, owner, epoch)
}

// claim marks a resource as DELETE IN_PROGRESS and leases it to its deleter. A worker that held the lease loses it.
func (s *Store) claim(ctx context.Context, arn, owner string, allow func(Resource) error) (Resource, error) {
	return update(ctx, s, arn, func(r Resource) error {
		if err := allow(r); err != nil {
			return err
		}
		m := r.Head()
		if m.Status == StatusDeleteInProgress && m.Lease.heldAt(s.now()) {
			return fmt.Errorf("%w: %s is being deleted", ErrLeased, arn)
		}
		m.Lease = m.Lease.next(owner, s.now().Add(deleteLease))
		m.Status, m.UpdatedAt = StatusDeleteInProgress, s.now()
		return nil
	})
}

// cleanUp runs a cleanup for as long as the lease is held.
func (s *Store) cleanUp(ctx context.Context, r Resource, owner string, epoch int64, cleanup func(context.Context, Resource) error) error {
	done := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(done)
		return cleanup(ctx, r)
	})
	group.Go(func() error {
		ticker := time.NewTicker(deleteLease / 4)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return nil
			case <-ticker.C:
				if err := Renew(ctx, s, r.Head().ARN, owner, epoch, deleteLease); err != nil {
					return err
				}
			}
		}
	})
	return group.Wait()
}

// remove takes the object away. The reservations go first: whoever sees the object gone may at once delete the parent.
func (s *Store) remove(ctx context.Context, r Resource, owner string, epoch int64) error {
	m := r.Head()
	for _, parent := range m.Parents {
		if err := s.release(ctx, parent, m.ID); err != nil {
			return err
		}
	}
	key, err := keyOf(m.ARN)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deleteWithin)
	defer cancel()
	if err := Renew(ctx, s, m.ARN, owner, epoch, deleteLease); err != nil {
		return fmt.Errorf("deleting %s: %w", m.ARN, err)
	}
	if err := s.bucket.Delete(ctx, key); err != nil {
		return fmt.Errorf("deleting %s: %w", m.ARN, err)
	}
	s.observed(r, true)
	m.Revision += 2
	s.notify(ctx, m, true)
	return nil
}
