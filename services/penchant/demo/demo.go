// Package demo shows the product on generated data: import, train, a live visitor, a list that changes. Everything it
// does to Penchant it does through the API, as a user's program would; only the progress of jobs is read from the
// catalog. Its caller is `penchant demo`; the end-to-end tests use its shop.
package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// Process is a running `penchant all`.
type Process interface {
	// WaitReady returns when every service is ready.
	WaitReady(ctx context.Context) error
	// Endpoint returns the URL of the API.
	Endpoint() string
	// S3 returns the address and the keys of the store that imports read.
	S3() blob.Config
	// View returns the catalog, in which the progress of jobs is read. It is nil before WaitReady returns.
	View() *catalog.View
}

// Demo tells the story of a shop on a process.
type Demo struct {
	process Process
	shop    *Shop
	api     *awsapi.Client
	out     io.Writer

	trackingID, campaignARN string
}

// New returns a demo that calls the API with api and writes to out.
func New(process Process, shop *Shop, api *awsapi.Client, out io.Writer) *Demo {
	return &Demo{process: process, shop: shop, api: api, out: out}
}

const (
	demoBucket  = "demo-shop"
	demoRoleARN = "arn:aws:iam::000000000000:role/unused-here"
	demoVisitor = "ada"
	demoList    = 8
)

func (d *Demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, format+"\n", args...) // a terminal that went away ends the demo by itself
}

// Tell tells the story. It returns when the list has changed twice.
func (d *Demo) Tell(ctx context.Context, started time.Time) error {
	d.say("Penchant demo: a generated shop, %d items in %d departments, %d visitors, %d clicks.\n",
		len(d.shop.items), departmentsInTheLot, shopVisitors, len(d.shop.clicks))
	if err := d.process.WaitReady(ctx); err != nil {
		return err
	}
	d.say("1  Kafka, Redis, S3 and six services are up after %s: %s", rounded(time.Since(started)),
		d.process.Endpoint())

	group, err := d.importShop(ctx)
	if err != nil {
		return err
	}
	if err := d.train(ctx, group); err != nil {
		return err
	}

	d.say("\n4  Ada opens the shop. Nobody knows her yet, so she sees what is popular:\n")
	before, err := d.recommend(ctx)
	if err != nil {
		return err
	}
	d.list(before, nil)

	d.say("\n5  She looks at three things (PutEvents), and asks again:\n")
	after, err := d.browse(ctx, "Synths", before)
	if err != nil {
		return err
	}
	d.say("\n6  Then at four others:\n")
	if _, err := d.browse(ctx, "Climbing", after); err != nil {
		return err
	}
	d.say("\nNo training ran in between: each event was folded into her vector in Redis. %s in all.",
		rounded(time.Since(started)))
	return nil
}

// importShop uploads the CSV files and imports them, the way a user of Personalize does.
func (d *Demo) importShop(ctx context.Context) (groupARN string, err error) {
	store, err := blob.Open(d.process.S3())
	if err != nil {
		return "", err
	}
	defer store.Close()
	if err := store.EnsureBucket(ctx, demoBucket); err != nil {
		return "", err
	}
	var group personalize.CreateDatasetGroupResponse
	if err := d.api.Call(ctx, "CreateDatasetGroup", &personalize.CreateDatasetGroupRequest{Name: new("shop")},
		&group); err != nil {
		return "", err
	}
	if err := await[*catalog.DatasetGroup](ctx, d, "", *group.DatasetGroupArn); err != nil {
		return "", err
	}
	for _, data := range []shopData{
		{"Items", ItemsSchema, d.shop.ItemsCSV()},
		{"Interactions", InteractionsSchema, d.shop.InteractionsCSV()},
	} {
		if err := d.importDataset(ctx, store, *group.DatasetGroupArn, data); err != nil {
			return "", err
		}
	}
	var tracker personalize.CreateEventTrackerResponse
	if err := d.api.Call(ctx, "CreateEventTracker", &personalize.CreateEventTrackerRequest{
		Name: new("shop"), DatasetGroupArn: group.DatasetGroupArn,
	}, &tracker); err != nil {
		return "", err
	}
	d.trackingID = *tracker.TrackingId
	return *group.DatasetGroupArn, nil
}

// shopData is the content of a dataset.
type shopData struct{ kind, schema, csv string }

