package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/sfn"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
	"github.com/penchant-io/penchant/services/control/workflow"
)

// retrain does at once what a retrainer would do with its jobs. ndcg is what a version of a solution is worth.
func (i *installation) retrain(ndcg func(solution string) float64) {
	run(i.t, func(ctx context.Context) error {
		for ctx.Err() == nil {
			finishPending(i, func(*catalog.DatasetImportJob) {})
			finishPending(i, func(*catalog.BatchInferenceJob) {})
			finishPending(i, func(v *catalog.SolutionVersion) {
				v.Metrics = map[string]float64{"normalized_discounted_cumulative_gain_at_25": ndcg(v.SolutionARN)}
			})
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Millisecond):
			}
		}
		return nil
	})
}

// finishPending ends the jobs of a type.
func finishPending[R catalog.Resource](i *installation, finish func(R)) {
	for _, job := range catalog.All[R](i.service.env.View) {
		if job.Meta().Status != status.CreatePending {
			continue
		}
		_, err := catalog.Of[R](i.store).Update(context.Background(), job.Meta().ARN, func(r R) error {
			if r.Meta().Status == status.CreatePending { // the view may be behind
				finish(r)
				r.Meta().Status = status.Active
			}
			return nil
		})
		if err != nil {
			i.t.Errorf("finishing %s: %v", job.Meta().ARN, err)
		}
	}
}

const (
	campaignARN = "arn:aws:personalize:us-east-1:000000000000:campaign/films"
	ageSchema   = `{"type":"record","name":"Users","namespace":"com.amazonaws.personalize.schema","fields":[{"name":"USER_ID","type":"string"},{"name":"AGE","type":"int"}],"version":"1.0"}`
	yearSchema  = `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[{"name":"ITEM_ID","type":"string"},{"name":"YEAR","type":"int"}],"version":"1.0"}`
)

// groupInput is what an input of the shipped pipeline says of a dataset group: all that it can make, or (slim) only what it must.
func groupInput(name string, slim bool) string {
	group := fmt.Sprintf(`"name":%q,"interactions":{"schema":%s,"location":"s3://data/i.csv"},"solution":{"RecipeArn":"arn:aws:personalize:::recipe/aws-sims"}`, name, filmSchema)
	if !slim {
		group += fmt.Sprintf(`,"users":{"schema":%s,"location":"s3://data/u.csv"},"items":{"schema":%s,"location":"s3://data/t.csv"},
			"batch":{"NumResults":5,"JobInput":{"S3DataSource":{"Path":"s3://data/in.json"}},"JobOutput":{"S3DataDestination":{"Path":"s3://data/out/"}}}`, ageSchema, yearSchema)
	}
	return "{" + group + "}"
}

func pipelineInput(settings string, groups ...string) string {
	return fmt.Sprintf(`{"settings":{"roleArn":%q,"pollSeconds":0%s},"datasetGroups":[%s]}`, roleARN, settings, strings.Join(groups, ","))
}

func shippedPipeline(t *testing.T) string {
	t.Helper()
	s, ok := workflow.ShippedDefinition("pipeline")
	if !ok {
		t.Fatal("the pipeline is not shipped")
	}
	return s.Definition
}

// groupOutcome is what the pipeline says of a dataset group.
type groupOutcome struct {
	Name, Outcome, CampaignARN string
	Reason                     struct{ Error, Cause string }
	New, Popularity, Serving   struct {
		ARN    string
		Metric float64
	}
}

