package asl

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Status is where an execution stands.
type Status string

// An execution begins RUNNING and ends in one of the others.
const (
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	TimedOut  Status = "TIMED_OUT"
	Aborted   Status = "ABORTED"
)

// Info is what an execution is told of itself; the context object ($$) shows it.
type Info struct {
	// ID and MachineID are ARNs.
	ID          string `json:"id"`
	Name        string `json:"name"`
	MachineID   string `json:"machineId"`
	MachineName string `json:"machineName"`
	RoleARN     string `json:"roleArn,omitempty"`
	Region      string `json:"region,omitempty"`
	// Secret makes task tokens that nobody can guess. It must be random.
	Secret string `json:"secret"`
}

// Execution is the state of one run of a machine. It goes through JSON unchanged, so that whoever stores it between two
// events loses nothing. Only this package changes it.
type Execution struct {
	Info   Info            `json:"info"`
	Input  json.RawMessage `json:"input"`
	Status Status          `json:"status"`

	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	// Expires is when the machine's TimeoutSeconds are over.
	Expires time.Time `json:"expires,omitzero"`

	// Output is there when it has succeeded, Error and Cause may be when it has not.
	Output json.RawMessage `json:"output,omitempty"`
	Error  string          `json:"error,omitempty"`
	Cause  string          `json:"cause,omitempty"`

	// LastEvent is the id of the newest event of the history.
	LastEvent int64   `json:"lastEvent"`
	Root      *thread `json:"root,omitempty"`
}

// thread is one line of control: the execution's, a branch's or an iteration's. It stands in one state and waits there
// for a task, for a time, or for threads of its own.
type thread struct {
	State     string          `json:"state"`
	Input     json.RawMessage `json:"input"`
	EnteredAt time.Time       `json:"enteredAt"`
	// Entered is the event that tells of it, Previous the event to which the next one refers.
	Entered  int64 `json:"entered"`
	Previous int64 `json:"previous"`

	// Retries counts what each retrier of the state has done; RetryCount is their sum.
	Retries    []int64 `json:"retries,omitempty"`
	RetryCount int64   `json:"retryCount,omitempty"`

	Task *task `json:"task,omitempty"`
	// WakesAt is when a Wait state ends, or, with Retrying, when the state is tried again.
	WakesAt  time.Time `json:"wakesAt,omitzero"`
	Retrying bool      `json:"retrying,omitempty"`

	// Branches are the threads of a Parallel or Map state, nil before they begin and after they have ended; Results
	// what came out.
	Branches []*thread         `json:"branches,omitempty"`
	Results  []json.RawMessage `json:"results,omitempty"`
	Map      *mapRun           `json:"map,omitempty"`

	// Item is what the thread works on as an iteration of a Map state.
	Item *mapItem `json:"item,omitempty"`
}

