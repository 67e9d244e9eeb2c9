// Package wire encodes interactions and entities as the protobuf records that travel through Kafka, and decodes them.
// Producers (tracker, operator) marshal; the session-updater, the firehose, the retrainer and the recommender
// unmarshal.
package wire

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/reco"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// MarshalInteraction is the interaction as it stands in Kafka, without its Origin. It fails if a property's value has
// another type than string, int64, float64, bool or nil, or a text is not UTF-8.
func MarshalInteraction(i *reco.Interaction) ([]byte, error) {
	value, err := proto.Marshal(&penchantv1.Interaction{
		EventId:                i.EventID,
		UserId:                 i.UserID,
		SessionId:              i.SessionID,
		ItemId:                 i.ItemID,
		EventType:              i.EventType,
		EventValue:             i.EventValue,
		TimestampMs:            i.TimestampMS,
		RecommendationId:       i.RecommendationID,
		Impression:             i.Impression,
		EventAttributionSource: i.EventAttributionSource,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding an interaction: %w", err)
	}
	return appendProperties(value, interactionProperties, i.Properties)
}

// UnmarshalInteraction reads what MarshalInteraction, or another producer, wrote. The error tells a record that can
// never be used: one that is not an Interaction, or lacks the event id, the item id, or both user id and session id.
func UnmarshalInteraction(value []byte) (reco.Interaction, error) {
	var wire penchantv1.Interaction
	if err := proto.Unmarshal(value, &wire); err != nil {
		return reco.Interaction{}, fmt.Errorf("decoding an interaction: %w", err)
	}
	i := reco.Interaction{
		EventID:                wire.EventId,
		UserID:                 wire.UserId,
		SessionID:              wire.SessionId,
		ItemID:                 wire.ItemId,
		EventType:              wire.EventType,
		EventValue:             wire.EventValue,
		TimestampMS:            wire.TimestampMs,
		RecommendationID:       wire.RecommendationId,
		Impression:             wire.Impression,
		EventAttributionSource: wire.EventAttributionSource,
		Properties:             fromWire(wire.Properties),
	}
	switch {
	case i.EventID == "":
		return reco.Interaction{}, errors.New("decoding an interaction: no event id")
	case i.ItemID == "":
		return reco.Interaction{}, errors.New("decoding an interaction: no item id")
	case i.Key() == "":
		return reco.Interaction{}, errors.New("decoding an interaction: neither user id nor session id")
	}
	return i, nil
}

// MarshalActionInteraction is an interaction with an action as it stands in Kafka, without its Origin; it fails as
// MarshalInteraction does. Its EventValue and EventAttributionSource are not kept: actions have none.
func MarshalActionInteraction(i *reco.Interaction) ([]byte, error) {
	value, err := proto.Marshal(&penchantv1.ActionInteraction{
		EventId:          i.EventID,
		UserId:           i.UserID,
		SessionId:        i.SessionID,
		ActionId:         i.ItemID,
		EventType:        i.EventType,
		TimestampMs:      i.TimestampMS,
		RecommendationId: i.RecommendationID,
		Impression:       i.Impression,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding an action interaction: %w", err)
	}
	return appendProperties(value, interactionProperties, i.Properties)
}

// UnmarshalActionInteraction reads what MarshalActionInteraction, or another producer, wrote. The error tells a record
// that can never be used.
func UnmarshalActionInteraction(value []byte) (reco.Interaction, error) {
	var wire penchantv1.ActionInteraction
	if err := proto.Unmarshal(value, &wire); err != nil {
		return reco.Interaction{}, fmt.Errorf("decoding an action interaction: %w", err)
	}
	i := reco.Interaction{
		EventID:          wire.EventId,
		UserID:           wire.UserId,
		SessionID:        wire.SessionId,
		ItemID:           wire.ActionId,
		EventType:        wire.EventType,
		TimestampMS:      wire.TimestampMs,
		RecommendationID: wire.RecommendationId,
		Impression:       wire.Impression,
		Properties:       fromWire(wire.Properties),
	}
	switch {
	case i.EventID == "":
		return reco.Interaction{}, errors.New("decoding an action interaction: no event id")
	case i.ItemID == "":
		return reco.Interaction{}, errors.New("decoding an action interaction: no action id")
	case i.Key() == "":
		return reco.Interaction{}, errors.New("decoding an action interaction: neither user id nor session id")
	}
	return i, nil
}

// MarshalEntity is the item, user or action as it stands in Kafka, without its Origin; it fails as MarshalInteraction
// does.
func MarshalEntity(e *reco.Entity) ([]byte, error) {
	value, err := proto.Marshal(&penchantv1.EntityRecord{Id: e.ID})
	if err != nil {
		return nil, fmt.Errorf("encoding a record: %w", err)
	}
	return appendProperties(value, entityProperties, e.Properties)
}

// UnmarshalEntity reads what MarshalEntity wrote. The error tells a record that can never be used.
func UnmarshalEntity(value []byte) (reco.Entity, error) {
	var wire penchantv1.EntityRecord
	if err := proto.Unmarshal(value, &wire); err != nil {
		return reco.Entity{}, fmt.Errorf("decoding a record: %w", err)
	}
	if wire.Id == "" {
		return reco.Entity{}, errors.New("decoding a record: no id")
	}
	return reco.Entity{ID: wire.Id, Properties: fromWire(wire.Properties)}, nil
}

// The numbers of the members called properties, a map from string to Value, in the messages; action interactions have
// that of interactions.
const (
	interactionProperties protowire.Number = 11
	entityProperties      protowire.Number = 2
)

// appendProperties appends a map of Values to an encoded message, sorted by column. A message's members may be encoded
// one after the other; written this way, a record with two properties costs half of what one generated message a value
// costs.
func appendProperties(message []byte, member protowire.Number, properties map[string]any) ([]byte, error) {
	if len(properties) == 0 {
		return message, nil
	}
	var scratch [64]byte
	for _, column := range slices.Sorted(maps.Keys(properties)) {
		value, err := appendValue(scratch[:0], properties[column])
		if err == nil && !utf8.ValidString(column) {
			err = errNotUTF8
		}
		if err != nil {
			return nil, fmt.Errorf("encoding the property %s: %w", column, err)
		}
		message = protowire.AppendTag(message, member, protowire.BytesType)
		message = protowire.AppendVarint(
			message, uint64(2+protowire.SizeBytes(len(column))+protowire.SizeBytes(len(value))),
		)
		message = protowire.AppendTag(message, 1, protowire.BytesType)
		message = protowire.AppendString(message, column)
		message = protowire.AppendTag(message, 2, protowire.BytesType)
		message = protowire.AppendBytes(message, value)
	}
	return message, nil
}

var errNotUTF8 = errors.New("the text is not UTF-8")

// appendValue appends the members of a Value; null has none.
func appendValue(b []byte, value any) ([]byte, error) {
	switch value := value.(type) {
	case nil:
		return b, nil
	case string:
		if !utf8.ValidString(value) {
			return nil, errNotUTF8
		}
		return protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), value), nil
	case int64:
		return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(value)), nil
	case float64:
		return protowire.AppendFixed64(protowire.AppendTag(b, 3, protowire.Fixed64Type), math.Float64bits(value)), nil
	case bool:
		return protowire.AppendVarint(protowire.AppendTag(b, 4, protowire.VarintType), protowire.EncodeBool(value)), nil
	}
	return nil, fmt.Errorf("%T is no type of a column", value)
}

func fromWire(wire map[string]*penchantv1.Value) map[string]any {
	if len(wire) == 0 {
		return nil
	}
	properties := make(map[string]any, len(wire))
	for column, value := range wire {
		switch kind := value.GetKind().(type) {
		case *penchantv1.Value_StringValue:
			properties[column] = kind.StringValue
		case *penchantv1.Value_IntValue:
			properties[column] = kind.IntValue
		case *penchantv1.Value_DoubleValue:
			properties[column] = kind.DoubleValue
		case *penchantv1.Value_BoolValue:
			properties[column] = kind.BoolValue
		default:
			// No kind is null; a kind of a later version is as unknown as null.
			properties[column] = nil
		}
	}
	return properties
}
