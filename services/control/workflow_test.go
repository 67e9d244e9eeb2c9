package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/personalize"
	"github.com/aws/aws-sdk-go/service/sfn"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/services/control/crud"
	"github.com/penchant-io/penchant/services/control/workflow"
)

const roleARN = "arn:aws:iam::000000000000:role/any"

// states is Step Functions' client of an installation.
type states struct {
	*sfn.SFN
	t *testing.T
}

func (i *installation) states() *states {
	i.t.Helper()
	config := aws.NewConfig().WithEndpoint(i.Endpoint).WithRegion("us-east-1").WithMaxRetries(0).WithHTTPClient(i.Config.HTTPClient).
		WithCredentials(credentials.NewStaticCredentials(testKey.AccessKeyID, testKey.SecretKey, ""))
	return &states{sfn.New(must(session.NewSession(config))(i.t)), i.t}
}

func (s *states) create(name, definition string) string {
	s.t.Helper()
	return *must(s.CreateStateMachine(&sfn.CreateStateMachineInput{Name: &name, Definition: &definition, RoleArn: aws.String(roleARN)}))(s.t).StateMachineArn
}

func (s *states) start(machine, input string) string {
	s.t.Helper()
	return *must(s.StartExecution(&sfn.StartExecutionInput{StateMachineArn: &machine, Input: &input}))(s.t).ExecutionArn
}

// ended waits for an execution's end.
func (s *states) ended(arn string) *sfn.DescribeExecutionOutput {
	s.t.Helper()
	return s.until(arn, func(d *sfn.DescribeExecutionOutput) bool { return *d.Status != "RUNNING" })
}

func (s *states) until(arn string, is func(*sfn.DescribeExecutionOutput) bool) *sfn.DescribeExecutionOutput {
	s.t.Helper()
	var d *sfn.DescribeExecutionOutput
	eventually.Succeeds(s.t, "the execution is as wanted", func() error {
		d = must(s.DescribeExecution(&sfn.DescribeExecutionInput{ExecutionArn: &arn}))(s.t)
		if !is(d) {
			return fmt.Errorf("it is %v", d)
		}
		return nil
	})
	return d
}

func (s *states) history(arn string) string {
	s.t.Helper()
	var types []string
	err := s.GetExecutionHistoryPages(&sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: aws.Int64(3)}, func(page *sfn.GetExecutionHistoryOutput, _ bool) bool {
		for _, event := range page.Events {
			types = append(types, *event.Type)
		}
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(types, " ")
}

const filmSchema = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`

// TestWorkflowCreatesResources goes through Personalize's operations with their errors, a status that is waited for, and a Map.
func TestWorkflowCreatesResources(t *testing.T) {
	i := install(t, crud.Quotas{})
	s := i.states()
	machine := s.create("build", `{"StartAt":"Schema","States":{
		"Schema":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:personalize:createSchema","Parameters":{"Name":"films","Schema.$":"$.schema"},
			"ResultPath":"$.made","Next":"Again"},
		"Again":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:personalize:createSchema","Parameters":{"Name":"films","Schema.$":"$.schema"},
			"Catch":[{"ErrorEquals":["Personalize.ResourceAlreadyExistsException"],"ResultPath":"$.error","Next":"Groups"}],"Next":"Unexpected"},
		"Unexpected":{"Type":"Fail"},
		"Groups":{"Type":"Map","ItemsPath":"$.groups","ResultPath":"$.groups","Next":"Out","ItemProcessor":{"StartAt":"Group","States":{
			"Group":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:personalize:createDatasetGroup","Parameters":{"Name.$":"$","Tags":[{"TagKey":"k","TagValue":"v"}]},"Next":"Look"},
			"Look":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:personalize:describeDatasetGroup","Parameters":{"DatasetGroupArn.$":"$.DatasetGroupArn"},"Next":"Active?"},
			"Active?":{"Type":"Choice","Choices":[{"Variable":"$.DatasetGroup.Status","StringEquals":"ACTIVE","Next":"Done"}],"Default":"Pause"},
			"Pause":{"Type":"Wait","Seconds":1,"OutputPath":"$.DatasetGroup","Next":"Look"},
			"Done":{"Type":"Succeed","OutputPath":"$.DatasetGroup.Name"}}}},
		"Out":{"Type":"Pass","Parameters":{"schema.$":"$.made.SchemaArn","error.$":"$.error.Error","groups.$":"$.groups"},"End":true}}}`)
	d := s.ended(s.start(machine, string(must(json.Marshal(map[string]any{"schema": filmSchema, "groups": []string{"one", "two"}}))(t))))
	if want := `{"error":"Personalize.ResourceAlreadyExistsException","groups":["one","two"],"schema":"arn:aws:personalize:us-east-1:000000000000:schema/films"}`; *d.Status != "SUCCEEDED" || *d.Output != want {
		t.Errorf("got %v, want %s", d, want)
	}
	must(i.DescribeDatasetGroup(&personalize.DescribeDatasetGroupInput{DatasetGroupArn: aws.String("arn:aws:personalize:us-east-1:000000000000:dataset-group/two")}))(t)
}

func TestWorkflowRefusesFieldsInCamelCase(t *testing.T) {
	s := install(t, crud.Quotas{}).states()
	machine := s.create("camel", `{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:personalize:listSchemas","Parameters":{"maxResults":1},"End":true}}}`)
	if d := s.ended(s.start(machine, `{}`)); aws.StringValue(d.Error) != "States.Runtime" || !strings.Contains(aws.StringValue(d.Cause), "'maxResults' is not supported") {
		t.Errorf("got %v", d)
	}
}

