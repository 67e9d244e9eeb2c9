package embeddedtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penchant-io/penchant/pkg/blob"
)

// The variables that name real servers to test against in place of the embedded ones, each for itself: Kafka's topics
// and groups that begin with "penchant" are deleted, and Redis is emptied, before each test.
const (
	kafkaVariable       = "PENCHANT_TEST_KAFKA_BROKERS" // host:port,…
	redisVariable       = "PENCHANT_TEST_REDIS_URL"
	s3Variable          = "PENCHANT_TEST_S3_ENDPOINT"
	s3AccessKeyVariable = "PENCHANT_TEST_S3_ACCESS_KEY"
	s3SecretKeyVariable = "PENCHANT_TEST_S3_SECRET_KEY"
)

// outside is held by the test that has the real Kafka and Redis, which all tests of a process share. Processes must not
// run at the same time either: go test -p 1.
var outside struct {
	test sync.Mutex // held from a test's first claim to its end

	mu     sync.Mutex
	holder string // the test's name
}

// claimOutside waits until no other test uses the real servers. It says whether the test, or the one that it is part
// of, had them already.
func claimOutside(t testing.TB) (again bool) {
	outside.mu.Lock()
	again = outside.holder != "" && (t.Name() == outside.holder || strings.HasPrefix(t.Name(), outside.holder+"/"))
	outside.mu.Unlock()
	if again {
		return true
	}
	outside.test.Lock()
	setHolder := func(name string) {
		outside.mu.Lock()
		outside.holder = name
		outside.mu.Unlock()
	}
	setHolder(t.Name())
	t.Cleanup(func() {
		setHolder("")
		outside.test.Unlock()
	})
	return false
}

// outsideServers are the brokers and the URL of the real servers, as far as there are any, emptied for the test.
func outsideServers(t testing.TB) (brokers []string, redisURL string) {
	t.Helper()
	if kafka := os.Getenv(kafkaVariable); kafka != "" {
		brokers = strings.Split(kafka, ",")
	}
	redisURL = os.Getenv(redisVariable)
	if len(brokers) == 0 && redisURL == "" || claimOutside(t) {
		return brokers, redisURL
	}
	if len(brokers) > 0 {
		if err := clearKafka(t.Context(), brokers); err != nil {
			t.Fatalf("clearing Kafka: %v", err)
		}
	}
	if redisURL != "" {
		if err := clearRedis(t.Context(), redisURL); err != nil {
			t.Fatalf("emptying Redis: %v", err)
		}
	}
	return brokers, redisURL
}

// clearKafka deletes what an earlier test has left. A group lasts until its members are gone.
func clearKafka(ctx context.Context, brokers []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(20*time.Millisecond)) // it is looked at until topics are gone
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		topics, err := admin.ListTopics(ctx)
		if err != nil {
			return err
		}
		var old []string
		for _, name := range topics.Names() {
			if strings.HasPrefix(name, "penchant") {
				old = append(old, name)
			}
		}
		groups, err := admin.ListGroups(ctx)
		if err != nil {
			return err
		}
		var oldGroups []string
		for _, name := range groups.Groups() {
			if strings.HasPrefix(name, "penchant") {
				oldGroups = append(oldGroups, name)
			}
		}
		if len(old) == 0 && len(oldGroups) == 0 {
			return nil
		}
		if len(oldGroups) > 0 {
			if _, err := admin.DeleteGroups(ctx, oldGroups...); err != nil {
				return err
			}
		}
		if len(old) > 0 {
			if _, err := admin.DeleteTopics(ctx, old...); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topics %v and groups %v stay: %w", old, oldGroups, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func clearRedis(ctx context.Context, url string) error {
	if address, cluster := strings.CutSuffix(url, "?cluster=true"); cluster {
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{strings.TrimPrefix(address, "redis://")}})
		defer client.Close()
		return client.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return node.FlushAll(ctx).Err() })
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer client.Close()
	return client.FlushAll(ctx).Err()
}

// outsideS3 returns the store and a bucket that no other test has, nor any on a store that is kept.
func outsideS3(t testing.TB) (cfg blob.Config, bucket string) {
	t.Helper()
	cfg = blob.Config{
		Endpoint: os.Getenv(s3Variable), AccessKey: os.Getenv(s3AccessKeyVariable), SecretKey: os.Getenv(s3SecretKeyVariable),
	}
	return cfg, fmt.Sprintf("test-%016x", rand.Uint64())
}
