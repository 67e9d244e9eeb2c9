package embedded_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
)

// childDir names, for a child process of the crash tests, the data directory to serve until it is killed.
const childDir = "PENCHANT_TEST_CHILD_DIR"

// childCompacts, if set, makes it compact all the time.
const childCompacts = "PENCHANT_TEST_CHILD_COMPACTS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		serveUntilKilled(dir)
	}
	goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...)
}

var keys = []awsapi.Credential{
	{AccessKeyID: "first", SecretKey: "first-secret"},
	{AccessKeyID: "second", SecretKey: "second-secret"},
}

func config(dir string) embedded.Config {
	return embedded.Config{
		DataDir:    dir,
		KafkaAddr:  "127.0.0.1:0",
		RedisAddr:  "127.0.0.1:0",
		S3Addr:     "127.0.0.1:0",
		AccessKeys: keys,
	}
}

type addresses struct{ Kafka, Redis, S3 string }

func serveUntilKilled(dir string) {
	cfg := config(dir)
	if os.Getenv(childCompacts) != "" {
		cfg.CompactBytes, cfg.CompactInterval = 1, 100*time.Millisecond
	}
	servers, err := embedded.Start(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(addresses{servers.KafkaAddr(), servers.RedisAddr(), servers.S3Endpoint()})
	select {} // the parent kills us
}

func start(t *testing.T, cfg embedded.Config) *embedded.Servers {
	t.Helper()
	servers, err := embedded.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	return servers
}

func openBus(t *testing.T, address string) *bus.Client {
	t.Helper()
	client, err := bus.Open(t.Context(), bus.Config{
		Brokers: []string{address},
		Topics:  bus.TopicDefaults{Partitions: 4, ReplicationFactor: 1, MinInSyncReplicas: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func openBucket(t *testing.T, endpoint string, key awsapi.Credential, name string) *blob.Bucket {
	t.Helper()
	client, err := blob.Open(blob.Config{Endpoint: endpoint, AccessKey: key.AccessKeyID, SecretKey: key.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.EnsureBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return client.Bucket(name)
}

func TestServersAnswerWhereTheySay(t *testing.T) {
	where, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	servers := start(t, config(t.TempDir()))
	if err := openBus(t, servers.KafkaAddr()).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	bucket := openBucket(t, servers.S3Endpoint(), keys[0], "bucket")
	if err := bucket.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if answer := redis(t, servers.RedisAddr(), "PING"); answer != "PONG" {
		t.Errorf("Redis answers %q", answer)
	}
	if now, err := os.Getwd(); err != nil || now != where {
		t.Errorf("the working directory is %s, was %s (%v)", now, where, err)
	}
}

func TestOnlyWhatIsAskedForStarts(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.KafkaAddr, cfg.S3Addr = "", ""
	servers := start(t, cfg)
	if servers.KafkaAddr() != "" || servers.S3Endpoint() != "" || servers.RedisAddr() == "" {
		t.Errorf("got %q, %q, %q", servers.KafkaAddr(), servers.S3Endpoint(), servers.RedisAddr())
	}
}

func TestTakenAddressNamesItsFlag(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().String()
	for flag, set := range map[string]func(*embedded.Config){
		"--kafka-addr": func(cfg *embedded.Config) { cfg.KafkaAddr = taken },
		"--redis-addr": func(cfg *embedded.Config) { cfg.RedisAddr = taken },
		"--s3-addr":    func(cfg *embedded.Config) { cfg.S3Addr = taken },
	} {
		t.Run(flag, func(t *testing.T) {
			cfg := config(t.TempDir())
			set(&cfg)
			_, err := embedded.Start(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), taken) {
				t.Errorf("got %v", err)
			}
			start(t, config(cfg.DataDir)) // and nothing is left of the attempt
		})
	}
}

func TestDataDirectoryHasOneProcess(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.S3Addr = ""
	first := start(t, cfg)
	_, err := embedded.Start(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
}

func TestStartHonoursItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := embedded.Start(ctx, config(t.TempDir())); err == nil {
		t.Error("no error")
	}
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	servers := start(t, config(dir))
	client := openBus(t, servers.KafkaAddr())
	if err := client.EnsureTopics(t.Context(), bus.TopicSpec{Name: "topic"}); err != nil {
		t.Fatal(err)
	}
	if err := client.Publish(t.Context(), bus.Record{Topic: "topic", Key: []byte("k"), Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	before, err := client.Topics(t.Context(), "topic")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openBucket(t, servers.S3Endpoint(), keys[0], "bucket").Put(t.Context(), "a/b", []byte("object"), blob.PutOptions{Metadata: map[string]string{"m": "1"}}); err != nil {
		t.Fatal(err)
	}
	redis(t, servers.RedisAddr(), "HSET", "hash", "field", "value")
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}

	servers = start(t, config(dir))
	client = openBus(t, servers.KafkaAddr())
	after, err := client.Topics(t.Context(), "topic")
	if err != nil || after["topic"] != before["topic"] {
		t.Errorf("the topic is %+v, was %+v (%v)", after, before, err)
	}
	if n := endSum(t, client, "topic"); n != 1 {
		t.Errorf("%d records", n)
	}
	data, info, err := openBucket(t, servers.S3Endpoint(), keys[1], "bucket").Get(t.Context(), "a/b")
	if err != nil || string(data) != "object" || info.Metadata["m"] != "1" {
		t.Errorf("got %q, %+v, %v", data, info, err)
	}
	if value := redis(t, servers.RedisAddr(), "HGET", "hash", "field"); value != "value" {
		t.Errorf("got %q", value)
	}
}

func endSum(t *testing.T, client *bus.Client, topic string) int64 {
	t.Helper()
	held, err := client.Offsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, r := range held {
		sum += r.End
	}
	return sum
}
