package asl

import (
	"encoding/json"
	"fmt"
	"time"
)

// run is one call of Start or Apply.
type run struct {
	m    *Machine
	x    *Execution
	now  time.Time
	step *Step
}

// outcome is what became of a state, or of a thread: it waits, goes on with the next state, has ended, or has failed.
type outcome struct {
	waits  bool
	next   string // "": the thread has ended
	output jsonValue
	failed *failure
}

var waiting = outcome{waits: true}

// Start begins an execution and goes on as far as it gets without a task or a timer. The input must be JSON.
func (m *Machine) Start(info Info, input json.RawMessage, now time.Time) (*Execution, *Step, error) {
	v, err := decodeValue(input)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the input: %w", err)
	}
	packed, err := compact(input)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the input: %w", err)
	}
	now = moment(now)
	x := &Execution{Info: info, Input: packed, Status: Running, Started: now, Root: &thread{}}
	if m.timeout > 0 {
		x.Expires = now.Add(time.Duration(m.timeout) * time.Second)
	}
	r := &run{m: m, x: x, now: now, step: &Step{}}
	r.emit(0, "ExecutionStarted", executionStarted{Input: string(input), RoleARN: info.RoleARN})
	root := &frame{thread: x.Root, flow: &m.flow}
	r.conclude(r.proceed(root, m.startAt, v))
	return x, r.step, nil
}

// moment is a time as it is stored.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Apply moves an execution on by an event. With an error, which is ErrEnded or ErrNoTask, nothing has changed.
func (m *Machine) Apply(x *Execution, event Event, now time.Time) (*Step, error) {
	if x.Status != Running {
		return nil, ErrEnded
	}
	r := &run{m: m, x: x, now: moment(now), step: &Step{}}
	switch event := event.(type) {
	case Stopped:
		r.end(Aborted, 0, "ExecutionAborted", &failure{name: event.Error, cause: event.Cause})
		return r.step, nil
	case TimePassed:
		r.timePassed()
		return r.step, nil
	}
	f := x.find(m, func(f *frame) bool { return f.Task != nil && f.Task.ID == taskIn(event) })
	if f == nil {
		return nil, ErrNoTask
	}
	s := f.of()
	switch event := event.(type) {
	case TaskHeartbeat:
		r.heartbeat(f)
	case TaskSubmitted:
		r.submitted(f, s, event.Output)
	case TaskSucceeded:
		r.propagate(f, r.taskSucceeded(f, s, event.Output))
	case TaskFailed:
		failed := &failure{name: event.Error, cause: event.Cause}
		r.recordFailed(f, s, "Failed", failed)
		f.Task = nil
		r.propagate(f, r.fail(f, failed))
	}
	return r.step, nil
}

func taskIn(event Event) int64 {
	switch event := event.(type) {
	case TaskSucceeded:
		return event.Task
	case TaskFailed:
		return event.Task
	case TaskSubmitted:
		return event.Task
	case TaskHeartbeat:
		return event.Task
	}
	return 0
}

// proceed enters a state, and those that follow, until the thread waits or ends.
func (r *run) proceed(f *frame, name string, input jsonValue) outcome {
	out := outcome{next: name, output: input}
	for out.next != "" {
		if r.x.LastEvent >= maxEvents-1 {
			return outcome{
				failed: broken("The execution reached the maximum number of history events (%d).", maxEvents),
			}
		}
		out = r.enter(f, out.next, out.output)
	}
	return out
}

// continueFrom continues a thread from the outcome of its current state.
func (r *run) continueFrom(f *frame, out outcome) outcome {
	if out.next == "" {
		return out
	}
	return r.proceed(f, out.next, out.output)
}

// propagate continues from the outcome of a state: in its thread, and where that ends, in its parents.
func (r *run) propagate(f *frame, out outcome) {
	for {
		out = r.continueFrom(f, out)
		if f.parent == nil {
			break
		}
		if out.waits {
			return
		}
		out = r.branchEnded(f, out)
		f = f.parent
	}
	r.conclude(out)
}

// conclude ends the execution if its own thread has ended.
func (r *run) conclude(out outcome) {
	switch {
	case out.waits:
	case out.failed != nil:
		r.end(Failed, r.x.Root.Previous, "ExecutionFailed", out.failed)
	default:
		r.x.Output = encodeValue(out.output)
		r.emit(r.x.Root.Previous, "ExecutionSucceeded", executionSucceeded{Output: string(r.x.Output)})
		r.x.Status, r.x.Ended, r.x.Root = Succeeded, r.now, nil
	}
}

