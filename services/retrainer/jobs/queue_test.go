package jobs_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

// start runs trainings with a runner until the test ends, or stop is called.
func start(i *retrainertest.Installation, change func(*jobs.Config), run jobs.Runner[*catalog.SolutionVersion]) (stop func()) {
	i.Helper()
	return retrainertest.Run(i, i.Worker(change), "training", run)
}

// endless works until its context ends.
func endless(ctx context.Context, _ *catalog.SolutionVersion, report func(float64)) (func(*catalog.SolutionVersion), error) {
	report(0.5)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestProgressIsShownAndAStoppedJobStops(t *testing.T) {
	t.Parallel()
	i := retrainertest.Install(t)
	v := i.Version(i.Solution("taste", "aws-sims", nil), "00000001")
	start(i, nil, endless)
	i.Until(v, "progress is shown", func(v *catalog.SolutionVersion) bool {
		return v.Status == status.CreateInProgress && v.Progress == 0.5 && !v.ExpectedEnd.IsZero()
	})
	_, err := i.Store.SolutionVersions.Update(t.Context(), v.ARN, func(v *catalog.SolutionVersion) error {
		v.Status = status.CreateStopping
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := i.Ends(v); v.Status != status.CreateStopped || !v.ExpectedEnd.IsZero() {
		t.Errorf("status %s, expected to end at %v", v.Status, v.ExpectedEnd)
	}
}

func TestAJobOfAnEndedProcessIsHandedBackAndTakenAtOnce(t *testing.T) {
	t.Parallel()
	i := retrainertest.Install(t)
	v := i.Version(i.Solution("taste", "aws-sims", nil), "00000001")
	stop := start(i, func(c *jobs.Config) { c.LeaseTTL = time.Hour }, endless)
	i.Until(v, "it runs", func(v *catalog.SolutionVersion) bool { return v.Status == status.CreateInProgress })
	stop()
	i.Until(v, "it is handed back", func(v *catalog.SolutionVersion) bool { return v.Status == status.CreatePending })

	start(i, nil, func(context.Context, *catalog.SolutionVersion, func(float64)) (func(*catalog.SolutionVersion), error) {
		return func(v *catalog.SolutionVersion) { v.ModelID = "done" }, nil
	})
	if v := i.Ends(v); v.Status != status.Active || v.ModelID != "done" {
		t.Errorf("%s %s", v.Status, v.ModelID)
	}
}

func TestAJobOfADeadProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	i := retrainertest.Install(t)
	v := i.Version(i.Solution("taste", "aws-sims", nil), "00000001")
	// What a process leaves behind that was killed.
	dead, err := i.Store.SolutionVersions.Acquire(t.Context(), v.ARN, "dead", 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Update(t.Context(), func(v *catalog.SolutionVersion) error {
		v.Status = status.CreateInProgress
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	start(i, nil, func(context.Context, *catalog.SolutionVersion, func(float64)) (func(*catalog.SolutionVersion), error) {
		return nil, nil
	})
	if v := i.Ends(v); v.Status != status.Active || v.Lease.Epoch != 2 {
		t.Errorf("%s in epoch %d", v.Status, v.Lease.Epoch)
	}
}

func TestAWorkerThatLostItsLeaseChangesNothing(t *testing.T) {
	t.Parallel()
	i := retrainertest.Install(t)
	v := i.Version(i.Solution("taste", "aws-sims", nil), "00000001")
	ended := make(chan struct{})
	start(i, nil, func(ctx context.Context, v *catalog.SolutionVersion, _ func(float64)) (func(*catalog.SolutionVersion), error) {
		defer close(ended)
		// Another worker, which believed this one dead.
		_, err := i.Store.SolutionVersions.Update(ctx, v.ARN, func(v *catalog.SolutionVersion) error {
			v.Lease = &catalog.Lease{Owner: "successor", Epoch: v.Lease.Epoch + 1, Expires: time.Now().Add(time.Hour)}
			return nil
		})
		return func(v *catalog.SolutionVersion) { v.ModelID = "late" }, err
	})
	<-ended
	time.Sleep(100 * time.Millisecond) // the time in which it would do harm
	now, err := i.Store.SolutionVersions.Get(t.Context(), v.ARN)
	if err != nil {
		t.Fatal(err)
	}
	if now.Status != status.CreateInProgress || now.ModelID != "" || now.Lease.Owner != "successor" {
		t.Errorf("the old worker wrote: %s %q, lease of %s", now.Status, now.ModelID, now.Lease.Owner)
	}
}

func TestABrokenJobIsTriedAgainAFewTimes(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func() error{
		"error": func() error { return errors.New("the secret cause") },
		"panic": func() error { panic("the secret cause") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := retrainertest.Install(t)
			v := i.Version(i.Solution("taste", "aws-sims", nil), "00000001")
			quick := func(c *jobs.Config) { c.Attempts, c.LeaseTTL = 3, 100*time.Millisecond }
			var attempts atomic.Int64
			start(i, quick, func(context.Context, *catalog.SolutionVersion, func(float64)) (func(*catalog.SolutionVersion), error) {
				attempts.Add(1)
				return nil, breaks()
			})
			v = i.Ends(v)
			if v.Status != status.CreateFailed || attempts.Load() != 3 || strings.Contains(v.FailureReason, "secret") || v.FailureReason == "" {
				t.Errorf("%s after %d attempts: %q", v.Status, attempts.Load(), v.FailureReason)
			}
		})
	}
}

func TestAJobThatKillsItsWorkersFailsWithAReason(t *testing.T) {
	t.Parallel()
	i := retrainertest.Install(t)
	v := i.Version(i.Solution("taste", "aws-sims", nil), "00000001")
	_, err := i.Store.SolutionVersions.Update(t.Context(), v.ARN, func(v *catalog.SolutionVersion) error {
		v.Status, v.Lease = status.CreateInProgress, &catalog.Lease{Owner: "dead", Epoch: 5, Expires: time.Now()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	start(i, nil, endless)
	if v := i.Ends(v); v.Status != status.CreateFailed || !strings.Contains(v.FailureReason, "started 5 times") {
		t.Errorf("%s: %q", v.Status, v.FailureReason)
	}
}

func TestJobsRunOneAtATimeAndEachOnce(t *testing.T) {
	t.Parallel()
	i := retrainertest.Install(t)
	solution := i.Solution("taste", "aws-sims", nil)
	var running, most, runs atomic.Int64
	for range 2 { // two replicas
		start(i, nil, func(context.Context, *catalog.SolutionVersion, func(float64)) (func(*catalog.SolutionVersion), error) {
			runs.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(5 * time.Millisecond)
			return nil, nil
		})
	}
	var versions []*catalog.SolutionVersion
	for _, id := range []string{"00000001", "00000002", "00000003", "00000004", "00000005", "00000006"} {
		versions = append(versions, i.Version(solution, id))
	}
	for _, v := range versions {
		if v := i.Ends(v); v.Status != status.Active {
			t.Errorf("%s: %s", v.ARN, v.Status)
		}
	}
	if runs.Load() != 6 || most.Load() > 2 {
		t.Errorf("%d runs, %d at once", runs.Load(), most.Load())
	}
}
