// Package retrainer runs the jobs: dataset imports and exports, data deletions, trainings, batch inference and batch
// segments, creates the solution versions of automatic training, writes the reports of metric attributions, and
// counts the results of experiments.
//
// The catalog is the queue. A job is a resource in CREATE PENDING, or in CREATE IN_PROGRESS under a lease that has expired;
// whoever acquires the lease runs it. penchant.jobs only wakes the workers up, so a lost record costs seconds and a repeated
// one nothing. Every write of a job's outcome is made under the lease's epoch: a worker that was presumed dead and is not
// cannot overwrite what its successor did. Package jobs holds this, whatever the job; transfer, training and batch run
// the jobs, results counts experiments and writes reports.
package retrainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/retrainer/batch"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/results"
	"github.com/penchant-io/penchant/services/retrainer/training"
	"github.com/penchant-io/penchant/services/retrainer/transfer"
)

// Config is what a retrainer works with. The clients stay the caller's, who closes them after Run has returned.
type Config struct {
	Bus *bus.Client
	// S3 is the store in which imports find the users' buckets; Bucket is Penchant's own bucket in it.
	S3     *blob.Client
	Bucket *blob.Bucket
	Store  *catalog.Store
	View   *catalog.View
	// Users are the user states, from which data deletion jobs delete.
	Users *userstate.Store

	Options
	// Trainings and Imports bound what runs at once in this process; 0: one of each. Of every other type of job one runs.
	Trainings, Imports int
	// UserHistory is how many of a user's newest interactions a batch job's recommendations are made from, the same as in
	// user states; 0: 200.
	UserHistory int
	// BatchRows bounds the interactions that a batch inference job holds in memory, 40 bytes each; 0: 8 million. A job
	// whose users have more reads the data several times.
	BatchRows int64
	// BatchShardLines is the least share of a batch inference job, in lines, that is worth another retrainer's while; 0: 5000.
	BatchShardLines int64
	// Explore lets batch inference show cold items, as a job's explorationWeight says, where the recipe explores.
	Explore bool
	// Attempts is how often a job is started before it fails for good, if each time its process ends or breaks; 0: 5.
	Attempts int
	// LeaseTTL is after how long without a sign of life a job is taken over; 0: 30 s.
	LeaseTTL time.Duration
	// Now is the clock of the schedule; nil: time.Now.
	Now func() time.Time

	Log        *zap.Logger
	Registerer prometheus.Registerer

	heartbeat time.Duration // of tests
}

const (
	consumerGroup = "penchant-retrainer"
)

