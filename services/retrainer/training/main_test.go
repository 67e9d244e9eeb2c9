package training

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }

// installation is what the tests of this package work on.
type installation struct{ *retrainertest.Installation }

func install(t *testing.T) *installation {
	t.Helper()
	return &installation{retrainertest.Install(t)}
}

// process is a trainer with everything that creates and updates versions by itself.
type process struct {
	*Trainer
	queue    *jobs.Queue[*catalog.SolutionVersion]
	schedule *Schedule
	updates  *Updates
	view     *catalog.View
}

// retrainer returns a process with quick leases and heartbeats; it works once run.
func (i *installation) retrainer(change func(*Config)) *process {
	i.Helper()
	config := Config{
		Worker: i.Worker(nil), Data: i.Data(), MinInteractions: 100, MinUsers: 10, Seed: 1, SearchTime: 2 * time.Hour,
		AutoTrainInitialDelay: 30 * time.Minute, AutoUpdateInterval: 2 * time.Hour, Now: time.Now,
		Log: zaptest.NewLogger(i), Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&config)
	}
	trainer, err := NewTrainer(config)
	if err != nil {
		i.Fatal(err)
	}
	p := &process{Trainer: trainer, updates: NewUpdates(trainer), view: i.View}
	p.queue = jobs.NewQueue(config.Worker, "training", 1, trainer.Run)
	p.schedule = NewSchedule(trainer, p.queue.Wake)
	return p
}

// Run works until ctx ends.
func (p *process) Run(ctx context.Context) error {
	defer p.view.Subscribe(func(string) { p.queue.Wake() })()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.queue.Run(ctx) })
	group.Go(func() error { return p.schedule.Run(ctx) })
	group.Go(func() error { return p.updates.Run(ctx) })
	return group.Wait()
}
