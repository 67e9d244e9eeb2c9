package bus

import (
	"context"
	"fmt"
	"time"
)

// OffsetsFrom returns, for each partition of a topic, where the records begin that were appended at or after a moment,
// and where the log ends. A topic that doesn't exist has no partitions.
func (c *Client) OffsetsFrom(ctx context.Context, topic string, since time.Time) (map[int32]OffsetRange, error) {
	listed, err := c.admin.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topic)
	if err != nil {
		return nil, fmt.Errorf("looking for what %s has since %s: %w", topic, since.Format(time.RFC3339), err)
	}
	held, err := c.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ranges := map[int32]OffsetRange{}
	for place, offsets := range held {
		found, ok := listed.Lookup(topic, place.Partition)
		if ok && found.Err != nil {
			return nil, fmt.Errorf("looking for what partition %d of %s has since %s: %w", place.Partition, topic, since.Format(time.RFC3339), found.Err)
		}
		if ok {
			offsets.Start = max(offsets.Start, found.Offset)
		}
		ranges[place.Partition] = offsets
	}
	return ranges, nil
}
