package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/personalize"
	"github.com/aws/aws-sdk-go/service/personalizeevents"
	"github.com/aws/aws-sdk-go/service/personalizeruntime"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/penchant/demo"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestStoryInOneProcess and TestStoryInSixProcesses tell one story, from an empty catalog to lists that move, through
// the AWS SDK for Go: what `penchant all` does, the six targets do as processes of their own.

func TestStoryInOneProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	all := penchanttest.Start(t, "all", t.TempDir(), "PENCHANT_ARCHIVE_FLUSH_INTERVAL=1s")
	tellStory(t, stack{
		control: sdk(t, all), events: sdk(t, all), runtime: sdk(t, all), bucket: all.Bucket,
	})
	all.Terminate()
}

func TestStoryInSixProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	const anyPort = "127.0.0.1:0"
	servers := startServers(t, embedded.Config{KafkaAddr: anyPort, RedisAddr: anyPort})
	objects := startServers(t, embedded.Config{S3Addr: anyPort,
		AccessKeys: []awsapi.Credential{{AccessKeyID: "store", SecretKey: "store-secret"}}})
	settings := []string{
		"PENCHANT_KAFKA_BROKERS=" + servers.KafkaAddr(), "PENCHANT_REDIS_URL=redis://" + servers.RedisAddr(),
		"PENCHANT_S3_ENDPOINT=" + objects.S3Endpoint(), "PENCHANT_S3_ACCESS_KEY=store",
		"PENCHANT_S3_SECRET_KEY=store-secret",
		"PENCHANT_TOPIC_PARTITIONS=3", "PENCHANT_TOPIC_REPLICATION_FACTOR=1", "PENCHANT_TOPIC_MIN_INSYNC_REPLICAS=1",
		"PENCHANT_ARCHIVE_FLUSH_INTERVAL=1s",
	}
	processes := map[string]*penchanttest.Process{}
	for _, target := range []string{"tracker", "session-updater", "firehose", "retrainer", "recommender", "control"} {
		processes[target] = penchanttest.Start(t, target, t.TempDir(), settings...)
	}
	campaign := tellStory(t, stack{
		control: sdk(t, processes["control"]), events: sdk(t, processes["tracker"]),
		runtime: sdk(t, processes["recommender"]),
		bucket: func(name string) *blob.Bucket {
			store, err := blob.Open(blob.Config{Endpoint: objects.S3Endpoint(), AccessKey: "store",
				SecretKey: "store-secret", Region: "us-east-1"})
			if err != nil {
				t.Fatal(err)
			}
			if err := store.EnsureBucket(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			return store.Bucket(name)
		},
	})
	for _, process := range processes {
		process.Terminate()
	}

	// The bucket goes away, and a recommender starts all the same: it serves what it served last.
	if err := objects.Close(); err != nil {
		t.Error(err)
	}
	restarted := penchanttest.Start(t, "recommender", processes["recommender"].DataDir, settings...)
	answer := must(personalizeruntime.New(sdk(t,
		restarted)).GetRecommendations(&personalizeruntime.GetRecommendationsInput{
		CampaignArn: campaign, UserId: aws.String("ada"),
	}))(t)
	if len(answer.ItemList) != 25 {
		t.Errorf("while the bucket is away ada gets %d items, not 25", len(answer.ItemList))
	}
}

// startServers starts servers that are outside ones to the processes of the test.
func startServers(t *testing.T, cfg embedded.Config) *embedded.Servers {
	t.Helper()
	cfg.DataDir, cfg.Region, cfg.Log, cfg.SnapshotFirst = t.TempDir(), "us-east-1", zap.NewNop(),
		userstate.IsWatermarkKey
	servers, err := embedded.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = servers.Close() })
	return servers
}

// stack is where a story's calls go.
type stack struct {
	control, events, runtime *session.Session
	bucket                   func(name string) *blob.Bucket
	now                      time.Time // when the story happens; zero: now
}

