package awsapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// MaxHeaderBytes is what a request's header may take; servers in front of a Router set it too.
const MaxHeaderBytes = 32 << 10

const (
	personalizePrefix = "AmazonPersonalize."
	statesPrefix      = "AWSStepFunctions."
	// defaultCalls is RouterConfig.MaxCalls' default.
	defaultCalls = 2048
)

// protocol is how a service speaks.
type protocol int

const (
	// controlJSON is AWS JSON 1.1: everything is posted to "/", X-Amz-Target names the operation.
	controlJSON protocol = iota
	// restJSON is REST-JSON: each operation has its path.
	restJSON
	// statesJSON is AWS JSON 1.0, of Step Functions; otherwise as controlJSON.
	statesJSON
	// schedulerJSON is REST-JSON of EventBridge Scheduler, with methods, and members in the path and in the query.
	schedulerJSON
)

func (p protocol) contentType() string {
	switch p {
	case controlJSON:
		return "application/x-amz-json-1.1"
	case statesJSON:
		return "application/x-amz-json-1.0"
	}
	return "application/json"
}

// service is the one for which requests are signed.
func (p protocol) service() string {
	switch p {
	case statesJSON:
		return statesService
	case schedulerJSON:
		return schedulerService
	}
	return personalizeService
}

// targetPrefix stands before an operation's name in X-Amz-Target.
func (p protocol) targetPrefix() string {
	if p == statesJSON {
		return statesPrefix
	}
	return personalizePrefix
}

// RouterConfig is what a Router needs.
type RouterConfig struct {
	Credentials []Credential
	Log         *zap.Logger
	Registerer  prometheus.Registerer
	// MaxCalls bounds the calls that are worked on at once; further ones are refused. 0: 2048.
	MaxCalls int
	// Now is the clock against which signatures are checked; nil is time.Now.
	Now func() time.Time
}

// Router answers the calls of the three Personalize services, of Step Functions and of EventBridge Scheduler.
// Operations are registered before it serves.
type Router struct {
	verifier *verifier
	log      *zap.Logger
	metrics  *metrics
	bodies   bodies
	targets  map[string]*operation // by X-Amz-Target
	paths    map[string]*operation
	routes   map[string]route // by method and path, without what is variable in it

	maxCalls int64
	calls    atomic.Int64
}

// operation is a registered operation. serve decodes and validates the body and calls the handler; a nil answer has an
// empty body.
type operation struct {
	Local
	protocol protocol
	maxBody  int
	measured *operationMetrics
}

// NewRouter returns a Router without operations.
func NewRouter(cfg RouterConfig) *Router {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxCalls <= 0 {
		cfg.MaxCalls = defaultCalls
	}
	return &Router{
		verifier: newVerifier(cfg.Credentials, cfg.Now),
		log:      cfg.Log,
		metrics:  newMetrics(cfg.Registerer),
		targets:  map[string]*operation{},
		paths:    map[string]*operation{},
		routes:   map[string]route{},
		maxCalls: int64(cfg.MaxCalls),
	}
}

// Option changes how an operation is served.
type Option func(*options)

type options struct {
	refused func(*Error)
	maxBody int
}

// OnRefusal has f called for each call that is refused before the handler sees it, because its body cannot be read or
// breaks a constraint of the API model.
func OnRefusal(f func(*Error)) Option { return func(o *options) { o.refused = f } }

// MaxBody is the size of an operation's largest body, for those that take more than a megabyte.
func MaxBody(bytes int) Option { return func(o *options) { o.maxBody = bytes } }

// HandleTarget registers a control plane operation. The request is decoded and validated before h is called. An error
// of h that is, or wraps, an *Error goes to the client; any other is logged and answered with InternalServerError. A
// nil response has an empty body.
func HandleTarget[Req, Resp any](r *Router, name string, h func(context.Context, *Req) (*Resp, error), opts ...Option) {
	r.targets[personalizePrefix+name] = newOperation(r, controlJSON, name, h, opts)
}

// HandleStates registers an operation of Step Functions; otherwise as HandleTarget. Metrics have it as states:name,
// since some names are those of Personalize's operations, too.
func HandleStates[Req, Resp any](r *Router, name string, h func(context.Context, *Req) (*Resp, error), opts ...Option) {
	r.targets[statesPrefix+name] = newOperation(r, statesJSON, "states:"+name, h, opts)
}

