package recommender

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/experiment"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// experiment creates an ACTIVE experiment on the campaigns of two recipes, half of the users each.
func (s *shop) experiment(name string, change func(*catalog.Experiment), recipes ...string) *catalog.Experiment {
	s.Helper()
	e := &catalog.Experiment{
		Metadata: active("experiment/"+name, name), DatasetGroupARN: account + "dataset-group/shop",
		Metric: experiment.Metric{EventType: "click", Per: experiment.PerImpression}, Window: time.Hour, Effect: 0.1, Confidence: 0.95,
	}
	var shares []experiment.Share
	for _, r := range recipes {
		e.Arms = append(e.Arms, catalog.ExperimentArm{Name: r, CampaignARN: campaignARN(r)})
		shares = append(shares, experiment.Share{Arm: r, Share: 1 / float64(len(recipes))})
	}
	var err error
	e.Allocation, err = e.Allocation.Reallocate(shares)
	s.must(err)
	e.Phases = [][]experiment.Share{shares}
	if change != nil {
		change(e)
	}
	s.must(s.store.Create(s.Context(), e))
	return e
}

// told collects what the recommendations topic is told and was, by recommendationId.
type told struct {
	sync.Mutex
	records map[string]*penchantv1.RecommendationShown
}

func (s *shop) listen() *told {
	s.Helper()
	heard := &told{records: map[string]*penchantv1.RecommendationShown{}}
	s.background(func(ctx context.Context) error {
		return s.bus.Follow(ctx, bus.FollowConfig{Topics: []string{bus.RecommendationsTopic(groupKey)}, FromStart: true}, func(_ context.Context, records []bus.Record) error {
			heard.Lock()
			defer heard.Unlock()
			for _, r := range records {
				shown := &penchantv1.RecommendationShown{}
				if err := proto.Unmarshal(r.Value, shown); err != nil {
					return err
				}
				heard.records[shown.RecommendationId] = shown
			}
			return nil
		})
	})
	return heard
}

func (t *told) find(keep func(*penchantv1.RecommendationShown) bool) []*penchantv1.RecommendationShown {
	t.Lock()
	defer t.Unlock()
	var found []*penchantv1.RecommendationShown
	for _, shown := range t.records {
		if keep(shown) {
			found = append(found, shown)
		}
	}
	return found
}

// Each user is answered by his arm, the same at every call, and the log is told which it was.
func TestAnExperimentIsAskedAsACampaignIs(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	heard := s.listen()
	e := s.experiment("layout", nil, personal, popularity)
	counts, answers := map[string]int{}, map[string]string{} // of arms; arm by recommendationId
	for u := range 60 {
		user := fmt.Sprint("visitor-", u)
		s.sees(user, false, "blue1", "blue2", "blue5")
		arm := e.Answers(user)
		want, err := s.recommendations(map[string]any{"campaignArn": arm.CampaignARN, "userId": user, "numResults": 5})
		s.must(err)
		for range 2 {
			got, err := s.recommendations(map[string]any{"campaignArn": e.ARN, "userId": user, "numResults": 5})
			s.must(err)
			if diff := cmp.Diff(ids(want.ItemList), ids(got.ItemList)); diff != "" {
				t.Fatalf("%s is answered otherwise than by %s: %s", user, arm.Name, diff)
			}
			counts[arm.Name]++
			answers[*got.RecommendationId] = arm.Name
		}
	}
	if counts[personal] < 30 || counts[popularity] < 30 {
		t.Errorf("the arms answered %v", counts)
	}
	eventually.True(s, "all answers are told", func() bool {
		return len(heard.find(func(r *penchantv1.RecommendationShown) bool { return r.Experiment != nil })) == len(answers)
	})
	for _, r := range heard.find(func(r *penchantv1.RecommendationShown) bool { return r.Experiment != nil }) {
		x := r.Experiment
		if x.Arn != e.ARN || x.Id != e.ID || x.Phase != 0 || x.Arm != answers[r.RecommendationId] || r.CampaignArn != campaignARN(x.Arm) || r.ShadowOf != "" {
			t.Errorf("told %v", r)
		}
	}

	ranked := s.experiment("order", nil, ranker, ranker)
	resp, err := s.ranking(map[string]any{"campaignArn": ranked.ARN, "userId": "visitor-1", "inputList": []string{"red1", "blue3"}})
	s.must(err)
	if len(resp.PersonalizedRanking) != 2 {
		t.Errorf("ranked %v", resp)
	}

	for what, c := range map[string]struct {
		request map[string]any
		code    string
	}{
		"nobody":               {map[string]any{"campaignArn": e.ARN}, awsapi.CodeInvalidInput},
		"an absent experiment": {map[string]any{"campaignArn": account + "experiment/none", "userId": "u"}, awsapi.CodeResourceNotFound},
	} {
		_, err := s.recommendations(c.request)
		refusedAs(t, what, err, c.code)
	}
}

