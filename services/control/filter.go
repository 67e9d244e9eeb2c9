package control

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

func (s *Service) createFilter(ctx context.Context, req *personalize.CreateFilterRequest) (*personalize.CreateFilterResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	group, err := find[*catalog.DatasetGroup](ctx, s, "datasetGroupArn", *req.DatasetGroupArn, resource.DatasetGroup)
	if err != nil {
		return nil, err
	}
	arn := beside(group.ARN, resource.Filter, *req.Name)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underGroup, err := place(ctx, s, group, func(g *catalog.DatasetGroup) error {
		return within(g.Children.Count(resource.Filter, arn), s.quotas.FiltersPerGroup, inAnyState)
	}, mustTakeFilters)
	if err != nil {
		return nil, err
	}
	if err := s.checkFilter(ctx, *req.FilterExpression, group); err != nil {
		return nil, err
	}
	created := &catalog.Filter{Metadata: pending(arn, *req.Name, tags), DatasetGroupARN: group.ARN, Expression: *req.FilterExpression}
	if err := createUnder(ctx, s, created, underGroup); err != nil {
		return nil, err
	}
	return &personalize.CreateFilterResponse{FilterArn: &arn}, nil
}

// mustTakeFilters is mustBeActive with the exception that CreateFilter has for it: ResourceInUse is not among its own.
func mustTakeFilters(g *catalog.DatasetGroup) error {
	if g.Status != status.Active {
		return awsapi.InvalidInput("Resource %s is %s, it must be ACTIVE", g.ARN, g.Status)
	}
	return nil
}

// checkFilter compiles an expression and counts the fields of the group's filters with it.
func (s *Service) checkFilter(ctx context.Context, expression string, group *catalog.DatasetGroup) error {
	schemas, err := s.schemasOf(ctx, group.ARN)
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
		other, err := s.store.Filters.Get(ctx, child.ARN)
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
	if most := s.quotas.FilterFieldsPerGroup; len(fields) > most {
		return awsapi.LimitExceeded("The filters of a dataset group can use at most %d different fields, with this one they would use %d", most, len(fields))
	}
	return nil
}

func (s *Service) describeFilter(ctx context.Context, req *personalize.DescribeFilterRequest) (*personalize.DescribeFilterResponse, error) {
	f, err := find[*catalog.Filter](ctx, s, "filterArn", *req.FilterArn, resource.Filter)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeFilterResponse{Filter: &personalize.Filter{
		Name: &f.Name, FilterArn: &f.ARN, DatasetGroupArn: &f.DatasetGroupARN, FilterExpression: &f.Expression,
		Status: &f.Status, FailureReason: awsapi.Present(f.FailureReason),
		CreationDateTime: awsapi.At(f.CreatedAt), LastUpdatedDateTime: awsapi.At(f.UpdatedAt),
	}}, nil
}

func (s *Service) listFilters(_ context.Context, req *personalize.ListFiltersRequest) (*personalize.ListFiltersResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	filters, next, err := list(s, page{"ListFilters " + group, req.NextToken, req.MaxResults},
		func(f *catalog.Filter) bool { return group == "" || f.DatasetGroupARN == group },
		func(f *catalog.Filter) personalize.FilterSummary {
			return personalize.FilterSummary{
				Name: &f.Name, FilterArn: &f.ARN, DatasetGroupArn: &f.DatasetGroupARN, Status: &f.Status, FailureReason: awsapi.Present(f.FailureReason),
				CreationDateTime: awsapi.At(f.CreatedAt), LastUpdatedDateTime: awsapi.At(f.UpdatedAt),
			}
		})
	return &personalize.ListFiltersResponse{Filters: filters, NextToken: next}, err
}

func (s *Service) deleteFilter(ctx context.Context, req *personalize.DeleteFilterRequest) (*awsapi.Empty, error) {
	return nil, markDeleting[*catalog.Filter](ctx, s, "filterArn", *req.FilterArn, resource.Filter)
}
