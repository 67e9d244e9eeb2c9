package control

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/datadoctor"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// A user's way from a dataset group to a campaign and back to nothing.
func TestTheChainFromGroupToCampaignAndBack(t *testing.T) {
	i := install(t, crud.Quotas{})
	ctx := t.Context()
	group := i.group("movies")
	dataset := i.dataset(group, "events")
	if dataset != "arn:aws:personalize:us-east-1:000000000000:dataset/movies/INTERACTIONS" {
		t.Errorf("dataset %s", dataset)
	}
	tracker := must(i.CreateEventTracker(&personalize.CreateEventTrackerInput{Name: aws.String("web"), DatasetGroupArn: &group}))(t)
	reaches(t, "ACTIVE", func() (string, error) {
		return *must(i.DescribeEventTracker(&personalize.DescribeEventTrackerInput{EventTrackerArn: tracker.EventTrackerArn}))(t).EventTracker.Status, nil
	})
	solution := i.solution(group, "pantry", "aws-user-personalization")
	version := i.version(solution)
	campaign := i.campaign("home", version)

	// What was created cannot be deleted from above.
	_, err := i.DeleteDatasetGroup(&personalize.DeleteDatasetGroupInput{DatasetGroupArn: &group})
	refused(t, err, "ResourceInUseException", solution)
	_, err = i.DeleteSolution(&personalize.DeleteSolutionInput{SolutionArn: &solution})
	refused(t, err, "ResourceInUseException", campaign)
	_, err = i.DeleteSchema(&personalize.DeleteSchemaInput{SchemaArn: aws.String("arn:aws:personalize:us-east-1:000000000000:schema/events")})
	refused(t, err, "ResourceInUseException", dataset)

	// The group's topics and data exist, and go with it.
	key := must(i.store.DatasetGroups.Get(ctx, group))(t).GroupKey()
	var topics []string
	for _, spec := range GroupTopics(key) {
		topics = append(topics, spec.Name)
	}
	if found := must(i.bus.Topics(ctx, topics...))(t); len(found) != 7 {
		t.Errorf("topics %v", found)
	}
	for _, k := range []string{"datasets/" + key + "/INTERACTIONS/part", strings.Replace(version[strings.Index(version, ":solution/")+1:], "solution/", "models/", 1) + "/part"} {
		must(i.bucket.Put(ctx, k, []byte("x"), blob.PutOptions{}))(t)
	}

	must(i.DeleteCampaign(&personalize.DeleteCampaignInput{CampaignArn: &campaign}))(t)
	disappears(t, func() error {
		_, err := i.DescribeCampaign(&personalize.DescribeCampaignInput{CampaignArn: &campaign})
		return err
	})
	must(i.DeleteSolution(&personalize.DeleteSolutionInput{SolutionArn: &solution}))(t)
	disappears(t, func() error {
		_, err := i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: &solution})
		return err
	})
	_, err = i.DescribeSolutionVersion(&personalize.DescribeSolutionVersionInput{SolutionVersionArn: &version})
	refused(t, err, "ResourceNotFoundException", version)
	must(i.DeleteEventTracker(&personalize.DeleteEventTrackerInput{EventTrackerArn: tracker.EventTrackerArn}))(t)
	disappears(t, func() error {
		_, err := i.DescribeEventTracker(&personalize.DescribeEventTrackerInput{EventTrackerArn: tracker.EventTrackerArn})
		return err
	})
	must(i.DeleteDataset(&personalize.DeleteDatasetInput{DatasetArn: &dataset}))(t)
	disappears(t, func() error {
		_, err := i.DescribeDataset(&personalize.DescribeDatasetInput{DatasetArn: &dataset})
		return err
	})
	must(i.DeleteSchema(&personalize.DeleteSchemaInput{SchemaArn: aws.String("arn:aws:personalize:us-east-1:000000000000:schema/events")}))(t)
	must(i.DeleteDatasetGroup(&personalize.DeleteDatasetGroupInput{DatasetGroupArn: &group}))(t)
	disappears(t, func() error {
		_, err := i.DescribeDatasetGroup(&personalize.DescribeDatasetGroupInput{DatasetGroupArn: &group})
		return err
	})
	if found := must(i.bus.Topics(ctx, topics...))(t); len(found) != 0 {
		t.Errorf("topics left: %v", found)
	}
	for info, err := range i.bucket.List(ctx, "") {
		if must(info, err)(t); !strings.HasPrefix(info.Key, "catalog/account/") {
			t.Errorf("left in the bucket: %s", info.Key)
		}
	}

	// The name is free again, and inherits nothing.
	i.group("movies")
	if again := must(i.store.DatasetGroups.Get(ctx, group))(t).GroupKey(); again == key {
		t.Errorf("a group made again has the old key %s", key)
	}
}

