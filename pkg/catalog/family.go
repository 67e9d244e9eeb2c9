package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// A family: how a child is never left without its parent, though the two are separate objects.
//
// Creating a child: (1) a reservation is written into each parent by compare-and-swap, after the parent's rules were
// checked on the state that is swapped; (2) the child is created. Deleting a parent: one compare-and-swap to DELETE
// PENDING, refused while a reservation exists. Both go through the parent's etag, so one of them sees the other.
//
// A creator that dies between (1) and (2) leaves a reservation without child; it is swept once it is older than a
// creation may take. A creator that was only asleep then makes its child without reservation: it notices by its own
// clock and takes the child back, and if it dies before it could, Repair finds a child that no parent knows, and
// removes it. Until then such a child is no more than CREATE PENDING, since control looks for the reservation before it
// makes anything of it (Orphaned).
//
// Deleting a child releases the reservations before the object goes, so that a client who saw the child gone can delete
// the parent at once. Jobs hold their parents only until they have finished: their reservations are swept by the next
// one.

// Child is a reservation in a parent.
type Child struct {
	ARN string `json:"arn"`
	// At is the time of the reservation.
	At time.Time `json:"at"`
}

// Children are a parent's reservations by the child's Metadata.ID: creators that race for one name hold one each.
type Children map[string]Child

// Count returns the number of different ARNs of a type, except one: that of the child about to be created.
func (c Children) Count(kind, without string) int {
	arns := map[string]bool{}
	for _, child := range c {
		if child.ARN != without && resource.TypeOf(child.ARN) == kind {
			arns[child.ARN] = true
		}
	}
	return len(arns)
}

// Place is one parent that a new resource goes under.
type Place struct {
	arn   string
	allow func(Resource) error
	// create makes a missing parent. Only accounts can be missing.
	create func() Resource
}

// Under names a parent and the rule that must hold in it. The rule is checked on the state that the reservation is
// written to, and its error is returned as it is.
func Under[P Resource](arn string, allow func(P) error) Place {
	return Place{arn: arn, allow: func(r Resource) error {
		parent, ok := r.(P)
		if !ok {
			return fmt.Errorf("%w: %s is of another type", ErrNotFound, arn)
		}
		return allow(parent)
	}}
}

// UnderAccount is Under for what is limited for the whole account.
func UnderAccount(account string, allow func(*Account) error) Place {
	arn := resource.AccountARN(account)
	place := Under(arn, allow)
	place.create = func() Resource { return &Account{Metadata: Metadata{ARN: arn, Name: account, Status: status.Active}} }
	return place
}

// Create stores a new resource under its parents, if it has any. Of r's Metadata, ARN, Name and Status must be set;
// Create fills in the rest. Of several concurrent creations of one ARN exactly one succeeds, the others get ErrExists.
// Create returns ErrDeleting if a parent is being deleted, ErrNotFound if a parent does not exist, or the error of a
// place's rule; then nothing was created.
func (s *Store) Create(ctx context.Context, r Resource, places ...Place) error {
	s.prepare(ctx, r)
	m := r.Meta()
	for _, place := range places {
		m.Parents = append(m.Parents, place.arn)
	}
	started := time.Now()
	for i, place := range places {
		if err := s.reserve(ctx, place, m); err != nil {
			s.releaseAll(ctx, places[:i+1], m.ID)
			return err
		}
	}
	if err := s.create(ctx, r); err != nil {
		if errors.Is(err, ErrExists) {
			s.releaseAll(ctx, places, m.ID)
			return err
		}
		// The object may be there. The reservations stay until a sweep knows.
		return err
	}
	if len(places) == 0 || time.Since(started) < s.reservationTTL/2 {
		return nil
	}
	// So late that the reservations may have been swept.
	if removed, err := s.RemoveOrphan(ctx, m.ARN); err != nil {
		return err
	} else if removed {
		return fmt.Errorf("%w: creating %s took too long", ErrDeleting, m.ARN)
	}
	return nil
}

