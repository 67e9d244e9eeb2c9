package bus_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// worker is the state that a test's partition handlers share, and where it says how they behave.
type worker struct {
	startAt  func(bus.Assignment) int64 // nil: the committed offset, or the start
	failures map[string]int             // calls of "start", "handle" or "stop" that are still to fail
	hold     bool                       // Handle commits nothing; Stop does

	mu      sync.Mutex
	seen    []bus.Record
	made    []bus.Assignment
	stopped []bus.Assignment
	ticks   int
	batches int
}

func (w *worker) handler(a bus.Assignment) bus.PartitionConsumer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made = append(w.made, a)
	return &handler{worker: w, assignment: a}
}

func (w *worker) fail(what string) error {
	if w.failures[what] > 0 {
		w.failures[what]--
		return errors.New("on purpose")
	}
	return nil
}

// values are the numbers seen, sorted, repeats included.
func (w *worker) values() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	values := []int{}
	for _, r := range w.seen {
		n, _ := strconv.Atoi(string(r.Value))
		values = append(values, n)
	}
	slices.Sort(values)
	return values
}

func (w *worker) saw(first, count int) bool {
	return slices.Equal(slices.Compact(w.values()), numbers(first, count))
}

func (w *worker) assignments() []bus.Assignment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.made)
}

func (w *worker) stops() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.stopped)
}

// handler is one partition's.
type handler struct {
	worker     *worker
	assignment bus.Assignment
	next       int64
}

func (h *handler) Start(context.Context) (int64, error) {
	h.worker.mu.Lock()
	defer h.worker.mu.Unlock()
	h.next = max(h.assignment.Committed, h.assignment.Start)
	if h.worker.startAt != nil {
		h.next = h.worker.startAt(h.assignment)
	}
	return h.next, h.worker.fail("start")
}

func (h *handler) Handle(_ context.Context, batch []bus.Record) (int64, error) {
	h.worker.mu.Lock()
	defer h.worker.mu.Unlock()
	if len(batch) == 0 {
		h.worker.ticks++
		return bus.NoCommit, nil
	}
	if err := h.worker.fail("handle"); err != nil {
		return 0, err
	}
	h.worker.batches++
	h.worker.seen = append(h.worker.seen, batch...)
	h.next = batch[len(batch)-1].Offset + 1
	if h.worker.hold {
		return bus.NoCommit, nil
	}
	return h.next, nil
}

func (h *handler) Stop(context.Context) (int64, error) {
	h.worker.mu.Lock()
	defer h.worker.mu.Unlock()
	h.worker.stopped = append(h.worker.stopped, h.assignment)
	return h.next, h.worker.fail("stop")
}

// member is a running consumer.
type member struct {
	*bus.Consumer
	stop func() // and wait
}

func runConsumer(t testing.TB, cfg bus.ConsumerConfig, w *worker, topics ...string) member {
	t.Helper()
	consumer, err := bus.NewConsumer(cfg, w.handler)
	if err != nil {
		t.Fatal(err)
	}
	consumer.SetTopics(topics...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return member{consumer, stop}
}

// checkOrder fails unless each partition's records came in order, with repeats only as whole runs.
func checkOrder(t *testing.T, w *worker) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	next := map[bus.TopicPartition]int64{}
	for _, r := range w.seen {
		tp := bus.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		if want, ok := next[tp]; ok && r.Offset > want {
			t.Fatalf("%v: offset %d came where %d was due", tp, r.Offset, want)
		}
		next[tp] = r.Offset + 1
	}
}

