package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/schema"
)

func (s *Service) createDataset(ctx context.Context, req *personalize.CreateDatasetRequest) (*personalize.CreateDatasetResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	kind, ok := schema.ParseType(*req.DatasetType)
	if !ok {
		return nil, awsapi.InvalidInput("datasetType %s is none of Interactions, Items, Users, Actions, Action_Interactions", *req.DatasetType)
	}
	described, err := find[*catalog.Schema](ctx, s, "schemaArn", *req.SchemaArn, catalog.TypeSchema)
	if err != nil {
		return nil, err
	}
	group, err := find[*catalog.DatasetGroup](ctx, s, "datasetGroupArn", *req.DatasetGroupArn, catalog.TypeDatasetGroup)
	if err != nil {
		return nil, err
	}
	arn := beside(group.ARN, catalog.TypeDataset, group.Name+"/"+kind.DatasetType())
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underGroup, err := place(ctx, s, group, mustBeActiveGroup)
	if err != nil {
		return nil, err
	}
	if err := checkSchemaFits(described, kind, group); err != nil {
		return nil, err
	}
	dataset := &catalog.Dataset{
		Meta:            pending(arn, *req.Name, tags),
		DatasetGroupARN: group.ARN, DatasetType: kind.DatasetType(), SchemaARN: described.ARN,
	}
	underSchema := catalog.Under(described.ARN, func(*catalog.Schema) error { return nil })
	if err := createUnder(ctx, s, dataset, underSchema, underGroup); err != nil {
		return nil, err
	}
	return &personalize.CreateDatasetResponse{DatasetArn: &arn}, nil
}

func mustBeActiveGroup(g *catalog.DatasetGroup) error { return mustBeActive(g) }

// checkSchemaFits refuses a schema for another type of dataset or another domain than the group's.
func checkSchemaFits(described *catalog.Schema, kind schema.Type, group *catalog.DatasetGroup) error {
	parsed, err := schema.Parse(described.Document, described.Domain)
	if err != nil {
		return awsapi.InvalidInput("Invalid schema: %v", err)
	}
	switch {
	case parsed.Type != kind:
		return awsapi.InvalidInput("Schema %s describes %s, not %s", described.ARN, parsed.Type, kind)
	case described.Domain != group.Domain:
		return awsapi.InvalidInput("The schema's domain (%s) must be the dataset group's (%s)", orNone(described.Domain), orNone(group.Domain))
	case group.Domain != "" && (kind == schema.Actions || kind == schema.ActionInteractions):
		return awsapi.InvalidInput("A dataset group of domain %s has no %s dataset", group.Domain, kind)
	}
	return nil
}

func orNone(domain string) string {
	if domain == "" {
		return "none"
	}
	return domain
}

func (s *Service) describeDataset(ctx context.Context, req *personalize.DescribeDatasetRequest) (*personalize.DescribeDatasetResponse, error) {
	d, err := find[*catalog.Dataset](ctx, s, "datasetArn", *req.DatasetArn, catalog.TypeDataset)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeDatasetResponse{Dataset: &personalize.Dataset{
		Name: &d.Name, DatasetArn: &d.ARN, DatasetGroupArn: &d.DatasetGroupARN, DatasetType: &d.DatasetType, SchemaArn: &d.SchemaARN,
		Status: &d.Status, CreationDateTime: awsapi.At(d.CreatedAt), LastUpdatedDateTime: awsapi.At(d.UpdatedAt),
	}}, nil
}

func (s *Service) listDatasets(_ context.Context, req *personalize.ListDatasetsRequest) (*personalize.ListDatasetsResponse, error) {
	group := text(req.DatasetGroupArn)
	datasets, next, err := list(s, page{"ListDatasets " + group, req.NextToken, req.MaxResults},
		func(d *catalog.Dataset) bool { return group == "" || d.DatasetGroupARN == group },
		func(d *catalog.Dataset) personalize.DatasetSummary {
			return personalize.DatasetSummary{
				Name: &d.Name, DatasetArn: &d.ARN, DatasetType: &d.DatasetType, Status: &d.Status,
				CreationDateTime: awsapi.At(d.CreatedAt), LastUpdatedDateTime: awsapi.At(d.UpdatedAt),
			}
		})
	return &personalize.ListDatasetsResponse{Datasets: datasets, NextToken: next}, err
}

func (s *Service) deleteDataset(ctx context.Context, req *personalize.DeleteDatasetRequest) (*awsapi.Empty, error) {
	return nil, markDeleting(ctx, s, "datasetArn", *req.DatasetArn, catalog.TypeDataset, func(d *catalog.Dataset) error {
		return s.mustNotBeTraining(ctx, d.DatasetGroupARN)
	})
}

// mustNotBeTraining refuses while a solution version of the group waits or runs: it may be reading the dataset. The versions are found by
// their reservations, which every creator of one makes, whoever it is.
func (s *Service) mustNotBeTraining(ctx context.Context, groupARN string) error {
	group, err := catalog.Get[*catalog.DatasetGroup](ctx, s.store, groupARN)
	if err != nil {
		return err
	}
	for _, child := range group.Children {
		if catalog.TypeOf(child.ARN) != catalog.TypeSolution {
			continue
		}
		solution, err := catalog.Get[*catalog.Solution](ctx, s.store, child.ARN)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err == nil {
			err = catalog.Sweep(ctx, s.store, solution)
		}
		if err != nil {
			return fmt.Errorf("looking for trainings: %w", err)
		}
		for _, version := range solution.Children {
			if catalog.TypeOf(version.ARN) == catalog.TypeSolutionVersion {
				return awsapi.ResourceInUse("Solution version %s is pending or in progress", version.ARN)
			}
		}
	}
	return nil
}
