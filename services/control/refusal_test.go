package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

const (
	invalid  = awsapi.CodeInvalidInput
	missing  = awsapi.CodeResourceNotFound
	exists   = awsapi.CodeResourceAlreadyExists
	inUse    = awsapi.CodeResourceInUse
	limit    = awsapi.CodeLimitExceeded
	badToken = awsapi.CodeInvalidNextToken

	prefix = "arn:aws:personalize:us-east-1:000000000000:"
)

// refusal is a wrong call and what is said about it.
type refusal struct{ operation, request, code, message string }

func (i *installation) refuses(cases []refusal) {
	i.t.Helper()
	for _, c := range cases {
		err := i.client.Call(i.t.Context(), c.operation, json.RawMessage(c.request), nil)
		var refusal *awsapi.Error
		if !errors.As(err, &refusal) || refusal.Code != c.code || refusal.Status != 400 || !strings.Contains(refusal.Message, c.message) {
			i.t.Errorf("%s %s:\n\tgot %v\n\twant %s with %q", c.operation, c.request, err, c.code, c.message)
		}
	}
}

// Each request differs from a good one in what its error is about. Where two things are wrong, the error is the one that comes first.
func TestRefusals(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	dataset := i.dataset(group, "events")
	items := i.typed(group, "Items", itemsSchema)
	foreign := i.group("books")
	filterARN := must(i.createFilter(group, "comedies", `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy")`))(t)
	attribution := *must(i.CreateMetricAttribution(&personalize.CreateMetricAttributionInput{
		Name: aws.String("revenue"), DatasetGroupArn: &group, Metrics: []*personalize.MetricAttribute{metric("clicks", "click", "SAMPLECOUNT()")},
		MetricsOutputConfig: &personalize.MetricAttributionOutput_{RoleArn: aws.String("arn:aws:iam::000000000000:role/r")},
	}))(t).MetricAttributionArn
	reaches(t, "ACTIVE", func() (string, error) {
		return *must(i.DescribeMetricAttribution(&personalize.DescribeMetricAttributionInput{MetricAttributionArn: &attribution}))(t).MetricAttribution.Status, nil
	})
	solution := i.solution(group, "pantry", "aws-sims")
	version := i.version(solution)
	i.call("CreateDatasetGroup", map[string]any{"name": "shop", "domain": "ECOMMERCE"})
	i.activeGroup(prefix + "dataset-group/shop")
	i.call("CreateEventTracker", map[string]any{"name": "web", "datasetGroupArn": group})
	untrained := *must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: &solution}))(t).SolutionVersionArn
	manyTags := func(n int) string {
		tags := make([]map[string]string, n)
		for k := range tags {
			tags[k] = map[string]string{"tagKey": fmt.Sprint("k", k), "tagValue": ""}
		}
		return string(must(json.Marshal(tags))(t))
	}
	schema := strings.ReplaceAll(strings.ReplaceAll(interactionsSchema, "\n\t", ""), `"`, `\"`)
	recipe := func(name string) string { return `"recipeArn":"arn:aws:personalize:::recipe/` + name + `"` }
	inGroup := `"datasetGroupArn":"` + group + `"`
	newSolution := func(members string) string { return `{"name":"new",` + inGroup + `,` + members + `}` }
	newJob := func(members string) string {
		return `{"jobName":"new","datasetArn":"` + dataset + `","dataSource":{"dataLocation":"s3://data/events.csv"}` + members + `}`
	}
	newCampaign := func(version, config string) string {
		return `{"name":"new","solutionVersionArn":"` + version + `","campaignConfig":{` + config + `}}`
	}

	const role = `"roleArn":"arn:aws:iam::000000000000:role/r"`
	newFilter := func(expression string) string {
		return `{"name":"new",` + inGroup + `,"filterExpression":` + string(must(json.Marshal(expression))(t)) + `}`
	}
	newMetrics := func(name, group, metrics, output string) string {
		return `{"name":"` + name + `","datasetGroupArn":"` + group + `","metrics":[` + metrics + `],"metricsOutputConfig":{` + output + `}}`
	}
	metricOf := func(name, expression string) string {
		return `{"eventType":"click","metricName":"` + name + `","expression":"` + expression + `"}`
	}
	updateMetrics := func(members string) string { return `{"metricAttributionArn":"` + attribution + `",` + members + `}` }
	newRecommender := func(group, recipe, config string) string {
		return `{"name":"new","datasetGroupArn":"` + group + `","recipeArn":"arn:aws:personalize:::recipe/` + recipe + `","recommenderConfig":{` + config + `}}`
	}

	i.refuses([]refusal{
		{"CreateDatasetGroup", `{}`, invalid, "name"},
		{"CreateDatasetGroup", `{"name":"-bad"}`, invalid, "name"},
		{"CreateDatasetGroup", `{"name":"movies"}`, exists, "Another resource with Arn " + group + " already exists."},
		{"CreateDatasetGroup", `{"name":"new","roleArn":"arn:aws:iam::000000000000:role/r"}`, invalid, "kmsKeyArn"},
		{"CreateDatasetGroup", `{"name":"new","tags":` + manyTags(51) + `}`, awsapi.CodeTooManyTags, "50"},
		{"CreateDatasetGroup", `{"name":"movies","tags":` + manyTags(51) + `}`, exists, group},
		{"CreateDatasetGroup", `{"name":"new","tags":[{"tagKey":"aws:x","tagValue":""}]}`, invalid, "aws:"},
		{"CreateDatasetGroup", `{"name":"new","tags":[{"tagKey":"x","tagValue":"1"},{"tagKey":"x","tagValue":"2"}]}`, invalid, "unique"},
		{"DescribeDatasetGroup", `{"datasetGroupArn":"nonsense"}`, invalid, "datasetGroupArn"},
		{"DescribeDatasetGroup", `{"datasetGroupArn":"` + solution + `"}`, invalid, "dataset-group"},
		{"DescribeDatasetGroup", `{"datasetGroupArn":"` + prefix + `dataset-group/absent"}`, missing, "absent"},
		{"DescribeDatasetGroup", `{"datasetGroupArn":"arn:aws:personalize:us-east-1:111111111111:dataset-group/movies"}`, missing, "movies"},
		{"DeleteDatasetGroup", `{"datasetGroupArn":"` + prefix + `dataset-group/absent"}`, missing, "absent"},

		{"CreateSchema", `{"name":"events","schema":"no"}`, exists, "schema/events"},
		{"CreateSchema", `{"name":"new","schema":"no"}`, invalid, "schema"},
		{"DeleteSchema", `{"schemaArn":"` + prefix + `schema/absent"}`, missing, "absent"},

		{"CreateDataset", `{"name":"new",` + inGroup + `,"schemaArn":"` + prefix + `schema/events","datasetType":"Bogus"}`, invalid, "Bogus"},
		{"CreateDataset", `{"name":"new",` + inGroup + `,"schemaArn":"` + prefix + `schema/absent","datasetType":"Users"}`, missing, "absent"},
		{"CreateDataset", `{"name":"new",` + inGroup + `,"schemaArn":"` + prefix + `schema/events","datasetType":"INTERACTIONS"}`, exists, dataset},
		{"CreateDataset", `{"name":"new",` + inGroup + `,"schemaArn":"` + prefix + `schema/events","datasetType":"users"}`, invalid, "Interactions"},
		{"CreateDataset", `{"name":"new","datasetGroupArn":"` + prefix + `dataset-group/shop","schemaArn":"` + prefix + `schema/events","datasetType":"Interactions"}`, invalid, "domain"},

		{"CreateDatasetImportJob", strings.Replace(newJob(""), "s3://data/events.csv", "s3://data", 1), invalid, "Invalid Data location."},
		{"CreateDatasetImportJob", strings.Replace(newJob(""), "s3://data/events.csv", "https://data/events.csv", 1), invalid, "Invalid Data location."},
		{"CreateDatasetImportJob", newJob(`,"importMode":"INCREMENTAL"`), invalid, "INCREMENTAL"},
		{"CreateDatasetImportJob", newJob(`,"importMode":"SOME"`), invalid, "importMode"},
		{"DescribeDatasetImportJob", `{"datasetImportJobArn":"` + prefix + `dataset-import-job/absent"}`, missing, "absent"},

		{"CreateEventTracker", `{"name":"new",` + inGroup + `}`, exists, "event-tracker/"},
		{"CreateEventTracker", `{"name":"new","datasetGroupArn":"` + prefix + `dataset-group/absent"}`, missing, "absent"},

		{"CreateSolution", newSolution(`"eventType":"x"`), invalid, "recipeArn"},
		{"CreateSolution", newSolution(`"performAutoML":true,` + recipe("aws-sims")), invalid, "must be absent"},
		{"CreateSolution", newSolution(recipe("aws-absent")), missing, "aws-absent"},
		{"CreateSolution", `{"name":"pantry",` + inGroup + `,` + recipe("aws-sims") + `}`, exists, solution},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"algorithmHyperParameters":{"min_cointeraction_count":"11"}}`), invalid, "min_cointeraction_count"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"algorithmHyperParameters":{"bogus":"1"}}`), invalid, "bogus"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"autoTrainingConfig":{"schedulingExpression":"rate(31 days)"}}`), invalid, "rate(31 days)"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"eventValueThreshold":"much"}`), invalid, "eventValueThreshold"},
		{"CreateSolution", newSolution(recipe("aws-popularity-count") + `,"performHPO":true`), invalid, "performHPO"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"performHPO":true,"solutionConfig":{"hpoConfig":{"hpoResourceConfig":{"maxNumberOfTrainingJobs":"41"}}}`), invalid, "maxNumberOfTrainingJobs"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"performHPO":true,"solutionConfig":{"hpoConfig":{"algorithmHyperParameterRanges":{"integerHyperParameterRanges":[{"name":"min_cointeraction_count","minValue":0,"maxValue":99}]}}}`), invalid, "min_cointeraction_count"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"optimizationObjective":{"itemAttribute":"PRICE","objectiveSensitivity":"LOW"}}`), invalid, "optimizationObjective"},
		{"CreateSolution", `{"name":"new","datasetGroupArn":"` + foreign + `",` + recipe("aws-user-personalization") + `,"solutionConfig":{"optimizationObjective":{"itemAttribute":"PRICE","objectiveSensitivity":"LOW"}}}`, invalid, "Items dataset"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"performIncrementalUpdate":true`), invalid, "performIncrementalUpdate"},
		{"UpdateSolution", `{"solutionArn":"` + solution + `","solutionUpdateConfig":{"autoTrainingConfig":{"schedulingExpression":"rate(0 days)"}}}`, invalid, "rate(0 days)"},

		{"CreateSolutionVersion", `{"solutionArn":"` + version + `"}`, invalid, "solutionArn"},
		{"CreateSolutionVersion", `{"solutionArn":"` + solution + `","trainingMode":"UPDATE"}`, invalid, "UPDATE"},
		{"CreateSolutionVersion", `{"solutionArn":"` + solution + `","trainingMode":"AUTOTRAIN"}`, invalid, "AUTOTRAIN"},
		{"ListSolutionVersions", `{"solutionArn":"` + prefix + `solution/absent"}`, missing, "absent"},
		{"StopSolutionVersionCreation", `{"solutionVersionArn":"` + version + `"}`, inUse, "ACTIVE"},

		{"CreateCampaign", newCampaign(solution, ""), missing, "pantry"},
		{"CreateCampaign", newCampaign(solution+"/00000000", ""), missing, "00000000"},
		{"CreateCampaign", newCampaign(untrained, ""), inUse, untrained},
		{"CreateCampaign", newCampaign(version, `"itemExplorationConfig":{"explorationWeight":"2"}`), invalid, "explorationWeight"},
		{"CreateCampaign", newCampaign(version, `"itemExplorationConfig":{"explorationItemAgeCutOff":"0"}`), invalid, "explorationItemAgeCutOff"},
		{"CreateCampaign", newCampaign(version, `"itemExplorationConfig":{"bogus":"0"}`), invalid, "bogus"},
		{"CreateCampaign", `{"name":"new","solutionVersionArn":"` + version + `","minProvisionedTPS":0}`, invalid, "minProvisionedTPS"},
		{"UpdateCampaign", `{"campaignArn":"` + prefix + `campaign/absent"}`, missing, "absent"},

		{"ListDatasetGroups", `{"nextToken":"AAAA"}`, badToken, "nextToken"},
		{"ListDatasetGroups", `{"maxResults":0}`, invalid, "maxResults"},
		{"ListDatasetGroups", `{"maxResults":101}`, invalid, "maxResults"},
		{"TagResource", `{"resourceArn":"` + prefix + `schema/events","tags":[]}`, invalid, "tags"},
		{"TagResource", `{"resourceArn":"` + prefix + `solution/absent","tags":[]}`, missing, "absent"},
		{"CreateSchema", `{"name":"new2","schema":"` + schema + `","domain":"BOGUS"}`, invalid, "domain"},

		{"UpdateDataset", `{"datasetArn":"` + items + `","schemaArn":"` + prefix + `schema/absent"}`, missing, "absent"},
		{"UpdateDataset", `{"datasetArn":"` + prefix + `dataset/movies/USERS","schemaArn":"` + prefix + `schema/events"}`, missing, "USERS"},
		{"UpdateDataset", `{"datasetArn":"` + items + `","schemaArn":"` + group + `"}`, invalid, "schemaArn"},
		{"UpdateDataset", `{"datasetArn":"` + items + `","schemaArn":"` + prefix + `schema/events"}`, invalid, "describes Interactions, not Items"},
		{"UpdateDataset", `{"datasetArn":"` + items + `"}`, invalid, "schemaArn"},

		{"CreateSolution", newSolution(`"performAutoML":true,"solutionConfig":{"algorithmHyperParameters":{"bptt":"2"}}`), invalid, "algorithmHyperParameters"},
		{"CreateSolution", newSolution(`"performAutoML":true,"solutionConfig":{"featureTransformationParameters":{"a":"2"}}`), invalid, "featureTransformationParameters"},
		{"CreateSolution", newSolution(`"performAutoML":true,"solutionConfig":{"hpoConfig":{"algorithmHyperParameterRanges":{}}}`), invalid, "algorithmHyperParameterRanges"},
		{"CreateSolution", newSolution(`"performAutoML":true,"performIncrementalUpdate":true`), invalid, "performIncrementalUpdate"},
		{"CreateSolution", newSolution(`"performAutoML":true,"solutionConfig":{"optimizationObjective":{"itemAttribute":"PRICE","objectiveSensitivity":"LOW"}}`), invalid, "performAutoML"},
		{"CreateSolution", newSolution(`"performAutoML":true,"solutionConfig":{"autoMLConfig":{"metricName":"beauty"}}`), invalid, "beauty"},
		{"CreateSolution", newSolution(`"performAutoML":true,"solutionConfig":{"autoMLConfig":{"recipeList":["arn:aws:personalize:::recipe/aws-absent"]}}`), missing, "aws-absent"},
		{"CreateSolution", newSolution(`"performAutoML":true,"solutionConfig":{"autoMLConfig":{"recipeList":["arn:aws:personalize:::recipe/aws-sims"]}}`), invalid, "aws-sims"},
		{"CreateSolution", newSolution(`"performAutoML":true,"solutionConfig":{"autoMLConfig":{"recipeList":["` + solution + `"]}}`), invalid, "recipeList"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"autoMLConfig":{}}`), invalid, "autoMLConfig"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"eventType":"click","solutionConfig":{"eventsConfig":{"eventParametersList":[{"eventType":"click"}]}}`), invalid, "eventsConfig"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"eventValueThreshold":"1","eventsConfig":{"eventParametersList":[{"eventType":"click"}]}}`), invalid, "eventsConfig"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"eventsConfig":{"eventParametersList":[{"eventType":"click"},{"eventType":"click"}]}}`), invalid, "twice"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"eventsConfig":{"eventParametersList":[{"weight":1}]}}`), invalid, "eventType is required"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"eventsConfig":{"eventParametersList":[{"eventType":"click","weight":1.5}]}}`), invalid, "weight"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"eventsConfig":{"eventParametersList":[{"eventType":"click","weight":-1}]}}`), invalid, "weight"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"eventsConfig":{"eventParametersList":[` + strings.Repeat(`{"eventType":"click"},`, 10) + `{"eventType":"click"}]}}`), invalid, "eventParametersList"},
		{"CreateSolution", newSolution(recipe("aws-user-personalization") + `,"solutionConfig":{"optimizationObjective":{"objectiveSensitivity":"LOW"}}`), invalid, "itemAttribute"},
		{"CreateSolution", newSolution(recipe("aws-user-personalization") + `,"solutionConfig":{"optimizationObjective":{"itemAttribute":"GENRES","objectiveSensitivity":"LOW"}}`), invalid, "GENRES"},
		{"CreateSolution", newSolution(recipe("aws-user-personalization") + `,"solutionConfig":{"optimizationObjective":{"itemAttribute":"YEAR","objectiveSensitivity":"LOW"}}`), invalid, "never null"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"trainingDataConfig":{"excludedDatasetColumns":{"USERS":["AGE"]}}}`), invalid, "no Users dataset"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"trainingDataConfig":{"excludedDatasetColumns":{"ITEMS":["NOPE"]}}}`), invalid, "no column NOPE"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"trainingDataConfig":{"includedDatasetColumns":{"ITEMS":["NOPE"]}}}`), invalid, "no column NOPE"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"trainingDataConfig":{"includedDatasetColumns":{"ITEMS":["GENRES"],"Items":["PRICE"]}}}`), invalid, "twice"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"trainingDataConfig":{"excludedDatasetColumns":{"ITEMS":["ITEM_ID"]}}}`), invalid, "cannot be excluded"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"trainingDataConfig":{"excludedDatasetColumns":{"ITEMS":["GENRES"]},"includedDatasetColumns":{"ITEMS":["PRICE"]}}}`), invalid, "not both"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"hpoConfig":{"hpoResourceConfig":{"maxParallelTrainingJobs":"many"}}}`), invalid, "maxParallelTrainingJobs"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"hpoConfig":{"algorithmHyperParameterRanges":{"continuousHyperParameterRanges":[{"name":"popularity_discount_factor","minValue":0.9,"maxValue":0.1}]}}}`), invalid, "popularity_discount_factor"},
		{"CreateSolution", newSolution(recipe("aws-sims") + `,"solutionConfig":{"hpoConfig":{"algorithmHyperParameterRanges":{"continuousHyperParameterRanges":[{"name":"min_user_history_length_percentile"}]}}}`), invalid, "min_user_history_length_percentile"},
		{"CreateSolution", newSolution(recipe("aws-user-personalization") + `,"solutionConfig":{"hpoConfig":{"algorithmHyperParameterRanges":{"categoricalHyperParameterRanges":[{"name":"recency_mask","values":["perhaps"]}]}}}`), invalid, "perhaps"},
		{"UpdateSolution", `{"solutionArn":"` + solution + `","performIncrementalUpdate":true}`, invalid, "performIncrementalUpdate"},
		{"UpdateSolution", `{"solutionArn":"` + solution + `","solutionUpdateConfig":{"eventsConfig":{"eventParametersList":[{"eventType":"a"},{"eventType":"a"}]}}}`, invalid, "twice"},

		{"CreateCampaign", newCampaign(version, `"rankingInfluence":{"POPULARITY":1.1}`), invalid, "rankingInfluence"},
		{"CreateCampaign", newCampaign(version, `"rankingInfluence":{"FRESHNESS":-0.1}`), invalid, "rankingInfluence"},
		{"CreateCampaign", newCampaign(version, `"rankingInfluence":{"BEAUTY":1}`), invalid, "rankingInfluence"},
		{"CreateCampaign", newCampaign(version, `"enableMetadataWithRecommendations":"yes"`), invalid, "enableMetadataWithRecommendations"},
		{"CreateCampaign", newCampaign(version, `"syncWithLatestSolutionVersion":true`), invalid, "syncWithLatestSolutionVersion"},
		{"CreateCampaign", newCampaign(group, ""), invalid, "solutionVersionArn"},

		{"CreateFilter", newFilter(""), invalid, "filterExpression"},
		{"CreateFilter", newFilter(strings.Repeat("x", 2501)), invalid, "filterExpression"},
		{"CreateFilter", newFilter(`INCLUDE ItemID WHERE Items.NOPE IN ("x")`), invalid, "NOPE"},
		{"CreateFilter", newFilter(`INCLUDE ItemID WHERE Users.AGE > 5`), invalid, "Users"},
		{"CreateFilter", newFilter(`INCLUDE ItemID`), invalid, "WHERE"},
		{"CreateFilter", newFilter(`INCLUDE ItemID WHERE Items.GENRES IN ("x") AND Interactions.EVENT_TYPE IN ("y")`), invalid, "Invalid filterExpression"},
		{"CreateFilter", `{"name":"comedies",` + inGroup + `,"filterExpression":"nonsense"}`, exists, filterARN},
		{"CreateFilter", `{"name":"new",` + inGroup + `}`, invalid, "filterExpression"},
		{"CreateFilter", `{"name":"_new",` + inGroup + `,"filterExpression":"x"}`, invalid, "name"},
		{"CreateFilter", `{"name":"new","datasetGroupArn":"` + prefix + `dataset-group/absent","filterExpression":"x"}`, missing, "absent"},
		{"CreateFilter", `{"name":"new","datasetGroupArn":"` + dataset + `","filterExpression":"x"}`, invalid, "datasetGroupArn"},
		{"CreateFilter", `{"name":"new",` + inGroup + `,"filterExpression":"x","tags":` + manyTags(51) + `}`, awsapi.CodeTooManyTags, "50"},
		{"ListFilters", `{"datasetGroupArn":"nonsense"}`, invalid, "datasetGroupArn"},
		{"ListFilters", `{"nextToken":"AAAA"}`, badToken, "nextToken"},
		{"ListFilters", `{"maxResults":101}`, invalid, "maxResults"},

		{"CreateRecommender", newRecommender(group, "aws-sims", ""), invalid, "need a dataset group with a domain"},
		{"CreateRecommender", newRecommender(prefix+"dataset-group/shop", "aws-sims", ""), invalid, "no use case"},
		{"CreateRecommender", newRecommender(prefix+"dataset-group/shop", "aws-absent", ""), missing, "aws-absent"},
		{"CreateRecommender", newRecommender(prefix+"dataset-group/absent", "aws-sims", ""), missing, "absent"},
		{"CreateRecommender", newRecommender(solution, "aws-sims", ""), invalid, "datasetGroupArn"},
		{"CreateRecommender", `{"name":"new","datasetGroupArn":"` + group + `","recipeArn":"` + group + `"}`, invalid, "recipeArn"},
		{"CreateRecommender", `{"name":"new","datasetGroupArn":"` + group + `"}`, invalid, "recipeArn"},
		{"CreateRecommender", newRecommender(group, "aws-sims", `"minRecommendationRequestsPerSecond":0`), invalid, "minRecommendationRequestsPerSecond"},
		{"UpdateRecommender", `{"recommenderArn":"` + prefix + `recommender/absent"}`, invalid, "recommenderConfig"},
		{"UpdateRecommender", `{"recommenderArn":"` + prefix + `recommender/absent","recommenderConfig":{}}`, missing, "absent"},
		{"ListRecommenders", `{"nextToken":"AAAA"}`, badToken, "nextToken"},
		{"ListRecommenders", `{"maxResults":0}`, invalid, "maxResults"},

		{"CreateMetricAttribution", newMetrics("new", group, metricOf("m", "SAMPLECOUNT()"), role), limit, "More than 1 resources in ACTIVE state"},
		{"CreateMetricAttribution", newMetrics("revenue", group, metricOf("m", "SAMPLECOUNT()"), role), exists, attribution},
		{"CreateMetricAttribution", newMetrics("new", foreign, metricOf("m", "SAMPLECOUNT()"), role), invalid, "Interactions dataset"},
		{"CreateMetricAttribution", newMetrics("new", prefix+"dataset-group/absent", metricOf("m", "SAMPLECOUNT()"), role), missing, "absent"},
		{"CreateMetricAttribution", newMetrics("new", group, metricOf("m", "SAMPLECOUNT()"), ""), invalid, "roleArn"},
		{"CreateMetricAttribution", newMetrics("new", group, `{"eventType":"click","metricName":"m"}`, role), invalid, "expression"},
		{"CreateMetricAttribution", newMetrics("new", group, strings.Repeat(metricOf("m", "SAMPLECOUNT()")+",", 10)+metricOf("m", "SAMPLECOUNT()"), role), invalid, "metrics"},
		{"CreateMetricAttribution", `{"name":"new",` + inGroup + `,"metricsOutputConfig":{` + role + `}}`, invalid, "metrics"},
		{"CreateMetricAttribution", `{"name":"new",` + inGroup + `,"metrics":[]}`, invalid, "metricsOutputConfig"},
		{"UpdateMetricAttribution", updateMetrics(`"addMetrics":[` + metricOf("clicks", "SAMPLECOUNT()") + `]`), exists, "clicks"},
		{"UpdateMetricAttribution", updateMetrics(`"addMetrics":[` + metricOf("m", "SAMPLECOUNT()") + `,` + metricOf("m", "SAMPLECOUNT()") + `]`), invalid, "twice"},
		{"UpdateMetricAttribution", updateMetrics(`"removeMetrics":["absent"]`), invalid, "absent"},
		{"UpdateMetricAttribution", updateMetrics(`"addMetrics":[` + metricOf("m", "COUNT()") + `]`), invalid, "COUNT()"},
		{"UpdateMetricAttribution", updateMetrics(`"addMetrics":[` + metricOf("m", "SAMPLECOUNT") + `]`), invalid, "SAMPLECOUNT"},
		{"UpdateMetricAttribution", updateMetrics(`"addMetrics":[` + metricOf("m", "SUM(PRICE)") + `]`), invalid, "SUM(PRICE)"},
		{"UpdateMetricAttribution", updateMetrics(`"addMetrics":[` + metricOf("m", "SUM(Users.AGE)") + `]`), invalid, "SUM(Users.AGE)"},
		{"UpdateMetricAttribution", updateMetrics(`"addMetrics":[` + metricOf("m", "SUM(Items.NOPE)") + `]`), invalid, "NOPE"},
		{"UpdateMetricAttribution", updateMetrics(`"addMetrics":[` + metricOf("m", "SUM(Items.GENRES)") + `]`), invalid, "not numeric"},
		{"UpdateMetricAttribution", updateMetrics(`"addMetrics":[` + metricOf("m", "SUM(Interactions.EVENT_TYPE)") + `]`), invalid, "not numeric"},
		{"UpdateMetricAttribution", updateMetrics(`"metricsOutputConfig":{` + role + `,"s3DataDestination":{"path":"https://reports/x"}}`), invalid, "s3DataDestination"},
		{"UpdateMetricAttribution", updateMetrics(`"metricsOutputConfig":{` + role + `,"s3DataDestination":{"path":"s3://reports"}}`), invalid, "s3DataDestination"},
		{"UpdateMetricAttribution", updateMetrics(`"metricsOutputConfig":{"s3DataDestination":{"path":"s3://reports/x/"}}`), invalid, "roleArn"},
		{"UpdateMetricAttribution", `{"addMetrics":[]}`, invalid, "metricAttributionArn"},
		{"ListMetricAttributions", `{"nextToken":"AAAA"}`, badToken, "nextToken"},
		{"ListMetricAttributionMetrics", `{"nextToken":"AAAA"}`, badToken, "nextToken"},
		{"TagResource", `{"resourceArn":"` + attribution + `","tags":[]}`, invalid, "tags"},
		{"TagResource", `{"resourceArn":"` + filterARN + `","tags":` + manyTags(51) + `}`, awsapi.CodeTooManyTags, "50"},
		{"UntagResource", `{"resourceArn":"` + prefix + `filter/absent","tagKeys":[]}`, missing, "absent"},
		{"ListTagsForResource", `{"resourceArn":"` + prefix + `recommender/absent"}`, missing, "absent"},
		{"ListRecipes", `{"domain":"GAMES"}`, invalid, "domain"},
		{"ListRecipes", `{"nextToken":"AAAA"}`, badToken, "nextToken"},
		{"DescribeRecipe", `{"recipeArn":"arn:aws:personalize:::recipe/aws-absent"}`, missing, "aws-absent"},
		{"DescribeAlgorithm", `{"algorithmArn":"arn:aws:personalize:::recipe/aws-sims"}`, invalid, "algorithmArn"},
		{"DescribeFeatureTransformation", `{"featureTransformationArn":"arn:aws:personalize:::feature-transformation/absent"}`, missing, "absent"},
	})
}

