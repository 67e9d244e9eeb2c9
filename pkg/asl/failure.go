package asl

import (
	"fmt"
	"slices"
)

// The language's own error names.
const (
	ErrorAll              = "States.ALL"
	ErrorTimeout          = "States.Timeout"
	ErrorHeartbeatTimeout = "States.HeartbeatTimeout"
	ErrorTaskFailed       = "States.TaskFailed"
	ErrorPermissions      = "States.Permissions"
	ErrorRuntime          = "States.Runtime"
	ErrorDataLimit        = "States.DataLimitExceeded"
	ErrorParameterPath    = "States.ParameterPathFailure"
	ErrorResultPath       = "States.ResultPathMatchFailure"
	ErrorBranchFailed     = "States.BranchFailed"
	ErrorNoChoiceMatched  = "States.NoChoiceMatched"
	ErrorIntrinsic        = "States.IntrinsicFailure"
	ErrorThreshold        = "States.ExceedToleratedFailureThreshold"
)

// failure is an error at run time, as Retry and Catch see it.
type failure struct {
	name, cause string
	// also are further names that match: the specification and Step Functions call some errors differently.
	also []string
	// named says that it is matched by its own name only, not by States.ALL; fatal, that it is never matched.
	named, fatal bool
	// message says what happened, for the cause, until the state is known in which it did.
	message string
}

func (f *failure) is(name string) bool { return f.name == name || slices.Contains(f.also, name) }

// matches says whether a retrier or catcher with these names takes the failure.
func (f *failure) matches(names []string) bool {
	if f.fatal {
		return false
	}
	for _, name := range names {
		switch {
		case f.is(name):
			return true
		case name == ErrorAll && !f.named, name == ErrorTaskFailed && !f.named && f.name != ErrorTimeout:
			return true
		}
	}
	return false
}

// broken is the failure of a definition that does not fit its data: nothing but the end of the execution helps.
func broken(format string, args ...any) *failure {
	return &failure{name: ErrorRuntime, message: fmt.Sprintf(format, args...), named: true, fatal: true}
}

// namedFailure is a failure of the language's own that can be caught.
func namedFailure(name, format string, args ...any) *failure {
	return &failure{name: name, message: fmt.Sprintf(format, args...)}
}

// parameterFailure is one of a payload template: it can be caught, but by name only.
func parameterFailure(format string, args ...any) *failure {
	return &failure{
		name:    ErrorRuntime,
		also:    []string{ErrorParameterPath},
		message: fmt.Sprintf(format, args...),
		named:   true,
	}
}
