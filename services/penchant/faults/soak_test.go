package faults

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestSoak runs two replicas of every service on three brokers, a Redis and a MinIO, under a steady stream of events
// and requests for recommendations, and injects a fault every few seconds: processes are killed, terminated and frozen,
// brokers and Redis are killed and frozen, the store goes away, refuses and loses its answers. At the end every
// acknowledged event is archived once (promise 1), nothing is archived twice, every user's history, links and vectors
// are those of a replay without faults (promise 4), every call for recommendations was answered (promise 5), and every
// training has ended.
func TestSoak(t *testing.T) {
	events, eventsPerSecond := 25_000, 1_600
	if long {
		events = 300_000
	}
	kafka, redis, minio := penchanttest.StartKafka(t, 3, nil), penchanttest.StartRedis(t), penchanttest.StartMinIO(t)
	store := penchanttest.StartS3Proxy(t, minio.Config)
	servers := penchanttest.NewServers(kafka, redis, minio.Config)
	throughProxy := servers
	throughProxy.S3 = store.Config
	s := &soak{
		T: t, kafka: kafka, redis: redis, store: store,
		stack: start(t, append(throughProxy.Settings(), "PENCHANT_JOB_LEASE=10s"), 2, allTargets...),
	}
	s.trackers, s.recommenders, s.controls = s.balance("tracker"), s.balance("recommender"), s.balance("control")

	shop := openShop(t, servers, s.stack["control"][0], "soak")
	shop.importClicks("clicks", 1)
	solution := shop.solution("taste", "aws-user-personalization")
	version := shop.awaitVersion(shop.startVersion(solution))
	campaign := shop.campaign("taste", version.ARN)
	newAsker(t, s.stack["recommender"][0]).awaitList(t, campaign, "")
	newAsker(t, s.stack["recommender"][1]).awaitList(t, campaign, "")

	sender := &penchanttest.Sender{TrackingID: shop.track(), PerCall: 10, Visit: visit}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	pace := rate.NewLimiter(rate.Limit(eventsPerSecond)/rate.Limit(sender.PerCall), 10)
	for lane := range 24 {
		load.Go(func() {
			for pace.Wait(ctx) == nil {
				_ = sender.Send(ctx, s.trackers.pick, lane) // the sender remembers what became of it
			}
		})
	}
	visitors := &visitors{campaign: campaign}
	for range 2 {
		load.Go(func() { visitors.browse(ctx, s.recommenders) })
	}

	started := time.Now()
	var versions []string
	for round := 0; ; round++ {
		if sent, _ := sender.Counts(); sent >= events {
			break
		}
		s.awaitReady()
		if round%8 == 0 {
			versions = append(versions, s.train(solution))
		}
		s.round()
	}
	took := time.Since(started)
	stop()
	load.Wait()

	sent, acknowledged := sender.Counts()
	t.Logf("%d faults in %s: %v", s.faults, took.Round(time.Second), s.counts)
	t.Logf("%d events sent, %d acknowledged, %.0f a second", sent, acknowledged, float64(acknowledged)/took.Seconds())
	t.Logf("%s", visitors)
	if n := visitors.failed.Load(); n > 0 {
		t.Errorf("%d requests for recommendations were not answered, the last one with: %v", n,
			visitors.lastError.Load())
	}
	s.awaitReady()
	bucket := servers.OpenBucket(t, "")
	sender.CheckArchive(t, bucket, shop.group.GroupKey(), 2*recoverLimit)
	checkReplay(t, bucket, shop.group.GroupKey(), penchanttest.OpenUsers(t, servers.RedisURL),
		loadModel(t, bucket, version))
	for _, version := range versions {
		shop.awaitVersion(version)
	}
	report, err := archive.Verify(t.Context(), bucket, shop.group.GroupKey())
	if err != nil || len(report.Problems) > 0 || len(report.Gaps) > 0 {
		t.Errorf("the archive's own check: %v, problems %v, gaps %v", err, report.Problems, report.Gaps)
	}
	s.stack.terminate()
}

// soak is the installation under fault.
type soak struct {
	*testing.T
	kafka *penchanttest.Kafka
	redis *penchanttest.Redis
	store *penchanttest.S3Proxy
	stack installation

	trackers, recommenders, controls *balancer

	faults int
	counts map[string]int // of each kind of fault
}

