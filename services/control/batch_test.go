package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// members is a request or an answer as it is on the wire.
type members = map[string]any

func s3(member, path string) members { return members{member: members{"path": path}} }

const jobRole = "arn:aws:iam::000000000000:role/jobs"

// jobKind is one of the types of jobs, with a request that is good as it is.
type jobKind struct {
	name, resource string // DataDeletionJob, data-deletion-job
	request        members
	shown          members // by Describe, besides the request
	parent         string  // the member by which List filters
	pending        string
}

func jobKinds(group, dataset, personal, segments string) []jobKind {
	batch := func(version string) members {
		return members{
			"solutionVersionArn": version, "roleArn": jobRole, "numResults": 10.0,
			"jobInput": s3("s3DataSource", "s3://data/in/users.json"), "jobOutput": s3("s3DataDestination", "s3://data/out/"),
		}
	}
	inference := batch(personal)
	inference["batchInferenceJobConfig"] = members{"itemExplorationConfig": members{"explorationWeight": "0.3", "explorationItemAgeCutOff": "30"}}
	return []jobKind{
		{"BatchInferenceJob", resource.BatchInferenceJob, inference, members{"batchInferenceJobMode": "BATCH_INFERENCE"}, "solutionVersionArn", "CREATE PENDING"},
		{"BatchSegmentJob", resource.BatchSegmentJob, batch(segments), nil, "solutionVersionArn", "CREATE PENDING"},
		{"DatasetExportJob", resource.DatasetExportJob, members{
			"datasetArn": dataset, "roleArn": jobRole, "ingestionMode": "ALL", "jobOutput": s3("s3DataDestination", "s3://data/out"),
		}, nil, "datasetArn", "CREATE PENDING"},
		{"DataDeletionJob", resource.DataDeletionJob, members{
			"datasetGroupArn": group, "roleArn": jobRole, "dataSource": members{"dataLocation": "s3://data/users.csv"},
		}, nil, "datasetGroupArn", "PENDING"},
	}
}

// tagged is a change of a request to pairs of tags.
func tagged(pairs ...string) members {
	var tags []any
	for n := 0; n < len(pairs); n += 2 {
		tags = append(tags, members{"tagKey": pairs[n], "tagValue": pairs[n+1]})
	}
	return members{"tags": tags}
}

// with is a copy of a request with other members; nil takes one away.
func with(request members, change members) members {
	changed := maps.Clone(request)
	for name, value := range change {
		if changed[name] = value; value == nil {
			delete(changed, name)
		}
	}
	return changed
}

// jobWorld is a group with a dataset, and a trained version of each kind of recipe that jobs tell apart.
func jobWorld(i *installation) (group, dataset, personal, segments string) {
	group = i.group("movies")
	dataset = i.dataset(group, "events")
	personal = i.version(i.solution(group, "personal", "aws-user-personalization"))
	return group, dataset, personal, i.versionOf(group, "segments", "aws-item-affinity")
}

// versionOf creates a trained version of any recipe, whatever data that needs.
func (i *installation) versionOf(group, name, recipe string) string {
	i.t.Helper()
	solution := &catalog.Solution{
		Metadata:        catalog.Metadata{ARN: prefix + "solution/" + name, Name: name, Status: status.Active},
		DatasetGroupARN: group, RecipeARN: "arn:aws:personalize:::recipe/" + recipe,
	}
	version := &catalog.SolutionVersion{
		Metadata:    catalog.Metadata{ARN: solution.ARN + "/0a0a0a0a", Status: status.Active},
		SolutionARN: solution.ARN, DatasetGroupARN: group, RecipeARN: solution.RecipeARN,
	}
	must(0, i.store.Create(i.t.Context(), solution))(i.t)
	must(0, i.store.Create(i.t.Context(), version))(i.t)
	return version.ARN
}

func (i *installation) ask(operation string, request members) (members, error) {
	var answer members
	err := i.client.Call(i.t.Context(), operation, request, &answer)
	return answer, err
}

// finish does the worker's part of a job.
func (i *installation) finish(arn string) {
	i.t.Helper()
	must(i.store.Update(i.t.Context(), arn, func(r catalog.Resource) error {
		r.Meta().Succeed()
		return nil
	}))(i.t)
}

