package datasets

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

// schemas describe the columns of datasets.
type schemas struct{ *crud.Env }

func (s schemas) row() crud.Row {
	return crud.Kind[*catalog.Schema]{
		Operations: []crud.Operation{
			crud.Handle("CreateSchema", s.create),
			crud.Handle("DescribeSchema", s.describe),
			crud.Handle("ListSchemas", s.list),
			crud.Handle("DeleteSchema", s.delete),
		},
	}.Row()
}

func (s schemas) create(
	ctx context.Context, req *personalize.CreateSchemaRequest,
) (*personalize.CreateSchemaResponse, error) {
	created, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.Schema]{
		Name: *req.Name,
		ARN:  func() string { return s.NewARN(ctx, resource.Schema, *req.Name) },
		Build: func(m catalog.Metadata) (*catalog.Schema, error) {
			if err := crud.CheckQuota(len(catalog.All[*catalog.Schema](s.View)), s.Quotas.Schemas); err != nil {
				return nil, err
			}
			if _, err := schema.Parse(*req.Schema, awsapi.Text(req.Domain)); err != nil {
				return nil, awsapi.InvalidInput("Invalid schema: %v", err)
			}
			m.Status = status.Active
			return &catalog.Schema{Metadata: m, Document: *req.Schema, Domain: awsapi.Text(req.Domain)}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateSchemaResponse{SchemaArn: &created.ARN}, nil
}

func (s schemas) describe(
	ctx context.Context, req *personalize.DescribeSchemaRequest,
) (*personalize.DescribeSchemaResponse, error) {
	r, err := crud.Find[*catalog.Schema](ctx, s.Env, "schemaArn", *req.SchemaArn)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeSchemaResponse{Schema: &personalize.DatasetSchema{
		Name: &r.Name, SchemaArn: &r.ARN, Schema: &r.Document, Domain: awsapi.Present(r.Domain),
		CreationDateTime: awsapi.At(r.CreatedAt), LastUpdatedDateTime: awsapi.At(r.CreatedAt),
	}}, nil
}

func (s schemas) list(
	_ context.Context, req *personalize.ListSchemasRequest,
) (*personalize.ListSchemasResponse, error) {
	schemas, next, err := crud.List(s.Env, crud.Page{Scope: "ListSchemas", Token: req.NextToken, Size: req.MaxResults},
		func(r *catalog.Schema) bool { return !r.Deleting() },
		func(r *catalog.Schema) personalize.DatasetSchemaSummary {
			return personalize.DatasetSchemaSummary{
				Name: &r.Name, SchemaArn: &r.ARN, Domain: awsapi.Present(r.Domain),
				CreationDateTime: awsapi.At(r.CreatedAt), LastUpdatedDateTime: awsapi.At(r.CreatedAt),
			}
		})
	return &personalize.ListSchemasResponse{Schemas: schemas, NextToken: next}, err
}

// delete removes the schema before it answers: schemas have no status by which a client could wait.
func (s schemas) delete(ctx context.Context, req *personalize.DeleteSchemaRequest) (*awsapi.Empty, error) {
	if _, err := crud.Find[*catalog.Schema](ctx, s.Env, "schemaArn", *req.SchemaArn); err != nil {
		return nil, err
	}
	return nil, s.Store.DeleteUnused(ctx, *req.SchemaArn)
}
