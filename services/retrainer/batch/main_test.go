package batch

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
	"github.com/penchant-io/penchant/services/retrainer/training"
	"github.com/penchant-io/penchant/services/retrainer/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }

// installation is what the tests of this package work on.
type installation struct{ *retrainertest.Installation }

func install(t *testing.T) *installation {
	t.Helper()
	return &installation{retrainertest.Install(t)}
}

// config is what tests change of a retrainer.
type config struct {
	Users                      *userstate.Store
	BatchRows, BatchShardLines int64
	Explore                    bool
	Threads, Attempts          int
	LeaseTTL                   time.Duration
	Log                        *zap.Logger
}

// retrainer is a process that runs batch jobs, and the imports and trainings that they need.
type retrainer struct {
	*Inference
	answer  *Shards
	trainer *training.Trainer
	view    *catalog.View

	imports  *jobs.Queue[*catalog.DatasetImportJob]
	training *jobs.Queue[*catalog.SolutionVersion]
	batches  *jobs.Queue[*catalog.BatchInferenceJob]
	shards   *jobs.Queue[*catalog.BatchShard]
	segments *jobs.Queue[*catalog.BatchSegmentJob]
	wakeUps  *bus.Consumer
}

const consumerGroup = "penchant-retrainer"

// retrainer returns a process with quick leases and heartbeats; it works once run.
func (i *installation) retrainer(change func(*config)) *retrainer {
	i.Helper()
	c := config{BatchRows: 8_000_000, BatchShardLines: DefaultShardLines, Log: zaptest.NewLogger(i)}
	if change != nil {
		change(&c)
	}
	worker := i.Worker(func(j *jobs.Config) {
		if c.LeaseTTL > 0 {
			j.LeaseTTL = c.LeaseTTL
		}
		j.Attempts, j.Log = c.Attempts, c.Log
	})
	clients := Clients{Data: i.Data(), S3: i.S3, Threads: c.Threads, Log: c.Log}
	r := &retrainer{view: i.View, Inference: &Inference{
		Clients: clients, Users: c.Users, UserHistory: 200, Rows: c.BatchRows, ShardLines: c.BatchShardLines,
		Explore: c.Explore, Group: consumerGroup,
	}}
	var err error
	r.trainer, err = training.NewTrainer(training.Config{
		Worker: worker, Data: i.Data(), MinInteractions: 100, MinUsers: 10, Seed: 1, Threads: c.Threads, Now: time.Now,
		Log: c.Log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		i.Fatal(err)
	}
	importer := &transfer.Importer{
		Data: i.Data(), Source: i.S3, MinInteractions: 100, MinUsers: 10, Now: time.Now, Log: c.Log,
		ReportMetrics: func(context.Context, *catalog.DatasetImportJob, dataset.Version) error { return nil },
	}
	r.imports = jobs.NewQueue(worker, "import", 1, importer.Run)
	r.training = jobs.NewQueue(worker, "training", 1, r.trainer.Run)
	r.batches = jobs.NewQueue(worker, "batch inference", 1, r.Inference.Run)
	r.batches.OnEnd(r.Ended)
	r.answer = NewShards(r.Inference)
	r.shards = jobs.NewQueue(worker, "batch shard", 1, r.answer.Run)
	r.WakeShards = r.shards.Wake
	r.segments = jobs.NewQueue(worker, "batch segments", 1, (&Segments{clients}).Run)
	r.wakeUps, err = bus.NewConsumer(bus.ConsumerConfig{
		Client: i.Bus, Group: consumerGroup, Log: c.Log, Registerer: prometheus.NewRegistry(),
	}, func(a bus.Assignment) bus.PartitionConsumer { return member{a.End} })
	if err != nil {
		i.Fatal(err)
	}
	r.wakeUps.SetTopics(bus.JobsTopic)
	return r
}

// Run works until ctx ends.
func (r *retrainer) Run(ctx context.Context) error {
	defer r.view.Subscribe(func(string) { r.wake() })()
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{
		r.wakeUps.Run, r.imports.Run, r.training.Run, r.batches.Run, r.shards.Run, r.segments.Run, r.RemoveLeftovers,
	} {
		group.Go(func() error { return run(ctx) })
	}
	return group.Wait()
}

func (r *retrainer) wake() {
	r.imports.Wake()
	r.training.Wake()
	r.batches.Wake()
	r.shards.Wake()
	r.segments.Wake()
}

// member is a partition of penchant.jobs, which makes the process a member of the retrainers' group.
type member struct{ from int64 }

func (m member) Start(context.Context) (int64, error) { return m.from, nil }

func (m member) Handle(context.Context, []bus.Record) (int64, error) { return bus.NoCommit, nil }

func (m member) Stop(context.Context) (int64, error) { return bus.NoCommit, nil }

// finished waits for the end of an import job.
func (i *installation) finished(r *retrainer, job *catalog.DatasetImportJob) *catalog.DatasetImportJob {
	i.Helper()
	r.wake()
	return retrainertest.JobEnds(i.Installation, job)
}

const itemsDocument = `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","version":"1.0",
	"fields":[{"name":"ITEM_ID","type":"string"},{"name":"COLOUR","type":["null","string"],"categorical":true},
	{"name":"PRICE","type":["null","float"]}]}`
