package crud

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/schema"
)

// DatasetSchema returns the schema of a dataset.
func DatasetSchema(ctx context.Context, e *Env, d *catalog.Dataset) (*schema.Schema, error) {
	described, err := e.Store.Schemas.Get(ctx, d.SchemaARN)
	if err != nil {
		return nil, err
	}
	parsed, err := schema.Parse(described.Document, described.Domain)
	if err != nil {
		return nil, fmt.Errorf("parsing the schema of %s: %w", d.ARN, err)
	}
	return parsed, nil
}

// GroupSchemas returns the schemas of a group's datasets by upper-case dataset type. A dataset that is being created
// counts, so that a client need not wait between two requests; one that is being deleted does not.
func GroupSchemas(ctx context.Context, e *Env, groupARN string) (map[string]*schema.Schema, error) {
	group, err := e.Store.DatasetGroups.Get(ctx, groupARN)
	if err != nil {
		return nil, err
	}
	schemas := map[string]*schema.Schema{}
	for _, child := range group.Children {
		if resource.TypeOf(child.ARN) != resource.Dataset {
			continue
		}
		d, err := e.Store.Datasets.Get(ctx, child.ARN)
		if errors.Is(err, catalog.ErrNotFound) || err == nil && d.Deleting() {
			continue
		}
		if err == nil {
			schemas[d.DatasetType], err = DatasetSchema(ctx, e, d)
		}
		if err != nil {
			return nil, fmt.Errorf("looking at the schemas of a dataset group: %w", err)
		}
	}
	return schemas, nil
}

// CheckNotDeleting refuses to begin a job on data from which users are being deleted.
func CheckNotDeleting(ctx context.Context, e *Env, groupARN string) error {
	group, err := e.Store.DatasetGroups.Get(ctx, groupARN)
	if err != nil {
		return err
	}
	if err := e.Store.Sweep(ctx, group); err != nil {
		return err
	}
	for _, child := range group.Children {
		if resource.TypeOf(child.ARN) == resource.DataDeletionJob {
			return awsapi.ResourceInUse("Dataset group %s is in use by %s", groupARN, child.ARN)
		}
	}
	return nil
}

// ValidateOutputPath refuses an output that is not a folder in S3.
func ValidateOutputPath(output string) error {
	if _, _, err := dataset.ParseLocation(strings.TrimSuffix(output, "/") + "/"); err != nil {
		return awsapi.InvalidInput("Invalid S3 output path. It is s3://<bucket>/<folder>/")
	}
	return nil
}
