package datasets

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

// topicsTimeout bounds one check of the topics of all dataset groups.
const topicsTimeout = 5 * time.Second

// Topics returns the topics of a dataset group.
func Topics(group string) []bus.TopicSpec {
	var specs []bus.TopicSpec
	for _, t := range schema.Types() {
		specs = append(specs, bus.TopicSpec{Name: t.Topic(group), Compacted: !t.IsInteractions()})
	}
	return append(
		specs, bus.TopicSpec{Name: bus.DeadLetterTopic(group)}, bus.TopicSpec{Name: bus.RecommendationsTopic(group)},
	)
}

func (s datasetGroups) createTopics(ctx context.Context, g *catalog.DatasetGroup) error {
	if g.Status != status.CreatePending {
		return nil
	}
	if err := s.PingBus(ctx); err != nil {
		return fmt.Errorf("creating the topics of a dataset group: %w", err)
	}
	if err := s.Bus.EnsureTopics(ctx, Topics(g.GroupKey())...); err != nil {
		return fmt.Errorf("creating the topics of a dataset group: %w", err)
	}
	return crud.Activate(ctx, s.Env, g)
}

// repairTopics creates the topics that groups in use lack: somebody has deleted them, and no event could be taken, or
// the group is older than the release that gave it the topic. A topic made again has an identity of its own, and so an
// archive of its own behind the old one's.
func (s datasetGroups) repairTopics(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	existing, err := s.Bus.Topics(ctx)
	if err != nil {
		return // while Kafka is away, whoever needs it says so
	}
	for _, group := range catalog.All[*catalog.DatasetGroup](s.View) {
		if group.Status != status.Active {
			continue
		}
		var missing []bus.TopicSpec
		for _, spec := range Topics(group.GroupKey()) {
			if _, ok := existing[spec.Name]; !ok {
				missing = append(missing, spec)
			}
		}
		if len(missing) == 0 {
			continue
		}
		// The view may be a moment behind: topics of a group that is being deleted must not come back.
		current, err := s.Store.DatasetGroups.Get(ctx, group.ARN)
		if err != nil || current.ID != group.ID || current.Status != status.Active {
			continue
		}
		if err := s.Bus.EnsureTopics(ctx, missing...); err != nil {
			s.Log.Warn(
				"creating missing topics of a dataset group failed, retrying", zap.String("arn", group.ARN),
				zap.Error(err),
			)
			continue
		}
		names := topicNames(missing)
		if addedLater(names, group.GroupKey()) {
			s.Log.Info(
				"created the topics that a dataset group of an earlier release did not have",
				zap.String("arn", group.ARN), zap.Strings("topics", names),
			)
			continue
		}
		s.Log.Error(
			"topics of a dataset group were missing and were created again: what they held and was not archived is lost",
			zap.String("arn", group.ARN), zap.Strings("topics", names),
		)
	}
}

// addedLater reports whether the missing topics are those that no group had before there were actions.
func addedLater(missing []string, group string) bool {
	return slices.Equal(missing, []string{schema.Actions.Topic(group), schema.ActionInteractions.Topic(group)})
}

func topicNames(specs []bus.TopicSpec) []string {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	return names
}
