package faults

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// hammer asks for recommendations from several goroutines until stop is called, and fails the test on every answer that
// is not 200 or, where any are given, none of the lists.
func hammer(t *testing.T, a *asker, campaign string, lists ...string) (stop func() (answers int)) {
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	var mu sync.Mutex
	answers := 0
	for range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				r, err := a.ask(ctx, campaign, "nobody")
				known := len(lists) == 0
				for _, list := range lists {
					known = known || r.items == list
				}
				switch {
				case ctx.Err() != nil:
				case err != nil || r.status != http.StatusOK || !known:
					t.Errorf("under load: %+v, %v", r, err)
					return
				default:
					mu.Lock()
					answers++
					mu.Unlock()
				}
			}
		})
	}
	return func() int {
		cancel()
		asking.Wait()
		return answers
	}
}

// TestModelsSwapUnderLoad (promises 5 and 6): a campaign is switched between two models and back while it is asked
// without pause. Every answer is 200 and wholly one model's.
func TestModelsSwapUnderLoad(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, servers.Settings(), 1, "control", "retrainer", "recommender")
	s := openShop(t, servers, stack.one("control"), "swap")
	first, second := s.twoModels("aws-popularity-count")
	stack.one("retrainer").Kill()
	campaign := s.campaign("home", first.ARN)
	a := newAsker(t, stack.one("recommender"))
	firstList := a.awaitList(t, campaign, "")
	s.point(campaign, second.ARN)
	secondList := a.awaitList(t, campaign, firstList)

	stop := hammer(t, a, campaign, firstList, secondList)
	for range 5 {
		s.point(campaign, first.ARN)
		a.awaitList(t, campaign, secondList)
		s.point(campaign, second.ARN)
		a.awaitList(t, campaign, firstList)
	}
	if answers := stop(); answers < 100 {
		t.Errorf("only %d answers: the test proves little", answers)
	}
	stack.one("recommender").Terminate()
	stack.one("control").Terminate()
}

