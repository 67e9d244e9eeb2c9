// Package batch runs batch inference jobs and batch segment jobs: each line of a job's input files is answered by one
// line of output, with the lists that pkg/ranking makes. Each job type is the jobs.Runner of one queue of
// services/retrainer.
//
//	Inference.Run: plan → one shard:      inference of the whole input → output
//	                    → several shards: Shards.Run on each retrainer → parts → output
//	Segments.Run:  input → segments → output
//
// inference.go answers lines, history.go reads what users did, shards.go spreads a job over the retrainers, results.go
// lets results be looked up, segments.go makes user segments.
package batch

import (
	"context"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// Clients are what all batch jobs read from and write to.
type Clients struct {
	Data *groupdata.Source
	// S3 is the store that has the users' buckets.
	S3 *blob.Client
	// Threads bounds the goroutines of one job; 0: one per CPU.
	Threads int
	Log     *zap.Logger
}

// Inference runs batch inference jobs.
type Inference struct {
	Clients
	// Users are the user states, where results can be looked up; nil: there is no Redis.
	Users *userstate.Store
	// UserHistory is how many of a user's newest interactions count.
	UserHistory int
	// Rows bounds the interactions that a job holds in memory. A job whose users have more reads the data several
	// times.
	Rows int64
	// ShardLines is the least share of a job, in lines, that is worth another retrainer's while.
	ShardLines int64
	// Explore lets recipes that explore list cold items.
	Explore bool
	// Group is the consumer group whose members are the retrainers.
	Group string
	// WakeShards makes idle workers look for shards.
	WakeShards func()
}

// Shards runs the shards of batch inference jobs, one at a time.
type Shards struct {
	inference *Inference
	// answering answers the lines of the newest job's shards.
	answering *inference
}

// NewShards returns the runner of the shards of an Inference's jobs.
func NewShards(i *Inference) *Shards { return &Shards{inference: i} }

// Segments runs batch segment jobs.
type Segments struct{ Clients }

// model loads the model of a solution version.
func (s *Clients) model(ctx context.Context, versionARN string) (*modelstore.Loaded, *catalog.DatasetGroup, error) {
	version, err := s.Data.Store.SolutionVersions.Get(ctx, versionARN)
	if err != nil {
		return nil, nil, jobs.Missing(err, "solution version", versionARN)
	}
	group, err := s.Data.Store.DatasetGroups.Get(ctx, version.DatasetGroupARN)
	if err != nil {
		return nil, nil, jobs.Missing(err, "dataset group", version.DatasetGroupARN)
	}
	loaded, err := modelstore.Load(ctx, s.Data.Bucket, version.ManifestKey, "")
	return loaded, group, err
}

// attributes returns where the attributes of items and users are read from.
func (s *Clients) attributes() attributes.Source {
	return attributes.Source{Bucket: s.Data.Bucket, Bus: s.Data.Bus, View: s.Data.View}
}
