package control

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
)

func (s *Service) createDatasetGroup(ctx context.Context, req *personalize.CreateDatasetGroupRequest) (*personalize.CreateDatasetGroupResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	if (req.RoleArn == nil) != (req.KmsKeyArn == nil) {
		return nil, awsapi.InvalidInput("roleArn and kmsKeyArn must be given together")
	}
	arn := s.newARN(ctx, resource.DatasetGroup, *req.Name)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	if err := within(len(catalog.All[*catalog.DatasetGroup](s.view)), s.quotas.DatasetGroups, inAnyState); err != nil {
		return nil, err
	}
	group := &catalog.DatasetGroup{
		Metadata: pending(arn, *req.Name, tags),
		ShortID:  shortID(),
		Domain:   awsapi.Text(req.Domain), RoleARN: awsapi.Text(req.RoleArn), KMSKeyARN: awsapi.Text(req.KmsKeyArn),
	}
	if err := createUnder(ctx, s, group); err != nil {
		return nil, err
	}
	return &personalize.CreateDatasetGroupResponse{DatasetGroupArn: &arn, Domain: req.Domain}, nil
}

func (s *Service) describeDatasetGroup(ctx context.Context, req *personalize.DescribeDatasetGroupRequest) (*personalize.DescribeDatasetGroupResponse, error) {
	g, err := find[*catalog.DatasetGroup](ctx, s, "datasetGroupArn", *req.DatasetGroupArn, resource.DatasetGroup)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeDatasetGroupResponse{DatasetGroup: &personalize.DatasetGroup{
		Name: &g.Name, DatasetGroupArn: &g.ARN, Status: &g.Status, FailureReason: awsapi.Present(g.FailureReason),
		RoleArn: awsapi.Present(g.RoleARN), KmsKeyArn: awsapi.Present(g.KMSKeyARN), Domain: awsapi.Present(g.Domain),
		CreationDateTime: awsapi.At(g.CreatedAt), LastUpdatedDateTime: awsapi.At(g.UpdatedAt),
	}}, nil
}

func (s *Service) listDatasetGroups(_ context.Context, req *personalize.ListDatasetGroupsRequest) (*personalize.ListDatasetGroupsResponse, error) {
	groups, next, err := list(s, page{"ListDatasetGroups", req.NextToken, req.MaxResults}, nil,
		func(g *catalog.DatasetGroup) personalize.DatasetGroupSummary {
			return personalize.DatasetGroupSummary{
				Name: &g.Name, DatasetGroupArn: &g.ARN, Status: &g.Status, FailureReason: awsapi.Present(g.FailureReason), Domain: awsapi.Present(g.Domain),
				CreationDateTime: awsapi.At(g.CreatedAt), LastUpdatedDateTime: awsapi.At(g.UpdatedAt),
			}
		})
	return &personalize.ListDatasetGroupsResponse{DatasetGroups: groups, NextToken: next}, err
}

func (s *Service) deleteDatasetGroup(ctx context.Context, req *personalize.DeleteDatasetGroupRequest) (*awsapi.Empty, error) {
	return nil, markDeleting[*catalog.DatasetGroup](ctx, s, "datasetGroupArn", *req.DatasetGroupArn, resource.DatasetGroup)
}
