package firehose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/process"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

var (
	group   = &catalog.DatasetGroup{Metadata: catalog.Metadata{ARN: "arn:aws:personalize:eu-central-1:000000000000:dataset-group/shop", Name: "shop"}, ShortID: "1a2b"}
	topic   = schema.Interactions.Topic(group.GroupKey())
	topicID = bus.TopicID{0xab}
)

// sinks are services over one bucket whose clock the test moves.
type sinks struct {
	*testing.T
	environment
	config Config
	now    time.Time
}

func newSinks(t *testing.T) *sinks {
	e := servers(t)
	return &sinks{t, e, Config{
		Bus: e.bus, Bucket: e.bucket, View: catalog.NewView(catalog.NewStore(e.bucket, nil), e.bus, nil),
	}, time.UnixMilli(1.7e12)}
}

func (s *sinks) assign(topic string, a bus.Assignment) *partition {
	s.Helper()
	service, err := newService(s.config)
	if err != nil {
		s.Fatal(err)
	}
	service.now = func() time.Time { return s.now }
	a.TopicPartition, a.TopicID = bus.TopicPartition{Topic: topic, Partition: 3}, topicID
	return newPartition(service, targetsOf(group)[topic], a)
}

// start is a new sink for partition 3 of the interactions.
func (s *sinks) start() *partition {
	s.Helper()
	p := s.assign(topic, bus.Assignment{Committed: -1, End: 1 << 40})
	if _, err := p.Start(s.Context()); err != nil {
		s.Fatal(err)
	}
	return p
}

// handle is a Handle that must succeed.
func (s *sinks) handle(p *partition, records ...bus.Record) (commit int64) {
	s.Helper()
	commit, err := p.Handle(s.Context(), records)
	if err != nil {
		s.Fatal(err)
	}
	return commit
}