// Attach reserves one more parent for a child that exists, or renews the reservation. The caller then adds the parent
// to the child's Parents; a reservation whose child does not name the parent is swept when it is old.
func (s *Store) Attach(ctx context.Context, child *Metadata, place Place) error {
	return s.reserve(ctx, place, child)
}

// Detach releases the reservation in a former parent, after the child's Parents no longer name it.
func (s *Store) Detach(ctx context.Context, child *Metadata, parentARN string) error {
	return s.release(ctx, parentARN, child.ID)
}

func (s *Store) reserve(ctx context.Context, place Place, child *Metadata) error {
	reserve := func() error {
		_, err := s.update(ctx, place.arn, func(parent Resource) error {
			m := parent.Meta()
			if err := s.sweep(ctx, m, finishing); err != nil {
				return err
			}
			if err := place.allow(parent); err != nil {
				return err
			}
			if m.Deleting() {
				return fmt.Errorf("%w: %s", ErrDeleting, m.ARN)
			}
			if m.Children == nil {
				m.Children = Children{}
			}
			m.Children[child.ID] = Child{ARN: child.ARN, At: s.now()}
			return nil
		})
		return err
	}
	err := reserve()
	if errors.Is(err, ErrNotFound) && place.create != nil {
		if err := s.Create(ctx, place.create()); err != nil && !errors.Is(err, ErrExists) {
			return err
		}
		err = reserve()
	}
	return err
}

// releaseAll releases the reservations of a failed creation as far as it can: the rest is swept later.
func (s *Store) releaseAll(ctx context.Context, places []Place, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, place := range places {
		if err := s.release(ctx, place.arn, id); err != nil {
			s.log.Warn("releasing a reservation failed, it stays until it is swept", zap.String("parent", place.arn), zap.Error(err))
		}
	}
}