func outcomes(t *testing.T, d *sfn.DescribeExecutionOutput) []groupOutcome {
	t.Helper()
	if *d.Status != "SUCCEEDED" {
		t.Fatalf("the execution is %v", d)
	}
	var found []groupOutcome
	if err := json.Unmarshal([]byte(*d.Output), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestPipelineDeploysWhatIsGoodEnough runs the shipped definition again and again, as a schedule would.
func TestPipelineDeploysWhatIsGoodEnough(t *testing.T) {
	t.Parallel()
	i := install(t, crud.Quotas{RunningImports: 20})
	var mu sync.Mutex
	worth := 0.3
	i.retrain(func(solution string) float64 {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasSuffix(solution, "-popularity") {
			return 0.1
		}
		return worth
	})
	s := i.states()
	machine := s.create("pipeline", shippedPipeline(t))
	serves := func() string { return *i.describeCampaign(campaignARN).SolutionVersionArn }
	runs := 0
	once := func(metric float64, settings string) groupOutcome {
		t.Helper()
		mu.Lock()
		worth = metric
		mu.Unlock()
		runs++
		found := outcomes(t, s.ended(s.start(machine, pipelineInput(settings, groupInput("films", false)))))
		if len(found) != 1 || found[0].Name != "films" || found[0].New.Metric != metric || found[0].Popularity.Metric != 0.1 {
			t.Errorf("run %d: %+v", runs, found)
		}
		return found[0]
	}
	first := once(0.3, "")
	if first.Outcome != "DEPLOYED" || first.CampaignARN != campaignARN || serves() != first.New.ARN || first.Serving.ARN != "" {
		t.Errorf("the first run: %+v, and %s serves", first, serves())
	}
	second := once(0.295, "")
	if second.Outcome != "DEPLOYED" || serves() != second.New.ARN || second.Serving.ARN != first.New.ARN || second.Serving.Metric != 0.3 {
		t.Errorf("a little worse than what serves: %+v, and %s serves", second, serves())
	}
	for _, refused := range []struct {
		metric           float64
		settings, reason string
	}{
		{0.28, "", "BelowServing"},
		{0.3, `,"servingMargin":0.01`, "BelowServing"},
		{0.09, "", "BelowPopularity"},
		{0.3, `,"popularityMargin":0.21`, "BelowPopularity"},
		{0.000001, "", "BelowPopularity"},
	} {
		if got := once(refused.metric, refused.settings); got.Outcome != "REFUSED" || got.Reason.Error != refused.reason || serves() != second.New.ARN {
			t.Errorf("%v: %+v, and %s serves", refused, got, serves())
		}
	}
	if last := once(0.28, `,"servingMargin":-0.015`); last.Outcome != "DEPLOYED" || serves() != last.New.ARN {
		t.Errorf("with a margin: %+v, and %s serves", last, serves())
	}
	// Names that stay are made once, and each run has its own jobs and versions.
	want := map[string]int{"dataset-group": 1, "schema": 3, "dataset": 3, "solution": 2, "campaign": 1, "dataset-import-job": 3 * runs, "solution-version": 2 * runs, "batch-inference-job": 3}
	if got := countKinds(i.resources()); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the catalog holds %v, want %v", got, want)
	}
}

// resources are the ARNs of everything in the catalog.
func (i *installation) resources() []string {
	i.t.Helper()
	var found []string
	for info, err := range i.bucket.List(i.t.Context(), "catalog/") {
		if err != nil {
			i.t.Fatal(err)
		}
		if !strings.HasPrefix(info.Key, "catalog/account/") {
			found = append(found, strings.TrimPrefix(info.Key, "catalog/"))
		}
	}
	return found
}

func countKinds(resources []string) map[string]int {
	kinds := map[string]int{}
	for _, r := range resources {
		kind, _, _ := strings.Cut(r, "/")
		kinds[kind]++
	}
	return kinds
}

// TestPipelineGoesOnWithoutTheGroupThatFails: its error is told, and the other group is deployed.
func TestPipelineGoesOnWithoutTheGroupThatFails(t *testing.T) {
	t.Parallel()
	i := install(t, crud.Quotas{RunningImports: 20})
	i.retrain(func(string) float64 { return 0.2 })
	s := i.states()
	machine := s.create("pipeline", shippedPipeline(t))
	bad := strings.Replace(groupInput("bad", true), "recipe/aws-sims", "recipe/aws-nothing", 1)
	d := s.ended(s.start(machine, pipelineInput("", groupInput("good", true), bad)))
	if *d.Status != "FAILED" || aws.StringValue(d.Error) != "DatasetGroupFailed" {
		t.Fatalf("the execution is %v", d)
	}
	var found []groupOutcome
	if err := json.Unmarshal([]byte(*d.Cause), &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].Outcome != "DEPLOYED" || found[1].Outcome != "FAILED" || !strings.Contains(found[1].Reason.Cause, "aws-nothing") {
		t.Errorf("got %+v", found)
	}
}

// TestPipelineWaitsForApproval: a person gets the token and what is to be known, and says yes or no.
func TestPipelineWaitsForApproval(t *testing.T) {
	t.Parallel()
	i := install(t, crud.Quotas{RunningImports: 20})
	i.retrain(func(string) float64 { return 0.2 })
	s := i.states()
	machine := s.create("pipeline", shippedPipeline(t))
	asked := make(chan string, 1)
	e := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- string(body)
	}))
	defer e.Close()
	ask := func() (arn, token string) {
		arn = s.start(machine, pipelineInput(fmt.Sprintf(`,"approval":{"url":%q}`, e.URL), groupInput("films", true)))
		var question struct {
			TaskToken, Execution, DatasetGroup string
			New                                struct{ Metric float64 }
		}
		if err := json.Unmarshal([]byte(<-asked), &question); err != nil {
			t.Fatal(err)
		}
		if question.Execution != arn || question.DatasetGroup != "films" || question.New.Metric != 0.2 {
			t.Errorf("asked %+v", question)
		}
		return arn, question.TaskToken
	}
	arn, token := ask()
	must(s.SendTaskFailure(&sfn.SendTaskFailureInput{TaskToken: &token, Error: aws.String("NotNow"), Cause: aws.String("it is Christmas")}))(t)
	if got := outcomes(t, s.ended(arn)); got[0].Outcome != "REFUSED" || got[0].Reason.Error != "NotNow" || got[0].Reason.Cause != "it is Christmas" {
		t.Errorf("refused: %+v", got)
	}
	arn, token = ask()
	must(s.SendTaskSuccess(&sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String(`{"by":"Ada"}`)}))(t)
	if got := outcomes(t, s.ended(arn)); got[0].Outcome != "DEPLOYED" || *i.describeCampaign(campaignARN).SolutionVersionArn != got[0].New.ARN {
		t.Errorf("approved: %+v", got)
	}
}