// end ends the execution without success.
func (r *run) end(status Status, previous int64, event string, failed *failure) {
	x := r.x
	x.Status, x.Ended, x.Root = status, r.now, nil
	x.Error, x.Cause = failed.name, failed.cause
	if x.Cause == "" {
		x.Cause = failed.message // of the execution itself, not of a state
	}
	r.emit(previous, event, errorDetails{x.Error, x.Cause})
}

func (r *run) enter(f *frame, name string, input jsonValue) outcome {
	s := f.flow.states[name]
	*f.thread = thread{
		State:     name,
		Input:     encodeValue(input),
		EnteredAt: r.now,
		Previous:  f.Previous,
		Item:      f.Item,
		Retries:   make([]int64, len(s.retriers)),
	}
	r.record(f, s.kind+"StateEntered", stateEntered{Name: name, Input: string(f.Input)})
	f.Entered = f.Previous
	if f.Entered == 2 && f.parent == nil {
		r.step.History[len(r.step.History)-1].Previous = 0 // Step Functions has the first state begin anew
	}
	if failed := tooLong(f.Input, "input"); failed != nil {
		return r.fail(f, failed)
	}
	return r.try(f, s, input)
}

// try does what the state is for, the first time or again.
func (r *run) try(f *frame, s *state, raw jsonValue) outcome {
	if s.kind == typeFail {
		return r.failState(f, s, raw)
	}
	sc := r.scope(f, raw, "input")
	input, failed := s.inputPath.of("InputPath", sc)
	if failed != nil {
		return r.fail(f, failed)
	}
	sc.input = input
	switch s.kind {
	case typeSucceed:
		return r.pass(f, s, input, outcome{})
	case typeChoice:
		next, failed := s.choose(sc)
		if failed != nil {
			return r.fail(f, failed)
		}
		return r.pass(f, s, input, outcome{next: next})
	case typeWait:
		return r.beginWait(f, s, sc)
	case typeMap:
		return r.beginMap(f, s, sc)
	case typeTask:
		return r.schedule(f, s, sc)
	}
	if s.parameters != nil {
		if input, failed = s.parameters.fill(sc); failed != nil {
			return r.fail(f, failed)
		}
	}
	if s.kind == typeParallel {
		return r.beginParallel(f, s, input)
	}
	if s.hasResult {
		input = s.result
	}
	return r.complete(f, s, input)
}

// scope is what the expressions of a thread's state can see.
func (r *run) scope(f *frame, input jsonValue, purpose string) *scope {
	info := &r.x.Info
	context := jsonObject{
		"Execution": jsonObject{
			"Id": info.ID, "Input": stored(r.x.Input), "Name": info.Name, "RoleArn": info.RoleARN,
			"StartTime": formatTime(r.x.Started), "RedriveCount": number(0),
		},
		"StateMachine": jsonObject{"Id": info.MachineID, "Name": info.MachineName},
		"State": jsonObject{
			"Name":        f.State,
			"EnteredTime": formatTime(f.EnteredAt),
			"RetryCount":  number(f.RetryCount),
		},
	}
	for above := f; above != nil; above = above.parent {
		if above.Item != nil {
			context["Map"] = contextItem(above.Item)
			break
		}
	}
	return &scope{input: input, context: context, random: r.random(purpose)}
}

func contextItem(item *mapItem) jsonValue {
	return jsonObject{"Item": jsonObject{"Index": number(int64(item.Index)), "Value": stored(item.Value)}}
}