func (s *sinks) stop(p *partition) (commit int64) {
	s.Helper()
	commit, err := p.Stop(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return commit
}

// archived are the event ids in the archive, which must be in order.
func (s *sinks) archived() (ids []string) {
	s.Helper()
	for row, err := range archive.ReadInteractions(s.Context(), s.config.Bucket, group.GroupKey(), schema.Interactions, archive.ReadOptions{}) {
		if err != nil {
			s.Fatal(err)
		}
		ids = append(ids, row.EventID)
	}
	return ids
}

func (s *sinks) verify() archive.Report {
	s.Helper()
	report, err := archive.Verify(s.Context(), s.config.Bucket, group.GroupKey())
	if err != nil {
		s.Fatal(err)
	}
	if len(report.Problems) > 0 {
		s.Errorf("problems in the archive: %+v", report.Problems)
	}
	return report
}

func (s *sinks) wantArchived(want ...string) {
	s.Helper()
	if diff := cmp.Diff(want, s.archived()); diff != "" {
		s.Errorf("archived events (-want +got)\n%s", diff)
	}
	s.verify()
}

func eventRecord(offset int64, eventID string) bus.Record {
	value, err := wire.MarshalInteraction(&reco.Interaction{
		EventID: eventID, UserID: "user", ItemID: "item", EventType: "click", TimestampMS: 1.7e12 + offset,
	})
	if err != nil {
		panic(err)
	}
	return bus.Record{
		Topic: topic, Partition: 3, TopicID: topicID, Offset: offset, Key: []byte("user"), Value: value, Arrival: time.UnixMilli(1.7e12 + offset),
	}
}

// records have the offsets from first to last and events named after them.
func records(first, last int64) (all []bus.Record) {
	for offset := first; offset <= last; offset++ {
		all = append(all, eventRecord(offset, fmt.Sprint(offset)))
	}
	return all
}

func names(first, last int64) (all []string) {
	for offset := first; offset <= last; offset++ {
		all = append(all, fmt.Sprint(offset))
	}
	return all
}

func TestFlushBySize(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	s.config.FlushBytes = process.ByteSize(4 * len(eventRecord(0, "0").Value))
	p := s.start()
	if commit := s.handle(p, records(0, 9)...); commit != 8 {
		t.Errorf("committed %d, want 8: two files of four records, and two records buffered", commit)
	}
	if report := s.verify(); report.Files != 2 || report.Rows != 8 {
		t.Errorf("%+v", report)
	}
}

func TestFlushByAge(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	p := s.start()
	s.handle(p, records(0, 4)...)
	s.now = s.now.Add(defaultFlushInterval - time.Second)
	if commit := s.handle(p, records(5, 5)...); commit != bus.NoCommit {
		t.Errorf("committed %d before the interval was over", commit)
	}
	s.now = s.now.Add(time.Second)
	if commit := s.handle(p); commit != 6 {
		t.Errorf("a tick after the interval committed %d, want 6", commit)
	}
	if commit := s.handle(p); commit != bus.NoCommit {
		t.Errorf("a tick without news committed %d", commit)
	}
	s.wantArchived(names(0, 5)...)
}

func TestFlushAtStop(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	p := s.start()
	s.handle(p, records(0, 4)...)
	if commit := s.stop(p); commit != 5 {
		t.Errorf("committed %d, want 5", commit)
	}
	s.wantArchived(names(0, 4)...)
}

func TestTwoSinksOnOnePartitionArchiveEachRecordOnce(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	owner, zombie := s.start(), s.start()
	s.handle(zombie, records(0, 6)...)
	s.handle(owner, records(0, 3)...)
	s.stop(owner)
	if commit := s.stop(zombie); commit != 7 {
		t.Errorf("the zombie committed %d, want 7: it goes on behind the owner", commit)
	}
	late := s.start()
	s.handle(owner, records(0, 9)...)
	s.stop(owner)
	s.handle(late, records(7, 7)...)
	if commit := s.stop(late); commit != 10 {
		t.Errorf("the late sink committed %d, want 10: all that it had was archived", commit)
	}
	s.wantArchived(names(0, 9)...)
}

func TestACrashBetweenUploadAndCommitRepeatsNothing(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	crashed := s.start()
	s.handle(crashed, records(0, 9)...)
	s.stop(crashed) // and the commit never arrives

	p := s.assign(topic, bus.Assignment{Committed: -1, End: 20})
	if from, err := p.Start(t.Context()); err != nil || from != 10 {
		t.Fatalf("the next sink starts at %d (%v), want 10", from, err)
	}
	s.handle(p, records(0, 14)...) // it need not trust the log's position either
	s.stop(p)
	s.wantArchived(names(0, 14)...)
}

func TestTheArchivesEndIsCommittedIfItIsNews(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	p := s.start()
	s.handle(p, records(0, 9)...)
	s.stop(p)

	for committed, want := range map[int64]int64{-1: 10, 5: 10, 10: bus.NoCommit} {
		p := s.assign(topic, bus.Assignment{Committed: committed, End: 10})
		if _, err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if commit := s.handle(p); commit != want {
			t.Errorf("after a commit of %d the first tick commits %d, want %d", committed, commit, want)
		}
	}
}

func TestRepeatsOfAnEventAreDroppedWithinTheWindow(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	s.config.DedupWindow = 4
	p := s.start()
	for offset, id := range []string{"a", "b", "a", "c", "b", "d", "e"} {
		s.handle(p, eventRecord(int64(offset), id))
	}
	s.stop(p)
	s.wantArchived("a", "b", "c", "d", "e")

	// The next sink knows the newest four from the archive.
	p = s.start()
	for offset, id := range []string{"e", "b", "f", "c", "a"} {
		s.handle(p, eventRecord(int64(7+offset), id))
	}
	s.stop(p)
	s.wantArchived("a", "b", "c", "d", "e", "f", "a")
}

func TestRepeatsAreDroppedAfterAnotherSinkWasFaster(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	fast, slow := s.start(), s.start()
	s.handle(fast, eventRecord(0, "a"), eventRecord(1, "b"), eventRecord(2, "c"))
	s.handle(slow, eventRecord(0, "a"))
	s.stop(fast)
	s.stop(slow) // is superseded
	s.handle(slow, eventRecord(3, "c"), eventRecord(4, "d"))
	s.stop(slow)
	s.wantArchived("a", "b", "c", "d")
}

func TestOffsetsThatTheLogHasLostBecomeAGap(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	p := s.assign(topic, bus.Assignment{Committed: -1, Start: 5, End: 10})
	if from, err := p.Start(t.Context()); err != nil || from != 5 {
		t.Fatalf("starting at %d (%v), want 5", from, err)
	}
	s.handle(p, records(5, 6)...)
	s.handle(p, records(9, 9)...)
	s.stop(p)

	s.wantArchived("5", "6", "9")
	var gaps []string
	for _, gap := range s.verify().Gaps {
		gaps = append(gaps, fmt.Sprintf("%d-%d", gap.First, gap.Last))
	}
	if want := []string{"0-4", "7-8"}; !slices.Equal(gaps, want) {
		t.Errorf("gaps %q, want %q", gaps, want)
	}
}

// startItems is a new sink for partition 3 of the items, a compacted topic.
func (s *sinks) startItems() *partition {
	s.Helper()
	p := s.assign(schema.Items.Topic(group.GroupKey()), bus.Assignment{Committed: -1, End: 100})
	if _, err := p.Start(s.Context()); err != nil {
		s.Fatal(err)
	}
	return p
}

func actionRecord(offset int64, eventID string) bus.Record {
	value, err := wire.MarshalActionInteraction(&reco.Interaction{
		EventID: eventID, UserID: "user", ItemID: "offer", EventType: "TAKEN", TimestampMS: 1.7e12 + offset, Impression: []string{"offer", "other"},
	})
	if err != nil {
		panic(err)
	}
	return bus.Record{
		Topic: schema.ActionInteractions.Topic(group.GroupKey()), Partition: 3, TopicID: topicID, Offset: offset, Key: []byte("user"), Value: value, Arrival: time.UnixMilli(1.7e12 + offset),
	}
}

func TestActionInteractionsAreArchivedOnce(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	if err := s.bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: bus.DeadLetterTopic(group.GroupKey())}); err != nil {
		t.Fatal(err)
	}
	start := func() *partition {
		p := s.assign(schema.ActionInteractions.Topic(group.GroupKey()), bus.Assignment{Committed: -1, End: 1 << 40})
		if _, err := p.Start(s.Context()); err != nil {
			s.Fatal(err)
		}
		return p
	}
	slow, fast := start(), start()
	s.handle(slow, actionRecord(0, "a"), actionRecord(1, "b"), actionRecord(2, "a"))
	s.handle(fast, actionRecord(0, "a"), actionRecord(1, "b"))
	s.stop(fast)
	s.stop(slow)
	// A repeat is found in what the chain holds, by a sink that has not seen the first one; a skipped offset is told
	// of.
	next := start()
	bad := actionRecord(6, "x")
	bad.Value = []byte("no protobuf")
	s.handle(next, actionRecord(3, "b"), actionRecord(5, "c"), bad)
	if commit := s.stop(next); commit != 7 {
		t.Errorf("committed %d, want 7", commit)
	}
	var got []string
	for row, err := range archive.ReadInteractions(s.Context(), s.config.Bucket, group.GroupKey(), schema.ActionInteractions, archive.ReadOptions{}) {
		if err != nil {
			s.Fatal(err)
		}
		if row.ItemID != "offer" || row.EventType != "TAKEN" || !slices.Equal(row.Impression, []string{"offer", "other"}) {
			t.Errorf("archived %+v", row)
		}
		got = append(got, row.EventID)
	}
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("archived %q", got)
	}
	if report := s.verify(); len(report.Gaps) != 1 || report.Gaps[0].First != 4 || report.Rows != 3 {
		t.Errorf("%+v", report)
	}
	if items := s.archived(); items != nil {
		t.Errorf("%q are among the interactions with items", items)
	}
}