func TestJobsComeBackAsTheyWereAsked(t *testing.T) {
	i := install(t, crud.Quotas{})
	for _, kind := range jobKinds(jobWorld(i)) {
		t.Run(kind.name, func(t *testing.T) {
			member := strings.ToLower(kind.name[:1]) + kind.name[1:]
			arn := prefix + kind.resource + "/first"
			request := with(kind.request, members{"jobName": "first", "tags": []any{members{"tagKey": "team", "tagValue": "shop"}}})
			answer := must(i.ask("Create"+kind.name, request))(t)
			if answer[member+"Arn"] != arn {
				t.Errorf("created %v", answer)
			}
			described := must(i.ask("Describe"+kind.name, members{member + "Arn": arn}))(t)[member].(members)
			for name, want := range with(with(request, members{"tags": nil, "status": kind.pending}), kind.shown) {
				if !reflect.DeepEqual(described[name], want) {
					t.Errorf("%s is %v, not %v", name, described[name], want)
				}
			}
			if described["failureReason"] != nil || described["creationDateTime"] == nil || described["lastUpdatedDateTime"] == nil {
				t.Errorf("described as %v", described)
			}
			for parent, count := range map[string]int{kind.request[kind.parent].(string): 1, prefix + "solution/other/00000000": 0} {
				listed, _ := must(i.ask("List"+kind.name+"s", members{kind.parent: parent}))(t)[member+"s"].([]any)
				if len(listed) != count {
					t.Errorf("%d listed under %s", len(listed), parent)
				}
				for _, summary := range listed {
					if s := summary.(members); s[member+"Arn"] != arn || s["status"] != kind.pending || s["jobName"] != "first" {
						t.Errorf("listed as %v", s)
					}
				}
			}
			if tags := must(i.ask("ListTagsForResource", members{"resourceArn": arn}))(t)["tags"]; fmt.Sprint(tags) != "[map[tagKey:team tagValue:shop]]" {
				t.Errorf("tags %v", tags)
			}
			_, err := i.ask("Create"+kind.name, request)
			refusedAs(t, err, exists, arn)
			i.finish(arn)
		})
	}
}

func refusedAs(t testing.TB, err error, code, message string) {
	t.Helper()
	var refusal *awsapi.Error
	if !errors.As(err, &refusal) || refusal.Code != code || refusal.Status != 400 || !strings.Contains(refusal.Message, message) {
		t.Errorf("got %v, want %s with %q", err, code, message)
	}
}