// endpoint answers tasks by HTTP, and keeps what it was sent.
type endpoint struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
}

func listen(t *testing.T, answer http.HandlerFunc) *endpoint {
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		e.requests = append(e.requests, fmt.Sprintf("%s %s %s %s", r.Method, r.URL, r.Header.Get("X-Test"), body))
		e.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) sent() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.requests...)
}

func TestWorkflowCallsHTTP(t *testing.T) {
	s := install(t, crud.Quotas{}).states()
	var busy atomic.Bool
	busy.Store(true)
	e := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		if busy.Swap(false) {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	machine := s.create("call", `{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::http:invoke","End":true,
		"Parameters":{"ApiEndpoint.$":"$.url","Method":"POST","Headers":{"X-Test":"h"},"QueryParameters":{"q":["1",2]},"RequestBody":{"a.$":"$.a"}},
		"Retry":[{"ErrorEquals":["States.Http.StatusCode.503"],"IntervalSeconds":1}],
		"ResultSelector":{"status.$":"$.StatusCode","body.$":"$.ResponseBody"}}}}`)
	d := s.ended(s.start(machine, fmt.Sprintf(`{"url":%q,"a":[1]}`, e.URL+"/path")))
	if aws.StringValue(d.Output) != `{"body":{"ok":true},"status":200}` {
		t.Errorf("got %v", d)
	}
	if sent := e.sent(); len(sent) != 2 || sent[1] != `POST /path?q=1&q=2 h {"a":[1]}` {
		t.Errorf("the endpoint was sent %q", sent)
	}
}

// TestWorkflowWaitsForApproval: a person is sent a token, shows signs of life, and decides.
func TestWorkflowWaitsForApproval(t *testing.T) {
	s := install(t, crud.Quotas{}).states()
	e := listen(t, func(http.ResponseWriter, *http.Request) {})
	machine := s.create("approve", `{"StartAt":"Ask","States":{"Ask":{"Type":"Task","Resource":"arn:aws:states:::http:invoke.waitForTaskToken","HeartbeatSeconds":60,
		"Parameters":{"ApiEndpoint.$":"$.url","Method":"POST","RequestBody":{"token.$":"$$.Task.Token"}},
		"Catch":[{"ErrorEquals":["Refused"],"Next":"No"}],"End":true},"No":{"Type":"Pass","End":true}}}`)
	ask := func() (arn, token string) {
		before := len(e.sent())
		arn = s.start(machine, fmt.Sprintf(`{"url":%q}`, e.URL))
		eventually.Succeeds(t, "the task is submitted", func() error {
			if history := s.history(arn); !strings.HasSuffix(history, "TaskSubmitted") {
				return fmt.Errorf("the history is %s", history)
			}
			return nil
		})
		_, body, _ := strings.Cut(e.sent()[before], "{")
		var sent struct{ Token string }
		if err := json.Unmarshal([]byte("{"+body), &sent); err != nil {
			t.Fatal(err)
		}
		return arn, sent.Token
	}
	arn, token := ask()
	must(s.SendTaskHeartbeat(&sfn.SendTaskHeartbeatInput{TaskToken: &token}))(t)
	must(s.SendTaskSuccess(&sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String(`{"by":"Ada"}`)}))(t)
	if d := s.ended(arn); aws.StringValue(d.Output) != `{"by":"Ada"}` {
		t.Errorf("got %v", d)
	}
	_, err := s.SendTaskSuccess(&sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String(`{}`)})
	refused(t, err, "TaskTimedOut", "does not exist anymore")
	arn, token = ask()
	must(s.SendTaskFailure(&sfn.SendTaskFailureInput{TaskToken: &token, Error: aws.String("Refused"), Cause: aws.String("too expensive")}))(t)
	if d := s.ended(arn); aws.StringValue(d.Output) != `{"Cause":"too expensive","Error":"Refused"}` {
		t.Errorf("got %v", d)
	}
	_, err = s.SendTaskHeartbeat(&sfn.SendTaskHeartbeatInput{TaskToken: aws.String("made up")})
	refused(t, err, "InvalidToken", "no task token")
	_, err = s.SendTaskSuccess(&sfn.SendTaskSuccessInput{TaskToken: &token, Output: aws.String(`{`)})
	refused(t, err, "InvalidOutput", "no JSON")
}

