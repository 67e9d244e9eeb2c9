package workflow

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/asl"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/scheduler"
	sfn "github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// replicas are services over one bucket, of which none drives executions: what is started stays as it is.
type replicas struct {
	*testing.T
	clocks  []*clockwork
	machine string
}

func newReplicas(t *testing.T, n int) *replicas {
	t.Helper()
	servers := embeddedtest.Servers(t)
	objects, err := blob.Open(servers.S3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	r := &replicas{T: t}
	for range n {
		s := New(Config{Bucket: objects.Bucket(servers.Bucket), AccountID: "000000000000", Region: "us-east-1"})
		r.clocks = append(r.clocks, &clockwork{Service: s})
	}
	made, err := machineAPI{r.clocks[0].Service}.create(t.Context(), &sfn.CreateStateMachineInput{
		Name: new("nightly"), RoleArn: new("arn:aws:iam::000000000000:role/any"), Definition: new(`{"StartAt":"P","States":{"P":{"Type":"Wait","Seconds":600,"End":true}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.machine = *made.StateMachineArn
	return r
}

// drive has the first replica run, until the test ends.
func (r *replicas) drive() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.clocks[0].Run(ctx) })
	r.Cleanup(func() { cancel(); running.Wait() })
}

func (r *replicas) schedule(name, expression string, change func(*scheduler.CreateScheduleInput)) {
	r.Helper()
	req := &scheduler.CreateScheduleInput{
		Name: &name, ScheduleExpression: &expression, FlexibleTimeWindow: &scheduler.FlexibleTimeWindow{Mode: new("OFF")},
		Target: &scheduler.Target{Arn: &r.machine, RoleArn: new("arn:aws:iam::000000000000:role/any"),
			Input: new(`{"at":"<aws.scheduler.scheduled-time>","by":"<aws.scheduler.schedule-arn>"}`)},
	}
	if change != nil {
		change(req)
	}
	if _, err := (scheduleAPI{r.clocks[0].Service}).create(r.Context(), req); err != nil {
		r.Fatal(err)
	}
}

// look has all replicas look at once.
func (r *replicas) look(now time.Time) {
	r.Helper()
	var looking sync.WaitGroup
	for _, c := range r.clocks {
		looking.Go(func() {
			if err := c.look(r.Context(), now); err != nil {
				r.Error(err)
			}
		})
	}
	looking.Wait()
}

// started are the inputs of all executions, oldest first.
func (r *replicas) started() []string {
	r.Helper()
	records, err := list[record](r.Context(), r.clocks[0].Bucket, executionsRoot)
	if err != nil {
		r.Fatal(err)
	}
	slices.SortFunc(records, func(a, b *record) int { return strings.Compare(a.Input, b.Input) })
	var inputs []string
	for _, x := range records {
		inputs = append(inputs, x.Input)
	}
	return inputs
}

func (r *replicas) kept(name string) *scheduled {
	r.Helper()
	s, _, err := r.clocks[0].scheduleDocument(scheduleKey(name)).Read(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return s
}

// TestAScheduleStartsEachOccurrenceOnce with several replicas, and whether or not they could note that they have
// started it.
func TestAScheduleStartsEachOccurrenceOnce(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 4)
	r.schedule("often", "rate(10 minutes)", nil)
	begin := r.kept("often").Anchor
	r.look(begin.Add(-time.Second))
	if got := r.started(); len(got) != 0 {
		t.Fatalf("before it is due: %v", got)
	}
	r.look(begin.Add(time.Second))
	want := []string{`{"at":"` + begin.UTC().Format(time.RFC3339) + `","by":"arn:aws:scheduler:us-east-1:000000000000:schedule/default/often"}`}
	if got := r.started(); !slices.Equal(got, want) {
		t.Fatalf("a rate begins at once: %v, want %v", got, want)
	}
	noted := r.kept("often")
	r.look(begin.Add(9 * time.Minute))
	r.look(begin.Add(10*time.Minute + time.Second))
	if got := r.started(); len(got) != 2 {
		t.Fatalf("after ten minutes: %v", got)
	}

	// All die between starting and noting, and the execution has ended meanwhile.
	for info, err := range r.clocks[0].Bucket.List(t.Context(), executionsRoot) {
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(info.Key, executionsRoot), ".json"), "/")
		if _, err := r.clocks[0].apply(t.Context(), execution{"nightly", name}, asl.Stopped{}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := r.clocks[0].scheduleDocument(scheduleKey("often")).Update(t.Context(), func(s *scheduled) error {
		*s = *noted
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.look(begin.Add(11 * time.Minute))
	if got := r.started(); len(got) != 2 {
		t.Errorf("started again: %v", got)
	}
	if done := r.kept("often").Done; !done.Equal(begin.Add(10 * time.Minute)) {
		t.Errorf("done until %v", done)
	}

	// Nobody runs for an hour: what was missed is started once, for the latest time. After two days nothing is.
	r.look(begin.Add(75 * time.Minute))
	if got := r.started(); len(got) != 3 || !strings.Contains(got[2], begin.Add(70*time.Minute).UTC().Format(time.RFC3339)) {
		t.Errorf("after an hour: %v", got)
	}
}

func TestSchedulesThatAreOver(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 2)
	begin := time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	at := "at(" + begin.Format("2006-01-02T15:04:05") + ")"
	r.schedule("once", at, func(req *scheduler.CreateScheduleInput) { req.ActionAfterCompletion = new("DELETE") })
	r.schedule("kept", at, nil)
	r.schedule("off", at, func(req *scheduler.CreateScheduleInput) { req.State = new(disabled) })
	r.schedule("short", "rate(10 minutes)", func(req *scheduler.CreateScheduleInput) {
		req.StartDate, req.EndDate = awsapi.At(begin), awsapi.At(begin.Add(15*time.Minute))
	})
	r.schedule("impatient", at, func(req *scheduler.CreateScheduleInput) {
		req.Target.RetryPolicy = &scheduler.RetryPolicy{MaximumEventAgeInSeconds: new(int64(60))}
	})
	r.schedule("nowhere", at, func(req *scheduler.CreateScheduleInput) { req.Target.Arn = new(r.machine + "-absent") })
	r.look(begin.Add(-time.Second))
	r.look(begin.Add(10*time.Minute + time.Second))
	r.look(begin.Add(time.Hour))
	var by []string
	for _, input := range r.started() {
		by = append(by, input[strings.LastIndex(input, "/")+1:strings.LastIndex(input, `"`)])
	}
	slices.Sort(by)
	if got := strings.Join(by, " "); got != "kept once short" {
		t.Errorf("started by %s", got)
	}
	listed, err := scheduleAPI{r.clocks[0].Service}.list(t.Context(), &scheduler.ListSchedulesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if len(listed.Schedules) != 5 || slices.ContainsFunc(listed.Schedules, func(s scheduler.ScheduleSummary) bool { return *s.Name == "once" }) {
		t.Errorf("left are %v", listed.Schedules)
	}
}

// TestAScheduleThatIsSwitchedOn starts nothing of what came due while it was off.
func TestAScheduleThatIsSwitchedOn(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 1)
	r.schedule("switch", "rate(1 minute)", func(req *scheduler.CreateScheduleInput) {
		req.State, req.StartDate = new(disabled), awsapi.At(time.Now().Add(-time.Hour))
	})
	r.look(time.Now())
	settings := *r.kept("switch").Settings
	settings.State = new(enabled)
	if _, err := (scheduleAPI{r.clocks[0].Service}).update(t.Context(), &settings); err != nil {
		t.Fatal(err)
	}
	r.look(time.Now())
	if got := r.started(); len(got) != 0 {
		t.Errorf("started %v", got)
	}
	r.look(time.Now().Add(time.Minute))
	if got := r.started(); len(got) != 1 {
		t.Errorf("a minute later %v are started", got)
	}
}

// TestSchedulesRun: a service that runs starts what is due, and drives it.
func TestSchedulesRun(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 1)
	r.schedule("soon", "rate(1 day)", nil)
	r.drive()
	eventually.Succeeds(t, "one execution is driven", func() error {
		records, err := list[record](t.Context(), r.clocks[0].Bucket, executionsRoot)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) != 1 || records[0].Lease.Owner == "" {
			return fmt.Errorf("there are %d executions", len(records))
		}
		return nil
	})
}