func itemRecord(offset int64) bus.Record {
	value, err := wire.MarshalEntity(&reco.Entity{ID: "item", Properties: map[string]any{"GENRE": "drama"}})
	if err != nil {
		panic(err)
	}
	return bus.Record{
		Topic: schema.Items.Topic(group.GroupKey()), Partition: 3, TopicID: topicID, Offset: offset, Key: []byte("item"), Value: value, Arrival: time.UnixMilli(1),
	}
}

func (s *sinks) wantItemsAt(want ...int64) {
	s.Helper()
	var offsets []int64
	for row, err := range archive.ReadEntities(s.Context(), s.config.Bucket, group.GroupKey(), schema.Items) {
		if err != nil {
			s.Fatal(err)
		}
		offsets = append(offsets, row.Origin.Offset)
	}
	if !slices.Equal(offsets, want) {
		s.Errorf("items at %d, want %d", offsets, want)
	}
}

func TestACompactedTopicHasNoGaps(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	p := s.startItems()
	tombstone := itemRecord(20)
	tombstone.Value = nil
	s.handle(p, itemRecord(4), itemRecord(8), tombstone)
	if commit := s.stop(p); commit != 21 {
		t.Errorf("committed %d, want 21", commit)
	}
	s.wantItemsAt(4, 8)
	if report := s.verify(); len(report.Gaps) > 0 || report.Files != 1 {
		t.Errorf("%+v", report)
	}
}

