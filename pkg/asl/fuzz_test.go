package asl

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzParse: whatever the definition, parsing ends, and a machine that it gives runs to an end, or to a point where it waits.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		single(`{"Type":"Pass","End":true,"Parameters":{"a.$":"$.x[0]","b.$":"States.Format('{}',$$.State.Name)"}}`),
		taskState(`,"Retry":[{"ErrorEquals":["States.ALL"],"JitterStrategy":"FULL"}],"Catch":[{"ErrorEquals":["A"],"Next":"S"}],"TimeoutSeconds":9`),
		single(`{"Type":"Choice","Choices":[{"And":[{"Variable":"$.n","NumericEquals":1},{"Not":{"Variable":"$.a","IsPresent":true}}],"Next":"S"}]}`),
		single(`{"Type":"Wait","SecondsPath":"$.n","End":true}`), single(`{"Type":"Fail","ErrorPath":"$.e"}`),
		withMembers(twoBranches, ``), withMembers(mapOfTasks, `,"ToleratedFailurePercentage":10,"MaxConcurrencyPath":"$.n"`),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, definition string) {
		m, found := Parse(definition, nil)
		if (m == nil) != (found.Err() != nil) {
			t.Fatalf("the machine is %v, found %v", m, found)
		}
		if m == nil {
			return
		}
		now := clockStart
		x, step, err := m.Start(testInfo, json.RawMessage(`{"n":1,"x":[1,{"a":"b"}],"e":"E"}`), now)
		if err != nil {
			t.Fatal(err)
		}
		tasks := step.Tasks
		for range 50 {
			if x.Status != Running || x.LastEvent > 500 {
				break
			}
			var event Event = TimePassed{}
			if len(tasks) > 0 {
				event = TaskSucceeded{Task: tasks[0].ID, Output: tasks[0].Parameters}
				tasks = tasks[1:]
			} else if now = x.Deadline(); now.IsZero() {
				break
			}
			if step, err = m.Apply(x, event, now.Add(time.Millisecond)); err == nil {
				tasks = append(tasks, step.Tasks...)
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{`$`, `$.a.b[0]`, `$..a[*]['b','c'][1:-1:2]`, `$[?(@.a == 'x' && !(@.b > 1.5e3) || $.c)]`, `$$.Task.Token`, `$.x.length()`} {
		f.Add(seed)
	}
	root, err := decodeValue([]byte(shop))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Errorf("%q became %q", text, p)
		}
		_, _ = p.find(root)
		if p.reference() {
			if changed, err := p.put(root, "new"); err == nil {
				if v, err := p.find(changed); err != nil || v != "new" {
					t.Errorf("%q was put, and then found %v, %v", text, v, err)
				}
			}
		}
	})
}

func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		`$.a`, `States.Format('a\{{}\'', $.n)`, `States.Array(1, 'b', null, States.UUID())`, `States.ArrayRange(1, 9, 2)`, `States.ArrayPartition($.list, 2)`,
		`States.MathRandom(1, 9, 3)`, `States.JsonMerge($.o, $.o, false)`, `States.StringSplit('a,b', ',')`, `States.Hash($, 'SHA-1')`,
	} {
		f.Add(seed)
	}
	input, err := decodeValue([]byte(callInput))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		e, err := parseExpression(text)
		if err != nil {
			return
		}
		v, err := e.value(&scope{input: input, context: map[string]any{}, random: &source{seed: text}})
		if err == nil {
			_ = encodeValue(v)
		}
	})
}
