package tracker

import (
	"context"

	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// PutItems takes items. Each replaces the whole record that its id had.
func (s *Service) PutItems(ctx context.Context, req *personalizeevents.PutItemsRequest) (*awsapi.Empty, error) {
	given := make([]entity, len(req.Items))
	for i, item := range req.Items {
		given[i] = entity{*item.ItemId, item.Properties}
	}
	return s.countEntities(schema.Items, len(given), s.putEntities(ctx, *req.DatasetArn, schema.Items, given))
}

// PutUsers takes users. Each replaces the whole record that its id had.
func (s *Service) PutUsers(ctx context.Context, req *personalizeevents.PutUsersRequest) (*awsapi.Empty, error) {
	given := make([]entity, len(req.Users))
	for i, user := range req.Users {
		given[i] = entity{*user.UserId, user.Properties}
	}
	return s.countEntities(schema.Users, len(given), s.putEntities(ctx, *req.DatasetArn, schema.Users, given))
}

// PutActions takes actions. Each replaces the whole record that its id had.
func (s *Service) PutActions(ctx context.Context, req *personalizeevents.PutActionsRequest) (*awsapi.Empty, error) {
	given := make([]entity, len(req.Actions))
	for i, action := range req.Actions {
		given[i] = entity{*action.ActionId, action.Properties}
	}
	return s.countEntities(schema.Actions, len(given), s.putEntities(ctx, *req.DatasetArn, schema.Actions, given))
}

func (s *Service) countEntities(t schema.Type, n int, err error) (*awsapi.Empty, error) {
	if err != nil {
		s.metrics.refused(t, n, err)
		return nil, err
	}
	s.metrics.accepted(t, n)
	return nil, nil
}

// entity is one item, user or action as a call gives it.
type entity struct {
	id         string
	properties *awsapi.JSONText
}

// putEntities publishes items, users or actions to the compacted topic of their dataset, all of them or, if one is bad,
// none.
func (s *Service) putEntities(ctx context.Context, datasetARN string, t schema.Type, given []entity) error {
	if err := s.admit(); err != nil {
		return err
	}
	stream, err := s.destination(s.directory.Entities(ctx, datasetARN, t))
	if err != nil {
		return err
	}
	records := make([]bus.Record, 0, len(given))
	common := newEnvelope(ctx, t, stream.Source)
	for i, e := range given {
		columns, err := entityProperties(e.properties, stream.Schema)
		if err != nil {
			return inMember(t.Record()+"s", i, err)
		}
		value, err := wire.MarshalEntity(&reco.Entity{ID: e.id, Properties: columns})
		if err != nil {
			return err
		}
		records = append(records, bus.Record{
			Topic:   stream.Topic,
			Key:     []byte(e.id),
			Value:   value,
			Headers: common.headers(uuid.NewString(), s.now()),
		})
	}
	return s.publish(ctx, records)
}