// What names one resource refuses nothing, nonsense, a resource of another type and one that is not there.
func TestRefusalsOfARNs(t *testing.T) {
	i := install(t, crud.Quotas{})
	var cases []refusal
	for _, c := range []struct{ operation, member, kind, rest string }{
		{"DescribeDatasetGroup", "datasetGroupArn", resource.DatasetGroup, ""},
		{"DeleteDatasetGroup", "datasetGroupArn", resource.DatasetGroup, ""},
		{"DescribeSchema", "schemaArn", resource.Schema, ""},
		{"DeleteSchema", "schemaArn", resource.Schema, ""},
		{"DescribeDataset", "datasetArn", resource.Dataset, ""},
		{"UpdateDataset", "datasetArn", resource.Dataset, `,"schemaArn":"` + prefix + `schema/s"`},
		{"DeleteDataset", "datasetArn", resource.Dataset, ""},
		{"CreateDatasetImportJob", "datasetArn", resource.Dataset, `,"jobName":"new","dataSource":{"dataLocation":"s3://data/x.csv"}`},
		{"DescribeDatasetImportJob", "datasetImportJobArn", resource.DatasetImportJob, ""},
		{"CreateEventTracker", "datasetGroupArn", resource.DatasetGroup, `,"name":"new"`},
		{"DescribeEventTracker", "eventTrackerArn", resource.EventTracker, ""},
		{"DeleteEventTracker", "eventTrackerArn", resource.EventTracker, ""},
		{"CreateSolution", "datasetGroupArn", resource.DatasetGroup, `,"name":"new","recipeArn":"arn:aws:personalize:::recipe/aws-sims"`},
		{"DescribeSolution", "solutionArn", resource.Solution, ""},
		{"UpdateSolution", "solutionArn", resource.Solution, ""},
		{"DeleteSolution", "solutionArn", resource.Solution, ""},
		{"CreateSolutionVersion", "solutionArn", resource.Solution, ""},
		{"DescribeSolutionVersion", "solutionVersionArn", resource.SolutionVersion, ""},
		{"StopSolutionVersionCreation", "solutionVersionArn", resource.SolutionVersion, ""},
		{"GetSolutionMetrics", "solutionVersionArn", resource.SolutionVersion, ""},
		{"CreateCampaign", "solutionVersionArn", resource.SolutionVersion, `,"name":"new"`},
		{"DescribeCampaign", "campaignArn", resource.Campaign, ""},
		{"UpdateCampaign", "campaignArn", resource.Campaign, ""},
		{"DeleteCampaign", "campaignArn", resource.Campaign, ""},
		{"CreateFilter", "datasetGroupArn", resource.DatasetGroup, `,"name":"new","filterExpression":"x"`},
		{"DescribeFilter", "filterArn", resource.Filter, ""},
		{"DeleteFilter", "filterArn", resource.Filter, ""},
		{"CreateRecommender", "datasetGroupArn", resource.DatasetGroup, `,"name":"new","recipeArn":"arn:aws:personalize:::recipe/aws-sims"`},
		{"DescribeRecommender", "recommenderArn", resource.Recommender, ""},
		{"UpdateRecommender", "recommenderArn", resource.Recommender, `,"recommenderConfig":{}`},
		{"StartRecommender", "recommenderArn", resource.Recommender, ""},
		{"StopRecommender", "recommenderArn", resource.Recommender, ""},
		{"DeleteRecommender", "recommenderArn", resource.Recommender, ""},
		{"CreateMetricAttribution", "datasetGroupArn", resource.DatasetGroup, `,"name":"new","metrics":[],"metricsOutputConfig":{"roleArn":"arn:aws:iam::000000000000:role/r"}`},
		{"DescribeMetricAttribution", "metricAttributionArn", resource.MetricAttribution, ""},
		{"UpdateMetricAttribution", "metricAttributionArn", resource.MetricAttribution, ""},
		{"DeleteMetricAttribution", "metricAttributionArn", resource.MetricAttribution, ""},
	} {
		absent := prefix + c.kind + "/absent"
		switch c.kind {
		case resource.Dataset:
			absent += "/ITEMS"
		case resource.SolutionVersion:
			absent = prefix + "solution/absent/00000000"
		}
		named := func(arn string) string { return `{"` + c.member + `":"` + arn + `"` + c.rest + `}` }
		cases = append(cases,
			refusal{c.operation, `{` + strings.TrimPrefix(c.rest, ",") + `}`, invalid, c.member},
			refusal{c.operation, named("absent"), invalid, c.member},
			refusal{c.operation, named(prefix + "event-tracker-of-none/x"), invalid, c.member},
			refusal{c.operation, named(absent), missing, absent})
	}
	if c := i.schema("s", interactionsSchema); c != prefix+"schema/s" {
		t.Fatal(c)
	}
	i.refuses(cases)
}

