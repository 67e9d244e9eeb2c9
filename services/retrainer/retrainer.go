// Package retrainer runs the jobs of dataset groups: imports, exports and deletions of data, trainings, batch inference
// and batch segments. It also creates the solution versions of automatic training, updates served models, writes the
// reports of metric attributions, and counts the results of experiments.
//
// This package is the front door: it gives each type of job a queue and runs all of them. The work is done in its
// rooms, which import downward and never this package:
//
//	retrainer                          Config, New, Run, Ready; the wake-ups
//	  |
//	training  batch  transfer  results     what a job does, a small struct for each type of job
//	  |
//	output  groupdata                  objects that appear whole; a group's schemas, and its data beyond the archive
//	  |
//	jobs                               queue, lease, progress, outcome, faults: the same for every type of job
//
// The catalog is the queue (see package jobs). penchant.jobs only wakes the workers up, so a lost record costs seconds
// and a repeated one nothing.
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

// Config is what a retrainer works with. The caller closes the clients after Run has returned.
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
	// Trainings and Imports bound the jobs that run at once in this process; 0: one of each. Of other types one runs.
	Trainings, Imports int
	// UserHistory is how many of a user's newest interactions a batch job's recommendations are made from, the same as
	// in user states; 0: 200.
	UserHistory int
	// BatchRows bounds the interactions that a batch inference job holds in memory, 40 bytes each; 0: 8 million. A job
	// whose users have more reads the data several times.
	BatchRows int64
	// BatchShardLines is the least share of a batch inference job, in lines, that is worth handing to another
	// retrainer; 0: 5000.
	BatchShardLines int64
	// Explore lets batch inference show cold items, as a job's explorationWeight says, where the recipe explores.
	Explore bool
	// Attempts is how often a job is started before it fails for good, if each time its process ends or breaks; 0: 5.
	Attempts int
	// LeaseTTL is how long a job may go without a sign of life before another retrainer takes it over; 0: 30 s.
	LeaseTTL time.Duration
	// Now is the clock of the schedule; nil: time.Now.
	Now func() time.Time

	Log        *zap.Logger
	Registerer prometheus.Registerer

	heartbeat time.Duration // of tests
}

const consumerGroup = "penchant-retrainer"

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
	config  Config
	worker  *jobs.Worker
	data    *groupdata.Source
	trainer *training.Trainer
	wakeUps *bus.Consumer

	// queues are those of all types of jobs.
	queues []queue
	// periodic is what runs beside the queues.
	periodic []func(context.Context) error
}

// queue is a jobs.Queue of any type of job.
type queue interface {
	Run(ctx context.Context) error
	Wake()
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
	reports, err := s.openResults()
	if err != nil {
		return nil, err
	}
	s.openTransfer(reports)
	if err := s.openTraining(); err != nil {
		return nil, err
	}
	s.openBatch()
	s.wakeUps, err = bus.NewConsumer(bus.ConsumerConfig{
		Client: config.Bus, Group: consumerGroup, Log: config.Log, Registerer: config.Registerer,
	}, func(a bus.Assignment) bus.PartitionConsumer { return wakeUps{wake: s.wake, from: a.End} })
	if err != nil {
		return nil, fmt.Errorf("preparing to be woken up: %w", err)
	}
	s.wakeUps.SetTopics(bus.JobsTopic)
	return s, nil
}

func (s *Service) openResults() (*results.Reports, error) {
	c := &s.config
	reports := results.NewReports(results.ReportsConfig{
		Worker: s.worker, Data: s.data, Target: c.S3, Now: c.Now, Log: c.Log,
	})
	experiments, err := results.NewExperiments(results.ExperimentsConfig{
		Data: s.data, Interval: c.ExperimentInterval, Now: c.Now, Log: c.Log, Registerer: c.Registerer,
	})
	if err != nil {
		return nil, err
	}
	s.periodic = append(s.periodic, reports.Run, experiments.Run)
	return reports, nil
}

func (s *Service) openTransfer(reports *results.Reports) {
	c := &s.config
	importer := &transfer.Importer{
		Data: s.data, Source: c.S3, ReportMetrics: reports.Import,
		MinInteractions: c.MinInteractions, MinUsers: c.MinUsers, Now: c.Now, Log: c.Log,
	}
	exporter := &transfer.Exporter{Data: s.data, Target: c.S3, Log: c.Log}
	deleter := &transfer.Deleter{Data: s.data, Source: c.S3, Users: c.Users, Log: c.Log}
	s.queues = append(s.queues,
		jobs.NewQueue(s.worker, "import", c.Imports, importer.Run),
		jobs.NewQueue(s.worker, "export", 1, exporter.Run),
		jobs.NewQueue(s.worker, "deletion", 1, deleter.Run))
}

func (s *Service) openTraining() (err error) {
	c := &s.config
	s.trainer, err = training.NewTrainer(training.Config{
		Worker: s.worker, Data: s.data, MinInteractions: c.MinInteractions, MinUsers: c.MinUsers,
		Seed: c.Seed, Threads: c.Threads, SearchTime: c.SearchTime,
		AutoTrainInitialDelay: c.AutoTrainInitialDelay, AutoUpdateInterval: c.AutoUpdateInterval,
		Now: c.Now, Log: c.Log, Registerer: c.Registerer,
	})
	if err != nil {
		return err
	}
	s.queues = append(s.queues, jobs.NewQueue(s.worker, "training", c.Trainings, s.trainer.Run))
	s.periodic = append(s.periodic,
		training.NewSchedule(s.trainer, s.wake).Run, training.NewUpdates(s.trainer).Run)
	return nil
}

func (s *Service) openBatch() {
	c := &s.config
	clients := batch.Clients{Data: s.data, S3: c.S3, Threads: c.Threads, Log: c.Log}
	inference := &batch.Inference{
		Clients: clients, Users: c.Users, UserHistory: c.UserHistory, Rows: c.BatchRows,
		ShardLines: c.BatchShardLines, Explore: c.Explore, Group: consumerGroup,
	}
	segments := &batch.Segments{Clients: clients}
	batches := jobs.NewQueue(s.worker, "batch inference", 1, inference.Run)
	batches.OnEnd(inference.Ended)
	shards := jobs.NewQueue(s.worker, "batch shard", 1, batch.NewShards(inference).Run)
	inference.WakeShards = shards.Wake
	s.queues = append(s.queues, batches, shards, jobs.NewQueue(s.worker, "batch segments", 1, segments.Run))
	s.periodic = append(s.periodic, inference.RemoveLeftovers)
}

// Name implements process.Service.
func (s *Service) Name() string { return "retrainer" }

// Run works on jobs until ctx ends. Running jobs are then handed back at once, for another retrainer.
func (s *Service) Run(ctx context.Context) error {
	unsubscribe := s.config.View.Subscribe(func(string) { s.wake() })
	defer unsubscribe()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.wakeUps.Run(ctx) })
	for _, q := range s.queues {
		group.Go(func() error { return q.Run(ctx) })
	}
	for _, run := range s.periodic {
		group.Go(func() error { return run(ctx) })
	}
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

// wake makes the idle workers look for jobs.
func (s *Service) wake() {
	for _, q := range s.queues {
		q.Wake()
	}
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
