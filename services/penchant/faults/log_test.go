package faults

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestTheLogMayBeMistreated (promises 1, 4 and 9): what operators and other producers do to a topic. After each of it
// the archive holds every acknowledged event once, and user states are those of a run without faults.
func TestTheLogMayBeMistreated(t *testing.T) {
	p := startPipeline(t, penchanttest.SharedServers(t), 1, "session-updater", "firehose")
	log, admin := openLog(t, p.servers)
	stop := p.stream(t)
	p.flow(t, startLimit, 200)
	stop()
	p.check(t)

	t.Run("event times far off", func(t *testing.T) {
		p.sender.At = func(n int) time.Time {
			switch n % 7 {
			case 0:
				return time.Date(1971, 1, 1, 0, 0, n%60, 0, time.UTC)
			case 1:
				return time.Date(9000, 1, 1, 0, 0, n%60, 0, time.UTC)
			}
			return time.UnixMilli(1_700_000_000_000 + int64(n)*10)
		}
		defer func() { p.sender.At = nil }()
		stop := p.stream(t)
		p.flow(t, recoverLimit, 300)
		stop()
		p.check(t)
	})
	t.Run("poison and oversized records", func(t *testing.T) { testPoison(t, p, log) })
	t.Run("offsets rewound", func(t *testing.T) {
		p.stopConsumers()
		rewound := kadm.Offsets{}
		ends, err := log.Offsets(t.Context(), p.topic())
		if err != nil {
			t.Fatal(err)
		}
		for tp := range ends {
			rewound.Add(kadm.Offset{Topic: tp.Topic, Partition: tp.Partition, At: 0, LeaderEpoch: -1})
		}
		for _, group := range []string{updaterGroup, firehoseGroup} {
			if err := admin.CommitAllOffsets(t.Context(), group, rewound); err != nil {
				t.Fatal(err)
			}
		}
		p.startConsumers()
		stop := p.stream(t)
		p.flow(t, recoverLimit, 100)
		stop()
		p.check(t)
	})
	t.Run("retention faster than the consumers", func(t *testing.T) { testRetention(t, p, log) })
	t.Run("partitions added", func(t *testing.T) {
		ends, err := log.Offsets(t.Context(), p.topic())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admin.UpdatePartitions(t.Context(), len(ends)+4, p.topic()); err != nil {
			t.Fatal(err)
		}
		tracker := p.stack.one("tracker")
		tracker.Terminate() // it would notice within a minute
		tracker.Restart()
		tracker.AwaitReady(startLimit)
		stop := p.stream(t)
		p.flow(t, recoverLimit, 100)
		eventually.SucceedsWithin(t, recoverLimit, "the new partitions take events", func() error {
			now, err := log.Offsets(t.Context(), p.topic())
			if err != nil {
				return err
			}
			for tp, held := range now {
				if _, old := ends[tp]; !old && held.End == 0 {
					return fmt.Errorf("partition %d is empty", tp.Partition)
				}
			}
			return nil
		})
		stop()
		p.check(t)
	})
	t.Run("the topic deleted", func(t *testing.T) {
		before, err := log.Topics(t.Context(), p.topic())
		if err != nil {
			t.Fatal(err)
		}
		if err := log.DeleteTopics(t.Context(), p.topic()); err != nil {
			t.Fatal(err)
		}
		eventually.SucceedsWithin(t, recoverLimit, "the topic is there again", func() error {
			now, err := log.Topics(t.Context(), p.topic())
			if err != nil {
				return err
			}
			if info, ok := now[p.topic()]; !ok || info.ID == before[p.topic()].ID {
				return errors.New("it is not")
			}
			return nil
		})
		stop := p.stream(t)
		p.flow(t, recoverLimit, 200)
		stop()
		p.check(t)
		p.verify(t, 3) // as many gaps as before: the old chains stay as they were
	})
	p.stack.terminate()
}

func (p *pipeline) stopConsumers() {
	for _, target := range []string{"session-updater", "firehose"} {
		p.stack.one(target).Terminate()
	}
}

func (p *pipeline) startConsumers() {
	for _, target := range []string{"session-updater", "firehose"} {
		p.stack.one(target).Restart()
	}
	for _, target := range []string{"session-updater", "firehose"} {
		p.stack.one(target).AwaitReady(startLimit)
	}
}