// task is an attempt of a Task state.
type task struct {
	// ID is that of the event which scheduled it: unique in the execution.
	ID          int64           `json:"id"`
	ScheduledAt time.Time       `json:"scheduledAt"`
	Parameters  json.RawMessage `json:"parameters"`
	// Submitted says that what was asked for has been done, and only the token is waited for.
	Submitted bool      `json:"submitted,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	// Heartbeat is the longest time between signs of life, in seconds; LapsesAt when the next one is due.
	Heartbeat int64     `json:"heartbeat,omitempty"`
	LapsesAt  time.Time `json:"lapsesAt,omitzero"`
}

// mapRun is how far a Map state has come.
type mapRun struct {
	Items       []json.RawMessage `json:"items"`
	Next        int               `json:"next"`
	Concurrency int               `json:"concurrency"`
	// Tolerated is how many iterations may fail, Failed how many have.
	Tolerated int  `json:"tolerated,omitempty"`
	Tolerates bool `json:"tolerates,omitempty"`
	Failed    int  `json:"failed,omitempty"`
	// LastEvent is that of the newest end of an iteration.
	LastEvent int64 `json:"lastEvent,omitempty"`
}

type mapItem struct {
	Index int             `json:"index"`
	Value json.RawMessage `json:"value"`
}

// Task is a task that has begun and has not ended.
type Task struct {
	// ID is unique in the execution, and another one for each attempt.
	ID          int64
	State       string
	Resource    Resource
	Parameters  json.RawMessage
	ScheduledAt time.Time
	// Expires is when the task is given up; zero: never.
	Expires time.Time
	// Submitted: see TaskSubmitted.
	Submitted bool
}

// An Event is what happens to an execution from outside.
type Event interface{ isEvent() }

type (
	// TaskSucceeded ends a task with its result, which is JSON.
	TaskSucceeded struct {
		Task   int64
		Output json.RawMessage
	}
	// TaskFailed ends a task with an error.
	TaskFailed struct {
		Task         int64
		Error, Cause string
	}
	// TaskSubmitted tells of a task that waits for its token that what it asked for has been done.
	TaskSubmitted struct {
		Task   int64
		Output json.RawMessage
	}
	// TaskHeartbeat is a sign of life of a task.
	TaskHeartbeat struct{ Task int64 }
	// TimePassed fires the earliest timer that is due, if one is.
	TimePassed struct{}
	// Stopped ends the execution.
	Stopped struct{ Error, Cause string }
)

func (TaskSucceeded) isEvent() {}
func (TaskFailed) isEvent()    {}
func (TaskSubmitted) isEvent() {}
func (TaskHeartbeat) isEvent() {}
func (TimePassed) isEvent()    {}
func (Stopped) isEvent()       {}

// Step is what an event led to.
type Step struct {
	// History is to be appended to the execution's.
	History []HistoryEvent
	// Tasks are to be begun. Running tasks that Execution.Tasks no longer lists are of no interest any more.
	Tasks []Task
}

var (
	// ErrEnded means that the execution has ended: nothing happens to it any more.
	ErrEnded = errors.New("the execution has ended")
	// ErrNoTask means that the execution does not wait for the task: it has ended, or was given up.
	ErrNoTask = errors.New("the execution does not wait for this task")
)

// Tasks are all tasks that the execution waits for.
func (x *Execution) Tasks(m *Machine) []Task {
	var tasks []Task
	x.walk(m, func(f *frame) {
		if f.Task != nil {
			tasks = append(tasks, f.taskOf())
		}
	})
	return tasks
}

// Deadline is when TimePassed has something to do next; zero: never.
func (x *Execution) Deadline() time.Time {
	if x.Status != Running {
		return time.Time{}
	}
	first := x.Expires
	if x.Root != nil {
		first = sooner(first, x.Root.deadline())
	}
	return first
}

func (t *thread) deadline() time.Time {
	first := t.ownDeadline()
	for _, branch := range t.Branches {
		if branch != nil {
			first = sooner(first, branch.deadline())
		}
	}
	return first
}

func (t *thread) ownDeadline() time.Time {
	first := t.WakesAt
	if t.Task != nil {
		first = sooner(first, sooner(t.Task.Expires, t.Task.LapsesAt))
	}
	return first
}

// sooner is the earlier of two times of which a zero one is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// frame is a thread at its place in the machine.
type frame struct {
	*thread
	flow   *flow
	parent *frame
	index  int // among the parent's branches
}

// of is the state in which the thread stands.
func (f *frame) of() *state { return f.flow.states[f.State] }

// branch is the frame of one of the thread's own threads.
func (f *frame) branch(i int) *frame {
	s := f.of()
	child := &frame{thread: f.Branches[i], parent: f, index: i, flow: s.processor}
	if s.kind == typeParallel {
		child.flow = s.branches[i]
	}
	return child
}

func (f *frame) taskOf() Task {
	s := f.of()
	return Task{
		ID: f.Task.ID, State: s.name, Resource: s.resource, Parameters: f.Task.Parameters, ScheduledAt: f.Task.ScheduledAt,
		Expires: f.Task.Expires, Submitted: f.Task.Submitted,
	}
}

// walk visits all threads, parents first, in the order of their branches.
func (x *Execution) walk(m *Machine, visit func(*frame)) {
	var descend func(f *frame)
	descend = func(f *frame) {
		visit(f)
		for i, branch := range f.Branches {
			if branch != nil {
				descend(f.branch(i))
			}
		}
	}
	if x.Root != nil {
		descend(&frame{thread: x.Root, flow: &m.flow})
	}
}

// find returns the first thread of which a question is true.
func (x *Execution) find(m *Machine, is func(*frame) bool) *frame {
	var found *frame
	x.walk(m, func(f *frame) {
		if found == nil && is(f) {
			found = f
		}
	})
	return found
}

// token is what a task hands to somebody else who is to report its end.
func (x *Execution) token(task int64) string {
	id := strconv.FormatInt(task, 10)
	return base64.RawURLEncoding.EncodeToString([]byte(x.Info.ID + "\n" + id + "\n" + x.signature(id)))
}

func (x *Execution) signature(task string) string {
	mac := hmac.New(sha256.New, []byte(x.Info.Secret))
	mac.Write([]byte(x.Info.ID + "\n" + task))
	return hex.EncodeToString(mac.Sum(nil))
}

// ParseToken tells the execution and the task of a token, which may be forged: see Execution.Gave.
func ParseToken(token string) (execution string, task int64, err error) {
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", 0, errors.New("it is no task token")
	}
	parts := strings.Split(string(data), "\n")
	if len(parts) != 3 {
		return "", 0, errors.New("it is no task token")
	}
	if task, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
		return "", 0, errors.New("it is no task token")
	}
	return parts[0], task, nil
}

// Gave says whether the execution has made a token.
func (x *Execution) Gave(token string) bool {
	_, task, err := ParseToken(token)
	return err == nil && hmac.Equal([]byte(token), []byte(x.token(task)))
}

// causeAt is a failure's cause, with the place where it happened.
func causeAt(f *frame, message string) string {
	return fmt.Sprintf(
		"An error occurred while executing the state '%s' (entered at the event id #%d). %s", f.State, f.Entered,
		message,
	)
}
