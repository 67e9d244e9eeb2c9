package tracker

import (
	"context"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// PutActionInteractions takes what users did with actions. It keeps PutEvents' promises: all or nothing, and 200 only
// once the event log has acknowledged every one. The tracking id is not an event tracker's but the dataset's own.
func (s *Service) PutActionInteractions(
	ctx context.Context, req *personalizeevents.PutActionInteractionsRequest,
) (*awsapi.Empty, error) {
	if err := s.putActionInteractions(ctx, req); err != nil {
		s.metrics.refused(schema.ActionInteractions, len(req.ActionInteractions), err)
		return nil, err
	}
	s.metrics.accepted(schema.ActionInteractions, len(req.ActionInteractions))
	return nil, nil
}

func (s *Service) putActionInteractions(
	ctx context.Context, req *personalizeevents.PutActionInteractionsRequest,
) error {
	if err := s.admit(); err != nil {
		return err
	}
	stream, err := s.destination(s.directory.ActionInteractions(ctx, *req.TrackingId))
	if err != nil {
		return err
	}
	records := make([]bus.Record, 0, len(req.ActionInteractions))
	common := newEnvelope(ctx, schema.ActionInteractions, stream.Source)
	for i := range req.ActionInteractions {
		interaction, err := actionInteractionOf(&req.ActionInteractions[i], stream)
		if err != nil {
			return inMember("actionInteractions", i, err)
		}
		value, err := wire.MarshalActionInteraction(&interaction)
		if err != nil {
			return err
		}
		record, err := eventRecord(common, stream, &interaction, value)
		if err != nil {
			return inMember("actionInteractions", i, err)
		}
		records = append(records, record)
	}
	return s.publish(ctx, records)
}

// actionInteractionOf does for an interaction with an action what interactionOf does for an event.
func actionInteractionOf(given *personalizeevents.ActionInteraction, stream *Stream) (reco.Interaction, error) {
	timestamp, err := milliseconds("timestamp", *given.Timestamp)
	if err != nil {
		return reco.Interaction{}, err
	}
	eventType, err := schema.ParseActionEventType(*given.EventType)
	if err != nil {
		return reco.Interaction{}, invalid("eventType %s", err)
	}
	columns, err := actionProperties(given.Properties, stream.Schema)
	if err != nil {
		return reco.Interaction{}, err
	}
	interaction := reco.Interaction{
		EventID:          awsapi.Text(given.EventId),
		UserID:           awsapi.Text(given.UserId),
		SessionID:        awsapi.Text(given.SessionId),
		ItemID:           awsapi.Text(given.ActionId),
		EventType:        eventType,
		TimestampMS:      timestamp,
		RecommendationID: awsapi.Text(given.RecommendationId),
		Impression:       given.Impression,
		Properties:       columns,
	}
	if interaction.EventID == "" {
		interaction.EventID = newEventID()
	}
	return interaction, nil
}
