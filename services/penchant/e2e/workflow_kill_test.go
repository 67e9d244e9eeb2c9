package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/control/workflow"
	"github.com/penchant-io/penchant/services/penchant/operator"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// transitionKiller kills a process with SIGKILL as it writes a transition of an execution: in turn after the write,
// before its answer, and before the write.
type transitionKiller struct {
	process *penchanttest.Process
	object  string
	// at says at which transitions, counted from 1.
	at     func(transition int) bool
	killed chan struct{}

	mu          sync.Mutex
	last        int64 // event that was written
	transitions int
	kills       int
	spared      bool // the transition that a kill kept from being written: it is let pass
}

var lastEvent = regexp.MustCompile(`"lastEvent":(\d+)`)

// fault is a penchanttest.S3Fault.
func (k *transitionKiller) fault(store http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, k.object) {
			store.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		kill, written := k.meets(body)
		if !kill || written {
			if kill {
				w = httptest.NewRecorder()
			}
			store.ServeHTTP(w, r)
		}
		if kill {
			k.process.Kill()
			k.killed <- struct{}{}
			panic(http.ErrAbortHandler)
		}
	})
}

// meets says whether a write is to kill, and whether the write is done before.
func (k *transitionKiller) meets(body []byte) (kill, written bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	match := lastEvent.FindSubmatch(body)
	if match == nil {
		return false, false
	}
	event, _ := strconv.ParseInt(string(match[1]), 10, 64)
	if event <= k.last {
		return false, false // a lease
	}
	if k.spared {
		k.spared, k.last = false, event
		return false, false
	}
	k.transitions++
	if !k.at(k.transitions) {
		k.last = event
		return false, false
	}
	k.kills++
	if written = k.kills%2 == 1; written {
		k.last = event
	}
	k.spared = !written
	return true, written
}

func (k *transitionKiller) counts() (kills, transitions int, event int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kills, k.transitions, k.last
}

