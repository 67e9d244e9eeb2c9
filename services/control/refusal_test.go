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

// Each request differs from a good one in what its error is about. Where two things are wrong, the error is the one that comes first.
func TestRefusals(t *testing.T) {
	i := install(t, Quotas{})
	group := i.group("movies")
	dataset := i.dataset(group, "events")
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

	for _, c := range []struct{ operation, request, code, message string }{
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
		{"CreateSolution", newSolution(recipe("aws-user-personalization") + `,"solutionConfig":{"optimizationObjective":{"itemAttribute":"PRICE","objectiveSensitivity":"LOW"}}`), invalid, "Items dataset"},
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
	} {
		err := i.client.Call(t.Context(), c.operation, json.RawMessage(c.request), nil)
		var refusal *awsapi.Error
		if !errors.As(err, &refusal) || refusal.Code != c.code || refusal.Status != 400 || !strings.Contains(refusal.Message, c.message) {
			t.Errorf("%s %s:\n\tgot %v\n\twant %s with %q", c.operation, c.request, err, c.code, c.message)
		}
	}
}

func TestQuotas(t *testing.T) {
	i := install(t, Quotas{SolutionsPerGroup: 2, CampaignsPerGroup: 1, RunningImports: 1, RunningTrainings: 1, DatasetGroups: 1, Schemas: 1})
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
	i := install(t, Quotas{SolutionsPerGroup: 3})
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
	i := install(t, Quotas{})
	group := i.group("movies")
	solution := i.solution(group, "pantry", "aws-sims")
	version := i.version(solution)
	campaign := i.campaign("home", version)
	// Its deletion does not come to an end: somebody else has it.
	for _, arn := range []string{campaign, solution, group} {
		must(catalog.Update(t.Context(), i.store, arn, func(r catalog.Resource) error {
			m := r.Head()
			m.Status = catalog.StatusDeleteInProgress
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
