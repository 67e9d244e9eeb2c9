package control

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/personalize"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The S3 server's cleaner of idle workers looks for its end only every ten seconds, and its clock never ends.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// installation is a control plane behind a real HTTP server, called as users call it.
type installation struct {
	*personalize.Personalize
	t       *testing.T
	client  *awsapi.Client // for what the SDK does not know or does not let through
	service *Service
	store   *catalog.Store
	bus     *bus.Client
	bucket  *blob.Bucket
	s3      blob.Config // where the bucket is
}

var testKey = awsapi.Credential{AccessKeyID: "id", SecretKey: "secret"}

func install(t *testing.T, quotas crud.Quotas) *installation {
	t.Helper()
	return installWith(t, Config{Options: Options{Quotas: quotas}})
}

// installWith takes from a Config what is no part of the installation itself.
func installWith(t *testing.T, cfg Config) *installation {
	t.Helper()
	servers := embeddedtest.Servers(t)
	log := zaptest.NewLogger(t)
	client := must(bus.Open(t.Context(), bus.Config{
		Brokers: servers.KafkaBrokers, Topics: bus.TopicDefaults{Partitions: 2, ReplicationFactor: 1, MinInSyncReplicas: 1},
	}))(t)
	t.Cleanup(client.Close)
	must(0, client.EnsureTopics(t.Context(), bus.TopicSpec{Name: bus.JobsTopic}, bus.TopicSpec{Name: bus.ControlTopic, Compacted: true}))(t)
	objects := must(blob.Open(servers.S3))(t)
	t.Cleanup(objects.Close)
	bucket := objects.Bucket(servers.Bucket)
	store := catalog.NewStore(bucket, catalog.BusNotifier(client), catalog.WithLog(log))
	view := catalog.NewView(store, nil, log)
	registry := prometheus.NewRegistry()
	cfg.Bus, cfg.Bucket, cfg.Store, cfg.View, cfg.AccountID, cfg.Region = client, bucket, store, view, "000000000000", "us-east-1"
	cfg.Log, cfg.Registerer = log, registry
	service := must(New(cfg))(t)
	run(t, view.Run, service.Run)
	must(0, view.WaitReady(t.Context()))(t)

	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{testKey}, Log: log, Registerer: registry})
	service.Register(router)
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	config := aws.NewConfig().WithEndpoint(server.URL).WithRegion("us-east-1").WithHTTPClient(server.Client()).WithMaxRetries(0).
		WithCredentials(credentials.NewStaticCredentials(testKey.AccessKeyID, testKey.SecretKey, ""))
	raw := awsapi.NewClient(server.URL, testKey, "us-east-1")
	t.Cleanup(raw.Close)
	sdk := personalize.New(must(session.NewSession(config))(t))
	return &installation{Personalize: sdk, t: t, client: raw, service: service, store: store, bus: client, bucket: bucket, s3: servers.S3}
}

