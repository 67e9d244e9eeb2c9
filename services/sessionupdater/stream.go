package sessionupdater

import (
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// stream is the interactions of one type of a dataset group. Every group has two streams, of interactions with items
// and with actions; this package treats both alike.
type stream struct {
	group string
	data  schema.Type
}

// decode turns a record of the stream into an interaction.
func (s stream) decode(record *bus.Record) (reco.Interaction, error) {
	unmarshal := wire.UnmarshalInteraction
	if s.data == schema.ActionInteractions {
		unmarshal = wire.UnmarshalActionInteraction
	}
	i, err := unmarshal(record.Value)
	if err != nil {
		return i, err
	}
	i.Origin = reco.Origin{
		TopicID: record.TopicID, Partition: record.Partition, Offset: record.Offset, Arrival: record.Arrival,
	}
	return i, nil
}
