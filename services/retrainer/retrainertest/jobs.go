package retrainertest

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// Data returns the source of the installation's data.
func (i *Installation) Data() *groupdata.Source {
	return &groupdata.Source{Store: i.Store, View: i.View, Bucket: i.Bucket, Bus: i.Bus}
}

// Worker returns a worker with quick leases and heartbeats.
func (i *Installation) Worker(change func(*jobs.Config)) *jobs.Worker {
	i.Helper()
	config := jobs.Config{
		Store: i.Store, View: i.View, LeaseTTL: time.Second, Heartbeat: 20 * time.Millisecond,
		Log: zaptest.NewLogger(i), Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&config)
	}
	w, err := jobs.NewWorker(config)
	if err != nil {
		i.Fatal(err)
	}
	return w
}

// Run runs the jobs of one type, one at a time, until the test ends, or stop is called.
func Run[R catalog.Resource](i *Installation, w *jobs.Worker, name string, run jobs.Runner[R]) (stop func()) {
	i.Helper()
	q := jobs.NewQueue(w, name, 1, run)
	i.Cleanup(i.View.Subscribe(func(string) { q.Wake() }))
	return i.Background(q.Run)
}

// JobEnds waits until a job has come to its end and returns it.
func JobEnds[R catalog.Resource](i *Installation, job R) R {
	i.Helper()
	return JobEndsWithin(i, job, 2*time.Minute)
}

// JobEndsWithin is JobEnds with a limit of its own.
func JobEndsWithin[R catalog.Resource](i *Installation, job R, limit time.Duration) R {
	i.Helper()
	var now R
	eventually.SucceedsWithin(i, limit, job.Meta().ARN+" ends", func() (err error) {
		if now, err = catalog.Of[R](i.Store).Get(i.Context(), job.Meta().ARN); err != nil {
			i.Fatal(err)
		}
		if !now.Meta().Finished() {
			return fmt.Errorf("it is %s", now.Meta().Status)
		}
		return nil
	})
	return now
}

// Succeeds waits until a job has succeeded.
func (i *Installation) Succeeds(job catalog.Resource) {
	i.Helper()
	if m := JobEnds(i, job).Meta(); m.Status != status.Active && m.Status != status.Completed {
		i.Fatalf("%s: %s %q", m.ARN, m.Status, m.FailureReason)
	}
}