func (d *Demo) importDataset(ctx context.Context, store *blob.Client, groupARN string, data shopData) error {
	name := strings.ToLower(data.kind)
	key := name + ".csv"
	if _, err := store.Bucket(demoBucket).Put(ctx, key, []byte(data.csv), blob.PutOptions{}); err != nil {
		return err
	}
	var created personalize.CreateSchemaResponse
	if err := d.api.Call(ctx, "CreateSchema",
		&personalize.CreateSchemaRequest{Name: new("shop-" + name), Schema: &data.schema},
		&created); err != nil {
		return err
	}
	var dataset personalize.CreateDatasetResponse
	if err := d.api.Call(ctx, "CreateDataset", &personalize.CreateDatasetRequest{
		Name: new("shop-" + name), DatasetGroupArn: &groupARN, DatasetType: &data.kind,
		SchemaArn: created.SchemaArn,
	}, &dataset); err != nil {
		return err
	}
	if err := await[*catalog.Dataset](ctx, d, "", *dataset.DatasetArn); err != nil {
		return err
	}
	var job personalize.CreateDatasetImportJobResponse
	if err := d.api.Call(ctx, "CreateDatasetImportJob", &personalize.CreateDatasetImportJobRequest{
		JobName: new("shop-" + name), DatasetArn: dataset.DatasetArn, RoleArn: new(demoRoleARN),
		DataSource: &personalize.DataSource{DataLocation: new("s3://" + demoBucket + "/" + key)},
	}, &job); err != nil {
		return err
	}
	return await[*catalog.DatasetImportJob](ctx, d, "2  Importing "+name, *job.DatasetImportJobArn)
}

// train makes solution, version and campaign, and compares the model with popularity.
func (d *Demo) train(ctx context.Context, groupARN string) error {
	var versions []string
	for _, recipe := range []string{"aws-popularity-count", "aws-user-personalization"} {
		var solution personalize.CreateSolutionResponse
		if err := d.api.Call(ctx, "CreateSolution", &personalize.CreateSolutionRequest{
			Name: new(recipe), DatasetGroupArn: &groupARN, RecipeArn: new("arn:aws:personalize:::recipe/" + recipe),
			PerformAutoTraining: new(false),
		}, &solution); err != nil {
			return err
		}
		if err := await[*catalog.Solution](ctx, d, "", *solution.SolutionArn); err != nil {
			return err
		}
		var version personalize.CreateSolutionVersionResponse
		if err := d.api.Call(ctx, "CreateSolutionVersion",
			&personalize.CreateSolutionVersionRequest{SolutionArn: solution.SolutionArn}, &version); err != nil {
			return err
		}
		if err := await[*catalog.SolutionVersion](ctx, d, "3  Training "+recipe, *version.SolutionVersionArn); err != nil {
			return err
		}
		versions = append(versions, *version.SolutionVersionArn)
	}
	quality := make([]float64, len(versions))
	for i := range versions {
		var metrics personalize.GetSolutionMetricsResponse
		if err := d.api.Call(ctx, "GetSolutionMetrics",
			&personalize.GetSolutionMetricsRequest{SolutionVersionArn: &versions[i]}, &metrics); err != nil {
			return err
		}
		quality[i] = metrics.Metrics["normalized_discounted_cumulative_gain_at_25"]
	}
	d.say("   On held-back visitors the model is %.1f times as good as popularity (NDCG@25 %.3f and %.3f).",
		quality[1]/max(quality[0], 1e-4), quality[1], quality[0])
	var campaign personalize.CreateCampaignResponse
	if err := d.api.Call(ctx, "CreateCampaign", &personalize.CreateCampaignRequest{
		Name: new("shop"), SolutionVersionArn: &versions[1], MinProvisionedTPS: new(int64(1)),
		CampaignConfig: &personalize.CampaignConfig{ItemExplorationConfig: map[string]string{"explorationWeight": "0"}},
	}, &campaign); err != nil {
		return err
	}
	d.campaignARN = *campaign.CampaignArn
	return await[*catalog.Campaign](ctx, d, "", d.campaignARN)
}

func (d *Demo) recommend(ctx context.Context) ([]Item, error) {
	var answer personalizeruntime.GetRecommendationsResponse
	if err := d.api.Post(ctx, "/recommendations", &personalizeruntime.GetRecommendationsRequest{
		CampaignArn: &d.campaignARN, UserId: new(demoVisitor), NumResults: new(int64(demoList)),
	}, &answer); err != nil {
		return nil, err
	}
	items := make([]Item, len(answer.ItemList))
	for i, item := range answer.ItemList {
		items[i] = d.shop.byID[*item.ItemId]
	}
	return items, nil
}

