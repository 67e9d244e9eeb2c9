package control

import (
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/services/control/datasets"
)

// OwnTopics returns the topics that an installation has once.
func OwnTopics() []bus.TopicSpec {
	return []bus.TopicSpec{
		{Name: bus.ControlTopic, Compacted: true, Partitions: 1},
		{Name: bus.JobsTopic, Partitions: 4},
	}
}

// GroupTopics returns the topics of a dataset group.
func GroupTopics(group string) []bus.TopicSpec { return datasets.Topics(group) }
