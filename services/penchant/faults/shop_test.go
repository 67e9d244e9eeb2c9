package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

const (
	roleARN    = "arn:aws:iam::000000000000:role/penchant"
	shopEvents = 2000
)

// shop is a dataset group with everything that a model is made of. Its calls go to one control plane.
type shop struct {
	testing.TB
	api     *awsapi.Client
	bucket  *blob.Bucket
	source  *blob.Bucket // the user's own
	store   *catalog.Store
	group   *catalog.DatasetGroup
	dataset string // the ARN of the Interactions dataset
}

// openShop creates a dataset group with an empty Interactions dataset.
func openShop(t testing.TB, servers penchanttest.Servers, control *penchanttest.Process, name string) *shop {
	t.Helper()
	s := &shop{TB: t, api: control.API(), bucket: servers.OpenBucket(t, ""),
		source: servers.OpenBucket(t, servers.Bucket+"-source")}
	s.store = catalog.NewStore(s.bucket, nil)
	var group personalize.CreateDatasetGroupResponse
	s.call("CreateDatasetGroup", &personalize.CreateDatasetGroupRequest{Name: &name}, &group)
	s.group = penchanttest.WaitActive[*catalog.DatasetGroup](t, s.store, *group.DatasetGroupArn)
	var schema personalize.CreateSchemaResponse
	s.call("CreateSchema", &personalize.CreateSchemaRequest{Name: &name, Schema: new(penchanttest.InteractionsSchema)},
		&schema)
	var dataset personalize.CreateDatasetResponse
	s.call("CreateDataset", &personalize.CreateDatasetRequest{
		Name: &name, DatasetGroupArn: &s.group.ARN, DatasetType: new("Interactions"), SchemaArn: schema.SchemaArn,
	}, &dataset)
	s.dataset = *dataset.DatasetArn
	penchanttest.WaitActive[*catalog.Dataset](t, s.store, s.dataset)
	return s
}

func (s *shop) call(operation string, in, out any) {
	s.Helper()
	if err := s.api.Call(s.Context(), operation, in, out); err != nil {
		s.Fatalf("%s: %v", operation, err)
	}
}

// clicks are shopEvents interactions of 100 users with 60 items, the same for a seed. Each seed has its own favourites.
func clicks(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 7))
	var b strings.Builder
	b.WriteString("USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE\n")
	for n := range shopEvents {
		item := (int(random.ExpFloat64()*9) + int(seed)*20) % 60
		fmt.Fprintf(&b, "user-%d,item-%d,%d,view\n", n%100, item, 1_700_000_000+n)
	}
	return []byte(b.String())
}

// startImport uploads clicks and creates a FULL import job.
func (s *shop) startImport(name string, seed uint64) (arn string) {
	s.Helper()
	key := name + ".csv"
	if _, err := s.source.Put(s.Context(), key, clicks(seed), blob.PutOptions{}); err != nil {
		s.Fatal(err)
	}
	var job personalize.CreateDatasetImportJobResponse
	s.call("CreateDatasetImportJob", &personalize.CreateDatasetImportJobRequest{
		JobName: &name, DatasetArn: &s.dataset, RoleArn: new(roleARN),
		DataSource: &personalize.DataSource{DataLocation: new("s3://" + s.source.Name() + "/" + key)},
	}, &job)
	return *job.DatasetImportJobArn
}

func (s *shop) importClicks(name string, seed uint64) {
	s.Helper()
	penchanttest.WaitActive[*catalog.DatasetImportJob](s, s.store, s.startImport(name, seed))
}

func (s *shop) solution(name, recipe string) (arn string) {
	s.Helper()
	var solution personalize.CreateSolutionResponse
	s.call("CreateSolution", &personalize.CreateSolutionRequest{
		Name: &name, DatasetGroupArn: &s.group.ARN, RecipeArn: new("arn:aws:personalize:::recipe/" + recipe),
		PerformAutoTraining: new(false),
	}, &solution)
	penchanttest.WaitActive[*catalog.Solution](s, s.store, *solution.SolutionArn)
	return *solution.SolutionArn
}

func (s *shop) startVersion(solution string) (arn string) {
	s.Helper()
	var version personalize.CreateSolutionVersionResponse
	s.call("CreateSolutionVersion", &personalize.CreateSolutionVersionRequest{SolutionArn: &solution}, &version)
	return *version.SolutionVersionArn
}

func (s *shop) awaitVersion(arn string) *catalog.SolutionVersion {
	s.Helper()
	return penchanttest.WaitActive[*catalog.SolutionVersion](s, s.store, arn)
}