// random gives numbers for the next event. The secret is in their seed, so that nobody else foresees them.
func (r *run) random(purpose string) *source {
	return &source{seed: fmt.Sprintf("%s\x00%s\x00%d\x00%s", r.x.Info.Secret, r.x.Info.ID, r.x.LastEvent, purpose)}
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// of is what InputPath, OutputPath or ItemsPath select.
func (d dataPath) of(field string, s *scope) (jsonValue, *failure) {
	switch {
	case d.null:
		return jsonObject{}, nil
	case d.path == nil:
		return s.input, nil
	}
	v, err := d.path.in(s)
	if err != nil {
		return nil, broken("%s", unresolved(err, field, s))
	}
	return v, nil
}

// complete ends a state with its result.
func (r *run) complete(f *frame, s *state, result jsonValue) outcome {
	raw := stored(f.Input)
	if s.resultSelector != nil {
		var failed *failure
		if result, failed = s.resultSelector.fill(r.scope(f, result, "result")); failed != nil {
			return r.fail(f, failed)
		}
	}
	output, failed := s.resultPath.place(raw, result)
	if failed != nil {
		return r.fail(f, failed)
	}
	return r.pass(f, s, output, outcome{next: s.next})
}

// place puts a result into a state's raw input.
func (d dataPath) place(raw, result jsonValue) (jsonValue, *failure) {
	switch {
	case d.null:
		return raw, nil
	case d.path == nil:
		return result, nil
	}
	output, err := d.path.put(raw, result)
	if err != nil {
		return nil, namedFailure(
			ErrorResultPath, "Unable to apply step \"%s\" to input %s", d.path, shortened(string(encodeValue(raw))),
		)
	}
	return output, nil
}

// pass leaves a state, which out says how, with an output.
func (r *run) pass(f *frame, s *state, output jsonValue, out outcome) outcome {
	output, failed := s.outputPath.of("OutputPath", r.scope(f, output, "output"))
	if failed != nil {
		return r.fail(f, failed)
	}
	if failed := tooLong(encodeValue(output), "output"); failed != nil {
		return r.fail(f, failed)
	}
	out.output = output
	r.exit(f, s, output)
	return out
}

func (r *run) exit(f *frame, s *state, output jsonValue) {
	f.Task, f.Branches, f.Results, f.Map, f.WakesAt, f.Retrying = nil, nil, nil, nil, time.Time{}, false
	r.record(f, s.kind+"StateExited", stateExited{Name: s.name, Output: string(encodeValue(output))})
}

func tooLong(data json.RawMessage, what string) *failure {
	if len(data) <= maxData {
		return nil
	}
	failed := namedFailure(ErrorDataLimit, "The state's %s is longer than the maximum of %d bytes.", what, maxData)
	failed.named = true
	return failed
}

func (r *run) failState(f *frame, s *state, raw jsonValue) outcome {
	sc := r.scope(f, raw, "failure")
	failed := &failure{}
	for _, part := range []struct {
		text *text
		into *string
	}{{&s.failError, &failed.name}, {&s.failCause, &failed.cause}} {
		*part.into = part.text.fixed
		if part.text.computed == nil {
			continue
		}
		v, err := part.text.computed.value(sc)
		if err != nil {
			return r.fail(f, broken("%s", unresolved(err, part.text.field, sc)))
		}
		written, ok := v.(string)
		if !ok {
			return r.fail(
				f, broken("The value of the field '%s' must be a string, not %s", part.text.field, typeName(v)),
			)
		}
		*part.into = written
	}
	return outcome{failed: failed}
}

func (r *run) beginWait(f *frame, s *state, sc *scope) outcome {
	f.WakesAt = r.now
	switch {
	case s.wait.seconds.set:
		seconds, failed := s.wait.seconds.whole(sc, 0, maxSeconds)
		if failed != nil {
			return r.fail(f, failed)
		}
		f.WakesAt = r.now.Add(time.Duration(seconds) * time.Second)
		return waiting
	case s.wait.path != nil:
		v, err := s.wait.path.in(sc)
		if err != nil {
			return r.fail(f, broken("%s", unresolved(err, "TimestampPath", sc)))
		}
		written, _ := v.(string)
		at, err := parseTimestamp(written)
		if err != nil {
			return r.fail(
				f,
				broken(
					"The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: %s == %s",
					s.wait.path, shortened(string(encodeValue(v))),
				),
			)
		}
		f.WakesAt = at.UTC()
	default:
		at, _ := parseTimestamp(s.wait.timestamp) // checked with the definition
		f.WakesAt = at.UTC()
	}
	return waiting
}

// whole is the amount, a whole number.
func (a *amount) whole(s *scope, least, most int64) (int64, *failure) {
	if a.path == nil {
		return int64(a.fixed), nil
	}
	v, err := a.path.in(s)
	if err != nil {
		return 0, broken("%s", unresolved(err, a.field, s))
	}
	n, ok := wholeNumber(v)
	if !ok || n < least || n > most {
		return 0, broken(
			"The %s parameter does not reference a whole number from %d to %d: %s == %s", a.field, least, most,
			a.path, shortened(string(encodeValue(v))),
		)
	}
	return n, nil
}

// schedule begins a task, or another attempt of it.
func (r *run) schedule(f *frame, s *state, sc *scope) outcome {
	id := r.x.LastEvent + 1
	if s.resource.WaitsForToken {
		sc.context.(jsonObject)["Task"] = jsonObject{"Token": r.x.token(id)}
	}
	parameters := sc.input
	var failed *failure
	if s.parameters != nil {
		if parameters, failed = s.parameters.fill(sc); failed != nil {
			return r.fail(f, failed)
		}
	}
	t := &task{ID: id, ScheduledAt: r.now, Parameters: encodeValue(parameters)}
	if failed := tooLong(t.Parameters, "parameters"); failed != nil {
		return r.fail(f, failed)
	}
	var timeout int64
	if s.timeout.set {
		if timeout, failed = s.timeout.whole(sc, 1, maxSeconds); failed != nil {
			return r.fail(f, failed)
		}
		t.Expires = r.now.Add(time.Duration(timeout) * time.Second)
	}
	if s.heartbeat.set {
		if t.Heartbeat, failed = s.heartbeat.whole(sc, 1, maxSeconds); failed != nil {
			return r.fail(f, failed)
		}
		t.LapsesAt = r.now.Add(time.Duration(t.Heartbeat) * time.Second)
	}
	f.Task = t
	r.recordScheduled(f, s, timeout)
	r.step.Tasks = append(r.step.Tasks, f.taskOf())
	return waiting
}

func (r *run) heartbeat(f *frame) {
	if f.Task.Heartbeat > 0 {
		f.Task.LapsesAt = r.now.Add(time.Duration(f.Task.Heartbeat) * time.Second)
	}
}

func (r *run) submitted(f *frame, s *state, output json.RawMessage) {
	if f.Task.Submitted || !s.resource.WaitsForToken {
		return
	}
	f.Task.Submitted = true
	r.recordSubmitted(f, s, output)
}

func (r *run) taskSucceeded(f *frame, s *state, output json.RawMessage) outcome {
	v, err := decodeValue(output)
	if err != nil {
		failed := broken("The result of the task is no JSON")
		failed.cause = causeAt(f, failed.message)
		r.recordFailed(f, s, "Failed", failed)
		f.Task = nil
		return r.fail(f, failed)
	}
	if failed := tooLong(output, "result"); failed != nil {
		failed.cause = causeAt(f, failed.message)
		r.recordFailed(f, s, "Failed", failed)
		f.Task = nil
		return r.fail(f, failed)
	}
	r.recordSucceeded(f, s, encodeValue(v))
	f.Task = nil
	return r.complete(f, s, v)
}

// timePassed fires the earliest timer that is due.
func (r *run) timePassed() {
	due := r.x.Deadline()
	if due.IsZero() || due.After(r.now) {
		return
	}
	if due.Equal(r.x.Expires) {
		r.end(TimedOut, r.x.Root.Previous, "ExecutionTimedOut", &failure{})
		return
	}
	f := r.x.find(r.m, func(f *frame) bool { return f.ownDeadline().Equal(due) })
	s := f.of()
	switch {
	case f.Task != nil:
		failed := &failure{name: ErrorTimeout}
		if f.Task.LapsesAt.Equal(due) {
			failed.also = []string{ErrorHeartbeatTimeout}
		}
		r.recordFailed(f, s, "TimedOut", failed)
		f.Task = nil
		r.propagate(f, r.fail(f, failed))
	case f.Retrying:
		f.WakesAt, f.Retrying = time.Time{}, false
		r.propagate(f, r.try(f, s, stored(f.Input)))
	default:
		f.WakesAt = time.Time{}
		r.propagate(f, r.leaveWait(f, s))
	}
}

func (r *run) leaveWait(f *frame, s *state) outcome {
	sc := r.scope(f, stored(f.Input), "input")
	input, failed := s.inputPath.of("InputPath", sc)
	if failed != nil {
		return r.fail(f, failed)
	}
	return r.pass(f, s, input, outcome{next: s.next})
}
