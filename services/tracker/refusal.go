package tracker

import (
	"errors"
	"fmt"

	"github.com/penchant-io/penchant/pkg/awsapi"
)

// refusal is an error with the reason under which it is counted.
type refusal struct {
	reason string
	err    error
}

func (r refusal) Error() string { return r.err.Error() }
func (r refusal) Unwrap() error { return r.err }

// reasonOf is the reason under which an error is counted.
func reasonOf(err error) string {
	var counted refusal
	if errors.As(err, &counted) {
		return counted.reason
	}
	var stated *awsapi.Error
	if !errors.As(err, &stated) {
		return "internal"
	}
	switch stated.Code {
	case awsapi.CodeInvalidInput, awsapi.CodeSerialization:
		return "invalid"
	case awsapi.CodeResourceNotFound:
		return "not_found"
	case awsapi.CodeResourceInUse:
		return "in_use"
	}
	return "other"
}

func invalid(format string, args ...any) error { return awsapi.InvalidInput(format, args...) }

// inMember names the list member, counted from one as the API model's violations do, in a client's error.
func inMember(list string, i int, err error) error {
	var stated *awsapi.Error
	if !errors.As(err, &stated) {
		return err
	}
	named := *stated
	named.Message = fmt.Sprintf("%s.%d.member: %s", list, i+1, stated.Message)
	return &named
}