func sdk(t *testing.T, process *penchanttest.Process) *session.Session {
	t.Helper()
	return sdkAt(t, process.Endpoints["http"], "penchant", penchanttest.Credential.SecretKey)
}

func sdkAt(t *testing.T, endpoint, accessKey, secretKey string) *session.Session {
	t.Helper()
	s, err := session.NewSession(&aws.Config{
		Endpoint: &endpoint, Region: aws.String("us-east-1"), MaxRetries: aws.Int(0),
		Credentials: credentials.NewStaticCredentials(accessKey, secretKey, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tellStory returns the campaign that recommends for users.
func tellStory(t *testing.T, s stack) (campaignARN *string) {
	now := s.now
	if now.IsZero() {
		now = time.Now()
	}
	shop := demo.NewShop(3, now)
	control, events, runtime := personalize.New(s.control), personalizeevents.New(s.events),
		personalizeruntime.New(s.runtime)
	ctx := t.Context()

	if _, err := s.bucket("story").Put(ctx, "clicks.csv", []byte(shop.InteractionsCSV()),
		blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	store := catalog.NewStore(s.bucket("penchant"), nil)
	group := must(control.CreateDatasetGroup(&personalize.CreateDatasetGroupInput{Name: aws.String("story")}))(t).DatasetGroupArn
	groupKey := penchanttest.WaitActive[*catalog.DatasetGroup](t, store, *group).GroupKey()
	schemaARN := must(control.CreateSchema(&personalize.CreateSchemaInput{Name: aws.String("story"),
		Schema: aws.String(demo.InteractionsSchema)}))(t).SchemaArn
	dataset := must(control.CreateDataset(&personalize.CreateDatasetInput{
		Name: aws.String("story"), DatasetGroupArn: group, DatasetType: aws.String("Interactions"),
		SchemaArn: schemaARN,
	}))(t).DatasetArn
	penchanttest.WaitActive[*catalog.Dataset](t, store, *dataset)
	job := must(control.CreateDatasetImportJob(&personalize.CreateDatasetImportJobInput{
		JobName: aws.String("story"), DatasetArn: dataset, RoleArn: aws.String(roleARN),
		DataSource: &personalize.DataSource{DataLocation: aws.String("s3://story/clicks.csv")},
	}))(t).DatasetImportJobArn
	penchanttest.WaitActive[*catalog.DatasetImportJob](t, store, *job)
	tracker := must(control.CreateEventTracker(&personalize.CreateEventTrackerInput{Name: aws.String("story"),
		DatasetGroupArn: group}))(t)
	penchanttest.WaitActive[*catalog.EventTracker](t, store, *tracker.EventTrackerArn)

	campaigns := map[string]*string{}
	for _, recipe := range []string{"aws-user-personalization", "aws-personalized-ranking", "aws-sims",
		"aws-popularity-count"} {
		solution := must(control.CreateSolution(&personalize.CreateSolutionInput{
			Name: aws.String(recipe), DatasetGroupArn: group,
			RecipeArn: aws.String("arn:aws:personalize:::recipe/" + recipe), PerformAutoTraining: aws.Bool(false),
		}))(t).SolutionArn
		penchanttest.WaitActive[*catalog.Solution](t, store, *solution)
		version := must(control.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: solution}))(t).SolutionVersionArn
		penchanttest.WaitActive[*catalog.SolutionVersion](t, store, *version)
		input := &personalize.CreateCampaignInput{Name: aws.String(recipe), SolutionVersionArn: version,
			MinProvisionedTPS: aws.Int64(1)}
		if recipe == "aws-user-personalization" { // lists are compared
			input.CampaignConfig = &personalize.CampaignConfig{ItemExplorationConfig: map[string]*string{"explorationWeight": aws.String("0")}}
		}
		campaigns[recipe] = must(control.CreateCampaign(input))(t).CampaignArn
		penchanttest.WaitActive[*catalog.Campaign](t, store, *campaigns[recipe])
	}

	recommended := func(user string) []string {
		t.Helper()
		answer := must(runtime.GetRecommendations(&personalizeruntime.GetRecommendationsInput{
			CampaignArn: campaigns["aws-user-personalization"], UserId: &user, NumResults: aws.Int64(10),
		}))(t)
		items := make([]string, len(answer.ItemList))
		for i, item := range answer.ItemList {
			items[i] = *item.ItemId
		}
		return items
	}
	popular := recommended("nobody-knows-me")
	if len(popular) != 10 {
		t.Errorf("a cold user gets %d items, not 10", len(popular))
	}

	// A new visitor looks at synthesizers, and her list follows within a second; a second visitor's does not.
	department := "Synths"
	sent := map[string]bool{}
	for n, item := range shop.Department(department)[:5] {
		id := fmt.Sprintf("story-%d", n)
		sent[id] = true
		must(events.PutEvents(&personalizeevents.PutEventsInput{
			TrackingId: tracker.TrackingId, UserId: aws.String("ada"), SessionId: aws.String("ada-1"),
			EventList: []*personalizeevents.Event{{EventId: &id, EventType: aws.String("view"), ItemId: &item.ID,
				SentAt: aws.Time(now.Add(time.Duration(n) * time.Second))}},
		}))(t)
	}
	eventually.Succeeds(t, "five events fill the first ten with their department", func() error {
		n := 0
		for _, id := range recommended("ada") {
			if shop.Item(id).Department == department {
				n++
			}
		}
		if n < 5 {
			return fmt.Errorf("%d of 10 are of it", n)
		}
		return nil
	})
	if again := recommended("nobody-knows-me"); !slices.Equal(again, popular) {
		t.Errorf("another visitor's list moved too: %v, then %v", popular, again)
	}

	input := aws.StringSlice([]string{"no-such-item", shop.Department("Coffee")[0].ID,
		shop.Department(department)[7].ID})
	ranking := must(runtime.GetPersonalizedRanking(&personalizeruntime.GetPersonalizedRankingInput{
		CampaignArn: campaigns["aws-personalized-ranking"], UserId: aws.String("ada"), InputList: input,
	}))(t).PersonalizedRanking
	if len(ranking) != 3 || *ranking[0].ItemId != *input[2] || *ranking[2].ItemId != "no-such-item" ||
		ranking[2].Score != nil {
		t.Errorf("ranking: %v", ranking)
	}
	related := must(runtime.GetRecommendations(&personalizeruntime.GetRecommendationsInput{
		CampaignArn: campaigns["aws-sims"], ItemId: input[1], NumResults: aws.Int64(5),
	}))(t).ItemList
	if len(related) != 5 || related[0].Score != nil ||
		slices.ContainsFunc(related, func(p *personalizeruntime.PredictedItem) bool { return *p.ItemId == *input[1] }) {
		t.Errorf("related items: %v", related)
	}

	_, err := runtime.GetRecommendations(&personalizeruntime.GetRecommendationsInput{CampaignArn: aws.String(*campaigns["aws-sims"] + "x"), ItemId: input[1]})
	if failure := (awserr.RequestFailure)(nil); !errors.As(err, &failure) ||
		failure.Code() != "ResourceNotFoundException" || failure.StatusCode() != 404 {
		t.Errorf("an absent campaign: %v", err)
	}

	eventually.Succeeds(t, "the archive holds the events once", func() error {
		found := map[string]int{}
		for interaction, err := range archive.ReadInteractions(ctx, s.bucket("penchant"), groupKey, schema.Interactions,
			archive.ReadOptions{}) {
			if err != nil {
				return err
			}
			found[interaction.EventID]++
		}
		for id := range sent {
			if found[id] != 1 {
				return fmt.Errorf("event %s stands there %d times", id, found[id])
			}
		}
		return nil
	})
	tellJobs(t, s, group, dataset, campaigns["aws-user-personalization"])
	return campaigns["aws-user-personalization"]
}

// must turns a call's two results into one and fails the test on an error: must(f())(t).
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
