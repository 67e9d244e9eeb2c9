package retrainer

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// tail is what a dataset group's log holds beyond its archive at one moment: from each chain's end to the partition's.
//
// The chains' ends are looked up before the archive is read: what the firehose archives meanwhile is then read twice, of
// which one counts, and nothing is missed.
type tail struct {
	bus    *bus.Client
	topics []tailTopic
}

type tailTopic struct {
	name   string
	ranges map[int32]bus.OffsetRange
	// add decodes a record and gives it to the builder. What cannot be decoded is the firehose's to report.
	add func(*trainingset.Builder, bus.Record)
}

func (s *Service) openTail(ctx context.Context, group string) (*tail, error) {
	t := &tail{bus: s.config.Bus}
	for _, topic := range []struct {
		name, kind string
		add        func(*trainingset.Builder, bus.Record)
	}{
		{bus.InteractionsTopic(group), archive.KindInteractions, addInteraction(reco.UnmarshalInteraction, (*trainingset.Builder).Add)},
		{bus.ActionInteractionsTopic(group), archive.KindActionInteractions, addInteraction(reco.UnmarshalActionInteraction, (*trainingset.Builder).AddActionInteraction)},
		{bus.ItemsTopic(group), archive.KindItems, addEntity((*trainingset.Builder).AddItem)},
		{bus.UsersTopic(group), archive.KindUsers, addEntity((*trainingset.Builder).AddUser)},
		{bus.ActionsTopic(group), archive.KindActions, addEntity((*trainingset.Builder).AddAction)},
	} {
		ranges, err := s.beyondArchive(ctx, group, topic.name, topic.kind)
		if err != nil {
			return nil, fmt.Errorf("finding the end of the archive of %s: %w", topic.name, err)
		}
		t.topics = append(t.topics, tailTopic{topic.name, ranges, topic.add})
	}
	return t, nil
}

// beyondArchive finds, for each partition of a topic, the offsets that the archive does not have.
func (s *Service) beyondArchive(ctx context.Context, group, topic, kind string) (map[int32]bus.OffsetRange, error) {
	topics, err := s.config.Bus.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	info, ok := topics[topic]
	if !ok {
		return nil, nil // nothing was ever put
	}
	held, err := s.config.Bus.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ranges := map[int32]bus.OffsetRange{}
	for place, offsets := range held {
		chain, err := archive.OpenChain(ctx, s.config.Bucket, archive.ChainID{Group: group, Kind: kind, TopicID: info.ID, Partition: place.Partition})
		if err != nil {
			return nil, err
		}
		offsets.Start = max(offsets.Start, chain.Next())
		ranges[place.Partition] = offsets
	}
	return ranges, nil
}

// read adds the tail to a builder.
func (t *tail) read(ctx context.Context, b *trainingset.Builder) error {
	for _, topic := range t.topics {
		err := t.bus.ReadRange(ctx, topic.name, topic.ranges, func(records []bus.Record) error {
			for _, r := range records {
				topic.add(b, r)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func addInteraction(decode func([]byte) (reco.Interaction, error), add func(*trainingset.Builder, *reco.Interaction)) func(*trainingset.Builder, bus.Record) {
	return func(b *trainingset.Builder, r bus.Record) {
		if i, err := decode(r.Value); err == nil {
			i.Origin = originOf(r)
			add(b, &i)
		}
	}
}

func addEntity(add func(*trainingset.Builder, reco.Entity)) func(*trainingset.Builder, bus.Record) {
	return func(b *trainingset.Builder, r bus.Record) {
		if e, err := reco.UnmarshalEntity(r.Value); err == nil {
			e.Origin = originOf(r)
			add(b, e)
		}
	}
}

func originOf(r bus.Record) reco.Origin {
	return reco.Origin{TopicID: r.TopicID, Partition: r.Partition, Offset: r.Offset, Arrival: r.Arrival}
}
