package workflow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/asl"
	sfn "github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// start starts an execution.
func (r *replicas) start(name string) execution {
	r.Helper()
	if _, err := (executionAPI{r.clocks[0].Service}).start(r.Context(), &sfn.StartExecutionInput{StateMachineArn: &r.machine, Name: &name}); err != nil {
		r.Fatal(err)
	}
	return execution{"nightly", name}
}

// listed are the names of the executions, the newest first, by pages of a size.
func (r *replicas) listed(size int64, status *string) string {
	r.Helper()
	var names []string
	for req := (&sfn.ListExecutionsInput{StateMachineArn: &r.machine, MaxResults: &size, StatusFilter: status}); ; {
		page, err := executionAPI{r.clocks[0].Service}.list(r.Context(), req)
		if err != nil {
			r.Fatal(err)
		}
		if int64(len(page.Executions)) > size || len(page.Executions) < int(size) && page.NextToken != nil {
			r.Errorf("a page has %d executions, and the token %v", len(page.Executions), page.NextToken)
		}
		for _, x := range page.Executions {
			names = append(names, *x.Name)
		}
		if req.NextToken = page.NextToken; req.NextToken == nil {
			return strings.Join(names, " ")
		}
	}
}

func TestOldExecutionsAreRemoved(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 2)
	s := r.clocks[0].Service
	for _, name := range []string{"a-1", "b", "c"} {
		e := r.start(name)
		time.Sleep(2 * time.Millisecond) // they are listed by the millisecond in which they began
		if name == "c" {
			continue // it runs on
		}
		if _, err := s.apply(t.Context(), e, asl.Stopped{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Bucket.Put(t.Context(), historyRoot+e.path()+"/00000001-x.json", []byte(`[]`), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{usualRetention - time.Minute, "c b a-1"}, {usualRetention + time.Minute, "c"}} {
		for _, clock := range r.clocks {
			if err := clock.sweep(t.Context(), now.Add(c.after)); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.listed(10, nil); got != c.want {
			t.Errorf("after %v there are %s, want %s", c.after, got, c.want)
		}
	}
	var left []string
	for info, err := range s.Bucket.List(t.Context(), root) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, info.Key)
	}
	if slices.ContainsFunc(left, func(key string) bool {
		return strings.Contains(key, "/nightly/") && !strings.HasSuffix(strings.TrimSuffix(key, ".json"), "c")
	}) {
		t.Errorf("left are %q", left)
	}
	r.start("a-1") // its name is free again
}

func TestExecutionsAreListedInPages(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 1)
	var want []string
	for n := range 7 {
		name := fmt.Sprintf("x-%d", n)
		e := r.start(name)
		time.Sleep(2 * time.Millisecond) // they are listed by the millisecond in which they began
		want = slices.Insert(want, 0, name)
		if n%2 == 0 {
			if _, err := r.clocks[0].apply(t.Context(), e, asl.Stopped{}); err != nil {
				t.Fatal(err)
			}
		}
		if n == 3 {
			r.start(name) // asked for once more
		}
	}
	for _, size := range []int64{1, 2, 3, 7, 100} {
		if got := r.listed(size, nil); got != strings.Join(want, " ") {
			t.Errorf("in pages of %d: %s, want %s", size, got, strings.Join(want, " "))
		}
		if got := r.listed(size, new("RUNNING")); got != "x-5 x-3 x-1" {
			t.Errorf("in pages of %d, running: %s", size, got)
		}
	}
}

// TestAnExecutionIsListedThoughItsStarterDied: whoever drives it gives it its place.
func TestAnExecutionIsListedThoughItsStarterDied(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 1)
	s := r.clocks[0].Service
	e := r.start("x")
	record, _, err := s.recordDocument(e).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bucket.Delete(t.Context(), e.listed(record.Execution.Started)); err != nil {
		t.Fatal(err)
	}
	if got := r.listed(10, nil); got != "" {
		t.Errorf("listed is %s", got)
	}
	r.drive()
	eventually.True(t, "it is listed", func() bool { return r.listed(10, nil) == "x" })
}
