// Package jobs runs resources of the catalog as jobs: services/retrainer gives it one queue for each type of job.
//
// The catalog is the queue. A job is a resource in CREATE PENDING, or in CREATE IN_PROGRESS under a lease that has
// expired; whoever acquires the lease runs it. Wake-ups only shorten the wait, so a lost one costs seconds and a
// repeated one nothing. Every outcome is written under the lease's epoch: a worker that was presumed dead and is not
// cannot overwrite what its successor did.
//
//	PENDING --acquire, begin--> IN_PROGRESS --runner returns nil----------> ACTIVE
//	   ^                             |------ returns a Fault--------------> FAILED
//	   |                             |------ other error, lease expires---> acquired again, FAILED after Attempts
//	   |                             |------ its user stops it------------> STOPPED
//	   +--------handed back----------+------ the process ends
//
// queue.go holds this for any type of resource; what a job does is its Runner.
package jobs

import (
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
)

// Config is what the queues of a process have in common.
type Config struct {
	Store *catalog.Store
	View  *catalog.View
	// LeaseTTL is how long a job may go without a sign of life before another worker takes it over; 0: 30 s.
	LeaseTTL time.Duration
	// Heartbeat is how often a running job checks whether it was stopped, and writes its progress; 0: 1 s.
	Heartbeat time.Duration
	// Attempts is how often a job is started before it fails for good, if each time its process ends or breaks; 0: 5.
	Attempts int

	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Worker is this process as a holder of leases.
type Worker struct {
	// Owner names this process in leases; no other process ever has the name.
	Owner string

	config  Config
	metrics *metrics
}

// NewWorker returns a worker with a name of its own.
func NewWorker(config Config) (*Worker, error) {
	if config.LeaseTTL <= 0 {
		config.LeaseTTL = 30 * time.Second
	}
	if config.Heartbeat <= 0 {
		config.Heartbeat = time.Second
	}
	if config.Attempts <= 0 {
		config.Attempts = 5
	}
	m, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &Worker{Owner: host + "-" + uuid.NewString(), config: config, metrics: m}, nil
}
