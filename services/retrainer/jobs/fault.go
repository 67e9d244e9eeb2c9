package jobs

import (
	"errors"
	"fmt"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
)

// fault is an error that the user caused or can mend. Its text becomes the failure reason.
type fault struct{ error }

func (f fault) Unwrap() error { return f.error }

// Fault marks an error whose text is meant for the user: the job fails with it and is not retried.
func Fault(err error) error { return fault{err} }

// Faultf is Fault of a formatted sentence.
func Faultf(format string, args ...any) error { return fault{fmt.Errorf(format, args...)} }

// Missing turns a failed look-up into a Fault if the user has deleted what the job needs.
func Missing(err error, what, arn string) error {
	if errors.Is(err, catalog.ErrNotFound) || errors.Is(err, catalog.ErrDeleting) {
		return Faultf("The %s %s no longer exists", what, arn)
	}
	return fmt.Errorf("looking up %s: %w", arn, err)
}

// explained is an internal error with a cause that a client may read.
type explained struct {
	error
	cause string
}

func (e explained) Unwrap() error { return e.error }

// Explain marks an internal error with a cause that a client may read. The job is retried; cause is part of the failure
// reason once the attempts are used up.
func Explain(err error, cause string) error { return explained{err, cause} }

// causeOf returns what a client may read about an internal error: what an operator can look into, but none of the
// error's own text.
func causeOf(err error) string {
	var e explained
	switch {
	case errors.As(err, &e):
		return e.cause
	case errors.Is(err, blob.ErrAccessDenied):
		return "the S3 store denied access"
	case errors.Is(err, blob.ErrUnavailable):
		return "the S3 store was unavailable"
	}
	return "internal error; the retrainer's log holds the details"
}
