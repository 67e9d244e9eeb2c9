package catalog

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/resource"
)

func TestAChildKeepsItsParentFromDeletion(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	group := newGroup("movies")
	must(0, s.Create(ctx, group))(t)
	solution := newSolution(group, "s")
	must(0, s.Create(ctx, solution, Under(group.ARN, anyParent[*DatasetGroup])))(t)

	_, err := s.DatasetGroups.MarkDeleting(ctx, group.ARN, nil)
	var held *HeldError
	if !errors.As(err, &held) || len(held.By) != 1 || held.By[0] != solution.ARN {
		t.Fatalf("got %v, want that %s holds it", err, solution.ARN)
	}
	must(0, s.Delete(ctx, solution))(t)
	must(s.DatasetGroups.MarkDeleting(ctx, group.ARN, nil))(t)
	wantError(t, s.Create(ctx, newSolution(group, "late"), Under(group.ARN, anyParent[*DatasetGroup])), ErrDeleting)
	_, err = s.DatasetGroups.MarkDeleting(ctx, group.ARN, nil)
	wantError(t, err, ErrDeleting)
	wantError(t, s.Create(ctx, newSolution(group, "orphan"), Under(arn(resource.DatasetGroup, "absent"), anyParent[*DatasetGroup])), ErrNotFound)
}

// Whoever comes first, the child has its parent or neither is there.
func TestCreatingAChildRacesDeletingItsParent(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	var created, deleted int
	for round := range 60 {
		group := newGroup(fmt.Sprintf("g%d", round))
		must(0, s.Create(ctx, group))(t)
		solution := newSolution(group, fmt.Sprintf("s%d", round))
		var createErr, deleteErr error
		concurrently(2, func(i int) {
			if i == 0 {
				createErr = s.Create(ctx, solution, Under(group.ARN, anyParent[*DatasetGroup]))
				return
			}
			if _, deleteErr = s.DatasetGroups.MarkDeleting(ctx, group.ARN, nil); deleteErr == nil {
				deleteErr = s.Delete(ctx, group)
			}
		})
		_, groupErr := s.DatasetGroups.Get(ctx, group.ARN)
		_, solutionErr := s.Solutions.Get(ctx, solution.ARN)
		switch {
		case createErr == nil && deleteErr != nil && groupErr == nil && solutionErr == nil:
			created++
		case createErr != nil && deleteErr == nil && groupErr != nil && solutionErr != nil:
			deleted++
		default:
			t.Errorf("round %d: create %v, delete %v, group %v, solution %v", round, createErr, deleteErr, groupErr, solutionErr)
		}
	}
	t.Logf("%d times the child was first, %d times the deletion", created, deleted)
}

func TestAQuotaHoldsUnderConcurrentCreation(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	group := newGroup("movies")
	must(0, s.Create(ctx, group))(t)
	full := errors.New("full")
	var created atomic.Int32
	concurrently(16, func(i int) {
		solution := newSolution(group, fmt.Sprintf("s%d", i))
		err := s.Create(ctx, solution, Under(group.ARN, func(g *DatasetGroup) error {
			if g.Children.Count(resource.Solution, solution.ARN) >= 5 {
				return full
			}
			return nil
		}))
		if err == nil {
			created.Add(1)
		} else if !errors.Is(err, full) {
			t.Error(err)
		}
	})
	if created.Load() != 5 || len(must(s.Solutions.List(ctx))(t)) != 5 {
		t.Errorf("%d created", created.Load())
	}
}

func TestLosersOfANameLeaveTheWinnersReservation(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	group := newGroup("movies")
	must(0, s.Create(ctx, group))(t)
	concurrently(8, func(int) {
		err := s.Create(ctx, newSolution(group, "s"), Under(group.ARN, anyParent[*DatasetGroup]))
		if err != nil && !errors.Is(err, ErrExists) {
			t.Error(err)
		}
	})
	solution := must(s.Solutions.Get(ctx, arn(resource.Solution, "s")))(t)
	children := must(s.DatasetGroups.Get(ctx, group.ARN))(t).Children
	if _, ok := children[solution.ID]; !ok || len(children) != 1 {
		t.Errorf("children %v, want %s", children, solution.ID)
	}
}

