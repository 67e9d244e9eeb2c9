package asl

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	boom := fails("Boom", "why")
	for _, c := range []struct {
		name, retry string
		answers     []answer
		want        string
		began       []float64
	}{
		{"backs off twice as long each time", `{"ErrorEquals":["Boom"]}`, []answer{boom, boom, boom, succeeds(`1`)}, `1`, []float64{0, 1, 3, 7}},
		{"gives up after three attempts", `{"ErrorEquals":["Boom"]}`, []answer{boom}, `FAILED Boom: why`, []float64{0, 1, 3, 7}},
		{"waits as long as it is told", `{"ErrorEquals":["Boom"],"IntervalSeconds":10,"BackoffRate":1.5,"MaxAttempts":2}`, []answer{boom}, `FAILED Boom: why`, []float64{0, 10, 25}},
		{"waits no longer than MaxDelaySeconds", `{"ErrorEquals":["Boom"],"IntervalSeconds":10,"MaxDelaySeconds":15,"BackoffRate":4}`, []answer{boom}, `FAILED Boom: why`, []float64{0, 10, 25, 40}},
		{"polls a hundred times", `{"ErrorEquals":["Boom"],"IntervalSeconds":60,"BackoffRate":1,"MaxAttempts":100}`, []answer{boom}, `FAILED Boom: why`, everyMinute(101)},
		{"does not try again with MaxAttempts 0", `{"ErrorEquals":["Boom"],"MaxAttempts":0},{"ErrorEquals":["States.ALL"]}`, []answer{boom}, `FAILED Boom: why`, []float64{0}},
		{"leaves other errors", `{"ErrorEquals":["Other"]}`, []answer{boom}, `FAILED Boom: why`, []float64{0}},
		{"takes any error for States.ALL", `{"ErrorEquals":["States.ALL"]}`, []answer{boom, succeeds(`1`)}, `1`, []float64{0, 1}},
		{"takes any error for States.TaskFailed", `{"ErrorEquals":["States.TaskFailed"]}`, []answer{boom, succeeds(`1`)}, `1`, []float64{0, 1}},
		{"counts each retrier by itself", `{"ErrorEquals":["Boom"],"MaxAttempts":1},{"ErrorEquals":["Bang"],"MaxAttempts":1}`,
			[]answer{boom, fails("Bang", "x"), boom}, `FAILED Boom: why`, []float64{0, 1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := simulate(t, taskState(`,"Retry":[`+c.retry+`]`), `{}`, map[string][]answer{"S": c.answers})
			if s.result() != c.want {
				t.Errorf("got %s, want %s", s.result(), c.want)
			}
			if !slices.Equal(s.began["S"], c.began) {
				t.Errorf("the attempts began at %v s, want %v", s.began["S"], c.began)
			}
		})
	}
}

// everyMinute are n times, a minute apart.
func everyMinute(n int) []float64 {
	times := make([]float64, n)
	for i := range times {
		times[i] = float64(60 * i)
	}
	return times
}

func TestRetryHistory(t *testing.T) {
	t.Parallel()
	s := simulate(t, taskState(`,"Retry":[{"ErrorEquals":["Boom"]}],"Parameters":{"n.$":"$$.State.RetryCount"}`), `{}`,
		map[string][]answer{"S": {fails("Boom", ""), echoes}})
	s.wantOutput(`{"n":1}`)
	s.wantEvents(`
		1<0 ExecutionStarted
		2<0 TaskStateEntered
		3<2 TaskScheduled
		4<3 TaskStarted
		5<4 TaskFailed
		6<5 TaskScheduled
		7<6 TaskStarted
		8<7 TaskSucceeded
		9<8 TaskStateExited
		10<9 ExecutionSucceeded`)
}