// committedSum adds up a group's committed offsets on a topic.
func committedSum(t *testing.T, client *bus.Client, group, topic string) int64 {
	t.Helper()
	committed, err := client.Committed(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for tp, offset := range committed {
		if tp.Topic == topic {
			sum += offset
		}
	}
	return sum
}

func TestConsumerHandlesEachRecordThroughErrors(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 4)
	publish(t, client, topic, 0, 1000)
	registry := prometheus.NewRegistry()
	w := &worker{failures: map[string]int{"start": 3, "handle": 6}}
	c := runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic, Registerer: registry}, w, topic)
	eventually.True(t, "all records are handled", func() bool { return w.saw(0, 1000) })
	checkOrder(t, w)
	eventually.True(t, "all offsets are committed", func() bool { return committedSum(t, client, topic, topic) == 1000 })
	if errs := gauge(t, registry, "penchant_bus_handler_errors_total"); errs != 9 {
		t.Errorf("%v errors are counted, want 9", errs)
	}
	if n := gauge(t, registry, "penchant_bus_consumed_records_total"); n != 1000 {
		t.Errorf("%v records are counted", n)
	}
	if lag := gauge(t, registry, "penchant_bus_lag_records"); lag != 0 || len(c.Lag()) != 4 {
		t.Errorf("lag %v of %v", lag, c.Lag())
	}
	publish(t, client, topic, 1000, 100)
	eventually.True(t, "the new ones, too", func() bool { return w.saw(0, 1100) })
	for _, a := range w.assignments() {
		if a.Committed != -1 || a.Start != 0 || a.End == 0 || a.TopicID == (bus.TopicID{}) {
			t.Errorf("assigned %+v", a)
		}
	}
	if values := w.values(); len(values) != 1100 {
		t.Errorf("%d records were handled successfully", len(values))
	}
	c.stop()
	if w.stops() != 4 {
		t.Errorf("%d partitions were stopped", w.stops())
	}
}

func TestConsumerTakesUpWhereItWas(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 3)
	publish(t, client, topic, 0, 300)
	first := &worker{}
	c := runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, first, topic)
	eventually.True(t, "the first 300", func() bool { return first.saw(0, 300) })
	c.stop()
	publish(t, client, topic, 300, 30)
	second := &worker{}
	runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, second, topic)
	eventually.True(t, "only the rest", func() bool { return slices.Equal(second.values(), numbers(300, 30)) })
}

func TestStartSaysWhereToBegin(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 1)
	publish(t, client, topic, 0, 100)
	first := &worker{}
	c := runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, first, topic)
	eventually.True(t, "the first 100", func() bool { return first.saw(0, 100) })
	c.stop()
	publish(t, client, topic, 100, 100)
	for name, from := range map[string]int{"backwards": 40, "at the committed offset": 100, "forwards": 150, "at the end": 200, "before the log": -5} {
		t.Run(name, func(t *testing.T) {
			w := &worker{hold: true, failures: map[string]int{"stop": 1}, startAt: func(a bus.Assignment) int64 {
				if a.Committed != 100 || a.End != 200 {
					t.Errorf("assigned %+v", a)
				}
				return int64(from)
			}}
			c := runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic, Tick: 10 * time.Millisecond}, w, topic)
			begin := max(0, from)
			eventually.True(t, "the records from there", func() bool {
				w.mu.Lock()
				ticked := w.ticks > 0
				w.mu.Unlock()
				return ticked && w.saw(begin, 200-begin)
			})
			if got := w.values(); len(got) != 200-begin {
				t.Errorf("%d records, want %d", len(got), 200-begin)
			}
			eventually.True(t, "the lag counts from there", func() bool { return c.Lag()[bus.TopicPartition{Topic: topic}] == int64(200-from) || from < 0 })
			c.stop()
		})
	}
}

func TestStartBeyondTheEndIsRepeatedNotSkipped(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 1)
	publish(t, client, topic, 0, 10)
	w := &worker{startAt: func(bus.Assignment) int64 { return 15 }}
	runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, w, topic)
	eventually.True(t, "the partition is assigned", func() bool { return len(w.assignments()) == 1 })
	publish(t, client, topic, 10, 10)
	eventually.True(t, "once the log is that long, the rest comes", func() bool { return slices.Equal(w.values(), numbers(15, 5)) })
}