// TestPipelineSurvivesKillNine runs the shipped pipeline, two dataset groups with three datasets each, and kills the
// process that drives the execution as it writes its transitions. That is `penchant all`, killed at some of them:
// imports, trainings and batch lists die with it. Long, it is the control plane, killed at every one; jobs that died
// with their worker each time would be given up. The outcome is that of a run without a kill, and everything has been
// made once.
func TestPipelineSurvivesKillNine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	// The store is that of another process, which lives on.
	store := penchanttest.Start(t, "all", t.TempDir())
	proxy := penchanttest.StartS3Proxy(t, blob.Config{Endpoint: store.Endpoints["s3"]})
	source := store.Bucket("shop")
	for key, content := range pipelineData() {
		if _, err := source.Put(t.Context(), key, []byte(content), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	settings := func(s3 string, more ...string) []string {
		return append(more, "PENCHANT_S3_ENDPOINT="+s3, "PENCHANT_S3_ACCESS_KEY="+penchanttest.Credential.AccessKeyID,
			"PENCHANT_S3_SECRET_KEY="+penchanttest.Credential.SecretKey, "PENCHANT_BUCKET=killed",
			"PENCHANT_JOB_LEASE=1s")
	}
	killAt, limit := func(n int) bool { return n == 2 || n == 14 || n == 27 || n == 42 }, 5*time.Minute
	var process, recommender *penchanttest.Process
	if os.Getenv("PENCHANT_TEST_LONG") == "" {
		process = penchanttest.Start(t, "all", t.TempDir(), settings(proxy.Config.Endpoint)...)
		recommender = process
	} else {
		killAt, limit = func(int) bool { return true }, 30*time.Minute
		outside := []string{"PENCHANT_KAFKA_BROKERS=" + store.Endpoints["kafka"],
			"PENCHANT_REDIS_URL=" + store.Endpoints["redis"],
			"PENCHANT_TOPIC_REPLICATION_FACTOR=1", "PENCHANT_TOPIC_MIN_INSYNC_REPLICAS=1"}
		process = penchanttest.Start(t, "control", t.TempDir(), settings(proxy.Config.Endpoint, outside...)...)
		penchanttest.Start(t, "retrainer", t.TempDir(), settings(store.Endpoints["s3"], outside...)...)
		recommender = penchanttest.Start(t, "recommender", t.TempDir(), settings(store.Endpoints["s3"], outside...)...)
	}
	api := process.API()
	shipped, _ := workflow.ShippedDefinition("pipeline")
	machine, err := operator.InstallWorkflow(t.Context(), api, "pipeline", shipped.Definition, roleARN)
	if err != nil {
		t.Fatal(err)
	}
	killer := &transitionKiller{process: process, object: "/workflows/executions/pipeline/run.json", at: killAt,
		killed: make(chan struct{}, 1)}
	proxy.Fail(killer.fault)

	// tend starts the process again when it was killed.
	tend := func() {
		select {
		case <-killer.killed:
			process.Restart()
			process.AwaitReady(time.Minute)
		default:
		}
	}
	eventually.Succeeds(t, "the execution is started", func() error {
		tend()
		err := api.CallStates(t.Context(), "StartExecution", &stepfunctions.StartExecutionInput{
			StateMachineArn: &machine.StateMachineARN, Name: new("run"), Input: new(pipelineRun(source.Name())),
		}, nil)
		var refusal *awsapi.Error
		if errors.As(err, &refusal) && refusal.Code == "ExecutionAlreadyExists" {
			err = nil
		}
		return err
	})
	arn := strings.Replace(machine.StateMachineARN, ":stateMachine:", ":execution:", 1) + ":run"
	var ended stepfunctions.DescribeExecutionOutput
	started := time.Now()
	eventually.SucceedsWithin(t, limit, "the execution has ended", func() error {
		tend()
		ended = stepfunctions.DescribeExecutionOutput{}
		if err := api.CallStates(t.Context(), "DescribeExecution",
			&stepfunctions.DescribeExecutionInput{ExecutionArn: &arn}, &ended); err != nil {
			return err
		}
		if *ended.Status == "RUNNING" {
			kills, _, event := killer.counts()
			return fmt.Errorf("it runs; %d kills so far, at event %d", kills, event)
		}
		return nil
	})
	// The last transition may have killed, too.
	eventually.Succeeds(t, "the process is ready", func() error { tend(); return process.Ready() })
	kills, transitions, event := killer.counts()
	t.Logf("%d kills at %d transitions, %d events, %s", kills, transitions, event,
		time.Since(started).Round(time.Second))
	if kills < 4 {
		t.Errorf("only %d kills", kills)
	}
	if *ended.Status != "SUCCEEDED" {
		t.Fatalf("the execution is %s: %s, %s", *ended.Status, awsapi.Text(ended.Error), awsapi.Text(ended.Cause))
	}
	var groups []struct {
		Name, Outcome string
		CampaignARN   string
	}
	if err := json.Unmarshal([]byte(*ended.Output), &groups); err != nil {
		t.Fatal(err)
	}
	for _, group := range groups {
		if group.Outcome != "DEPLOYED" {
			t.Errorf("%s is %s", group.Name, group.Outcome)
		}
		eventually.Succeeds(t, group.Name+" recommends", func() error {
			var answer personalizeruntime.GetRecommendationsResponse
			err := recommender.API().Post(t.Context(), "/recommendations",
				&personalizeruntime.GetRecommendationsRequest{CampaignArn: &group.CampaignARN, ItemId: new("item-1")},
				&answer)
			if err == nil && len(answer.ItemList) == 0 {
				err = errors.New("an empty list")
			}
			return err
		})
		if _, _, err := source.Get(t.Context(), "lists/"+group.Name+"/items.json.out"); err != nil {
			t.Errorf("the batch lists of %s: %v", group.Name, err)
		}
	}
	made := map[string]int{}
	for info, err := range store.Bucket("killed").List(t.Context(), "catalog/") {
		if err != nil {
			t.Fatal(err)
		}
		made[strings.Split(info.Key, "/")[1]]++
	}
	delete(made, "account")
	want := map[string]int{"dataset-group": 2, "schema": 6, "dataset": 6, "dataset-import-job": 6, "solution": 4,
		"solution-version": 4, "campaign": 2, "batch-inference-job": 2}
	if fmt.Sprint(made) != fmt.Sprint(want) {
		t.Errorf("the catalog holds %v, want %v", made, want)
	}
	process.Terminate()
}

// pipelineData are the files that the pipeline imports.
func pipelineData() map[string]string {
	var interactions, users, items strings.Builder
	interactions.WriteString("USER_ID,ITEM_ID,TIMESTAMP\n")
	users.WriteString("USER_ID,AGE\n")
	items.WriteString("ITEM_ID,YEAR\n")
	for n := range 1500 {
		// Two tastes: even users take even items.
		user, item := n%50, (n*n/7+n/50)%20*2+n%50%2
		fmt.Fprintf(&interactions, "user-%d,item-%d,%d\n", user, item, 1_700_000_000+n)
	}
	for n := range 50 {
		fmt.Fprintf(&users, "user-%d,%d\n", n, 20+n)
	}
	for n := range 40 {
		fmt.Fprintf(&items, "item-%d,%d\n", n, 1980+n)
	}
	return map[string]string{
		"interactions.csv": interactions.String(), "users.csv": users.String(), "items.csv": items.String(),
		"items.json": `{"itemId":"item-1"}` + "\n",
	}
}

// pipelineRun is an input of the shipped pipeline. It deploys whatever is trained: how good that is, is not the matter
// here.
func pipelineRun(bucket string) string {
	schema := func(name, columns string) map[string]any {
		var fields []map[string]string
		for _, column := range strings.Fields(columns) {
			column, kind, _ := strings.Cut(column, ":")
			fields = append(fields, map[string]string{"name": column, "type": kind})
		}
		return map[string]any{"type": "record", "name": name, "namespace": "com.amazonaws.personalize.schema",
			"version": "1.0", "fields": fields}
	}
	var groups []map[string]any
	for _, name := range []string{"shop", "outlet"} {
		groups = append(groups, map[string]any{
			"name": name,
			"interactions": map[string]any{"schema": schema("Interactions",
				"USER_ID:string ITEM_ID:string TIMESTAMP:long"), "location": "s3://" + bucket + "/interactions.csv"},
			"users": map[string]any{"schema": schema("Users", "USER_ID:string AGE:int"),
				"location": "s3://" + bucket + "/users.csv"},
			"items": map[string]any{"schema": schema("Items", "ITEM_ID:string YEAR:int"),
				"location": "s3://" + bucket + "/items.csv"},
			"solution": map[string]any{"RecipeArn": "arn:aws:personalize:::recipe/aws-sims"},
			"batch": map[string]any{
				"NumResults": 5, "JobInput": map[string]any{"S3DataSource": map[string]any{"Path": "s3://" + bucket +
					"/items.json"}},
				"JobOutput": map[string]any{"S3DataDestination": map[string]any{"Path": "s3://" + bucket + "/lists/" +
					name + "/"}},
			},
		})
	}
	input, err := json.Marshal(map[string]any{
		"settings":      map[string]any{"roleArn": roleARN, "pollSeconds": 1, "popularityMargin": -1},
		"datasetGroups": groups,
	})
	if err != nil {
		panic(err) // it holds nothing but texts and numbers
	}
	return string(input)
}