// reaper kills engines at the transitions of one execution. In turn it lets the write of a transition pass and kills before its answer,
// and kills before the next one is written; that is written by the next engine.
type reaper struct {
	target string // in the key of the execution's object
	both   bool   // kill at each transition twice, before and after its write

	mu    sync.Mutex
	last  int64 // event that was written
	late  bool
	kills int
}

// life is that of one engine.
type life struct {
	*reaper
	pass int // transitions that the engine may still write
	// alive ends with it.
	alive context.Context
	die   context.CancelFunc
}

var lastEvent = regexp.MustCompile(`"lastEvent":(\d+)`)

func (r *reaper) live() *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &life{reaper: r}
	l.alive, l.die = context.WithCancel(context.Background())
	if r.kills > 0 && !r.late && !r.both {
		l.pass = 1
	}
	r.late = !r.late
	return l
}

// dies says of a write that has been read whether the engine dies before it, or after it.
func (l *life) dies(method, path string, body []byte) (before, after bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alive.Err() != nil {
		return true, false
	}
	match := lastEvent.FindSubmatch(body)
	if method != http.MethodPut || !strings.Contains(path, l.target) || match == nil {
		return false, false
	}
	event, _ := strconv.ParseInt(string(match[1]), 10, 64)
	if event <= l.last {
		return false, false // a lease
	}
	if l.pass > 0 {
		l.pass--
		l.last = event
		return false, false
	}
	l.kills++
	l.die()
	if l.late {
		l.last = event
	}
	return !l.late, l.late
}

// through passes requests on to the S3 server, until the engine is dead.
func (l *life) through(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		before, after := l.dies(req.Method, req.URL.Path, body)
		if after {
			next.ServeHTTP(httptest.NewRecorder(), req)
		}
		if before || after {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, req)
	})
}

