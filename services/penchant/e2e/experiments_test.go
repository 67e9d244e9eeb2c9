package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/control/experiments"
	"github.com/penchant-io/penchant/services/penchant/demo"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// trial is a whole installation with two campaigns: one shows what is popular, one what suits the visitor. Half of the
// visitors like items of even number, half those of odd number.
type trial struct {
	*testing.T
	api               *awsapi.Client
	trackingID        *string
	popular, personal *string // campaigns
	solution, version *string // of the personal one
}

func openTrial(t *testing.T) *trial {
	t.Helper()
	all := penchanttest.Start(t, "all", t.TempDir(), "PENCHANT_MIN_INTERACTIONS=100", "PENCHANT_MIN_USERS=10",
		"PENCHANT_EXPERIMENT_INTERVAL=1s")
	x := &trial{T: t, api: all.API()}
	x.fill()
	return x
}

func (x *trial) call(operation string, in, out any) {
	x.Helper()
	if err := x.api.Call(x.Context(), operation, in, out); err != nil {
		x.Fatalf("%s: %v", operation, err)
	}
}

// eventually waits as long as a busy machine may need.
func (x *trial) eventually(what string, check func() error) {
	x.Helper()
	eventually.SucceedsWithin(x, 2*time.Minute, what, check)
}

func (x *trial) active(operation string, in any, status func() (any, *string)) {
	x.Helper()
	x.eventually(operation+" says ACTIVE", func() error {
		out, _ := status()
		x.call(operation, in, out)
		if _, s := status(); *s != "ACTIVE" {
			return fmt.Errorf("it is %s", *s)
		}
		return nil
	})
}

func (x *trial) fill() {
	x.Helper()
	var group personalize.CreateDatasetGroupResponse
	x.call("CreateDatasetGroup", &personalize.CreateDatasetGroupRequest{Name: new("shop")}, &group)
	var schema personalize.CreateSchemaResponse
	x.call("CreateSchema", &personalize.CreateSchemaRequest{Name: new("shop"), Schema: new(demo.InteractionsSchema)},
		&schema)
	x.eventually("a dataset is created", func() error {
		return x.api.Call(x.Context(), "CreateDataset", &personalize.CreateDatasetRequest{
			Name: new("shop"), DatasetGroupArn: group.DatasetGroupArn, DatasetType: new("Interactions"),
			SchemaArn: schema.SchemaArn}, nil)
	})
	var tracker personalize.CreateEventTrackerResponse
	x.call("CreateEventTracker", &personalize.CreateEventTrackerRequest{Name: new("web"),
		DatasetGroupArn: group.DatasetGroupArn}, &tracker)
	x.trackingID = tracker.TrackingId
	for user := range 60 {
		var items []string
		for n := range 10 {
			items = append(items, fmt.Sprint("i", user%2+2*((user/2+n)%15)))
		}
		x.eventually("events are taken",
			func() error { return x.put(fmt.Sprint("known-", user), "view", "", items...) })
	}
	x.popular, _, _ = x.deploy(group.DatasetGroupArn, "aws-popularity-count")
	x.personal, x.solution, x.version = x.deploy(group.DatasetGroupArn, "aws-user-personalization")
}

// put sends events; those of one user and recommendation have equal ids when they are sent again.
func (x *trial) put(user, kind, recommendation string, items ...string) error {
	request := &personalizeevents.PutEventsRequest{TrackingId: x.trackingID, SessionId: new("s-" + user), UserId: &user}
	for n, item := range items {
		event := personalizeevents.Event{
			EventType: &kind, ItemId: &item, EventId: new(fmt.Sprint(user, kind, recommendation, n)),
			SentAt: awsapi.At(time.Now()),
		}
		if recommendation != "" {
			event.RecommendationId = &recommendation
		}
		request.EventList = append(request.EventList, event)
	}
	return x.api.Post(x.Context(), "/events", request, nil)
}

func (x *trial) deploy(group *string, recipe string) (campaign, solution, version *string) {
	x.Helper()
	var s personalize.CreateSolutionResponse
	x.call("CreateSolution", &personalize.CreateSolutionRequest{Name: &recipe, DatasetGroupArn: group,
		RecipeArn: new(recipeARN + recipe), PerformAutoTraining: new(false)}, &s)
	version = x.train(s.SolutionArn)
	var c personalize.CreateCampaignResponse
	x.call("CreateCampaign", &personalize.CreateCampaignRequest{Name: &recipe, SolutionVersionArn: version}, &c)
	var d personalize.DescribeCampaignResponse
	x.active("DescribeCampaign", &personalize.DescribeCampaignRequest{CampaignArn: c.CampaignArn},
		func() (any, *string) {
			if d.Campaign == nil {
				return &d, nil
			}
			return &d, d.Campaign.Status
		})
	return c.CampaignArn, s.SolutionArn, version
}

