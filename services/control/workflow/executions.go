package workflow

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/asl"
	"github.com/penchant-io/penchant/pkg/awsapi"
	sfn "github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/pkg/blob"
)

// executionAPI has the operations of executions and of tasks that wait for their token.
type executionAPI struct{ *Service }

func (s executionAPI) start(ctx context.Context, req *sfn.StartExecutionInput) (*sfn.StartExecutionOutput, error) {
	m, err := s.findMachine(ctx, *req.StateMachineArn)
	if err != nil {
		return nil, err
	}
	name := awsapi.Text(req.Name)
	if name == "" {
		name = uuid.NewString()
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	input := "{}"
	if req.Input != nil {
		input = *req.Input
	}
	if !json.Valid([]byte(input)) {
		return nil, refuse(invalidInput, "Invalid State Machine Execution Input: it is no JSON")
	}
	r, err := s.first(ctx, m, name, input)
	if err != nil {
		return nil, err
	}
	e := execution{m.Name, name}
	// The mark comes first: an execution without one would never run.
	if _, err := s.Bucket.Put(ctx, runningRoot+e.path(), nil, blob.PutOptions{}); err != nil {
		return nil, fmt.Errorf("marking an execution: %w", err)
	}
	document := s.recordDocument(e)
	_, err = document.Create(ctx, r)
	if errors.Is(err, blob.ErrPrecondition) {
		// Asked for once more.
		if r, _, err = document.Read(ctx); err != nil {
			return nil, err
		}
		if r.Execution.Status != asl.Running || r.Input != input {
			return nil, refuse(executionExists, "Execution Already Exists: '%s'", r.Execution.Info.ID)
		}
	} else if err != nil {
		return nil, err
	}
	s.enlist(ctx, e, r)
	s.signal(e)
	return &sfn.StartExecutionOutput{ExecutionArn: &r.Execution.Info.ID, StartDate: awsapi.At(r.Execution.Started)}, nil
}

// first returns the record of a new execution.
func (s *Service) first(ctx context.Context, m *machine, name, input string) (*record, error) {
	hash, err := s.keepDefinition(ctx, m.Definition)
	if err != nil {
		return nil, err
	}
	program, err := s.program(ctx, hash)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(m.ARN, ":")
	info := asl.Info{
		ID: strings.Join(parts[:5], ":") + ":" + executionArn + ":" + m.Name + ":" + name, Name: name,
		MachineID: m.ARN, MachineName: m.Name, RoleARN: m.RoleARN, Region: parts[3], Secret: newID(),
	}
	x, step, err := program.Start(info, json.RawMessage(input), time.Now())
	if err != nil {
		return nil, refuse(invalidInput, "Invalid State Machine Execution Input: '%v'", err)
	}
	r := &record{Input: input, Definition: hash, Execution: x}
	return r, s.append(ctx, execution{m.Name, name}, r, step.History)
}

func (s *Service) findExecution(ctx context.Context, arn string) (execution, *record, error) {
	id, err := parseARN(arn, executionArn)
	if err != nil {
		return execution{}, nil, err
	}
	machine, name, ok := strings.Cut(id, ":")
	if !ok {
		return execution{}, nil, refuse(invalidArn, "Invalid Arn: '%s' names no execution", arn)
	}
	e := execution{machine, name}
	r, _, err := s.recordDocument(e).Read(ctx)
	if errors.Is(err, blob.ErrNotFound) || err == nil && r.Execution.Info.ID != arn {
		return e, nil, refuse(executionAbsent, "Execution Does Not Exist: '%s'", arn)
	}
	return e, r, err
}

// apply moves an execution on by an event that a call brings.
func (s *Service) apply(ctx context.Context, e execution, event asl.Event) (*record, error) {
	r, err := s.change(ctx, e, func(r *record) ([]asl.HistoryEvent, error) {
		program, err := s.program(ctx, r.Definition)
		if err != nil {
			return nil, err
		}
		step, err := program.Apply(r.Execution, event, time.Now())
		if err != nil {
			return nil, err
		}
		return step.History, nil
	})
	if err == nil {
		s.signal(e)
	}
	return r, err
}

// stop ends an execution; one that has ended stays as it is.
func (s executionAPI) stop(ctx context.Context, req *sfn.StopExecutionInput) (*sfn.StopExecutionOutput, error) {
	e, _, err := s.findExecution(ctx, *req.ExecutionArn)
	if err != nil {
		return nil, err
	}
	r, err := s.apply(ctx, e, asl.Stopped{Error: awsapi.Text(req.Error), Cause: awsapi.Text(req.Cause)})
	if err != nil && !errors.Is(err, asl.ErrEnded) {
		return nil, err
	}
	return &sfn.StopExecutionOutput{StopDate: awsapi.At(r.Execution.Ended)}, nil
}

func (s executionAPI) describe(
	ctx context.Context, req *sfn.DescribeExecutionInput,
) (*sfn.DescribeExecutionOutput, error) {
	_, r, err := s.findExecution(ctx, *req.ExecutionArn)
	if err != nil {
		return nil, err
	}
	x := r.Execution
	details := &sfn.CloudWatchEventsExecutionDataDetails{Included: new(true)}
	out := &sfn.DescribeExecutionOutput{
		ExecutionArn: &x.Info.ID, StateMachineArn: &x.Info.MachineID, Name: &x.Info.Name, Status: new(string(x.Status)),
		StartDate: awsapi.At(x.Started), Input: &r.Input, InputDetails: details, RedriveCount: new(int64(0)),
		RedriveStatus: new("NOT_REDRIVABLE"), RedriveStatusReason: new("Executions cannot be redriven"),
		Error: awsapi.Present(x.Error), Cause: awsapi.Present(x.Cause),
	}
	if x.Status != asl.Running {
		out.StopDate = awsapi.At(x.Ended)
	}
	if x.Status == asl.Succeeded {
		out.Output, out.OutputDetails = new(string(x.Output)), details
	}
	return out, nil
}

// enlist gives an execution its place in the list. Where that fails, whoever drives the execution does it.
func (s *Service) enlist(ctx context.Context, e execution, r *record) {
	if _, err := s.Bucket.Put(ctx, e.listed(r.Execution.Started), nil, blob.PutOptions{}); err != nil &&
		ctx.Err() == nil {
		s.Log.Warn(
			"an execution has not found its place in the list yet", zap.String("execution", e.path()), zap.Error(err),
		)
	}
}

// list lists the newest first. It reads no more executions than it answers with, unless they are to have a
// status.
func (s executionAPI) list(ctx context.Context, req *sfn.ListExecutionsInput) (*sfn.ListExecutionsOutput, error) {
	if req.StateMachineArn == nil {
		return nil, refuse(awsapi.CodeValidation, "'stateMachineArn' is required: there are no map runs")
	}
	m, err := s.findMachine(ctx, *req.StateMachineArn)
	if err != nil {
		return nil, err
	}
	places := startedRoot + url.PathEscape(m.Name) + "/"
	var left []string
	for info, err := range s.Bucket.List(ctx, places) {
		if err != nil {
			return nil, fmt.Errorf("listing executions: %w", err)
		}
		left = append(left, strings.TrimPrefix(info.Key, places))
	}
	if left, _, err = page(left, func(place string) string { return place }, req.NextToken, new(int64(len(left)))); err != nil {
		return nil, err
	}
	most := defaultPage
	if req.MaxResults != nil && *req.MaxResults > 0 {
		most = int(*req.MaxResults)
	}
	items, last := []sfn.ExecutionListItem{}, ""
	for len(left) > 0 && len(items) < most {
		batch := left[:min(len(left), most-len(items))]
		left, last = left[len(batch):], batch[len(batch)-1]
		keys := make([]string, len(batch))
		for i, place := range batch {
			_, name, _ := strings.Cut(place, "-")
			keys[i] = executionsRoot + url.PathEscape(m.Name) + "/" + name + ".json"
		}
		records, err := readAll[record](ctx, s.Bucket, keys)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if req.StatusFilter == nil || string(r.Execution.Status) == *req.StatusFilter {
				items = append(items, listItem(r.Execution))
			}
		}
	}
	out := &sfn.ListExecutionsOutput{Executions: items}
	if len(left) > 0 {
		out.NextToken = new(base64.RawURLEncoding.EncodeToString([]byte(last)))
	}
	return out, nil
}