// Local is an operation as it is called within the process.
type Local struct {
	// Request and Response are the types of what goes in and comes out.
	Request, Response reflect.Type
	serve             func(ctx context.Context, body []byte) (answer any, err error)
}

// Local finds a control plane operation that is registered here.
func (r *Router) Local(name string) (Local, bool) {
	op, ok := r.targets[personalizePrefix+name]
	if !ok {
		return Local{}, false
	}
	return op.Local, true
}

// LocalPath finds an operation of the events or runtime service that is registered here.
func (r *Router) LocalPath(path string) (Local, bool) {
	op, ok := r.paths[path]
	if !ok {
		return Local{}, false
	}
	return op.Local, true
}

// Call runs the operation as a request with this body would: it is decoded, checked and given to the handler. The error
// is an *Error if the request was refused. The answer is nil or points to a Response.
func (l Local) Call(ctx context.Context, body []byte) (any, error) { return l.serve(ctx, body) }

// HandlePath registers an operation of the events or runtime service at POST path; otherwise as HandleTarget.
func HandlePath[Req, Resp any](
	r *Router, path, name string, h func(context.Context, *Req) (*Resp, error), opts ...Option,
) {
	r.paths[path] = newOperation(r, restJSON, name, h, opts)
}

func newOperation[Req, Resp any](
	r *Router, p protocol, name string, h func(context.Context, *Req) (*Resp, error), opts []Option,
) *operation {
	o := options{refused: func(*Error) {}, maxBody: defaultMaxBody}
	for _, opt := range opts {
		opt(&o)
	}
	return &operation{
		protocol: p,
		maxBody:  o.maxBody,
		measured: r.metrics.operation(name),
		Local: Local{
			Request:  reflect.TypeFor[Req](),
			Response: reflect.TypeFor[Resp](),
			serve: func(ctx context.Context, body []byte) (any, error) {
				req := new(Req)
				if err := decode(body, req); err != nil {
					if (p == statesJSON || p == schedulerJSON) && err.Code == CodeInvalidInput {
						err.Code = CodeValidation
					}
					o.refused(err)
					return nil, err
				}
				resp, err := h(ctx, req)
				if err != nil || resp == nil {
					return nil, err
				}
				if response, ok := any(resp).(interface{ Complete() }); ok {
					response.Complete()
				}
				return resp, nil
			},
		},
	}
}

// ServeHTTP answers one call: identity first, then the request's shape, then the handler.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c := &call{id: uuid.NewString(), traceParent: req.Header.Get("Traceparent"), header: w.Header()}
	w.Header().Set("X-Amzn-Requestid", c.id)

	op, p := r.route(req)
	measured := r.metrics.unknown
	if op != nil {
		measured = op.measured
	}
	started := time.Now()
	answer, refusal := r.answer(req, c, op, p)
	if refusal == nil {
		refusal = r.write(w, p, answer)
	}
	code := codeOK
	if refusal != nil {
		code = refusal.Code
		if c.bodyUnread && req.ContentLength != 0 {
			// Otherwise the server would wait for the rest of the body before it sends the answer.
			w.Header().Set("Connection", "close")
		}
		writeError(w, p, refusal)
	}
	measured.observe(code, time.Since(started))
}

// route finds the operation, nil if there is none, and the protocol in which to answer.
func (r *Router) route(req *http.Request) (*operation, protocol) {
	target := req.Header.Get("X-Amz-Target")
	if target != "" || req.URL.Path == "/" {
		p := controlJSON
		if strings.HasPrefix(target, statesPrefix) {
			p = statesJSON
		}
		if req.URL.Path != "/" || req.Method != http.MethodPost {
			return nil, p
		}
		return r.targets[target], p
	}
	if isScheduler(req.URL.Path) {
		return r.routes[routeKey(req.Method, req.URL.Path)].operation, schedulerJSON
	}
	if req.Method != http.MethodPost {
		return nil, restJSON
	}
	return r.paths[req.URL.Path], restJSON
}