func TestJobsAreAnnounced(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	dataset := i.dataset(group, "events")
	job := must(i.CreateDatasetImportJob(&personalize.CreateDatasetImportJobInput{
		JobName: aws.String("first"), DatasetArn: &dataset, DataSource: &personalize.DataSource{DataLocation: aws.String("s3://data/events.csv")},
		RoleArn: aws.String("arn:aws:iam::000000000000:role/import"),
	}))(t).DatasetImportJobArn
	described := must(i.DescribeDatasetImportJob(&personalize.DescribeDatasetImportJobInput{DatasetImportJobArn: job}))(t).DatasetImportJob
	if *described.Status != "CREATE PENDING" || *described.ImportMode != "FULL" || *described.DataSource.DataLocation != "s3://data/events.csv" ||
		*described.RoleArn != "arn:aws:iam::000000000000:role/import" {
		t.Errorf("got %v", described)
	}
	offsets := must(i.bus.Offsets(t.Context(), bus.JobsTopic))(t)
	var records int64
	for _, o := range offsets {
		records += o.End - o.Start
	}
	if records != 1 {
		t.Errorf("%d records on %s", records, bus.JobsTopic)
	}

	// What the data doctor says is a member that the SDK does not know, and passes over.
	must(i.store.DatasetImportJobs.Update(t.Context(), *job, func(j *catalog.DatasetImportJob) error {
		j.DataReport = json.RawMessage(`{"asOf":1,"interactions":7,"errors":1,"findings":[{"code":"TOO_FEW_USERS","level":"error"}]}`)
		return nil
	}))(t)
	must(i.DescribeDatasetImportJob(&personalize.DescribeDatasetImportJobInput{DatasetImportJobArn: job}))(t)
	var answer struct {
		DatasetImportJob struct {
			Status     string
			DataReport datadoctor.Report
		}
	}
	must(0, i.client.Call(t.Context(), "DescribeDatasetImportJob", map[string]any{"datasetImportJobArn": *job}, &answer))(t)
	if r := answer.DatasetImportJob.DataReport; answer.DatasetImportJob.Status != "CREATE PENDING" || r.Interactions != 7 || r.Finding("TOO_FEW_USERS", "") == nil {
		t.Errorf("got %+v", answer)
	}

	_, err := i.DeleteDataset(&personalize.DeleteDatasetInput{DatasetArn: &dataset})
	refused(t, err, "ResourceInUseException", *job)
	training := must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: aws.String(i.solution(group, "pantry", "aws-sims"))}))(t).SolutionVersionArn
	must(i.store.DatasetImportJobs.Update(t.Context(), *job, func(j *catalog.DatasetImportJob) error { j.Fail("no such bucket"); return nil }))(t)
	listed := must(i.ListDatasetImportJobs(&personalize.ListDatasetImportJobsInput{DatasetArn: &dataset}))(t).DatasetImportJobs
	if len(listed) != 1 || *listed[0].Status != "CREATE FAILED" || *listed[0].FailureReason != "no such bucket" {
		t.Errorf("got %v", listed)
	}
	_, err = i.DeleteDataset(&personalize.DeleteDatasetInput{DatasetArn: &dataset})
	refused(t, err, "ResourceInUseException", *training)
	i.trained(*training)
	must(i.DeleteDataset(&personalize.DeleteDatasetInput{DatasetArn: &dataset}))(t)
	disappears(t, func() error {
		_, err := i.DescribeDatasetImportJob(&personalize.DescribeDatasetImportJobInput{DatasetImportJobArn: job})
		return err
	})
}