func (x *trial) train(solution *string) *string {
	x.Helper()
	var v personalize.CreateSolutionVersionResponse
	x.eventually("a training begins", func() error {
		return x.api.Call(x.Context(), "CreateSolutionVersion",
			&personalize.CreateSolutionVersionRequest{SolutionArn: solution}, &v)
	})
	var d personalize.DescribeSolutionVersionResponse
	x.active("DescribeSolutionVersion", &personalize.DescribeSolutionVersionRequest{SolutionVersionArn: v.SolutionVersionArn}, func() (any, *string) {
		if d.SolutionVersion == nil {
			return &d, nil
		}
		return &d, d.SolutionVersion.Status
	})
	return v.SolutionVersionArn
}

// experiment creates one of two arms, half of the visitors each, and waits until it answers.
func (x *trial) experiment(name string, old, other *string, rest map[string]any) string {
	x.Helper()
	request := map[string]any{
		"name": name, "metric": map[string]any{"eventType": "click"},
		"arms": []map[string]any{{"name": "control", "campaignArn": old, "share": 0.5},
			{"name": "new", "campaignArn": other, "share": 0.5}},
	}
	for member, value := range rest {
		request[member] = value
	}
	var created experiments.CreateResponse
	x.call("CreateExperiment", request, &created)
	x.eventually("the experiment answers", func() error {
		return x.api.Post(x.Context(), "/recommendations",
			map[string]any{"campaignArn": created.ExperimentArn, "userId": "known-0"}, nil)
	})
	return *created.ExperimentArn
}

func (x *trial) describe(arn string) experiments.Description {
	x.Helper()
	var out experiments.DescribeResponse
	x.call("DescribeExperiment", map[string]any{"experimentArn": arn}, &out)
	return out.Experiment
}

// visit lets a visitor ask an experiment twice, and click the likelier the more of what he likes he is shown.
func (x *trial) visit(experiment string, user int, random *rand.Rand) (asked, clicked int64, err error) {
	id := fmt.Sprintf("%s-%d", experiment[strings.LastIndexByte(experiment, '/')+1:], user)
	for range 2 {
		var answer personalizeruntime.GetRecommendationsResponse
		if err := x.api.Post(x.Context(), "/recommendations",
			map[string]any{"campaignArn": experiment, "userId": id, "numResults": 5}, &answer); err != nil {
			return asked, clicked, err
		}
		asked++
		liked := ""
		n := 0
		for _, item := range answer.ItemList {
			if parity(*item.ItemId) == user%2 {
				liked, n = *item.ItemId, n+1
			}
		}
		if liked == "" || random.Float64() > 0.04*float64(n*n) {
			continue
		}
		clicked++
		for range 1 + user%2 { // some clients send their events again
			if err := x.put(id, "click", *answer.RecommendationId, liked); err != nil {
				return asked, clicked, err
			}
		}
	}
	return asked, clicked, nil
}

// parity of an item's number: half of the visitors like the even ones, half the odd ones.
func parity(item string) int {
	number, err := strconv.Atoi(strings.TrimPrefix(item, "i"))
	if err != nil {
		return -1
	}
	return number % 2
}

