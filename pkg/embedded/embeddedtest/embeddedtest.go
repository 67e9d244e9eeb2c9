// Package embeddedtest gives tests the servers Penchant works with: embedded ones, started in the test's process in a
// few milliseconds, or real ones where PENCHANT_TEST_KAFKA_BROKERS, PENCHANT_TEST_REDIS_URL or
// PENCHANT_TEST_S3_ENDPOINT (with _ACCESS_KEY and _SECRET_KEY) name them, so that the same tests hold for both.
package embeddedtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
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

// Credential is the access key of the embedded S3 server.
var Credential = awsapi.Credential{AccessKeyID: "test", SecretKey: "test-secret"}

// Servers gives the test a Kafka and a Redis of its own, and an empty bucket on an S3 server that it may share with
// tests running at the same time: the S3 library allows one server a process. Embedded servers are stopped and removed
// when the test ends; they don't wait for the disk. Tests that share real ones wait for each other here.
func Servers(t testing.TB) Endpoints {
	t.Helper()
	var e Endpoints
	e.KafkaBrokers, e.RedisURL = outsideServers(t)
	cfg := embedded.Config{DataDir: t.TempDir(), Unsynced: true}
	if len(e.KafkaBrokers) == 0 {
		cfg.KafkaAddr = anyPort
	}
	if e.RedisURL == "" {
		cfg.RedisAddr = anyPort
	}
	if cfg.KafkaAddr != "" || cfg.RedisAddr != "" {
		servers := start(t, cfg)
		if cfg.KafkaAddr != "" {
			e.KafkaBrokers = []string{servers.KafkaAddr()}
		}
		if cfg.RedisAddr != "" {
			e.RedisURL = "redis://" + servers.RedisAddr()
		}
	}
	e.S3, e.Bucket = S3(t)
	return e
}

// Redis is the part of Servers that tests without Kafka and S3 need.
func Redis(t testing.TB) (url string) {
	t.Helper()
	if _, url = outsideServers(t); url != "" {
		return url
	}
	return "redis://" + start(t, embedded.Config{DataDir: t.TempDir(), RedisAddr: anyPort}).RedisAddr()
}

// Kafka is the part of Servers that tests without Redis and S3 need. A real one is neither emptied nor the test's
// alone: it has to choose topics and groups that nobody else has.
func Kafka(t testing.TB) (brokers []string) {
	t.Helper()
	if real := os.Getenv(kafkaVariable); real != "" {
		return strings.Split(real, ",")
	}
	return []string{start(t, embedded.Config{DataDir: t.TempDir(), KafkaAddr: anyPort, Unsynced: true}).KafkaAddr()}
}

const anyPort = "127.0.0.1:0"

// start starts embedded servers for the time of the test.
func start(t testing.TB, cfg embedded.Config) *embedded.Servers {
	t.Helper()
	servers, err := embedded.Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("starting Kafka and Redis: %v", err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Errorf("stopping Kafka and Redis: %v", err)
		}
	})
	return servers
}

// S3 is the part of Servers that tests without Kafka and Redis need.
func S3(t testing.TB) (cfg blob.Config, bucket string) {
	t.Helper()
	if os.Getenv(s3Variable) != "" {
		cfg, bucket = outsideS3(t)
	} else {
		cfg, bucket = embeddedS3(t)
	}
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

func embeddedS3(t testing.TB) (cfg blob.Config, bucket string) {
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
	return cfg, fmt.Sprintf("test-%d", buckets.Add(1))
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

// LeakOptions are for goleak in packages whose tests use these servers: the S3 server's library leaves two goroutines
// that sleep up to ten seconds before they see that it was stopped.
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
			S3Addr:     anyPort,
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
