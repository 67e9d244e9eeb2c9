package asl

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	clockStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	testInfo   = Info{
		ID: "arn:aws:states:us-east-1:000000000000:execution:machine:run", Name: "run",
		MachineID: "arn:aws:states:us-east-1:000000000000:stateMachine:machine", MachineName: "machine",
		RoleARN: "arn:aws:iam::000000000000:role/r", Region: "us-east-1", Secret: "secret",
	}
)

// answer is what a simulated task does with its parameters; nil events leave it running.
type answer func(Task) Event

func succeeds(output string) answer {
	return func(task Task) Event { return TaskSucceeded{Task: task.ID, Output: json.RawMessage(output)} }
}

func fails(name, cause string) answer {
	return func(task Task) Event { return TaskFailed{Task: task.ID, Error: name, Cause: cause} }
}

// echoes gives the parameters back.
func echoes(task Task) Event { return TaskSucceeded{Task: task.ID, Output: task.Parameters} }

func hangs(Task) Event { return nil }

// simulation runs an execution on a clock of its own. Before each event the execution goes through JSON, and the event is applied to two
// copies of it, which must agree: whoever is killed after storing a state goes on from it as if nothing had happened.
type simulation struct {
	t       *testing.T
	machine *Machine
	x       *Execution
	now     time.Time
	history []HistoryEvent
	tasks   []Task
	// answers are by state, one an attempt; the last one stays.
	answers map[string][]answer
	tried   map[string]int
	// seen are the parameters of every attempt, by state.
	seen map[string][]string
	// began is when each attempt was begun, as seconds since the start.
	began map[string][]float64
}

func mustParse(t *testing.T, definition string) *Machine {
	t.Helper()
	m, found := Parse(definition, nil)
	if err := found.Err(); err != nil {
		t.Fatalf("parsing %s: %v", definition, err)
	}
	return m
}

// simulate runs a definition to its end.
func simulate(t *testing.T, definition, input string, answers map[string][]answer) *simulation {
	t.Helper()
	s := begin(t, definition, input, answers)
	s.finish()
	return s
}

func begin(t *testing.T, definition, input string, answers map[string][]answer) *simulation {
	t.Helper()
	s := &simulation{
		t: t, machine: mustParse(t, definition), now: clockStart, answers: answers,
		tried: map[string]int{}, seen: map[string][]string{}, began: map[string][]float64{},
	}
	x, step, err := s.machine.Start(testInfo, json.RawMessage(input), s.now)
	if err != nil {
		t.Fatal(err)
	}
	s.x = x
	s.take(step)
	return s
}

func (s *simulation) take(step *Step) {
	s.history = append(s.history, step.History...)
	for _, task := range step.Tasks {
		s.tasks = append(s.tasks, task)
		s.seen[task.State] = append(s.seen[task.State], string(task.Parameters))
		s.began[task.State] = append(s.began[task.State], s.now.Sub(clockStart).Seconds())
	}
}

func (s *simulation) apply(event Event) error {
	s.t.Helper()
	left, right := reload(s.t, s.x), reload(s.t, s.x)
	step, err := s.machine.Apply(left, event, s.now)
	again, errAgain := s.machine.Apply(right, event, s.now)
	if fmt.Sprint(err) != fmt.Sprint(errAgain) || encoded(s.t, left) != encoded(s.t, right) || err == nil && encoded(s.t, step.History) != encoded(s.t, again.History) {
		s.t.Fatalf("event %#v led to two different states:\n%s\n%s", event, encoded(s.t, left), encoded(s.t, right))
	}
	s.x = left
	if err == nil {
		s.take(step)
	}
	return err
}

func reload(t *testing.T, x *Execution) *Execution {
	t.Helper()
	loaded := new(Execution)
	if err := json.Unmarshal([]byte(encoded(t, x)), loaded); err != nil {
		t.Fatal(err)
	}
	return loaded
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// advance answers the oldest task, or lets the time pass until the next timer. It reports false when nothing would happen any more.
func (s *simulation) advance() bool {
	s.t.Helper()
	if s.x.Status != Running {
		return false
	}
	for len(s.tasks) > 0 {
		task := s.tasks[0]
		s.tasks = s.tasks[1:]
		list := s.answers[task.State]
		if len(list) == 0 {
			list = []answer{echoes}
		}
		n := s.tried[task.State]
		s.tried[task.State]++
		if event := list[min(n, len(list)-1)](task); event != nil {
			_ = s.apply(event) // ErrNoTask: the task was given up meanwhile
			return true
		}
	}
	due := s.x.Deadline()
	if due.IsZero() {
		return false
	}
	if due.After(s.now) {
		s.now = due
	}
	if err := s.apply(TimePassed{}); err != nil {
		s.t.Fatal(err)
	}
	return true
}

func (s *simulation) finish() {
	s.t.Helper()
	for steps := 0; s.advance(); steps++ {
		if steps > 10000 {
			s.t.Fatal("the execution does not come to an end")
		}
	}
	s.checkHistory()
}

// checkHistory holds the history to what is true of every one.
func (s *simulation) checkHistory() {
	s.t.Helper()
	for i, event := range s.history {
		if event.ID != int64(i+1) || event.Previous >= event.ID || event.Previous < 0 {
			s.t.Errorf("event %d has id %d and refers to %d", i+1, event.ID, event.Previous)
		}
	}
	if s.x.LastEvent != int64(len(s.history)) {
		s.t.Errorf("the last event is %d of %d", s.x.LastEvent, len(s.history))
	}
	if s.x.Status != Running && (s.x.Root != nil || s.x.Ended.IsZero() || !s.x.Deadline().IsZero()) {
		s.t.Errorf("the execution is %s and still waits: %s", s.x.Status, encoded(s.t, s.x))
	}
}

// result is the output, or the error and its cause.
func (s *simulation) result() string {
	if s.x.Status == Succeeded {
		return string(s.x.Output)
	}
	return fmt.Sprintf("%s %s: %s", s.x.Status, s.x.Error, s.x.Cause)
}

func (s *simulation) wantOutput(want string) {
	s.t.Helper()
	if s.x.Status != Succeeded || !sameJSON(s.t, string(s.x.Output), want) {
		s.t.Errorf("got %s, want %s", s.result(), want)
	}
}

// wantFailure compares the error name, and asks that the cause holds a text.
func (s *simulation) wantFailure(name, cause string) {
	s.t.Helper()
	if s.x.Status != Failed || s.x.Error != name || !strings.Contains(s.x.Cause, cause) {
		s.t.Errorf("got %s, want FAILED %s: …%s…", s.result(), name, cause)
	}
}

func (s *simulation) elapsed() float64 { return s.now.Sub(clockStart).Seconds() }

// events lists the history as "id<previous type".
func (s *simulation) events() string {
	var lines []string
	for _, event := range s.history {
		lines = append(lines, fmt.Sprintf("%d<%d %s", event.ID, event.Previous, event.Type))
	}
	return strings.Join(lines, "\n")
}

func (s *simulation) wantEvents(want string) {
	s.t.Helper()
	trimmed := strings.ReplaceAll(strings.TrimSpace(want), "\t", "")
	if got := s.events(); got != trimmed {
		s.t.Errorf("got the history\n%s\nwant\n%s", got, trimmed)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := decodeValue([]byte(a))
	if err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	y, err := decodeValue([]byte(b))
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return equal(x, y)
}

// single is a definition with one state, S.
func single(state string) string { return `{"StartAt":"S","States":{"S":` + state + `}}` }

// task is a Task state with further members.
func taskState(members string) string {
	return single(`{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:personalize:createSchema","End":true` + members + `}`)
}
