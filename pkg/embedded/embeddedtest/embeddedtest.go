// Package embeddedtest gives tests the servers Penchant works with, started in the test's process in a few milliseconds.
package embeddedtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded"
)

// Endpoints say where a test's servers are.
type Endpoints struct {
	KafkaBrokers []string
	RedisURL     string
	S3           blob.Config
	Bucket       string // exists, empty, the test's own
}

// Credential is the access key of the S3 server.
var Credential = awsapi.Credential{AccessKeyID: "test", SecretKey: "test-secret"}

// Servers starts a Kafka and a Redis of the test's own, and gives it an empty bucket on an S3 server that it may share
// with tests running at the same time: the S3 library allows one server a process. Everything is stopped and removed when
// the test ends. The servers don't wait for the disk.
func Servers(t testing.TB) Endpoints {
	t.Helper()
	servers, err := embedded.Start(t.Context(), embedded.Config{
		DataDir:   t.TempDir(),
		KafkaAddr: "127.0.0.1:0",
		RedisAddr: "127.0.0.1:0",
		Unsynced:  true,
	})
	if err != nil {
		t.Fatalf("starting Kafka and Redis: %v", err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Errorf("stopping Kafka and Redis: %v", err)
		}
	})
	s3, bucket := S3(t)
	return Endpoints{
		KafkaBrokers: []string{servers.KafkaAddr()},
		RedisURL:     "redis://" + servers.RedisAddr(),
		S3:           s3,
		Bucket:       bucket,
	}
}

// S3 is the part of Servers that tests without Kafka and Redis need.
func S3(t testing.TB) (cfg blob.Config, bucket string) {
	t.Helper()
	endpoint, err := shared.acquire()
	if err != nil {
		t.Fatalf("starting S3: %v", err)
	}
	t.Cleanup(func() {
		if err := shared.release(); err != nil {
			t.Errorf("stopping S3: %v", err)
		}
	})
	cfg = blob.Config{Endpoint: endpoint, AccessKey: Credential.AccessKeyID, SecretKey: Credential.SecretKey}
	bucket = fmt.Sprintf("test-%d", buckets.Add(1))
	client, err := blob.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.EnsureBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	return cfg, bucket
}

// Bucket is S3 for a test that wants the opened bucket.
func Bucket(t testing.TB) *blob.Bucket {
	t.Helper()
	cfg, name := S3(t)
	client, err := blob.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client.Bucket(name)
}

// LeakOptions are for goleak in packages whose tests use these servers: the S3 server's library leaves two goroutines that
// sleep up to ten seconds before they see that it was stopped.
func LeakOptions() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	}
}

var (
	shared  sharedS3
	buckets atomic.Int64
)

// sharedS3 is the process's S3 server: there while a test uses it.
type sharedS3 struct {
	mu      sync.Mutex
	users   int
	dir     string
	servers *embedded.Servers
}

func (s *sharedS3) acquire() (endpoint string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		if s.dir, err = os.MkdirTemp("", "penchant-test-s3-"); err != nil {
			return "", err
		}
		s.servers, err = embedded.Start(context.Background(), embedded.Config{
			DataDir:    s.dir,
			S3Addr:     "127.0.0.1:0",
			AccessKeys: []awsapi.Credential{Credential},
		})
		if err != nil {
			return "", errors.Join(err, os.RemoveAll(s.dir))
		}
	}
	s.users++
	return s.servers.S3Endpoint(), nil
}

func (s *sharedS3) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users > 0 {
		return nil
	}
	return errors.Join(s.servers.Close(), os.RemoveAll(s.dir))
}
