package datasets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

// datasets are the data of one type in a dataset group.
type datasets struct{ *crud.Env }

func (s datasets) row() crud.Row {
	return crud.Kind[*catalog.Dataset]{
		Taggable:  true,
		Pending:   s.pending,
		Reconcile: s.reconcile,
		Cleanup:   s.cleanup,
		Operations: []crud.Operation{
			crud.Handle("CreateDataset", s.create),
			crud.Handle("DescribeDataset", s.describe),
			crud.Handle("ListDatasets", s.list),
			crud.Handle("UpdateDataset", s.update),
			crud.Handle("DeleteDataset", s.delete),
		},
	}.Row()
}

func (s datasets) create(
	ctx context.Context, req *personalize.CreateDatasetRequest,
) (*personalize.CreateDatasetResponse, error) {
	var kind schema.Type
	var described *catalog.Schema
	var group *catalog.DatasetGroup
	created, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.Dataset]{
		Name: *req.Name, Tags: req.Tags,
		Resolve: func() (err error) {
			var ok bool
			if kind, ok = schema.ParseType(*req.DatasetType); !ok {
				return awsapi.InvalidInput(
					"datasetType %s is none of Interactions, Items, Users, Actions, Action_Interactions",
					*req.DatasetType,
				)
			}
			if described, err = crud.Find[*catalog.Schema](ctx, s.Env, "schemaArn", *req.SchemaArn); err != nil {
				return err
			}
			group, err = crud.Find[*catalog.DatasetGroup](ctx, s.Env, "datasetGroupArn", *req.DatasetGroupArn)
			return err
		},
		ARN: func() string {
			return crud.SiblingARN(group.ARN, resource.Dataset, group.Name+"/"+kind.DatasetType())
		},
		Parents: func(string) []crud.Parent {
			return []crud.Parent{crud.Under(described), crud.Under(group, crud.ValidateActive)}
		},
		Build: func(m catalog.Metadata) (*catalog.Dataset, error) {
			dataset := &catalog.Dataset{
				Metadata: m, DatasetGroupARN: group.ARN, DatasetType: kind.DatasetType(), SchemaARN: described.ARN,
			}
			if kind == schema.ActionInteractions {
				_, dataset.TrackingID = catalog.NewTrackingID()
			}
			return dataset, validateSchema(described, kind, group)
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateDatasetResponse{DatasetArn: &created.ARN}, nil
}

func (s datasets) pending(d *catalog.Dataset) bool {
	return d.Status == status.CreatePending || d.LatestUpdate.Pending()
}

func (s datasets) reconcile(ctx context.Context, d *catalog.Dataset) error {
	if d.Status == status.CreatePending {
		return crud.Activate(ctx, s.Env, d)
	}
	return s.replaceSchema(ctx, d)
}

// validateSchema refuses a schema for another type of dataset or another domain than the group's.
func validateSchema(described *catalog.Schema, kind schema.Type, group *catalog.DatasetGroup) error {
	parsed, err := schema.Parse(described.Document, described.Domain)
	if err != nil {
		return awsapi.InvalidInput("Invalid schema: %v", err)
	}
	switch {
	case parsed.Type != kind:
		return awsapi.InvalidInput("Schema %s describes %s, not %s", described.ARN, parsed.Type, kind)
	case described.Domain != group.Domain:
		return awsapi.InvalidInput(
			"The schema's domain (%s) must be the dataset group's (%s)", orNone(described.Domain),
			orNone(group.Domain),
		)
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

func (s datasets) describe(
	ctx context.Context, req *personalize.DescribeDatasetRequest,
) (*personalize.DescribeDatasetResponse, error) {
	d, err := crud.Find[*catalog.Dataset](ctx, s.Env, "datasetArn", *req.DatasetArn)
	if err != nil {
		return nil, err
	}
	described := &personalize.Dataset{
		Name: &d.Name, DatasetArn: &d.ARN, DatasetGroupArn: &d.DatasetGroupARN, DatasetType: &d.DatasetType,
		SchemaArn:  &d.SchemaARN,
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

func (s datasets) list(
	_ context.Context, req *personalize.ListDatasetsRequest,
) (*personalize.ListDatasetsResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	datasets, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListDatasets " + group, Token: req.NextToken, Size: req.MaxResults},
		func(d *catalog.Dataset) bool { return group == "" || d.DatasetGroupARN == group },
		func(d *catalog.Dataset) personalize.DatasetSummary {
			return personalize.DatasetSummary{
				Name: &d.Name, DatasetArn: &d.ARN, DatasetType: &d.DatasetType, Status: &d.Status,
				CreationDateTime: awsapi.At(d.CreatedAt), LastUpdatedDateTime: awsapi.At(d.UpdatedAt),
			}
		},
	)
	return &personalize.ListDatasetsResponse{Datasets: datasets, NextToken: next}, err
}

// update records the change of schema; the reconciler carries it out. What was imported or put before stays as it is,
// without the new columns.
func (s datasets) update(
	ctx context.Context, req *personalize.UpdateDatasetRequest,
) (*personalize.UpdateDatasetResponse, error) {
	dataset, err := crud.Find[*catalog.Dataset](ctx, s.Env, "datasetArn", *req.DatasetArn)
	if err != nil {
		return nil, err
	}
	replacement, err := crud.Find[*catalog.Schema](ctx, s.Env, "schemaArn", *req.SchemaArn)
	if err != nil {
		return nil, err
	}
	if err := s.checkUpdatable(ctx, dataset); err != nil {
		return nil, err
	}
	if err := s.validateReplacement(ctx, dataset, replacement); err != nil {
		return nil, err
	}
	if err := s.Store.Attach(ctx, dataset.Meta(), catalog.Under(replacement.ARN, func(*catalog.Schema) error { return nil })); err != nil {
		return nil, err
	}
	_, err = s.Store.Datasets.Update(ctx, dataset.ARN, func(d *catalog.Dataset) error {
		if d.ID != dataset.ID || d.SchemaARN != dataset.SchemaARN {
			return awsapi.ResourceInUse("Dataset %s has been changed meanwhile", d.ARN)
		}
		if err := s.checkUpdatable(ctx, d); err != nil {
			return err
		}
		now := time.Now().UTC()
		d.LatestUpdate = &catalog.DatasetUpdate{
			SchemaARN: replacement.ARN,
			Status:    status.CreatePending,
			CreatedAt: now,
			UpdatedAt: now,
		}
		if !slices.Contains(d.Parents, replacement.ARN) {
			d.Parents = append(d.Parents, replacement.ARN)
		}
		return nil
	})
	return &personalize.UpdateDatasetResponse{DatasetArn: &dataset.ARN}, err
}

// checkUpdatable refuses a dataset whose schema is being replaced already, or is being read by jobs.
func (s datasets) checkUpdatable(ctx context.Context, d *catalog.Dataset) error {
	if err := crud.ValidateActive(d); err != nil {
		return err
	}
	if d.LatestUpdate.Pending() {
		return awsapi.ResourceInUse("Dataset %s is being updated", d.ARN)
	}
	if err := s.Store.Sweep(ctx, d); err != nil {
		return err
	}
	for _, child := range d.Children {
		return awsapi.ResourceInUse("Job %s on the dataset is pending or in progress", child.ARN)
	}
	return nil
}

// validateReplacement refuses a schema under which what the dataset holds would be read differently, or not at all.
func (s datasets) validateReplacement(ctx context.Context, d *catalog.Dataset, replacement *catalog.Schema) error {
	group, err := s.Store.DatasetGroups.Get(ctx, d.DatasetGroupARN)
	if err != nil {
		return err
	}
	kind, _ := schema.ParseType(d.DatasetType) // the catalog holds no other
	if err := validateSchema(replacement, kind, group); err != nil {
		return err
	}
	present, err := crud.DatasetSchema(ctx, s.Env, d)
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
			return awsapi.InvalidInput(
				"Schema %s changes column %s of the dataset; only new columns can be added", replacement.ARN,
				old.Name,
			)
		}
	}
	for _, added := range parsed.Fields {
		if _, ok := present.Field(added.Name); !ok && !added.Nullable {
			return awsapi.InvalidInput(
				"Column %s is new and must be nullable: the dataset's records have no value for it", added.Name,
			)
		}
	}
	return nil
}

// replaceSchema carries out an update of a dataset.
func (s datasets) replaceSchema(ctx context.Context, d *catalog.Dataset) error {
	if !d.LatestUpdate.Pending() {
		return nil
	}
	replaced := d.SchemaARN
	updated, err := s.Store.Datasets.Update(ctx, d.ARN, func(current *catalog.Dataset) error {
		u := current.LatestUpdate
		if current.ID != d.ID || !u.Pending() || current.SchemaARN != replaced {
			return crud.ErrOvertaken
		}
		u.Status, u.UpdatedAt = status.Active, time.Now().UTC()
		current.SchemaARN = u.SchemaARN
		current.Parents = []string{u.SchemaARN, current.DatasetGroupARN}
		return nil
	})
	if err != nil || replaced == updated.SchemaARN {
		return crud.IgnoreOvertaken(err)
	}
	return s.Store.Detach(ctx, updated.Meta(), replaced)
}

func (s datasets) delete(ctx context.Context, req *personalize.DeleteDatasetRequest) (*awsapi.Empty, error) {
	return nil, crud.MarkDeleting(ctx, s.Env, "datasetArn", *req.DatasetArn, func(d *catalog.Dataset) error {
		if d.LatestUpdate.Pending() {
			return awsapi.ResourceInUse("Dataset %s is being updated", d.ARN)
		}
		return s.checkNotTraining(ctx, d.DatasetGroupARN)
	})
}

// checkNotTraining refuses while a solution version of the group waits or runs: it may be reading the dataset. The
// versions are found by their reservations, which every creator of one makes, whoever it is.
func (s datasets) checkNotTraining(ctx context.Context, groupARN string) error {
	group, err := s.Store.DatasetGroups.Get(ctx, groupARN)
	if err != nil {
		return err
	}
	for _, child := range group.Children {
		if resource.TypeOf(child.ARN) != resource.Solution {
			continue
		}
		solution, err := s.Store.Solutions.Get(ctx, child.ARN)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err == nil {
			err = s.Store.Sweep(ctx, solution)
		}
		if err != nil {
			return fmt.Errorf("looking for trainings: %w", err)
		}
		for _, version := range solution.Children {
			if resource.TypeOf(version.ARN) == resource.SolutionVersion {
				return awsapi.ResourceInUse("Training of %s is pending or in progress", crud.VisibleARN(version.ARN))
			}
		}
	}
	return nil
}

// cleanup deletes a dataset's imported data and its import and export jobs.
func (s datasets) cleanup(ctx context.Context, d *catalog.Dataset) error {
	group, err := s.Store.DatasetGroups.Get(ctx, d.DatasetGroupARN)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	if err == nil {
		if err := dataset.Remove(ctx, s.Bucket, group.GroupKey(), d.DatasetType); err != nil {
			return err
		}
	}
	err = crud.DeleteAll(ctx, s.Env, func(j *catalog.DatasetImportJob) bool { return j.DatasetARN == d.ARN })
	return errors.Join(
		err, crud.DeleteAll(ctx, s.Env, func(j *catalog.DatasetExportJob) bool { return j.DatasetARN == d.ARN }),
	)
}
