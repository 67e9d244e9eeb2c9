// Package workflow runs state machines and answers the Step Functions API for them. The language is pkg/asl; this
// package makes its executions durable and does what their tasks say. The control plane builds it, registers it and
// runs it.
//
// An execution is one object in the bucket, which holds all of its state. Whatever happens to it (a task's end, a
// timer, a call of the API) is one compare-and-swap of that object, and the tasks that follow are begun after it. Any
// number of replicas may run: the one that holds an execution's lease begins its tasks and fires its timers, and any
// one answers calls. After a crash another replica finds the lease expired and goes on from the object; a task that was
// under way is begun again, and where it creates a Personalize resource it first looks for the one that it may have
// created already.
//
//	workflows/machines/<name>.json                      a state machine
//	workflows/definitions/<sha256>.json                 definitions, which executions keep when their machine changes
//	workflows/executions/<machine>/<name>.json          an execution
//	workflows/history/<machine>/<name>/…                the older part of a long history
//	workflows/running/<machine>/<name>                  a mark of each execution that may not have ended
//	workflows/started/<machine>/<time>-<name>           the place of an execution in its machine's list, the newest first
//	workflows/schedules/<name>.json                     a schedule
//
// machines.go and executions.go answer the API, drive.go runs executions, task.go does their tasks, store.go keeps
// them, and retention.go removes old ones. schedules.go answers the API of EventBridge Scheduler and starts executions
// when they are due. definitions/ holds the workflows that come with Penchant.
package workflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/asl"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
)

// Config holds the dependencies and options of the service.
type Config struct {
	Bucket *blob.Bucket
	Store  *catalog.Store
	Bus    *bus.Client
	// AccountID and Region stand in the ARNs of new machines; a client that signs for another region gets that one.
	AccountID, Region string
	// Functions are the HTTP endpoints that stand for Lambda functions, by the function's name.
	Functions map[string]string
	Log       *zap.Logger
	// LeaseTTL is after which silence of its replica an execution is taken over. 0: 30 seconds.
	LeaseTTL time.Duration
	// Retention is for how long executions are kept after their end. 0: 90 days.
	Retention time.Duration
}

// Service runs workflows.
type Service struct {
	Config
	router *awsapi.Router
	http   *http.Client

	mu       sync.Mutex
	machines map[string]*asl.Machine // by the hash of their definition
	driving  map[execution]chan struct{}
	wake     chan struct{}
}

// New makes the service.
func New(cfg Config) *Service {
	if cfg.LeaseTTL <= 0 {
		cfg.LeaseTTL = 30 * time.Second
	}
	if cfg.Retention <= 0 {
		cfg.Retention = usualRetention
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Service{
		Config: cfg, machines: map[string]*asl.Machine{}, driving: map[execution]chan struct{}{},
		wake: make(chan struct{}, 1),
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				MaxIdleConnsPerHost: 8,
				IdleConnTimeout:     time.Minute,
			},
			// A redirect would take a task's body elsewhere than the definition says.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Register puts the operations on a router, whose Personalize operations tasks call.
func (s *Service) Register(r *awsapi.Router) {
	s.router = r
	machines := machineAPI{s}
	handle(r, "CreateStateMachine", machines.create)
	handle(r, "UpdateStateMachine", machines.update)
	handle(r, "DeleteStateMachine", machines.delete)
	handle(r, "DescribeStateMachine", machines.describe)
	handle(r, "ListStateMachines", machines.list)
	handle(r, "ValidateStateMachineDefinition", machines.validateDefinition)
	handle(r, "TagResource", machines.tag)
	handle(r, "UntagResource", machines.untag)
	handle(r, "ListTagsForResource", machines.listTags)

	executions := executionAPI{s}
	handle(r, "StartExecution", executions.start)
	handle(r, "StopExecution", executions.stop)
	handle(r, "DescribeExecution", executions.describe)
	handle(r, "ListExecutions", executions.list)
	handle(r, "GetExecutionHistory", executions.getHistory)
	handle(r, "SendTaskSuccess", executions.sendTaskSuccess)
	handle(r, "SendTaskFailure", executions.sendTaskFailure)
	handle(r, "SendTaskHeartbeat", executions.sendTaskHeartbeat)

	scheduleAPI{s}.register(r)
}

// answerTimeout bounds a call while the bucket hangs.
const answerTimeout = 15 * time.Second

// maxBody is more than the longest definition, or input, with its escapes.
const maxBody = 4 << 20

func handle[Req, Resp any](r *awsapi.Router, operation string, h func(context.Context, *Req) (*Resp, error)) {
	awsapi.HandleStates(r, operation, bounded(h), awsapi.MaxBody(maxBody))
}

// bounded limits the time of a handler.
func bounded[Req, Resp any](h func(context.Context, *Req) (*Resp, error)) func(context.Context, *Req) (*Resp, error) {
	return func(ctx context.Context, req *Req) (*Resp, error) {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		resp, err := h(ctx, req)
		if errors.Is(err, blob.ErrContended) {
			err = awsapi.ServiceUnavailable("What the call is about is being changed by too many at once")
		}
		return resp, err
	}
}

func refuse(code, format string, args ...any) *awsapi.Error {
	return &awsapi.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
