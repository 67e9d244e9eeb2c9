package awsapi

import (
	"fmt"
	"net/http"
	"time"
)

// Error is a refusal in AWS's terms. Handlers return it (wrapped or not) and the Router puts it on the wire; the Client
// turns what is on the wire into it again.
type Error struct {
	// Code is the exception's name: ResourceNotFoundException.
	Code    string
	Message string
	// Status is the HTTP status; 0 takes the one that the protocol gives to Code.
	Status int
	// RetryAfter, where positive, tells the client how long to wait before it tries again.
	RetryAfter time.Duration
}

// Error gives the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The exception names that Penchant answers with.
const (
	CodeInvalidInput          = "InvalidInputException"
	CodeValidation            = "ValidationException"
	CodeResourceNotFound      = "ResourceNotFoundException"
	CodeResourceInUse         = "ResourceInUseException"
	CodeResourceAlreadyExists = "ResourceAlreadyExistsException"
	CodeLimitExceeded         = "LimitExceededException"
	CodeConflict              = "ConflictException"
	CodeInvalidNextToken      = "InvalidNextTokenException"
	CodeTooManyTags           = "TooManyTagsException"
	CodeTooManyTagKeys        = "TooManyTagKeysException"
	CodeThrottling            = "ThrottlingException"
	CodeServiceUnavailable    = "ServiceUnavailable"
	CodeInternal              = "InternalServerError"
	CodeSerialization         = "SerializationException"
	CodeUnknownOperation      = "UnknownOperationException"
	CodeRequestTooLarge       = "RequestEntityTooLargeException"

	CodeMissingAuthentication = "MissingAuthenticationTokenException"
	CodeUnrecognizedClient    = "UnrecognizedClientException"
	CodeInvalidSignature      = "InvalidSignatureException"
	CodeIncompleteSignature   = "IncompleteSignatureException"
)

// InvalidInput refuses a request whose members break a rule.
func InvalidInput(format string, args ...any) *Error { return newError(CodeInvalidInput, format, args) }

// ResourceNotFound refuses a request that names a resource which does not exist.
func ResourceNotFound(format string, args ...any) *Error {
	return newError(CodeResourceNotFound, format, args)
}

// ResourceInUse refuses a request that a resource's present state does not allow.
func ResourceInUse(format string, args ...any) *Error {
	return newError(CodeResourceInUse, format, args)
}

// ResourceAlreadyExists refuses to create what exists.
func ResourceAlreadyExists(format string, args ...any) *Error {
	return newError(CodeResourceAlreadyExists, format, args)
}

// LimitExceeded refuses a request beyond a quota.
func LimitExceeded(format string, args ...any) *Error {
	return newError(CodeLimitExceeded, format, args)
}

// InvalidNextToken refuses a paging token that no list answer contained.
func InvalidNextToken(format string, args ...any) *Error {
	return newError(CodeInvalidNextToken, format, args)
}

// TooManyTags refuses more tags than a resource may have.
func TooManyTags(format string, args ...any) *Error { return newError(CodeTooManyTags, format, args) }

// Throttling refuses a request beyond a rate.
func Throttling(format string, args ...any) *Error { return newError(CodeThrottling, format, args) }

// ServiceUnavailable refuses what cannot be done at the moment; a client may try again after a second.
func ServiceUnavailable(format string, args ...any) *Error {
	e := newError(CodeServiceUnavailable, format, args)
	e.RetryAfter = time.Second
	return e
}

// Internal reports a fault of the server. The message goes to the client: the cause belongs into the log.
func Internal(format string, args ...any) *Error { return newError(CodeInternal, format, args) }

func newError(code, format string, args []any) *Error {
	if len(args) == 0 {
		return &Error{Code: code, Message: format}
	}
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// status is the HTTP status of an error in a protocol. The control plane's model gives its exceptions no status, so all
// of them are 400; the REST services' models do.
func (e *Error) status(p protocol) int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Code {
	case CodeInternal:
		return http.StatusInternalServerError
	case CodeServiceUnavailable:
		return http.StatusServiceUnavailable
	case CodeRequestTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeMissingAuthentication, CodeUnrecognizedClient, CodeInvalidSignature:
		return http.StatusForbidden
	}
	if p == restJSON || p == schedulerJSON {
		switch e.Code {
		case CodeResourceNotFound, CodeUnknownOperation:
			return http.StatusNotFound
		case CodeResourceInUse, CodeConflict:
			return http.StatusConflict
		}
	}
	return http.StatusBadRequest
}
