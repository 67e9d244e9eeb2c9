package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrLeased says that somebody else holds the lease.
	ErrLeased = errors.New("lease is held by another")
	// ErrLeaseLost says that the lease has passed to another holder, or was given back; nothing was changed.
	ErrLeaseLost = errors.New("lease is lost")
)

// Lease says who works on a resource. The epoch rises with every holder, so a holder that slept through its expiry is told
// apart from its successor.
type Lease struct {
	// Owner is empty when the lease was given back.
	Owner   string    `json:"owner,omitempty"`
	Epoch   int64     `json:"epoch"`
	Expires time.Time `json:"expires"`
}

func (l *Lease) heldAt(now time.Time) bool {
	return l != nil && l.Owner != "" && now.Before(l.Expires)
}

// next is the lease of the next holder.
func (l *Lease) next(owner string, expires time.Time) *Lease {
	var epoch int64
	if l != nil {
		epoch = l.Epoch
	}
	return &Lease{Owner: owner, Epoch: epoch + 1, Expires: expires}
}

// Leased says whether anybody holds the resource's lease now.
func (m *Meta) Leased(now time.Time) bool { return m.Lease.heldAt(now) }

// Acquire takes the lease of a resource for ttl, if it is free or expired; else ErrLeased. Only the lease is changed: the
// caller looks at the returned state before it begins.
func Acquire[R Resource](ctx context.Context, s *Store, arn, owner string, ttl time.Duration) (R, int64, error) {
	r, err := update(ctx, s, arn, func(r R) error {
		m := r.Head()
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
		var none R
		return none, 0, err
	}
	return r, r.Head().Lease.Epoch, nil
}

// Held is Update for the lease's holder: it changes nothing and returns ErrLeaseLost once the lease has passed on. A lease that
// expired and that nobody took over still counts as held. UpdatedAt moves only if the status does.
func Held[R Resource](ctx context.Context, s *Store, arn, owner string, epoch int64, change func(R) error) (R, error) {
	return update(ctx, s, arn, func(r R) error {
		m := r.Head()
		if err := m.checkHolder(owner, epoch); err != nil {
			return err
		}
		status := m.Status
		if err := change(r); err != nil {
			return err
		}
		if m.Status != status {
			m.UpdatedAt = s.now()
		}
		return nil
	})
}

// Renew prolongs a held lease to ttl from now.
func Renew(ctx context.Context, s *Store, arn, owner string, epoch int64, ttl time.Duration) error {
	_, err := Held(ctx, s, arn, owner, epoch, func(r Resource) error {
		r.Head().Lease.Expires = s.now().Add(ttl)
		return nil
	})
	return err
}

// Release gives a held lease back, so that the next holder need not wait for its expiry.
func Release(ctx context.Context, s *Store, arn, owner string, epoch int64) error {
	_, err := Held(ctx, s, arn, owner, epoch, func(r Resource) error {
		r.Head().Lease.Owner = ""
		return nil
	})
	return err
}

func (m *Meta) checkHolder(owner string, epoch int64) error {
	if m.Lease == nil || m.Lease.Owner != owner || m.Lease.Epoch != epoch {
		return fmt.Errorf("%w: %s", ErrLeaseLost, m.ARN)
	}
	return nil
}
