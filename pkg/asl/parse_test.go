package asl

import (
	"errors"
	"strings"
	"testing"
)

const lambdaTask = `"Type":"Task","Resource":"arn:aws:lambda:us-east-1:1:function:f","End":true`

// TestDiagnostics: a definition and the one thing that is wrong with it.
func TestDiagnostics(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, definition, code, location, message string }{
		{"no JSON", `{`, CodeInvalidJSON, "", "reading JSON"},
		{"more than one value", `{} {}`, CodeInvalidJSON, "", "more behind"},
		{"no object", `[]`, CodeInvalidJSON, "", "must be an object"},
		{"a member twice", `{"StartAt":"S","States":{"S":{"Type":"Succeed","Type":"Fail"}}}`, CodeInvalidJSON, "/States/S", "'Type' is there twice"},
		{"no StartAt", `{"States":{"S":{"Type":"Succeed"}}}`, CodeSchema, "/StartAt", "'StartAt' is required"},
		{"no States", `{"StartAt":"S"}`, CodeSchema, "/States", "'States' is required"},
		{"no state", `{"StartAt":"S","States":{}}`, CodeSchema, "/States", "at least one state"},
		{"an absent first state", `{"StartAt":"X","States":{"S":{"Type":"Succeed"}}}`, CodeMissingTransition, "/StartAt", "Missing 'StartAt' target: X"},
		{"an absent next state", single(`{"Type":"Pass","Next":"X"}`), CodeMissingTransition, "/States/S/Next", "Missing 'Next' target: X"},
		{"an absent default", single(`{"Type":"Choice","Choices":[{"Variable":"$.a","IsNull":true,"Next":"S"}],"Default":"X"}`), CodeMissingTransition, "/States/S/Default", "target: X"},
		{"an absent choice", single(`{"Type":"Choice","Choices":[{"Variable":"$.a","IsNull":true,"Next":"X"}]}`), CodeMissingTransition, "/States/S/Choices/0/Next", "target: X"},
		{"an absent handler", single(`{` + lambdaTask + `,"Catch":[{"ErrorEquals":["A"],"Next":"X"}]}`), CodeMissingTransition, "/States/S/Catch/0/Next", "target: X"},
		{"a state that nothing leads to", `{"StartAt":"S","States":{"S":{"Type":"Succeed"},"U":{"Type":"Succeed"}}}`, CodeMissingTransition, "/States/U", "'U' is not reachable"},
		{"a name that is too long", `{"StartAt":"` + strings.Repeat("x", 81) + `","States":{"` + strings.Repeat("x", 81) + `":{"Type":"Succeed"}}}`, CodeSchema, "/States/" + strings.Repeat("x", 81), "1 to 80 characters"},
		{"a name within a branch that is taken", single(`{"Type":"Parallel","End":true,"Branches":[{"StartAt":"S","States":{"S":{"Type":"Succeed"}}}]}`), CodeDuplicateName, "/States/S/Branches/0/States/S", "two states named 'S'"},
		{"an unknown member", single(`{"Type":"Succeed","Colour":1}`), CodeSchema, "/States/S/Colour", "'Colour' is not supported"},
		{"a member of another type", single(`{"Type":"Succeed","Next":"S"}`), CodeSchema, "/States/S/Next", "'Next' is not supported"},
		{"an unknown member of the machine", `{"StartAt":"S","States":{"S":{"Type":"Succeed"}},"a/b":1}`, CodeSchema, "/a~1b", "not supported"},
		{"no type", single(`{}`), CodeSchema, "/States/S/Type", "'Type' is required"},
		{"an unknown type", single(`{"Type":"Work"}`), CodeSchema, "/States/S/Type", "not 'Work'"},
		{"a state that is none", single(`1`), CodeSchema, "/States/S", "must be an object, not a number"},
		{"neither Next nor End", single(`{"Type":"Pass"}`), CodeSchema, "/States/S", "One of 'Next' and 'End'"},
		{"Next and End", single(`{"Type":"Pass","Next":"S","End":true}`), CodeSchema, "/States/S", "Only one of 'Next' and 'End'"},
		{"a version", `{"Version":"2.0","StartAt":"S","States":{"S":{"Type":"Succeed"}}}`, CodeSchema, "/Version", "1.0"},
		{"a timeout", `{"TimeoutSeconds":0,"StartAt":"S","States":{"S":{"Type":"Succeed"}}}`, CodeSchema, "/TimeoutSeconds", "from 1 to 99999999"},
		{"a path", single(`{"Type":"Succeed","InputPath":"a"}`), CodeSchema, "/States/S/InputPath", "valid JSONPath"},
		{"a path of another type", single(`{"Type":"Succeed","OutputPath":1}`), CodeSchema, "/States/S/OutputPath", "must be a string, not a number"},
		{"a result path with a wildcard", single(`{"Type":"Pass","End":true,"ResultPath":"$.*"}`), CodeSchema, "/States/S/ResultPath", "reference path"},
		{"a result path into the context object", single(`{"Type":"Pass","End":true,"ResultPath":"$$.a"}`), CodeSchema, "/States/S/ResultPath", "reference path"},
		{"a parameter that is no path", single(`{"Type":"Pass","End":true,"Parameters":{"a":[{"b.$":"x"}]}}`), CodeSchema, "/States/S/Parameters/a/0/b.$", "there is no function 'x'"},
		{"a parameter that is no text", single(`{"Type":"Pass","End":true,"Parameters":{"b.$":1}}`), CodeSchema, "/States/S/Parameters/b.$", "must be a valid JSONPath"},
		{"a parameter twice", single(`{"Type":"Pass","End":true,"Parameters":{"b.$":"$","b":1}}`), CodeSchema, "/States/S/Parameters/b.$", "there twice"},
		{"no resource", single(`{"Type":"Task","End":true}`), CodeSchema, "/States/S/Resource", "'Resource' is required"},
		{"a resource that is no ARN", single(`{"Type":"Task","End":true,"Resource":"x"}`), CodeSchema, "/States/S/Resource", "'x' is no ARN"},
		{"an activity", single(`{"Type":"Task","End":true,"Resource":"arn:aws:states:us-east-1:1:activity:a"}`), CodeSchema, "/States/S/Resource", "is an activity"},
		{".sync", single(`{"Type":"Task","End":true,"Resource":"arn:aws:states:::glue:startJobRun.sync"}`), CodeSchema, "/States/S/Resource", ".sync, which is not supported"},
		{"another service", single(`{"Type":"Task","End":true,"Resource":"arn:aws:sns:us-east-1:1:topic"}`), CodeSchema, "/States/S/Resource", "neither a service integration nor"},
		{"a resource that is refused", single(`{"Type":"Task","End":true,"Resource":"arn:aws:states:::refused:x"}`), CodeSchema, "/States/S/Resource", "refused here"},
		{"a heartbeat beyond the timeout", single(`{` + lambdaTask + `,"TimeoutSeconds":5,"HeartbeatSeconds":5}`), CodeSchema, "/States/S/HeartbeatSeconds", "less than"},
		{"a timeout and its path", single(`{` + lambdaTask + `,"TimeoutSeconds":5,"TimeoutSecondsPath":"$.a"}`), CodeSchema, "/States/S/TimeoutSecondsPath", "Only one of"},
		{"a fraction of seconds", single(`{` + lambdaTask + `,"TimeoutSeconds":5.5}`), CodeSchema, "/States/S/TimeoutSeconds", "whole number"},
		{"no time to wait", single(`{"Type":"Wait","End":true}`), CodeSchema, "/States/S", "exactly one of 'Seconds'"},
		{"two times to wait", single(`{"Type":"Wait","End":true,"Seconds":1,"TimestampPath":"$.t"}`), CodeSchema, "/States/S", "exactly one of 'Seconds'"},
		{"a timestamp without a zone", single(`{"Type":"Wait","End":true,"Timestamp":"2026-01-01T00:00:00"}`), CodeSchema, "/States/S/Timestamp", "must be a timestamp"},
		{"an error and its path", single(`{"Type":"Fail","Error":"E","ErrorPath":"$.e"}`), CodeSchema, "/States/S/ErrorPath", "Only one of"},
		{"an error path that is none", single(`{"Type":"Fail","ErrorPath":"e"}`), CodeSchema, "/States/S/ErrorPath", "valid JSONPath"},
		{"no branches", single(`{"Type":"Parallel","End":true}`), CodeSchema, "/States/S/Branches", "required"},
		{"empty branches", single(`{"Type":"Parallel","End":true,"Branches":[]}`), CodeSchema, "/States/S/Branches", "at least one branch"},
		{"a wrong state in a branch", single(`{"Type":"Parallel","End":true,"Branches":[{"StartAt":"A","States":{"A":{"Type":"Pass"}}}]}`), CodeSchema, "/States/S/Branches/0/States/A", "One of 'Next' and 'End'"},
		{"no processor", single(`{"Type":"Map","End":true}`), CodeSchema, "/States/S/ItemProcessor", "required"},
		{"a distributed map", single(`{"Type":"Map","End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED"},"StartAt":"A","States":{"A":{"Type":"Succeed"}}}}`), CodeSchema, "/States/S/ItemProcessor/ProcessorConfig/Mode", "must be INLINE"},
		{"a part of a distributed map", single(`{"Type":"Map","End":true,"ItemReader":{},"ItemProcessor":{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}}`), CodeSchema, "/States/S/ItemReader", "distributed Map"},
		{"two selectors", single(`{"Type":"Map","End":true,"ItemSelector":{},"Parameters":{},"ItemProcessor":{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}}`), CodeSchema, "/States/S/Parameters", "Only one of"},
		{"a percentage", single(`{"Type":"Map","End":true,"ToleratedFailurePercentage":101,"ItemProcessor":{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}}`), CodeSchema, "/States/S/ToleratedFailurePercentage", "from 0 to 100"},
		{"no error names", single(`{` + lambdaTask + `,"Retry":[{}]}`), CodeSchema, "/States/S/Retry/0/ErrorEquals", "required"},
		{"empty error names", single(`{` + lambdaTask + `,"Retry":[{"ErrorEquals":[]}]}`), CodeSchema, "/States/S/Retry/0/ErrorEquals", "at least one"},
		{"States.ALL in company", single(`{` + lambdaTask + `,"Retry":[{"ErrorEquals":["States.ALL","A"]}]}`), CodeSchema, "/States/S/Retry/0/ErrorEquals/0", "stand alone"},
		{"States.ALL before others", single(`{` + lambdaTask + `,"Retry":[{"ErrorEquals":["States.ALL"]},{"ErrorEquals":["A"]}]}`), CodeSchema, "/States/S/Retry/0/ErrorEquals/0", "the last one"},
		{"a reserved name", single(`{` + lambdaTask + `,"Retry":[{"ErrorEquals":["States.Mine"]}]}`), CodeSchema, "/States/S/Retry/0/ErrorEquals/0", "reserved"},
		{"a back-off rate", single(`{` + lambdaTask + `,"Retry":[{"ErrorEquals":["A"],"BackoffRate":0.5}]}`), CodeSchema, "/States/S/Retry/0/BackoffRate", "from 1"},
		{"attempts", single(`{` + lambdaTask + `,"Retry":[{"ErrorEquals":["A"],"MaxAttempts":-1}]}`), CodeSchema, "/States/S/Retry/0/MaxAttempts", "from 0"},
		{"a longest delay", single(`{` + lambdaTask + `,"Retry":[{"ErrorEquals":["A"],"IntervalSeconds":5,"MaxDelaySeconds":5}]}`), CodeSchema, "/States/S/Retry/0/MaxDelaySeconds", "greater than"},
		{"a jitter", single(`{` + lambdaTask + `,"Retry":[{"ErrorEquals":["A"],"JitterStrategy":"HALF"}]}`), CodeSchema, "/States/S/Retry/0/JitterStrategy", "FULL or NONE"},
		{"a retry of a Pass state", single(`{"Type":"Pass","End":true,"Retry":[]}`), CodeSchema, "/States/S/Retry", "not supported"},
		{"a handler without a state", single(`{` + lambdaTask + `,"Catch":[{"ErrorEquals":["A"]}]}`), CodeSchema, "/States/S/Catch/0/Next", "required"},
		{"no choices", single(`{"Type":"Choice"}`), CodeSchema, "/States/S/Choices", "required"},
		{"empty choices", single(`{"Type":"Choice","Choices":[]}`), CodeSchema, "/States/S/Choices", "at least one choice"},
		{"a rule without a comparison", single(`{"Type":"Choice","Choices":[{"Variable":"$.a","Next":"S"}]}`), CodeSchema, "/States/S/Choices/0", "this one has 0"},
		{"a rule with two", single(`{"Type":"Choice","Choices":[{"Variable":"$.a","IsNull":true,"IsString":true,"Next":"S"}]}`), CodeSchema, "/States/S/Choices/0", "this one has 2"},
		{"a rule without a variable", single(`{"Type":"Choice","Choices":[{"IsNull":true,"Next":"S"}]}`), CodeSchema, "/States/S/Choices/0/Variable", "required"},
		{"an operand of the wrong type", single(`{"Type":"Choice","Choices":[{"Variable":"$.a","NumericEquals":"1","Next":"S"}]}`), CodeSchema, "/States/S/Choices/0/NumericEquals", "must be a number"},
		{"an operand that is no timestamp", single(`{"Type":"Choice","Choices":[{"Variable":"$.a","TimestampEquals":"now","Next":"S"}]}`), CodeSchema, "/States/S/Choices/0/TimestampEquals", "must be a timestamp"},
		{"a transition within a rule", single(`{"Type":"Choice","Choices":[{"Not":{"Variable":"$.a","IsNull":true,"Next":"S"},"Next":"S"}]}`), CodeSchema, "/States/S/Choices/0/Not/Next", "not supported"},
		{"JSONata", `{"QueryLanguage":"JSONata","StartAt":"S","States":{"S":{"Type":"Succeed"}}}`, CodeSchema, "/QueryLanguage", "JSONata is not supported"},
		{"JSONata in a state", single(`{"QueryLanguage":"JSONata","Type":"Succeed"}`), CodeSchema, "/States/S/QueryLanguage", "JSONata is not supported"},
		{"a member of JSONata", single(`{"Type":"Pass","Output":"{% 1 %}","End":true}`), CodeSchema, "/States/S/Output", "JSONata is not supported"},
		{"variables", single(`{"Type":"Pass","Assign":{},"End":true}`), CodeSchema, "/States/S/Assign", "Variables ('Assign') are not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, found := Parse(c.definition, refuse)
			if m != nil || len(found) != 1 {
				t.Fatalf("found %v, want one thing", found)
			}
			d := found[0]
			if d.Severity != SeverityError || d.Code != c.code || d.Location != c.location || !strings.Contains(d.Message, c.message) {
				t.Errorf("found %+v, want %s at %s with …%s…", d, c.code, c.location, c.message)
			}
		})
	}
}

