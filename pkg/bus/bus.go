// Package bus is the event log: it publishes records to Kafka and hands them, partition by partition, to the services
// that work on them. It is the only package that knows the Kafka client library.
//
// The rules every caller relies on:
//   - [Client.Publish] returns nil only when every record is acknowledged by all in-sync replicas, and fails at once with
//     [ErrOverloaded] rather than queueing without bound.
//   - A [Consumer] gives each assigned partition to one [PartitionConsumer], in order, and commits only what that says.
//     A record may come again, after a crash or a rebalance; it is never left out.
//   - [Client.Follow] reads without a group: each process sees all records, for caches that are rebuilt at start.
package bus

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// ErrOverloaded is returned by Publish when the buffer of records that wait for the brokers is full.
var ErrOverloaded = errors.New("the event log is overloaded")

// Topics that exist once in an installation. Those of the types of data are named in pkg/schema.
const (
	ControlTopic = "penchant.control" // compacted; key: ARN, "this resource changed"
	JobsTopic    = "penchant.jobs"    // key: job ARN, a wake-up
)

// DeadLetterTopic is the topic of a dataset group's records that could not be handled.
func DeadLetterTopic(group string) string { return "penchant." + group + ".deadletter" }

// RecommendationsTopic is the topic of what was recommended in a dataset group.
func RecommendationsTopic(group string) string { return "penchant." + group + ".recommendations" }

// TopicPartition names one partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// TopicID is the identity of a topic: a topic deleted and made again under its old name has another.
type TopicID = [16]byte

// Header is a key and a value of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record of a topic. Publish reads Topic, Key, Value and Headers; the rest is filled on records consumed.
type Record struct {
	Topic      string
	Partition  int32
	Offset     int64
	TopicID    TopicID
	Key, Value []byte
	Headers    []Header
	Arrival    time.Time // when the broker appended it
}

// Config configures a client. Brokers is required.
type Config struct {
	Brokers    []string // host:port
	ClientID   string
	Log        *zap.Logger           // nil: silent
	Registerer prometheus.Registerer // nil: no metrics
	Topics     TopicDefaults

	// MaxBufferedRecords and MaxBufferedBytes bound what Publish holds that isn't acknowledged yet; 0: 50000 records,
	// 64 MiB.
	MaxBufferedRecords int
	MaxBufferedBytes   int
	// DeliveryTimeout is how long Publish tries to reach the brokers; 0: 10 s.
	DeliveryTimeout time.Duration
}

// DefaultRetention is how long topics that aren't compacted keep their records.
const DefaultRetention = 7 * 24 * time.Hour

// TopicDefaults is how topics are created. Zero values stand for 12 partitions, 3 replicas, of which 2 must be in sync.
type TopicDefaults struct {
	Partitions        int32
	ReplicationFactor int16
	MinInSyncReplicas int

	// RetentionTime and RetentionBytes (of one partition) bound the topics that aren't compacted; 0: 7 days, and no
	// bound by size. SegmentBytes is the size of the files the log is deleted by; 0: the brokers' own.
	RetentionTime  time.Duration
	RetentionBytes int64
	SegmentBytes   int64
}

// TopicSpec is a topic to create.
type TopicSpec struct {
	Name       string
	Compacted  bool
	Partitions int32 // 0: the client's default
}

// TopicInfo describes a topic that exists.
type TopicInfo struct {
	ID         TopicID
	Partitions int32
}

// OffsetRange is what a partition holds: the offsets from Start up to, not including, End.
type OffsetRange struct {
	Start, End int64
}

// NoCommit is returned by a PartitionConsumer that has nothing to commit.
const NoCommit int64 = -1

// ErrRestart is returned by a PartitionConsumer's Handle (alone or wrapped) to go back: the records at hand and those
// fetched ahead are dropped, Start is called again, without a Stop, and reading goes on from the offset it returns.
var ErrRestart = errors.New("the partition starts again")

// PartitionConsumer handles one assigned partition. All its methods are called from one goroutine. The bytes of the
// records it is given share memory with the batch they were fetched in: copy what is kept for long.
type PartitionConsumer interface {
	// Start returns the offset to consume from, between the oldest in the log and its end. It is called again, after a
	// back-off, when it fails or the log can't be read from there. The context ends when the partition is given up.
	Start(ctx context.Context) (from int64, err error)
	// Handle is given the next records, in order, or none (a tick). It returns the offset up to which all records are
	// safely handled, which is then committed, or NoCommit. On an error it is given the same records again after a
	// back-off; it must bear the repeat. The context ends twelve seconds after the partition is to be given up.
	Handle(ctx context.Context, batch []Record) (commit int64, err error)
	// Stop is called once after a successful Start, before the partition is given up: time to flush, twelve seconds of
	// it. It returns what Handle would; after an error what was committed before stands, and the next owner does the
	// rest again. When the partition is lost already, ctx has ended and what Stop returns isn't committed.
	Stop(ctx context.Context) (commit int64, err error)
}

// Assignment is a partition given to a consumer.
type Assignment struct {
	TopicPartition
	TopicID    TopicID
	Committed  int64 // the group's committed offset; -1: none
	Start, End int64 // what the partition held at the assignment
}

// ConsumerConfig configures a Consumer. Client and Group are required.
type ConsumerConfig struct {
	Client        *Client
	Group         string
	FetchMinBytes int32         // 0: 1, the lowest latency
	FetchMaxBytes int32         // of one fetch from a broker; 0: 16 MiB
	FetchMaxWait  time.Duration // how long a broker waits for FetchMinBytes; 0: 500 ms
	Tick          time.Duration // Handle is called with no records when none came for so long; 0: never
	Log           *zap.Logger
	Registerer    prometheus.Registerer
}

// FollowConfig configures Follow.
type FollowConfig struct {
	Topics    []string
	FromStart bool   // all records the topics hold, then the new ones; otherwise the new ones only
	CaughtUp  func() // may be nil; called once, from Follow's goroutine, after the records that were there at the start
}
