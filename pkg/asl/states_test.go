package asl

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPass(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, members, input, want string }{
		{"passes its input on", ``, `{"a":1}`, `{"a":1}`},
		{"keeps numbers as they are written", ``, `{"a":12345678901234567890,"b":1.50}`, `{"a":12345678901234567890,"b":1.50}`},
		{"puts a result in place of the input", `,"Result":{"x":[1]}`, `{"a":1}`, `{"x":[1]}`},
		{"takes null for a result", `,"Result":null`, `{"a":1}`, `null`},
		{"puts the result into the input", `,"Result":2,"ResultPath":"$.b.c"`, `{"a":1}`, `{"a":1,"b":{"c":2}}`},
		{"replaces an element", `,"Result":2,"ResultPath":"$.a[1]"`, `{"a":[0,1]}`, `{"a":[0,2]}`},
		{"drops the result for ResultPath null", `,"Result":2,"ResultPath":null`, `{"a":1}`, `{"a":1}`},
		{"selects its input", `,"InputPath":"$.a"`, `{"a":{"b":1}}`, `{"b":1}`},
		{"has an empty input for InputPath null", `,"InputPath":null`, `{"a":1}`, `{}`},
		{"selects its output", `,"OutputPath":"$.a"`, `{"a":{"b":1}}`, `{"b":1}`},
		{"has an empty output for OutputPath null", `,"OutputPath":null`, `{"a":1}`, `{}`},
		{"puts the result into the raw input, not into the selected one", `,"InputPath":"$.a","ResultPath":"$.r"`, `{"a":1,"b":2}`, `{"a":1,"b":2,"r":1}`},
		{"fills Parameters", `,"Parameters":{"c":"x","d.$":"$.a","e":[{"f.$":"$.b[0]"}]}`, `{"a":1,"b":[2]}`, `{"c":"x","d":1,"e":[{"f":2}]}`},
		{"reads the context object", `,"Parameters":{"n.$":"$$.Execution.Name","i.$":"$$.Execution.Input.a","s.$":"$$.State.Name","m.$":"$$.StateMachine.Name","t.$":"$$.State.EnteredTime"}`,
			`{"a":7}`, `{"n":"run","i":7,"s":"S","m":"machine","t":"2026-03-01T12:00:00.000Z"}`},
		{"takes any JSON for an input", ``, `"text"`, `"text"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulate(t, single(`{"Type":"Pass","End":true`+c.members+`}`), c.input, nil).wantOutput(c.want)
		})
	}
}

func TestBrokenPathsEndTheExecution(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, members, input, cause string }{
		{"InputPath", `,"InputPath":"$.x"`, `{}`, "An error occurred while executing the state 'S' (entered at the event id #2). The JSONPath '$.x' specified for the field 'InputPath' could not be found in the input '{}'"},
		{"OutputPath", `,"OutputPath":"$.x"`, `{}`, "'OutputPath'"},
		{"Parameters", `,"Parameters":{"a.$":"$.x"}`, `{}`, "The JSONPath '$.x' specified for the field 'a.$' could not be found in the input '{}'"},
		{"the context object", `,"Parameters":{"a.$":"$$.Task.Token"}`, `{}`, "could not be found in the context object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulate(t, single(`{"Type":"Pass","End":true`+c.members+`}`), c.input, nil).wantFailure(ErrorRuntime, c.cause)
		})
	}
	simulate(t, single(`{"Type":"Pass","End":true,"ResultPath":"$.a[3]"}`), `{"a":[]}`, nil).wantFailure(ErrorResultPath, `"$.a[3]"`)
	simulate(t, single(`{"Type":"Pass","End":true,"ResultPath":"$.a"}`), `[]`, nil).wantFailure(ErrorResultPath, `"$.a"`)
}

func TestTask(t *testing.T) {
	t.Parallel()
	s := simulate(t, taskState(`,"InputPath":"$.in","Parameters":{"Name.$":"$.name"},"ResultSelector":{"arn.$":"$.SchemaArn"},"ResultPath":"$.made","OutputPath":"$.made"`),
		`{"in":{"name":"films"}}`, map[string][]answer{"S": {succeeds(`{"SchemaArn":"arn:x"}`)}})
	s.wantOutput(`{"arn":"arn:x"}`)
	if got := s.seen["S"]; len(got) != 1 || got[0] != `{"Name":"films"}` {
		t.Errorf("the task ran with %q", got)
	}
	s.wantEvents(`
		1<0 ExecutionStarted
		2<0 TaskStateEntered
		3<2 TaskScheduled
		4<3 TaskStarted
		5<4 TaskSucceeded
		6<5 TaskStateExited
		7<6 ExecutionSucceeded`)
	for i, want := range []string{
		`"executionStartedEventDetails":{"input":"{\"in\":{\"name\":\"films\"}}","inputDetails":{"truncated":false},"roleArn":"arn:aws:iam::000000000000:role/r"}`,
		`"stateEnteredEventDetails":{"name":"S","input":"{\"in\":{\"name\":\"films\"}}","inputDetails":{"truncated":false}}`,
		`"taskScheduledEventDetails":{"resourceType":"aws-sdk:personalize","resource":"createSchema","region":"us-east-1","parameters":"{\"Name\":\"films\"}"}`,
		`"taskStartedEventDetails":{"resourceType":"aws-sdk:personalize","resource":"createSchema"}`,
		`"taskSucceededEventDetails":{"resourceType":"aws-sdk:personalize","resource":"createSchema","output":"{\"SchemaArn\":\"arn:x\"}","outputDetails":{"truncated":false}}`,
		`"stateExitedEventDetails":{"name":"S","output":"{\"arn\":\"arn:x\"}","outputDetails":{"truncated":false}}`,
		`"executionSucceededEventDetails":{"output":"{\"arn\":\"arn:x\"}","outputDetails":{"truncated":false}}`,
	} {
		if got := encoded(t, s.history[i]); !strings.Contains(got, want) || !strings.Contains(got, `"timestamp":1772366400.000`) {
			t.Errorf("event %d is %s, want it to hold %s", i+1, got, want)
		}
	}
}

func TestTaskOfAFunction(t *testing.T) {
	t.Parallel()
	s := simulate(t, single(`{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:123456789012:function:make","End":true}`), `{"a":1}`,
		map[string][]answer{"S": {succeeds(`2`)}})
	s.wantOutput(`2`)
	s.wantEvents(`
		1<0 ExecutionStarted
		2<0 TaskStateEntered
		3<2 LambdaFunctionScheduled
		4<3 LambdaFunctionStarted
		5<4 LambdaFunctionSucceeded
		6<5 TaskStateExited
		7<6 ExecutionSucceeded`)
}

func TestTaskEndsOnce(t *testing.T) {
	t.Parallel()
	s := begin(t, taskState(``), `{}`, nil)
	id := s.tasks[0].ID
	if err := s.apply(TaskSucceeded{Task: id + 1, Output: json.RawMessage(`1`)}); !errors.Is(err, ErrNoTask) {
		t.Errorf("an unknown task gave %v", err)
	}
	if err := s.apply(TaskSucceeded{Task: id, Output: json.RawMessage(`1`)}); err != nil {
		t.Fatal(err)
	}
	if err := s.apply(TaskSucceeded{Task: id, Output: json.RawMessage(`2`)}); !errors.Is(err, ErrEnded) {
		t.Errorf("a second result gave %v", err)
	}
	s.wantOutput(`1`)
}

func TestTaskToken(t *testing.T) {
	t.Parallel()
	const definition = `{"StartAt":"Ask","States":{"Ask":{"Type":"Task","Resource":"arn:aws:states:::http:invoke.waitForTaskToken",
		"Parameters":{"RequestBody":{"token.$":"$$.Task.Token"}},"End":true}}}`
	s := begin(t, definition, `{}`, nil)
	var parameters struct{ RequestBody struct{ Token string } }
	if err := json.Unmarshal(s.tasks[0].Parameters, &parameters); err != nil {
		t.Fatal(err)
	}
	token := parameters.RequestBody.Token
	execution, task, err := ParseToken(token)
	if err != nil || execution != testInfo.ID || task != s.tasks[0].ID {
		t.Fatalf("the token %q names %s, task %d: %v", token, execution, task, err)
	}
	if !s.x.Gave(token) {
		t.Error("the execution does not know its token")
	}
	forger := reload(t, s.x)
	forger.Info.Secret = "guessed"
	if s.x.Gave(forger.token(task)) || s.x.Gave("") || s.x.Gave("%%%") {
		t.Error("a forged token was taken")
	}
	if err := s.apply(TaskSubmitted{Task: task, Output: json.RawMessage(`{"StatusCode":200}`)}); err != nil {
		t.Fatal(err)
	}
	if tasks := s.x.Tasks(s.machine); len(tasks) != 1 || !tasks[0].Submitted {
		t.Errorf("the execution waits for %+v, want the submitted task", tasks)
	}
	if err := s.apply(TaskSucceeded{Task: task, Output: json.RawMessage(`"approved"`)}); err != nil {
		t.Fatal(err)
	}
	s.wantOutput(`"approved"`)
	s.wantEvents(`
		1<0 ExecutionStarted
		2<0 TaskStateEntered
		3<2 TaskScheduled
		4<3 TaskStarted
		5<4 TaskSubmitted
		6<5 TaskSucceeded
		7<6 TaskStateExited
		8<7 ExecutionSucceeded`)
}

func TestWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, members, input string
		seconds              float64
	}{
		{"seconds", `"Seconds":90`, `{}`, 90},
		{"no time", `"Seconds":0`, `{}`, 0},
		{"seconds of the input", `"SecondsPath":"$.s"`, `{"s":30}`, 30},
		{"timestamp", `"Timestamp":"2026-03-01T12:01:00Z"`, `{}`, 60},
		{"timestamp of the input", `"TimestampPath":"$.t"`, `{"t":"2026-03-01T13:00:00.500+01:00"}`, 0.5},
		{"a time that has passed", `"Timestamp":"2020-01-01T00:00:00Z"`, `{}`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := simulate(t, single(`{"Type":"Wait","End":true,`+c.members+`}`), c.input, nil)
			s.wantOutput(c.input)
			if s.elapsed() != c.seconds {
				t.Errorf("it took %v s, want %v", s.elapsed(), c.seconds)
			}
		})
	}
	for _, c := range []struct{ name, members, input, cause string }{
		{"a fraction", `"SecondsPath":"$.s"`, `{"s":1.5}`, "$.s == 1.5"},
		{"a negative time", `"SecondsPath":"$.s"`, `{"s":-1}`, "$.s == -1"},
		{"a text", `"SecondsPath":"$.s"`, `{"s":"1"}`, `$.s == "1"`},
		{"nothing", `"SecondsPath":"$.s"`, `{}`, "SecondsPath"},
		{"a timestamp without a zone", `"TimestampPath":"$.t"`, `{"t":"2026-03-01T12:00:00"}`, "$.t == "},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulate(t, single(`{"Type":"Wait","End":true,`+c.members+`}`), c.input, nil).wantFailure(ErrorRuntime, c.cause)
		})
	}
}

func TestTimersFireWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	s := begin(t, single(`{"Type":"Wait","End":true,"Seconds":10}`), `{}`, nil)
	s.now = clockStart.Add(10*time.Second - time.Millisecond)
	if err := s.apply(TimePassed{}); err != nil || s.x.Status != Running {
		t.Errorf("before its time: %v, %s", err, s.x.Status)
	}
	s.now = clockStart.Add(time.Hour) // the process was down
	if err := s.apply(TimePassed{}); err != nil || s.x.Status != Succeeded {
		t.Errorf("after its time: %v, %s", err, s.x.Status)
	}
}

func TestSucceed(t *testing.T) {
	t.Parallel()
	s := simulate(t, single(`{"Type":"Succeed","InputPath":"$.a","OutputPath":"$.b"}`), `{"a":{"b":1}}`, nil)
	s.wantOutput(`1`)
	s.wantEvents("1<0 ExecutionStarted\n2<0 SucceedStateEntered\n3<2 SucceedStateExited\n4<3 ExecutionSucceeded")
}

func TestFail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, members, input, wantError, wantCause string }{
		{"constant", `,"Error":"E","Cause":"why"`, `{}`, "E", "why"},
		{"without anything", ``, `{}`, "", ""},
		{"paths", `,"ErrorPath":"$.e","CausePath":"$.c"`, `{"e":"E","c":"why"}`, "E", "why"},
		{"calls", `,"Error":"E","CausePath":"States.Format('because {}', $.c)"`, `{"c":7}`, "E", "because 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := simulate(t, single(`{"Type":"Fail"`+c.members+`}`), c.input, nil)
			if s.x.Status != Failed || s.x.Error != c.wantError || s.x.Cause != c.wantCause {
				t.Errorf("got %s", s.result())
			}
			s.wantEvents("1<0 ExecutionStarted\n2<0 FailStateEntered\n3<2 ExecutionFailed")
		})
	}
	simulate(t, single(`{"Type":"Fail","ErrorPath":"$.e"}`), `{}`, nil).wantFailure(ErrorRuntime, "ErrorPath")
	simulate(t, single(`{"Type":"Fail","CausePath":"$.e"}`), `{"e":1}`, nil).wantFailure(ErrorRuntime, "must be a string")
}

