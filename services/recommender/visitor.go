package recommender

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/reco"
)

// fallbackHeader tells the client that, and why, an answer is not made from the whole of the visitor's own state.
const fallbackHeader = "x-penchant-fallback"

// The reasons for a fallback: values of the header and labels of the metric.
const (
	fallbackTimeout     = "user-state-timeout"
	fallbackUnavailable = "user-state-unavailable"
	fallbackRebuilding  = "user-state-rebuilding"
)

// visitor reads what is known of a visitor: his recent interactions, and his vector if the session-updater has folded one
// for this model; without one, the model folds the history itself. Redis being slow or away costs the visitor his
// history, never his answer. While Redis is being rebuilt after a loss, he is answered from what is back, and told so.
func (s *Service) visitor(ctx context.Context, serving *modelstore.Serving, userID string) ([]reco.RecentInteraction, []float32, string) {
	ctx, cancel := context.WithTimeout(ctx, s.config.UserStateTimeout)
	defer cancel()
	view, err := s.config.Users.View(ctx, serving.Group, userID)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, nil, fallbackTimeout
	case err != nil:
		return nil, nil, fallbackUnavailable
	}
	vector := view.Vectors[serving.Loaded.ModelID]
	if folder := serving.Loaded.Folder(); folder == nil || len(vector) != folder.Dim() {
		vector = nil
	}
	if !s.config.Users.Healthy(ctx, serving.Group, s.partitions.of(serving.Group)) {
		return view.History, vector, fallbackRebuilding
	}
	return view.History, vector, ""
}
