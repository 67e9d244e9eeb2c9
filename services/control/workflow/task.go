package workflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/penchant-io/penchant/pkg/asl"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
)

// The integrations that Task states may use.
const (
	personalizeService = "aws-sdk:personalize"
	runtimeService     = "aws-sdk:personalizeruntime"
	eventsService      = "aws-sdk:personalizeevents"
	httpService        = "http"
	lambdaService      = "lambda"
	kafkaService       = "kafka" // Penchant's own
)

// sdkServices names the services of Personalize in errors.
var sdkServices = map[string]string{personalizeService: "Personalize", runtimeService: "PersonalizeRuntime", eventsService: "PersonalizeEvents"}

// operation finds an operation of one of Personalize's services in this process, or one that Penchant adds to them.
func (s *Service) operation(service, name string) (awsapi.Local, error) {
	if service == personalizeService {
		if op, ok := s.router.Local(upperFirst(name)); ok {
			return op, nil
		}
	}
	operations := map[string][]awsapi.Operation{
		personalizeService: personalize.Operations, runtimeService: personalizeruntime.Operations, eventsService: personalizeevents.Operations,
	}[service]
	i := slices.IndexFunc(operations, func(o awsapi.Operation) bool { return o.Name == upperFirst(name) })
	if i < 0 {
		return awsapi.Local{}, fmt.Errorf("there is no operation '%s' of %s", name, sdkServices[service])
	}
	if op, ok := s.router.LocalPath(operations[i].Path); ok && service != personalizeService {
		return op, nil
	}
	return awsapi.Local{}, fmt.Errorf("the operation '%s' of %s is not served by the process that runs workflows, as it is by penchant all", name, sdkServices[service])
}

// maxResponse is more of an HTTP response than a state may hold.
const maxResponse = 256<<10 + 1

// taskFailure is why a task failed, in the language's terms.
type taskFailure struct{ name, cause string }

func (f *taskFailure) Error() string { return f.name + ": " + f.cause }

func failed(name, format string, args ...any) *taskFailure {
	return &taskFailure{name, fmt.Sprintf(format, args...)}
}

// checkResource reports whether a Task's resource can be run here.
func (s *Service) checkResource(r asl.Resource) error {
	switch {
	case r.Function:
		return s.knowsFunction(r.ARN)
	case sdkServices[r.Service] != "" && r.WaitsForToken:
		return fmt.Errorf("the operations of %s do not report task tokens", sdkServices[r.Service])
	case sdkServices[r.Service] != "":
		_, err := s.operation(r.Service, r.Action)
		return err
	case r.Service == httpService && r.Action == "invoke", r.Service == lambdaService && r.Action == "invoke", r.Service == kafkaService && r.Action == "publish":
		return nil
	}
	return fmt.Errorf("there is no integration '%s:%s'; there are those of aws-sdk:personalize, aws-sdk:personalizeruntime and aws-sdk:personalizeevents, http:invoke, lambda:invoke and kafka:publish",
		r.Service, r.Action)
}

// do runs a task and says how it ended; nil if it was given up.
func (s *Service) do(ctx context.Context, e execution, task asl.Task) asl.Event {
	id := fmt.Sprintf("%s/%d", e.path(), task.ID)
	output, err := s.result(ctx, id, task)
	if ctx.Err() != nil {
		return nil
	}
	var f *taskFailure
	switch {
	case errors.As(err, &f):
		return asl.TaskFailed{Task: task.ID, Error: f.name, Cause: f.cause}
	case err != nil:
		return asl.TaskFailed{Task: task.ID, Error: asl.ErrorTaskFailed, Cause: err.Error()}
	case task.Resource.WaitsForToken:
		return asl.TaskSubmitted{Task: task.ID, Output: output}
	}
	return asl.TaskSucceeded{Task: task.ID, Output: output}
}

