package datasets

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

// filters are the expressions by which recommendations and batch jobs leave items or users out.
type filters struct{ *crud.Env }

func (s filters) row() crud.Row {
	return crud.Kind[*catalog.Filter]{
		Taggable:  true,
		Pending:   crud.CreatePending[*catalog.Filter],
		Reconcile: crud.Activator[*catalog.Filter](s.Env),
		Operations: []crud.Operation{
			crud.Handle("CreateFilter", s.create),
			crud.Handle("DescribeFilter", s.describe),
			crud.Handle("ListFilters", s.list),
			crud.Handle("DeleteFilter", s.delete),
		},
	}.Row()
}

func (s filters) create(
	ctx context.Context, req *personalize.CreateFilterRequest,
) (*personalize.CreateFilterResponse, error) {
	var group *catalog.DatasetGroup
	created, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.Filter]{
		Name: *req.Name, Tags: req.Tags,
		Resolve: func() (err error) {
			group, err = crud.Find[*catalog.DatasetGroup](ctx, s.Env, "datasetGroupArn", *req.DatasetGroupArn)
			return err
		},
		ARN: func() string { return crud.SiblingARN(group.ARN, resource.Filter, *req.Name) },
		Parents: func(arn string) []crud.Parent {
			return []crud.Parent{crud.Under(group,
				crud.Limit[*catalog.DatasetGroup](arn, s.Quotas.FiltersPerGroup), validateFilterGroup)}
		},
		Build: func(m catalog.Metadata) (*catalog.Filter, error) {
			return &catalog.Filter{Metadata: m, DatasetGroupARN: group.ARN, Expression: *req.FilterExpression},
				s.validateExpression(ctx, *req.FilterExpression, group)
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateFilterResponse{FilterArn: &created.ARN}, nil
}

// validateFilterGroup is ValidateActive with the exception that CreateFilter has for it: ResourceInUse is not among its
// own.
func validateFilterGroup(g *catalog.DatasetGroup) error {
	if g.Status != status.Active {
		return awsapi.InvalidInput("Resource %s is %s, it must be ACTIVE", g.ARN, g.Status)
	}
	return nil
}

// validateExpression compiles an expression and counts the fields of the group's filters with it.
func (s filters) validateExpression(ctx context.Context, expression string, group *catalog.DatasetGroup) error {
	schemas, err := crud.GroupSchemas(ctx, s.Env, group.ARN)
	if err != nil {
		return err
	}
	compiled, err := filter.Compile(expression, schemas)
	if err != nil {
		return awsapi.InvalidInput("Invalid filterExpression: %v", err)
	}
	fields := map[string]bool{}
	count := func(f *filter.Filter) {
		for _, field := range f.Fields() {
			fields[field] = true
		}
	}
	count(compiled)
	for _, child := range group.Children {
		if resource.TypeOf(child.ARN) != resource.Filter {
			continue
		}
		other, err := s.Store.Filters.Get(ctx, child.ARN)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if f, err := filter.Compile(other.Expression, schemas); err == nil { // else its dataset is gone, and with it its fields
			count(f)
		}
	}
	if most := s.Quotas.FilterFieldsPerGroup; len(fields) > most {
		return awsapi.LimitExceeded(
			"The filters of a dataset group can use at most %d different fields, with this one they would use %d",
			most, len(fields),
		)
	}
	return nil
}

func (s filters) describe(
	ctx context.Context, req *personalize.DescribeFilterRequest,
) (*personalize.DescribeFilterResponse, error) {
	f, err := crud.Find[*catalog.Filter](ctx, s.Env, "filterArn", *req.FilterArn)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeFilterResponse{Filter: &personalize.Filter{
		Name: &f.Name, FilterArn: &f.ARN, DatasetGroupArn: &f.DatasetGroupARN, FilterExpression: &f.Expression,
		Status: &f.Status, FailureReason: awsapi.Present(f.FailureReason),
		CreationDateTime: awsapi.At(f.CreatedAt), LastUpdatedDateTime: awsapi.At(f.UpdatedAt),
	}}, nil
}

func (s filters) list(
	_ context.Context, req *personalize.ListFiltersRequest,
) (*personalize.ListFiltersResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	filters, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListFilters " + group, Token: req.NextToken, Size: req.MaxResults},
		func(f *catalog.Filter) bool { return group == "" || f.DatasetGroupARN == group },
		func(f *catalog.Filter) personalize.FilterSummary {
			return personalize.FilterSummary{
				Name: &f.Name, FilterArn: &f.ARN, DatasetGroupArn: &f.DatasetGroupARN, Status: &f.Status,
				FailureReason:    awsapi.Present(f.FailureReason),
				CreationDateTime: awsapi.At(f.CreatedAt), LastUpdatedDateTime: awsapi.At(f.UpdatedAt),
			}
		},
	)
	return &personalize.ListFiltersResponse{Filters: filters, NextToken: next}, err
}

func (s filters) delete(ctx context.Context, req *personalize.DeleteFilterRequest) (*awsapi.Empty, error) {
	return nil, crud.MarkDeleting[*catalog.Filter](ctx, s.Env, "filterArn", *req.FilterArn)
}
