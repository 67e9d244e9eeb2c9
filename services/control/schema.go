package control

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
)

func (s *Service) createSchema(ctx context.Context, req *personalize.CreateSchemaRequest) (*personalize.CreateSchemaResponse, error) {
	arn := s.newARN(ctx, resource.Schema, *req.Name)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := within(len(catalog.All[*catalog.Schema](s.view)), s.quotas.Schemas, inAnyState); err != nil {
		return nil, err
	}
	if _, err := schema.Parse(*req.Schema, awsapi.Text(req.Domain)); err != nil {
		return nil, awsapi.InvalidInput("Invalid schema: %v", err)
	}
	created := &catalog.Schema{
		Metadata: catalog.Metadata{ARN: arn, Name: *req.Name, Status: status.Active},
		Document: *req.Schema, Domain: awsapi.Text(req.Domain),
	}
	if err := createUnder(ctx, s, created); err != nil {
		return nil, err
	}
	return &personalize.CreateSchemaResponse{SchemaArn: &arn}, nil
}

func (s *Service) describeSchema(ctx context.Context, req *personalize.DescribeSchemaRequest) (*personalize.DescribeSchemaResponse, error) {
	r, err := find[*catalog.Schema](ctx, s, "schemaArn", *req.SchemaArn, resource.Schema)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeSchemaResponse{Schema: &personalize.DatasetSchema{
		Name: &r.Name, SchemaArn: &r.ARN, Schema: &r.Document, Domain: awsapi.Present(r.Domain),
		CreationDateTime: awsapi.At(r.CreatedAt), LastUpdatedDateTime: awsapi.At(r.CreatedAt),
	}}, nil
}

func (s *Service) listSchemas(_ context.Context, req *personalize.ListSchemasRequest) (*personalize.ListSchemasResponse, error) {
	schemas, next, err := list(s, page{"ListSchemas", req.NextToken, req.MaxResults},
		func(r *catalog.Schema) bool { return !r.Deleting() },
		func(r *catalog.Schema) personalize.DatasetSchemaSummary {
			return personalize.DatasetSchemaSummary{
				Name: &r.Name, SchemaArn: &r.ARN, Domain: awsapi.Present(r.Domain),
				CreationDateTime: awsapi.At(r.CreatedAt), LastUpdatedDateTime: awsapi.At(r.CreatedAt),
			}
		})
	return &personalize.ListSchemasResponse{Schemas: schemas, NextToken: next}, err
}

// deleteSchema removes the schema before it answers: schemas have no status by which a client could wait.
func (s *Service) deleteSchema(ctx context.Context, req *personalize.DeleteSchemaRequest) (*awsapi.Empty, error) {
	if _, err := find[*catalog.Schema](ctx, s, "schemaArn", *req.SchemaArn, resource.Schema); err != nil {
		return nil, err
	}
	return nil, s.store.DeleteUnused(ctx, *req.SchemaArn)
}