func (s *Service) result(ctx context.Context, id string, task asl.Task) (json.RawMessage, error) {
	switch r := task.Resource; {
	case r.Function:
		return s.function(ctx, id, r.ARN, task.Parameters)
	case sdkServices[r.Service] != "":
		return s.personalize(ctx, id, r, task.Parameters)
	case r.Service == lambdaService:
		return s.lambdaInvoke(ctx, id, task.Parameters)
	case r.Service == kafkaService:
		return s.publish(ctx, id, task.Parameters)
	}
	return s.httpInvoke(ctx, id, task.Parameters)
}

func upperFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

// personalize calls an operation as an HTTP request would. A task that may have been begun before (by a process that
// died) first looks for what it has created.
func (s *Service) personalize(ctx context.Context, id string, r asl.Resource, parameters json.RawMessage) (json.RawMessage, error) {
	operation, service := upperFirst(r.Action), sdkServices[r.Service]
	op, err := s.operation(r.Service, r.Action)
	if err != nil {
		return nil, failed(asl.ErrorRuntime, "%v", err)
	}
	var given any
	if err := decode(parameters, &given); err != nil {
		return nil, err
	}
	wire, err := toWire(given, op.Request, "")
	if err != nil {
		return nil, failed(asl.ErrorRuntime, "%v", err)
	}
	body, err := json.Marshal(wire)
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	if kind := createdKind(operation); kind != "" {
		made, err := s.Store.CreatedBy(ctx, kind, id)
		if err == nil {
			return encode(adopted(made, strings.TrimPrefix(operation, "Create")))
		}
		if !errors.Is(err, catalog.ErrNotFound) {
			return nil, failed("Personalize.ServiceUnavailableException", "looking for what the task may have created: %v", err)
		}
		ctx = catalog.WithCreator(ctx, id)
	}
	answer, err := op.Call(ctx, body)
	var refusal *awsapi.Error
	switch {
	case errors.As(err, &refusal):
		name := refusal.Code
		if !strings.HasSuffix(name, "Exception") {
			name += "Exception"
		}
		return nil, failed(service+"."+name, "%s (Service: %s, Status Code: 400, Request ID: %s)", refusal.Message, service, id)
	case err != nil:
		return nil, failed(service+".InternalServerErrorException", "The request could not be processed because of an internal error. (Service: %s, Status Code: 500, Request ID: %s)", service, id)
	case answer == nil:
		return json.RawMessage(`{}`), nil
	}
	return encode(fromWire(reflect.ValueOf(answer)))
}

// createdKind returns the type of the resource that an operation creates, "" if it creates nothing.
func createdKind(operation string) string {
	name, creates := strings.CutPrefix(operation, "Create")
	if !creates {
		return ""
	}
	var kind strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			kind.WriteByte('-')
		}
		kind.WriteRune(unicode.ToLower(r))
	}
	return kind.String()
}

// adopted returns the response that the operation which created a resource would have had.
func adopted(r catalog.Resource, name string) map[string]any {
	answer := map[string]any{name + "Arn": r.Meta().ARN}
	switch r := r.(type) {
	case *catalog.EventTracker:
		answer["TrackingId"] = r.TrackingID
	case *catalog.DatasetGroup:
		if r.Domain != "" {
			answer["Domain"] = r.Domain
		}
	}
	return answer
}

func decode(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return failed(asl.ErrorRuntime, "The parameters are not what the task takes: %v", err)
	}
	return nil
}

// toWire turns members in PascalCase, as Step Functions has them, into those of a request. Keys of maps stay as they
// are.
func toWire(v any, t reflect.Type, at string) (any, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, member := range v {
			wire, kind := name, t
			switch t.Kind() {
			case reflect.Struct:
				field, ok := fieldOf(t, name)
				if !ok {
					return nil, fmt.Errorf("the field '%s' is not supported by the operation: its members are written in PascalCase", at+name)
				}
				wire, kind = nameOf(field), field.Type
			case reflect.Map:
				kind = t.Elem()
			}
			var err error
			if object[wire], err = toWire(member, kind, at+name+"."); err != nil {
				return nil, err
			}
		}
		return object, nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			element := t
			if t.Kind() == reflect.Slice {
				element = t.Elem()
			}
			var err error
			if list[i], err = toWire(v[i], element, at); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return v, nil
}

func nameOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func fieldOf(t reflect.Type, pascal string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); upperFirst(nameOf(f)) == pascal {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// fromWire is the reverse of toWire; absent members are left out, and times are written as ISO 8601.
func fromWire(v reflect.Value) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if at, ok := v.Interface().(awsapi.Timestamp); ok {
		return at.Time().Format("2006-01-02T15:04:05.999Z07:00")
	}
	switch v.Kind() {
	case reflect.Struct:
		object := map[string]any{}
		for i := range v.NumField() {
			f := v.Field(i)
			if (f.Kind() == reflect.Pointer || f.Kind() == reflect.Slice || f.Kind() == reflect.Map) && f.IsNil() {
				continue
			}
			if v.Type().Field(i).Anonymous { // its members are the object's, as encoding/json has it
				maps.Copy(object, fromWire(f).(map[string]any))
				continue
			}
			object[upperFirst(nameOf(v.Type().Field(i)))] = fromWire(f)
		}
		return object
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = fromWire(v.Index(i))
		}
		return list
	case reflect.Map:
		object := map[string]any{}
		for _, key := range v.MapKeys() {
			object[key.String()] = fromWire(v.MapIndex(key))
		}
		return object
	}
	return v.Interface()
}

// functionName returns the name in a function's ARN, or the name itself.
func functionName(function string) string {
	if _, rest, ok := strings.Cut(function, ":function:"); ok {
		function = rest
	}
	name, _, _ := strings.Cut(function, ":") // a version or an alias
	return name
}

func (s *Service) knowsFunction(function string) error {
	if s.Functions[functionName(function)] != "" {
		return nil
	}
	known := strings.Join(slices.Sorted(maps.Keys(s.Functions)), ", ")
	if known == "" {
		known = "none"
	}
	return fmt.Errorf("no endpoint is configured for the function '%s'; there are: %s", functionName(function), known)
}

