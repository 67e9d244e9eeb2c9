package asl

import (
	"fmt"
	"strings"
)

// Machine is a checked definition. It is only read, and may be shared.
type Machine struct {
	comment string
	// timeout is how long an execution may take, in seconds; 0: for ever.
	timeout int64
	flow
}

// flow is a set of states with a beginning: a machine, a branch of a Parallel state, or what a Map state does with an
// item.
type flow struct {
	startAt string
	states  map[string]*state
}

// The types of states.
const (
	typeTask     = "Task"
	typePass     = "Pass"
	typeChoice   = "Choice"
	typeWait     = "Wait"
	typeSucceed  = "Succeed"
	typeFail     = "Fail"
	typeParallel = "Parallel"
	typeMap      = "Map"
)

// state is one state; fields that its type does not have are empty.
type state struct {
	name, kind string
	next       string
	end        bool

	inputPath, outputPath, resultPath dataPath
	parameters, resultSelector        *template
	retriers                          []retrier
	catchers                          []catcher

	resource           Resource
	timeout, heartbeat amount // in seconds

	result    jsonValue
	hasResult bool

	choices   []choice
	otherwise string // Default

	wait wait

	failError, failCause text

	branches []*flow

	itemsPath           dataPath
	processor           *flow
	concurrency         amount
	toleratedCount      amount
	toleratedPercentage amount
}

// dataPath is InputPath, OutputPath, ResultPath or ItemsPath. Without one of its own it is $.
type dataPath struct {
	path *Path
	null bool // JSON's null
}

// amount is a number in the definition, or a path to one in the input.
type amount struct {
	set   bool
	fixed float64
	path  *Path
	field string // the path's member, for messages
}

// text is a string in the definition, or an expression.
type text struct {
	set      bool
	fixed    string
	computed *expression
	field    string
}

type wait struct {
	seconds   amount
	timestamp string
	path      *Path // TimestampPath
}

type retrier struct {
	errors      []string
	interval    int64
	maxAttempts int64
	backOff     float64
	maxDelay    int64 // 0: none
	fullJitter  bool
}

type catcher struct {
	errors     []string
	next       string
	resultPath dataPath
}

// Resource is what a Task state runs, taken apart.
type Resource struct {
	// ARN is the Resource as the definition has it.
	ARN string
	// Service is the integration: "aws-sdk:personalize", "http", "lambda"; "" for the ARN of a function.
	Service string
	// Action is what it does: "createSolution", "invoke".
	Action string
	// WaitsForToken says that the task ends when somebody reports its token.
	WaitsForToken bool
	// Function says that the Resource is the ARN of a Lambda function.
	Function bool
}

const tokenSuffix = ".waitForTaskToken"

// parseResource parses a Task's Resource.
func parseResource(arn string) (Resource, error) {
	r := Resource{ARN: arn}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[5] == "" {
		return r, fmt.Errorf("'%s' is no ARN", shortened(arn))
	}
	service, name := parts[2], parts[5]
	switch {
	case service == "lambda" && strings.HasPrefix(name, "function:"):
		r.Function = true
		return r, nil
	case service == "states" && parts[3] == "" && parts[4] == "":
		return r, r.parseIntegration(name)
	case service == "states" && strings.HasPrefix(name, "activity:"):
		return r, fmt.Errorf("'%s' is an activity, which is not supported: use .waitForTaskToken", shortened(arn))
	}
	return r, fmt.Errorf("'%s' is neither a service integration nor a Lambda function", shortened(arn))
}

// parseIntegration parses the name of a service integration: service:action, or service:action.waitForTaskToken.
func (r *Resource) parseIntegration(name string) error {
	at := strings.LastIndexByte(name, ':')
	if at < 1 || at == len(name)-1 {
		return fmt.Errorf("'%s' names no service integration", shortened(r.ARN))
	}
	bare, suffix, _ := strings.Cut(name[at+1:], ".")
	switch {
	case suffix == "":
	case "."+suffix == tokenSuffix:
		r.WaitsForToken = true
	case suffix == "sync" || strings.HasPrefix(suffix, "sync:"):
		const advice = "wait by a Choice and a Wait state, or by Retry"
		return fmt.Errorf("'%s' waits for a job by .sync, which is not supported: %s", shortened(r.ARN), advice)
	default:
		return fmt.Errorf("'%s' ends in an unknown .%s", shortened(r.ARN), suffix)
	}
	r.Service, r.Action = name[:at], bare
	return nil
}

// action is the Action as the definition has it.
func (r *Resource) action() string {
	if r.WaitsForToken {
		return r.Action + tokenSuffix
	}
	return r.Action
}
