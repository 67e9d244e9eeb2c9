package crud

import (
	"context"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
)

// Row is one type of resource to the control plane.
type Row struct {
	// Type is the catalog's; "" for operations without resources of their own, such as those of tags.
	Type string
	// Taggable resources are accepted by TagResource.
	Taggable   bool
	Operations []Operation

	// Pending reports whether there is something to reconcile in a resource that is not being deleted. nil: never.
	Pending func(catalog.Resource) bool
	// Reconcile drives a pending resource one step. It must bear to be called twice, and by two replicas at once.
	Reconcile func(context.Context, catalog.Resource) error
	// Cleanup deletes what a resource owns, before the resource itself is deleted. nil: nothing. See
	// catalog.DeleteAfter.
	Cleanup func(context.Context, catalog.Resource) error
	// Dependents returns the ARNs of the resources of this type that may be pending since another resource changed.
	Dependents func(changedARN string) []string
	// Repair is called now and then to restore what the resources of this type rely on outside the catalog.
	Repair func(context.Context)
}

// Kind is a Row for resources of Go type R.
type Kind[R catalog.Resource] struct {
	Taggable   bool
	Operations []Operation
	Pending    func(R) bool
	Reconcile  func(context.Context, R) error
	Cleanup    func(context.Context, R) error
	Dependents func(changedARN string) []string
	Repair     func(context.Context)
}

// Row returns the row of the kind.
func (k Kind[R]) Row() Row {
	row := Row{
		Type: catalog.TypeFor[R](), Taggable: k.Taggable, Operations: k.Operations,
		Dependents: k.Dependents, Repair: k.Repair,
		Pending: func(catalog.Resource) bool { return false },
	}
	if k.Pending != nil {
		row.Pending = func(r catalog.Resource) bool { return k.Pending(r.(R)) }
	}
	if k.Reconcile != nil {
		row.Reconcile = func(ctx context.Context, r catalog.Resource) error { return k.Reconcile(ctx, r.(R)) }
	}
	if k.Cleanup != nil {
		row.Cleanup = func(ctx context.Context, r catalog.Resource) error { return k.Cleanup(ctx, r.(R)) }
	}
	return row
}

// Operation puts one operation of the API on a router.
type Operation func(*awsapi.Router)

// requestTimeout bounds a call while the bucket hangs: well before SDKs give up by themselves.
const requestTimeout = 15 * time.Second

// Handle makes an operation of a handler, whose errors become those of the API.
func Handle[Req, Resp any](name string, handler func(context.Context, *Req) (*Resp, error)) Operation {
	return func(router *awsapi.Router) {
		awsapi.HandleTarget(router, name, func(ctx context.Context, req *Req) (*Resp, error) {
			ctx, cancel := context.WithTimeout(ctx, requestTimeout)
			defer cancel()
			resp, err := handler(ctx, req)
			return resp, ToAPIError(err)
		})
	}
}
