package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrRecordTooLarge is returned by Publish for a record that no broker would take, or a call that could never fit into
// the buffer.
var ErrRecordTooLarge = errors.New("the record is too large for the event log")

// recordOverhead is what a buffered record costs besides its own bytes.
const recordOverhead = 256

// Publish appends the records and returns nil once all of them are acknowledged by all in-sync replicas. Records with a
// key go to the partition [PartitionOf] says, in the order of the call.
//
// It fails at once with [ErrOverloaded], having sent nothing, when what waits already leaves no room for the whole
// call. When it fails otherwise, or ctx ends first, each record is in the log or isn't; it may also still get there.
func (c *Client) Publish(ctx context.Context, records ...Record) error {
	if len(records) == 0 {
		return nil
	}
	started := time.Now()
	err := c.publish(ctx, records)
	c.metrics.observe(len(records), time.Since(started), err)
	return err
}

func (c *Client) publish(ctx context.Context, records []Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	if err := c.admit(records); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	failed := c.send(ctx, records)
	if again := c.recreated(ctx, records, failed); len(again) > 0 {
		c.kafka.PurgeTopicsFromProducing(topicsOf(again)...)
		if err := c.admit(again); err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		failed = c.send(ctx, again)
	}
	for i := range failed {
		if err := failed[i]; err != nil {
			if errors.Is(err, kerr.MessageTooLarge) {
				err = fmt.Errorf("%w: %w", ErrRecordTooLarge, err)
			}
			return fmt.Errorf("publishing: %w", err)
		}
	}
	return nil
}

// admit takes room for the records in the buffer, for all of them or for none.
func (c *Client) admit(records []Record) error {
	count, size := int64(len(records)), sizeOf(records)
	maxCount, maxSize := int64(c.cfg.MaxBufferedRecords), int64(c.cfg.MaxBufferedBytes)
	if count > maxCount || size > maxSize {
		return ErrRecordTooLarge
	}
	nowRecords, nowBytes := c.bufferedRecords.Add(count), c.bufferedBytes.Add(size)
	if nowRecords > maxCount || nowBytes > maxSize {
		c.bufferedRecords.Add(-count)
		c.bufferedBytes.Add(-size)
		return ErrOverloaded
	}
	return nil
}

// send hands admitted records to the library and waits for their fates, in the order of records. When ctx or the
// delivery timeout ends first, every record whose fate is unknown has that as its error.
func (c *Client) send(ctx context.Context, records []Record) []error {
	var (
		mu      sync.Mutex
		fates   = make([]error, len(records))
		known   = make([]bool, len(records))
		waiting = len(records)
		done    = make(chan struct{})
	)
	for i := range records {
		size := sizeOf(records[i : i+1])
		// Not the caller's context: the library cancels a whole batch with its first record's, and the records beside
		// it belong to other callers.
		c.kafka.Produce(context.Background(), toKafka(&records[i]), func(_ *kgo.Record, err error) {
			c.bufferedRecords.Add(-1)
			c.bufferedBytes.Add(-size)
			mu.Lock()
			defer mu.Unlock()
			fates[i], known[i] = err, true
			if waiting--; waiting == 0 {
				close(done)
			}
		})
	}
	// The library never gives up a record that it has sent and has no answer for, since that might be in the log: the
	// caller's wait ends here all the same.
	timeout := time.NewTimer(c.cfg.DeliveryTimeout + time.Second)
	defer timeout.Stop()
	var reason error
	select {
	case <-done:
		return fates
	case <-ctx.Done():
		reason = ctx.Err()
	case <-timeout.C:
		reason = fmt.Errorf("no acknowledgement within %s", c.cfg.DeliveryTimeout)
	}
	mu.Lock()
	defer mu.Unlock()
	result := make([]error, len(records))
	for i := range result {
		if result[i] = fates[i]; !known[i] {
			result[i] = reason
		}
	}
	return result
}

// recreated returns the records that failed, if all of them did because the library doesn't know their topic although
// it is there. That happens to a topic that was deleted and made again under its name: the library holds on to the old
// one's identity, or to its absence, until it is told to forget it. No broker can have taken such a record.
func (c *Client) recreated(ctx context.Context, records []Record, failed []error) []Record {
	var again []Record
	for i, err := range failed {
		switch {
		case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
			again = append(again, records[i])
		case err != nil:
			return nil // and something else is wrong
		}
	}
	if len(again) == 0 {
		return nil
	}
	names := topicsOf(again)
	if existing, err := c.Topics(ctx, names...); err != nil || len(existing) < len(names) {
		return nil
	}
	return again
}

func toKafka(r *Record) *kgo.Record {
	k := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}
	if len(r.Headers) > 0 {
		k.Headers = make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			k.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
	return k
}

func sizeOf(records []Record) int64 {
	size := 0
	for i := range records {
		r := &records[i]
		size += recordOverhead + len(r.Key) + len(r.Value)
		for _, h := range r.Headers {
			size += len(h.Key) + len(h.Value)
		}
	}
	return int64(size)
}

func topicsOf(records []Record) []string {
	var topics []string
	seen := map[string]bool{}
	for i := range records {
		if topic := records[i].Topic; !seen[topic] {
			seen[topic] = true
			topics = append(topics, topic)
		}
	}
	return topics
}