// verify fails the test unless the archive's chains are whole, with so many gaps that are accounted for.
func (p *pipeline) verify(t *testing.T, gaps int) {
	t.Helper()
	report, err := archive.Verify(t.Context(), p.bucket, p.group)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) > 0 || len(report.Gaps) != gaps {
		t.Errorf("problems %+v, gaps %+v, wanted %d", report.Problems, report.Gaps, gaps)
	}
}

// testPoison puts records into the topic that are no interactions, one of them so large that not even the dead-letter
// topic takes it with its reason. All are kept in the bucket, and the good ones behind them flow.
func testPoison(t *testing.T, p *pipeline, log *bus.Client) {
	large, err := wire.MarshalInteraction(&reco.Interaction{UserID: "large", ItemID: "", EventID: "large",
		RecommendationID: strings.Repeat("x", 999_850)})
	if err != nil {
		t.Fatal(err)
	}
	poison := [][]byte{[]byte("no protobuf at all"), {0xff, 0xff}, nil, large}
	for n, value := range poison {
		if err := log.Publish(t.Context(),
			bus.Record{Topic: p.topic(), Key: fmt.Appendf(nil, "user-%d", n), Value: value}); err != nil {
			t.Fatalf("publishing %d bytes: %v", len(value), err)
		}
	}
	stop := p.stream(t)
	p.flow(t, recoverLimit, 200)
	stop()
	p.check(t)
	kept := 0
	for _, err := range archive.Failures(t.Context(), p.bucket, p.group) {
		if err != nil {
			t.Fatal(err)
		}
		kept++
	}
	if kept != len(poison) {
		t.Errorf("%d bad records are kept in the bucket, of %d", kept, len(poison))
	}
	dead, err := log.Offsets(t.Context(), bus.DeadLetterTopic(p.group))
	if err != nil {
		t.Fatal(err)
	}
	letters := int64(0)
	for _, held := range dead {
		letters += held.End - held.Start
	}
	// The session-updater tells of each as well as the firehose does.
	if want := int64(2 * (len(poison) - 1)); letters != want {
		t.Errorf("%d dead letters, wanted %d", letters, want)
	}
}

// testRetention removes events that nobody has consumed. That is told by both consumers, and stands in the archive.
func testRetention(t *testing.T, p *pipeline, log *bus.Client) {
	p.stopConsumers()
	stop := p.stream(t)
	p.flow(t, recoverLimit, 400)
	stop()
	held, err := log.Offsets(t.Context(), p.topic())
	if err != nil {
		t.Fatal(err)
	}
	committed, err := log.Committed(t.Context(), firehoseGroup)
	if err != nil {
		t.Fatal(err)
	}
	const partitions = 3
	lost, upTo := map[int32]bus.OffsetRange{}, map[bus.TopicPartition]int64{}
	for tp, offsets := range held {
		if archived := committed[tp]; len(lost) < partitions && archived+1 < offsets.End {
			lost[tp.Partition] = bus.OffsetRange{Start: archived, End: offsets.End - 1}
			upTo[tp] = offsets.End - 1
		}
	}
	if len(lost) < partitions {
		t.Fatalf("only %d partitions hold what is not archived", len(lost))
	}
	events := 0
	if err := log.ReadRange(t.Context(), p.topic(), lost, func(records []bus.Record) error {
		for _, record := range records {
			interaction, err := wire.UnmarshalInteraction(record.Value)
			if err != nil {
				return err
			}
			p.sender.Forget(interaction.EventID)
			events++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := log.DeleteRecords(t.Context(), upTo); err != nil {
		t.Fatal(err)
	}
	p.startConsumers()
	firehose, updater := p.stack.one("firehose"), p.stack.one("session-updater")
	p.check(t)
	p.verify(t, partitions)
	for _, told := range []struct {
		process *penchanttest.Process
		metric  string
		least   int
	}{
		{firehose, "penchant_firehose_gaps_total", partitions},
		{firehose, "penchant_firehose_gap_offsets_total", events},
		{updater, "penchant_session_updater_missing_offsets_total", events},
	} {
		if err := exceeds(told.process, told.metric, float64(told.least)-1); err != nil {
			t.Errorf("%d events are lost in %d partitions: %v", events, partitions, err)
		}
	}
	for _, process := range []*penchanttest.Process{firehose, updater} {
		if !strings.Contains(process.Output(), "missing in") {
			t.Error("a consumer has not logged the loss")
		}
	}
}
