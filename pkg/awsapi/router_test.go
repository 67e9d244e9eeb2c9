package awsapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	signerv2 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
)

var key = awsapi.Credential{AccessKeyID: "penchant", SecretKey: "penchant-secret"}

// server is a Router with one operation of each service, whose handlers the test sets.
type server struct {
	*httptest.Server
	registry *prometheus.Registry
	refusals []string

	createSchema func(context.Context, *personalize.CreateSchemaRequest) (*personalize.CreateSchemaResponse, error)
	putEvents    func(context.Context, *personalizeevents.PutEventsRequest) (*awsapi.Empty, error)
	recommend    func(context.Context, *personalizeruntime.GetRecommendationsRequest) (*personalizeruntime.GetRecommendationsResponse, error)
}

func newServer(t *testing.T) *server {
	s := &server{registry: prometheus.NewRegistry()}
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{key}, Log: zap.NewNop(), Registerer: s.registry})
	s.createSchema = func(_ context.Context, req *personalize.CreateSchemaRequest) (*personalize.CreateSchemaResponse, error) {
		return &personalize.CreateSchemaResponse{SchemaArn: aws.String("arn:aws:personalize:::schema/" + *req.Name)}, nil
	}
	s.putEvents = func(context.Context, *personalizeevents.PutEventsRequest) (*awsapi.Empty, error) { return nil, nil }
	s.recommend = func(context.Context, *personalizeruntime.GetRecommendationsRequest) (*personalizeruntime.GetRecommendationsResponse, error) {
		return &personalizeruntime.GetRecommendationsResponse{}, nil
	}
	awsapi.HandleTarget(router, "CreateSchema", func(ctx context.Context, r *personalize.CreateSchemaRequest) (*personalize.CreateSchemaResponse, error) {
		return s.createSchema(ctx, r)
	})
	awsapi.HandlePath(router, "/events", "PutEvents", func(ctx context.Context, r *personalizeevents.PutEventsRequest) (*awsapi.Empty, error) {
		return s.putEvents(ctx, r)
	}, awsapi.OnRefusal(func(err *awsapi.Error) { s.refusals = append(s.refusals, err.Code) }))
	awsapi.HandlePath(router, "/recommendations", "GetRecommendations", func(ctx context.Context, r *personalizeruntime.GetRecommendationsRequest) (*personalizeruntime.GetRecommendationsResponse, error) {
		return s.recommend(ctx, r)
	})
	s.Server = httptest.NewServer(router)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		s.Close()
	})
	return s
}