func TestRetentionThatOvertakesIsPassedOver(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 1)
	publish(t, client, topic, 0, 50)
	if err := client.DeleteRecords(t.Context(), map[bus.TopicPartition]int64{{Topic: topic}: 20}); err != nil {
		t.Fatal(err)
	}
	w := &worker{startAt: func(bus.Assignment) int64 { return 10 }}
	runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, w, topic)
	eventually.True(t, "what is left", func() bool { return slices.Equal(w.values(), numbers(20, 30)) })
}

func TestRevokedPartitionsAreFlushedFirst(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 8)
	publish(t, client, topic, 0, 400)
	first := &worker{hold: true} // commits at Stop only
	c1 := runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, first, topic)
	eventually.True(t, "the first handles all", func() bool { return first.saw(0, 400) })
	second := &worker{hold: true}
	c2 := runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, second, topic)
	eventually.True(t, "the second takes over half", func() bool { return len(second.assignments()) == 4 && first.stops() == 4 })
	for _, a := range second.assignments() {
		if a.Committed != a.End {
			t.Errorf("taken over unflushed: %+v", a)
		}
	}
	publish(t, client, topic, 400, 400)
	eventually.True(t, "both work on", func() bool { return len(first.values())+len(second.values()) == 800 })
	if got := slices.Sorted(slices.Values(slices.Concat(first.values(), second.values()))); !slices.Equal(got, numbers(0, 800)) {
		t.Error("a record was handled twice or not at all")
	}
	c1.stop()
	eventually.True(t, "the second takes over the rest", func() bool { return len(second.assignments()) == 8 })
	c2.stop()
	if sum := committedSum(t, client, topic, topic); sum != 800 {
		t.Errorf("the commits add up to %d", sum)
	}
}

func TestSetTopicsTakesEffectWhileRunning(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	one, two := newTopic(t, client, 2), newTopic(t, client, 2)
	publish(t, client, one, 0, 50)
	publish(t, client, two, 100, 50)
	w := &worker{}
	c := runConsumer(t, bus.ConsumerConfig{Client: client, Group: one}, w)
	c.SetTopics(one, "penchant-test-absent")
	eventually.True(t, "the first topic", func() bool { return w.saw(0, 50) })
	c.SetTopics(two)
	eventually.True(t, "the second instead", func() bool { return len(w.values()) == 100 && w.stops() == 2 })
	publish(t, client, one, 50, 50)
	publish(t, client, two, 150, 50)
	eventually.True(t, "only the second", func() bool { return len(w.values()) == 150 && w.values()[149] == 199 })
	if sum := committedSum(t, client, one, one); sum != 50 {
		t.Errorf("the topic that was left is committed up to %d", sum)
	}
	c.SetTopics(one, two)
	eventually.True(t, "both", func() bool { return w.saw(0, 200) })
	if n := len(w.values()); n != 200 {
		t.Errorf("%d records were handled, want each once", n)
	}
	if len(c.Lag()) != 4 {
		t.Errorf("works on %v", c.Lag())
	}
}

func TestTopicMadeLaterIsConsumed(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 1) + "-later"
	w := &worker{}
	runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, w, topic)
	createTopic(t, client, topic, 2)
	publish(t, client, topic, 0, 20)
	eventually.True(t, "its records", func() bool { return w.saw(0, 20) })
}