func listItem(x *asl.Execution) sfn.ExecutionListItem {
	item := sfn.ExecutionListItem{
		ExecutionArn: &x.Info.ID, StateMachineArn: &x.Info.MachineID, Name: &x.Info.Name,
		Status: new(string(x.Status)), StartDate: awsapi.At(x.Started),
	}
	if x.Status != asl.Running {
		item.StopDate = awsapi.At(x.Ended)
	}
	return item
}

// history is the response of GetExecutionHistory, with events as they are stored.
type history struct {
	Events    []json.RawMessage `json:"events"`
	NextToken *string           `json:"nextToken,omitempty"`
}

func (s executionAPI) getHistory(ctx context.Context, req *sfn.GetExecutionHistoryInput) (*history, error) {
	_, r, err := s.findExecution(ctx, *req.ExecutionArn)
	if err != nil {
		return nil, err
	}
	size := int64(defaultPage)
	if req.MaxResults != nil && *req.MaxResults > 0 {
		size = *req.MaxResults
	}
	last := r.Execution.LastEvent
	reverse := req.ReverseOrder != nil && *req.ReverseOrder
	from := int64(1)
	if reverse {
		from = last
	}
	if req.NextToken != nil {
		if from, err = strconv.ParseInt(*req.NextToken, 10, 64); err != nil || from < 1 || from > last {
			return nil, refuse(invalidToken, "Invalid Token: 'Invalid token'")
		}
	}
	var out history
	if reverse {
		until := max(from-size+1, 1)
		out.Events, err = s.history(ctx, r, until, from)
		slices.Reverse(out.Events)
		if until > 1 {
			out.NextToken = new(strconv.FormatInt(until-1, 10))
		}
	} else {
		until := min(from+size-1, last)
		out.Events, err = s.history(ctx, r, from, until)
		if until < last {
			out.NextToken = new(strconv.FormatInt(until+1, 10))
		}
	}
	if out.Events == nil {
		out.Events = []json.RawMessage{}
	}
	return &out, err
}