// answer runs a call up to the response that is to be encoded. A handler's panic ends its call only.
func (r *Router) answer(req *http.Request, c *call, op *operation, p protocol) (answer any, refusal *Error) {
	defer func() {
		if fault := recover(); fault != nil {
			r.log.Error("handler panicked", zap.Any("panic", fault), zap.String("request_id", c.id),
				zap.String("path", req.URL.Path), zap.String("target", req.Header.Get("X-Amz-Target")),
				zap.ByteString("stack", debug.Stack()))
			answer, refusal = nil, Internal("The request could not be processed because of an internal error.")
		}
	}()
	if headerSize(req) > MaxHeaderBytes {
		return nil, &Error{
			Code:    CodeRequestTooLarge,
			Message: "The request's header is too large.",
			Status:  http.StatusRequestHeaderFieldsTooLarge,
		}
	}
	// Who cannot have signed the call is told so before its body is read: only those who hold a key can have us keep
	// one.
	claimed, refusal := r.verifier.claim(req, p.service())
	if refusal != nil {
		c.bodyUnread = true
		return nil, refusal
	}
	limit := defaultMaxBody
	if op != nil {
		limit = op.maxBody
	}
	// Refused rather than queued: what waits here would take memory, and be answered after its client has gone.
	defer r.calls.Add(-1)
	if r.calls.Add(1) > r.maxCalls {
		c.bodyUnread = true
		return nil, ServiceUnavailable("More calls are under way than can be worked on at once.")
	}
	body, release, refusal := r.bodies.read(req, limit)
	if refusal != nil {
		c.bodyUnread = true
		return nil, refusal
	}
	defer release()
	if refusal := r.verifier.verify(req, claimed, body); refusal != nil {
		return nil, refusal
	}
	if op == nil {
		return nil, newError(CodeUnknownOperation, "The requested operation is not known.", nil)
	}
	c.region = claimed.region
	if p == schedulerJSON {
		if body, refusal = r.routes[routeKey(req.Method, req.URL.Path)].members(req, body, op.Request); refusal != nil {
			return nil, refusal
		}
	}
	answer, err := op.serve(context.WithValue(req.Context(), callKey{}, c), body)
	if err != nil {
		return nil, r.refusal(req, c, err)
	}
	return answer, nil
}

// refusal is what the client is told of an error. Errors that are not refusals are logged here, and only here.
func (r *Router) refusal(req *http.Request, c *call, err error) *Error {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal
	}
	if req.Context().Err() != nil {
		// The client has gone: nobody reads the answer, and nothing is wrong here.
		return ServiceUnavailable("The request was given up.")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		r.log.Warn("request timed out", zap.Error(err), zap.String("request_id", c.id))
		return ServiceUnavailable("The request took too long.")
	}
	r.log.Error("request failed", zap.Error(err), zap.String("path", req.URL.Path),
		zap.String("target", req.Header.Get("X-Amz-Target")), zap.String("request_id", c.id))
	return Internal("The request could not be processed because of an internal error.")
}

func headerSize(req *http.Request) int {
	size := len(req.URL.RawPath) + len(req.URL.Path) + len(req.URL.RawQuery)
	for name, values := range req.Header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	return size
}

// write encodes an answer. It fails before the first byte is sent, or not at all.
func (r *Router) write(w http.ResponseWriter, p protocol, answer any) *Error {
	var body []byte
	if answer != nil {
		var err error
		if body, err = json.Marshal(answer); err != nil {
			r.log.Error("encoding a response", zap.Error(err))
			return Internal("The response could not be encoded.")
		}
	}
	h := w.Header()
	h.Set("Content-Type", p.contentType())
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	// What fails here is the client's connection: there is nobody left to tell.
	_, _ = w.Write(body)
	return nil
}

func writeError(w http.ResponseWriter, p protocol, e *Error) {
	// Strings always encode.
	body, _ := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{e.Code, e.Message})
	h := w.Header()
	h.Set("X-Amzn-Errortype", e.Code)
	h.Set("Content-Type", p.contentType())
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(max(1, int((e.RetryAfter+time.Second-1)/time.Second))))
	}
	w.WriteHeader(e.status(p))
	_, _ = w.Write(body)
}

// call is what a handler may ask about its request.
type call struct {
	id, region, traceParent string
	// header is the response's.
	header http.Header
	// bodyUnread is whether the call was refused before its body was read to the end.
	bodyUnread bool
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// RequestRegion is the region under which the request was signed, "" outside of a request.
func RequestRegion(ctx context.Context) string { return callOf(ctx).region }

// InRegion has what is called with the context behave as a request that was signed for a region.
func InRegion(ctx context.Context, region string) context.Context {
	return context.WithValue(ctx, callKey{}, &call{region: region})
}

// RequestID is the id that the response carries as x-amzn-RequestId, "" outside of a request.
func RequestID(ctx context.Context) string { return callOf(ctx).id }