func TestStepFunctionsMachines(t *testing.T) {
	s := install(t, crud.Quotas{}).states()
	const definition = `{ "StartAt":"S", "States":{"S":{"Type":"Pass","End":true}}}`
	arn := s.create("a", definition)
	if want := "arn:aws:states:us-east-1:000000000000:stateMachine:a"; arn != want || s.create("a", definition) != want {
		t.Errorf("got %s, want %s, twice", arn, want)
	}
	_, err := s.CreateStateMachine(&sfn.CreateStateMachineInput{Name: aws.String("a"), Definition: aws.String(strings.ReplaceAll(definition, " ", "")), RoleArn: aws.String(roleARN)})
	refused(t, err, "StateMachineAlreadyExists", arn)
	_, err = s.CreateStateMachine(&sfn.CreateStateMachineInput{Name: aws.String("b"), Definition: aws.String(`{"StartAt":"S","States":{"S":{"Type":"Pass"}}}`), RoleArn: aws.String(roleARN)})
	refused(t, err, "InvalidDefinition", "SCHEMA_VALIDATION_FAILED: One of 'Next' and 'End' (which must be true) is required but was missing at /States/S")
	_, err = s.CreateStateMachine(&sfn.CreateStateMachineInput{Name: aws.String("b"), RoleArn: aws.String(roleARN),
		Definition: aws.String(`{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:personalize:createNothing","End":true}}}`)})
	refused(t, err, "InvalidDefinition", "there is no operation 'createNothing' of Personalize")
	_, err = s.CreateStateMachine(&sfn.CreateStateMachineInput{Name: aws.String("a b"), Definition: aws.String(definition), RoleArn: aws.String(roleARN)})
	refused(t, err, "InvalidName", "a b")
	_, err = s.DescribeStateMachine(&sfn.DescribeStateMachineInput{StateMachineArn: aws.String("arn:aws:states:us-east-1:000000000000:stateMachine:x")})
	refused(t, err, "StateMachineDoesNotExist", "x")
	_, err = s.DescribeStateMachine(&sfn.DescribeStateMachineInput{StateMachineArn: aws.String("x")})
	refused(t, err, "InvalidArn", "x")
	_, err = s.ListStateMachines(&sfn.ListStateMachinesInput{MaxResults: aws.Int64(1001)})
	refused(t, err, "ValidationException", "maxResults")

	d := must(s.DescribeStateMachine(&sfn.DescribeStateMachineInput{StateMachineArn: &arn}))(t)
	if *d.Definition != definition || *d.RoleArn != roleARN || *d.Status != "ACTIVE" || *d.Type != "STANDARD" {
		t.Errorf("got %v", d)
	}
	const changed = `{"StartAt":"T","States":{"T":{"Type":"Succeed"}}}`
	must(s.UpdateStateMachine(&sfn.UpdateStateMachineInput{StateMachineArn: &arn, Definition: aws.String(changed)}))(t)
	if d := must(s.DescribeStateMachine(&sfn.DescribeStateMachineInput{StateMachineArn: &arn}))(t); *d.Definition != changed || *d.RoleArn != roleARN {
		t.Errorf("after the update: %v", d)
	}
	must(s.TagResource(&sfn.TagResourceInput{ResourceArn: &arn, Tags: []*sfn.Tag{{Key: aws.String("k"), Value: aws.String("v")}, {Key: aws.String("l"), Value: aws.String("w")}}}))(t)
	must(s.UntagResource(&sfn.UntagResourceInput{ResourceArn: &arn, TagKeys: []*string{aws.String("k")}}))(t)
	if tags := must(s.ListTagsForResource(&sfn.ListTagsForResourceInput{ResourceArn: &arn}))(t).Tags; len(tags) != 1 || *tags[0].Key != "l" || *tags[0].Value != "w" {
		t.Errorf("the tags are %v", tags)
	}
	for _, name := range []string{"c", "d", "e", "b"} {
		s.create(name, definition)
	}
	var names []string
	err = s.ListStateMachinesPages(&sfn.ListStateMachinesInput{MaxResults: aws.Int64(2)}, func(page *sfn.ListStateMachinesOutput, _ bool) bool {
		for _, m := range page.StateMachines {
			names = append(names, *m.Name)
		}
		return true
	})
	if err != nil || strings.Join(names, "") != "abcde" {
		t.Errorf("the machines are %v (%v)", names, err)
	}
	for range 2 {
		must(s.DeleteStateMachine(&sfn.DeleteStateMachineInput{StateMachineArn: &arn}))(t)
	}
	_, err = s.StartExecution(&sfn.StartExecutionInput{StateMachineArn: &arn})
	refused(t, err, "StateMachineDoesNotExist", arn)

	valid := must(s.ValidateStateMachineDefinition(&sfn.ValidateStateMachineDefinitionInput{Definition: aws.String(definition)}))(t)
	if *valid.Result != "OK" || len(valid.Diagnostics) != 0 {
		t.Errorf("got %v", valid)
	}
	invalid := must(s.ValidateStateMachineDefinition(&sfn.ValidateStateMachineDefinitionInput{Definition: aws.String(`{"StartAt":"S","States":{"S":{"Type":"Pass","Next":"X"}}}`)}))(t)
	if *invalid.Result != "FAIL" || len(invalid.Diagnostics) != 1 || *invalid.Diagnostics[0].Code != "MISSING_TRANSITION_TARGET" || *invalid.Diagnostics[0].Location != "/States/S/Next" {
		t.Errorf("got %v", invalid)
	}
}