func TestABatchHandedInAgainIsTakenOnce(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	p := s.startItems()
	s.handle(p, itemRecord(0), itemRecord(1))
	s.handle(p, itemRecord(0), itemRecord(1), itemRecord(2))
	s.stop(p)
	s.wantItemsAt(0, 1, 2)
}

func TestALogThatEndsBeforeTheArchiveIsNotConsumed(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	if err := s.config.Bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: topic, Partitions: 4}); err != nil {
		t.Fatal(err)
	}
	p := s.start()
	s.handle(p, records(0, 9)...)
	s.stop(p)
	p = s.assign(topic, bus.Assignment{Committed: 10, End: 4})
	if _, err := p.Start(t.Context()); err == nil {
		t.Error("the sink starts, and would take new records for archived ones")
	}
}

func TestABadRecordIsSetAsideAndDoesNotBlock(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	deadLetters := bus.DeadLetterTopic(group.GroupKey())
	if err := s.config.Bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: deadLetters, Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	nonsense := eventRecord(1, "")
	nonsense.Value = []byte("nonsense")
	nonsense.Headers = []bus.Header{{Key: "ce_id", Value: []byte("x")}}
	noColumn, err := wire.MarshalInteraction(&reco.Interaction{
		EventID: "3", UserID: "user", ItemID: "item", EventType: "click", TimestampMS: 1, Properties: map[string]any{"NO,COLUMN": "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	unwritable := eventRecord(3, "")
	unwritable.Value = noColumn

	p := s.start()
	s.handle(p, eventRecord(0, "0"), nonsense, eventRecord(2, "2"), unwritable, eventRecord(4, "4"))
	if commit := s.stop(p); commit != 5 {
		t.Errorf("committed %d, want 5", commit)
	}
	s.wantArchived("0", "2", "4")

	kept := map[int64]string{}
	for f, err := range archive.Failures(t.Context(), s.config.Bucket, group.GroupKey()) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Topic != topic || f.Partition != 3 || f.Reason == "" {
			t.Errorf("%+v", f)
		}
		kept[f.Offset] = string(f.Value)
	}
	if diff := cmp.Diff(map[int64]string{1: "nonsense", 3: string(noColumn)}, kept); diff != "" {
		t.Errorf("archive-errors (-want +got)\n%s", diff)
	}
	offsets, err := s.config.Bus.Offsets(t.Context(), deadLetters)
	if err != nil {
		t.Fatal(err)
	}
	if end := offsets[bus.TopicPartition{Topic: deadLetters}].End; end != 2 {
		t.Errorf("%d records in the dead-letter topic, want 2", end)
	}
}

func TestTheLargestBufferIsWrittenWhenMemoryRunsOut(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	s.config.MemoryBytes = 20 * recordOverhead
	large := s.start()
	small := newPartition(large.service, large.target, bus.Assignment{
		TopicPartition: bus.TopicPartition{Topic: topic, Partition: 4}, TopicID: topicID, End: 1 << 40,
	})
	if _, err := small.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.handle(large, records(0, 9)...)
	if commit := s.handle(small, records(0, 7)...); commit != bus.NoCommit {
		t.Errorf("the smaller buffer was written up to %d", commit)
	}
	if commit := s.handle(large); commit != 10 {
		t.Errorf("the largest buffer was written up to %d, want 10", commit)
	}
	// The smaller one cannot wait for ever, however.
	s.handle(large, records(10, 20)...)
	if commit := s.handle(small, records(8, 40)...); commit == bus.NoCommit {
		t.Error("buffers grow without bound while the largest is not written")
	}
}

func TestMetadataOfAnotherSinksFileIsTrustedNotTheName(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	p := s.start()
	s.handle(p, records(0, 9)...)
	other, err := archive.OpenChain(t.Context(), s.config.Bucket, p.chainID())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.AppendGap(t.Context(), 4, "test"); err != nil {
		t.Fatal(err)
	}
	s.stop(p)
	s.wantArchived(names(5, 9)...)
}

func TestWhileTheBucketIsAwayTheBatchIsKept(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	proxy := newProxy(t, s.environment)
	s.config.Bucket = proxy.bucket
	s.config.FlushBytes = process.ByteSize(3 * len(eventRecord(0, "0").Value))
	p := s.start()

	proxy.mode.Store(away)
	for range 3 {
		if _, err := p.Handle(t.Context(), records(0, 9)); err == nil {
			t.Fatal("no error although the bucket is away")
		}
	}
	if buffered := p.rows.len(); buffered != 3 {
		t.Errorf("%d records are buffered, want the 3 of one file: repeats must not grow the buffer", buffered)
	}
	proxy.mode.Store(there)
	if commit := s.handle(p, records(0, 9)...); commit != 9 {
		t.Errorf("committed %d, want 9", commit)
	}
	s.stop(p)
	s.wantArchived(names(0, 9)...)
}

func TestAWriteWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	proxy := newProxy(t, s.environment)
	s.config.Bucket = proxy.bucket
	p := s.start()
	s.handle(p, records(0, 4)...)
	proxy.mode.Store(mute)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := p.Stop(ctx); err == nil {
		t.Fatal("no error although no answer came")
	}
	proxy.mode.Store(there)
	s.handle(p, records(5, 6)...)
	if commit := s.stop(p); commit != 7 {
		t.Errorf("committed %d, want 7", commit)
	}
	s.wantArchived(names(0, 6)...)
	if report := s.verify(); report.Files != 2 {
		t.Errorf("%d files, want 2", report.Files)
	}
}

func TestAnUnreadableEndOfTheChainIsAnError(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	p := s.start()
	s.handle(p, records(0, 4)...)
	s.stop(p)
	for info, err := range s.config.Bucket.List(t.Context(), "archive/") {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.config.Bucket.Put(t.Context(), info.Key, []byte("x"), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	p = s.assign(topic, bus.Assignment{End: 5})
	var corrupt *archive.CorruptError
	if _, err := p.Start(t.Context()); !errors.As(err, &corrupt) {
		t.Errorf("%v, want a CorruptError", err)
	}
}
