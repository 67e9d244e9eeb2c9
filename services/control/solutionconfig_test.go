package control

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/services/control/crud"
)

// echo describes a resource without the SDK, whose model lacks the newest members, and gives the members of a request back.
func (i *installation) echo(operation, arnMember, arn, member string, request map[string]any) map[string]any {
	i.t.Helper()
	var described map[string]map[string]any
	must(0, i.client.Call(i.t.Context(), operation, map[string]any{arnMember: arn}, &described))(i.t)
	got := map[string]any{}
	for name := range request {
		if value, ok := described[member][name]; ok {
			got[name] = value
		}
	}
	return got
}

func membersOf(t *testing.T, document string) map[string]any {
	t.Helper()
	var request map[string]any
	must(0, json.Unmarshal([]byte(document), &request))(t)
	return request
}

// What was asked for is described unchanged: automation compares the two.
func TestEveryMemberOfTheConfigurationsIsEchoed(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	i.typed(group, "Interactions", withColumns(interactionsSchema, `{"name":"DEVICE","type":["null","string"],"categorical":true}`))
	i.typed(group, "Items", itemsSchema)
	create := func(document string) (string, map[string]any) {
		t.Helper()
		request := membersOf(t, document)
		request["datasetGroupArn"] = group
		var out struct{ SolutionArn string }
		must(0, i.client.Call(t.Context(), "CreateSolution", request, &out))(t)
		if got := i.echo("DescribeSolution", "solutionArn", out.SolutionArn, "solution", request); !reflect.DeepEqual(got, request) {
			t.Errorf("got %v\nwant %v", got, request)
		}
		reaches(t, "ACTIVE", func() (string, error) {
			return *must(i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: &out.SolutionArn}))(t).Solution.Status, nil
		})
		return out.SolutionArn, request
	}
	create(`{"name":"weighted","recipeArn":"arn:aws:personalize:::recipe/aws-user-personalization","performHPO":true,"performAutoTraining":false,"performAutoML":false,"performIncrementalUpdate":false,
		"solutionConfig":{
			"eventsConfig":{"eventParametersList":[{"eventType":"click","eventValueThreshold":0.5,"weight":0.25},{"eventType":"buy","weight":1}]},
			"optimizationObjective":{"itemAttribute":"PRICE","objectiveSensitivity":"MEDIUM"},
			"trainingDataConfig":{"includedDatasetColumns":{"ITEMS":["GENRES","PRICE"],"INTERACTIONS":["DEVICE"]}},
			"autoTrainingConfig":{"schedulingExpression":"rate(30 days)"},
			"hpoConfig":{"hpoObjective":{"type":"Maximize","metricName":"precision_at_5","metricRegex":".*"},
				"hpoResourceConfig":{"maxNumberOfTrainingJobs":"40","maxParallelTrainingJobs":"10"},
				"algorithmHyperParameterRanges":{"integerHyperParameterRanges":[{"name":"hidden_dimension","minValue":32,"maxValue":256}],
					"categoricalHyperParameterRanges":[{"name":"recency_mask","values":["true","false"]}],
					"continuousHyperParameterRanges":[]}}}}`)
	create(`{"name":"thresholds","recipeArn":"arn:aws:personalize:::recipe/aws-sims","eventType":"click",
		"solutionConfig":{"eventValueThreshold":"0.5","trainingDataConfig":{"excludedDatasetColumns":{"Items":["GENRES"]}},
			"optimizationObjective":{"itemAttribute":"PRICE","objectiveSensitivity":"OFF"}}}`)
	arn, _ := create(`{"name":"automl","performAutoML":true,
		"solutionConfig":{"autoMLConfig":{"metricName":"precision_at_10","recipeList":["arn:aws:personalize:::recipe/aws-user-personalization","arn:aws:personalize:::recipe/aws-popularity-count"]}}}`)

	version := *must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: &arn}))(t).SolutionVersionArn
	if s := must(i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: &arn}))(t).Solution; s.RecipeArn != nil || s.AutoMLResult != nil {
		t.Errorf("before its training: %v", s)
	}
	must(i.store.SolutionVersions.Update(t.Context(), version, func(v *catalog.SolutionVersion) error {
		v.RecipeARN = "arn:aws:personalize:::recipe/aws-popularity-count"
		return nil
	}))(t)
	i.trained(version)
	if s := must(i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: &arn}))(t).Solution; s.AutoMLResult == nil || *s.AutoMLResult.BestRecipeArn != "arn:aws:personalize:::recipe/aws-popularity-count" {
		t.Errorf("after its training: %v", s)
	}

	campaign := membersOf(t, `{"name":"home","minProvisionedTPS":3,"campaignConfig":{"enableMetadataWithRecommendations":true,"syncWithLatestSolutionVersion":false,
		"itemExplorationConfig":{"explorationWeight":"0.3","explorationItemAgeCutOff":"30.0"},"rankingInfluence":{"POPULARITY":0.5,"FRESHNESS":0}}}`)
	campaign["solutionVersionArn"] = version
	var created struct{ CampaignArn string }
	must(0, i.client.Call(t.Context(), "CreateCampaign", campaign, &created))(t)
	if got := i.echo("DescribeCampaign", "campaignArn", created.CampaignArn, "campaign", campaign); !reflect.DeepEqual(got, campaign) {
		t.Errorf("got %v\nwant %v", got, campaign)
	}

	update := membersOf(t, `{"performAutoTraining":false,"solutionUpdateConfig":{"autoTrainingConfig":{"schedulingExpression":"rate(1 day)"},
		"eventsConfig":{"eventParametersList":[{"eventType":"buy","weight":0.5}]}}}`)
	update["solutionArn"] = arn
	must(0, i.client.Call(t.Context(), "UpdateSolution", update, nil))(t)
	var described struct {
		Solution struct {
			LatestSolutionUpdate, SolutionConfig map[string]any
		}
	}
	must(0, i.client.Call(t.Context(), "DescribeSolution", map[string]any{"solutionArn": arn}, &described))(t)
	if s := described.Solution; !reflect.DeepEqual(s.LatestSolutionUpdate["solutionUpdateConfig"], update["solutionUpdateConfig"]) || s.SolutionConfig["autoMLConfig"] == nil ||
		!reflect.DeepEqual(s.SolutionConfig["eventsConfig"], update["solutionUpdateConfig"].(map[string]any)["eventsConfig"]) {
		t.Errorf("got %v", s)
	}
}