func refusedAs(t *testing.T, what string, err error, code string) {
	t.Helper()
	if refusal, ok := err.(*awsapi.Error); !ok || refusal.Code != code { //nolint:errorlint // as the client returns it
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

// After its end an experiment is still called, is answered by one arm, and counts nothing.
func TestAStoppedExperimentServesOneArm(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	heard := s.listen()
	e := s.experiment("layout", func(e *catalog.Experiment) { e.Stop(popularity, "enough", time.Now()) }, personal, popularity)
	want, err := s.recommendations(map[string]any{"campaignArn": campaignARN(popularity)})
	s.must(err)
	answered := map[string]bool{}
	for u := range 20 {
		got, err := s.recommendations(map[string]any{"campaignArn": e.ARN, "userId": fmt.Sprint("u", u)})
		s.must(err)
		if diff := cmp.Diff(ids(want.ItemList), ids(got.ItemList)); diff != "" {
			t.Fatal(diff)
		}
		answered[*got.RecommendationId] = true
	}
	mine := func(r *penchantv1.RecommendationShown) bool { return answered[r.RecommendationId] }
	eventually.True(s, "all answers are told", func() bool { return len(heard.find(mine)) == len(answered) })
	for _, r := range heard.find(mine) {
		if r.Experiment != nil {
			t.Errorf("told %v", r)
		}
	}
}

// A campaign on trial whose model does not load costs its users the trial, not the answer.
func TestTheControlAnswersWhereAnArmCannot(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	heard := s.listen()
	s.must(s.store.Create(s.Context(), &catalog.SolutionVersion{
		Metadata: active("solution/broken/00000001", ""), DatasetGroupARN: account + "dataset-group/shop", ManifestKey: "models/none/manifest.json", ModelID: "none",
	}))
	s.must(s.store.Create(s.Context(), &catalog.Campaign{
		Metadata: active("campaign/broken", "broken"), DatasetGroupARN: account + "dataset-group/shop", SolutionVersionARN: account + "solution/broken/00000001",
	}))
	e := s.experiment("trial", nil, popularity, "broken")
	onTrial, answered := 0, map[string]string{}
	for u := range 40 {
		user := fmt.Sprint("u", u)
		got, err := s.recommendations(map[string]any{"campaignArn": e.ARN, "userId": user})
		if err != nil {
			t.Fatalf("%s of arm %s: %v", user, e.Answers(user).Name, err)
		}
		answered[*got.RecommendationId] = e.Answers(user).Name
		if e.Answers(user).Name == "broken" {
			onTrial++
		}
	}
	if onTrial < 8 {
		t.Fatalf("only %d users were on trial", onTrial)
	}
	mine := func(r *penchantv1.RecommendationShown) bool { return answered[r.RecommendationId] != "" }
	eventually.True(s, "all answers are told", func() bool { return len(heard.find(mine)) == len(answered) })
	for _, r := range heard.find(mine) {
		if counts := r.Experiment != nil; counts != (answered[r.RecommendationId] == popularity) || r.CampaignArn != campaignARN(popularity) {
			t.Errorf("of arm %s, told %v", answered[r.RecommendationId], r)
		}
	}
	if n := s.counter("penchant_recommender_fallbacks_total", fallbackArm); n != float64(onTrial) {
		t.Errorf("%v fallbacks were counted, %d there were", n, onTrial)
	}
}

// counter is the value of a counter with a label of a value.
func (s *shop) counter(name, label string) float64 {
	s.Helper()
	families, err := s.metrics.Gather()
	s.must(err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// What a shadow campaign would have answered is told, and seen by nobody.
func TestShadowsAnswerUnseen(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	heard := s.listen()
	e := s.experiment("trial", func(e *catalog.Experiment) { e.ShadowCampaignARNs = []string{campaignARN(personal)} }, popularity, popularity)
	s.sees("reader", false, "blue1", "blue2", "blue5")
	shadowWants, err := s.recommendations(map[string]any{"campaignArn": campaignARN(personal), "userId": "reader", "numResults": 5})
	s.must(err)
	got, err := s.recommendations(map[string]any{"campaignArn": e.ARN, "userId": "reader", "numResults": 5})
	s.must(err)
	if slices.Equal(ids(got.ItemList), ids(shadowWants.ItemList)) {
		t.Fatal("the test's campaigns answer the same")
	}
	var shadow *penchantv1.RecommendationShown
	eventually.True(s, "the shadow is told", func() bool {
		found := heard.find(func(r *penchantv1.RecommendationShown) bool { return r.ShadowOf == *got.RecommendationId })
		if len(found) == 1 {
			shadow = found[0]
		}
		return shadow != nil
	})
	if diff := cmp.Diff(ids(shadowWants.ItemList), shadow.ItemIds); diff != "" || shadow.Experiment != nil || shadow.CampaignArn != campaignARN(personal) || shadow.UserId != "reader" {
		t.Errorf("told %v: %s", shadow, diff)
	}
	if n := s.counter("penchant_recommender_shadow_answers_total", shadowAnswered); n != 1 {
		t.Errorf("%v shadows were counted", n)
	}
}

// stuck is a model that panics when it has waited for long.
type stuck struct {
	model.Model
	until <-chan struct{}
}

func (m stuck) Score(model.Query, []float32) error {
	<-m.until
	panic("a model on trial")
}

// However slow and broken a shadow is, requests are answered, as fast as without it.
func TestABadShadowCostsNothing(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	e := s.experiment("trial", func(e *catalog.Experiment) { e.ShadowCampaignARNs = []string{campaignARN(personal)} }, popularity, popularity)
	release := make(chan struct{})
	serving, err := s.models.Campaign(t.Context(), campaignARN(personal))
	s.must(err)
	broken := *serving.Loaded
	broken.Model = stuck{serving.Loaded.Model, release}
	answering := func(ctx context.Context, _ *modelstore.Serving, _ *request) (*answer, error) {
		scorer, err := s.service.acquireScorer(ctx, &broken, model.Query{})
		if err != nil {
			return nil, err
		}
		defer scorer.release()
		_, err = scorer.Score(nil)
		return nil, err
	}
	shown := &answer{serving: serving, req: &request{assigned: &assignment{experiment: e}}}
	for range shadowQueue + 50 { // the first is stuck, and then the queue is full
		s.service.shadows.offer(shown, answering)
	}
	for u := range 30 {
		if _, err := s.recommendations(map[string]any{"campaignArn": e.ARN, "userId": fmt.Sprint("u", u)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.counter("penchant_recommender_shadow_answers_total", shadowDropped); n < 49 {
		t.Errorf("%v shadows were dropped", n)
	}
	close(release)
	eventually.True(s, "the broken shadows are through", func() bool {
		return s.counter("penchant_recommender_shadow_answers_total", shadowFailed) > 0 && len(s.service.shadows.queue) == 0
	})
}
