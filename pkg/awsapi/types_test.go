package awsapi_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
)

func TestTimestamp(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`1612634800.447`:              "2021-02-06T18:06:40.447Z",
		`1612634800`:                  "2021-02-06T18:06:40Z",
		`1.6126348e9`:                 "2021-02-06T18:06:40Z",
		`"1612634800.447"`:            "2021-02-06T18:06:40.447Z",
		`"2021-02-06T18:06:40.447Z"`:  "2021-02-06T18:06:40.447Z",
		`"2021-02-06T19:06:40+01:00"`: "2021-02-06T18:06:40Z",
		`"2021-02-06T18:06:40"`:       "2021-02-06T18:06:40Z",
		`"2021-02-06"`:                "2021-02-06T00:00:00Z",
		`-1`:                          "1969-12-31T23:59:59Z",
	} {
		var ts awsapi.Timestamp
		if err := json.Unmarshal([]byte(text), &ts); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := ts.Time().Format(time.RFC3339Nano); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{`"tomorrow"`, `""`, `true`, `[]`, `{}`, `"Inf"`, `"NaN"`, `1e999`} {
		var ts awsapi.Timestamp
		if err := json.Unmarshal([]byte(text), &ts); err == nil {
			t.Errorf("%s was read as %v", text, ts)
		}
	}
	for ms, want := range map[int64]string{1612634800447: "1612634800.447", 1612634800000: "1612634800", 0: "0"} {
		if got, err := json.Marshal(awsapi.At(time.UnixMilli(ms))); err != nil || string(got) != want {
			t.Errorf("%d ms is written %s, %v", ms, got, err)
		}
	}
}

func TestJSONText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"{\"a\": 1}"`:        `{"a": 1}`,
		`{"a": {"b": [1,2]}}`: `{"a":{"b":[1,2]}}`,
		`"not json"`:          `not json`,
	} {
		var j awsapi.JSONText
		if err := json.Unmarshal([]byte(text), &j); err != nil || string(j) != want {
			t.Errorf("%s: %q, %v", text, j, err)
		}
	}
	for _, text := range []string{`1`, `true`, `[1]`} {
		var j awsapi.JSONText
		if err := json.Unmarshal([]byte(text), &j); err == nil {
			t.Errorf("%s was read as %q", text, j)
		}
	}
	if got, _ := json.Marshal(awsapi.JSONText(`{"a":1}`)); string(got) != `"{\"a\":1}"` {
		t.Errorf("written %s", got)
	}
}

func TestParseCredentials(t *testing.T) {
	t.Parallel()
	got, err := awsapi.ParseCredentials("id:secret, id2:se:c/r+et= ")
	if err != nil || len(got) != 2 || got[1].AccessKeyID != "id2" || got[1].SecretKey != "se:c/r+et=" {
		t.Errorf("parsed %#v, %v", got, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", got[0], got[0], got[0], got[0]); text != "id:*** id:*** id:*** id:***" {
		t.Errorf("printed %s", text)
	}
	for _, bad := range []string{"", " ", "id", "id:", ":secret", "a:b,", "a:b,a:c", "a/b:c"} {
		if got, err := awsapi.ParseCredentials(bad); err == nil {
			t.Errorf("%q was parsed as %v", bad, got)
		}
	}
}