func TestRecipesOfADomain(t *testing.T) {
	i := install(t, crud.Quotas{})
	names := func(domain *string) (names []string) {
		for _, r := range must(i.ListRecipes(&personalize.ListRecipesInput{Domain: domain}))(t).Recipes {
			names = append(names, *r.Name)
			if domain != nil && aws.StringValue(r.Domain) != *domain {
				t.Errorf("listed for %s: %v", *domain, r)
			}
			described := must(i.DescribeRecipe(&personalize.DescribeRecipeInput{RecipeArn: r.RecipeArn}))(t).Recipe
			if described.AlgorithmArn != nil {
				must(i.DescribeAlgorithm(&personalize.DescribeAlgorithmInput{AlgorithmArn: described.AlgorithmArn}))(t)
			}
		}
		return names
	}
	all, shop, video := names(nil), names(aws.String("ECOMMERCE")), names(aws.String("VIDEO_ON_DEMAND"))
	if !slices.Contains(shop, "aws-ecomm-recommended-for-you") || slices.Contains(shop, "aws-vod-most-popular") || !slices.Contains(video, "aws-vod-most-popular") ||
		slices.Contains(shop, "aws-sims") || !slices.Contains(all, "aws-sims") || !slices.Contains(all, "aws-vod-most-popular") {
		t.Errorf("all: %v\nshop: %v\nvideo: %v", all, shop, video)
	}
}

func TestTaggableResources(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	dataset := i.dataset(group, "events")
	tracker := *must(i.CreateEventTracker(&personalize.CreateEventTrackerInput{Name: aws.String("web"), DatasetGroupArn: &group}))(t).EventTrackerArn
	job := *must(i.CreateDatasetImportJob(&personalize.CreateDatasetImportJobInput{
		JobName: aws.String("first"), DatasetArn: &dataset, DataSource: &personalize.DataSource{DataLocation: aws.String("s3://data/events.csv")},
		RoleArn: aws.String("arn:aws:iam::000000000000:role/import"),
	}))(t).DatasetImportJobArn
	solution := i.solution(group, "pantry", "aws-sims")
	version := i.version(solution)
	taggables := []string{group, dataset, tracker, job, solution, version, i.campaign("home", version)}
	tags := []*personalize.Tag{{TagKey: aws.String("team"), TagValue: aws.String("shop")}}
	for _, arn := range taggables {
		must(i.TagResource(&personalize.TagResourceInput{ResourceArn: &arn, Tags: tags}))(t)
		if got := must(i.ListTagsForResource(&personalize.ListTagsForResourceInput{ResourceArn: &arn}))(t).Tags; len(got) != 1 || *got[0].TagValue != "shop" {
			t.Errorf("%s: %v", arn, got)
		}
		must(i.UntagResource(&personalize.UntagResourceInput{ResourceArn: &arn, TagKeys: aws.StringSlice([]string{"team"})}))(t)
		if got := must(i.ListTagsForResource(&personalize.ListTagsForResourceInput{ResourceArn: &arn}))(t).Tags; len(got) != 0 {
			t.Errorf("%s: %v", arn, got)
		}
	}
}
