package training

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

// cliques puts interactions of so many circles of five users into the log: each circle has eight items of its own, of
// which each of its users clicks six. What goes together is known from few users each.
func (i *installation) cliques(circles int) {
	i.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var records []bus.Record
	for c := range circles {
		for member := range 5 {
			user := fmt.Sprintf("u%03d-%d", c, member)
			for e, item := range random.Perm(8)[:6] {
				records = append(records, i.interaction(&reco.Interaction{
					EventID: fmt.Sprintf("%s-%d", user, e), UserID: user, SessionID: "s", EventType: "click",
					ItemID: fmt.Sprintf("i%03d-%d", c, item), TimestampMS: int64(1000 * e),
				}))
			}
		}
	}
	if err := i.Bus.Publish(i.Context(), records...); err != nil {
		i.Fatal(err)
	}
}

func (i *installation) interaction(e *reco.Interaction) bus.Record {
	i.Helper()
	value, err := wire.MarshalInteraction(e)
	if err != nil {
		i.Fatal(err)
	}
	return bus.Record{Topic: schema.Interactions.Topic(i.Group.GroupKey()), Key: []byte(e.UserID), Value: value}
}

func (i *installation) model(v *catalog.SolutionVersion) *modelstore.Loaded {
	i.Helper()
	if v.Status != status.Active {
		i.Fatalf("%s is %s: %s", v.ARN, v.Status, v.FailureReason)
	}
	loaded, err := modelstore.Load(i.Context(), i.Bucket, v.ManifestKey, "")
	if err != nil {
		i.Fatal(err)
	}
	return loaded
}

func configured(c *personalize.SolutionConfig) func(*catalog.Solution) {
	return func(s *catalog.Solution) { s.Config = c }
}

func events(list ...personalize.EventParameters) *personalize.SolutionConfig {
	return &personalize.SolutionConfig{EventsConfig: &personalize.EventsConfig{EventParametersList: list}}
}

func weigh(eventType string, weight float64) personalize.EventParameters {
	return personalize.EventParameters{EventType: &eventType, Weight: &weight}
}

func TestEventsConfigSelectsAndWeighsEvents(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	i.PutEvents(40, "buy")
	i.Background(i.retrainer(nil).Run)
	train := func(name string, c *personalize.SolutionConfig) *modelstore.Loaded {
		return i.model(i.Ends(i.Version(i.Solution(name, "aws-user-personalization", configured(c)), "00000001")))
	}
	both := train("both", nil)
	equal := train("equal", events(weigh("click", 0.3), weigh("buy", 0.3)))
	bought := train("bought", events(personalize.EventParameters{EventType: new("buy")}))
	zero := train("zero", events(weigh("click", 0), weigh("buy", 0.5)))
	weighted := train("weighted", events(weigh("click", 0.1), weigh("buy", 1)))
	if both.Manifest.DataCut.Interactions != 480 || equal.ModelID != both.ModelID {
		t.Errorf("weights that are equal make another model, of %d interactions", both.Manifest.DataCut.Interactions)
	}
	if bought.Manifest.DataCut.Interactions != 240 || zero.ModelID != bought.ModelID {
		t.Errorf("clicks with weight 0 make another model than none, which is of %d interactions", bought.Manifest.DataCut.Interactions)
	}
	if weighted.Manifest.DataCut.Interactions != 480 || weighted.ModelID == both.ModelID {
		t.Errorf("weights make no difference, of %d interactions", weighted.Manifest.DataCut.Interactions)
	}
}