// awaitReady waits until every process can do its work, so that a fault never meets a target whose other replica is
// down.
func (s *soak) awaitReady() {
	s.Helper()
	for _, processes := range s.stack {
		for _, process := range processes {
			process.AwaitReady(startLimit)
		}
	}
}

// train starts a training, through whichever control plane answers.
func (s *soak) train(solution string) (version string) {
	s.Helper()
	shop := &shop{TB: s, api: s.controls.pick()}
	return shop.startVersion(solution)
}

// round breaks a process and, half of the time, a server at the same moment, and mends both after a while.
func (s *soak) round() {
	s.Helper()
	hold := time.Second + rand.N(2*time.Second)
	mendServer := func() {}
	if rand.IntN(2) == 0 {
		mendServer = s.breakServer()
	}
	mendProcess := s.breakProcess(&hold)
	if err := penchanttest.Pause(s.Context(), hold); err != nil {
		s.Fatal(err)
	}
	mendServer()
	mendProcess()
}

func (s *soak) note(fault string) {
	if s.counts == nil {
		s.counts = map[string]int{}
	}
	s.faults++
	s.counts[fault]++
}

func (s *soak) breakProcess(hold *time.Duration) (mend func()) {
	target := allTargets[rand.IntN(len(allTargets))]
	process := s.stack[target][rand.IntN(2)]
	switch rand.IntN(3) {
	case 0:
		s.note("kill -9")
		process.Kill()
		return process.Restart
	case 1:
		s.note("SIGTERM")
		process.AskToEnd()
		return func() {
			process.AwaitExit()
			process.Restart()
		}
	default:
		s.note("SIGSTOP")
		if rand.IntN(5) == 0 {
			*hold = 20 * time.Second // longer than its membership in the Kafka group lasts: it comes back as a zombie
		}
		process.Freeze()
		return process.Thaw
	}
}

func (s *soak) breakServer() (mend func()) {
	broker := s.kafka.Brokers[rand.IntN(len(s.kafka.Brokers))]
	storeFault := func(name string, fault penchanttest.S3Fault) func() {
		s.note(name)
		s.store.Fail(fault)
		return s.store.Mend
	}
	switch rand.IntN(7) {
	case 0:
		s.note("broker killed")
		broker.Kill()
		return broker.Start
	case 1:
		s.note("broker frozen")
		broker.Freeze()
		return broker.Thaw
	case 2:
		s.note("Redis killed")
		s.redis.Kill()
		return s.redis.Start
	case 3:
		return storeFault("store away", penchanttest.Away)
	case 4:
		return storeFault("store overloaded", penchanttest.Refuse(http.StatusServiceUnavailable, "SlowDown"))
	case 5:
		return storeFault("store refuses", penchanttest.Refuse(http.StatusForbidden, "AccessDenied"))
	default:
		return storeFault("store loses answers", penchanttest.On(http.MethodPut, "/archive/", penchanttest.LoseAnswer))
	}
}

// balancer is what stands before replicas: it asks each for its health, and picks among those that answer.
type balancer struct {
	clients []*awsapi.Client
	up      []atomic.Bool
}

func (s *soak) balance(target string) *balancer {
	b := &balancer{up: make([]atomic.Bool, len(s.stack[target]))}
	ctx, stop := context.WithCancel(context.Background())
	var probing sync.WaitGroup
	for i, process := range s.stack[target] {
		b.clients = append(b.clients, process.API())
		url := process.Endpoints["http"] + "/healthz/ready"
		probe := &http.Client{Timeout: 300 * time.Millisecond}
		probing.Go(func() {
			for {
				res, err := probe.Get(url)
				b.up[i].Store(err == nil && res.StatusCode == http.StatusOK)
				if err == nil {
					res.Body.Close()
				}
				if penchanttest.Pause(ctx, 100*time.Millisecond) != nil {
					return
				}
			}
		})
	}
	s.Cleanup(func() {
		stop()
		probing.Wait()
	})
	return b
}

func (b *balancer) pick() *awsapi.Client {
	first := rand.IntN(len(b.clients))
	for i := range b.clients {
		if k := (first + i) % len(b.clients); b.up[k].Load() {
			return b.clients[k]
		}
	}
	return b.clients[first]
}

// visitors ask for recommendations as an SDK does: a call that fails, or takes too long, is made again, three times in
// all.
type visitors struct {
	campaign string

	asked, again, failed atomic.Int64
	slowest              atomic.Int64 // ns, of all tries together
	lastError            atomic.Value
}

