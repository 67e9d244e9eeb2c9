package recommender

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// fallbackHeader is set where an answer is not made from the whole of the visitor's own state, to the reason.
const fallbackHeader = "x-penchant-fallback"

// The reasons for a fallback: values of the header and labels of the metric.
const (
	fallbackTimeout     = "user-state-timeout"
	fallbackUnavailable = "user-state-unavailable"
	fallbackRebuilding  = "user-state-rebuilding"
	// fallbackArm: the control's campaign answers because the arm's cannot.
	fallbackArm = "experiment-arm-unavailable"
)

// visitor is what is known of the user, or the anonymous session, that a request is for. Where their state cannot be
// read they are answered as a stranger, and fallback is the reason.
type visitor struct {
	known    bool // there are events of them
	history  []reco.RecentInteraction
	actions  []reco.RecentInteraction // their history with actions
	vector   []float32
	fallback string
}

// visitor looks the visitor up if the recipe or a filter asks about them.
func (s *Service) visitor(ctx context.Context, t *trace) visitor {
	r := t.serving.Loaded.Recipe
	asks := r.Realtime || len(r.HidesEvents) > 0 || t.filter.usesVisitor() || t.promoted.usesVisitor()
	if t.req.userID == "" || !asks {
		return visitor{}
	}
	v := s.lookUp(ctx, t.serving, t.req.userID)
	s.reportFallback(ctx, v.fallback)
	return v
}

// reportFallback counts the reason of a fallback, if there is one, and returns it to the client.
func (s *Service) reportFallback(ctx context.Context, reason string) {
	if reason != "" {
		s.metrics.fallbacks.WithLabelValues(reason).Inc()
		awsapi.SetHeader(ctx, fallbackHeader, reason)
	}
}

// lookUp reads what is known of a visitor: their recent interactions, and their vector if the session-updater has
// folded one for this model. Without a vector the model folds the history itself. When Redis is slow or down, visitors
// lose their history, never their answer. While Redis is being rebuilt after a loss, they are answered from what is
// back, with a header that says so.
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
	v := visitor{
		known: view.Known || len(view.History) > 0, history: view.History, actions: view.Actions,
		vector: view.Vectors[serving.Loaded.ModelID],
	}
	if folder := serving.Loaded.Folder(); folder == nil || len(v.vector) != folder.Dim() {
		v.vector = nil
	}
	if !s.config.Users.Healthy(ctx, serving.Group, schema.Interactions, s.partitions.of(serving.Group)) {
		v.fallback = fallbackRebuilding
	}
	return v
}