// function posts the input to the endpoint that stands for a Lambda function. As Lambda has it, the header
// X-Amz-Function-Error says that the answer is an error: an object with errorType and errorMessage.
func (s *Service) function(ctx context.Context, id, function string, input json.RawMessage) (json.RawMessage, error) {
	if err := s.knowsFunction(function); err != nil {
		return nil, failed("Lambda.ResourceNotFoundException", "%v", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Functions[functionName(function)], bytes.NewReader(input))
	if err != nil {
		return nil, failed("Lambda.SdkClientException", "%v", err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.send(request, id)
	if err != nil {
		return nil, failed("Lambda.SdkClientException", "%v", err)
	}
	var problem struct{ ErrorType, ErrorMessage string }
	isProblem := json.Unmarshal(answer.body, &problem) == nil && problem.ErrorType != ""
	switch {
	case answer.header.Get("X-Amz-Function-Error") != "" || answer.status >= http.StatusBadRequest && isProblem:
		if problem.ErrorType == "" {
			problem.ErrorType = "Lambda.Unknown"
		}
		return nil, failed(problem.ErrorType, "%s", answer.body)
	case answer.status == http.StatusTooManyRequests:
		return nil, failed("Lambda.TooManyRequestsException", "%s", answer.body)
	case answer.status >= http.StatusMultipleChoices:
		return nil, failed("Lambda.ServiceException", "The endpoint answered with status %d: %s", answer.status, answer.body)
	case len(answer.body) == 0:
		return json.RawMessage(`null`), nil
	case !json.Valid(answer.body):
		return nil, failed("Lambda.Unknown", "The endpoint's answer is no JSON")
	}
	return answer.body, nil
}

func (s *Service) lambdaInvoke(ctx context.Context, id string, parameters json.RawMessage) (json.RawMessage, error) {
	var p struct {
		FunctionName string
		Payload      json.RawMessage
	}
	if err := decode(parameters, &p); err != nil {
		return nil, err
	}
	if len(p.Payload) == 0 {
		p.Payload = json.RawMessage(`{}`)
	}
	payload, err := s.function(ctx, id, p.FunctionName, p.Payload)
	if err != nil {
		return nil, err
	}
	return encode(map[string]any{"ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": http.StatusOK})
}

// response is an answer that has been read.
type response struct {
	status int
	header http.Header
	body   []byte
}

// send sends a request and reads the answer. The header names the task, the same each time it is begun again after a
// crash: who keeps it can do its work once.
func (s *Service) send(request *http.Request, id string) (*response, error) {
	request.Header.Set("Idempotency-Key", id)
	answer, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxResponse))
	return &response{answer.StatusCode, answer.Header, body}, err
}

// httpInvoke is http:invoke. Unlike in AWS, the endpoint may be plain http, no connection is needed, and there is
// .waitForTaskToken.
func (s *Service) httpInvoke(ctx context.Context, id string, parameters json.RawMessage) (json.RawMessage, error) {
	var p struct {
		APIEndpoint     string `json:"ApiEndpoint"`
		Method          string
		Headers         map[string]string
		QueryParameters map[string]any
		RequestBody     json.RawMessage
	}
	if err := decode(parameters, &p); err != nil {
		return nil, err
	}
	endpoint, err := url.Parse(p.APIEndpoint)
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" {
		return nil, failed(asl.ErrorRuntime, "ApiEndpoint must be an http or https URL")
	}
	query := endpoint.Query()
	for name, value := range p.QueryParameters {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			query.Add(name, fmt.Sprint(v))
		}
	}
	endpoint.RawQuery = query.Encode()
	if p.Method == "" {
		p.Method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, p.Method, endpoint.String(), bytes.NewReader(p.RequestBody))
	if err != nil {
		return nil, failed(asl.ErrorRuntime, "%v", err)
	}
	if len(p.RequestBody) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range p.Headers {
		request.Header.Set(name, value)
	}
	answer, err := s.send(request, id)
	if err != nil {
		return nil, failed("States.Http.Socket", "%v", err)
	}
	var content any = string(answer.body)
	if json.Valid(answer.body) {
		content = json.RawMessage(answer.body)
	}
	result, err := encode(map[string]any{
		"Headers": answer.header, "ResponseBody": content, "StatusCode": answer.status, "StatusText": http.StatusText(answer.status),
	})
	if err == nil && answer.status >= http.StatusMultipleChoices {
		return nil, failed(fmt.Sprintf("States.Http.StatusCode.%d", answer.status), "%s", result)
	}
	return result, err
}

// publish is kafka:publish. A value that is a string is published as it is, any other one as JSON.
func (s *Service) publish(ctx context.Context, id string, parameters json.RawMessage) (json.RawMessage, error) {
	var p struct {
		Topic, Key string
		Value      json.RawMessage
		Headers    map[string]string
	}
	if err := decode(parameters, &p); err != nil {
		return nil, err
	}
	if p.Topic == "" {
		return nil, failed(asl.ErrorRuntime, "Topic is missing")
	}
	if strings.HasPrefix(p.Topic, "penchant.") {
		return nil, failed(asl.ErrorRuntime, "Topics that begin with penchant. are Penchant's own")
	}
	value := []byte(p.Value)
	var plain string
	if json.Unmarshal(p.Value, &plain) == nil {
		value = []byte(plain)
	}
	record := bus.Record{Topic: p.Topic, Key: []byte(p.Key), Value: value, Headers: []bus.Header{
		{Key: "ce_id", Value: []byte(id)}, {Key: "ce_type", Value: []byte("penchant.workflow")},
	}}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		record.Headers = append(record.Headers, bus.Header{Key: name, Value: []byte(p.Headers[name])})
	}
	if err := s.Bus.Publish(ctx, record); err != nil {
		return nil, failed("Kafka.PublishFailed", "%v", err)
	}
	return json.RawMessage(`{}`), nil
}