func TestStepFunctionsExecutions(t *testing.T) {
	s := install(t, crud.Quotas{}).states()
	machine := s.create("wait", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":600,"End":true}}}`)
	start := func(name, input string) (*sfn.StartExecutionOutput, error) {
		return s.StartExecution(&sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: &input})
	}
	first := must(start("one", `{ "a": 1 }`))(t)
	again := must(start("one", `{ "a": 1 }`))(t)
	if *again.ExecutionArn != *first.ExecutionArn || !again.StartDate.Equal(*first.StartDate) {
		t.Errorf("got %v and %v", first, again)
	}
	_, err := start("one", `{"a":2}`)
	refused(t, err, "ExecutionAlreadyExists", *first.ExecutionArn)
	_, err = start("two", `{`)
	refused(t, err, "InvalidExecutionInput", "no JSON")
	for _, name := range []string{"two", "three"} {
		time.Sleep(2 * time.Millisecond) // executions are listed by the time at which they began
		must(start(name, `null`))(t)
	}
	d := must(s.DescribeExecution(&sfn.DescribeExecutionInput{ExecutionArn: first.ExecutionArn}))(t)
	if *d.Status != "RUNNING" || *d.Input != `{ "a": 1 }` || *d.Name != "one" || d.StopDate != nil || d.Output != nil {
		t.Errorf("got %v", d)
	}
	stop := &sfn.StopExecutionInput{ExecutionArn: first.ExecutionArn, Error: aws.String("E"), Cause: aws.String("enough")}
	stopped := must(s.StopExecution(stop))(t)
	if again := must(s.StopExecution(stop))(t); !again.StopDate.Equal(*stopped.StopDate) {
		t.Errorf("stopped at %v, and again at %v", stopped.StopDate, again.StopDate)
	}
	if d := s.ended(*first.ExecutionArn); *d.Status != "ABORTED" || *d.Error != "E" || *d.Cause != "enough" || d.StopDate == nil {
		t.Errorf("got %v", d)
	}
	_, err = start("one", `{ "a": 1 }`)
	refused(t, err, "ExecutionAlreadyExists", *first.ExecutionArn)
	if got := s.history(*first.ExecutionArn); got != "ExecutionStarted WaitStateEntered ExecutionAborted" {
		t.Errorf("the history is %s", got)
	}
	reversed := must(s.GetExecutionHistory(&sfn.GetExecutionHistoryInput{ExecutionArn: first.ExecutionArn, ReverseOrder: aws.Bool(true), MaxResults: aws.Int64(2)}))(t)
	if len(reversed.Events) != 2 || *reversed.Events[0].Id != 3 || *reversed.Events[1].Id != 2 || aws.StringValue(reversed.NextToken) == "" {
		t.Errorf("reversed: %v", reversed)
	}
	list := func(filter *string) (names []string) {
		err := s.ListExecutionsPages(&sfn.ListExecutionsInput{StateMachineArn: &machine, StatusFilter: filter, MaxResults: aws.Int64(2)}, func(page *sfn.ListExecutionsOutput, _ bool) bool {
			for _, x := range page.Executions {
				names = append(names, *x.Name)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if all, running := fmt.Sprint(list(nil)), fmt.Sprint(list(aws.String("RUNNING"))); all != "[three two one]" || running != "[three two]" {
		t.Errorf("there are %s, of which %s run", all, running)
	}
	_, err = s.DescribeExecution(&sfn.DescribeExecutionInput{ExecutionArn: aws.String(*first.ExecutionArn + "x")})
	refused(t, err, "ExecutionDoesNotExist", "onex")
	_, err = s.GetExecutionHistory(&sfn.GetExecutionHistoryInput{ExecutionArn: first.ExecutionArn, NextToken: aws.String("x")})
	refused(t, err, "InvalidToken", "")
}

// TestLongHistories: their older parts stand in objects of their own.
func TestLongHistories(t *testing.T) {
	s := install(t, crud.Quotas{}).states()
	machine := s.create("long", `{"StartAt":"M","States":{"M":{"Type":"Map","MaxConcurrency":1,"ItemsPath":"$.l","ResultPath":null,"End":true,"ItemProcessor":{"StartAt":"W","States":{
		"W":{"Type":"Wait","Seconds":0,"End":true}}}}}}`)
	arn := s.start(machine, fmt.Sprintf(`{"l":[%s"%s"]}`, strings.Repeat(fmt.Sprintf(`"%s",`, strings.Repeat("x", 30000)), 5), "end"))
	if d := s.ended(arn); *d.Status != "SUCCEEDED" {
		t.Fatalf("got %v", d)
	}
	if got := strings.Fields(s.history(arn)); len(got) != 6*4+6 || got[0] != "ExecutionStarted" || got[len(got)-1] != "ExecutionSucceeded" {
		t.Errorf("the history has %d events: %v", len(got), got)
	}
}

// mortal is a workflow engine beside the installation's own, whose process dies as it writes a certain object.
type mortal struct {
	t      *testing.T
	target string // in the key
	deadly int32  // the write that kills, from 1
	late   bool   // after the write, before its answer
	writes atomic.Int32
	dead   atomic.Bool
	kill   context.CancelFunc
}

// through passes requests on to the S3 server, until the process is dead.
func (m *mortal) through(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fatal := r.Method == http.MethodPut && strings.Contains(r.URL.Path, m.target) && m.writes.Add(1) == m.deadly
		if fatal && m.late {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		if fatal {
			m.dead.Store(true)
			m.kill()
		}
		if m.dead.Load() {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// start runs the engine and has it start the execution.
func (m *mortal) start(i *installation, machine, name, input string) {
	endpoint := i.s3
	target := must(url.Parse(endpoint.Endpoint))(m.t)
	proxy := httptest.NewServer(m.through(&httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }, // which is signed
		ErrorLog: log.New(io.Discard, "", 0),
	}))
	m.t.Cleanup(proxy.Close)
	endpoint.Endpoint = proxy.URL
	objects := must(blob.Open(endpoint))(m.t)
	m.t.Cleanup(objects.Close)
	engine := workflow.New(workflow.Config{
		Bucket: objects.Bucket(i.bucket.Name()), Store: i.store, Bus: i.bus, AccountID: "000000000000", Region: "us-east-1", LeaseTTL: time.Second,
	})
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{testKey}, Log: zap.NewNop()})
	for _, kind := range []string{resource.Schema, resource.DatasetGroup} {
		for _, operation := range i.service.byType[kind].Operations {
			operation(router)
		}
	}
	engine.Register(router)
	server := httptest.NewServer(router)
	m.t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(context.Background())
	m.kill = cancel
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	m.t.Cleanup(func() { cancel(); running.Wait() })
	// The answer is lost where the first write kills.
	config := aws.NewConfig().WithEndpoint(server.URL).WithRegion("us-east-1").WithMaxRetries(0).WithHTTPClient(server.Client()).
		WithCredentials(credentials.NewStaticCredentials(testKey.AccessKeyID, testKey.SecretKey, ""))
	_, err := sfn.New(must(session.NewSession(config))(m.t)).StartExecution(&sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: &input})
	if err != nil && !m.dead.Load() {
		m.t.Error(err)
	}
}

// TestExecutionsSurviveTheirReplica: at each write of an execution's object its replica dies, before the write or after it, and another
// one takes over. Whatever the moment, each resource is created once, and the history is that of an undisturbed run.
func TestExecutionsSurviveTheirReplica(t *testing.T) {
	const definition = `{"StartAt":"Schema","States":{
		"Schema":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:personalize:createSchema","Parameters":{"Name.$":"$.name","Schema.$":"$.schema"},"Next":"Both"},
		"Both":{"Type":"Parallel","End":true,"Branches":[
			{"StartAt":"Group","States":{"Group":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:personalize:createDatasetGroup","Parameters":{"Name.$":"$$.Execution.Name"},"End":true}}},
			{"StartAt":"Pause","States":{"Pause":{"Type":"Wait","Seconds":0,"End":true}}}]}}}`
	i := install(t, crud.Quotas{DatasetGroups: 100, Schemas: 100})
	s := i.states()
	machine := s.create("mortal", definition)
	sorted := func(history string) string {
		events := strings.Fields(history)
		slices.Sort(events)
		return strings.Join(events, " ")
	}
	input := func(name string) string {
		return string(must(json.Marshal(map[string]string{"name": name, "schema": filmSchema}))(t))
	}
	undisturbed := s.start(machine, input("undisturbed"))
	if d := s.ended(undisturbed); *d.Status != "SUCCEEDED" {
		t.Fatalf("undisturbed: %v", d)
	}
	want := sorted(s.history(undisturbed))
	var killed atomic.Int32
	// The writes: the start, the lease, the ends of two tasks and a timer.
	const writes = 5
	t.Run("killed", func(t *testing.T) {
		for deadly := int32(1); deadly <= writes; deadly++ {
			for _, late := range []bool{false, true} {
				name := fmt.Sprintf("at-%d-%v", deadly, late)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					m := &mortal{t: t, target: "/workflows/executions/mortal/" + name + ".json", deadly: deadly, late: late}
					m.start(i, machine, name, input(name))
					if deadly == 1 && !late {
						// Nothing was written: who called learns of it, and calls again.
						must(s.StartExecution(&sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: aws.String(input(name))}))(t)
					}
					arn := strings.Replace(machine, "stateMachine", "execution", 1) + ":" + name
					d := s.ended(arn)
					if *d.Status != "SUCCEEDED" || !strings.Contains(aws.StringValue(d.Output), "dataset-group/"+name) {
						t.Errorf("got %v", d)
					}
					if got := sorted(s.history(arn)); got != want {
						t.Errorf("the history is\n%s\nwant\n%s", got, want)
					}
					if m.dead.Load() {
						killed.Add(1)
					}
				})
			}
		}
	})
	// Another engine may have been faster to take an execution on, which then needs fewer writes of the mortal one; but the
	// first is always its own.
	if killed.Load() < 2 {
		t.Errorf("only %d of %d replicas died", killed.Load(), 2*writes)
	}
}