func TestTopicMadeAgainStartsAnew(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	other, topic := newTopic(t, client, 1), newTopic(t, client, 2)
	publish(t, client, topic, 0, 50)
	w := &worker{hold: true}
	c := runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, w, topic, other)
	eventually.True(t, "the first topic's records", func() bool { return w.saw(0, 50) })
	before, err := client.Topics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	createTopic(t, client, topic, 2)
	eventually.True(t, "the new topic takes records", func() bool { return client.Publish(t.Context(), numbered(topic, 50)) == nil })
	publish(t, client, topic, 51, 49)
	eventually.True(t, "the new topic's records", func() bool { return w.saw(0, 100) })
	after, err := client.Topics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	for _, r := range w.seen {
		n, _ := strconv.Atoi(string(r.Value))
		if want := map[bool]bus.TopicInfo{true: before[topic], false: after[topic]}[n < 50].ID; r.TopicID != want {
			t.Errorf("record %d came under the other topic's identity", n)
		}
	}
	stopped := 0
	for _, a := range w.stopped {
		if a.TopicID == before[topic].ID {
			stopped++
		}
	}
	w.mu.Unlock()
	if stopped != 2 {
		t.Errorf("%d of the old topic's partitions were stopped, want 2", stopped)
	}
	publish(t, client, other, 100, 1)
	eventually.True(t, "other topics aren't held up", func() bool { return w.saw(0, 101) })
	c.stop()
	if sum := committedSum(t, client, topic, topic); sum != 50 {
		t.Errorf("the new topic is committed up to %d", sum)
	}
}

func TestDeletedTopicIsLetGo(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	stays, goes := newTopic(t, client, 1), newTopic(t, client, 3)
	publish(t, client, goes, 0, 30)
	registry := prometheus.NewRegistry()
	w := &worker{}
	c := runConsumer(t, bus.ConsumerConfig{Client: client, Group: stays, Registerer: registry}, w, stays, goes)
	eventually.True(t, "all records", func() bool { return w.saw(0, 30) && len(c.Lag()) == 4 })
	if err := client.DeleteTopics(t.Context(), goes); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "its partitions are stopped", func() bool { return len(c.Lag()) == 1 && w.stops() == 3 })
	publish(t, client, stays, 30, 10)
	eventually.True(t, "the other goes on", func() bool { return w.saw(0, 40) })
	if errs := gauge(t, registry, "penchant_bus_handler_errors_total"); errs != 0 {
		t.Errorf("%v errors", errs)
	}
}

// slow is a handler that waits for leave before it takes a batch.
type slow struct {
	handler
	leave chan struct{}
}

