package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"
	"github.com/aws/aws-sdk-go/service/personalizeruntime"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// tellJobs goes on where the story of ada ends: she put five events after the campaign's model was trained.
func tellJobs(t *testing.T, s stack, groupARN, datasetARN, campaignARN *string) {
	t.Helper()
	control, runtime, bucket := personalize.New(s.control), personalizeruntime.New(s.runtime), s.bucket("story")
	role := aws.String(roleARN)
	at := func(path string) *personalize.S3DataConfig {
		return &personalize.S3DataConfig{Path: aws.String("s3://story/" + path)}
	}
	put := func(key, content string) {
		if _, err := bucket.Put(t.Context(), key, []byte(content), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	get := func(key string) string {
		t.Helper()
		data, _, err := bucket.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	ends := func(want string, describe func() (status, reason *string)) {
		t.Helper()
		eventually.Succeeds(t, "a job is "+want, func() error {
			status, reason := describe()
			if strings.HasSuffix(*status, "FAILED") {
				t.Fatalf("a job failed: %s", aws.StringValue(reason))
			}
			if *status != want {
				return fmt.Errorf("it is %s", *status)
			}
			return nil
		})
	}

	campaign := must(control.DescribeCampaign(&personalize.DescribeCampaignInput{CampaignArn: campaignARN}))(t).Campaign
	put("batch/users.json", `{"userId":"ada"}`+"\n"+`{"userId":"nobody-knows-me"}`+"\n")
	batch := must(control.CreateBatchInferenceJob(&personalize.CreateBatchInferenceJobInput{
		JobName: aws.String("story"), SolutionVersionArn: campaign.SolutionVersionArn, RoleArn: role,
		NumResults:              aws.Int64(10),
		JobInput:                &personalize.BatchInferenceJobInput{S3DataSource: at("batch/users.json")},
		JobOutput:               &personalize.BatchInferenceJobOutput{S3DataDestination: at("recommended/")},
		BatchInferenceJobConfig: &personalize.BatchInferenceJobConfig{ItemExplorationConfig: map[string]*string{"explorationWeight": aws.String("0")}},
		Tags: []*personalize.Tag{{TagKey: aws.String("penchant:result-set"),
			TagValue: aws.String("homepage")}},
	}))(t).BatchInferenceJobArn
	ends("ACTIVE", func() (status, reason *string) {
		j := must(control.DescribeBatchInferenceJob(&personalize.DescribeBatchInferenceJobInput{BatchInferenceJobArn: batch}))(t).BatchInferenceJob
		return j.Status, j.FailureReason
	})
	var lists [][]string
	for line := range strings.Lines(get("recommended/users.json.out")) {
		var answer struct {
			Output struct{ RecommendedItems []string }
			Error  *string
		}
		if err := json.Unmarshal([]byte(line), &answer); err != nil || answer.Error != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lists = append(lists, answer.Output.RecommendedItems)
	}
	if len(lists) != 2 || len(lists[0]) != 10 || !slices.Equal(lists[0], lists[1]) {
		t.Errorf("events that came after the training count in a batch: %v", lists)
	}

	key := must(s.runtime.Config.Credentials.Get())(t)
	api := awsapi.NewClient(*s.runtime.Config.Endpoint,
		awsapi.Credential{AccessKeyID: key.AccessKeyID, SecretKey: key.SecretAccessKey}, *s.runtime.Config.Region)
	defer api.Close()
	lookUp := func(set, userID string) (items []string, err error) {
		var answer struct {
			BatchInferenceJobArn                 string
			CreationDateTime, ExpirationDateTime float64
			Output                               struct {
				RecommendedItems []string
				Scores           []float64
			}
		}
		err = api.Post(t.Context(), "/batch-results",
			map[string]string{"datasetGroupArn": *groupARN, "resultSet": set, "userId": userID}, &answer)
		if err == nil && (answer.BatchInferenceJobArn != *batch ||
			answer.ExpirationDateTime-answer.CreationDateTime < 7*86400 || len(answer.Output.Scores) != 10) {
			t.Errorf("looked up %+v", answer)
		}
		return answer.Output.RecommendedItems, err
	}
	for n, user := range []string{"ada", "nobody-knows-me"} {
		if got := must(lookUp("homepage", user))(t); !slices.Equal(got, lists[n]) {
			t.Errorf("%s is looked up as %v, the output says %v", user, got, lists[n])
		}
	}
	for set, user := range map[string]string{"homepage": "somebody-else", "no-such-set": "ada"} {
		refusedWith(t, "ResourceNotFoundException", func() error { _, err := lookUp(set, user); return err }())
	}

	export := func(name string) string {
		t.Helper()
		job := must(control.CreateDatasetExportJob(&personalize.CreateDatasetExportJobInput{
			JobName: &name, DatasetArn: datasetARN, IngestionMode: aws.String("ALL"), RoleArn: role,
			JobOutput: &personalize.DatasetExportJobOutput{S3DataDestination: at("exported/")},
		}))(t).DatasetExportJobArn
		ends("ACTIVE", func() (status, reason *string) {
			j := must(control.DescribeDatasetExportJob(&personalize.DescribeDatasetExportJobInput{DatasetExportJobArn: job}))(t).DatasetExportJob
			return j.Status, j.FailureReason
		})
		return get("exported/" + name + "/part-00000.csv")
	}
	if csv := export("before"); strings.Count(csv, "\nada,") != 5 || strings.Count(csv, "\n") < 1000 {
		t.Errorf("exported %d rows, %d of ada", strings.Count(csv, "\n")-1, strings.Count(csv, "\nada,"))
	}

	put("forget.csv", "USER_ID\nada\n")
	deletion := must(control.CreateDataDeletionJob(&personalize.CreateDataDeletionJobInput{
		JobName: aws.String("story"), DatasetGroupArn: groupARN, RoleArn: role,
		DataSource: &personalize.DataSource{DataLocation: aws.String("s3://story/forget.csv")},
	}))(t).DataDeletionJobArn
	describe := func() *personalize.DataDeletionJob {
		return must(control.DescribeDataDeletionJob(&personalize.DescribeDataDeletionJobInput{DataDeletionJobArn: deletion}))(t).DataDeletionJob
	}
	ends("COMPLETED", func() (status, reason *string) { j := describe(); return j.Status, j.FailureReason })
	if n := aws.Int64Value(describe().NumDeleted); n != 5 {
		t.Errorf("%d records deleted, not 5", n)
	}
	if csv := export("after"); strings.Contains(csv, "\nada,") || strings.Count(csv, "\n") < 1000 {
		t.Errorf("exported %d rows, %d of ada", strings.Count(csv, "\n")-1, strings.Count(csv, "\nada,"))
	}
	_, err := lookUp("homepage", "ada")
	refusedWith(t, "ResourceNotFoundException", err) // she was deleted
	if got := must(lookUp("homepage", "nobody-knows-me"))(t); !slices.Equal(got, lists[1]) {
		t.Errorf("a deletion changed another user's result to %v", got)
	}
	first := func(user string) string {
		return fmt.Sprint(must(runtime.GetRecommendations(&personalizeruntime.GetRecommendationsInput{CampaignArn: campaignARN, UserId: &user}))(t).ItemList)
	}
	if first("ada") != first("nobody-knows-me") {
		t.Error("a deleted user is recommended something of her own")
	}
}

// refusedWith fails the test unless an error is a refusal with a code.
func refusedWith(t *testing.T, code string, err error) {
	t.Helper()
	var refusal *awsapi.Error
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}
