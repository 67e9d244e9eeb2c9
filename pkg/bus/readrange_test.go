package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/bus"
)

// rangesOf is what each partition of a topic holds.
func rangesOf(t *testing.T, client *bus.Client, topic string) map[int32]bus.OffsetRange {
	t.Helper()
	held, err := client.Offsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	ranges := map[int32]bus.OffsetRange{}
	for place, offsets := range held {
		ranges[place.Partition] = offsets
	}
	return ranges
}

func TestReadRangeHandsOverTheRangeAndNoMore(t *testing.T) {
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 4)
	publish(t, client, topic, 0, 500)
	ranges, skipped := rangesOf(t, client, topic), 0
	for partition, offsets := range ranges {
		offsets.Start = min(3, offsets.End)
		skipped += int(offsets.Start)
		ranges[partition] = offsets
	}
	publish(t, client, topic, 500, 500)
	topics, err := client.Topics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}

	next, read := map[int32]int64{}, 0
	err = client.ReadRange(t.Context(), topic, ranges, func(records []bus.Record) error {
		for _, r := range records {
			want := max(next[r.Partition], ranges[r.Partition].Start)
			if r.Offset != want || r.Offset >= ranges[r.Partition].End {
				t.Errorf("partition %d: offset %d after %d, up to %d", r.Partition, r.Offset, want, ranges[r.Partition].End)
			}
			if r.Topic != topic || r.TopicID != topics[topic].ID || len(r.Key) == 0 || len(r.Value) == 0 || r.Arrival.IsZero() {
				t.Errorf("record %+v lacks something", r)
			}
			next[r.Partition] = r.Offset + 1
			read++
		}
		return nil
	})
	if err != nil || read != 500-skipped {
		t.Errorf("%d of %d records, %v", read, 500-skipped, err)
	}
}

func TestReadRangeOfNothingEnds(t *testing.T) {
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 2)
	never := func([]bus.Record) error { return errors.New("there is nothing to hand over") }
	for name, ranges := range map[string]map[int32]bus.OffsetRange{"none": nil, "empty": {0: {}, 1: {Start: 5, End: 5}}} {
		if err := client.ReadRange(t.Context(), topic, ranges, never); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadRangeLeavesOutWhatRetentionRemoved(t *testing.T) {
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 1)
	publish(t, client, topic, 0, 100)
	if err := client.DeleteRecords(t.Context(), map[bus.TopicPartition]int64{{Topic: topic, Partition: 0}: 60}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		asked bus.OffsetRange
		want  int64
	}{{bus.OffsetRange{Start: 0, End: 80}, 80 - 60}, {bus.OffsetRange{Start: 10, End: 50}, 0}} {
		var read int64
		err := client.ReadRange(t.Context(), topic, map[int32]bus.OffsetRange{0: c.asked}, func(records []bus.Record) error {
			read += int64(len(records))
			return nil
		})
		if err != nil || read != c.want {
			t.Errorf("%v: %d records, not %d; %v", c.asked, read, c.want, err)
		}
	}
}

func TestReadRangeEndsWithTheFirstError(t *testing.T) {
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 1)
	publish(t, client, topic, 0, 10)
	broken := errors.New("broken")
	if err := client.ReadRange(t.Context(), topic, rangesOf(t, client, topic), func([]bus.Record) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("handle's error: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	beyond := map[int32]bus.OffsetRange{0: {Start: 10, End: 20}} // never published
	err := client.ReadRange(ctx, topic, beyond, func([]bus.Record) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the context's end: %v", err)
	}
}