// TestWorkflowCallsFunctions: an endpoint stands for a Lambda function, whose errorType is the error's name.
func TestWorkflowCallsFunctions(t *testing.T) {
	var pending atomic.Bool
	pending.Store(true)
	e := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		if pending.Swap(false) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = io.WriteString(w, `{"errorType":"ResourcePending","errorMessage":"not yet"}`)
			return
		}
		_, _ = io.WriteString(w, `{"status":"ACTIVE"}`)
	})
	i := installWith(t, Config{Options: Options{Functions: map[string]string{"describe": e.URL}}})
	s := i.states()
	const retry = `"Retry":[{"ErrorEquals":["ResourcePending"],"IntervalSeconds":1}]`
	machine := s.create("functions", `{"StartAt":"Plain","States":{
		"Plain":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:123456789012:function:describe:live","ResultPath":"$.plain","Next":"Invoke",`+retry+`},
		"Invoke":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"describe","Payload":{"x.$":"$.plain.status"}},
			"ResultSelector":{"payload.$":"$.Payload.status","code.$":"$.StatusCode"},"End":true}}}`)
	d := s.ended(s.start(machine, `{"in":1}`))
	if aws.StringValue(d.Output) != `{"code":200,"payload":"ACTIVE"}` {
		t.Errorf("got %v", d)
	}
	if sent := e.sent(); len(sent) != 3 || !strings.HasSuffix(sent[0], `{"in":1}`) || !strings.HasSuffix(sent[2], `{"x":"ACTIVE"}`) {
		t.Errorf("the endpoint was sent %q", sent)
	}
	_, err := s.CreateStateMachine(&sfn.CreateStateMachineInput{Name: aws.String("b"), RoleArn: aws.String(roleARN),
		Definition: aws.String(`{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:1:function:other","End":true}}}`)})
	refused(t, err, "InvalidDefinition", "no endpoint is configured for the function 'other'; there are: describe")
}