// report applies an event of a task whose token somebody reports.
func (s executionAPI) report(ctx context.Context, token string, event func(task int64) asl.Event) error {
	arn, task, err := asl.ParseToken(token)
	if err != nil {
		return refuse(invalidToken, "Invalid Token: '%v'", err)
	}
	e, r, err := s.findExecution(ctx, arn)
	var refusal *awsapi.Error
	if errors.As(err, &refusal) || err == nil && !r.Execution.Gave(token) {
		return refuse(invalidToken, "Invalid Token: 'Invalid token'")
	}
	if err != nil {
		return err
	}
	_, err = s.apply(ctx, e, event(task))
	if errors.Is(err, asl.ErrEnded) || errors.Is(err, asl.ErrNoTask) {
		return refuse(taskTimedOut, "Task Timed Out: 'Provided task does not exist anymore'")
	}
	return err
}

func (s executionAPI) sendTaskSuccess(
	ctx context.Context, req *sfn.SendTaskSuccessInput,
) (*sfn.SendTaskSuccessOutput, error) {
	if !json.Valid([]byte(*req.Output)) {
		return nil, refuse(invalidOutput, "Invalid Output: it is no JSON")
	}
	return &sfn.SendTaskSuccessOutput{}, s.report(ctx, *req.TaskToken, func(task int64) asl.Event {
		return asl.TaskSucceeded{Task: task, Output: json.RawMessage(*req.Output)}
	})
}

func (s executionAPI) sendTaskFailure(
	ctx context.Context, req *sfn.SendTaskFailureInput,
) (*sfn.SendTaskFailureOutput, error) {
	return &sfn.SendTaskFailureOutput{}, s.report(ctx, *req.TaskToken, func(task int64) asl.Event {
		return asl.TaskFailed{Task: task, Error: awsapi.Text(req.Error), Cause: awsapi.Text(req.Cause)}
	})
}

func (s executionAPI) sendTaskHeartbeat(
	ctx context.Context, req *sfn.SendTaskHeartbeatInput,
) (*sfn.SendTaskHeartbeatOutput, error) {
	return &sfn.SendTaskHeartbeatOutput{}, s.report(
		ctx, *req.TaskToken, func(task int64) asl.Event { return asl.TaskHeartbeat{Task: task} },
	)
}