func (c *Config) setDefaults() {
	set(&c.MinInteractions, training.UsualMinInteractions)
	set(&c.MinUsers, 25)
	set(&c.Trainings, 1)
	set(&c.Imports, 1)
	set(&c.UserHistory, 200)
	set(&c.BatchRows, 8_000_000)
	set(&c.BatchShardLines, batch.DefaultShardLines)
	set(&c.AutoTrainInitialDelay, 30*time.Minute)
	if c.AutoUpdateInterval == 0 {
		c.AutoUpdateInterval = 2 * time.Hour
	}
	set(&c.SearchTime, 2*time.Hour)
	set(&c.ExperimentInterval, 15*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
}

func set[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Service is the retrainer.
type Service struct {
	config Config
	worker *jobs.Worker
	data   *groupdata.Source

	wakeUps     *bus.Consumer
	imports     *jobs.Queue[*catalog.DatasetImportJob]
	training    *jobs.Queue[*catalog.SolutionVersion]
	trainer     *training.Trainer
	inference   *batch.Inference
	batches     *jobs.Queue[*catalog.BatchInferenceJob]
	shards      *jobs.Queue[*catalog.BatchShard]
	segments    *jobs.Queue[*catalog.BatchSegmentJob]
	exports     *jobs.Queue[*catalog.DatasetExportJob]
	deletion    *jobs.Queue[*catalog.DataDeletionJob]
	schedule    *training.Schedule
	reports     *results.Reports
	updates     *training.Updates
	experiments *results.Experiments
}

// New returns a retrainer that works once Run runs.
func New(config Config) (*Service, error) {
	config.setDefaults()
	worker, err := jobs.NewWorker(jobs.Config{
		Store: config.Store, View: config.View, LeaseTTL: config.LeaseTTL, Attempts: config.Attempts,
		Heartbeat: config.heartbeat, Log: config.Log, Registerer: config.Registerer,
	})
	if err != nil {
		return nil, err
	}
	s := &Service{config: config, worker: worker}
	s.data = &groupdata.Source{Store: config.Store, View: config.View, Bucket: config.Bucket, Bus: config.Bus}
	s.reports = results.NewReports(results.ReportsConfig{
		Worker: worker, Data: s.data, Target: config.S3, Now: config.Now, Log: config.Log,
	})
	importer := &transfer.Importer{
		Data: s.data, Source: config.S3, ReportMetrics: s.reports.Import,
		MinInteractions: config.MinInteractions, MinUsers: config.MinUsers, Now: config.Now, Log: config.Log,
	}
	exporter := &transfer.Exporter{Data: s.data, Target: config.S3, Log: config.Log}
	deleter := &transfer.Deleter{Data: s.data, Source: config.S3, Users: config.Users, Log: config.Log}
	s.imports = jobs.NewQueue(worker, "import", config.Imports, importer.Run)
	s.trainer, err = training.NewTrainer(training.Config{
		Worker: worker, Data: s.data, MinInteractions: config.MinInteractions, MinUsers: config.MinUsers,
		Seed: config.Seed, Threads: config.Threads, SearchTime: config.SearchTime,
		AutoTrainInitialDelay: config.AutoTrainInitialDelay, AutoUpdateInterval: config.AutoUpdateInterval,
		Now: config.Now, Log: config.Log, Registerer: config.Registerer,
	})
	if err != nil {
		return nil, err
	}
	s.training = jobs.NewQueue(worker, "training", config.Trainings, s.trainer.Run)
	clients := batch.Clients{Data: s.data, S3: config.S3, Threads: config.Threads, Log: config.Log}
	s.inference = &batch.Inference{
		Clients: clients, Users: config.Users, UserHistory: config.UserHistory, Rows: config.BatchRows,
		ShardLines: config.BatchShardLines, Explore: config.Explore, Group: consumerGroup,
	}
	s.batches = jobs.NewQueue(worker, "batch inference", 1, s.inference.Run)
	s.batches.OnEnd(s.inference.Ended)
	s.shards = jobs.NewQueue(worker, "batch shard", 1, batch.NewShards(s.inference).Run)
	s.inference.WakeShards = s.shards.Wake
	segments := &batch.Segments{Clients: clients}
	s.segments = jobs.NewQueue(worker, "batch segments", 1, segments.Run)
	s.exports = jobs.NewQueue(worker, "export", 1, exporter.Run)
	s.deletion = jobs.NewQueue(worker, "deletion", 1, deleter.Run)
	s.schedule = training.NewSchedule(s.trainer, s.wake)
	s.updates = training.NewUpdates(s.trainer)
	s.experiments, err = results.NewExperiments(results.ExperimentsConfig{
		Data: s.data, Interval: config.ExperimentInterval, Now: config.Now,
		Log: config.Log, Registerer: config.Registerer,
	})
	if err != nil {
		return nil, err
	}
	s.wakeUps, err = bus.NewConsumer(bus.ConsumerConfig{
		Client: config.Bus, Group: consumerGroup, Log: config.Log, Registerer: config.Registerer,
	}, func(a bus.Assignment) bus.PartitionConsumer { return wakeUps{wake: s.wake, from: a.End} })
	if err != nil {
		return nil, fmt.Errorf("preparing to be woken up: %w", err)
	}
	s.wakeUps.SetTopics(bus.JobsTopic)
	return s, nil
}

// Name implements process.Service.
func (s *Service) Name() string { return "retrainer" }

// Run works on jobs until ctx ends. A job under way is then given back at once, for another worker.
func (s *Service) Run(ctx context.Context) error {
	unsubscribe := s.config.View.Subscribe(func(string) { s.wake() })
	defer unsubscribe()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.wakeUps.Run(ctx) })
	group.Go(func() error { return s.imports.Run(ctx) })
	group.Go(func() error { return s.training.Run(ctx) })
	group.Go(func() error { return s.batches.Run(ctx) })
	group.Go(func() error { return s.shards.Run(ctx) })
	group.Go(func() error { return s.inference.RemoveLeftovers(ctx) })
	group.Go(func() error { return s.segments.Run(ctx) })
	group.Go(func() error { return s.exports.Run(ctx) })
	group.Go(func() error { return s.deletion.Run(ctx) })
	group.Go(func() error { return s.schedule.Run(ctx) })
	group.Go(func() error { return s.reports.Run(ctx) })
	group.Go(func() error { return s.updates.Run(ctx) })
	group.Go(func() error { return s.experiments.Run(ctx) })
	return group.Wait()
}

// Ready returns nil when jobs can be seen and run: they read and write the bucket, and trainings the log.
func (s *Service) Ready(ctx context.Context) error {
	if !s.config.View.Ready() {
		return errors.New("the catalog has not been read yet")
	}
	if err := s.config.Bucket.Ping(ctx); err != nil {
		return fmt.Errorf("the bucket does not answer: %w", err)
	}
	if err := s.config.Bus.Ping(ctx); err != nil {
		return fmt.Errorf("the log does not answer: %w", err)
	}
	return nil
}

// wake has the workers look for jobs now.
func (s *Service) wake() {
	s.imports.Wake()
	s.training.Wake()
	s.batches.Wake()
	s.shards.Wake()
	s.segments.Wake()
	s.exports.Wake()
	s.deletion.Wake()
}

// wakeUps turns each record of penchant.jobs into a look at the catalog, which knows what there is to do.
type wakeUps struct {
	wake func()
	from int64
}

// Start begins at the partition's end: the look at the catalog that it causes covers all older wake-ups.
func (w wakeUps) Start(context.Context) (int64, error) {
	w.wake()
	return w.from, nil
}

// Handle implements bus.PartitionConsumer.
func (w wakeUps) Handle(_ context.Context, batch []bus.Record) (int64, error) {
	if len(batch) == 0 {
		return bus.NoCommit, nil
	}
	w.wake()
	return batch[len(batch)-1].Offset + 1, nil
}

// Stop implements bus.PartitionConsumer.
func (w wakeUps) Stop(context.Context) (int64, error) { return bus.NoCommit, nil }