// browse sends views of a department's items and shows how the visitor's list answers.
func (d *Demo) browse(ctx context.Context, department string, before []Item) ([]Item, error) {
	views := 3
	if department == "Climbing" {
		views = 4
	}
	items := d.shop.Department(department)
	sent := time.Now()
	for v := range views {
		item := items[(v*11+3)%len(items)]
		d.say("      %s views %s (%s)", "Ada", item.Title, item.Department)
		if err := d.api.Post(ctx, "/events", &personalizeevents.PutEventsRequest{
			TrackingId: &d.trackingID, UserId: new(demoVisitor), SessionId: new("ada-session-1"),
			EventList: []personalizeevents.Event{{EventType: new("view"), ItemId: &item.ID,
				SentAt: awsapi.At(time.Now())}},
		}, nil); err != nil {
			return nil, err
		}
	}
	acknowledged := time.Now()
	for {
		after, err := d.recommend(ctx)
		if err != nil {
			return nil, err
		}
		if count(after, department) > count(before, department) || time.Since(acknowledged) > 5*time.Second {
			d.say("\n   %d events took %s; %s after the last one her list is:\n", views,
				rounded(acknowledged.Sub(sent)), rounded(time.Since(acknowledged)))
			d.list(after, before)
			return after, nil
		}
		if err := backoff.Sleep(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func count(items []Item, department string) int {
	n := 0
	for _, item := range items {
		if item.Department == department {
			n++
		}
	}
	return n
}

// list prints a list; items that an earlier list did not hold are marked.
func (d *Demo) list(items, earlier []Item) {
	known := map[string]bool{}
	for _, item := range earlier {
		known[item.ID] = true
	}
	for i, item := range items {
		mark := " "
		if earlier != nil && !known[item.ID] {
			mark = "+"
		}
		d.say("   %s %2d  %-28s %s", mark, i+1, item.Title, item.Department)
	}
}

// Invite prints how to use the process from here on. Its data folder is removed at the end.
func (d *Demo) Invite(dataDir string) {
	d.say(`
Penchant goes on serving; end it with Ctrl-C. Point an AWS SDK at it:

  export AWS_ENDPOINT_URL_PERSONALIZE=%[1]s AWS_ENDPOINT_URL_PERSONALIZE_EVENTS=%[1]s
  export AWS_ENDPOINT_URL_PERSONALIZE_RUNTIME=%[1]s AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=penchant AWS_SECRET_ACCESS_KEY=penchant-secret
  aws personalize-runtime get-recommendations --user-id %[2]s --campaign-arn %[3]s

Metrics: %[1]s/metrics    Health: %[1]s/healthz/ready    Data (removed at the end): %[4]s`,
		d.process.Endpoint(), demoVisitor, d.campaignARN, dataDir)
}

// await waits until a resource is ACTIVE, under a progress bar where a title is given.
func await[R catalog.Resource](ctx context.Context, d *Demo, title, arn string) error {
	started := time.Now()
	bar := newProgressBar(d.out, title)
	defer bar.done()
	for {
		if resource, found := catalog.Lookup[R](d.process.View(), arn); found {
			switch meta := resource.Meta(); meta.Status {
			case status.Active:
				bar.done()
				if title != "" {
					d.say("%s: %s", title, rounded(time.Since(started)))
				}
				return nil
			case status.CreateFailed:
				return fmt.Errorf("%s: %s", meta.ARN, meta.FailureReason)
			default:
				bar.set(meta.Progress)
			}
		}
		if err := backoff.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// progressBar is a progress bar on a terminal, and nothing elsewhere, where one line gives the time of the step.
type progressBar struct{ bar *progressbar.ProgressBar }

const meterSteps = 1000

func newProgressBar(out io.Writer, title string) *progressBar {
	file, isFile := out.(*os.File)
	if title == "" || !isFile || !isatty.IsTerminal(file.Fd()) {
		return &progressBar{}
	}
	return &progressBar{progressbar.NewOptions(meterSteps, progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription(title),
		progressbar.OptionSetWidth(40), progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(true))}
}

func (b *progressBar) set(fraction float64) {
	if b.bar != nil {
		_ = b.bar.Set(int(fraction * meterSteps)) // a terminal that can't be drawn on is no reason to stop
	}
}

func (b *progressBar) done() {
	if b.bar != nil {
		_ = b.bar.Finish()
		b.bar = nil
	}
}

func rounded(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(time.Second)
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