func TestASolutionVersionIsStopped(t *testing.T) {
	i := install(t, crud.Quotas{})
	solution := i.solution(i.group("movies"), "pantry", "aws-popularity-count")
	create := func() *string {
		return must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: &solution}))(t).SolutionVersionArn
	}
	statusOf := func(arn *string) (string, error) {
		return *must(i.DescribeSolutionVersion(&personalize.DescribeSolutionVersionInput{SolutionVersionArn: arn}))(t).SolutionVersion.Status, nil
	}
	stop := func(arn *string) error {
		_, err := i.StopSolutionVersionCreation(&personalize.StopSolutionVersionCreationInput{SolutionVersionArn: arn})
		return err
	}

	waiting := create()
	must(0, stop(waiting))(t)
	if got, _ := statusOf(waiting); got != "CREATE STOPPED" {
		t.Errorf("a waiting version that was stopped is %s", got)
	}
	refused(t, stop(waiting), "ResourceInUseException", "CREATE STOPPED")

	abandoned := create()
	must(i.store.SolutionVersions.Update(t.Context(), *abandoned, func(v *catalog.SolutionVersion) error {
		v.Status = status.CreateInProgress
		return nil
	}))(t)
	_, err := i.DeleteSolution(&personalize.DeleteSolutionInput{SolutionArn: &solution})
	refused(t, err, "ResourceInUseException", *abandoned)
	must(0, stop(abandoned))(t)
	reaches(t, "CREATE STOPPED", func() (string, error) { return statusOf(abandoned) }) // there is no worker to do it
	must(i.DeleteSolution(&personalize.DeleteSolutionInput{SolutionArn: &solution}))(t)
}

func TestMetricsOfATrainedVersion(t *testing.T) {
	i := install(t, crud.Quotas{})
	solution := i.solution(i.group("movies"), "pantry", "aws-popularity-count")
	version := must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: &solution}))(t).SolutionVersionArn
	_, err := i.GetSolutionMetrics(&personalize.GetSolutionMetricsInput{SolutionVersionArn: version})
	refused(t, err, "ResourceInUseException", "CREATE PENDING")
	i.trained(*version)
	metrics := must(i.GetSolutionMetrics(&personalize.GetSolutionMetricsInput{SolutionVersionArn: version}))(t).Metrics
	if *metrics["coverage"] != 0.5 {
		t.Errorf("got %v", metrics)
	}
	latest := must(i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: &solution}))(t).Solution.LatestSolutionVersion
	if *latest.SolutionVersionArn != *version || *latest.Status != "ACTIVE" || *latest.TrainingMode != "FULL" || *latest.TrainingType != "MANUAL" {
		t.Errorf("latest version %v", latest)
	}
}

func TestACampaignIsUpdated(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	solution := i.solution(group, "pantry", "aws-user-personalization")
	first, second := i.version(solution), i.version(solution)
	campaign := i.campaign("home", first)
	if c := i.describeCampaign(campaign); c.LatestCampaignUpdate != nil || *c.MinProvisionedTPS != 1 {
		t.Errorf("a new campaign is %v", c)
	}
	update := func(in personalize.UpdateCampaignInput) *personalize.Campaign {
		t.Helper()
		in.CampaignArn = &campaign
		must(i.UpdateCampaign(&in))(t)
		reaches(t, "ACTIVE", func() (string, error) { return *i.describeCampaign(campaign).LatestCampaignUpdate.Status, nil })
		return i.describeCampaign(campaign)
	}
	weight := map[string]*string{"explorationWeight": aws.String("0")}
	c := update(personalize.UpdateCampaignInput{SolutionVersionArn: &second, MinProvisionedTPS: aws.Int64(3), CampaignConfig: &personalize.CampaignConfig{ItemExplorationConfig: weight}})
	if *c.Status != "ACTIVE" || *c.SolutionVersionArn != second || *c.MinProvisionedTPS != 3 || *c.CampaignConfig.ItemExplorationConfig["explorationWeight"] != "0" ||
		*c.LatestCampaignUpdate.SolutionVersionArn != second || c.LastUpdatedDateTime.Before(*c.CreationDateTime) {
		t.Errorf("got %v", c)
	}
	c = update(personalize.UpdateCampaignInput{MinProvisionedTPS: aws.Int64(5)})
	if *c.SolutionVersionArn != second || *c.MinProvisionedTPS != 5 || c.CampaignConfig == nil {
		t.Errorf("what an update does not name stays: got %v", c)
	}

	// A version of another solution: from now on that one is in use.
	other := i.solution(group, "other", "aws-popularity-count")
	otherVersion := i.version(other)
	if c := update(personalize.UpdateCampaignInput{SolutionVersionArn: &otherVersion}); *c.SolutionVersionArn != otherVersion {
		t.Errorf("got %v", c)
	}
	_, err := i.DeleteSolution(&personalize.DeleteSolutionInput{SolutionArn: &other})
	refused(t, err, "ResourceInUseException", campaign)
	listed := must(i.ListCampaigns(&personalize.ListCampaignsInput{SolutionArn: &other}))(t).Campaigns
	if len(listed) != 1 || *listed[0].CampaignArn != campaign {
		t.Errorf("campaigns of %s: %v", other, listed)
	}
}

