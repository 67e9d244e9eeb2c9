// Package embedded runs servers that speak Kafka, S3 and Redis inside this process, on loopback and out of one data
// directory, so that Penchant works without anything installed. Services reach them with the clients they would use for
// real ones: nothing else in the program knows that they are here. Only main and tests start them.
//
//	server   what it is                       what survives a kill -9
//	Kafka    franz-go's kfake, one broker     every record, topic and committed offset it acknowledged (synced to disk)
//	S3       versitygw over plain files       every object it acknowledged; a broken-off put leaves nothing
//	Redis    miniredis                        the last snapshot, at most a minute old; the session-updater redoes the rest
//
// Bounds to know. The broker takes as much memory at start as its log is large, and it has no retention: whoever runs
// it trims what nobody needs any more, and never a partition's last record, without which the broker forgets where the
// partition was (bus.Client.DeleteRecords leaves it). No object key may be a folder of another ("a" and "a/b"); there
// is one S3 server a process; it neither copies objects nor keeps versions of them.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
)

// Config says which servers to start. An address is host:port, port 0 stands for any free one, and "" for "not this
// server".
type Config struct {
	DataDir    string // created where missing; one process at a time
	KafkaAddr  string
	RedisAddr  string
	S3Addr     string
	AccessKeys []awsapi.Credential // of the S3 server; each may do everything; required with S3Addr
	Region     string              // of the S3 server; "": us-east-1
	Log        *zap.Logger         // nil: silent

	// SnapshotFirst picks the Redis keys that are copied before all others in a snapshot. Other keys may be written
	// while it is taken, so those that say how much has been done must be the older ones.
	SnapshotFirst func(key string) bool
	// SnapshotInterval is the time between two snapshots of Redis; 0: one minute.
	SnapshotInterval time.Duration
	// CompactBytes is how much the compacted topics grow before they are compacted, and CompactInterval how often that
	// is looked at; 0: 32 MiB, 10 s.
	CompactBytes    int64
	CompactInterval time.Duration
	// Unsynced leaves out waiting for the disk on each write to the log. What was acknowledged then survives a crash of
	// the process, not one of the machine. For tests and throw-away directories.
	Unsynced bool
}

// Servers are the running servers. Close ends them.
type Servers struct {
	log   *zap.Logger
	lock  *dirLock
	kafka *kafkaServer
	redis *redisServer
	s3    *s3Server

	closeOnce sync.Once
	closeErr  error
}

// Start starts the servers cfg names. They answer when it returns. The context bounds the start only.
func Start(ctx context.Context, cfg Config) (*Servers, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.SnapshotInterval <= 0 {
		cfg.SnapshotInterval = time.Minute
	}
	if cfg.CompactBytes <= 0 {
		cfg.CompactBytes = 32 << 20
	}
	if cfg.CompactInterval <= 0 {
		cfg.CompactInterval = 10 * time.Second
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("finding the data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	s := &Servers{log: cfg.Log}
	if s.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	if s.lock.unclean {
		cfg.Log.Info("the data directory was not closed in order; recovering")
	}
	if err := s.start(ctx, dir, cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Servers) start(ctx context.Context, dir string, cfg Config) (err error) {
	if cfg.KafkaAddr != "" {
		if s.kafka, err = startKafka(filepath.Join(dir, "kafka"), cfg); err != nil {
			return startError("--kafka-addr", cfg.KafkaAddr, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if cfg.S3Addr != "" {
		if s.s3, err = startS3(dir, s.lock.unclean, cfg); err != nil {
			return startError("--s3-addr", cfg.S3Addr, err)
		}
	}
	if cfg.RedisAddr != "" {
		if s.redis, err = startRedis(filepath.Join(dir, "redis"), cfg); err != nil {
			return startError("--redis-addr", cfg.RedisAddr, err)
		}
	}
	return ctx.Err()
}

// startError names the flag that helps when an address can't be listened on.
func startError(flag, addr string, err error) error {
	var listenError *net.OpError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the address %s is taken by another process: choose another with %s: %w", addr, flag, err)
	case errors.As(err, &listenError) && listenError.Op == "listen":
		return fmt.Errorf("listening on %s, which %s sets: %w", addr, flag, err)
	}
	return fmt.Errorf("starting the embedded server of %s: %w", flag, err)
}

// KafkaAddr is the broker's host:port; "" when it wasn't started.
func (s *Servers) KafkaAddr() string {
	if s.kafka == nil {
		return ""
	}
	return s.kafka.addr
}

// RedisAddr is Redis' host:port; "" when it wasn't started.
func (s *Servers) RedisAddr() string {
	if s.redis == nil {
		return ""
	}
	return s.redis.addr
}

// S3Endpoint is the S3 server's URL; "" when it wasn't started.
func (s *Servers) S3Endpoint() string {
	if s.s3 == nil {
		return ""
	}
	return "http://" + s.s3.addr
}

// Snapshot saves Redis now.
func (s *Servers) Snapshot(ctx context.Context) error {
	if s.redis == nil {
		return nil
	}
	return s.redis.snapshot(ctx)
}

// Close saves Redis, stops the servers and waits for them. It may be called more than once.
func (s *Servers) Close() error {
	s.closeOnce.Do(func() {
		var errs []error
		if s.redis != nil {
			errs = append(errs, s.redis.close())
		}
		if s.s3 != nil {
			errs = append(errs, s.s3.close())
		}
		if s.kafka != nil {
			s.kafka.close()
		}
		if s.lock != nil {
			errs = append(errs, s.lock.release())
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}