func TestAFinishedJobHoldsNothing(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	one := errors.New("one at a time")
	create := func(id string) error {
		return s.Create(ctx, newVersion(id), UnderAccount("000000000000", func(a *Account) error {
			if len(a.Children) > 0 {
				return one
			}
			return nil
		}))
	}
	must(0, create("00000001"))(t)
	wantError(t, create("00000002"), one)
	must(s.SolutionVersions.Update(ctx, arn(resource.SolutionVersion, "s/00000001"), func(v *SolutionVersion) error { v.Fail("no data"); return nil }))(t)
	must(0, create("00000003"))(t)
}

func TestRepairSweepsWhatADeadCreatorReserved(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	view := NewView(s, nil, nil)
	group := newGroup("movies")
	must(0, s.Create(ctx, group))(t)
	ghost := newSolution(group, "ghost")
	s.prepare(t.Context(), ghost)
	must(0, s.reserve(ctx, Under(group.ARN, anyParent[*DatasetGroup]), ghost.Meta()))(t)

	if repaired := must(s.Repair(ctx, view))(t); repaired != 0 {
		t.Error("a reservation that is young was swept")
	}
	var held *HeldError
	if _, err := s.DatasetGroups.MarkDeleting(ctx, group.ARN, nil); !errors.As(err, &held) {
		t.Errorf("a group was deleted under a creation on its way: %v", err)
	}
	s.reservationTTL = 0
	if repaired := must(s.Repair(ctx, view))(t); repaired != 1 {
		t.Error("an old reservation without child was not swept")
	}
	if children := must(s.DatasetGroups.Get(ctx, group.ARN))(t).Children; len(children) != 0 {
		t.Errorf("left: %v", children)
	}
}

// A creator sleeps between reservation and creation, and its parent is deleted meanwhile.
func TestRepairRemovesTheChildOfACreatorThatSlept(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	view := NewView(s, nil, nil)
	group := newGroup("movies")
	must(0, s.Create(ctx, group))(t)
	place := Under(group.ARN, anyParent[*DatasetGroup])
	kept := newSolution(group, "kept")
	must(0, s.Create(ctx, kept, place))(t)
	orphan := newSolution(group, "orphan")
	s.prepare(t.Context(), orphan)
	orphan.Parents = []string{group.ARN}
	must(0, s.create(ctx, orphan))(t)

	if is := must(s.Orphaned(ctx, orphan))(t); !is {
		t.Error("the orphan was not recognised")
	}
	if repaired := must(s.Repair(ctx, view))(t); repaired != 1 {
		t.Errorf("%d repaired", repaired)
	}
	_, err := s.Solutions.Get(ctx, orphan.ARN)
	wantError(t, err, ErrNotFound)
	must(s.Solutions.Get(ctx, kept.ARN))(t)
}

func TestALateCreatorTakesItsChildBack(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	group := newGroup("movies")
	must(0, s.Create(ctx, group))(t)
	s.reservationTTL = time.Nanosecond // every creation is late
	sweeping := Under(group.ARN, anyParent[*DatasetGroup])
	second := newGroup("second")
	must(0, s.Create(ctx, second))(t)
	deleteFirst := Under(second.ARN, func(*DatasetGroup) error {
		_, err := s.DatasetGroups.MarkDeleting(ctx, group.ARN, nil)
		return err
	})
	err := s.Create(ctx, newSolution(group, "s"), sweeping, deleteFirst)
	wantError(t, err, ErrDeleting)
	_, err = s.Solutions.Get(ctx, arn(resource.Solution, "s"))
	wantError(t, err, ErrNotFound)
}