func (v *visitors) browse(ctx context.Context, recommenders *balancer) {
	for penchanttest.Pause(ctx, 20*time.Millisecond) == nil {
		user, started := visitor(rand.IntN(visitorsInAll)), time.Now()
		var err error
		for try := range 3 {
			var answer struct{ ItemList []struct{ ItemID string } }
			attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
			err = recommenders.pick().Post(attempt, "/recommendations",
				map[string]any{"campaignArn": v.campaign, "userId": user}, &answer)
			cancel()
			if err == nil && len(answer.ItemList) != 25 {
				err = fmt.Errorf("%d items", len(answer.ItemList))
			}
			if err == nil || penchanttest.Pause(ctx, 100*time.Millisecond<<try) != nil {
				break
			}
			v.again.Add(1)
		}
		if ctx.Err() != nil {
			return
		}
		v.asked.Add(1)
		if err != nil {
			v.failed.Add(1)
			v.lastError.Store(err.Error())
		}
		v.slowest.Store(max(v.slowest.Load(), int64(time.Since(started))))
	}
}

// String sums up.
func (v *visitors) String() string {
	return fmt.Sprintf("%d requests for recommendations, %d unanswered, %d tries repeated, the slowest took %s",
		v.asked.Load(), v.failed.Load(), v.again.Load(), time.Duration(v.slowest.Load()).Round(time.Millisecond))
}

// visit is who makes a call, and in which of his sessions: users with odd numbers sometimes without having signed in.
func visit() (user, session string) {
	n := rand.IntN(visitorsInAll)
	user, session = visitor(n), fmt.Sprintf("visit-%d-%d", n, rand.IntN(3))
	if n%2 == 1 && rand.IntN(4) == 0 {
		user = ""
	}
	return user, session
}

const visitorsInAll = 400

func visitor(n int) (user string) { return fmt.Sprint("visitor-", n) }

// checkReplay waits until histories, links and vectors are what the archive's events lead to without a fault.
func checkReplay(t *testing.T, bucket *blob.Bucket, group string, users *userstate.Store, served *modelstore.Loaded) {
	t.Helper()
	penchanttest.CheckStates(t, bucket, group, users, 2*recoverLimit)
	var events []reco.Interaction
	for event, err := range archive.ReadInteractions(t.Context(), bucket, group, schema.Interactions,
		archive.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	vectors := 0
	for user, history := range linkedHistories(events) {
		view, err := users.View(t.Context(), group, user)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(history, view.History); diff != "" {
			t.Errorf("user %s with linked sessions (-fault-free +found):\n%s", user, diff)
		}
		if view.Vectors == nil {
			continue // sessions were united with the user's own history: the recommender folds them when it is asked
		}
		want := make([]float32, served.Folder().Dim())
		served.Folder().Fold(history, want)
		if diff := cmp.Diff(want, view.Vectors[served.ModelID]); diff != "" {
			t.Errorf("the vector of user %s (-fault-free +found):\n%s", user, diff)
		}
		vectors++
	}
	if vectors == 0 {
		t.Error("no vector was compared")
	}
	t.Logf("%d events of %d users and sessions compared, %d vectors", len(events), len(penchanttest.FaultFree(events)),
		vectors)
}

// linkedHistories computes each user's history, with that of the sessions he was seen in before he signed in.
func linkedHistories(events []reco.Interaction) map[string][]reco.RecentInteraction {
	own := penchanttest.FaultFree(events)
	sessions := map[string]map[string]bool{}
	for _, event := range events {
		if event.UserID != "" {
			if sessions[event.UserID] == nil {
				sessions[event.UserID] = map[string]bool{}
			}
			sessions[event.UserID][event.SessionID] = true
		}
	}
	united := map[string][]reco.RecentInteraction{}
	for user, seenIn := range sessions {
		history := slices.Clone(own[user])
		for _, session := range slices.Sorted(maps.Keys(seenIn)) {
			history = append(history, own[session]...)
		}
		slices.SortFunc(history, reco.CompareRecent)
		united[user] = history[max(0, len(history)-penchanttest.History):]
	}
	return united
}

func loadModel(t *testing.T, bucket *blob.Bucket, version *catalog.SolutionVersion) *modelstore.Loaded {
	t.Helper()
	loaded, err := modelstore.Load(t.Context(), bucket, version.ManifestKey, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}
