package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrLeased means that another process holds the lease.
	ErrLeased = errors.New("lease is held by another")
	// ErrLeaseLost means that the lease has passed to another holder, or was released; nothing was changed.
	ErrLeaseLost = errors.New("lease is lost")
)

// Lease records which process works on a resource. The epoch rises with every holder, which distinguishes a holder that
// slept through its expiry from its successor.
type Lease struct {
	// Owner is empty after a release.
	Owner   string    `json:"owner,omitempty"`
	Epoch   int64     `json:"epoch"`
	Expires time.Time `json:"expires"`
}

func (l *Lease) heldAt(now time.Time) bool {
	return l != nil && l.Owner != "" && now.Before(l.Expires)
}

// next returns the lease of the next holder.
func (l *Lease) next(owner string, expires time.Time) *Lease {
	var epoch int64
	if l != nil {
		epoch = l.Epoch
	}
	return &Lease{Owner: owner, Epoch: epoch + 1, Expires: expires}
}

// Leased reports whether any process holds the resource's lease now.
func (m *Metadata) Leased(now time.Time) bool { return m.Lease.heldAt(now) }

// Held is a lease that this process has acquired. Every write through it fails with ErrLeaseLost once another process
// has acquired the lease. An expired lease that no other process has acquired still counts as held.
type Held[R Resource] struct {
	table Table[R]
	// Resource is the resource's state when the lease was acquired. Check it before you begin: only the lease has
	// changed.
	Resource R
	arn      string
	owner    string
	epoch    int64
}

// Acquire acquires the lease of a resource for ttl, if it is free or expired; else it returns ErrLeased.
func (t Table[R]) Acquire(ctx context.Context, arn, owner string, ttl time.Duration) (*Held[R], error) {
	s := t.store
	r, err := t.update(ctx, arn, func(r R) error {
		m := r.Meta()
		if m.Deleting() {
			return fmt.Errorf("%w: %s", ErrDeleting, arn)
		}
		if m.Lease.heldAt(s.now()) {
			return fmt.Errorf("%w: %s until %s", ErrLeased, arn, m.Lease.Expires.Format(time.RFC3339))
		}
		m.Lease = m.Lease.next(owner, s.now().Add(ttl))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t.Held(r), nil
}

// Held returns the handle of the lease that a resource was read under.
func (t Table[R]) Held(r R) *Held[R] {
	h := &Held[R]{table: t, Resource: r, arn: r.Meta().ARN}
	if lease := r.Meta().Lease; lease != nil {
		h.owner, h.epoch = lease.Owner, lease.Epoch
	}
	return h
}

// Epoch counts the holders of the lease, from 1.
func (h *Held[R]) Epoch() int64 { return h.epoch }

// Update is Table.Update for the lease's holder. UpdatedAt moves only if the status does.
func (h *Held[R]) Update(ctx context.Context, change func(R) error) (R, error) {
	return h.table.update(ctx, h.arn, func(r R) error {
		m := r.Meta()
		if m.Lease == nil || m.Lease.Owner != h.owner || m.Lease.Epoch != h.epoch || h.owner == "" {
			return fmt.Errorf("%w: %s", ErrLeaseLost, m.ARN)
		}
		status := m.Status
		if err := change(r); err != nil {
			return err
		}
		if m.Status != status {
			m.UpdatedAt = h.table.store.now()
		}
		return nil
	})
}

// Renew prolongs the lease to ttl from now, in one write with change (which may be nil).
func (h *Held[R]) Renew(ctx context.Context, ttl time.Duration, change func(R) error) (R, error) {
	return h.Update(ctx, func(r R) error {
		r.Meta().Lease.Expires = h.table.store.now().Add(ttl)
		if change == nil {
			return nil
		}
		return change(r)
	})
}

// Release ends the lease before its expiry, in one write with change (which may be nil).
func (h *Held[R]) Release(ctx context.Context, change func(R) error) error {
	_, err := h.Update(ctx, func(r R) error {
		r.Meta().Lease.Owner = ""
		if change == nil {
			return nil
		}
		return change(r)
	})
	return err
}