// TestLastGoodModelAnswersOn (promise 6): each object of a model is damaged in the bucket in each way, and the campaign
// is pointed to it. The recommender counts and logs that, stays ready and answers from the model before; once the
// object is mended, it moves on by itself.
func TestLastGoodModelAnswersOn(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, servers.Settings(), 1, "control", "retrainer", "recommender")
	recommender := stack.one("recommender")
	s := openShop(t, servers, stack.one("control"), "last-good")
	first, second := s.twoModels("aws-popularity-count")
	stack.one("retrainer").Kill()
	campaign := s.campaign("home", first.ARN)
	a := newAsker(t, recommender)
	good := a.awaitList(t, campaign, "")

	stop := hammer(t, a, campaign)
	objects := []string{second.ManifestKey, parts(models(s, second.ARN))[0]}
	n := 0
	for _, key := range objects {
		for kind, damage := range damages {
			failed, err := recommender.Metric("penchant_modelstore_loads_total", "outcome", "failed")
			if err != nil {
				t.Fatal(err)
			}
			whole := spoil(t, s.bucket, key, damage)
			s.point(campaign, second.ARN)
			eventually.SucceedsWithin(t, recoverLimit, "the damaged model is tried", func() error {
				return exceeds(recommender, "penchant_modelstore_loads_total", failed, "outcome", "failed")
			})
			if r := a.mustAsk(t, campaign, "nobody"); r.items != good {
				t.Errorf("%s of %s: another list than the last good model's: %s", kind, key, r.items)
			}
			if err := recommender.Ready(); err != nil {
				t.Errorf("%s of %s: %v", kind, key, err)
			}
			s.point(campaign, first.ARN)
			// When the recommender knows a campaign that was made later, it does not try the damaged model any more:
			// mended before, it could be loaded, and kept.
			n++
			later := s.campaign(fmt.Sprintf("later-%d", n), first.ARN)
			a.awaitList(t, later, "")
			s.call("DeleteCampaign", &personalize.DeleteCampaignRequest{CampaignArn: &later}, nil)
			if _, err := s.bucket.Put(t.Context(), key, whole, blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !strings.Contains(recommender.Output(), "model does not load") {
		t.Error("the log does not tell of the damage")
	}
	spoil(t, s.bucket, objects[1], damages["empty"])
	stop()
	recommender.Terminate()
	stack.one("control").Terminate()
}

// TestRecommenderStartsWhateverIsAway (promises 5, 6 and 11): a recommender is started again from its local cache while
// Kafka, Redis and S3 are all away: it answers. With the cache damaged as well it is not ready and says why, and
// recovers when S3 comes back.
func TestRecommenderStartsWhateverIsAway(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	kafka := penchanttest.StartProxy(t, "", servers.KafkaBrokers[0])
	redis, redisURL := penchanttest.ProxyRedis(t, servers.RedisURL)
	store := penchanttest.StartS3Proxy(t, servers.S3)
	proxied := servers
	proxied.KafkaBrokers, proxied.RedisURL, proxied.S3 = []string{kafka.Addr()}, redisURL, store.Config

	stack := start(t, servers.Settings(), 1, "control", "retrainer")
	s := openShop(t, servers, stack.one("control"), "all-away")
	s.importClicks("clicks", 1)
	campaign := s.campaign("home", s.awaitVersion(s.startVersion(s.solution("taste", "aws-user-personalization"))).ARN)
	stack.one("retrainer").Terminate()
	stack.one("control").Terminate()
	recommender := penchanttest.Start(t, "recommender", t.TempDir(), proxied.Settings()...)
	list := newAsker(t, recommender).awaitList(t, campaign, "")
	recommender.Terminate()

	kafka.Cut()
	redis.Cut()
	store.Fail(penchanttest.Away)
	recommender.Restart()
	recommender.AwaitReady(startLimit)
	if r := newAsker(t, recommender).mustAsk(t, campaign, "nobody"); r.items != list || r.fallback == "" ||
		r.took > 2*time.Second {
		t.Errorf("with everything away: %+v", r)
	}
	recommender.Kill()

	entries, err := os.ReadDir(filepath.Join(recommender.DataDir, "models"))
	if err != nil || len(entries) < 3 {
		t.Fatalf("the cache holds %v, %v", entries, err)
	}
	for _, entry := range entries {
		path := filepath.Join(recommender.DataDir, "models", entry.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data[:len(data)/2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	recommender.Restart()
	eventually.SucceedsWithin(t, startLimit, "the recommender says what it lacks", func() error {
		if err, ended := recommender.Exited(); ended {
			t.Fatalf("it ended: %v", err)
		}
		if err := recommender.Ready(); err == nil || !strings.Contains(err.Error(), "catalog has not been read") {
			return err
		}
		return nil
	})
	store.Mend()
	if again := newAsker(t, recommender).awaitList(t, campaign, ""); again != list {
		t.Errorf("after the store is back: %s, before %s", again, list)
	}
	recommender.AwaitReady(recoverLimit)
	recommender.Kill()
}

// TestRecommenderAnswersWithoutRedis (promise 5): Redis is slow, silent or away. Answers come all the same, soon, and
// say that they do without the visitor's state.
func TestRecommenderAnswersWithoutRedis(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	redis, redisURL := penchanttest.ProxyRedis(t, servers.RedisURL)
	proxied := servers
	proxied.RedisURL = redisURL
	stack := start(t, servers.Settings(), 1, "control", "retrainer")
	s := openShop(t, servers, stack.one("control"), "no-redis")
	s.importClicks("clicks", 1)
	campaign := s.campaign("home", s.awaitVersion(s.startVersion(s.solution("taste", "aws-user-personalization"))).ARN)
	stack.one("retrainer").Terminate()
	stack.one("control").Terminate()
	recommender := penchanttest.Start(t, "recommender", t.TempDir(), proxied.Settings()...)
	a := newAsker(t, recommender)
	a.awaitList(t, campaign, "")

	const bound = 1500 * time.Millisecond // 200 ms for the state, and a busy machine
	for name, fault := range map[string]func(){
		"slow": func() { redis.Slow(2 * time.Second) }, "silent": redis.Mute, "away": redis.Cut,
	} {
		fault()
		for range 20 {
			if r := a.mustAsk(t, campaign, "user-1"); r.fallback == "" || r.took > bound {
				t.Errorf("with Redis %s: fallback %q after %s", name, r.fallback, r.took)
			}
		}
		if err := recommender.Ready(); err != nil {
			t.Errorf("with Redis %s: %v", name, err)
		}
		redis.Mend()
	}
	recommender.Terminate()
}