func TestACampaignFollowsItsSolution(t *testing.T) {
	i := install(t, crud.Quotas{})
	solution := i.solution(i.group("movies"), "pantry", "aws-user-personalization")
	latest := solution + "/$LATEST"
	sync := &personalize.CampaignConfig{SyncWithLatestSolutionVersion: aws.Bool(true)}
	create := func(name, version string, config *personalize.CampaignConfig) (*personalize.CreateCampaignOutput, error) {
		return i.CreateCampaign(&personalize.CreateCampaignInput{Name: &name, SolutionVersionArn: &version, CampaignConfig: config})
	}
	_, err := create("home", latest, sync)
	refused(t, err, "ResourceInUseException", "no ACTIVE solution version")
	first := i.version(solution)
	_, err = create("home", latest, nil)
	refused(t, err, "InvalidInputException", "syncWithLatestSolutionVersion")
	_, err = create("home", first, sync)
	refused(t, err, "InvalidInputException", "syncWithLatestSolutionVersion")

	following := *must(create("home", latest, sync))(t).CampaignArn
	fixed := i.campaign("fixed", first)
	serving := func() (string, error) {
		c := i.describeCampaign(following)
		return *c.Status + " " + *c.SolutionVersionArn, nil
	}
	reaches(t, "ACTIVE "+first, serving)
	second := i.version(solution)
	reaches(t, "ACTIVE "+second, serving)
	if got := *i.describeCampaign(fixed).SolutionVersionArn; got != first {
		t.Errorf("a campaign that does not follow moved to %s", got)
	}

	// A version of its own stops it from following.
	must(i.UpdateCampaign(&personalize.UpdateCampaignInput{CampaignArn: &following, SolutionVersionArn: &first}))(t)
	reaches(t, "ACTIVE "+first, serving)
	if c := i.describeCampaign(following); aws.BoolValue(c.CampaignConfig.SyncWithLatestSolutionVersion) {
		t.Errorf("still follows: %v", c)
	}
}