// TestRetriesBeginAnewWithTheState: entering a state again gives all attempts back.
func TestRetriesBeginAnewWithTheState(t *testing.T) {
	t.Parallel()
	s := simulate(t, `{"StartAt":"S","States":{
		"S":{"Type":"Task","Resource":"arn:aws:states:::x:y","Retry":[{"ErrorEquals":["Boom"],"MaxAttempts":1}],"Catch":[{"ErrorEquals":["Boom"],"ResultPath":null,"Next":"Count"}],"Next":"Done"},
		"Count":{"Type":"Pass","Parameters":{"n.$":"States.MathAdd($.n,1)"},"Next":"S"},
		"Done":{"Type":"Succeed"}}}`, `{"n":0}`, map[string][]answer{"S": {fails("Boom", ""), fails("Boom", ""), fails("Boom", ""), fails("Boom", ""), echoes}})
	s.wantOutput(`{"n":2}`)
}

func TestFullJitter(t *testing.T) {
	t.Parallel()
	random := &source{seed: "x"}
	r := retrier{interval: 10, backOff: 2, fullJitter: true}
	var sum time.Duration
	const n = 1000
	for range n {
		d := r.delay(1, random)
		if d < 0 || d >= 20*time.Second {
			t.Fatalf("the delay is %v", d)
		}
		sum += d
	}
	if mean := sum / n; mean < 9*time.Second || mean > 11*time.Second {
		t.Errorf("the mean delay is %v, want about 10s", mean)
	}
	if d := (&retrier{interval: 60, backOff: 10}).delay(400, random); d != maxSeconds*time.Second {
		t.Errorf("the longest delay is %v", d)
	}
}

