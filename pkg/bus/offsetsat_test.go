package bus_test

import (
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/bus"
)

func TestOffsetsFromAMoment(t *testing.T) {
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 4)
	publish(t, client, topic, 0, 200)
	held := rangesOf(t, client, topic)
	var newest time.Time
	if err := client.ReadRange(t.Context(), topic, held, func(records []bus.Record) error {
		for _, r := range records {
			if r.Arrival.After(newest) {
				newest = r.Arrival
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		since time.Time
		empty bool
	}{"long ago": {newest.Add(-time.Hour), false}, "after all": {newest.Add(time.Hour), true}} {
		ranges, err := client.OffsetsFrom(t.Context(), topic, c.since)
		if err != nil || len(ranges) != 4 {
			t.Fatalf("%s: %v, %v", name, ranges, err)
		}
		for partition, offsets := range ranges {
			want := held[partition]
			if c.empty {
				want.Start = want.End
			}
			if offsets != want {
				t.Errorf("%s: partition %d has %v, not %v", name, partition, offsets, want)
			}
		}
	}
	if ranges, err := client.OffsetsFrom(t.Context(), topic+"-absent", newest); err != nil || len(ranges) != 0 {
		t.Errorf("a topic that does not exist: %v, %v", ranges, err)
	}
}