func TestEveryMemberIsEchoed(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	config := &personalize.SolutionConfig{
		AlgorithmHyperParameters:        map[string]*string{"hidden_dimension": aws.String("64")},
		FeatureTransformationParameters: map[string]*string{"max_user_history_length_percentile": aws.String("0.9")},
		EventValueThreshold:             aws.String("3.5"),
		AutoTrainingConfig:              &personalize.AutoTrainingConfig{SchedulingExpression: aws.String("rate(3 days)")},
		HpoConfig: &personalize.HPOConfig{
			HpoResourceConfig: &personalize.HPOResourceConfig{MaxNumberOfTrainingJobs: aws.String("8"), MaxParallelTrainingJobs: aws.String("2")},
			AlgorithmHyperParameterRanges: &personalize.HyperParameterRanges{IntegerHyperParameterRanges: []*personalize.IntegerHyperParameterRange{
				{Name: aws.String("hidden_dimension"), MinValue: aws.Int64(32), MaxValue: aws.Int64(64)},
			}},
		},
	}
	arn := must(i.CreateSolution(&personalize.CreateSolutionInput{
		Name: aws.String("pantry"), DatasetGroupArn: &group, RecipeArn: aws.String("arn:aws:personalize:::recipe/aws-user-personalization"),
		PerformHPO: aws.Bool(true), EventType: aws.String("watch"), SolutionConfig: config,
	}))(t).SolutionArn
	s := must(i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: arn}))(t).Solution
	if s.SolutionConfig.String() != config.String() || !*s.PerformHPO || *s.PerformAutoML || !*s.PerformAutoTraining || *s.EventType != "watch" ||
		*s.Name != "pantry" || *s.DatasetGroupArn != group || !strings.HasSuffix(*s.RecipeArn, "recipe/aws-user-personalization") {
		t.Errorf("got %v", s)
	}
	reaches(t, "ACTIVE", func() (string, error) {
		return *must(i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: arn}))(t).Solution.Status, nil
	})
	version := must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: arn, Name: aws.String("monday")}))(t).SolutionVersionArn
	v := must(i.DescribeSolutionVersion(&personalize.DescribeSolutionVersionInput{SolutionVersionArn: version}))(t).SolutionVersion
	if *v.Name != "monday" || v.SolutionConfig.String() != config.String() || *v.EventType != "watch" || !*v.PerformHPO || v.TrainingHours != nil {
		t.Errorf("got %v", v)
	}

	i.call("UpdateSolution", map[string]any{ // this SDK's model does not have it yet
		"solutionArn": *arn, "performAutoTraining": false,
		"solutionUpdateConfig": map[string]any{"autoTrainingConfig": map[string]any{"schedulingExpression": "rate(1 day)"}},
	})
	var updated struct {
		Solution struct {
			LatestSolutionUpdate struct{ Status string }
		}
	}
	must(0, i.client.Call(t.Context(), "DescribeSolution", map[string]any{"solutionArn": *arn}, &updated))(t)
	if updated.Solution.LatestSolutionUpdate.Status != "ACTIVE" {
		t.Errorf("got %+v", updated)
	}
	s = must(i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: arn}))(t).Solution
	if *s.PerformAutoTraining || *s.SolutionConfig.AutoTrainingConfig.SchedulingExpression != "rate(1 day)" ||
		*s.SolutionConfig.EventValueThreshold != "3.5" {
		t.Errorf("got %v", s)
	}

	encrypted := personalize.CreateDatasetGroupInput{
		Name: aws.String("secret"), Domain: aws.String("ECOMMERCE"),
		RoleArn: aws.String("arn:aws:iam::000000000000:role/r"), KmsKeyArn: aws.String("arn:aws:kms:us-east-1:000000000000:key/k"),
	}
	created := must(i.CreateDatasetGroup(&encrypted))(t)
	g := must(i.DescribeDatasetGroup(&personalize.DescribeDatasetGroupInput{DatasetGroupArn: created.DatasetGroupArn}))(t).DatasetGroup
	if *g.Domain != "ECOMMERCE" || *g.RoleArn != *encrypted.RoleArn || *g.KmsKeyArn != *encrypted.KmsKeyArn || *created.Domain != "ECOMMERCE" {
		t.Errorf("got %v", g)
	}
}

func TestRecipesAreDescribed(t *testing.T) {
	i := install(t, crud.Quotas{})
	var names []string
	for _, r := range must(i.ListRecipes(&personalize.ListRecipesInput{RecipeProvider: aws.String("SERVICE")}))(t).Recipes {
		names = append(names, *r.Name)
		described := must(i.DescribeRecipe(&personalize.DescribeRecipeInput{RecipeArn: r.RecipeArn}))(t).Recipe
		if *described.Status != "ACTIVE" || *described.RecipeType == "" || *described.Description == "" {
			t.Errorf("got %v", described)
		}
		must(i.DescribeAlgorithm(&personalize.DescribeAlgorithmInput{AlgorithmArn: described.AlgorithmArn}))(t)
		if described.FeatureTransformationArn != nil { // not every recipe transforms features
			must(i.DescribeFeatureTransformation(&personalize.DescribeFeatureTransformationInput{FeatureTransformationArn: described.FeatureTransformationArn}))(t)
		}
	}
	for _, name := range []string{"aws-popularity-count", "aws-sims", "aws-user-personalization", "aws-personalized-ranking"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not among %v", name, names)
		}
	}
	algorithm := must(i.DescribeAlgorithm(&personalize.DescribeAlgorithmInput{AlgorithmArn: aws.String("arn:aws:personalize:::algorithm/aws-sims")}))(t).Algorithm
	discount := algorithm.DefaultHyperParameterRanges.ContinuousHyperParameterRanges[0]
	if *algorithm.DefaultHyperParameters["popularity_discount_factor"] != "0.5" || *discount.Name != "popularity_discount_factor" || !*discount.IsTunable || *discount.MaxValue != 1 {
		t.Errorf("got %v", algorithm)
	}
	_, err := i.DescribeRecipe(&personalize.DescribeRecipeInput{RecipeArn: aws.String("arn:aws:personalize:::recipe/aws-absent")})
	refused(t, err, "ResourceNotFoundException", "aws-absent")
}