const twoBranches = `{"StartAt":"P","States":{"P":{"Type":"Parallel","Branches":[
	{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::x:y","End":true}}},
	{"StartAt":"B","States":{"B":{"Type":"Wait","Seconds":5,"Next":"C"},"C":{"Type":"Pass","Result":"c","End":true}}}],"Next":"Z"%s},
	"Z":{"Type":"Pass","End":true}}}`

func withMembers(definition, members string) string {
	return strings.Replace(definition, "%s", members, 1)
}

func TestParallel(t *testing.T) {
	t.Parallel()
	s := simulate(t, withMembers(twoBranches, `,"Parameters":{"x.$":"$.a"},"ResultSelector":{"r.$":"$[1]","all.$":"$"},"ResultPath":"$.p"`), `{"a":1}`, nil)
	s.wantOutput(`{"a":1,"p":{"r":"c","all":[{"x":1},"c"]}}`)
	s.wantEvents(`
		1<0 ExecutionStarted
		2<0 ParallelStateEntered
		3<2 ParallelStateStarted
		4<3 TaskStateEntered
		5<4 TaskScheduled
		6<5 TaskStarted
		7<3 WaitStateEntered
		8<6 TaskSucceeded
		9<8 TaskStateExited
		10<7 WaitStateExited
		11<10 PassStateEntered
		12<11 PassStateExited
		13<12 ParallelStateSucceeded
		14<13 ParallelStateExited
		15<14 PassStateEntered
		16<15 PassStateExited
		17<16 ExecutionSucceeded`)
}