func TestQuotas(t *testing.T) {
	i := install(t, must(crud.ParseQuotas(map[string]int{
		"solutions-per-group": 2, "campaigns-per-group": 1, "running-imports": 1, "running-trainings": 1, "dataset-groups": 1, "schemas": 1,
	}))(t))
	group := i.group("movies")
	dataset := i.dataset(group, "events")
	first := i.solution(group, "first", "aws-sims")
	i.solution(group, "second", "aws-sims")
	version := i.version(first)
	campaign := i.campaign("home", version)
	running := *must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: &first}))(t).SolutionVersionArn
	importInto := func(name string) error {
		_, err := i.CreateDatasetImportJob(&personalize.CreateDatasetImportJobInput{
			JobName: &name, DatasetArn: &dataset, DataSource: &personalize.DataSource{DataLocation: aws.String("s3://data/x.csv")},
			RoleArn: aws.String("arn:aws:iam::000000000000:role/r"),
		})
		return err
	}
	must(0, importInto("first"))(t)

	refused(t, importInto("second"), limit, "More than 1 resources with PENDING or IN_PROGRESS status")
	_, err := i.CreateDatasetGroup(&personalize.CreateDatasetGroupInput{Name: aws.String("new")})
	refused(t, err, limit, "More than 1 resources")
	_, err = i.CreateSchema(&personalize.CreateSchemaInput{Name: aws.String("new"), Schema: aws.String(interactionsSchema)})
	refused(t, err, limit, "More than 1 resources")
	_, err = i.CreateSolution(&personalize.CreateSolutionInput{Name: aws.String("third"), DatasetGroupArn: &group, RecipeArn: aws.String("arn:aws:personalize:::recipe/aws-sims")})
	refused(t, err, limit, "More than 2 resources in ACTIVE state. Please delete some and try again")
	_, err = i.CreateCampaign(&personalize.CreateCampaignInput{Name: aws.String("new"), SolutionVersionArn: &version})
	refused(t, err, limit, "More than 1 resources")
	_, err = i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: &first})
	refused(t, err, limit, "PENDING or IN_PROGRESS")

	// What has finished or is gone makes room.
	i.trained(running)
	must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: &first}))(t)
	must(i.DeleteCampaign(&personalize.DeleteCampaignInput{CampaignArn: &campaign}))(t)
	disappears(t, func() error {
		_, err := i.DescribeCampaign(&personalize.DescribeCampaignInput{CampaignArn: &campaign})
		return err
	})
	i.campaign("home", version)
}