func (s *slow) Handle(ctx context.Context, batch []bus.Record) (int64, error) {
	if len(batch) > 0 {
		select {
		case <-s.leave:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return s.handler.Handle(ctx, batch)
}

func TestSlowPartitionHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	client := openClient(t, bus.Config{})
	topic := newTopic(t, client, 2)
	// Much more than is kept for a partition: its fetching has to pause, and to go on.
	value := make([]byte, 100<<10)
	var keys [2][]byte // one for each partition
	for n := 0; keys[0] == nil || keys[1] == nil; n++ {
		key := []byte(strconv.Itoa(n))
		keys[bus.PartitionOf(key, 2)] = key
	}
	const each = 200
	for range each {
		for _, key := range keys {
			if err := client.Publish(t.Context(), bus.Record{Topic: topic, Key: key, Value: value}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := &worker{}
	leave := make(chan struct{})
	consumer, err := bus.NewConsumer(bus.ConsumerConfig{Client: client, Group: topic}, func(a bus.Assignment) bus.PartitionConsumer {
		if a.Partition == 0 {
			return &slow{handler{worker: w, assignment: a}, leave}
		}
		return w.handler(a)
	})
	if err != nil {
		t.Fatal(err)
	}
	consumer.SetTopics(topic)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- consumer.Run(ctx) }()
	count := func() int { return len(w.values()) }
	eventually.True(t, "the quick partition is done", func() bool { return count() == each })
	close(leave)
	eventually.True(t, "the slow one follows", func() bool { return count() == 2*each })
	checkOrder(t, w)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestConsumerStopsWithoutABroker(t *testing.T) {
	t.Parallel()
	servers := startKafka(t)
	client := openClient(t, bus.Config{Brokers: []string{servers.KafkaAddr()}})
	topic := newTopic(t, client, 2)
	publish(t, client, topic, 0, 10)
	w := &worker{hold: true}
	c := runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, w, topic)
	eventually.True(t, "all records", func() bool { return w.saw(0, 10) })
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	c.stop()
	if took := time.Since(started); took > 15*time.Second || w.stops() != 2 {
		t.Errorf("it took %s, and stopped %d partitions", took, w.stops())
	}
}

func TestClientAndConsumerSurviveARestartOfTheBroker(t *testing.T) {
	t.Parallel()
	cfg := embedded.Config{DataDir: t.TempDir(), KafkaAddr: "127.0.0.1:0", Unsynced: true}
	servers, err := embedded.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.KafkaAddr = servers.KafkaAddr()
	client := openClient(t, bus.Config{Brokers: []string{cfg.KafkaAddr}, DeliveryTimeout: time.Second})
	topic := newTopic(t, client, 4)
	publish(t, client, topic, 0, 100)
	w := &worker{}
	runConsumer(t, bus.ConsumerConfig{Client: client, Group: topic}, w, topic)
	eventually.True(t, "the first 100", func() bool { return w.saw(0, 100) })
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Publish(t.Context(), numbered(topic, 100)); err == nil {
		t.Error("publishing without a broker succeeded")
	}
	servers, err = embedded.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = servers.Close() })
	eventually.True(t, "publishing works again", func() bool { return client.Publish(t.Context(), numbered(topic, 100)) == nil })
	publish(t, client, topic, 101, 99)
	eventually.True(t, "all records are handled", func() bool { return w.saw(0, 200) })
}

// BenchmarkPublishToHandle measures the time from the call of Publish to the call of Handle on an idle system.
func BenchmarkPublishToHandle(b *testing.B) {
	client := openClient(b, bus.Config{})
	topic := newTopic(b, client, 1)
	handled := make(chan time.Time, 1)
	consumer, err := bus.NewConsumer(bus.ConsumerConfig{Client: client, Group: topic}, func(a bus.Assignment) bus.PartitionConsumer {
		return arrival{a, handled}
	})
	if err != nil {
		b.Fatal(err)
	}
	consumer.SetTopics(topic)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- consumer.Run(ctx) }()
	publish(b, client, topic, 0, 1)
	<-handled
	var took []time.Duration
	for b.Loop() {
		started := time.Now()
		publish(b, client, topic, 0, 1)
		took = append(took, (<-handled).Sub(started))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	cancel()
	<-done
}

type arrival struct {
	assignment bus.Assignment
	handled    chan time.Time
}

func (a arrival) Start(context.Context) (int64, error) { return a.assignment.Start, nil }
func (a arrival) Stop(context.Context) (int64, error)  { return bus.NoCommit, nil }
func (a arrival) Handle(_ context.Context, batch []bus.Record) (int64, error) {
	if len(batch) == 0 {
		return bus.NoCommit, nil
	}
	a.handled <- time.Now()
	return batch[len(batch)-1].Offset + 1, nil
}

// BenchmarkConsume measures how fast records that are in the log are handed over.
func BenchmarkConsume(b *testing.B) {
	client := openClient(b, bus.Config{})
	topic := newTopic(b, client, 8)
	value := make([]byte, 200)
	for first := 0; first < b.N; first += 1000 {
		records := make([]bus.Record, min(1000, b.N-first))
		for i := range records {
			records[i] = bus.Record{Topic: topic, Key: []byte(strconv.Itoa(i)), Value: value}
		}
		if err := client.Publish(b.Context(), records...); err != nil {
			b.Fatal(err)
		}
	}
	w := &worker{}
	b.ResetTimer()
	c := runConsumer(b, bus.ConsumerConfig{Client: client, Group: topic}, w, topic)
	eventually.True(b, "all are handled", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.seen) >= b.N
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.StopTimer()
	c.stop()
}
