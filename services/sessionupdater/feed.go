package sessionupdater

import (
	"context"
	"iter"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/pkg/wire"
)

// feed is one of the two kinds of interactions that every dataset group has: what differs between them. Everything else of
// this package treats them alike.
type feed struct {
	kind userstate.Kind
	// datasetType is the dataset whose imported rows belong into user states.
	datasetType string
	topic       func(group string) string
	unmarshal   func(value []byte) (reco.Interaction, error)
	archived    func(context.Context, *blob.Bucket, string, archive.ReadOptions) iter.Seq2[reco.Interaction, error]
}

var (
	withItems = &feed{
		kind: userstate.WithItems, datasetType: "INTERACTIONS", topic: bus.InteractionsTopic,
		unmarshal: wire.UnmarshalInteraction, archived: archive.ReadInteractions,
	}
	withActions = &feed{
		kind: userstate.WithActions, datasetType: "ACTION_INTERACTIONS", topic: bus.ActionInteractionsTopic,
		unmarshal: wire.UnmarshalActionInteraction, archived: archive.ReadActionInteractions,
	}
	feeds = []*feed{withItems, withActions}
)

// stream is a feed of one dataset group.
type stream struct {
	group string
	feed  *feed
}
