package recommender

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// fallbackHeader tells the client that, and why, an answer is not made from the whole of the visitor's own state.
const fallbackHeader = "x-penchant-fallback"

// The reasons for a fallback: values of the header and labels of the metric.
const (
	fallbackTimeout     = "user-state-timeout"
	fallbackUnavailable = "user-state-unavailable"
	fallbackRebuilding  = "user-state-rebuilding"
	// An arm's campaign cannot answer and the control's does.
	fallbackArm = "experiment-arm-unavailable"
)

// visitor is what is known of who asks. Where his state cannot be read, fallback says why he is taken for a stranger.
type visitor struct {
	known    bool // somebody of whom there are events
	history  []reco.RecentInteraction
	actions  []reco.RecentInteraction // what he did about actions
	vector   []float32
	fallback string
}

// visitor looks the visitor up if the recipe or a filter asks about him.
func (s *Service) visitor(ctx context.Context, serving *modelstore.Serving, asked question, p *plan) visitor {
	r := serving.Loaded.Recipe
	if asked.userID == "" || !r.Realtime && !p.usesVisitor() && len(r.HidesEvents) == 0 {
		return visitor{}
	}
	v := s.lookUp(ctx, serving, asked.userID)
	s.tellFallback(ctx, v)
	return v
}

// tellFallback tells the client that, and why, the answer is not made from all that is known of the visitor.
func (s *Service) tellFallback(ctx context.Context, v visitor) {
	if v.fallback != "" {
		s.metrics.fallbacks.WithLabelValues(v.fallback).Inc()
		awsapi.SetHeader(ctx, fallbackHeader, v.fallback)
	}
}

// lookUp reads what is known of a visitor: his recent interactions, and his vector if the session-updater has folded one
// for this model; without one, the model folds the history itself. Redis being slow or away costs the visitor his
// history, never his answer. While Redis is being rebuilt after a loss, he is answered from what is back, and told so.
func (s *Service) lookUp(ctx context.Context, serving *modelstore.Serving, userID string) visitor {
	ctx, cancel := context.WithTimeout(ctx, s.config.UserStateTimeout)
	defer cancel()
	view, err := s.config.Users.View(ctx, serving.Group, userID)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return visitor{fallback: fallbackTimeout}
	case err != nil:
		return visitor{fallback: fallbackUnavailable}
	}
	v := visitor{known: view.Known || len(view.History) > 0, history: view.History, actions: view.Actions, vector: view.Vectors[serving.Loaded.ModelID]}
	if folder := serving.Loaded.Folder(); folder == nil || len(v.vector) != folder.Dim() {
		v.vector = nil
	}
	if !s.config.Users.Healthy(ctx, serving.Group, schema.Interactions, s.partitions.of(serving.Group)) {
		v.fallback = fallbackRebuilding
	}
	return v
}
