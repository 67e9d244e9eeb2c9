package firehose

import (
	"sync"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/schema"
)

// target is the type of a topic's records and the dataset group that they belong to.
type target struct {
	groupARN string
	group    string // the group's key
	data     schema.Type
}

// contiguous reports whether the topic is never compacted, so that a missing offset was lost.
func (t target) contiguous() bool { return t.data.IsInteractions() }

func targetsOf(g *catalog.DatasetGroup) map[string]target {
	targets := map[string]target{}
	for _, t := range schema.Types() {
		targets[t.Topic(g.GroupKey())] = target{g.ARN, g.GroupKey(), t}
	}
	return targets
}

// schemas finds the schema of a group's dataset, as it is now. Documents are parsed once.
type schemas struct {
	view *catalog.View
	log  *zap.Logger

	mu     sync.Mutex
	parsed map[string]*schema.Schema // by ID and ARN of the schema; nil: cannot be parsed
}

// of returns nil where there is no dataset, or none that this process knows of yet: then columns follow from the
// values.
func (s *schemas) of(t target) *schema.Schema {
	for _, d := range catalog.All[*catalog.Dataset](s.view) {
		if d.DatasetGroupARN != t.groupARN || d.DatasetType != t.data.DatasetType() {
			continue
		}
		if resource, ok := catalog.Lookup[*catalog.Schema](s.view, d.SchemaARN); ok {
			return s.parse(resource)
		}
	}
	return nil
}

func (s *schemas) parse(resource *catalog.Schema) *schema.Schema {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := resource.ID + " " + resource.ARN
	if known, ok := s.parsed[id]; ok {
		return known
	}
	parsed, err := schema.Parse(resource.Document, resource.Domain)
	if err != nil {
		s.log.Error("a schema in the catalog cannot be parsed; its columns follow from the values",
			zap.String("schema", resource.ARN), zap.Error(err))
		parsed = nil
	}
	if s.parsed == nil {
		s.parsed = map[string]*schema.Schema{}
	}
	s.parsed[id] = parsed
	return parsed
}
