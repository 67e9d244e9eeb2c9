// Package groupdata finds what data a dataset group has, and where: the schemas of its datasets, what the log holds
// beyond the archive, and whether anything has arrived. The retrainer's jobs read through it.
package groupdata

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// Source has the clients that know of a group's data.
type Source struct {
	Store  *catalog.Store
	View   *catalog.View
	Bucket *blob.Bucket
	Bus    *bus.Client
}

// SchemaOf returns a dataset's group key and its schema.
func (s *Source) SchemaOf(ctx context.Context, d *catalog.Dataset) (group string, _ *schema.Schema, err error) {
	g, err := s.Store.DatasetGroups.Get(ctx, d.DatasetGroupARN)
	if err != nil {
		return "", nil, jobs.Missing(err, "dataset group", d.DatasetGroupARN)
	}
	document, err := s.Store.Schemas.Get(ctx, d.SchemaARN)
	if err != nil {
		return "", nil, jobs.Missing(err, "schema", d.SchemaARN)
	}
	parsed, err := schema.Parse(document.Document, document.Domain)
	if err != nil {
		return "", nil, fmt.Errorf("parsing schema %s: %w", document.ARN, err)
	}
	return g.GroupKey(), parsed, nil
}

// SchemaFor returns the schema of a group's dataset of a type, or nil if the group has none.
func (s *Source) SchemaFor(ctx context.Context, group *catalog.DatasetGroup, t schema.Type) (*schema.Schema, error) {
	for _, d := range catalog.All[*catalog.Dataset](s.View) {
		if d.DatasetGroupARN == group.ARN && d.DatasetType == t.DatasetType() && !d.Deleting() {
			_, parsed, err := s.SchemaOf(ctx, d)
			return parsed, err
		}
	}
	return nil, nil
}

// Mark identifies the state of a group's interactions and items: as long as it stays the same, nothing has arrived.
func (s *Source) Mark(ctx context.Context, group string) (string, error) {
	var marks []string
	for _, t := range []schema.Type{schema.Interactions, schema.Items} {
		v, err := dataset.Current(ctx, s.Bucket, group, t.DatasetType())
		if err != nil && !errors.Is(err, dataset.ErrNoData) {
			return "", err
		}
		marks = append(marks, strconv.FormatInt(v.Number, 10))
	}
	for _, topic := range []string{schema.Interactions.Topic(group), schema.Items.Topic(group)} {
		known, err := s.Bus.Topics(ctx, topic)
		if err != nil {
			return "", err
		}
		if _, ok := known[topic]; !ok {
			continue
		}
		offsets, err := s.Bus.Offsets(ctx, topic)
		if err != nil {
			return "", err
		}
		total := int64(0)
		for _, o := range offsets {
			total += o.End
		}
		marks = append(marks, fmt.Sprintf("%x:%d", known[topic].ID, total))
	}
	return strings.Join(marks, " "), nil
}

// Unarchived returns, for each partition of the topic of a type, the offsets that the archive does not have.
func (s *Source) Unarchived(ctx context.Context, group string, t schema.Type) (map[int32]bus.OffsetRange, error) {
	topic := t.Topic(group)
	topics, err := s.Bus.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	info, ok := topics[topic]
	if !ok {
		return nil, nil // nothing was ever put
	}
	held, err := s.Bus.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ranges := map[int32]bus.OffsetRange{}
	for place, offsets := range held {
		chain, err := archive.OpenChain(ctx, s.Bucket, archive.ChainID{
			Group: group, Type: t, TopicID: info.ID, Partition: place.Partition,
		})
		if err != nil {
			return nil, err
		}
		offsets.Start = max(offsets.Start, chain.Next())
		ranges[place.Partition] = offsets
	}
	return ranges, nil
}

// OriginOf returns a record's place in the log, as what is decoded from it carries it.
func OriginOf(r bus.Record) reco.Origin {
	return reco.Origin{TopicID: r.TopicID, Partition: r.Partition, Offset: r.Offset, Arrival: r.Arrival}
}
