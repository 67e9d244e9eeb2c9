package control

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
)

// idAttempts bounds how often a random 8-digit id is drawn until a free one is found.
const idAttempts = 10

func (s *Service) createEventTracker(ctx context.Context, req *personalize.CreateEventTrackerRequest) (*personalize.CreateEventTrackerResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	group, err := find[*catalog.DatasetGroup](ctx, s, "datasetGroupArn", *req.DatasetGroupArn, resource.DatasetGroup)
	if err != nil {
		return nil, err
	}
	if err := mustHaveNoTracker(group); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underGroup, err := place(ctx, s, group, mustHaveNoTracker, mustBeActiveGroup)
	if err != nil {
		return nil, err
	}
	for range idAttempts {
		id, trackingID := catalog.NewTrackingID()
		tracker := &catalog.EventTracker{
			Metadata:        pending(beside(group.ARN, resource.EventTracker, id), *req.Name, tags),
			DatasetGroupARN: group.ARN, TrackingID: trackingID,
		}
		err = s.store.Create(ctx, tracker, underGroup)
		if err == nil {
			return &personalize.CreateEventTrackerResponse{EventTrackerArn: &tracker.ARN, TrackingId: &tracker.TrackingID}, nil
		}
		if !errors.Is(err, catalog.ErrExists) {
			return nil, err
		}
	}
	return nil, err
}

// mustHaveNoTracker: a dataset group has one tracker at most.
func mustHaveNoTracker(g *catalog.DatasetGroup) error {
	for _, child := range g.Children {
		if resource.TypeOf(child.ARN) == resource.EventTracker {
			return alreadyExists(child.ARN)
		}
	}
	return nil
}

func (s *Service) describeEventTracker(ctx context.Context, req *personalize.DescribeEventTrackerRequest) (*personalize.DescribeEventTrackerResponse, error) {
	t, err := find[*catalog.EventTracker](ctx, s, "eventTrackerArn", *req.EventTrackerArn, resource.EventTracker)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeEventTrackerResponse{EventTracker: &personalize.EventTracker{
		Name: &t.Name, EventTrackerArn: &t.ARN, AccountId: &s.account, TrackingId: &t.TrackingID, DatasetGroupArn: &t.DatasetGroupARN,
		Status: &t.Status, CreationDateTime: awsapi.At(t.CreatedAt), LastUpdatedDateTime: awsapi.At(t.UpdatedAt),
	}}, nil
}

func (s *Service) listEventTrackers(_ context.Context, req *personalize.ListEventTrackersRequest) (*personalize.ListEventTrackersResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	trackers, next, err := list(s, page{"ListEventTrackers " + group, req.NextToken, req.MaxResults},
		func(t *catalog.EventTracker) bool { return group == "" || t.DatasetGroupARN == group },
		func(t *catalog.EventTracker) personalize.EventTrackerSummary {
			return personalize.EventTrackerSummary{
				Name: &t.Name, EventTrackerArn: &t.ARN, Status: &t.Status,
				CreationDateTime: awsapi.At(t.CreatedAt), LastUpdatedDateTime: awsapi.At(t.UpdatedAt),
			}
		})
	return &personalize.ListEventTrackersResponse{EventTrackers: trackers, NextToken: next}, err
}

func (s *Service) deleteEventTracker(ctx context.Context, req *personalize.DeleteEventTrackerRequest) (*awsapi.Empty, error) {
	return nil, markDeleting[*catalog.EventTracker](ctx, s, "eventTrackerArn", *req.EventTrackerArn, resource.EventTracker)
}