func TestCatch(t *testing.T) {
	t.Parallel()
	machine := func(catch string) string {
		return `{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::x:y","End":true,"OutputPath":"$.never","Catch":[` + catch + `]},
			"H":{"Type":"Pass","End":true},"G":{"Type":"Pass","Result":"G","End":true}}}`
	}
	// Both handlers must be reachable.
	const rest = `,{"ErrorEquals":["Unused"],"Next":"G"},{"ErrorEquals":["Unused2"],"Next":"H"}`
	for _, c := range []struct{ name, catch, want string }{
		{"puts the error in place of the input", `{"ErrorEquals":["Boom"],"Next":"H"}`, `{"Error":"Boom","Cause":"why"}`},
		{"puts the error into the input", `{"ErrorEquals":["Boom"],"ResultPath":"$.e","Next":"H"}`, `{"in":1,"e":{"Error":"Boom","Cause":"why"}}`},
		{"drops the error", `{"ErrorEquals":["Boom"],"ResultPath":null,"Next":"H"}`, `{"in":1}`},
		{"takes the first that matches", `{"ErrorEquals":["Other","Boom"],"Next":"G"},{"ErrorEquals":["Boom"],"Next":"H"}`, `"G"`},
		{"takes States.TaskFailed", `{"ErrorEquals":["States.TaskFailed"],"Next":"H"}`, `{"Error":"Boom","Cause":"why"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := simulate(t, machine(c.catch+rest), `{"in":1}`, map[string][]answer{"S": {fails("Boom", "why")}})
			s.wantOutput(c.want)
			if !strings.Contains(s.events(), "5<4 TaskFailed\n6<5 TaskStateExited\n7<6 PassStateEntered") {
				t.Errorf("the history is\n%s", s.events())
			}
		})
	}
	t.Run("leaves other errors", func(t *testing.T) {
		s := simulate(t, machine(`{"ErrorEquals":["Other"],"Next":"H"}`+rest), `{}`, map[string][]answer{"S": {fails("Boom", "why")}})
		s.wantFailure("Boom", "why")
		if strings.Contains(s.events(), "TaskStateExited") {
			t.Errorf("a state that failed has an exit:\n%s", s.events())
		}
	})
	t.Run("comes after Retry", func(t *testing.T) {
		s := simulate(t, `{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::x:y","End":true,
			"Retry":[{"ErrorEquals":["Boom"],"MaxAttempts":2}],"Catch":[{"ErrorEquals":["States.ALL"],"Next":"H"}]},"H":{"Type":"Pass","End":true}}}`, `{}`,
			map[string][]answer{"S": {fails("Boom", "")}})
		s.wantOutput(`{"Error":"Boom"}`)
		if len(s.seen["S"]) != 3 {
			t.Errorf("there were %d attempts, want 3", len(s.seen["S"]))
		}
	})
	t.Run("fails when the error finds no place", func(t *testing.T) {
		s := simulate(t, machine(`{"ErrorEquals":["Boom"],"ResultPath":"$.e","Next":"H"}`+rest), `[]`, map[string][]answer{"S": {fails("Boom", "why")}})
		s.wantFailure(ErrorResultPath, "$.e")
	})
}

// TestErrorNames says which names take which errors: one line an error, one column a name.
func TestErrorNames(t *testing.T) {
	t.Parallel()
	errorsOf := map[string]struct {
		members, input string
		answer         answer
	}{
		"task error":          {``, `{}`, fails("Personalize.ResourceInUseException", "c")},
		"timeout":             {`,"TimeoutSeconds":5`, `{}`, hangs},
		"heartbeat":           {`,"TimeoutSeconds":50,"HeartbeatSeconds":5`, `{}`, hangs},
		"input path":          {`,"InputPath":"$.x"`, `{}`, echoes},
		"output path":         {`,"OutputPath":"$.x"`, `{}`, echoes},
		"parameter path":      {`,"Parameters":{"a.$":"$.x"}`, `{}`, echoes},
		"intrinsic function":  {`,"Parameters":{"a.$":"States.ArrayLength($)"}`, `{}`, echoes},
		"result path":         {`,"ResultPath":"$.x[0]"`, `{}`, echoes},
		"result selector":     {`,"ResultSelector":{"a.$":"$.x"}`, `{}`, echoes},
		"too long":            {``, `{}`, succeeds(`"` + strings.Repeat("x", maxData) + `"`)},
		"an error of a token": {``, `{}`, fails("States.Timeout", "")},
	}
	for _, c := range []struct {
		err     string
		matches []string
	}{
		{"task error", []string{"Personalize.ResourceInUseException", "States.ALL", "States.TaskFailed"}},
		{"timeout", []string{"States.Timeout", "States.ALL"}},
		{"heartbeat", []string{"States.Timeout", "States.HeartbeatTimeout", "States.ALL"}},
		{"input path", nil},
		{"output path", nil},
		{"parameter path", []string{"States.Runtime", "States.ParameterPathFailure"}},
		{"intrinsic function", []string{"States.IntrinsicFailure", "States.ALL", "States.TaskFailed"}},
		{"result path", []string{"States.ResultPathMatchFailure", "States.ALL", "States.TaskFailed"}},
		{"result selector", []string{"States.Runtime", "States.ParameterPathFailure"}},
		{"too long", []string{"States.DataLimitExceeded"}},
		{"an error of a token", []string{"States.Timeout", "States.ALL"}},
	} {
		for _, name := range append([]string{"Personalize.ResourceInUseException"}, reservedErrors...) {
			t.Run(c.err+" by "+name, func(t *testing.T) {
				e := errorsOf[c.err]
				s := simulate(t, fmt.Sprintf(`{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::x:y","End":true%s,
					"Catch":[{"ErrorEquals":[%q],"Next":"Caught"}]},"Caught":{"Type":"Succeed"}}}`, e.members, name), e.input, map[string][]answer{"S": {e.answer}})
				if caught, want := s.x.Status == Succeeded, slices.Contains(c.matches, name); caught != want {
					t.Errorf("caught: %v, want %v; %s", caught, want, s.result())
				}
			})
		}
	}
}

// TestRuntimeErrorsPassThroughStates: what ends an execution does so from inside of branches and iterations, too.
func TestRuntimeErrorsPassThroughStates(t *testing.T) {
	t.Parallel()
	const inner = `{"StartAt":"S","States":{"S":{"Type":"Pass","InputPath":"$.x","End":true}}}`
	const catch = `"Catch":[{"ErrorEquals":["States.ALL"],"Next":"H"}],"Retry":[{"ErrorEquals":["States.ALL"]}],"End":true`
	for _, state := range []string{
		`{"Type":"Parallel","Branches":[` + inner + `],` + catch + `}`,
		`{"Type":"Map","ItemsPath":"$.l","ToleratedFailureCount":9,"ItemProcessor":` + inner + `,` + catch + `}`,
	} {
		simulate(t, `{"StartAt":"O","States":{"O":`+state+`,"H":{"Type":"Succeed"}}}`, `{"l":[{}]}`, nil).wantFailure(ErrorRuntime, "InputPath")
	}
}

func TestTaskTimeouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, members string
		seconds       float64
	}{
		{"TimeoutSeconds", `,"TimeoutSeconds":30`, 30},
		{"TimeoutSecondsPath", `,"TimeoutSecondsPath":"$.t"`, 20},
		{"HeartbeatSeconds", `,"TimeoutSeconds":30,"HeartbeatSeconds":10`, 10},
		{"HeartbeatSecondsPath", `,"TimeoutSeconds":30,"HeartbeatSecondsPath":"$.h"`, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := simulate(t, taskState(c.members), `{"t":20,"h":7}`, map[string][]answer{"S": {hangs}})
			s.wantFailure(ErrorTimeout, "")
			if s.elapsed() != c.seconds {
				t.Errorf("it took %v s, want %v", s.elapsed(), c.seconds)
			}
			if !strings.Contains(s.events(), "5<4 TaskTimedOut\n6<5 ExecutionFailed") {
				t.Errorf("the history is\n%s", s.events())
			}
		})
	}
	simulate(t, taskState(`,"TimeoutSecondsPath":"$.t"`), `{"t":0}`, nil).wantFailure(ErrorRuntime, "TimeoutSecondsPath")
	simulate(t, taskState(`,"HeartbeatSecondsPath":"$.t"`), `{"t":"1"}`, nil).wantFailure(ErrorRuntime, "HeartbeatSecondsPath")
}

func TestHeartbeatsKeepATaskAlive(t *testing.T) {
	t.Parallel()
	s := begin(t, taskState(`,"TimeoutSeconds":60,"HeartbeatSeconds":10`), `{}`, nil)
	task := s.tasks[0].ID
	for range 5 {
		s.now = s.now.Add(9 * time.Second)
		if err := s.apply(TaskHeartbeat{Task: task}); err != nil {
			t.Fatal(err)
		}
		if err := s.apply(TimePassed{}); err != nil || s.x.Status != Running {
			t.Fatalf("after %v s: %v, %s", s.elapsed(), err, s.result())
		}
	}
	if err := s.apply(TaskSucceeded{Task: task, Output: json.RawMessage(`1`)}); err != nil {
		t.Fatal(err)
	}
	s.wantOutput(`1`)
	if strings.Count(s.events(), "\n") != 6 {
		t.Errorf("heartbeats are in the history:\n%s", s.events())
	}
}

// TestResultsOfAnEarlierAttemptAreIgnored: a task that was given up cannot answer for the next one.
func TestResultsOfAnEarlierAttemptAreIgnored(t *testing.T) {
	t.Parallel()
	s := begin(t, taskState(`,"TimeoutSeconds":5,"Retry":[{"ErrorEquals":["States.Timeout"]}]`), `{}`, nil)
	first := s.tasks[0].ID
	for range 2 { // the timeout, and the pause
		s.now = s.x.Deadline()
		if err := s.apply(TimePassed{}); err != nil {
			t.Fatal(err)
		}
	}
	if tasks := s.x.Tasks(s.machine); len(tasks) != 1 || tasks[0].ID == first {
		t.Fatalf("the execution waits for %+v", tasks)
	}
	if err := s.apply(TaskSucceeded{Task: first, Output: json.RawMessage(`1`)}); err == nil {
		t.Error("the first attempt's result was taken")
	}
}