func TestParallelFailsWithItsFirstBranch(t *testing.T) {
	t.Parallel()
	answers := map[string][]answer{"A": {fails("Boom", "why")}}
	s := simulate(t, withMembers(twoBranches, ``), `{}`, answers)
	s.wantFailure("Boom", "why")
	s.wantEvents(`
		1<0 ExecutionStarted
		2<0 ParallelStateEntered
		3<2 ParallelStateStarted
		4<3 TaskStateEntered
		5<4 TaskScheduled
		6<5 TaskStarted
		7<3 WaitStateEntered
		8<6 TaskFailed
		9<8 ParallelStateFailed
		10<9 ExecutionFailed`)
	for _, name := range []string{"Boom", ErrorBranchFailed, ErrorTaskFailed, ErrorAll} {
		s := simulate(t, withMembers(twoBranches, `,"Catch":[{"ErrorEquals":["`+name+`"],"Next":"Z"}]`), `{}`, answers)
		s.wantOutput(`{"Error":"Boom","Cause":"why"}`)
	}
}

func TestParallelIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := simulate(t, withMembers(twoBranches, `,"Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":60}]`), `{}`,
		map[string][]answer{"A": {fails("Boom", ""), succeeds(`"a"`)}})
	s.wantOutput(`["a","c"]`)
	if s.elapsed() != 65 {
		t.Errorf("it took %v s, want 60 before the second attempt and 5 in it", s.elapsed())
	}
	if strings.Contains(s.events(), "ParallelStateFailed") || strings.Count(s.events(), "ParallelStateStarted") != 2 {
		t.Errorf("the history is\n%s", s.events())
	}
}

