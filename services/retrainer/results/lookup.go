package results

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// sourcesOf finds the campaigns or recommenders of recommendations.
func (r *Reports) sourcesOf(
	ctx context.Context, group string, ids map[string]bool, since time.Time,
) (map[string]string, error) {
	sources := map[string]string{}
	if len(ids) == 0 {
		return sources, nil
	}
	topic := bus.RecommendationsTopic(group)
	ranges, err := r.config.Data.Bus.OffsetsFrom(ctx, topic, since)
	if err != nil {
		return nil, err
	}
	err = r.config.Data.Bus.ReadRange(ctx, topic, ranges, func(records []bus.Record) error {
		for _, record := range records {
			if !ids[string(record.Key)] {
				continue
			}
			var shown penchantv1.RecommendationShown
			if err := proto.Unmarshal(record.Value, &shown); err == nil {
				sources[shown.RecommendationId] = shown.CampaignArn
			}
		}
		return nil
	})
	return sources, err
}

// itemsOf finds the newest properties of items, imported or put.
func (r *Reports) itemsOf(ctx context.Context, group string, ids map[string]bool) (map[string]map[string]any, error) {
	if len(ids) == 0 {
		return map[string]map[string]any{}, nil
	}
	items := &newestItems{wanted: ids, properties: map[string]map[string]any{}, at: map[string]time.Time{}}
	// Before the archive is read, so that nothing is missed between the two.
	ranges, err := r.config.Data.Unarchived(ctx, group, schema.Items)
	if err != nil {
		return nil, err
	}
	if err := r.importedItems(ctx, group, items); err != nil {
		return nil, err
	}
	for e, err := range archive.ReadEntities(ctx, r.config.Data.Bucket, group, schema.Items) {
		var corrupt *archive.CorruptError
		if errors.As(err, &corrupt) {
			continue // trainings report it
		}
		if err != nil {
			return nil, err
		}
		items.add(e, e.Origin.Arrival)
	}
	err = r.config.Data.Bus.ReadRange(ctx, schema.Items.Topic(group), ranges, func(records []bus.Record) error {
		for _, record := range records {
			if e, err := wire.UnmarshalEntity(record.Value); err == nil {
				items.add(e, record.Arrival)
			}
		}
		return nil
	})
	return items.properties, err
}

func (r *Reports) importedItems(ctx context.Context, group string, items *newestItems) error {
	imported, err := dataset.Current(ctx, r.config.Data.Bucket, group, schema.Items.DatasetType())
	if err != nil && !errors.Is(err, dataset.ErrNoData) {
		return err
	}
	for _, part := range imported.Parts {
		for e, err := range dataset.Entities(ctx, r.config.Data.Bucket, dataset.Version{Parts: []dataset.Part{part}}) {
			if err != nil {
				return err
			}
			items.add(e, part.Imported)
		}
	}
	return nil
}

// newestItems keeps the newest properties of each wanted item.
type newestItems struct {
	wanted     map[string]bool
	properties map[string]map[string]any
	at         map[string]time.Time
}

func (n *newestItems) add(e reco.Entity, at time.Time) {
	if n.wanted[e.ID] && !at.Before(n.at[e.ID]) {
		n.properties[e.ID], n.at[e.ID] = e.Properties, at
	}
}