func TestQuotasHoldUnderConcurrentRequests(t *testing.T) {
	i := install(t, crud.Quotas{SolutionsPerGroup: 3})
	group := i.group("movies")
	var created, trackers atomic.Int32
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			_, err := i.CreateSolution(&personalize.CreateSolutionInput{
				Name: aws.String(fmt.Sprint("s", n)), DatasetGroupArn: &group, RecipeArn: aws.String("arn:aws:personalize:::recipe/aws-sims"),
			})
			if err == nil {
				created.Add(1)
			} else {
				refused(t, err, limit, "3")
			}
		})
		wg.Go(func() {
			_, err := i.CreateEventTracker(&personalize.CreateEventTrackerInput{Name: aws.String("web"), DatasetGroupArn: &group})
			if err == nil {
				trackers.Add(1)
			} else {
				refused(t, err, exists, "event-tracker/")
			}
		})
	}
	wg.Wait()
	if created.Load() != 3 || trackers.Load() != 1 {
		t.Errorf("%d solutions and %d trackers", created.Load(), trackers.Load())
	}
}

func TestWhatIsBeingDeletedIsInUse(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	solution := i.solution(group, "pantry", "aws-sims")
	version := i.version(solution)
	campaign := i.campaign("home", version)
	// Its deletion does not come to an end: somebody else has it.
	for _, arn := range []string{campaign, solution, group} {
		must(i.store.Update(t.Context(), arn, func(r catalog.Resource) error {
			m := r.Meta()
			m.Status = status.DeleteInProgress
			m.Lease = &catalog.Lease{Owner: "other", Epoch: 1, Expires: m.CreatedAt.AddDate(1, 0, 0)}
			return nil
		}))(t)
	}
	if got := *i.describeCampaign(campaign).Status; got != "DELETE IN_PROGRESS" {
		t.Errorf("status %s", got)
	}
	for operation, request := range map[string]map[string]any{
		"CreateCampaign":        {"name": "new", "solutionVersionArn": version},
		"UpdateCampaign":        {"campaignArn": campaign},
		"DeleteCampaign":        {"campaignArn": campaign},
		"CreateSolutionVersion": {"solutionArn": solution},
		"UpdateSolution":        {"solutionArn": solution},
		"CreateEventTracker":    {"name": "new", "datasetGroupArn": group},
		"DeleteDatasetGroup":    {"datasetGroupArn": group},
	} {
		err := i.client.Call(t.Context(), operation, request, nil)
		var refusal *awsapi.Error
		if !errors.As(err, &refusal) || refusal.Code != inUse {
			t.Errorf("%s: got %v, want %s", operation, err, inUse)
		}
	}
	err := i.client.Call(t.Context(), "CreateCampaign", map[string]any{"name": "home", "solutionVersionArn": version}, nil)
	var refusal *awsapi.Error
	if !errors.As(err, &refusal) || refusal.Code != exists {
		t.Errorf("the name of a campaign that is being deleted: got %v, want %s", err, exists)
	}
}
