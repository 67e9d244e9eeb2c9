package datasets

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/services/control/crud"
)

// eventTrackers receive the events of dataset groups. A group has at most one.
type eventTrackers struct{ *crud.Env }

func (s eventTrackers) row() crud.Row {
	return crud.Kind[*catalog.EventTracker]{
		Taggable:  true,
		Pending:   crud.CreatePending[*catalog.EventTracker],
		Reconcile: crud.Activator[*catalog.EventTracker](s.Env),
		Operations: []crud.Operation{
			crud.Handle("CreateEventTracker", s.create),
			crud.Handle("DescribeEventTracker", s.describe),
			crud.Handle("ListEventTrackers", s.list),
			crud.Handle("DeleteEventTracker", s.delete),
		},
	}.Row()
}

func (s eventTrackers) create(
	ctx context.Context, req *personalize.CreateEventTrackerRequest,
) (*personalize.CreateEventTrackerResponse, error) {
	var group *catalog.DatasetGroup
	var trackingID string
	tracker, err := crud.Create(ctx, s.Env, crud.Creation[*catalog.EventTracker]{
		Name: *req.Name, Tags: req.Tags, RandomARN: true,
		Resolve: func() (err error) {
			group, err = crud.Find[*catalog.DatasetGroup](ctx, s.Env, "datasetGroupArn", *req.DatasetGroupArn)
			if err != nil {
				return err
			}
			return checkNoTracker(group)
		},
		ARN: func() (arn string) {
			var id string
			id, trackingID = catalog.NewTrackingID()
			return crud.SiblingARN(group.ARN, resource.EventTracker, id)
		},
		Parents: func(string) []crud.Parent {
			return []crud.Parent{crud.Under(group, checkNoTracker, crud.ValidateActive)}
		},
		Build: func(m catalog.Metadata) (*catalog.EventTracker, error) {
			return &catalog.EventTracker{Metadata: m, DatasetGroupARN: group.ARN, TrackingID: trackingID}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &personalize.CreateEventTrackerResponse{EventTrackerArn: &tracker.ARN, TrackingId: &tracker.TrackingID}, nil
}

// checkNoTracker: a dataset group has one tracker at most.
func checkNoTracker(g *catalog.DatasetGroup) error {
	for _, child := range g.Children {
		if resource.TypeOf(child.ARN) == resource.EventTracker {
			return crud.AlreadyExists(child.ARN)
		}
	}
	return nil
}

func (s eventTrackers) describe(
	ctx context.Context, req *personalize.DescribeEventTrackerRequest,
) (*personalize.DescribeEventTrackerResponse, error) {
	t, err := crud.Find[*catalog.EventTracker](ctx, s.Env, "eventTrackerArn", *req.EventTrackerArn)
	if err != nil {
		return nil, err
	}
	return &personalize.DescribeEventTrackerResponse{EventTracker: &personalize.EventTracker{
		Name: &t.Name, EventTrackerArn: &t.ARN, AccountId: &s.Account, TrackingId: &t.TrackingID,
		DatasetGroupArn: &t.DatasetGroupARN,
		Status:          &t.Status, CreationDateTime: awsapi.At(t.CreatedAt), LastUpdatedDateTime: awsapi.At(t.UpdatedAt),
	}}, nil
}

func (s eventTrackers) list(
	_ context.Context, req *personalize.ListEventTrackersRequest,
) (*personalize.ListEventTrackersResponse, error) {
	group := awsapi.Text(req.DatasetGroupArn)
	trackers, next, err := crud.List(
		s.Env,
		crud.Page{Scope: "ListEventTrackers " + group, Token: req.NextToken, Size: req.MaxResults},
		func(t *catalog.EventTracker) bool { return group == "" || t.DatasetGroupARN == group },
		func(t *catalog.EventTracker) personalize.EventTrackerSummary {
			return personalize.EventTrackerSummary{
				Name: &t.Name, EventTrackerArn: &t.ARN, Status: &t.Status,
				CreationDateTime: awsapi.At(t.CreatedAt), LastUpdatedDateTime: awsapi.At(t.UpdatedAt),
			}
		},
	)
	return &personalize.ListEventTrackersResponse{EventTrackers: trackers, NextToken: next}, err
}

func (s eventTrackers) delete(ctx context.Context, req *personalize.DeleteEventTrackerRequest) (*awsapi.Empty, error) {
	return nil, crud.MarkDeleting[*catalog.EventTracker](ctx, s.Env, "eventTrackerArn", *req.EventTrackerArn)
}
