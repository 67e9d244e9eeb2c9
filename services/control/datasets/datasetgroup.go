package datasets

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/services/control/crud"
)

// datasetGroups are the containers of everything about one body of users and items. Each has topics of its own.
type datasetGroups struct{ *crud.Env }

func (s datasetGroups) row() crud.Row {
	return crud.Kind[*catalog.DatasetGroup]{
		Taggable:  true,
		Pending:   crud.CreatePending[*catalog.DatasetGroup],
		Reconcile: s.createTopics,
		Cleanup:   s.cleanup,
		Repair:    s.repairTopics,
		Operations: []crud.Operation{
			crud.Handle("CreateDatasetGroup", s.create),
			crud.Handle("DescribeDatasetGroup", s.describe),
			crud.Handle("ListDatasetGroups", s.list),
			crud.Handle("DeleteDatasetGroup", s.delete),
		},
	}.Row()
}

func (s datasetGroups) create(
	ctx context.Context, req *personalize.CreateDatasetGroupRequest,
) (*personalize.CreateDatasetGroupResponse, error) {
	group, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.DatasetGroup]{
		Name: *req.Name, Tags: req.Tags,
		Resolve: func() error {
			if (req.RoleArn == nil) != (req.KmsKeyArn == nil) {
				return awsapi.InvalidInput("roleArn and kmsKeyArn must be given together")
			}
			return nil
		},
		ARN: func() string { return s.NewARN(ctx, resource.DatasetGroup, *req.Name) },
		Build: func(m catalog.Metadata) (*catalog.DatasetGroup, error) {
			return &catalog.DatasetGroup{
				Metadata: m, ShortID: crud.ShortID(),
				Domain: awsapi.Text(req.Domain), RoleARN: awsapi.Text(req.RoleArn),
				KMSKeyARN: awsapi.Text(req.KmsKeyArn),
			}, crud.CheckQuota(len(catalog.All[*catalog.DatasetGroup](s.View)), s.Quotas.DatasetGroups)
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateDatasetGroupResponse{DatasetGroupArn: &group.ARN, Domain: req.Domain}, nil
}

func (s datasetGroups) describe(
	ctx context.Context, req *personalize.DescribeDatasetGroupRequest,
) (*personalize.DescribeDatasetGroupResponse, error) {
	g, err := crud.Find[*catalog.DatasetGroup](ctx, s.Env, "datasetGroupArn", *req.DatasetGroupArn)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeDatasetGroupResponse{DatasetGroup: &personalize.DatasetGroup{
		Name: &g.Name, DatasetGroupArn: &g.ARN, Status: &g.Status, FailureReason: awsapi.Present(g.FailureReason),
		RoleArn: awsapi.Present(g.RoleARN), KmsKeyArn: awsapi.Present(g.KMSKeyARN), Domain: awsapi.Present(g.Domain),
		CreationDateTime: awsapi.At(g.CreatedAt), LastUpdatedDateTime: awsapi.At(g.UpdatedAt),
	}}, nil
}

func (s datasetGroups) list(
	_ context.Context, req *personalize.ListDatasetGroupsRequest,
) (*personalize.ListDatasetGroupsResponse, error) {
	groups, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListDatasetGroups", Token: req.NextToken, Size: req.MaxResults},
		nil,
		func(g *catalog.DatasetGroup) personalize.DatasetGroupSummary {
			return personalize.DatasetGroupSummary{
				Name: &g.Name, DatasetGroupArn: &g.ARN, Status: &g.Status,
				FailureReason: awsapi.Present(g.FailureReason), Domain: awsapi.Present(g.Domain),
				CreationDateTime: awsapi.At(g.CreatedAt), LastUpdatedDateTime: awsapi.At(g.UpdatedAt),
			}
		},
	)
	return &personalize.ListDatasetGroupsResponse{DatasetGroups: groups, NextToken: next}, err
}

func (s datasetGroups) delete(ctx context.Context, req *personalize.DeleteDatasetGroupRequest) (*awsapi.Empty, error) {
	return nil, crud.MarkDeleting[*catalog.DatasetGroup](ctx, s.Env, "datasetGroupArn", *req.DatasetGroupArn)
}

// cleanup deletes a group's topics, imported data and data deletion jobs. Its archive stays: it is the operator's
// record of what was accepted, and a new group of the same name has another key.
func (s datasetGroups) cleanup(ctx context.Context, g *catalog.DatasetGroup) error {
	if err := s.PingBus(ctx); err != nil {
		return fmt.Errorf("deleting the topics of a dataset group: %w", err)
	}
	if err := s.Bus.DeleteTopics(ctx, topicNames(Topics(g.GroupKey()))...); err != nil {
		return fmt.Errorf("deleting the topics of a dataset group: %w", err)
	}
	if err := crud.DeleteAll(ctx, s.Env, func(j *catalog.DataDeletionJob) bool { return j.DatasetGroupARN == g.ARN }); err != nil {
		return err
	}
	return s.DeletePrefix(ctx, "datasets/"+g.GroupKey()+"/")
}
