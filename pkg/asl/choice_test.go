package asl

import (
	"fmt"
	"testing"
)

const choiceInput = `{"s":"m","t":"m","n":5,"f":5.0,"yes":true,"null":null,"time":"2026-03-01T12:00:00Z","sametime":"2026-03-01T13:00:00+01:00","later":"2026-03-02T00:00:00.5Z","list":["x"],"star":"a*b","file":"log-1.txt"}`

// TestComparisons: an operator with its operand on a variable, and whether it holds.
func TestComparisons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		variable, comparison string
		want                 bool
	}{
		{"$.s", `"StringEquals":"m"`, true}, {"$.s", `"StringEquals":"n"`, false}, {"$.n", `"StringEquals":"5"`, false},
		{"$.s", `"StringEqualsPath":"$.t"`, true}, {"$.s", `"StringEqualsPath":"$.n"`, false},
		{"$.s", `"StringLessThan":"n"`, true}, {"$.s", `"StringLessThan":"m"`, false}, {"$.s", `"StringLessThanPath":"$.t"`, false},
		{"$.s", `"StringLessThanEquals":"m"`, true}, {"$.s", `"StringLessThanEqualsPath":"$.t"`, true},
		{"$.s", `"StringGreaterThan":"l"`, true}, {"$.s", `"StringGreaterThanPath":"$.t"`, false},
		{"$.s", `"StringGreaterThanEquals":"n"`, false}, {"$.s", `"StringGreaterThanEqualsPath":"$.t"`, true},
		{"$.file", `"StringMatches":"log-*.txt"`, true}, {"$.file", `"StringMatches":"*"`, true}, {"$.file", `"StringMatches":"log"`, false},
		{"$.file", `"StringMatches":"*-*t"`, true}, {"$.file", `"StringMatches":"l*1*txt*"`, true}, {"$.file", `"StringMatches":"*2*"`, false},
		{"$.star", `"StringMatches":"a\\*b"`, true}, {"$.file", `"StringMatches":"log-\\*.txt"`, false}, {"$.n", `"StringMatches":"*"`, false},
		{"$.n", `"NumericEquals":5`, true}, {"$.f", `"NumericEquals":5`, true}, {"$.s", `"NumericEquals":5`, false}, {"$.n", `"NumericEqualsPath":"$.f"`, true},
		{"$.n", `"NumericLessThan":5.1`, true}, {"$.n", `"NumericLessThan":5`, false}, {"$.n", `"NumericLessThanPath":"$.f"`, false},
		{"$.n", `"NumericLessThanEquals":5`, true}, {"$.n", `"NumericLessThanEqualsPath":"$.f"`, true},
		{"$.n", `"NumericGreaterThan":-1e3`, true}, {"$.n", `"NumericGreaterThanPath":"$.f"`, false},
		{"$.n", `"NumericGreaterThanEquals":6`, false}, {"$.n", `"NumericGreaterThanEqualsPath":"$.f"`, true},
		{"$.yes", `"BooleanEquals":true`, true}, {"$.yes", `"BooleanEquals":false`, false}, {"$.s", `"BooleanEquals":true`, false},
		{"$.yes", `"BooleanEqualsPath":"$.yes"`, true}, {"$.yes", `"BooleanEqualsPath":"$.s"`, false},
		{"$.time", `"TimestampEquals":"2026-03-01T14:00:00+02:00"`, true}, {"$.time", `"TimestampEqualsPath":"$.sametime"`, true},
		{"$.time", `"TimestampLessThan":"2026-03-01T12:00:01Z"`, true}, {"$.time", `"TimestampLessThanPath":"$.later"`, true},
		{"$.time", `"TimestampLessThanEquals":"2026-03-01T12:00:00Z"`, true}, {"$.later", `"TimestampLessThanEqualsPath":"$.time"`, false},
		{"$.later", `"TimestampGreaterThan":"2026-03-01T12:00:00Z"`, true}, {"$.time", `"TimestampGreaterThanPath":"$.sametime"`, false},
		{"$.time", `"TimestampGreaterThanEquals":"2026-03-01T12:00:00Z"`, true}, {"$.time", `"TimestampGreaterThanEqualsPath":"$.sametime"`, true},
		{"$.s", `"TimestampEquals":"2026-03-01T12:00:00Z"`, false},
		{"$.null", `"IsNull":true`, true}, {"$.s", `"IsNull":true`, false}, {"$.s", `"IsNull":false`, true},
		{"$.s", `"IsPresent":true`, true}, {"$.x", `"IsPresent":true`, false}, {"$.x", `"IsPresent":false`, true}, {"$.null", `"IsPresent":true`, true},
		{"$.list[0]", `"IsPresent":true`, true}, {"$.list[1]", `"IsPresent":true`, false}, {"$.x.y.z", `"IsPresent":false`, true},
		{"$.n", `"IsNumeric":true`, true}, {"$.s", `"IsNumeric":true`, false}, {"$.s", `"IsNumeric":false`, true},
		{"$.s", `"IsString":true`, true}, {"$.null", `"IsString":true`, false},
		{"$.yes", `"IsBoolean":true`, true}, {"$.s", `"IsBoolean":true`, false},
		{"$.time", `"IsTimestamp":true`, true}, {"$.s", `"IsTimestamp":true`, false}, {"$$.State.EnteredTime", `"IsTimestamp":true`, true},
	} {
		t.Run(c.variable+" "+c.comparison, func(t *testing.T) { wantChoice(t, fmt.Sprintf(`"Variable":%q,%s`, c.variable, c.comparison), c.want) })
	}
}

