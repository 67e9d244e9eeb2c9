package faults

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestReadinessTellsWhatIsAway (promise 11): Kafka, Redis and S3 are cut off one after the other. Each target says that
// it is not ready exactly when it can't do its own work without, and is ready again afterwards. A dataset group that is
// created without Kafka waits for it.
func TestReadinessTellsWhatIsAway(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	kafka, broker := penchanttest.StartProxiedKafka(t)
	redis, redisURL := penchanttest.ProxyRedis(t, servers.RedisURL)
	store := penchanttest.StartS3Proxy(t, servers.S3)
	bucket := servers.OpenBucket(t, "")
	servers.KafkaBrokers, servers.RedisURL, servers.S3 = broker.Addrs, redisURL, store.Config
	stack := start(t, servers.Settings(), 1, allTargets...)
	for _, outage := range []struct {
		name      string
		cut, mend func()
		needs     map[string]bool // the targets that can't do without
	}{
		{"Kafka", kafka.Cut, kafka.Mend,
			map[string]bool{"tracker": true, "session-updater": true, "firehose": true, "retrainer": true}},
		{"Redis", redis.Cut, redis.Mend, map[string]bool{"session-updater": true}},
		{"S3", func() { store.Fail(penchanttest.Away) }, store.Mend,
			map[string]bool{"control": true, "firehose": true, "retrainer": true}},
	} {
		outage.cut()
		for target, processes := range stack {
			if outage.needs[target] {
				eventually.SucceedsWithin(t, recoverLimit, target+" says that it is not ready without "+outage.name,
					func() error {
						if processes[0].Ready() == nil {
							return context.DeadlineExceeded
						}
						return nil
					})
			}
		}
		for target, processes := range stack {
			if err := processes[0].Ready(); (err != nil) != outage.needs[target] {
				t.Errorf("%s without %s: %v", target, outage.name, err)
			}
		}
		if outage.name == "Kafka" {
			var group personalize.CreateDatasetGroupResponse
			if err := stack.one("control").API().Call(t.Context(), "CreateDatasetGroup",
				&personalize.CreateDatasetGroupRequest{Name: new("waits")}, &group); err != nil {
				t.Errorf("creating a dataset group without Kafka: %v", err)
			}
			outage.mend()
			penchanttest.WaitActive[*catalog.DatasetGroup](t, catalog.NewStore(bucket, nil), *group.DatasetGroupArn)
		}
		outage.mend()
		for _, processes := range stack {
			processes[0].AwaitReady(recoverLimit)
		}
	}
	stack.terminate()
}

// TestOverloadIsRefused (promise 10): a recommender is asked by ten times as many clients as it works for at once,
// while its Redis is silent. It answers some and refuses the others with 503, soon; its memory stays bounded.
func TestOverloadIsRefused(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	redis, redisURL := penchanttest.ProxyRedis(t, servers.RedisURL)
	proxied := servers
	proxied.RedisURL = redisURL
	stack := start(t, servers.Settings(), 1, "control", "retrainer")
	s := openShop(t, servers, stack.one("control"), "overload")
	s.importClicks("clicks", 1)
	campaign := s.campaign("home", s.awaitVersion(s.startVersion(s.solution("taste", "aws-user-personalization"))).ARN)
	stack.terminate()
	const atOnce = "32"
	recommender := penchanttest.Start(t, "recommender", t.TempDir(),
		append(proxied.Settings(), "PENCHANT_MAX_REQUESTS="+atOnce)...)
	a := newAsker(t, recommender)
	a.awaitList(t, campaign, "")

	redis.Mute()
	var answered, refused atomic.Int64
	var asking sync.WaitGroup
	for range 320 {
		asking.Go(func() {
			for range 5 {
				switch r, err := a.ask(t.Context(), campaign, "user-1"); {
				case err != nil || r.took > 10*time.Second:
					t.Errorf("%+v, %v", r, err)
					return
				case r.status == http.StatusOK:
					answered.Add(1)
				case r.status == http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("%d %s", r.status, r.message)
				}
			}
		})
	}
	asking.Wait()
	if answered.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d answered, %d refused", answered.Load(), refused.Load())
	}
	if peak := recommender.PeakMemory(); peak > 400<<20 {
		t.Errorf("it took %.0f MiB", peak/(1<<20))
	}
	redis.Mend()
	a.mustAsk(t, campaign, "user-1")
	recommender.Terminate()
}
