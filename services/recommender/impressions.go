package recommender

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// impressions counts how often cold items were shown, to anybody by any replica, or chosen. It counts what answers held
// (and so the implicit impressions of events), the explicit impressions of events that name no answer, and, with a
// weight of InteractionWorth, the events themselves. It counts from the start of the process on, and only the items
// that are explored.
type impressions struct {
	bus *bus.Client
	log *zap.Logger

	mu     sync.RWMutex
	counts map[string]map[string]uint32 // by group and item
}

const (
	// impressionsInterval is the pause between looks at which groups explore.
	impressionsInterval = 2 * time.Second
	// impressionsTracked bounds the items of a group that are counted: several models' newest.
	impressionsTracked = 20 * exploration.AtMost
)

// of returns an item's count.
func (i *impressions) of(group, id string) uint32 {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.counts[group][id]
}

// track counts items from now on.
func (i *impressions) track(group string, items []exploration.ColdItem) {
	i.mu.Lock()
	defer i.mu.Unlock()
	before := i.counts[group]
	counts := before
	if counts == nil || len(counts)+len(items) > impressionsTracked {
		counts = make(map[string]uint32, len(items)) // forgets what is no longer explored
	}
	for _, item := range items {
		counts[item.ID] = before[item.ID]
	}
	i.counts[group] = counts
}

func (i *impressions) count(group string, n uint32, ids ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	counts := i.counts[group]
	for _, id := range ids {
		if before, tracked := counts[id]; tracked {
			counts[id] = before + n
		}
	}
}

// run follows the groups that explore until ctx ends.
func (i *impressions) run(ctx context.Context, exploring func() map[string]bool) {
	following := map[string]context.CancelFunc{}
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(impressionsInterval)
	defer tick.Stop()
	for {
		groups := exploring()
		for group, stop := range following {
			if !groups[group] {
				stop()
				delete(following, group)
			}
		}
		for group := range groups {
			if following[group] == nil {
				followCtx, stop := context.WithCancel(ctx)
				following[group] = stop
				running.Go(func() { i.follow(followCtx, group) })
			}
		}
		select {
		case <-ctx.Done():
			for _, stop := range following {
				stop()
			}
			return
		case <-tick.C:
		}
	}
}

func (i *impressions) follow(ctx context.Context, group string) {
	shown, events := bus.RecommendationsTopic(group), schema.Interactions.Topic(group)
	count := func(_ context.Context, records []bus.Record) error {
		for _, r := range records {
			if r.Topic == shown {
				i.countShown(group, r.Value)
			} else {
				i.countEvent(group, r.Value)
			}
		}
		return nil
	}
	if err := i.bus.Follow(ctx, bus.FollowConfig{Topics: []string{shown, events}}, count); err != nil {
		i.log.Error("counting impressions failed; exploration continues as if nothing were shown",
			zap.String("group", group), zap.Error(err))
	}
}

func (i *impressions) countShown(group string, value []byte) {
	var shown penchantv1.RecommendationShown
	if proto.Unmarshal(value, &shown) == nil && shown.ShadowOf == "" {
		i.count(group, 1, shown.ItemIds...)
	}
}

func (i *impressions) countEvent(group string, value []byte) {
	event, err := wire.UnmarshalInteraction(value)
	if err != nil {
		return
	}
	i.count(group, exploration.InteractionWorth, event.ItemID)
	if event.RecommendationID == "" {
		i.count(group, 1, event.Impression...)
	}
}