func wantChoice(t *testing.T, rule string, want bool) {
	t.Helper()
	s := simulate(t, `{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{`+rule+`,"Next":"Yes"}],"Default":"No"},
		"Yes":{"Type":"Pass","Result":true,"End":true},"No":{"Type":"Pass","Result":false,"End":true}}}`, choiceInput, nil)
	s.wantOutput(fmt.Sprint(want))
}

func TestCombinedRules(t *testing.T) {
	t.Parallel()
	const yes, no = `{"Variable":"$.n","NumericEquals":5}`, `{"Variable":"$.n","NumericEquals":6}`
	for rule, want := range map[string]bool{
		`"Not":` + no: true, `"Not":` + yes: false,
		`"And":[` + yes + `,` + yes + `]`: true, `"And":[` + yes + `,` + no + `]`: false,
		`"Or":[` + no + `,` + yes + `]`: true, `"Or":[` + no + `,` + no + `]`: false,
		`"And":[{"Or":[` + no + `,` + yes + `]},{"Not":` + no + `}]`: true,
		// What decides comes first: the absent variable is not asked for.
		`"And":[{"Variable":"$.x","IsPresent":true},{"Variable":"$.x","NumericEquals":1}]`: false,
		`"Or":[` + yes + `,{"Variable":"$.x","NumericEquals":1}]`:                          true,
	} {
		t.Run(rule, func(t *testing.T) { wantChoice(t, rule, want) })
	}
}

func TestChoiceTakesTheFirstThatHolds(t *testing.T) {
	t.Parallel()
	s := simulate(t, `{"StartAt":"C","States":{"C":{"Type":"Choice","InputPath":"$.in","OutputPath":"$.o","Choices":[
		{"Variable":"$.n","NumericGreaterThan":9,"Next":"A"},{"Variable":"$.n","NumericGreaterThan":4,"Next":"B"},{"Variable":"$.n","NumericGreaterThan":3,"Next":"A"}]},
		"A":{"Type":"Fail"},"B":{"Type":"Succeed"}}}`, `{"in":{"n":5,"o":"out"}}`, nil)
	s.wantOutput(`"out"`)
	s.wantEvents("1<0 ExecutionStarted\n2<0 ChoiceStateEntered\n3<2 ChoiceStateExited\n4<3 SucceedStateEntered\n5<4 SucceedStateExited\n6<5 ExecutionSucceeded")
}

func TestChoiceWithoutAMatch(t *testing.T) {
	t.Parallel()
	choice := func(rule string) string {
		return `{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{` + rule + `,"Next":"A"}]},"A":{"Type":"Succeed"}}}`
	}
	simulate(t, choice(`"Variable":"$.n","NumericEquals":1`), `{"n":2}`, nil).wantFailure(ErrorNoChoiceMatched, "No choice matched")
	simulate(t, choice(`"Variable":"$.n","NumericEquals":1`), `{}`, nil).wantFailure(ErrorRuntime, "Invalid path '$.n': The choice state's condition path references an invalid value.")
	simulate(t, choice(`"Variable":"$.n","NumericEqualsPath":"$.m"`), `{"n":1}`, nil).wantFailure(ErrorRuntime, "Invalid path '$.m'")
}
