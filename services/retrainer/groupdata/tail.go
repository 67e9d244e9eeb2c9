package groupdata

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/pkg/wire"
)

// Tail is what a dataset group's log holds beyond its archive at one moment: from each chain's end to the partition's.
//
// The chains' ends are looked up before the archive is read: what the firehose archives meanwhile is read twice and
// counts once, and nothing is missed.
type Tail struct {
	bus    *bus.Client
	topics []tailTopic
}

type tailTopic struct {
	name   string
	ranges map[int32]bus.OffsetRange
	// add decodes a record and adds it to the builder. The firehose reports what cannot be decoded.
	add func(*trainingset.Builder, bus.Record)
}

// OpenTail finds the tail as of now.
func (s *Source) OpenTail(ctx context.Context, group string) (*Tail, error) {
	t := &Tail{bus: s.Bus}
	for _, of := range []struct {
		schema.Type
		add func(*trainingset.Builder, bus.Record)
	}{
		{schema.Interactions, addInteraction(wire.UnmarshalInteraction, (*trainingset.Builder).Add)},
		{schema.ActionInteractions,
			addInteraction(wire.UnmarshalActionInteraction, (*trainingset.Builder).AddActionInteraction)},
		{schema.Items, addEntity((*trainingset.Builder).AddItem)},
		{schema.Users, addEntity((*trainingset.Builder).AddUser)},
		{schema.Actions, addEntity((*trainingset.Builder).AddAction)},
	} {
		ranges, err := s.Unarchived(ctx, group, of.Type)
		if err != nil {
			return nil, fmt.Errorf("finding the end of the archive of %s: %w", of.Topic(group), err)
		}
		t.topics = append(t.topics, tailTopic{of.Topic(group), ranges, of.add})
	}
	return t, nil
}

// Read adds the tail to a builder.
func (t *Tail) Read(ctx context.Context, b *trainingset.Builder) error {
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

func addInteraction(
	decode func([]byte) (reco.Interaction, error), add func(*trainingset.Builder, *reco.Interaction),
) func(*trainingset.Builder, bus.Record) {
	return func(b *trainingset.Builder, r bus.Record) {
		if i, err := decode(r.Value); err == nil {
			i.Origin = OriginOf(r)
			add(b, &i)
		}
	}
}

func addEntity(add func(*trainingset.Builder, reco.Entity)) func(*trainingset.Builder, bus.Record) {
	return func(b *trainingset.Builder, r bus.Record) {
		if e, err := wire.UnmarshalEntity(r.Value); err == nil {
			e.Origin = OriginOf(r)
			add(b, e)
		}
	}
}
