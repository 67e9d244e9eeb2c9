package training

import (
	"sync"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

// testClock is a time that the test moves.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func every(expression string) *personalize.SolutionConfig {
	return &personalize.SolutionConfig{AutoTrainingConfig: &personalize.AutoTrainingConfig{SchedulingExpression: &expression}}
}

func automatic(s *catalog.Solution) { s.PerformAutoTraining = true }

// finish ends a version as a training would.
func (i *installation) finish(v *catalog.SolutionVersion) {
	i.Helper()
	_, err := i.Store.SolutionVersions.Update(i.Context(), v.ARN, func(v *catalog.SolutionVersion) error {
		v.Status = status.Active
		return nil
	})
	if err != nil {
		i.Fatal(err)
	}
}

func TestAutomaticTrainingFollowsItsSchedule(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(30, "click")
	now := &testClock{now: time.Now()}
	s := i.retrainer(func(c *Config) { c.Now, c.AutoTrainInitialDelay = now.Now, 30*time.Minute })
	weekly := i.Solution("weekly", "aws-sims", automatic)
	daily := i.Solution("daily", "aws-sims", func(s *catalog.Solution) { s.PerformAutoTraining, s.Config = true, every("rate(1 day)") })
	byHand := i.Solution("by-hand", "aws-sims", automatic)
	i.finish(i.Version(byHand, "00000001"))
	off := i.Solution("off", "aws-sims", nil)

	// look moves the clock and has the schedule look; it then ends the versions made, and checks how many each solution
	// has.
	look := func(after time.Duration, want map[*catalog.Solution]int) {
		t.Helper()
		now.add(after)
		s.schedule.look(t.Context())
		s.schedule.look(t.Context()) // what was made is not due any more
		for solution, n := range want {
			versions := i.VersionsOf(solution)
			if len(versions) != n {
				t.Errorf("%s has %d versions, not %d", solution.Name, len(versions), n)
			}
			for _, v := range versions {
				i.finish(v)
			}
		}
	}
	const day = 24 * time.Hour
	look(29*time.Minute, map[*catalog.Solution]int{weekly: 0, daily: 0, byHand: 1, off: 0})
	look(2*time.Minute, map[*catalog.Solution]int{weekly: 1, daily: 1, byHand: 1, off: 0})
	look(day, map[*catalog.Solution]int{weekly: 1, daily: 2, byHand: 1, off: 0})
	look(7*day, map[*catalog.Solution]int{weekly: 2, byHand: 2, off: 0})

	v := i.VersionsOf(weekly)[0]
	if v.TrainingType != mode.TrainingAutomatic || v.RecipeARN != weekly.RecipeARN || v.DatasetGroupARN != i.Group.ARN {
		t.Errorf("automatic version %+v", v)
	}
}

func TestTwoReplicasMakeOneVersion(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(30, "click")
	solution := i.Solution("taste", "aws-sims", automatic)
	later := func() time.Time { return time.Now().Add(time.Hour) }
	var replicas sync.WaitGroup
	for range 4 {
		s := i.retrainer(func(c *Config) { c.Now = later })
		replicas.Go(func() { s.schedule.look(t.Context()) })
	}
	replicas.Wait()
	if versions := i.VersionsOf(solution); len(versions) != 1 {
		t.Errorf("%d versions", len(versions))
	}
}

func TestAutomaticTrainingWaitsForData(t *testing.T) {
	t.Parallel()
	i := install(t)
	solution := i.Solution("taste", "aws-sims", automatic)
	now := &testClock{now: time.Now().Add(time.Hour)}
	s := i.retrainer(func(c *Config) { c.Now = now.Now })
	s.schedule.look(t.Context())
	i.PutEvents(30, "click")
	s.schedule.look(t.Context())
	if versions := i.VersionsOf(solution); len(versions) != 0 {
		t.Errorf("%d versions without data, or sooner than the data is looked at again", len(versions))
	}
	now.add(lookAgain)
	s.schedule.look(t.Context())
	if versions := i.VersionsOf(solution); len(versions) != 1 {
		t.Errorf("%d versions once there is data", len(versions))
	}
}

func TestSchedulingExpressions(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for expression, want := range map[string]time.Duration{
		"rate(1 day)": day, "rate(7 days)": 7 * day, "rate(30 days)": 30 * day,
		"rate(0 days)": 0, "rate(31 days)": 0, "rate(7 hours)": 0, "cron(0 0)": 0, "": 0, "rate(99999999999999999999 days)": 0,
	} {
		got, err := periodOf(&catalog.Solution{Config: every(expression)})
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %v, %v", expression, got, err)
		}
	}
	for _, config := range []*personalize.SolutionConfig{nil, {}, {AutoTrainingConfig: &personalize.AutoTrainingConfig{}}} {
		if got, err := periodOf(&catalog.Solution{Config: config}); got != 7*day || err != nil {
			t.Errorf("without an expression: %v, %v", got, err)
		}
	}
}

// TestRecommendersAreTrainedAgain has the hidden solution of a recommender, whose first version control makes.
func TestRecommendersAreTrainedAgain(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(30, "View")
	now := &testClock{now: time.Now()}
	s := i.retrainer(func(c *Config) { c.Now = now.Now })
	hidden := i.Solution("_views-1a2b3c4d", "aws-sims", func(s *catalog.Solution) {
		s.PerformAutoTraining, s.OwnedBy, s.EventType = true, retrainertest.Account+"recommender/views", "View"
	})
	i.finish(i.Version(hidden, "00000001"))
	for _, look := range []struct {
		after time.Duration
		want  int
	}{{time.Hour, 1}, {6 * 24 * time.Hour, 1}, {24 * time.Hour, 2}} {
		now.add(look.after)
		s.schedule.look(t.Context())
		if versions := i.VersionsOf(hidden); len(versions) != look.want {
			t.Errorf("%d versions after another %v, want %d", len(versions), look.after, look.want)
		}
	}
	for _, v := range i.VersionsOf(hidden) {
		if v.EventType != "View" {
			t.Errorf("%s is trained on events of type %q", v.ARN, v.EventType)
		}
	}
	// A recommender that is stopped is not.
	if _, err := i.Store.Solutions.Update(t.Context(), hidden.ARN, func(s *catalog.Solution) error {
		s.PerformAutoTraining = false
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	i.seen(hidden.ARN)
	now.add(30 * 24 * time.Hour)
	s.schedule.look(t.Context())
	if n := len(i.VersionsOf(hidden)); n != 2 {
		t.Errorf("%d versions of a recommender that is stopped", n)
	}
}
