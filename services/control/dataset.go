package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
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
	described, err := find[*catalog.Schema](ctx, s, "schemaArn", *req.SchemaArn, resource.Schema)
	if err != nil {
		return nil, err
	}
	group, err := find[*catalog.DatasetGroup](ctx, s, "datasetGroupArn", *req.DatasetGroupArn, resource.DatasetGroup)
	if err != nil {
		return nil, err
	}
	arn := beside(group.ARN, resource.Dataset, group.Name+"/"+kind.DatasetType())
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
		Metadata:        pending(arn, *req.Name, tags),
		DatasetGroupARN: group.ARN, DatasetType: kind.DatasetType(), SchemaARN: described.ARN,
	}
	if kind == schema.ActionInteractions {
		_, dataset.TrackingID = catalog.NewTrackingID()
	}
	if err := createUnder(ctx, s, dataset, underSchema(described.ARN), underGroup); err != nil {
		return nil, err
	}
	return &personalize.CreateDatasetResponse{DatasetArn: &arn}, nil
}

func underSchema(arn string) catalog.Place {
	return catalog.Under(arn, func(*catalog.Schema) error { return nil })
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
	d, err := find[*catalog.Dataset](ctx, s, "datasetArn", *req.DatasetArn, resource.Dataset)
	if err != nil {
		return nil, err
	}
	described := &personalize.Dataset{
		Name: &d.Name, DatasetArn: &d.ARN, DatasetGroupArn: &d.DatasetGroupARN, DatasetType: &d.DatasetType, SchemaArn: &d.SchemaARN,
		TrackingId: awsapi.Present(d.TrackingID),
		Status:     &d.Status, CreationDateTime: awsapi.At(d.CreatedAt), LastUpdatedDateTime: awsapi.At(d.UpdatedAt),
	}
	if u := d.LatestUpdate; u != nil {
		described.LatestDatasetUpdate = &personalize.DatasetUpdateSummary{
			SchemaArn: &u.SchemaARN, Status: &u.Status, FailureReason: awsapi.Present(u.FailureReason),
			CreationDateTime: awsapi.At(u.CreatedAt), LastUpdatedDateTime: awsapi.At(u.UpdatedAt),
		}
	}
	return &personalize.DescribeDatasetResponse{Dataset: described}, nil
}