func TestTrainingDataConfigHidesColumns(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	i.PutItem("i01", map[string]any{"GENRES": "x", "PRICE": 2.5})
	solution := i.Solution("taste", "aws-sims", configured(&personalize.SolutionConfig{
		TrainingDataConfig: &personalize.TrainingDataConfig{ExcludedDatasetColumns: map[string][]string{"Items": {"PRICE"}}},
	}))
	set, err := i.retrainer(nil).Load(t.Context(), i.Version(solution, "00000001"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range set.ItemRows {
		if len(row.Properties) != 1 || row.Properties["GENRES"] != "x" {
			t.Errorf("models see %v", row.Properties)
		}
	}
	if len(set.ItemRows) != 1 || set.Columns.Excluded["ITEMS"] == nil {
		t.Errorf("%d items, columns %v", len(set.ItemRows), set.Columns)
	}
}

func TestObjectiveIsTrainedAndMeasured(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(60, "click")
	for k := range 20 {
		i.PutItem(fmt.Sprintf("i%02d", k), map[string]any{"PRICE": float64(k)})
	}
	i.Background(i.retrainer(nil).Run)
	objective := func(sensitivity string) *catalog.SolutionVersion {
		return i.Ends(i.Version(i.Solution("to-"+sensitivity, "aws-user-personalization", configured(&personalize.SolutionConfig{
			OptimizationObjective: &personalize.OptimizationObjective{ItemAttribute: new("PRICE"), ObjectiveSensitivity: &sensitivity},
		})), "00000001"))
	}
	off, high := objective("OFF"), objective("HIGH")
	if _, measured := off.Metrics["average_rewards_at_k"]; measured {
		t.Errorf("rewards are measured without an objective: %v", off.Metrics)
	}
	if rewards := high.Metrics["average_rewards_at_k"]; rewards <= 0 || rewards > 1 {
		t.Errorf("metrics %v", high.Metrics)
	}
	if i.model(off).ModelID == i.model(high).ModelID {
		t.Error("the objective makes no difference")
	}
}

func hpo(jobs, parallel string) *personalize.HPOConfig {
	return &personalize.HPOConfig{HpoResourceConfig: &personalize.HPOResourceConfig{MaxNumberOfTrainingJobs: &jobs, MaxParallelTrainingJobs: &parallel}}
}

// TestHPOFindsTheBetterParameter begins with a minimum of shared users that nothing in the data reaches.
func TestHPOFindsTheBetterParameter(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.cliques(60)
	i.Background(i.retrainer(nil).Run)
	bad := map[string]string{"min_cointeraction_count": "10"}
	plain := i.Ends(i.Version(i.Solution("plain", "aws-sims", configured(&personalize.SolutionConfig{AlgorithmHyperParameters: bad})), "00000001"))
	v := i.Ends(i.Version(i.Solution("tuned", "aws-sims", func(s *catalog.Solution) {
		s.PerformHPO, s.Config = true, &personalize.SolutionConfig{AlgorithmHyperParameters: bad, HpoConfig: hpo("8", "2")}
	}), "00000001"))
	count, err := strconv.Atoi(v.TunedHyperParameters["min_cointeraction_count"])
	if err != nil || count > 5 || len(v.TunedHyperParameters) != 2 {
		t.Errorf("%s %s: tuned %v", v.Status, v.FailureReason, v.TunedHyperParameters)
	}
	if v.Metrics[eval.Gain] <= plain.Metrics[eval.Gain] {
		t.Errorf("tuned: %v, not tuned: %v", v.Metrics, plain.Metrics)
	}
	if len(v.Trials) != 8 || plain.TunedHyperParameters != nil {
		t.Errorf("trials %v; not tuned: %v", v.Trials, plain.TunedHyperParameters)
	}
	if got := i.model(v).Manifest.Params["min_cointeraction_count"]; got != strconv.Itoa(count) {
		t.Errorf("the model is trained with %s", got)
	}
}

func TestHPOStaysWithinItsRanges(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.cliques(20)
	i.Background(i.retrainer(nil).Run)
	low, high := int64(2), int64(4)
	v := i.Ends(i.Version(i.Solution("tuned", "aws-sims", func(s *catalog.Solution) {
		s.PerformHPO, s.Config = true, &personalize.SolutionConfig{
			AlgorithmHyperParameters: map[string]string{"min_cointeraction_count": "0", "popularity_discount_factor": "0.25"},
			HpoConfig: &personalize.HPOConfig{AlgorithmHyperParameterRanges: &personalize.HyperParameterRanges{
				IntegerHyperParameterRanges: []personalize.IntegerHyperParameterRange{{Name: new("min_cointeraction_count"), MinValue: &low, MaxValue: &high}},
			}},
		}
	}), "00000001"))
	if len(v.Trials) != 3 {
		t.Errorf("%s: %d trials of three values: %v", v.FailureReason, len(v.Trials), v.Trials)
	}
	for _, trial := range v.Trials {
		n, err := strconv.Atoi(trial.HyperParameters["min_cointeraction_count"])
		if err != nil || n < 2 || n > 4 || trial.HyperParameters["popularity_discount_factor"] != "0.25" {
			t.Errorf("tried %v", trial.HyperParameters)
		}
	}
}

// TestHPOGoesOnAfterAWorkerDied finds a result in the version that a worker before has left, and believes it.
func TestHPOGoesOnAfterAWorkerDied(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.cliques(20)
	s := i.Solution("tuned", "aws-sims", func(s *catalog.Solution) {
		s.PerformHPO, s.Config = true, &personalize.SolutionConfig{HpoConfig: hpo("4", "1")}
	})
	v := i.Version(s, "00000001")
	c, err := candidateOf(v)
	if err != nil {
		t.Fatal(err)
	}
	tried, err := spread(c, rangesOf(c.recipe, nil), 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	before := catalog.Trial{RecipeARN: s.RecipeARN, HyperParameters: tried[2].params.Map(), Metric: eval.Gain, Value: 2}
	if _, err := i.Store.SolutionVersions.Update(t.Context(), v.ARN, func(v *catalog.SolutionVersion) error {
		v.Trials = []catalog.Trial{before}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	i.Background(i.retrainer(nil).Run)
	v = i.Ends(v)
	if len(v.Trials) != 4 {
		t.Errorf("trials %v", v.Trials)
	}
	for name, value := range tuned(tried[2]) {
		if v.TunedHyperParameters[name] != value {
			t.Errorf("tuned %v, want %v", v.TunedHyperParameters, tuned(tried[2]))
		}
	}
}

func TestASearchIsStopped(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.cliques(60)
	i.Background(i.retrainer(nil).Run)
	v := i.Version(i.Solution("tuned", "aws-user-personalization", func(s *catalog.Solution) {
		s.PerformHPO, s.Config = true, &personalize.SolutionConfig{HpoConfig: hpo("40", "1")}
	}), "00000001")
	v = i.Until(v, "a candidate is measured", func(v *catalog.SolutionVersion) bool { return len(v.Trials) > 0 || v.Finished() })
	if v.Finished() {
		t.Fatalf("all %d candidates were tried too fast to be stopped: %s %s", len(v.Trials), v.Status, v.FailureReason)
	}
	if _, err := i.Store.SolutionVersions.Update(t.Context(), v.ARN, func(v *catalog.SolutionVersion) error {
		v.Status = status.CreateStopping
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if v = i.Ends(v); v.Status != status.CreateStopped || len(v.Trials) >= 40 || v.ManifestKey != "" {
		t.Errorf("%s after %d trials", v.Status, len(v.Trials))
	}
}

func TestASearchEndsInTime(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.cliques(20)
	i.Background(i.retrainer(func(c *Config) { c.SearchTime = time.Nanosecond }).Run)
	v := i.Ends(i.Version(i.Solution("tuned", "aws-sims", func(s *catalog.Solution) {
		s.PerformHPO, s.Config = true, &personalize.SolutionConfig{HpoConfig: hpo("40", "1")}
	}), "00000001"))
	if v.Status != status.Active || len(v.Trials) != 1 {
		t.Errorf("%s after %d trials: %s", v.Status, len(v.Trials), v.FailureReason)
	}
}

func TestAutoMLChoosesARecipe(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.cliques(60)
	i.Background(i.retrainer(nil).Run)
	const prefix = "arn:aws:personalize:::recipe/"
	solution := i.Solution("best", "", func(s *catalog.Solution) {
		s.RecipeARN, s.PerformAutoML = "", true
		s.Config = &personalize.SolutionConfig{AutoMLConfig: &personalize.AutoMLConfig{
			RecipeList: []string{prefix + "aws-popularity-count", prefix + "aws-user-personalization"},
		}}
	})
	v := i.Version(solution, "00000001")
	i.Until(v, "it ends", func(v *catalog.SolutionVersion) bool {
		if !v.Finished() && v.RecipeARN != "" {
			t.Error("the recipe is known before the version is trained")
		}
		return v.Finished()
	})
	v = i.Ends(v)
	loaded := i.model(v)
	if v.RecipeARN != prefix+"aws-user-personalization" || loaded.Recipe.ARN() != v.RecipeARN || len(v.Trials) != 2 || v.TunedHyperParameters != nil {
		t.Errorf("recipe %s after %v", v.RecipeARN, v.Trials)
	}
	if v.Metrics[eval.Gain] <= 0 {
		t.Errorf("metrics %v", v.Metrics)
	}
}

func TestAutoMLComparesTheUsualRecipes(t *testing.T) {
	t.Parallel()
	candidates, metric, err := autoMLCandidates(&catalog.SolutionVersion{})
	if err != nil || metric != eval.Gain || len(candidates) < 2 {
		t.Errorf("%d candidates by %s, error %v", len(candidates), metric, err)
	}
}

// served has a campaign answer with a version.
func (i *installation) served(v *catalog.SolutionVersion) {
	i.Helper()
	retrainertest.Create(i.Installation, &catalog.Campaign{
		Metadata: retrainertest.Active(retrainertest.Account+"campaign/shop", "shop"), DatasetGroupARN: i.Group.ARN, SolutionVersionARN: v.ARN, MinProvisionedTPS: 1,
	})
	i.seen(retrainertest.Account + "campaign/shop")
}

// seen waits until the view knows a resource as it is in the store.
func (i *installation) seen(arn string) {
	i.Helper()
	if err := i.View.Fetch(i.Context(), arn); err != nil {
		i.Fatal(err)
	}
}

func TestUpdateTakesInNewItems(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	i.Background(i.retrainer(nil).Run)
	s := i.Solution("taste", "aws-user-personalization", nil)
	full := i.Ends(i.Version(s, "00000001"))
	i.seen(full.ARN)
	i.PutItem("new", nil)
	update := &catalog.SolutionVersion{
		Metadata:    catalog.Metadata{ARN: s.ARN + "/00000002", Status: status.CreatePending},
		SolutionARN: s.ARN, RecipeARN: s.RecipeARN, DatasetGroupARN: s.DatasetGroupARN,
		TrainingMode: mode.TrainingUpdate, TrainingType: mode.TrainingManual,
	}
	if err := i.Store.Create(t.Context(), update, catalog.Under(s.ARN, func(*catalog.Solution) error { return nil })); err != nil {
		t.Fatal(err)
	}
	update = i.Ends(update)
	before, after := i.model(full), i.model(update)
	if _, known := after.Model.Items().Index("new"); !known || after.Model.Items().Len() != before.Model.Items().Len()+1 {
		t.Errorf("the update knows %d items, the training %d", after.Model.Items().Len(), before.Model.Items().Len())
	}
	if update.Metrics[eval.Gain] != full.Metrics[eval.Gain] || full.Metrics[eval.Gain] == 0 || update.ReportFolder != full.ReportFolder || !after.Manifest.Trained.Equal(before.Manifest.Trained) {
		t.Errorf("metrics %v, trained %v; before %v, %v", update.Metrics, after.Manifest.Trained, full.Metrics, before.Manifest.Trained)
	}
}

func TestModelsThatAreServedTakeInNewItems(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	now := &testClock{now: time.Now()}
	s := i.retrainer(func(c *Config) { c.Now = now.Now })
	stop := i.Background(s.Run)
	solution := i.Solution("taste", "aws-user-personalization", nil)
	v := i.Ends(i.Version(solution, "00000001"))
	other := i.Ends(i.Version(i.Solution("other", "aws-user-personalization", nil), "00000001"))
	stop()
	i.seen(v.ARN)
	i.seen(other.ARN)
	i.served(v)

	u := NewUpdates(s.Trainer)
	// look moves the clock, has the models looked after, and returns the version.
	look := func(after time.Duration) *catalog.SolutionVersion {
		t.Helper()
		now.add(after)
		u.look(t.Context())
		current, err := i.Store.SolutionVersions.Get(t.Context(), v.ARN)
		if err != nil {
			t.Fatal(err)
		}
		i.seen(v.ARN)
		return current
	}
	i.PutItem("new", nil)
	if early := look(time.Hour); early.ModelID != v.ModelID || !early.RefreshedAt.IsZero() {
		t.Errorf("updated after an hour, at %v", early.RefreshedAt)
	}
	updated := look(61 * time.Minute)
	if _, known := i.model(updated).Model.Items().Index("new"); !known || updated.ModelID == v.ModelID {
		t.Fatal("the model does not know the new item after two hours")
	}
	if updated.Metrics[eval.Gain] != v.Metrics[eval.Gain] || !updated.UpdatedAt.Equal(v.UpdatedAt) || updated.Leased(time.Now()) || updated.Progress != 1 {
		t.Errorf("the version has changed: %+v", updated)
	}
	if again := look(2 * time.Hour); again.ModelID != updated.ModelID || !again.RefreshedAt.After(updated.RefreshedAt) {
		t.Error("updated without new data, or not looked at")
	}
	i.PutItem("newer", nil)
	last := look(2 * time.Hour)
	if _, known := i.model(last).Model.Items().Index("newer"); !known {
		t.Error("the second new item is not known")
	}
	i.PutItem("newest", nil)
	last = look(2 * time.Hour)
	if _, known := i.model(last).Model.Items().Index("newest"); !known {
		t.Error("the third new item is not known")
	}
	if _, _, err := ReadQualityReport(t.Context(), i.Bucket, last.ReportFolder); err != nil {
		t.Errorf("the report of the training did not stay: %v", err)
	}
	manifests := 0
	for _, err := range i.Bucket.List(t.Context(), "models/taste/00000001/manifest-") {
		if err != nil {
			t.Fatal(err)
		}
		manifests++
	}
	if manifests != 2 {
		t.Errorf("the bucket holds %d models of the version, not the last two", manifests)
	}
	if unserved, err := i.Store.SolutionVersions.Get(t.Context(), other.ARN); err != nil || unserved.ModelID != other.ModelID {
		t.Errorf("a version that nobody serves was updated, or is gone: %v", err)
	}
	if n := len(i.VersionsOf(solution)); n != 1 {
		t.Errorf("there are %d versions", n)
	}
}

func TestTwoReplicasUpdateOnce(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	stop := i.Background(i.retrainer(nil).Run)
	v := i.Ends(i.Version(i.Solution("taste", "aws-user-personalization", nil), "00000001"))
	stop()
	i.seen(v.ARN)
	i.served(v)
	i.PutItem("new", nil)
	later := func() time.Time { return time.Now().Add(3 * time.Hour) }
	first := i.retrainer(func(c *Config) { c.Now = later })
	first.updates.look(t.Context())
	updated, err := i.Store.SolutionVersions.Get(t.Context(), v.ARN)
	if err != nil || updated.ModelID == v.ModelID {
		t.Fatalf("not updated: %v", err)
	}
	// The second has decided by what it saw before the first was done.
	second := i.retrainer(func(c *Config) { c.Now = later })
	second.updates.maintain(t.Context(), v)
	again, err := i.Store.SolutionVersions.Get(t.Context(), v.ARN)
	if err != nil || !again.RefreshedAt.Equal(updated.RefreshedAt) || again.ModelID != updated.ModelID {
		t.Errorf("updated twice: %v, %v", again, err)
	}
}

// TestUseCasesTrainOnTheirTypeOfEvent has a domain use case without a configuration of its own.
func TestUseCasesTrainOnTheirTypeOfEvent(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "View")
	i.PutEvents(5, "Purchase")
	i.Background(i.retrainer(nil).Run)
	views := i.Ends(i.Version(i.Solution("_views", "aws-ecomm-popular-items-by-views", nil), "00000001"))
	if n := i.model(views).Manifest.DataCut.Interactions; n != 240 {
		t.Errorf("trained on %d interactions", n)
	}
	bought := i.Ends(i.Version(i.Solution("_bought", "aws-ecomm-popular-items-by-purchases", nil), "00000001"))
	if want := "Dataset has fewer than 100 interactions after filtering by event type: Purchase"; bought.FailureReason != want {
		t.Errorf("%s: %q, want %q", bought.Status, bought.FailureReason, want)
	}
}

func TestWhatTrendsIsTrainedAgain(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.PutEvents(40, "click")
	now := &testClock{now: time.Now()}
	s := i.retrainer(func(c *Config) { c.Now = now.Now })
	stop := i.Background(s.Run)
	v := i.Ends(i.Version(i.Solution("trends", "aws-trending-now", configured(&personalize.SolutionConfig{
		FeatureTransformationParameters: map[string]string{"trend_discovery_frequency": "1h"},
	})), "00000001"))
	stop()
	if _, measured := v.Metrics["trend_prediction_accuracy"]; !measured {
		t.Errorf("%s %s: metrics %v", v.Status, v.FailureReason, v.Metrics)
	}
	i.seen(v.ARN)
	i.served(v)
	var rising []bus.Record
	for k := range 30 {
		rising = append(rising, i.interaction(&reco.Interaction{
			EventID: fmt.Sprintf("rising-%d", k), UserID: fmt.Sprintf("u%03d", k), SessionID: "s", EventType: "click", ItemID: "rising",
			TimestampMS: (24 * time.Hour).Milliseconds() + int64(k),
		}))
	}
	if err := i.Bus.Publish(t.Context(), rising...); err != nil {
		t.Fatal(err)
	}
	now.add(61 * time.Minute)
	NewUpdates(s.Trainer).look(t.Context())
	updated, err := i.Store.SolutionVersions.Get(t.Context(), v.ARN)
	if err != nil {
		t.Fatal(err)
	}
	items := i.model(updated).Model.Items()
	rises, known := items.Index("rising")
	scores := make([]float32, items.Len())
	if err := i.model(updated).Model.Score(model.Query{}, scores); err != nil || !known || scores[rises] != slices.Max(scores) {
		t.Errorf("after an hour the scores are %v, error %v", scores, err)
	}
}