func TestParallelOfStatesThatEndAtOnce(t *testing.T) {
	t.Parallel()
	simulate(t, `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
		{"StartAt":"A","States":{"A":{"Type":"Pass","Result":1,"End":true}}},
		{"StartAt":"B","States":{"B":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"C","States":{"C":{"Type":"Succeed"}}}]}}}]}}}`,
		`{"in":1}`, nil).wantOutput(`[1,[{"in":1}]]`)
	simulate(t, `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
		{"StartAt":"A","States":{"A":{"Type":"Fail","Error":"E"}}},
		{"StartAt":"B","States":{"B":{"Type":"Task","Resource":"arn:aws:states:::x:y","End":true}}}]}}}`, `{}`, nil).wantFailure("E", "")
}

const mapOfTasks = `{"StartAt":"M","States":{"M":{"Type":"Map","ItemProcessor":{"ProcessorConfig":{"Mode":"INLINE"},"StartAt":"T","States":{
	"T":{"Type":"Task","Resource":"arn:aws:states:::x:y","End":true}}},"End":true%s}}}`

func TestMap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, members, input, want string }{
		{"each item", ``, `[1,{"a":2},"c"]`, `[1,{"a":2},"c"]`},
		{"no items", ``, `[]`, `[]`},
		{"items at a path", `,"ItemsPath":"$.list"`, `{"list":[1,2]}`, `[1,2]`},
		{"items behind InputPath", `,"InputPath":"$.in","ItemsPath":"$.list"`, `{"in":{"list":[1,2]}}`, `[1,2]`},
		{"items at a wildcard", `,"ItemsPath":"$.list[*].x"`, `{"list":[{"x":1},{},{"x":2}]}`, `[1,2]`},
		{"ItemSelector", `,"ItemsPath":"$.list","ItemSelector":{"i.$":"$$.Map.Item.Index","v.$":"$$.Map.Item.Value","all.$":"$.k"}`,
			`{"list":["a","b"],"k":9}`, `[{"i":0,"v":"a","all":9},{"i":1,"v":"b","all":9}]`},
		{"Parameters, as it was called before", `,"Parameters":{"v.$":"$$.Map.Item.Value"}`, `["a"]`, `[{"v":"a"}]`},
		{"result selected and placed", `,"ItemsPath":"$.l","ResultSelector":{"n.$":"States.ArrayLength($)"},"ResultPath":"$.r"`, `{"l":[1,2,3]}`, `{"l":[1,2,3],"r":{"n":3}}`},
		{"one after the other", `,"MaxConcurrency":1`, `[1,2,3]`, `[1,2,3]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulate(t, withMembers(mapOfTasks, c.members), c.input, nil).wantOutput(c.want)
		})
	}
	simulate(t, withMembers(mapOfTasks, ``), `{"a":1}`, nil).wantFailure(ErrorRuntime, `Reference path "$" must point to array.`)
	simulate(t, withMembers(mapOfTasks, `,"ItemsPath":"$.x"`), `{}`, nil).wantFailure(ErrorRuntime, "ItemsPath")
	simulate(t, withMembers(mapOfTasks, `,"ItemSelector":{"a.$":"$.x"}`), `[1]`, nil).wantFailure(ErrorRuntime, "'a.$'")
	legacy := `{"StartAt":"M","States":{"M":{"Type":"Map","Iterator":{"StartAt":"T","States":{"T":{"Type":"Pass","End":true}}},"End":true}}}`
	simulate(t, legacy, `[1,2]`, nil).wantOutput(`[1,2]`)
}

func TestMapHistory(t *testing.T) {
	t.Parallel()
	s := simulate(t, `{"StartAt":"M","States":{"M":{"Type":"Map","MaxConcurrency":1,"ItemProcessor":{"StartAt":"T","States":{
		"T":{"Type":"Wait","Seconds":1,"End":true}}},"End":true}}}`, `[1,2]`, nil)
	s.wantEvents(`
		1<0 ExecutionStarted
		2<0 MapStateEntered
		3<2 MapStateStarted
		4<3 MapIterationStarted
		5<4 WaitStateEntered
		6<5 WaitStateExited
		7<6 MapIterationSucceeded
		8<6 MapIterationStarted
		9<8 WaitStateEntered
		10<9 WaitStateExited
		11<10 MapIterationSucceeded
		12<11 MapStateSucceeded
		13<12 MapStateExited
		14<13 ExecutionSucceeded`)
	if got := encoded(t, s.history[7]); !strings.Contains(got, `"mapIterationStartedEventDetails":{"name":"M","index":1}`) {
		t.Errorf("the second iteration begins with %s", got)
	}
	if got := encoded(t, s.history[2]); !strings.Contains(got, `"mapStateStartedEventDetails":{"length":2}`) {
		t.Errorf("the map begins with %s", got)
	}
}

func TestMapConcurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, members, input string
		want                 int
	}{
		{"bounded by the definition", `,"ItemsPath":"$.l","MaxConcurrency":3`, `{"l":[1,2,3,4,5,6,7]}`, 3},
		{"bounded by the input", `,"ItemsPath":"$.l","MaxConcurrencyPath":"$.c"`, `{"l":[1,2,3,4,5,6,7],"c":2}`, 2},
		{"bounded by all items", `,"ItemsPath":"$.l","MaxConcurrency":0`, `{"l":[1,2,3,4]}`, 4},
		{"bounded by 40", `,"ItemsPath":"$.l"`, `{"l":[` + strings.Repeat("1,", 59) + `1]}`, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := begin(t, withMembers(mapOfTasks, c.members), c.input, nil)
			most := 0
			for ok := true; ok; ok = s.advance() {
				most = max(most, len(s.x.Tasks(s.machine)))
			}
			if most != c.want || s.x.Status != Succeeded {
				t.Errorf("%d tasks ran at once, want %d; %s", most, c.want, s.result())
			}
		})
	}
	simulate(t, withMembers(mapOfTasks, `,"ItemsPath":"$.l","MaxConcurrencyPath":"$.c"`), `{"l":[1],"c":-1}`, nil).wantFailure(ErrorRuntime, "MaxConcurrencyPath")
}

func TestMapFailure(t *testing.T) {
	t.Parallel()
	second := map[string][]answer{"T": {echoes, fails("Boom", "why"), echoes}}
	s := simulate(t, withMembers(mapOfTasks, `,"MaxConcurrency":1`), `[1,2,3]`, second)
	s.wantFailure("Boom", "why")
	if events := s.events(); !strings.Contains(events, "MapIterationFailed\n17<16 MapStateFailed\n18<17 ExecutionFailed") {
		t.Errorf("the history is\n%s", events)
	}
	if len(s.seen["T"]) != 2 {
		t.Errorf("%d iterations ran, want none after the failure", len(s.seen["T"]))
	}
	s = simulate(t, withMembers(mapOfTasks, ``), `[1,2,3]`, map[string][]answer{"T": {fails("Boom", "why")}})
	if strings.Count(s.events(), "MapIterationAborted") != 2 {
		t.Errorf("the history is\n%s", s.events())
	}
	s = simulate(t, withMembers(mapOfTasks, `,"MaxConcurrency":1,"Retry":[{"ErrorEquals":["Boom"]}]`), `[1,2]`, second)
	s.wantOutput(`[1,2]`)
	if strings.Contains(s.events(), "MapStateFailed") || strings.Count(s.events(), "MapIterationFailed") != 1 || strings.Count(s.events(), "MapStateStarted") != 2 {
		t.Errorf("the history is\n%s", s.events())
	}
}

func TestMapToleratesFailures(t *testing.T) {
	t.Parallel()
	failing := func(task Task) Event {
		if string(task.Parameters) == `"bad"` {
			return TaskFailed{Task: task.ID, Error: "Bad", Cause: "item"}
		}
		return echoes(task)
	}
	answers := map[string][]answer{"T": {failing}}
	const bad = `{"Error":"Bad","Cause":"item"}`
	for _, members := range []string{
		`"ToleratedFailureCount":1`, `"ToleratedFailurePercentage":25`, `"ToleratedFailureCountPath":"$.n"`, `"ToleratedFailurePercentagePath":"$.p"`,
	} {
		s := simulate(t, withMembers(mapOfTasks, `,"ItemsPath":"$.l",`+members), `{"l":["a","bad","c","d"],"n":1,"p":25.5}`, answers)
		s.wantOutput(`["a",` + bad + `,"c","d"]`)
		s = simulate(t, withMembers(mapOfTasks, `,"ItemsPath":"$.l",`+members), `{"l":["bad","bad","c","d"],"n":1,"p":25.5}`, answers)
		s.wantFailure(ErrorThreshold, "2 of 4")
	}
	simulate(t, withMembers(mapOfTasks, `,"ItemsPath":"$.l","ToleratedFailurePercentagePath":"$.p"`), `{"l":[],"p":101}`, answers).wantFailure(ErrorRuntime, "== 101")
}

func TestNestedMapsSeeTheirOwnItem(t *testing.T) {
	t.Parallel()
	simulate(t, `{"StartAt":"Outer","States":{"Outer":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"Inner","States":{
		"Inner":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","End":true,
			"Parameters":{"i.$":"$$.Map.Item.Index","v.$":"$$.Map.Item.Value"}}}}}}}}}}`, `[["a"],["b","c"]]`, nil).
		wantOutput(`[[{"i":0,"v":"a"}],[{"i":0,"v":"b"},{"i":1,"v":"c"}]]`)
}

func TestMachineTimeout(t *testing.T) {
	t.Parallel()
	s := simulate(t, `{"TimeoutSeconds":30,"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::x:y","End":true,
		"Catch":[{"ErrorEquals":["States.ALL"],"Next":"C"}]},"C":{"Type":"Succeed"}}}`, `{}`, map[string][]answer{"T": {hangs}})
	if s.x.Status != TimedOut || s.x.Error != "" || s.elapsed() != 30 {
		t.Errorf("after %v s: %s", s.elapsed(), s.result())
	}
	if last := s.history[len(s.history)-1]; last.Type != "ExecutionTimedOut" {
		t.Errorf("the last event is %s", last.Type)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	s := begin(t, taskState(``), `{}`, nil)
	if err := s.apply(Stopped{Error: "E", Cause: "enough"}); err != nil {
		t.Fatal(err)
	}
	if s.x.Status != Aborted || s.x.Error != "E" || s.x.Cause != "enough" || len(s.x.Tasks(s.machine)) > 0 {
		t.Errorf("got %s", s.result())
	}
	if last := s.history[len(s.history)-1]; last.Type != "ExecutionAborted" || last.Previous != 0 {
		t.Errorf("the last event is %+v", last)
	}
	if err := s.apply(Stopped{}); !errors.Is(err, ErrEnded) {
		t.Errorf("a second stop gave %v", err)
	}
	s.checkHistory()
}

func TestLimits(t *testing.T) {
	t.Parallel()
	loop := `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Choice","Choices":[{"Variable":"$.x","IsPresent":true,"Next":"C"}],"Default":"A"},"C":{"Type":"Succeed"}}}`
	s := simulate(t, loop, `{}`, nil)
	s.wantFailure(ErrorRuntime, "maximum number of history events")
	if len(s.history) > maxEvents {
		t.Errorf("the history has %d events", len(s.history))
	}
	long := `"` + strings.Repeat("x", maxData) + `"`
	s = simulate(t, taskState(`,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"S"}]`), `{}`, map[string][]answer{"S": {succeeds(long)}})
	s.wantFailure(ErrorDataLimit, "result")
	simulate(t, single(`{"Type":"Pass","End":true}`), long, nil).wantFailure(ErrorDataLimit, "input")
	simulate(t, single(`{"Type":"Pass","End":true,"Parameters":{"a.$":"$","b.$":"$"}}`), long[:maxData/2]+`"`, nil).wantFailure(ErrorDataLimit, "output")
	if _, _, err := mustParse(t, taskState(``)).Start(testInfo, json.RawMessage(`{`), clockStart); err == nil {
		t.Error("an input that is no JSON was taken")
	}
}