// run runs functions until the test ends.
func run(t *testing.T, functions ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, f := range functions {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// refused checks an exception's name, and that its message holds a text.
func refused(t testing.TB, err error, code, message string) {
	t.Helper()
	var refusal awserr.Error
	if !errors.As(err, &refusal) || refusal.Code() != code || !strings.Contains(refusal.Message(), message) {
		t.Errorf("got %v, want %s with %q", err, code, message)
	}
}

// refusedRaw is refused for a call without the SDK.
func refusedRaw(t testing.TB, err error, code, message string) {
	t.Helper()
	var refusal *awsapi.Error
	if !errors.As(err, &refusal) || refusal.Code != code || !strings.Contains(refusal.Message, message) {
		t.Errorf("got %v, want %s with %q", err, code, message)
	}
}

// reaches polls as clients do, until describe gives the status.
func reaches(t testing.TB, status string, describe func() (string, error)) {
	t.Helper()
	eventually.Succeeds(t, "the status is "+status, func() error {
		got, err := describe()
		if err != nil {
			t.Fatal(err)
		}
		if got != status {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// disappears polls until describe says that there is no such resource.
func disappears(t testing.TB, describe func() error) {
	t.Helper()
	eventually.Succeeds(t, "the resource is gone", func() error {
		err := describe()
		if err == nil {
			return errors.New("it is still there")
		}
		var refusal awserr.Error
		if errors.As(err, &refusal) && refusal.Code() == "ResourceNotFoundException" {
			return nil
		}
		return fmt.Errorf("describing it gives %w", err)
	})
}

const interactionsSchema = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
	{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"EVENT_TYPE","type":"string"},
	{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`

// group creates a dataset group and waits for it.
func (i *installation) group(name string) string {
	i.t.Helper()
	arn := *must(i.CreateDatasetGroup(&personalize.CreateDatasetGroupInput{Name: &name}))(i.t).DatasetGroupArn
	i.activeGroup(arn)
	return arn
}

func (i *installation) activeGroup(arn string) {
	i.t.Helper()
	reaches(i.t, "ACTIVE", func() (string, error) {
		out, err := i.DescribeDatasetGroup(&personalize.DescribeDatasetGroupInput{DatasetGroupArn: &arn})
		if err != nil {
			return "", err
		}
		return *out.DatasetGroup.Status, nil
	})
}

// dataset creates an Interactions dataset in a group and waits for it.
func (i *installation) dataset(group, name string) string {
	i.t.Helper()
	schema := must(i.CreateSchema(&personalize.CreateSchemaInput{Name: &name, Schema: aws.String(interactionsSchema)}))(i.t).SchemaArn
	arn := *must(i.CreateDataset(&personalize.CreateDatasetInput{
		Name: &name, DatasetGroupArn: &group, DatasetType: aws.String("Interactions"), SchemaArn: schema,
	}))(i.t).DatasetArn
	reaches(i.t, "ACTIVE", func() (string, error) {
		out, err := i.DescribeDataset(&personalize.DescribeDatasetInput{DatasetArn: &arn})
		if err != nil {
			return "", err
		}
		return *out.Dataset.Status, nil
	})
	return arn
}

// solution creates a solution and waits for it.
func (i *installation) solution(group, name, recipe string) string {
	i.t.Helper()
	arn := *must(i.CreateSolution(&personalize.CreateSolutionInput{
		Name: &name, DatasetGroupArn: &group, RecipeArn: aws.String("arn:aws:personalize:::recipe/" + recipe),
	}))(i.t).SolutionArn
	reaches(i.t, "ACTIVE", func() (string, error) {
		out, err := i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: &arn})
		if err != nil {
			return "", err
		}
		return *out.Solution.Status, nil
	})
	return arn
}

// version creates a solution version and does the trainer's part of it.
func (i *installation) version(solution string) string {
	i.t.Helper()
	arn := *must(i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: &solution}))(i.t).SolutionVersionArn
	i.trained(arn)
	return arn
}

func (i *installation) trained(arn string) {
	i.t.Helper()
	must(i.store.SolutionVersions.Update(i.t.Context(), arn, func(v *catalog.SolutionVersion) error {
		v.Status, v.TrainingHours, v.Metrics = status.Active, 0.25, map[string]float64{"coverage": 0.5}
		return nil
	}))(i.t)
}

// campaign creates a campaign and waits for it.
func (i *installation) campaign(name, version string) string {
	i.t.Helper()
	arn := *must(i.CreateCampaign(&personalize.CreateCampaignInput{Name: &name, SolutionVersionArn: &version}))(i.t).CampaignArn
	reaches(i.t, "ACTIVE", func() (string, error) { return *i.describeCampaign(arn).Status, nil })
	return arn
}

func (i *installation) describeCampaign(arn string) *personalize.Campaign {
	i.t.Helper()
	return must(i.DescribeCampaign(&personalize.DescribeCampaignInput{CampaignArn: &arn}))(i.t).Campaign
}

// call calls an operation without the SDK.
func (i *installation) call(operation string, in map[string]any) {
	i.t.Helper()
	must(0, i.client.Call(i.t.Context(), operation, in, nil))(i.t)
}
