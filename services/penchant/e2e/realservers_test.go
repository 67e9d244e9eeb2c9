package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"
	"github.com/aws/aws-sdk-go/service/personalizeruntime"
	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestRealServersAnswerAlike tells the story on the embedded servers and on Kafka, Redis and an S3 store: afterwards
// every answer of the API is the same, to the last digit of each score.
func TestRealServersAnswerAlike(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	then := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

	embedded := penchanttest.Start(t, "all", t.TempDir(), "PENCHANT_ARCHIVE_FLUSH_INTERVAL=1s")
	onEmbedded := stack{
		control: sdk(t, embedded), events: sdk(t, embedded), runtime: sdk(t, embedded), bucket: embedded.Bucket,
		now: then,
	}
	tellStory(t, onEmbedded)
	want := answers(t, onEmbedded)
	embedded.Terminate()

	outside := penchanttest.Start(t, "all", t.TempDir(), servers.Settings()...)
	onReal := stack{
		control: sdk(t, outside), events: sdk(t, outside), runtime: sdk(t, outside), now: then,
		bucket: func(name string) *blob.Bucket {
			if name == "penchant" {
				name = servers.Bucket
			}
			return servers.OpenBucket(t, name)
		},
	}
	tellStory(t, onReal)
	if diff := cmp.Diff(want, answers(t, onReal)); diff != "" {
		t.Errorf("answers differ (-embedded +real):\n%s", diff)
	}
	if len(want) < 100 {
		t.Errorf("only %d answers were compared", len(want))
	}
	outside.Terminate()
}

// answers asks for all there is after the story, and returns the answers by what was asked, without what is different
// each time: dates, random ids.
func answers(t *testing.T, s stack) map[string]string {
	control, runtime := personalize.New(s.control), personalizeruntime.New(s.runtime)
	all := map[string]string{}
	note := func(asked string, answer any) {
		encoded, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		all[steady(asked)] = steady(string(encoded))
	}

	groups := must(control.ListDatasetGroups(&personalize.ListDatasetGroupsInput{}))(t)
	note("ListDatasetGroups", groups)
	for _, group := range groups.DatasetGroups {
		note("DescribeDatasetGroup", must(control.DescribeDatasetGroup(&personalize.DescribeDatasetGroupInput{DatasetGroupArn: group.DatasetGroupArn}))(t))
	}
	schemas := must(control.ListSchemas(&personalize.ListSchemasInput{}))(t)
	note("ListSchemas", schemas)
	for _, schema := range schemas.Schemas {
		note("DescribeSchema", must(control.DescribeSchema(&personalize.DescribeSchemaInput{SchemaArn: schema.SchemaArn}))(t))
	}
	datasets := must(control.ListDatasets(&personalize.ListDatasetsInput{}))(t)
	note("ListDatasets", datasets)
	for _, dataset := range datasets.Datasets {
		note("DescribeDataset", must(control.DescribeDataset(&personalize.DescribeDatasetInput{DatasetArn: dataset.DatasetArn}))(t))
	}
	jobs := must(control.ListDatasetImportJobs(&personalize.ListDatasetImportJobsInput{}))(t)
	note("ListDatasetImportJobs", jobs)
	for _, job := range jobs.DatasetImportJobs {
		note("DescribeDatasetImportJob",
			must(control.DescribeDatasetImportJob(&personalize.DescribeDatasetImportJobInput{DatasetImportJobArn: job.DatasetImportJobArn}))(t))
	}
	note("ListEventTrackers", must(control.ListEventTrackers(&personalize.ListEventTrackersInput{}))(t))
	solutions := must(control.ListSolutions(&personalize.ListSolutionsInput{}))(t)
	note("ListSolutions", solutions)
	for _, solution := range solutions.Solutions {
		note("DescribeSolution "+*solution.Name,
			must(control.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: solution.SolutionArn}))(t))
		versions := must(control.ListSolutionVersions(&personalize.ListSolutionVersionsInput{SolutionArn: solution.SolutionArn}))(t)
		for n, version := range versions.SolutionVersions {
			asked := fmt.Sprint(*solution.Name, " ", n)
			described := must(control.DescribeSolutionVersion(&personalize.DescribeSolutionVersionInput{SolutionVersionArn: version.SolutionVersionArn}))(t)
			described.SolutionVersion.TrainingHours = nil // the machine's
			note("DescribeSolutionVersion "+asked, described)
			note("GetSolutionMetrics "+asked,
				must(control.GetSolutionMetrics(&personalize.GetSolutionMetricsInput{SolutionVersionArn: version.SolutionVersionArn}))(t))
		}
	}
	campaigns := must(control.ListCampaigns(&personalize.ListCampaignsInput{}))(t)
	note("ListCampaigns", campaigns)
	items := aws.StringSlice([]string{"syn-01", "syn-05", "cof-02", "kit-03", "no-such-item"})
	for _, campaign := range campaigns.Campaigns {
		note("DescribeCampaign "+*campaign.Name,
			must(control.DescribeCampaign(&personalize.DescribeCampaignInput{CampaignArn: campaign.CampaignArn}))(t))
		for n := range 25 {
			user := aws.String(fmt.Sprint("visitor-", n))
			if n == 0 {
				user = aws.String("ada")
			}
			switch *campaign.Name {
			case "aws-personalized-ranking":
				note("GetPersonalizedRanking "+*user,
					must(runtime.GetPersonalizedRanking(&personalizeruntime.GetPersonalizedRankingInput{
						CampaignArn: campaign.CampaignArn, UserId: user, InputList: items,
					}))(t))
			case "aws-sims":
				item := aws.String(fmt.Sprintf("syn-%02d", n+1))
				note("GetRecommendations "+*item,
					must(runtime.GetRecommendations(&personalizeruntime.GetRecommendationsInput{
						CampaignArn: campaign.CampaignArn, ItemId: item,
					}))(t))
			default:
				note("GetRecommendations "+*campaign.Name+" "+*user,
					must(runtime.GetRecommendations(&personalizeruntime.GetRecommendationsInput{
						CampaignArn: campaign.CampaignArn, UserId: user, NumResults: aws.Int64(50),
					}))(t))
			}
		}
	}
	return all
}

var (
	dates     = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
	uuids     = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	shortIDs  = regexp.MustCompile(`/[0-9a-f]{8}"`)
	recommend = regexp.MustCompile(`RID-[^"]*`)
)

func steady(s string) string {
	s = dates.ReplaceAllString(s, "DATE")
	s = uuids.ReplaceAllString(s, "UUID")
	s = shortIDs.ReplaceAllString(s, `/ID"`)
	s = recommend.ReplaceAllString(s, "RID")
	return strings.TrimSpace(s)
}
