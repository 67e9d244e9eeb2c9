package recommender

import (
	"strconv"
	"time"

	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking"
	"github.com/penchant-io/penchant/pkg/ranking/diversity"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
)

// explorationSlot is how long a visitor sees the same cold items.
const explorationSlot = time.Hour

// explores reports whether the answers of a campaign or recommender explore.
func (s *Service) explores(serving *modelstore.Serving) bool {
	return s.config.Explore && explorationSettings(serving).Weight > 0
}

func explorationSettings(serving *modelstore.Serving) exploration.Settings {
	if !serving.Loaded.Recipe.Explores {
		return exploration.Settings{}
	}
	return exploration.Read(serving.Exploration())
}

// diversitySettings returns how diverse the answers of a campaign or recommender are to be.
func diversitySettings(serving *modelstore.Serving) diversity.Settings {
	if !serving.Loaded.Recipe.Explores {
		return diversity.Settings{}
	}
	return diversity.Read(serving.Exploration())
}

// exploration returns the cold items that a request lifts; nil where there are none. The draws differ by visitor, item,
// model and hour.
func (s *Service) exploration(t *trace, c *catalogue) *ranking.Exploration {
	now := s.config.Now()
	newest, fresh := c.newestItems(now)
	if fresh {
		s.impressions.track(t.serving.Group, newest)
	}
	settings := explorationSettings(t.serving)
	cold := settings.Cold(newest, now)
	if len(cold) == 0 {
		return nil
	}
	slot := strconv.FormatInt(now.UnixNano()/int64(explorationSlot), 10)
	return &ranking.Exploration{
		Settings: settings, Cold: cold, Seed: exploration.Seed(t.req.userID, t.serving.Loaded.ModelID, slot),
		Shown: func(id string) uint32 { return s.impressions.of(t.serving.Group, id) },
	}
}

// exploring returns the groups whose answers explore.
func (s *Service) exploring() map[string]bool {
	groups := map[string]bool{}
	for _, serving := range s.config.Models.All() {
		if s.explores(serving) {
			groups[serving.Group] = true
		}
	}
	return groups
}
