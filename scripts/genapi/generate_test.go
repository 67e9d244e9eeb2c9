package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const tinyModel = `{
  "metadata": {"serviceFullName": "Tiny", "apiVersion": "2020-01-01"},
  "operations": {"Put": {"name": "Put", "http": {"requestUri": "/put"}, "input": {"shape": "PutRequest"}, "output": {"shape": "PutResponse"},
    "errors": [{"shape": "B"}, {"shape": "A"}, {"shape": "B"}]}},
  "shapes": {
    "PutRequest": {"type": "structure", "required": ["zed"], "members": {"zed": {"shape": "Name"}, "alpha": {"shape": "Names"}, "props": {"shape": "Name", "jsonvalue": true}}},
    "PutResponse": {"type": "structure", "members": {"Found": {"shape": "Names"}, "at": {"shape": "Date"}}},
    "Name": {"type": "string", "max": 3, "pattern": "[a-z]+", "sensitive": true},
    "Names": {"type": "list", "member": {"shape": "Name"}},
    "Date": {"type": "timestamp"},
    "Oops": {"type": "structure", "members": {}, "exception": true}
  }
}`

func TestGenerate(t *testing.T) {
	api := new(model)
	if err := json.Unmarshal([]byte(tinyModel), api); err != nil {
		t.Fatal(err)
	}
	source, err := generate(api, "tiny", "a service")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(source)), " ")
	for _, want := range []string{
		`{Name: "Put", Path: "/put", Errors: []string{"A", "B"}}`,
		"shapeName = constraint.String{Max: 3, Pattern: constraint.MustPattern(`[a-z]+`), Sensitive: true}",
		"Zed *string `json:\"zed,omitempty\"` // required Alpha []string `json:\"alpha,omitzero\"` Props *awsapi.JSONText",
		"Found []string `json:\"Found,omitzero\"` At *awsapi.Timestamp",
		`if r.Zed == nil { return constraint.Missing("zed") }`,
		`if v := shapeName.Check(r.Alpha[i]); v != nil { return v.At(i).In("alpha") }`,
		`func (r *PutRequest) Validate() error`,
		`if r.Found == nil { r.Found = []string{} }`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, source)
		}
	}
	if strings.Contains(text, "Oops") || strings.Contains(text, "func (r *PutResponse) validate") {
		t.Errorf("too much in:\n%s", source)
	}
}
