package workflow

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMembersOfAnEmbeddedAnswerAreItsOwn(t *testing.T) {
	t.Parallel()
	type Base struct {
		Status *string `json:"status,omitempty"`
	}
	type answer struct {
		Base
		Report []string `json:"dataReport,omitempty"`
	}
	status := "ACTIVE"
	got := fromWire(reflect.ValueOf(&answer{Base{&status}, []string{"x"}}))
	if diff := cmp.Diff(map[string]any{"Status": "ACTIVE", "DataReport": []any{"x"}}, got); diff != "" {
		t.Error(diff)
	}
}