func TestJobsAreRefused(t *testing.T) {
	i := install(t, crud.Quotas{RunningBatchInferences: 1, RunningBatchSegments: 1, RunningExports: 1, RunningDeletions: 1})
	group, dataset, personal, segments := jobWorld(i)
	other := i.group("other")
	for name, g := range map[string]string{"users": group, "stale": group, "theirs": other} {
		must(0, i.store.Create(t.Context(), &catalog.Filter{
			Metadata: catalog.Metadata{ARN: prefix + "filter/" + name, Name: name, Status: status.Active}, DatasetGroupARN: g,
			Expression: map[string]string{
				"users": `EXCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("buy")`, "stale": `INCLUDE ItemID WHERE Items.COLOUR IN ("red")`,
			}[name],
		}))(t)
	}
	must(0, i.store.Create(t.Context(), &catalog.Filter{
		Metadata: catalog.Metadata{ARN: prefix + "filter/young", Name: "young", Status: status.CreateFailed}, DatasetGroupARN: group,
	}))(t)
	untrained := *must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: aws.String(prefix + "solution/personal")}))(t).SolutionVersionArn
	trending := i.versionOf(group, "trend", "aws-trending-now")
	kinds := jobKinds(group, dataset, personal, segments)
	jobs, deletion := kinds[:len(kinds)-1], kinds[len(kinds)-1]

	type refusal struct {
		change        members
		code, message string
	}
	everywhere := []refusal{
		{members{"jobName": nil}, invalid, "jobName"},
		{members{"jobName": "-bad"}, invalid, "jobName"},
		{members{"roleArn": nil}, invalid, "roleArn"},
		{members{"roleArn": "arn:aws:s3:::role"}, invalid, "roleArn"},
		{members{"tags": []any{members{"tagKey": "aws:x", "tagValue": ""}}}, invalid, "aws:"},
	}
	ofBatches := []refusal{
		{members{"solutionVersionArn": prefix + "solution/personal"}, missing, "personal"},
		{members{"solutionVersionArn": prefix + "solution/personal/00000000"}, missing, "00000000"},
		{members{"solutionVersionArn": prefix + "campaign/x"}, invalid, "solutionVersionArn"},
		{members{"solutionVersionArn": untrained}, inUse, "ACTIVE"},
		{members{"filterArn": prefix + "filter/absent"}, missing, "absent"},
		{members{"filterArn": prefix + "solution/personal"}, invalid, "filterArn"},
		{members{"filterArn": prefix + "filter/theirs"}, invalid, "belongs to the dataset group"},
		{members{"filterArn": prefix + "filter/young"}, inUse, "CREATE FAILED"},
		{members{"numResults": 0}, invalid, "numResults is 0"},
		{members{"jobInput": nil}, invalid, "jobInput"},
		{members{"jobOutput": members{"s3DataDestination": members{}}}, invalid, "path"},
		{members{"jobInput": s3("s3DataSource", "s3://data")}, invalid, "Invalid S3 input path"},
		{members{"jobInput": s3("s3DataSource", "https://data/x.json")}, invalid, "Invalid S3 input path"},
		{members{"jobOutput": s3("s3DataDestination", "s3://B/x/")}, invalid, "Invalid S3 output path"},
		{members{"jobInput": s3("s3DataSource", "s3://data/out")}, invalid, "must differ"},
	}
	refusals := map[string][]refusal{
		"BatchInferenceJob": append([]refusal{
			{members{"numResults": 501}, invalid, "500"},
			{members{"filterArn": prefix + "filter/users"}, invalid, "UserID"},
			{members{"filterArn": prefix + "filter/stale"}, invalid, "filter/stale"},
			{members{"solutionVersionArn": segments}, invalid, "CreateBatchSegmentJob"},
			{members{"solutionVersionArn": trending}, invalid, "not possible"},
			{members{"batchInferenceJobMode": "THEME_GENERATION"}, invalid, "THEME_GENERATION"},
			{members{"batchInferenceJobMode": "OTHER"}, invalid, "batchInferenceJobMode"},
			{members{"themeGenerationConfig": members{"fieldsForThemeGeneration": members{"itemName": "TITLE"}}}, invalid, "themeGenerationConfig"},
			{members{"batchInferenceJobConfig": members{"itemExplorationConfig": members{"explorationWeight": "2"}}}, invalid, "explorationWeight"},
			{members{"batchInferenceJobConfig": members{"itemExplorationConfig": members{"bogus": "2"}}}, invalid, "bogus"},
			{tagged("penchant:result-set", ""), invalid, "penchant:result-set"},
			{tagged("penchant:result-set", "a/b"), invalid, "a/b"},
			{tagged("penchant:results-ttl", "1h"), invalid, "penchant:result-set"},
			{tagged("penchant:result-set", "home", "penchant:results-ttl", "1"), invalid, "duration"},
			{tagged("penchant:result-set", "home", "penchant:results-ttl", "10s"), invalid, "from 1m"},
			{tagged("penchant:result-set", "home", "penchant:results-ttl", "9000h"), invalid, "8784h"},
		}, ofBatches...),
		"BatchSegmentJob": append([]refusal{
			{members{"numResults": 5_000_001}, invalid, "5000000"},
			{members{"solutionVersionArn": personal}, invalid, "no user segments"},
			{tagged("penchant:result-set", "home"), invalid, "segments cannot be looked up"},
		}, ofBatches...),
		"DatasetExportJob": {
			{members{"datasetArn": prefix + "dataset/movies/ITEMS"}, missing, "ITEMS"},
			{members{"datasetArn": group}, invalid, "datasetArn"},
			{members{"ingestionMode": "SOME"}, invalid, "ingestionMode"},
			{members{"jobOutput": s3("s3DataDestination", "https://data/x/")}, invalid, "Invalid S3 output path"},
		},
		"DataDeletionJob": {
			{members{"datasetGroupArn": prefix + "dataset-group/absent"}, missing, "absent"},
			{members{"datasetGroupArn": dataset}, invalid, "datasetGroupArn"},
			{members{}, inUse, untrained},
		},
	}
	for _, kind := range kinds {
		for _, r := range append(everywhere, refusals[kind.name]...) {
			request := with(with(kind.request, members{"jobName": "new"}), r.change)
			_, err := i.ask("Create"+kind.name, request)
			text, _ := json.Marshal(r.change)
			t.Run(kind.name+string(text), func(t *testing.T) { refusedAs(t, err, r.code, r.message) })
		}
		member := strings.ToLower(kind.name[:1]) + kind.name[1:]
		_, err := i.ask("Describe"+kind.name, members{member + "Arn": prefix + kind.resource + "/absent"})
		refusedAs(t, err, missing, "absent")
		_, err = i.ask("Describe"+kind.name, members{member + "Arn": group})
		refusedAs(t, err, invalid, kind.resource)
		_, err = i.ask("List"+kind.name+"s", members{"nextToken": "AAAA"})
		refusedAs(t, err, badToken, "nextToken")
	}
	i.trained(untrained)
	_, err := i.ask("CreateDataDeletionJob", with(deletion.request, members{"jobName": "new", "dataSource": members{"dataLocation": "s3://data"}}))
	refusedAs(t, err, invalid, "Invalid Data location.")

	// One of a kind at a time, as the quotas here say, and none beside a deletion.
	for _, kind := range kinds {
		must(i.ask("Create"+kind.name, with(kind.request, members{"jobName": "first"})))(t)
		_, err := i.ask("Create"+kind.name, with(kind.request, members{"jobName": "second"}))
		refusedAs(t, err, limit, "More than 1 resources with PENDING or IN_PROGRESS status")
		if kind.name != "DataDeletionJob" {
			_, err = i.ask("CreateDataDeletionJob", with(deletion.request, members{"jobName": "early"}))
			refusedAs(t, err, inUse, kind.resource+"/first")
			i.finish(prefix + kind.resource + "/first")
		}
	}
	for _, kind := range jobs {
		_, err := i.ask("Create"+kind.name, with(kind.request, members{"jobName": "late"}))
		refusedAs(t, err, inUse, "data-deletion-job/first")
	}
	for operation, request := range map[string]members{
		"CreateDatasetImportJob": {"jobName": "late", "datasetArn": dataset, "roleArn": jobRole, "dataSource": members{"dataLocation": "s3://data/x.csv"}},
		"CreateSolutionVersion":  {"solutionArn": prefix + "solution/personal"},
	} {
		_, err := i.ask(operation, request)
		refusedAs(t, err, inUse, "data-deletion-job/first")
	}
	i.finish(prefix + "data-deletion-job/first")
	for _, kind := range kinds {
		must(i.ask("Create"+kind.name, with(kind.request, members{"jobName": "second"})))(t)
		i.finish(prefix + kind.resource + "/second")
	}
}

