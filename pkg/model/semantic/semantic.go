// Package semantic is the model of aws-semantic-similarity: for each item, those whose prose is about the same. Texts
// are compared by the cosine of their weighted words and pieces of words. That finds common vocabulary, not synonyms:
// two descriptions are near if they share words that few others have.
package semantic

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/model/related"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

const kind = "semantic"

// maxTerms is how many terms of an item's texts are kept.
const maxTerms = 256

// Config steers a training.
type Config struct {
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// Train compares the texts of all items.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*related.Model, error) {
	items, _ := model.Popular(ts)
	progress := model.NewProgress(items.Len(), c.Progress)
	vectors := content.NewTextVectors(content.Texts(ts, items), maxTerms)
	nearest, err := vectors.Nearest(ctx, related.MaxNeighbours, c.Threads, progress)
	if err != nil {
		return nil, fmt.Errorf("comparing texts: %w", err)
	}
	return related.New(kind, items, nearest), nil
}

// Load decodes the parts of a model.
var Load = related.Load(kind)