func (s *Service) listDatasets(_ context.Context, req *personalize.ListDatasetsRequest) (*personalize.ListDatasetsResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
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

// updateDataset records the change of schema; the reconciler carries it out. What was imported or put before stays as it is, without
// the new columns.
func (s *Service) updateDataset(ctx context.Context, req *personalize.UpdateDatasetRequest) (*personalize.UpdateDatasetResponse, error) {
	dataset, err := find[*catalog.Dataset](ctx, s, "datasetArn", *req.DatasetArn, resource.Dataset)
	if err != nil {
		return nil, err
	}
	replacement, err := find[*catalog.Schema](ctx, s, "schemaArn", *req.SchemaArn, resource.Schema)
	if err != nil {
		return nil, err
	}
	if err := s.mustTakeSchema(ctx, dataset); err != nil {
		return nil, err
	}
	if err := s.checkReplacement(ctx, dataset, replacement); err != nil {
		return nil, err
	}
	if err := s.store.Attach(ctx, dataset.Meta(), underSchema(replacement.ARN)); err != nil {
		return nil, err
	}
	_, err = s.store.Datasets.Update(ctx, dataset.ARN, func(d *catalog.Dataset) error {
		if d.ID != dataset.ID || d.SchemaARN != dataset.SchemaARN {
			return awsapi.ResourceInUse("Dataset %s has been changed meanwhile", d.ARN)
		}
		if err := s.mustTakeSchema(ctx, d); err != nil {
			return err
		}
		now := time.Now().UTC()
		d.LatestUpdate = &catalog.DatasetUpdate{SchemaARN: replacement.ARN, Status: status.CreatePending, CreatedAt: now, UpdatedAt: now}
		if !slices.Contains(d.Parents, replacement.ARN) {
			d.Parents = append(d.Parents, replacement.ARN)
		}
		return nil
	})
	return &personalize.UpdateDatasetResponse{DatasetArn: &dataset.ARN}, err
}

// mustTakeSchema refuses a dataset whose schema is being replaced already, or is being read by jobs.
func (s *Service) mustTakeSchema(ctx context.Context, d *catalog.Dataset) error {
	if err := mustBeActive(d); err != nil {
		return err
	}
	if d.LatestUpdate.Pending() {
		return awsapi.ResourceInUse("Dataset %s is being updated", d.ARN)
	}
	if err := s.store.Sweep(ctx, d); err != nil {
		return err
	}
	for _, child := range d.Children {
		return awsapi.ResourceInUse("Job %s on the dataset is pending or in progress", child.ARN)
	}
	return nil
}

// checkReplacement refuses a schema under which what the dataset holds would be read differently, or not at all.
func (s *Service) checkReplacement(ctx context.Context, d *catalog.Dataset, replacement *catalog.Schema) error {
	group, err := s.store.DatasetGroups.Get(ctx, d.DatasetGroupARN)
	if err != nil {
		return err
	}
	kind, _ := schema.ParseType(d.DatasetType) // the catalog holds no other
	if err := checkSchemaFits(replacement, kind, group); err != nil {
		return err
	}
	present, err := s.schemaOf(ctx, d)
	if err != nil {
		return err
	}
	parsed, err := schema.Parse(replacement.Document, replacement.Domain)
	if err != nil {
		return awsapi.InvalidInput("Invalid schema: %v", err)
	}
	for _, old := range present.Fields {
		field, ok := parsed.Field(old.Name)
		switch {
		case !ok:
			return awsapi.InvalidInput("Schema %s lacks column %s, which the dataset has", replacement.ARN, old.Name)
		case field != old:
			return awsapi.InvalidInput("Schema %s changes column %s of the dataset; only new columns can be added", replacement.ARN, old.Name)
		}
	}
	for _, added := range parsed.Fields {
		if _, ok := present.Field(added.Name); !ok && !added.Nullable {
			return awsapi.InvalidInput("Column %s is new and must be nullable: the dataset's records have no value for it", added.Name)
		}
	}
	return nil
}

// replaceSchema carries out an update of a dataset.
func (s *Service) replaceSchema(ctx context.Context, d *catalog.Dataset) error {
	if !d.LatestUpdate.Pending() {
		return nil
	}
	replaced := d.SchemaARN
	updated, err := s.store.Datasets.Update(ctx, d.ARN, func(current *catalog.Dataset) error {
		u := current.LatestUpdate
		if current.ID != d.ID || !u.Pending() || current.SchemaARN != replaced {
			return errOvertaken
		}
		u.Status, u.UpdatedAt = status.Active, time.Now().UTC()
		current.SchemaARN = u.SchemaARN
		current.Parents = []string{u.SchemaARN, current.DatasetGroupARN}
		return nil
	})
	if err != nil || replaced == updated.SchemaARN {
		return unlessOvertaken(err)
	}
	return s.store.Detach(ctx, updated.Meta(), replaced)
}

// schemaOf is the schema of a dataset, parsed.
func (s *Service) schemaOf(ctx context.Context, d *catalog.Dataset) (*schema.Schema, error) {
	described, err := s.store.Schemas.Get(ctx, d.SchemaARN)
	if err != nil {
		return nil, err
	}
	parsed, err := schema.Parse(described.Document, described.Domain)
	if err != nil {
		return nil, fmt.Errorf("parsing the schema of %s: %w", d.ARN, err)
	}
	return parsed, nil
}

// schemasOf are the schemas of a group's datasets by upper-case dataset type. A dataset that is being created counts, so that a
// client need not wait between two requests; one that is being deleted does not.
func (s *Service) schemasOf(ctx context.Context, groupARN string) (map[string]*schema.Schema, error) {
	group, err := s.store.DatasetGroups.Get(ctx, groupARN)
	if err != nil {
		return nil, err
	}
	schemas := map[string]*schema.Schema{}
	for _, child := range group.Children {
		if resource.TypeOf(child.ARN) != resource.Dataset {
			continue
		}
		d, err := s.store.Datasets.Get(ctx, child.ARN)
		if errors.Is(err, catalog.ErrNotFound) || err == nil && d.Deleting() {
			continue
		}
		if err == nil {
			schemas[d.DatasetType], err = s.schemaOf(ctx, d)
		}
		if err != nil {
			return nil, fmt.Errorf("looking at the schemas of a dataset group: %w", err)
		}
	}
	return schemas, nil
}

func (s *Service) deleteDataset(ctx context.Context, req *personalize.DeleteDatasetRequest) (*awsapi.Empty, error) {
	return nil, markDeleting(ctx, s, "datasetArn", *req.DatasetArn, resource.Dataset, func(d *catalog.Dataset) error {
		if d.LatestUpdate.Pending() {
			return awsapi.ResourceInUse("Dataset %s is being updated", d.ARN)
		}
		return s.mustNotBeTraining(ctx, d.DatasetGroupARN)
	})
}

// mustNotBeTraining refuses while a solution version of the group waits or runs: it may be reading the dataset. The versions are found by
// their reservations, which every creator of one makes, whoever it is.
func (s *Service) mustNotBeTraining(ctx context.Context, groupARN string) error {
	group, err := s.store.DatasetGroups.Get(ctx, groupARN)
	if err != nil {
		return err
	}
	for _, child := range group.Children {
		if resource.TypeOf(child.ARN) != resource.Solution {
			continue
		}
		solution, err := s.store.Solutions.Get(ctx, child.ARN)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err == nil {
			err = s.store.Sweep(ctx, solution)
		}
		if err != nil {
			return fmt.Errorf("looking for trainings: %w", err)
		}
		for _, version := range solution.Children {
			if resource.TypeOf(version.ARN) == resource.SolutionVersion {
				return awsapi.ResourceInUse("Training of %s is pending or in progress", shownAs(version.ARN))
			}
		}
	}
	return nil
}