func TestABatchJobHoldsItsSolutionAndFilterUntilItHasFinished(t *testing.T) {
	i := install(t, crud.Quotas{})
	group, dataset, personal, segments := jobWorld(i)
	filter := &catalog.Filter{Metadata: catalog.Metadata{ARN: prefix + "filter/mine", Name: "mine", Status: status.Active}, DatasetGroupARN: group, Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("buy")`}
	must(0, i.store.Create(t.Context(), filter))(t)
	kind := jobKinds(group, dataset, personal, segments)[0]
	must(i.ask("CreateBatchInferenceJob", with(kind.request, members{"jobName": "first", "filterArn": filter.ARN})))(t)
	_, err := i.ask("DeleteSolution", members{"solutionArn": prefix + "solution/personal"})
	refusedAs(t, err, inUse, "batch-inference-job/first")
	var held *catalog.HeldError
	if _, err := i.store.Filters.MarkDeleting(t.Context(), filter.ARN, nil); !errors.As(err, &held) {
		t.Errorf("a filter in use can be deleted: %v", err)
	}
	i.finish(prefix + "batch-inference-job/first")
	must(i.ask("DeleteSolution", members{"solutionArn": prefix + "solution/personal"}))(t)
	disappears(t, func() error {
		_, err := i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: aws.String(prefix + "solution/personal")})
		return err
	})
	_, err = i.ask("DescribeBatchInferenceJob", members{"batchInferenceJobArn": prefix + "batch-inference-job/first"})
	refusedAs(t, err, missing, "first")
	must(i.store.Filters.MarkDeleting(t.Context(), filter.ARN, nil))(t)
}
