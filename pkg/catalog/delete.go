package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/resource/status"
)

const (
	// deleteLease bounds how long a deletion belongs to one process without a renewal. The object itself is removed
	// within deleteWithin of a renewal: the difference is the margin for clocks and for a request on its way.
	deleteLease  = 60 * time.Second
	deleteWithin = 15 * time.Second
)

// Delete removes a resource, after it has released the resource's reservations in its parents. It returns nil if the
// resource is already gone, and also if another one has been created under its name since r was read: that one stays.
// ErrLeased means that another process is deleting the resource.
func (s *Store) Delete(ctx context.Context, r Resource) error {
	return s.DeleteAfter(ctx, r, func(context.Context, Resource) error { return nil })
}

// DeleteAfter is Delete for a resource that owns more than its object: cleanup removes the rest first. Only one process
// at a time is in a cleanup of the resource, until its context ends; cleanup must be idempotent, because it is called
// again after a failure. The resource is DELETE IN_PROGRESS meanwhile.
func (s *Store) DeleteAfter(ctx context.Context, r Resource, cleanup func(context.Context, Resource) error) error {
	sameOnly := func(now Resource) error {
		if now.Meta().ID != r.Meta().ID {
			return fmt.Errorf("%w: %s as it was read; another one was created under the name", ErrNotFound, now.Meta().ARN)
		}
		return nil
	}
	return s.deleteIf(ctx, r.Meta().ARN, sameOnly, cleanup)
}

// deleteIf removes a resource if allow approves of its state at the moment of the claim.
func (s *Store) deleteIf(ctx context.Context, arn string, allow func(Resource) error, cleanup func(context.Context, Resource) error) error {
	held, err := s.claim(ctx, arn, allow)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := cleanUp(ctx, held, cleanup); err != nil {
		// A retry need not wait for the lease to expire.
		_ = held.Release(context.WithoutCancel(ctx), nil)
		return fmt.Errorf("deleting %s: %w", arn, err)
	}
	return s.remove(ctx, held)
}

// claim marks a resource as DELETE IN_PROGRESS and leases it to its deleter. A worker that held the lease loses it.
func (s *Store) claim(ctx context.Context, arn string, allow func(Resource) error) (*Held[Resource], error) {
	owner := rand.Text()
	r, err := s.update(ctx, arn, func(r Resource) error {
		if err := allow(r); err != nil {
			return err
		}
		m := r.Meta()
		if m.Status == status.DeleteInProgress && m.Lease.heldAt(s.now()) {
			return fmt.Errorf("%w: %s is being deleted", ErrLeased, arn)
		}
		m.Lease = m.Lease.next(owner, s.now().Add(deleteLease))
		m.Status, m.UpdatedAt = status.DeleteInProgress, s.now()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return Of[Resource](s).Held(r), nil
}

// cleanUp runs a cleanup for as long as the lease is held.
func cleanUp(ctx context.Context, held *Held[Resource], cleanup func(context.Context, Resource) error) error {
	done := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(done)
		return cleanup(ctx, held.Resource)
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
				if _, err := held.Renew(ctx, deleteLease, nil); err != nil {
					return err
				}
			}
		}
	})
	return group.Wait()
}

// remove deletes the object. The reservations go first: a client that sees the object gone may at once delete the
// parent.
func (s *Store) remove(ctx context.Context, held *Held[Resource]) error {
	m := held.Resource.Meta()
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
	if _, err := held.Renew(ctx, deleteLease, nil); err != nil {
		return fmt.Errorf("deleting %s: %w", m.ARN, err)
	}
	if err := s.bucket.Delete(ctx, key); err != nil {
		return fmt.Errorf("deleting %s: %w", m.ARN, err)
	}
	s.observed(held.Resource, true)
	m.Revision += 2
	s.notify(ctx, m, true)
	return nil
}