// TestExperimentsOnSimulatedVisitors: a better campaign is found to be better, an equal one is not, what was shown and
// clicked is counted to the last event, and a model is trained, deployed and rolled back meanwhile without one failed
// request.
func TestExperimentsOnSimulatedVisitors(t *testing.T) {
	x := openTrial(t)
	better := x.experiment("better", x.popular, x.personal,
		map[string]any{"shadowCampaignArns": []*string{x.personal}, "expectedEffect": 0.3})
	equal := x.experiment("equal", x.popular, x.popular, map[string]any{"expectedEffect": 0.3, "confidence": 0.999})

	const visitors = 200
	for user := range visitors {
		x.eventually("events are taken", func() error {
			return x.put(fmt.Sprint("better-", user), "view", "", fmt.Sprint("i", user%2), fmt.Sprint("i", user%2+4),
				fmt.Sprint("i", user%2+8))
		})
	}
	x.eventually("what they have seen counts", func() error {
		for user := range visitors {
			var answer personalizeruntime.GetRecommendationsResponse
			err := x.api.Post(x.Context(), "/recommendations",
				map[string]any{"campaignArn": x.personal, "userId": fmt.Sprint("better-", user), "numResults": 5},
				&answer)
			if err != nil {
				return err
			}
			if shown := answer.ItemList; len(shown) == 0 || parity(*shown[0].ItemId) != user%2 {
				return fmt.Errorf("visitor %d is shown what others like", user)
			}
		}
		return nil
	})
	var clicked, asked [2]atomic.Int64
	var visiting sync.WaitGroup
	for worker := range 4 {
		random := rand.New(rand.NewPCG(11, uint64(worker)))
		visiting.Go(func() {
			for user := worker; user < visitors; user += 4 {
				for n, experiment := range []string{better, equal} {
					a, c, err := x.visit(experiment, user, random)
					if err != nil {
						t.Errorf("a visit: %v", err)
						return
					}
					asked[n].Add(a)
					clicked[n].Add(c)
				}
			}
		})
	}
	visiting.Wait()
	if t.Failed() {
		return
	}
	asked[0].Add(1) // that of known-0, as the experiment began
	asked[1].Add(1)
	for n, arn := range []string{better, equal} {
		x.eventually("everything is counted", func() error {
			r := x.describe(arn).Results
			users, shown, rewards := int64(0), int64(0), int64(0)
			for _, arm := range r.Arms {
				users, shown, rewards = users+arm.Users, shown+arm.Impressions, rewards+arm.Metric.Rewards
			}
			if users != visitors+1 || shown != asked[n].Load() || rewards != clicked[n].Load() {
				return fmt.Errorf("%d users, %d impressions and %d rewards, of %d, %d and %d", users, shown, rewards,
					visitors+1, asked[n].Load(), clicked[n].Load())
			}
			return nil
		})
		r := x.describe(arn).Results
		c := r.Arms[1].Metric.Comparison
		t.Logf("control %+v, new %+v: %+v", r.Arms[0].Metric, r.Arms[1].Metric, c)
		switch {
		case c == nil || r.SampleRatio.PValue < 1e-4 || r.LeftOut.MovedImpressions != 0:
			t.Errorf("the results of %s are %+v", arn, r)
		case n == 0 && (!c.Significant || c.Interval.Lower <= 0):
			t.Errorf("the better campaign was not found: %+v", c)
		case n == 1 && c.Significant:
			t.Errorf("a difference was found where there is none: %+v", c)
		}
	}
	t.Run("Retrain, deploy and roll back under load", func(t *testing.T) { retrainUnderLoad(t, x, better) })
}

// retrainUnderLoad: whatever is trained, deployed, rolled back and stopped, every request is answered.
func retrainUnderLoad(t *testing.T, x *trial, experiment string) {
	loadCtx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var answers atomic.Int64
	for worker := range 3 {
		load.Go(func() {
			for n := worker; loadCtx.Err() == nil; n++ {
				campaign := []string{*x.personal, experiment}[n%2]
				var answer personalizeruntime.GetRecommendationsResponse
				err := x.api.Post(loadCtx, "/recommendations",
					map[string]any{"campaignArn": campaign, "userId": fmt.Sprint("loader-", n%50), "numResults": 5},
					&answer)
				if loadCtx.Err() != nil {
					return
				}
				if err != nil || len(answer.ItemList) != 5 {
					t.Errorf("under load %s answered %v, %v", campaign, answer.ItemList, err)
					return
				}
				answers.Add(1)
			}
		})
	}
	defer func() {
		stop()
		load.Wait()
		if n := answers.Load(); n < 100 {
			t.Errorf("only %d answers: the test proves little", n)
		}
	}()
	serves := func(version *string) {
		t.Helper()
		x.eventually("the version is served", func() error {
			var story struct{ SolutionVersionArn string }
			if err := x.api.Post(t.Context(), "/explain-recommendations",
				map[string]any{"campaignArn": x.personal, "userId": "known-1"}, &story); err != nil {
				t.Fatal(err)
			}
			if story.SolutionVersionArn != *version {
				return fmt.Errorf("%s is", story.SolutionVersionArn)
			}
			return nil
		})
	}
	point := func(version *string) {
		t.Helper()
		x.eventually("the campaign takes the update", func() error {
			return x.api.Call(t.Context(), "UpdateCampaign",
				&personalize.UpdateCampaignRequest{CampaignArn: x.personal, SolutionVersionArn: version}, nil)
		})
		serves(version)
	}
	retrained := x.train(x.solution)
	point(retrained)
	point(x.version) // back
	point(retrained)
	x.call("UpdateExperiment", map[string]any{"experimentArn": experiment, "arms": []map[string]any{
		{"name": "control", "campaignArn": x.popular, "share": 0.9},
		{"name": "new", "campaignArn": x.personal, "share": 0.1}}}, nil)
	x.call("UpdateExperiment", map[string]any{"experimentArn": experiment, "stopAndServe": "control"}, nil)
	if d := x.describe(experiment); d.State != "STOPPED" || d.ServingArm != "control" {
		t.Errorf("stopped as %+v", d)
	}
	point(x.version)
}