func (s *shop) campaign(name, version string) (arn string) {
	s.Helper()
	var campaign personalize.CreateCampaignResponse
	s.call("CreateCampaign", &personalize.CreateCampaignRequest{
		Name: &name, SolutionVersionArn: &version,
		CampaignConfig: &personalize.CampaignConfig{ItemExplorationConfig: map[string]string{"explorationWeight": "0"}},
	}, &campaign)
	penchanttest.WaitActive[*catalog.Campaign](s, s.store, *campaign.CampaignArn)
	return *campaign.CampaignArn
}

// point has a campaign serve a version, and waits until control has carried that out.
func (s *shop) point(campaign, version string) {
	s.Helper()
	s.call("UpdateCampaign", &personalize.UpdateCampaignRequest{CampaignArn: &campaign, SolutionVersionArn: &version},
		nil)
	eventually.Succeeds(s, "the campaign is updated", func() error {
		c, err := s.store.Campaigns.Get(s.Context(), campaign)
		if err != nil {
			return err
		}
		if c.SolutionVersionARN != version || c.LatestUpdate.Pending() {
			return fmt.Errorf("it serves %s", c.SolutionVersionARN)
		}
		return nil
	})
}

// twoModels trains a model each on the clicks of seeds 1 and 2.
func (s *shop) twoModels(recipe string) (first, second *catalog.SolutionVersion) {
	s.Helper()
	s.importClicks("first", 1)
	solution := s.solution("taste", recipe)
	first = s.awaitVersion(s.startVersion(solution))
	s.importClicks("second", 2)
	return first, s.awaitVersion(s.startVersion(solution))
}

// track creates an event tracker.
func (s *shop) track() (trackingID string) {
	s.Helper()
	var tracker personalize.CreateEventTrackerResponse
	s.call("CreateEventTracker", &personalize.CreateEventTrackerRequest{Name: &s.group.Name,
		DatasetGroupArn: &s.group.ARN}, &tracker)
	penchanttest.WaitActive[*catalog.EventTracker](s, s.store, *tracker.EventTrackerArn)
	return *tracker.TrackingId
}

// asker asks a recommender over connections of its own and sees what the API's client does not: the fallback header.
type asker struct {
	endpoint string
	client   *http.Client
}

func newAsker(t testing.TB, recommender *penchanttest.Process) *asker {
	a := &asker{recommender.Endpoints["http"],
		&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}, Timeout: time.Minute}}
	t.Cleanup(a.client.CloseIdleConnections)
	return a
}

// recommendation is an answer: the items in their order, joined, and the reason of a fallback.
type recommendation struct {
	status         int
	items, message string
	fallback       string
	took           time.Duration
}

func (a *asker) ask(ctx context.Context, campaign, user string) (recommendation, error) {
	body, err := json.Marshal(&personalizeruntime.GetRecommendationsRequest{CampaignArn: &campaign, UserId: &user,
		NumResults: new(int64(10))})
	if err != nil {
		return recommendation{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint+"/recommendations",
		strings.NewReader(string(body)))
	if err != nil {
		return recommendation{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	awsapi.Sign(req, body, penchanttest.Credential, penchanttest.Region)
	started := time.Now()
	res, err := a.client.Do(req)
	if err != nil {
		return recommendation{}, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return recommendation{}, err
	}
	r := recommendation{status: res.StatusCode, fallback: res.Header.Get("X-Penchant-Fallback"),
		took: time.Since(started)}
	if r.status != http.StatusOK {
		r.message = string(content)
		return r, nil
	}
	var answer personalizeruntime.GetRecommendationsResponse
	if err := json.Unmarshal(content, &answer); err != nil {
		return r, err
	}
	var ids []string
	for _, item := range answer.ItemList {
		ids = append(ids, *item.ItemId)
	}
	r.items = strings.Join(ids, " ")
	return r, nil
}

// mustAsk fails the test unless the answer is 200.
func (a *asker) mustAsk(t testing.TB, campaign, user string) recommendation {
	t.Helper()
	r, err := a.ask(t.Context(), campaign, user)
	if err != nil {
		t.Fatal(err)
	}
	if r.status != http.StatusOK {
		t.Fatalf("GetRecommendations: %d %s", r.status, r.message)
	}
	return r
}

// awaitList waits until the recommender answers, with a list other than one.
func (a *asker) awaitList(t testing.TB, campaign, other string) (items string) {
	t.Helper()
	eventually.Succeeds(t, "the recommender answers from the campaign's model", func() error {
		r, err := a.ask(t.Context(), campaign, "nobody")
		if err != nil {
			return err
		}
		if r.status != http.StatusOK || r.items == other {
			return fmt.Errorf("%d %s %s", r.status, r.message, r.items)
		}
		items = r.items
		return nil
	})
	return items
}
