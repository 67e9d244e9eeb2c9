package app

import (
	"slices"
	"testing"
)

// TestTargetsNeed holds the table of needs to what the targets promise: which servers each must be given, and which of them
// it waits for.
func TestTargetsNeed(t *testing.T) {
	t.Parallel()
	for target, want := range map[Part][]Part{
		All:            {Embedded, Kafka, Bucket, OwnTopics, ReadyBucket, Redis, ReadyRedis, Catalog, Models},
		Tracker:        {Kafka, Bucket, OwnTopics, ReadyBucket, Catalog},
		SessionUpdater: {Kafka, Bucket, OwnTopics, ReadyBucket, Redis, ReadyRedis, Catalog, Models},
		Firehose:       {Kafka, Bucket, OwnTopics, ReadyBucket, Catalog},
		Retrainer:      {Kafka, Bucket, OwnTopics, ReadyBucket, Redis, Catalog},
		Recommender:    {Kafka, Bucket, Redis, Catalog, Models},
		Control:        {Kafka, Bucket, OwnTopics, ReadyBucket, Catalog},
		Bridge:         {Kafka},
	} {
		for _, part := range []Part{Embedded, Kafka, Bucket, OwnTopics, ReadyBucket, Redis, ReadyRedis, Catalog, Models} {
			if got := target.Needs(part); got != slices.Contains(want, part) {
				t.Errorf("%s needs %s: %v", target, part, got)
			}
		}
		if target.Needs(Redis) && !target.Needs(ReadyRedis) && withoutRedis[target] == "" {
			t.Errorf("%s starts without Redis, and nothing names what it cannot do then", target)
		}
	}
}
