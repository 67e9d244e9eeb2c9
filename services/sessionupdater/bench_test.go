package sessionupdater

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// BenchmarkFolding measures events per second from the log into Redis, for users of whom little or much is known.
// PENCHANT_TEST_REDIS_URL names a real Redis (it is emptied); otherwise it is the embedded one.
func BenchmarkFolding(b *testing.B) {
	const total = 40_000
	for _, users := range []int{200, 20_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				i := install(b)
				var batch []reco.Interaction
				for n := range total {
					batch = append(batch, reco.Interaction{
						EventID: fmt.Sprintf("0b5e3c1e-6f0a-4f6e-9d2b-%012d", n), UserID: fmt.Sprint("user-", n*7919%users),
						SessionID: fmt.Sprint("session-", n*7919%users), ItemID: fmt.Sprint("item-", n%1000), EventType: "view",
						TimestampMS: 1_700_000_000_000 + int64(n),
					})
					if len(batch) == 2000 {
						i.put(batch...)
						batch = batch[:0]
					}
				}
				ends, err := i.bus.Offsets(b.Context(), i.topic())
				i.must(err)
				config := i.config()
				config.Log = zap.NewNop()
				s, err := New(config)
				i.must(err)
				b.StartTimer()
				stop := i.background(s.Run)
				eventually.Succeeds(i, "all events are folded", func() error { return i.foldedUpTo(s, ends) })
				b.StopTimer()
				stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(total*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// foldedUpTo is nil when the service has folded all partitions to their ends.
func (i *installation) foldedUpTo(s *Service, ends map[bus.TopicPartition]bus.OffsetRange) error {
	lag := s.consumer.Lag()
	for tp, held := range ends {
		if left, assigned := lag[tp]; held.End > 0 && (!assigned || left > 0) {
			return fmt.Errorf("%d records of partition %d are left", left, tp.Partition)
		}
	}
	return nil
}

// BenchmarkFreshness measures the time from an event's being published (and acknowledged) to its being seen by a reader
// who asks all the time, on an idle system.
func BenchmarkFreshness(b *testing.B) {
	i := install(b)
	config := i.config()
	config.Log = zap.NewNop()
	s, err := New(config)
	i.must(err)
	i.background(s.Run)
	eventually.Succeeds(i, "the group is healthy", func() error {
		if !i.users.Healthy(b.Context(), i.key(), schema.Interactions, partitions) {
			return fmt.Errorf("not started")
		}
		return nil
	})
	var waits []time.Duration
	for n := 0; b.Loop(); n++ {
		id := fmt.Sprint("user-", n)
		i.put(reco.Interaction{EventID: fmt.Sprint("event-", n), UserID: id, ItemID: "item", EventType: "view", TimestampMS: int64(n)})
		acknowledged := time.Now()
		for known := false; !known; {
			view, err := i.users.View(b.Context(), i.key(), id)
			i.must(err)
			known = view.Known
		}
		waits = append(waits, time.Since(acknowledged))
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkImport measures merging a million imported rows of six thousand users.
func BenchmarkImport(b *testing.B) {
	const total, users = 1_000_000, 6_000
	i := install(b)
	rows := make([]string, total)
	for n := range rows {
		rows[n] = fmt.Sprintf("user-%d item-%d %d", n%users, n*31%4000, 1_600_000_000+n/10)
	}
	i.importCSV(dataset.Full, rows...)
	config := i.config()
	config.Log = zap.NewNop()
	for b.Loop() {
		b.StopTimer()
		i.flush()
		s, err := New(config)
		i.must(err)
		b.StartTimer()
		stop := i.background(s.Run)
		eventually.Succeeds(i, "the import is merged", func() error {
			marks, err := i.users.Marks(b.Context(), i.key())
			i.must(err)
			if left := (stream{data: schema.Interactions}).behind(marks, []int32{0, 1, 2, 3}, 1); len(left) > 0 {
				return fmt.Errorf("partitions %v are not merged", left)
			}
			return nil
		})
		b.StopTimer()
		stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(total*b.N)/b.Elapsed().Seconds(), "rows/s")
}
