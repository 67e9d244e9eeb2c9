package datasets

import (
	"testing"

	"github.com/penchant-io/penchant/pkg/schema"
)

func TestTopicsOfALaterReleaseAreNotLost(t *testing.T) {
	t.Parallel()
	const key = "old-00000000"
	missing := []string{schema.Actions.Topic(key), schema.ActionInteractions.Topic(key)}
	if !addedLater(missing, key) || addedLater([]string{schema.Items.Topic(key)}, key) ||
		addedLater(append(missing, schema.Items.Topic(key)), key) || addedLater(missing[:1], key) {
		t.Error("what is new and what was lost are confused")
	}
}
