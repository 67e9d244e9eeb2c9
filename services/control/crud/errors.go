package crud

import (
	"errors"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
)

// ToAPIError turns the catalog's refusals into the API's exceptions. The router handles all other errors.
func ToAPIError(err error) error {
	var held *catalog.HeldError
	switch {
	case err == nil, IsRefusal(err):
		return err
	case errors.As(err, &held):
		return awsapi.ResourceInUse("%s cannot be deleted while these exist or are in progress: %s",
			held.ARN, strings.Join(visibleARNs(held.By), ", "))
	case errors.Is(err, catalog.ErrDeleting), errors.Is(err, catalog.ErrLeased):
		return awsapi.ResourceInUse("A resource named in the request is being deleted")
	case errors.Is(err, catalog.ErrNotFound):
		return awsapi.ResourceNotFound("A resource named in the request does not exist")
	case errors.Is(err, blob.ErrContended):
		return awsapi.ServiceUnavailable("The resource is being changed by too many at once")
	}
	return err
}

// IsRefusal reports whether an error is an answer to a client, not a fault.
func IsRefusal(err error) bool {
	var refusal *awsapi.Error
	return errors.As(err, &refusal)
}

// NotFound refuses an ARN that no resource has.
func NotFound(arn string) error {
	return awsapi.ResourceNotFound("Resource %s does not exist", arn)
}

// AlreadyExists refuses an ARN that a resource has.
func AlreadyExists(arn string) error {
	return awsapi.ResourceAlreadyExists("Another resource with Arn %s already exists.", arn)
}