func (s *Store) release(ctx context.Context, parent, id string) error {
	_, err := s.update(ctx, parent, func(r Resource) error {
		m := r.Meta()
		if _, ok := m.Children[id]; !ok {
			return errUnchanged
		}
		delete(m.Children, id)
		return nil
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("releasing a reservation in %s: %w", parent, err)
	}
	return nil
}

// finishing reports whether resources of the ARN's type hold their parents only until they have finished.
func finishing(arn string) bool {
	switch resource.TypeOf(arn) {
	case resource.DatasetImportJob, resource.DatasetExportJob, resource.DataDeletionJob, resource.BatchInferenceJob, resource.BatchSegmentJob, resource.SolutionVersion:
		return true
	}
	return false
}

// Sweep drops the reservations of finished jobs from a parent that was read, without writing it. The rest is what a
// rule of Under will see.
func (s *Store) Sweep(ctx context.Context, parent Resource) error {
	return s.sweep(ctx, parent.Meta(), finishing)
}

// sweep drops reservations without a child, among those that filter selects.
func (s *Store) sweep(ctx context.Context, parent *Metadata, filter func(arn string) bool) error {
	for id, child := range parent.Children {
		if !filter(child.ARN) {
			continue
		}
		holds, err := s.holds(ctx, parent.ARN, id, child)
		if err != nil {
			return err
		}
		if !holds {
			delete(parent.Children, id)
		}
	}
	return nil
}

// holds reports whether a reservation has a child, or is young enough for its child to be still under creation.
func (s *Store) holds(ctx context.Context, parentARN, id string, child Child) (bool, error) {
	r, err := s.Get(ctx, child.ARN)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	if err != nil || r.Meta().ID != id || !slices.Contains(r.Meta().Parents, parentARN) {
		return s.now().Sub(child.At) < s.reservationTTL, nil
	}
	return !finishing(child.ARN) || !r.Meta().Finished(), nil
}

// HeldError lists the resources that keep another one from being deleted.
type HeldError struct {
	ARN string
	By  []string
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is in use by %s", e.ARN, strings.Join(e.By, ", "))
}

// MarkDeleting moves a resource to DELETE PENDING if allow (may be nil) approves and no child holds it; else
// *HeldError, or ErrDeleting if it is so already. From then on no child can be created under it.
func (t Table[R]) MarkDeleting(ctx context.Context, arn string, allow func(R) error) (R, error) {
	return t.Update(ctx, arn, func(r R) error {
		m := r.Meta()
		if m.Deleting() {
			return fmt.Errorf("%w: %s", ErrDeleting, arn)
		}
		if allow != nil {
			if err := allow(r); err != nil {
				return err
			}
		}
		if err := t.store.mustBeUnheld(ctx, m); err != nil {
			return err
		}
		m.Status = status.DeletePending
		return nil
	})
}

// DeleteUnused is Delete for a resource that no child may hold; else *HeldError.
func (s *Store) DeleteUnused(ctx context.Context, arn string) error {
	unheld := func(r Resource) error { return s.mustBeUnheld(ctx, r.Meta()) }
	return s.deleteIf(ctx, arn, unheld, func(context.Context, Resource) error { return nil })
}

func (s *Store) mustBeUnheld(ctx context.Context, m *Metadata) error {
	if err := s.sweep(ctx, m, func(string) bool { return true }); err != nil {
		return err
	}
	if len(m.Children) == 0 {
		return nil
	}
	held := &HeldError{ARN: m.ARN}
	for _, child := range m.Children {
		held.By = append(held.By, child.ARN)
	}
	slices.Sort(held.By)
	return held
}

// Orphaned reports whether a resource that is being created has no reservation in one of its parents. It must not be
// used then, and RemoveOrphan removes it.
func (s *Store) Orphaned(ctx context.Context, r Resource) (bool, error) {
	m := r.Meta()
	if !m.beingCreated() {
		return false, nil
	}
	for _, arn := range m.Parents {
		parent, err := s.Get(ctx, arn)
		if errors.Is(err, ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if _, ok := parent.Meta().Children[m.ID]; !ok {
			return true, nil
		}
	}
	return false, nil
}

// RemoveOrphan deletes a resource if it is an orphan. A resource that gets another parent meanwhile is left alone,
// because that changes it.
func (s *Store) RemoveOrphan(ctx context.Context, arn string) (bool, error) {
	orphanOnly := func(r Resource) error {
		orphaned, err := s.Orphaned(ctx, r)
		if err == nil && !orphaned {
			err = errKept
		}
		return err
	}
	err := s.deleteIf(ctx, arn, orphanOnly, func(context.Context, Resource) error { return nil })
	if errors.Is(err, errKept) {
		return false, nil
	}
	return err == nil, err
}

var errKept = errors.New("has its parents")

// Repair sweeps stale reservations, removes orphans, and returns the number of resources that it changed. It checks
// every resource of the view, and reads from the bucket only those that look wrong.
func (s *Store) Repair(ctx context.Context, v *View) (int, error) {
	repaired := 0
	var failed error
	for _, r := range v.snapshot() {
		changed, err := s.repair(ctx, v, r.Meta())
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("repairing %s: %w", r.Meta().ARN, err))
		}
		if changed {
			repaired++
		}
	}
	return repaired, failed
}

func (s *Store) repair(ctx context.Context, v *View, m *Metadata) (bool, error) {
	for _, arn := range m.Parents {
		parent, ok := v.lookup(arn)
		if m.beingCreated() && (!ok || !hasChild(parent, m.ID)) {
			return s.RemoveOrphan(ctx, m.ARN)
		}
	}
	for id, child := range m.Children {
		known, ok := v.lookup(child.ARN)
		suspect := !ok || known.Meta().ID != id || !slices.Contains(known.Meta().Parents, m.ARN)
		if suspect && s.now().Sub(child.At) >= s.reservationTTL {
			return s.sweepNow(ctx, m.ARN)
		}
	}
	return false, nil
}

func hasChild(parent Resource, id string) bool {
	_, ok := parent.Meta().Children[id]
	return ok
}

func (s *Store) sweepNow(ctx context.Context, arn string) (bool, error) {
	swept := false
	_, err := s.update(ctx, arn, func(r Resource) error {
		m := r.Meta()
		before := len(m.Children)
		if err := s.sweep(ctx, m, func(string) bool { return true }); err != nil {
			return err
		}
		swept = len(m.Children) < before
		if !swept {
			return errUnchanged
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return swept, err
}