func TestWorkflowPublishes(t *testing.T) {
	i := install(t, crud.Quotas{})
	must(0, i.bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: "news"}))(t)
	s := i.states()
	machine := s.create("publish", `{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::kafka:publish","End":true,
		"Parameters":{"Topic.$":"$.topic","Key":"k","Value":{"a.$":"$.a"},"Headers":{"h":"v"}}}}}`)
	if d := s.ended(s.start(machine, `{"topic":"news","a":[1]}`)); *d.Status != "SUCCEEDED" {
		t.Fatalf("got %v", d)
	}
	ranges := map[int32]bus.OffsetRange{}
	for at, offsets := range must(i.bus.Offsets(t.Context(), "news"))(t) {
		ranges[at.Partition] = offsets
	}
	var found []string
	must(0, i.bus.ReadRange(t.Context(), "news", ranges, func(records []bus.Record) error {
		for _, r := range records {
			found = append(found, fmt.Sprintf("%s=%s", r.Key, r.Value))
		}
		return nil
	}))(t)
	if len(found) != 1 || found[0] != `k={"a":[1]}` {
		t.Errorf("the topic holds %q", found)
	}
	if d := s.ended(s.start(machine, `{"topic":"penchant.jobs","a":1}`)); aws.StringValue(d.Error) != "States.Runtime" {
		t.Errorf("got %v", d)
	}
}
