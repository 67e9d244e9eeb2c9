package results

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/experiment"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

// experimenting creates an experiment of two arms, control and new, the way control does.
func (i *installation) experimenting() *catalog.Experiment {
	i.Helper()
	if err := i.Bus.EnsureTopics(i.Context(), bus.TopicSpec{Name: bus.RecommendationsTopic(i.Group.GroupKey())}); err != nil {
		i.Fatal(err)
	}
	shares := []experiment.Share{{Arm: "control", Share: 0.5}, {Arm: "new", Share: 0.5}}
	allocation, err := experiment.Allocation{}.Reallocate(shares)
	if err != nil {
		i.Fatal(err)
	}
	e := &catalog.Experiment{
		Metadata: retrainertest.Active(retrainertest.Account+"experiment/layout", "layout"), DatasetGroupARN: i.Group.ARN,
		Arms:       []catalog.ExperimentArm{{Name: "control", CampaignARN: retrainertest.Account + "campaign/old"}, {Name: "new", CampaignARN: retrainertest.Account + "campaign/new"}},
		Allocation: allocation, Phases: [][]experiment.Share{shares},
		Metric: experiment.Metric{EventType: "click", Per: experiment.PerImpression},
		Guard:  &experiment.Guard{Metric: experiment.Metric{EventType: "buy", Per: experiment.PerUser}, Worse: experiment.Lower},
		Window: time.Hour, Effect: 0.3, Confidence: 0.999, // a test that fails one time in a thousand without a reason at most
	}
	retrainertest.Create(i.Installation, e)
	return e
}

// shows tells the log of answers of an experiment to users, each by his arm. The id of an answer is the user's with a
// number.
func (i *installation) shows(e *catalog.Experiment, number int, users ...string) {
	i.Helper()
	var records []bus.Record
	for _, user := range users {
		id := fmt.Sprintf("RID-%s-%d", user, number)
		value, err := proto.Marshal(&penchantv1.RecommendationShown{
			RecommendationId: id, UserId: user, ItemIds: []string{"a", "b"},
			Experiment: &penchantv1.ExperimentArm{Arn: e.ARN, Id: e.ID, Arm: e.Answers(user).Name},
		})
		if err != nil {
			i.Fatal(err)
		}
		records = append(records, bus.Record{Topic: bus.RecommendationsTopic(i.Group.GroupKey()), Key: []byte(id), Value: value})
	}
	if err := i.Bus.Publish(i.Context(), records...); err != nil {
		i.Fatal(err)
	}
}

func (i *installation) results(e *catalog.Experiment) experiment.Results {
	i.Helper()
	data, _, err := i.Bucket.Get(i.Context(), e.Tally(i.Bucket).Key)
	if err != nil {
		i.Fatal(err)
	}
	tally, err := experiment.Decode(data, e.Plan())
	if err != nil {
		i.Fatal(err)
	}
	return tally.Results()
}

func sumOf(r experiment.Results) string {
	var users, impressions, rewards, guard int64
	for _, a := range r.Arms {
		users, impressions, rewards, guard = users+a.Users, impressions+a.Impressions, rewards+a.Metric.Rewards, guard+a.Guard.Rewards
	}
	return fmt.Sprintf("%d users, %d impressions, %d rewards, %d guard", users, impressions, rewards, guard)
}