func refuse(r Resource) error {
	if r.Service == "refused" {
		return errors.New("refused here")
	}
	return nil
}

func TestAllThatIsWrongIsReported(t *testing.T) {
	t.Parallel()
	_, found := Parse(`{"StartAt":"S","States":{"S":{"Type":"Pass","Next":"X"},"T":{"Type":"Task","End":true}},"More":1}`, nil)
	if len(found) != 4 {
		t.Errorf("found %v, want 4 things", found)
	}
	if err := found.Err(); err == nil || !strings.Contains(err.Error(), "MISSING_TRANSITION_TARGET: Missing 'Next' target: X at /States/S/Next") {
		t.Errorf("the error is %v", err)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	definition := func(parameters string) string {
		return single(`{"Type":"Task","Resource":"arn:aws:states:::http:invoke.waitForTaskToken","End":true,"Parameters":` + parameters + `}`)
	}
	m, found := Parse(definition(`{"a":1}`), nil)
	if m == nil || len(found) != 1 || found[0].Severity != SeverityWarning || found[0].Location != "/States/S/Parameters" {
		t.Errorf("found %v", found)
	}
	for _, parameters := range []string{`{"a.$":"$$.Task.Token"}`, `{"a":[{"b.$":"States.Format('{}',$$.Task.Token)"}]}`, `{"c.$":"$$"}`} {
		if _, found := Parse(definition(parameters), nil); len(found) > 0 {
			t.Errorf("%s: found %v", parameters, found)
		}
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]Resource{
		"arn:aws:states:::aws-sdk:personalize:createSolution": {Service: "aws-sdk:personalize", Action: "createSolution"},
		"arn:aws:states:::http:invoke":                        {Service: "http", Action: "invoke"},
		"arn:aws:states:::lambda:invoke.waitForTaskToken":     {Service: "lambda", Action: "invoke", WaitsForToken: true},
		"arn:aws-cn:states:::aws-sdk:sfn:startExecution":      {Service: "aws-sdk:sfn", Action: "startExecution"},
		"arn:aws:lambda:us-east-1:1:function:f:live":          {Function: true},
	} {
		want.ARN = arn
		if got, err := parseResource(arn); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", arn, got, err, want)
		}
	}
	for _, arn := range []string{"", "arn", "arn:aws:states:::x", "arn:aws:states:::x:", "arn:aws:states:::x:y.z", "arn:aws:lambda:us-east-1:1:layer:f"} {
		if r, err := parseResource(arn); err == nil {
			t.Errorf("%q is %+v", arn, r)
		}
	}
}