// send signs and sends a request and returns the response with its body read.
func (s *server) send(t *testing.T, method, path, target, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	credentials := aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretKey}
	if err := signerv2.NewSigner().SignHTTP(context.Background(), credentials, req, awsapi.HashHex([]byte(body)), "personalize", "eu-north-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}

const (
	createSchema = "AmazonPersonalize.CreateSchema"
	goodSchema   = `{"name":"s","schema":"{}"}`
	goodEvents   = `{"trackingId":"t","sessionId":"s","eventList":[{"eventType":"click","itemId":"i","sentAt":1700000000}]}`
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct {
		name, path, target, body string
		contentType, answer      string
	}{
		{"control", "/", createSchema, goodSchema, "application/x-amz-json-1.1", `{"schemaArn":"arn:aws:personalize:::schema/s"}`},
		{"nothing to answer", "/events", "", goodEvents, "application/json", ""},
		{"an empty list is still there", "/recommendations", "", "{}", "application/json", `{"itemList":[]}`},
		{"an empty body is an empty request", "/recommendations", "", "", "application/json", `{"itemList":[]}`},
		{"null is absent, unknown members are ignored", "/recommendations", "", `{"userId":null,"unheardOf":{"a":[1]}}`, "application/json", `{"itemList":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, answer := s.send(t, "POST", c.path, c.target, c.body)
			if resp.StatusCode != 200 || answer != c.answer || resp.Header.Get("Content-Type") != c.contentType {
				t.Errorf("status %d, type %q, body %q", resp.StatusCode, resp.Header.Get("Content-Type"), answer)
			}
			if _, err := uuid.Parse(resp.Header.Get("x-amzn-RequestId")); err != nil {
				t.Errorf("request id: %v", err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	failWith := func(err error) {
		s.createSchema = func(context.Context, *personalize.CreateSchemaRequest) (*personalize.CreateSchemaResponse, error) {
			return nil, err
		}
		s.recommend = func(context.Context, *personalizeruntime.GetRecommendationsRequest) (*personalizeruntime.GetRecommendationsResponse, error) {
			return nil, err
		}
	}
	for _, c := range []struct {
		name    string
		handler error
		code    string
		// status in the control plane and in the REST services
		control, rest int
		message       string
	}{
		{"invalid", awsapi.InvalidInput("bad %s", "x"), "InvalidInputException", 400, 400, "bad x"},
		{"not found, wrapped", fmt.Errorf("looking: %w", awsapi.ResourceNotFound("no x")), "ResourceNotFoundException", 400, 404, "no x"},
		{"in use", awsapi.ResourceInUse("busy"), "ResourceInUseException", 400, 409, "busy"},
		{"exists", awsapi.ResourceAlreadyExists("is there"), "ResourceAlreadyExistsException", 400, 400, "is there"},
		{"limit", awsapi.LimitExceeded("5"), "LimitExceededException", 400, 400, "5"},
		{"token", awsapi.InvalidNextToken("t"), "InvalidNextTokenException", 400, 400, "t"},
		{"tags", awsapi.TooManyTags("51"), "TooManyTagsException", 400, 400, "51"},
		{"throttled", awsapi.Throttling("slow down"), "ThrottlingException", 400, 400, "slow down"},
		{"unavailable", awsapi.ServiceUnavailable("full"), "ServiceUnavailable", 503, 503, "full"},
		{"own status", &awsapi.Error{Code: "Teapot", Message: "m", Status: 418}, "Teapot", 418, 418, "m"},
		{"fault", errors.New("secret cause"), "InternalServerError", 500, 500, "The request could not be processed because of an internal error."},
		{"timeout", fmt.Errorf("asking: %w", context.DeadlineExceeded), "ServiceUnavailable", 503, 503, "The request took too long."},
	} {
		t.Run(c.name, func(t *testing.T) {
			failWith(c.handler)
			for _, call := range []struct {
				path, target, body, contentType string
				status                          int
			}{
				{"/", createSchema, goodSchema, "application/x-amz-json-1.1", c.control},
				{"/recommendations", "", "{}", "application/json", c.rest},
			} {
				resp, answer := s.send(t, "POST", call.path, call.target, call.body)
				if resp.StatusCode != call.status || resp.Header.Get("x-amzn-ErrorType") != c.code || resp.Header.Get("Content-Type") != call.contentType {
					t.Errorf("%s: status %d, error type %q, content type %q", call.path, resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), resp.Header.Get("Content-Type"))
				}
				if want := fmt.Sprintf(`{"__type":%q,"message":%q}`, c.code, c.message); answer != want {
					t.Errorf("%s: body %s, want %s", call.path, answer, want)
				}
				if got := resp.Header.Get("Retry-After"); (got != "") != (call.status == 503) {
					t.Errorf("%s: Retry-After %q", call.path, got)
				}
			}
		})
	}
}

func TestRequestsThatReachNoHandler(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	huge := `{"userId":"` + strings.Repeat("x", 9<<20) + `"}`
	for _, c := range []struct {
		name, method, path, target, body string
		status                           int
		code                             string
	}{
		{"unknown target", "POST", "/", "AmazonPersonalize.MakeTea", "{}", 400, "UnknownOperationException"},
		{"target of another service", "POST", "/", "DynamoDB_20120810.GetItem", "{}", 400, "UnknownOperationException"},
		{"no target", "POST", "/", "", "{}", 400, "UnknownOperationException"},
		{"unknown path", "POST", "/tea", "", "{}", 404, "UnknownOperationException"},
		{"get", "GET", "/recommendations", "", "", 404, "UnknownOperationException"},
		{"not JSON", "POST", "/", createSchema, "{", 400, "SerializationException"},
		{"not JSON, REST", "POST", "/recommendations", "", "userId=1", 400, "SerializationException"},
		{"something behind the JSON", "POST", "/recommendations", "", "{} {}", 400, "SerializationException"},
		{"not an object", "POST", "/recommendations", "", "[]", 400, "SerializationException"},
		{"wrong type of a member", "POST", "/recommendations", "", `{"userId":1}`, 400, "InvalidInputException"},
		{"constraint", "POST", "/", createSchema, `{"name":"-","schema":"{}"}`, 400, "InvalidInputException"},
		{"body too large", "POST", "/recommendations", "", huge, 413, "RequestEntityTooLargeException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, answer := s.send(t, c.method, c.path, c.target, c.body)
			if resp.StatusCode != c.status || resp.Header.Get("x-amzn-ErrorType") != c.code || !strings.Contains(answer, c.code) {
				t.Errorf("status %d, %s", resp.StatusCode, answer)
			}
		})
	}
}

func TestIdentityComesFirst(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct{ path, target, body string }{
		{"/", createSchema, "{"}, {"/events", "", goodEvents}, {"/tea", "", ""}, {"/", "", ""},
	} {
		req, _ := http.NewRequest("POST", s.URL+c.path, strings.NewReader(c.body))
		if c.target != "" {
			req.Header.Set("X-Amz-Target", c.target)
		}
		resp, _ := do(t, req)
		if resp.StatusCode != 403 || resp.Header.Get("x-amzn-ErrorType") != "MissingAuthenticationTokenException" || resp.Header.Get("x-amzn-RequestId") == "" {
			t.Errorf("%v: status %d, headers %v", c, resp.StatusCode, resp.Header)
		}
	}
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	req, _ := http.NewRequest("POST", s.URL+"/events", nil)
	req.Header.Set("X-Long", strings.Repeat("x", awsapi.MaxHeaderBytes))
	if resp, _ := do(t, req); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestChunkedBodyIsLimitedAndRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for body, status := range map[string]int{goodEvents: 200, strings.Repeat("x", 2<<20): 413} {
		req, _ := http.NewRequest("POST", s.URL+"/events", io.MultiReader(strings.NewReader(body)))
		awsapi.Sign(req, []byte(body), key, "eu-north-1")
		if resp, _ := do(t, req); resp.StatusCode != status {
			t.Errorf("%d bytes: status %d, want %d", len(body), resp.StatusCode, status)
		}
	}
}

// endless is a body that is never sent.
type endless struct{ closed chan struct{} }

func (e endless) Read([]byte) (int, error) { <-e.closed; return 0, io.EOF }

func TestUnsignedBodyIsNotRead(t *testing.T) {
	t.Parallel()
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{key}, Log: zap.NewNop()})
	for name, other := range map[string]awsapi.Credential{"unsigned": {}, "unknown key": {AccessKeyID: "nobody", SecretKey: "x"}} {
		body := endless{make(chan struct{})}
		defer close(body.closed)
		req := httptest.NewRequest("POST", "http://localhost/events", body)
		if other.AccessKeyID != "" {
			awsapi.Sign(req, nil, other, "eu-north-1")
		}
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, req)
		if answer.Code != 403 || answer.Header().Get("Connection") != "close" {
			t.Errorf("%s: status %d, headers %v", name, answer.Code, answer.Header())
		}
	}
}

func TestLargeBodiesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{key}, Log: zap.NewNop()})
	const size = 4 << 20
	awsapi.HandlePath(router, "/items", "PutItems", func(context.Context, *struct{}) (*awsapi.Empty, error) { return nil, nil }, awsapi.MaxBody(size))
	text := append(bytes.Repeat([]byte(" "), size-2), "{}"...)
	call := func(body io.Reader) *httptest.ResponseRecorder {
		req := httptest.NewRequest("POST", "http://localhost/items", body)
		awsapi.Sign(req, text, key, "eu-north-1")
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, req)
		return answer
	}
	// Many clients send all but the end of a large body.
	stalled := endless{make(chan struct{})}
	answers := make(chan *httptest.ResponseRecorder)
	const clients = 40
	for range clients {
		go func() {
			answers <- call(io.MultiReader(bytes.NewReader(text[:size-1]), stalled, strings.NewReader("}")))
		}()
	}
	codes := map[int]int{}
	for range clients - awsapi.MaxHeldBodies/size {
		answer := <-answers
		codes[answer.Code]++
		if answer.Header().Get("Retry-After") == "" {
			t.Errorf("status %d without Retry-After", answer.Code)
		}
	}
	close(stalled.closed)
	for range awsapi.MaxHeldBodies / size {
		codes[(<-answers).Code]++
	}
	if codes[503] < clients-awsapi.MaxHeldBodies/size || codes[200] < 10 || codes[200]+codes[503] != clients {
		t.Errorf("statuses %v", codes)
	}
	if answer := call(bytes.NewReader(text)); answer.Code != 200 {
		t.Errorf("after all have left: status %d", answer.Code)
	}
}

func TestBodiesThatAreNotTheExpectedJSON(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	event := func(member string) string { return `{"trackingId":"t","sessionId":"s","eventList":[{` + member + `}]}` }
	for body, want := range map[string]string{
		event(`"sentAt":"soon"`):                            "The member 'eventList.sentAt' must be a time, in seconds since the Unix epoch or in ISO-8601, not a string.",
		event(`"sentAt":[]`):                                "The member 'eventList.sentAt' must be a time, in seconds since the Unix epoch or in ISO-8601, not an array.",
		event(`"properties":7`):                             "The member 'eventList.properties' must be a string that holds a JSON object, not a number.",
		event(`"eventValue":"x"`):                           "The member 'eventList.eventValue' must be a number of 64 bits, not a string.",
		event(`"itemId":{}`):                                "The member 'eventList.itemId' must be a string, not an object.",
		event(`"impression":true`):                          "The member 'eventList.impression' must be a list, not a bool.",
		event(`"metricAttribution":"x"`):                    "The member 'eventList.metricAttribution' must be an object, not a string.",
		event(`"eventValue":1` + strings.Repeat("0", 5000)): "The member 'eventList.eventValue' must be a number of 64 bits, not a number 1" + strings.Repeat("0", 56) + "….",
		`7`:                "The body is not the expected JSON: it must be an object, not a number",
		"{\"x\":\"\xff\"}": "The body is not the expected JSON: it is not UTF-8 text",
	} {
		_, answer := s.send(t, "POST", "/events", "", body)
		var said struct{ Message string }
		if err := json.Unmarshal([]byte(answer), &said); err != nil || said.Message != want {
			t.Errorf("%s: %s\nwant %s", body, answer, want)
		}
	}
}

func TestPanicEndsOneCall(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.putEvents = func(context.Context, *personalizeevents.PutEventsRequest) (*awsapi.Empty, error) { panic("boom") }
	if resp, answer := s.send(t, "POST", "/events", "", goodEvents); resp.StatusCode != 500 || strings.Contains(answer, "boom") {
		t.Errorf("status %d, %s", resp.StatusCode, answer)
	}
	if resp, _ := s.send(t, "POST", "/recommendations", "", "{}"); resp.StatusCode != 200 {
		t.Errorf("after the panic: status %d", resp.StatusCode)
	}
}

func TestHandlersKnowTheirRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var region, id, trace string
	s.putEvents = func(ctx context.Context, _ *personalizeevents.PutEventsRequest) (*awsapi.Empty, error) {
		region, id, trace = awsapi.RequestRegion(ctx), awsapi.RequestID(ctx), awsapi.TraceParent(ctx)
		return nil, nil
	}
	resp, _ := s.send(t, "POST", "/events", "", goodEvents)
	if region != "eu-north-1" || id != resp.Header.Get("x-amzn-RequestId") {
		t.Errorf("region %q, id %q", region, id)
	}
	if want := strings.ReplaceAll(id, "-", ""); len(trace) != 55 || trace[3:35] != want {
		t.Errorf("traceparent %q of request %s", trace, id)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.send(t, "POST", "/events", "", goodEvents)
	s.send(t, "POST", "/events", "", "{}")
	s.send(t, "POST", "/events", "", "{")
	s.send(t, "POST", "/tea", "", "")
	want := `
# HELP penchant_api_requests_total API calls by operation and by error code, OK for successful ones.
# TYPE penchant_api_requests_total counter
penchant_api_requests_total{code="InvalidInputException",operation="PutEvents"} 1
penchant_api_requests_total{code="OK",operation="CreateSchema"} 0
penchant_api_requests_total{code="OK",operation="GetRecommendations"} 0
penchant_api_requests_total{code="OK",operation="PutEvents"} 1
penchant_api_requests_total{code="OK",operation="unknown"} 0
penchant_api_requests_total{code="SerializationException",operation="PutEvents"} 1
penchant_api_requests_total{code="UnknownOperationException",operation="unknown"} 1
`
	if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "penchant_api_requests_total"); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(s.refusals) != "[InvalidInputException SerializationException]" {
		t.Errorf("refusals before the handler: %v", s.refusals)
	}
}

func TestBodiesOfManyValues(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	list := func(n int) string { return strings.TrimSuffix(strings.Repeat(`{"eventType":"x"},`, n), ",") }
	for body, want := range map[string]string{
		`{"eventList":[` + list(9_000) + `]}`:                      "1 validation error detected",
		`{"eventList":[` + list(30_000) + `]}`:                     "more than 20000 values",
		`{"sessionId":"` + strings.Repeat(`\"{},[`, 60_000) + `"}`: "1 validation error detected",
	} {
		resp, answer := s.send(t, "POST", "/events", "", body)
		if resp.StatusCode != 400 || !strings.Contains(answer, want) {
			t.Errorf("%d bytes: status %d, %s; want %q", len(body), resp.StatusCode, answer, want)
		}
	}
}