// TestPipelineSurvivesADeathAtEachTransition: at every transition of the shipped pipeline (dataset groups in a Map, three imports in
// Parallel, training, comparison, campaign, batch lists) its engine dies, before the execution is written or after it, and another one
// goes on. The result is that of an undisturbed run, and everything has been made once.
func TestPipelineSurvivesADeathAtEachTransition(t *testing.T) {
	t.Parallel()
	i := install(t, crud.Quotas{RunningImports: 20})
	i.retrain(func(solution string) float64 {
		if strings.HasSuffix(solution, "-popularity") {
			return 0.1
		}
		return 0.3
	})
	// The engines keep their executions in another bucket: the installation's own engine leaves them alone.
	direct := must(blob.Open(i.s3))(t)
	t.Cleanup(direct.Close)
	name := i.bucket.Name() + "-workflows"
	must(0, direct.EnsureBucket(t.Context(), name))(t)
	kept := direct.Bucket(name)

	// Long, the second group has as much as the first, and each transition is killed at twice.
	long := os.Getenv("PENCHANT_TEST_LONG") != ""
	r := &reaper{target: "/workflows/executions/pipeline/run.json", both: long}
	target := must(url.Parse(i.s3.Endpoint))(t)
	store := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }, // which is signed
		ErrorLog: log.New(io.Discard, "", 0),
	}
	// engine runs an engine until it is told to stop. The test waits at its end for all that have stopped.
	var engines sync.WaitGroup
	t.Cleanup(engines.Wait)
	engine := func(s3 blob.Config) (client *sfn.SFN, stop func()) {
		objects := must(blob.Open(s3))(t)
		e := workflow.New(workflow.Config{Bucket: objects.Bucket(name), Store: i.store, Bus: i.bus, AccountID: "000000000000", Region: "us-east-1"})
		router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{testKey}, Log: zap.NewNop()})
		i.service.Register(router)
		e.Register(router)
		server := httptest.NewServer(router)
		config := aws.NewConfig().WithEndpoint(server.URL).WithRegion("us-east-1").WithMaxRetries(0).WithHTTPClient(server.Client()).
			WithCredentials(credentials.NewStaticCredentials(testKey.AccessKeyID, testKey.SecretKey, ""))
		ctx, cancel := context.WithCancel(context.Background())
		engines.Go(func() {
			_ = e.Run(ctx)
			server.Close()
			objects.Close()
		})
		return sfn.New(must(session.NewSession(config))(t)), cancel
	}
	// expire has the time pass that a dead engine's lease lasts.
	const key = "workflows/executions/pipeline/run.json"
	expire := func() {
		data, _, err := kept.Get(t.Context(), key)
		if errors.Is(err, blob.ErrNotFound) {
			return
		}
		var record map[string]json.RawMessage
		if err == nil {
			err = json.Unmarshal(data, &record)
		}
		must(0, err)(t)
		record["lease"] = json.RawMessage(`{}`)
		must(kept.Put(t.Context(), key, must(json.Marshal(record))(t), blob.PutOptions{}))(t)
	}

	ctl, stop := engine(i.s3)
	machine := *must(ctl.CreateStateMachine(&sfn.CreateStateMachineInput{
		Name: aws.String("pipeline"), Definition: aws.String(shippedPipeline(t)), RoleArn: aws.String(roleARN),
	}))(t).StateMachineArn
	stop()
	start := &sfn.StartExecutionInput{StateMachineArn: &machine, Name: aws.String("run"), Input: aws.String(pipelineInput("", groupInput("films", false), groupInput("books", !long)))}
	arn := strings.Replace(machine, "stateMachine", "execution", 1) + ":run"
	started, deadline := false, time.Now().Add(5*time.Minute)
	for ended := false; !ended; {
		if time.Now().After(deadline) {
			t.Fatalf("the execution has not ended after %d deaths", r.kills)
		}
		l := r.live()
		proxy := httptest.NewServer(l.through(store))
		t.Cleanup(proxy.Close)
		proxied := i.s3
		proxied.Endpoint = proxy.URL
		client, stop := engine(proxied)
		if !started {
			// Who does not learn of his success asks again: the name makes it one execution.
			_, err := client.StartExecutionWithContext(l.alive, start)
			var refusal awserr.Error
			started = err == nil || errors.As(err, &refusal) && refusal.Code() == "ExecutionAlreadyExists"
		}
		for !ended && l.alive.Err() == nil && time.Now().Before(deadline) {
			select {
			case <-l.alive.Done():
			case <-time.After(20 * time.Millisecond):
				data, _, err := kept.Get(t.Context(), key)
				ended = err == nil && !strings.Contains(string(data), `"status":"RUNNING"`)
			}
		}
		l.die()
		stop()
		expire()
	}
	ctl, stop = engine(i.s3)
	defer stop()
	d := must(ctl.DescribeExecution(&sfn.DescribeExecutionInput{ExecutionArn: &arn}))(t)
	found := outcomes(t, d)
	if len(found) != 2 || found[0].Outcome != "DEPLOYED" || found[1].Outcome != "DEPLOYED" || found[0].Name != "films" {
		t.Errorf("the outcome is %+v", found)
	}
	want := map[string]int{"dataset-group": 2, "schema": 4, "dataset": 4, "dataset-import-job": 4, "solution": 4, "solution-version": 4, "campaign": 2, "batch-inference-job": 1}
	if long {
		want["schema"], want["dataset"], want["dataset-import-job"], want["batch-inference-job"] = 6, 6, 6, 2
	}
	if got := i.resources(); fmt.Sprint(countKinds(got)) != fmt.Sprint(want) {
		slices.Sort(got)
		t.Errorf("the catalog holds %v, want %v:\n%s", countKinds(got), want, strings.Join(got, "\n"))
	}
	for _, group := range found {
		if c := i.describeCampaign(group.CampaignARN); *c.SolutionVersionArn != group.New.ARN {
			t.Errorf("%s serves %s, not %s", group.CampaignARN, *c.SolutionVersionArn, group.New.ARN)
		}
	}
	t.Logf("%d deaths, %d events", r.kills, r.last)
	if r.kills < 40 {
		t.Errorf("only %d deaths: the test proves little", r.kills)
	}
}
