package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"
	"github.com/aws/aws-sdk-go/service/personalizeruntime"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// tellJobs goes on where the story of ada ends: she put five events after the campaign's model was trained.
func tellJobs(t *testing.T, s stack, groupARN, datasetARN, campaignARN *string) {
	t.Helper()
	control, runtime, bucket := personalize.New(s.control), personalizeruntime.New(s.runtime), s.bucket("story")
	role := aws.String(demoRoleARN)
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
		penchanttest.Eventually(t, time.Minute, "a job is "+want, func() error {
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
		JobName: aws.String("story"), SolutionVersionArn: campaign.SolutionVersionArn, RoleArn: role, NumResults: aws.Int64(10),
		JobInput:  &personalize.BatchInferenceJobInput{S3DataSource: at("batch/users.json")},
		JobOutput: &personalize.BatchInferenceJobOutput{S3DataDestination: at("recommended/")},
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
		JobName: aws.String("story"), DatasetGroupArn: groupARN, RoleArn: role, DataSource: &personalize.DataSource{DataLocation: aws.String("s3://story/forget.csv")},
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
	first := func(user string) string {
		return fmt.Sprint(must(runtime.GetRecommendations(&personalizeruntime.GetRecommendationsInput{CampaignArn: campaignARN, UserId: &user}))(t).ItemList)
	}
	if first("ada") != first("nobody-knows-me") {
		t.Error("a deleted user is recommended something of her own")
	}
}
