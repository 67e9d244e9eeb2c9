package asl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// HistoryEvent is one event of an execution's history; as JSON it is what GetExecutionHistory shows.
type HistoryEvent struct {
	ID, Previous int64
	Timestamp    time.Time
	Type         string
	// Details is nil for the types that have none.
	Details any
}

// maxEvents is how many events a history may have; then the execution fails.
const maxEvents = 25000

// MarshalJSON writes the event in the API's form, times in seconds.
func (e HistoryEvent) MarshalJSON() ([]byte, error) {
	var buffer bytes.Buffer
	ms := e.Timestamp.UnixMilli()
	fmt.Fprintf(
		&buffer,
		`{"id":%d,"previousEventId":%d,"timestamp":%d.%03d,"type":%q`,
		e.ID,
		e.Previous,
		ms/1000,
		ms%1000,
		e.Type,
	)
	if e.Details != nil {
		details := encodeValue(e.Details)
		fmt.Fprintf(&buffer, `,%q:%s`, detailsName(e.Type), details)
	}
	buffer.WriteByte('}')
	return buffer.Bytes(), nil
}

// detailsName is the member that holds the details of an event's type.
func detailsName(kind string) string {
	for _, suffix := range []string{"StateEntered", "StateExited"} {
		if strings.HasSuffix(kind, suffix) {
			kind = suffix
		}
	}
	return strings.ToLower(kind[:1]) + kind[1:] + "EventDetails"
}

// Details of events, as the API has them.
type (
	executionStarted struct {
		Input        string      `json:"input"`
		InputDetails dataDetails `json:"inputDetails"`
		RoleARN      string      `json:"roleArn,omitempty"`
	}
	executionSucceeded struct {
		Output        string      `json:"output"`
		OutputDetails dataDetails `json:"outputDetails"`
	}
	errorDetails struct {
		Error string `json:"error,omitempty"`
		Cause string `json:"cause,omitempty"`
	}
	stateEntered struct {
		Name         string      `json:"name"`
		Input        string      `json:"input"`
		InputDetails dataDetails `json:"inputDetails"`
	}
	stateExited struct {
		Name          string      `json:"name"`
		Output        string      `json:"output"`
		OutputDetails dataDetails `json:"outputDetails"`
	}
	taskScheduled struct {
		ResourceType string `json:"resourceType"`
		Resource     string `json:"resource"`
		Region       string `json:"region"`
		Parameters   string `json:"parameters"`
		Timeout      int64  `json:"timeoutInSeconds,omitempty"`
		Heartbeat    int64  `json:"heartbeatInSeconds,omitempty"`
	}
	taskStarted struct {
		ResourceType string `json:"resourceType"`
		Resource     string `json:"resource"`
	}
	taskOutput struct {
		ResourceType  string      `json:"resourceType"`
		Resource      string      `json:"resource"`
		Output        string      `json:"output"`
		OutputDetails dataDetails `json:"outputDetails"`
	}
	taskError struct {
		ResourceType string `json:"resourceType"`
		Resource     string `json:"resource"`
		errorDetails
	}
	functionScheduled struct {
		Resource     string      `json:"resource"`
		Input        string      `json:"input"`
		InputDetails dataDetails `json:"inputDetails"`
		Timeout      int64       `json:"timeoutInSeconds,omitempty"`
	}
	mapStarted struct {
		Length int `json:"length"`
	}
	iteration struct {
		Name  string `json:"name"`
		Index int    `json:"index"`
	}
	// dataDetails says that nothing was cut.
	dataDetails struct {
		Truncated bool `json:"truncated"`
	}
)

// emit appends an event that refers to another one.
func (r *run) emit(previous int64, kind string, details any) int64 {
	r.x.LastEvent++
	r.step.History = append(r.step.History, HistoryEvent{
		ID: r.x.LastEvent, Previous: previous, Timestamp: r.now, Type: kind, Details: details,
	})
	return r.x.LastEvent
}

// record appends an event of a thread.
func (r *run) record(f *frame, kind string, details any) {
	f.Previous = r.emit(f.Previous, kind, details)
}

func (r *run) recordScheduled(f *frame, s *state, timeout int64) {
	resource := &s.resource
	parameters := string(f.Task.Parameters)
	if resource.Function {
		r.record(
			f, "LambdaFunctionScheduled",
			functionScheduled{Resource: resource.ARN, Input: parameters, Timeout: timeout},
		)
		r.record(f, "LambdaFunctionStarted", nil)
		return
	}
	r.record(f, "TaskScheduled", taskScheduled{
		ResourceType: resource.Service, Resource: resource.action(), Region: r.x.Info.Region, Parameters: parameters,
		Timeout: timeout, Heartbeat: f.Task.Heartbeat,
	})
	r.record(f, "TaskStarted", taskStarted{resource.Service, resource.action()})
}

func (r *run) recordSucceeded(f *frame, s *state, output json.RawMessage) {
	if s.resource.Function {
		r.record(f, "LambdaFunctionSucceeded", executionSucceeded{Output: string(output)})
		return
	}
	r.record(
		f, "TaskSucceeded",
		taskOutput{ResourceType: s.resource.Service, Resource: s.resource.action(), Output: string(output)},
	)
}

func (r *run) recordSubmitted(f *frame, s *state, output json.RawMessage) {
	r.record(
		f, "TaskSubmitted",
		taskOutput{ResourceType: s.resource.Service, Resource: s.resource.action(), Output: string(output)},
	)
}

// recordFailed is for tasks that failed, and (how is "TimedOut") for those that took too long.
func (r *run) recordFailed(f *frame, s *state, how string, failed *failure) {
	details := errorDetails{failed.name, failed.cause}
	if s.resource.Function {
		r.record(f, "LambdaFunction"+how, details)
		return
	}
	r.record(f, "Task"+how, taskError{s.resource.Service, s.resource.action(), details})
}
