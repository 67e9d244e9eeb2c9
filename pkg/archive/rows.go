package archive

import (
	"io"
	"iter"

	"github.com/penchant-io/penchant/pkg/eventfile"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// rowFormat is what differs between files of interactions and files of entities.
type rowFormat[T any] struct {
	decode func(io.ReaderAt, int64) iter.Seq2[T, error]
	encode func(*schema.Schema, []T) ([]byte, error)
	origin func(*T) *reco.Origin
}

var (
	interactionRows = rowFormat[reco.Interaction]{
		decode: eventfile.DecodeInteractions, encode: eventfile.EncodeInteractions,
		origin: func(i *reco.Interaction) *reco.Origin { return &i.Origin },
	}
	entityRows = rowFormat[reco.Entity]{
		decode: eventfile.DecodeEntities, encode: eventfile.EncodeEntities,
		origin: func(e *reco.Entity) *reco.Origin { return &e.Origin },
	}
)