// Each answer and each reward counts once, whether the log has it or only the archive.
func TestAnExperimentIsCounted(t *testing.T) {
	t.Parallel()
	i := install(t)
	e := i.experimenting()
	later := time.Minute
	s := i.counter(func(c *ExperimentsConfig) { c.Now = func() time.Time { return time.Now().Add(later) } })
	look := func() {
		t.Helper()
		later += time.Minute
		s.look(t.Context())
	}
	i.shows(e, 1, "ada", "bob", "eve")
	i.shows(e, 2, "ada")
	other := *e
	other.ID = "one-that-had-the-name-before"
	i.shows(&other, 3, "ada")
	i.happens(
		reco.Interaction{EventID: "1", EventType: "click", ItemID: "a", RecommendationID: "RID-ada-1"},
		reco.Interaction{EventID: "2", EventType: "click", ItemID: "a", RecommendationID: "RID-ada-1"}, // the same again
		reco.Interaction{EventID: "3", EventType: "click", ItemID: "b", RecommendationID: "RID-ada-1"},
		reco.Interaction{EventID: "4", EventType: "buy", ItemID: "b", RecommendationID: "RID-bob-1"},
		reco.Interaction{EventID: "5", EventType: "click", ItemID: "b", RecommendationID: "RID-ada-3"},
		reco.Interaction{EventID: "6", EventType: "click", ItemID: "b"})
	look()
	if got, want := sumOf(i.results(e)), "3 users, 4 impressions, 2 rewards, 1 guard"; got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
	look() // of nothing new
	if got, want := sumOf(i.results(e)), "3 users, 4 impressions, 2 rewards, 1 guard"; got != want {
		t.Errorf("counted %s, want %s", got, want)
	}

	// Interactions that the log no longer has, and a retrainer that starts anew.
	i.happens(reco.Interaction{EventID: "7", EventType: "click", ItemID: "a", RecommendationID: "RID-eve-1"})
	i.archive()
	topic := schema.Interactions.Topic(i.Group.GroupKey())
	held, err := i.Bus.Offsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[bus.TopicPartition]int64{}
	for place, offsets := range held {
		ends[place] = offsets.End
	}
	if err := i.Bus.DeleteRecords(t.Context(), ends); err != nil {
		t.Fatal(err)
	}
	i.happens(reco.Interaction{EventID: "8", EventType: "click", ItemID: "a", RecommendationID: "RID-bob-1"})
	s = i.counter(func(c *ExperimentsConfig) { c.Now = func() time.Time { return time.Now().Add(later) } })
	look()
	r := i.results(e)
	if got, want := sumOf(r), "3 users, 4 impressions, 4 rewards, 1 guard"; got != want || r.LeftOut != (experiment.LeftOut{}) {
		t.Errorf("counted %s and left out %+v, want %s", got, r.LeftOut, want)
	}

	// Its end: the last answers are waited for, and then nothing is counted any more.
	e, err = i.Store.Experiments.Update(t.Context(), e.ARN, func(e *catalog.Experiment) error {
		e.Stop("new", "enough", time.Now())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	later = e.Window + time.Hour
	for range 20 { // each pass is ten minutes at most
		look()
	}
	if got := i.results(e).CountedUntil; got != float64(e.CountedUntil().Truncate(time.Millisecond).UnixMilli())/1000 {
		t.Errorf("counted until %v, its end is %v", got, e.CountedUntil())
	}
}

// Whoever dies in the middle and however many count at once: in the end each record has counted once.
func TestAnExperimentIsCountedOnceThroughCrashes(t *testing.T) {
	t.Parallel()
	i := install(t)
	e := i.experimenting()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	written := make(chan struct{})
	var counting sync.WaitGroup
	for n := range 3 {
		random := rand.New(rand.NewPCG(3, uint64(n)))
		counting.Go(func() {
			for {
				// A process that lives for a moment only.
				s := i.counter(func(c *ExperimentsConfig) {
					c.Interval = time.Nanosecond
				})
				life, die := context.WithTimeout(ctx, time.Duration(random.IntN(60))*time.Millisecond)
				for life.Err() == nil {
					if err := s.count(life, e); err != nil && life.Err() == nil {
						t.Errorf("counting: %v", err)
					}
				}
				die()
				select {
				case <-written:
					return
				case <-ctx.Done():
					t.Error("the test took too long")
					return
				default:
				}
			}
		})
	}
	const rounds, users = 20, 10
	for round := range rounds {
		var names []string
		var events []reco.Interaction
		for u := range users {
			user := fmt.Sprintf("u%d-%d", round, u)
			names = append(names, user)
			events = append(events, reco.Interaction{EventID: user, EventType: "click", ItemID: "a", RecommendationID: fmt.Sprintf("RID-%s-%d", user, 0)})
		}
		i.shows(e, 0, names...)
		i.happens(events...)
	}
	close(written)
	counting.Wait()
	s := i.counter(func(c *ExperimentsConfig) { c.Now = func() time.Time { return time.Now().Add(time.Minute) } })
	if err := s.count(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d users, %[1]d impressions, %[1]d rewards, 0 guard", rounds*users)
	if got := sumOf(i.results(e)); got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
}

// A canary whose guard metric is worse is stopped, and the control answers everybody.
func TestABadCanaryIsRolledBack(t *testing.T) {
	t.Parallel()
	i := install(t)
	e := i.experimenting()
	var later time.Duration
	s := i.counter(func(c *ExperimentsConfig) { c.Now = func() time.Time { return time.Now().Add(later) } })
	// buys lets users of the arms buy with certain probabilities.
	number := 0
	buys := func(users int, ofControl, ofNew float64) {
		t.Helper()
		random := rand.New(rand.NewPCG(5, uint64(number)))
		var names []string
		var events []reco.Interaction
		for range users {
			number++
			user := fmt.Sprint("u", number)
			names = append(names, user)
			probability := map[string]float64{"control": ofControl, "new": ofNew}[e.Answers(user).Name]
			if random.Float64() < probability {
				events = append(events, reco.Interaction{EventID: user, EventType: "buy", ItemID: "a", RecommendationID: "RID-" + user + "-0"})
			}
		}
		i.shows(e, 0, names...)
		i.happens(events...)
		later += time.Minute
		s.look(t.Context())
	}
	stored := func() *catalog.Experiment {
		t.Helper()
		now, err := i.Store.Experiments.Get(t.Context(), e.ARN)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	buys(400, 0.5, 0.5)
	if now := stored(); now.Stopped() {
		t.Fatalf("stopped without reason: %s %+v", now.StopReason, i.results(e))
	}
	buys(1200, 0.5, 0.1)
	now := stored()
	if !now.Stopped() || now.ServingArm != "control" || !strings.Contains(now.StopReason, "buy") || now.Answers("anybody").Name != "control" {
		t.Fatalf("the experiment is %+v, its guard %+v and %+v", now, i.results(e).Arms[0].Guard, i.results(e).Arms[1].Guard.Comparison)
	}
	if r := i.results(e); !r.Arms[1].Guard.Comparison.Significant || r.SampleRatio.PValue < 1e-4 {
		t.Errorf("results %+v", r)
	}

	// Gone with everything: what a retrainer writes too late for it goes, too.
	if err := i.Store.Delete(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if err := s.count(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if _, _, err := i.Bucket.Get(t.Context(), e.Tally(i.Bucket).Key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("what was counted stays: %v", err)
	}
}
