package tracker

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// PutEvents takes the events of one session. The call is accepted as a whole or refused as a whole, and it is accepted
// only once the event log has acknowledged every event: a client that reads 200 need not send them again.
//
// The API model's own constraints (lengths, counts, required members) hold when PutEvents is called.
func (s *Service) PutEvents(ctx context.Context, req *personalizeevents.PutEventsRequest) (*awsapi.Empty, error) {
	if err := s.putEvents(ctx, req); err != nil {
		s.metrics.refused(schema.Interactions, len(req.EventList), err)
		return nil, err
	}
	s.metrics.accepted(schema.Interactions, len(req.EventList))
	return nil, nil
}

func (s *Service) putEvents(ctx context.Context, req *personalizeevents.PutEventsRequest) error {
	if err := s.admit(); err != nil {
		return err
	}
	stream, err := s.destination(s.directory.Interactions(ctx, *req.TrackingId))
	if err != nil {
		return err
	}
	records, err := eventRecords(ctx, req, stream)
	if err != nil {
		return err
	}
	return s.publish(ctx, records)
}

// eventRecords turns the events into records for the log, all of them or none.
func eventRecords(ctx context.Context, req *personalizeevents.PutEventsRequest, stream *Stream) ([]bus.Record, error) {
	records := make([]bus.Record, 0, len(req.EventList))
	common := newEnvelope(ctx, schema.Interactions, stream.Source)
	for i := range req.EventList {
		interaction, err := interactionOf(req, &req.EventList[i], stream)
		if err != nil {
			return nil, inMember("eventList", i, err)
		}
		value, err := wire.MarshalInteraction(&interaction)
		if err != nil {
			return nil, err
		}
		record, err := eventRecord(common, stream, &interaction, value)
		if err != nil {
			return nil, inMember("eventList", i, err)
		}
		records = append(records, record)
	}
	return records, nil
}

// eventRecord is the record of an interaction, with an item or with an action, that is encoded as value.
func eventRecord(common envelope, stream *Stream, interaction *reco.Interaction, value []byte) (bus.Record, error) {
	if len(value) > maxEventBytes {
		return bus.Record{}, invalid("the event has %d bytes, more than %d", len(value), maxEventBytes)
	}
	return bus.Record{
		Topic:   stream.Topic,
		Key:     []byte(interaction.Key()),
		Value:   value,
		Headers: common.headers(interaction.EventID, time.UnixMilli(interaction.TimestampMS)),
	}, nil
}

// maxEventBytes is Personalize's quota for one event.
const maxEventBytes = 10 << 10

// interactionOf makes an event the interaction that the rest of Penchant works with: with an id, with a time in
// milliseconds, and with the values of the schema's columns in the columns' types.
func interactionOf(
	req *personalizeevents.PutEventsRequest, event *personalizeevents.Event, stream *Stream,
) (reco.Interaction, error) {
	sentAt, err := milliseconds("sentAt", *event.SentAt)
	if err != nil {
		return reco.Interaction{}, err
	}
	properties, err := eventProperties(event.Properties, stream.Schema)
	if err != nil {
		return reco.Interaction{}, err
	}
	interaction := reco.Interaction{
		EventID:          awsapi.Text(event.EventId),
		UserID:           awsapi.Text(req.UserId),
		SessionID:        awsapi.Text(req.SessionId),
		ItemID:           awsapi.Text(event.ItemId),
		EventType:        awsapi.Text(event.EventType),
		EventValue:       event.EventValue,
		TimestampMS:      sentAt,
		RecommendationID: awsapi.Text(event.RecommendationId),
		Impression:       event.Impression,
		Properties:       properties.columns,
	}
	if event.MetricAttribution != nil {
		interaction.EventAttributionSource = awsapi.Text(event.MetricAttribution.EventAttributionSource)
	}
	// Clients older than the members itemId and eventValue put both into the properties.
	if interaction.ItemID == "" {
		interaction.ItemID = properties.itemID
	}
	if interaction.EventValue == nil {
		interaction.EventValue = properties.eventValue
	}
	if interaction.ItemID == "" {
		return reco.Interaction{}, invalid("itemId is missing")
	}
	if v := interaction.EventValue; v != nil && math.Abs(*v) > math.MaxFloat32 {
		return reco.Interaction{}, invalid("eventValue is out of the range of a float")
	}
	if interaction.EventID == "" {
		interaction.EventID = newEventID()
	}
	return interaction, nil
}

// newEventID makes ids that ascend within this process: events that one call gives the same second keep their order,
// because histories are ordered by (time, event id).
func newEventID() string {
	return uuid.Must(uuid.NewV7()).String()
}

// The API takes seconds, but some clients send milliseconds: nobody means the year 5138.
const firstMilliseconds = 1e11

// latestMS is the last millisecond of the year 9999, the last that ISO-8601 can write.
const latestMS = 253402300799999

// milliseconds reads a time, which is the given member.
func milliseconds(member string, at awsapi.Timestamp) (int64, error) {
	ms := float64(at)
	if ms < firstMilliseconds {
		ms *= 1000
	}
	if ms < 0 || ms > latestMS {
		return 0, invalid("%s is not a time between 1970 and 9999, in seconds", member)
	}
	return int64(math.Round(ms)), nil
}
