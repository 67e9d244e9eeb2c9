package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/backoff"
)

const (
	// When a partition has to be given up, the batch in hand may take this long to end well, and then Stop as long:
	// together less than the 30 s a shutdown has, and half of the 60 s the group waits for a member in a rebalance.
	handleGrace = 12 * time.Second
	stopGrace   = 12 * time.Second
)

// retryPace spaces the repeats of what a partition must not go on without.
var retryPace = backoff.Exponential{First: 50 * time.Millisecond, Max: 5 * time.Second}

// A runner works on one assigned partition in a goroutine of its own: it looks up where the partition stands, makes the
// PartitionConsumer, starts it, hands it batches and stops it.
type runner struct {
	consumer *Consumer
	tp       TopicPartition
	queue    *queue // the runner's own to replace, under mu
	log      *zap.Logger

	owned context.Context // ends when the partition is to be given up
	work  context.Context // ends when the batch in hand must end, too
	done  chan struct{}   // closed when the goroutine has ended

	release, abort context.CancelFunc // end owned, and work (with owned)

	mu        sync.Mutex
	safe      int64 // the offset up to which everything is handled
	said      int64 // the offset that the handler returned last and that may be committed, or NoCommit
	committed int64 // what the group has, or NoCommit
	lost      bool  // the partition isn't ours any more: nothing may be committed, nor flushed
	topicGone bool  // what was read is flushed, but there is nothing to commit to
}

func newRunner(c *Consumer, tp TopicPartition) *runner {
	r := &runner{
		consumer:  c,
		tp:        tp,
		queue:     newQueue(),
		log:       c.log.With(zap.String("topic", tp.Topic), zap.Int32("partition", tp.Partition)),
		done:      make(chan struct{}),
		said:      NoCommit,
		committed: NoCommit,
	}
	r.work, r.abort = context.WithCancel(context.Background())
	r.owned, r.release = context.WithCancel(r.work)
	return r
}

// stop asks the runner to end, and returns at once; done is closed when it has. It finishes the batch in hand and
// flushes, unless the partition is lost: then it drops everything, since another member may have it already.
func (r *runner) stop(lost bool) {
	if lost {
		r.mu.Lock()
		r.lost = true
		r.mu.Unlock()
		r.abort()
		return
	}
	r.release()
	time.AfterFunc(handleGrace, r.abort)
}

func (r *runner) run() {
	defer close(r.done)
	defer r.abort()
	handler, next, ok := r.start(nil)
	for ok && r.consume(handler, next) {
		handler, next, ok = r.start(handler)
	}
	r.consumer.reader.remove(r.tp, r.queue)
	if handler != nil {
		r.finish(handler)
	}
}

// start repeats until the PartitionConsumer has started and its records are on their way, or the partition is given up.
// The handler it returns has started, also when it isn't ok. It is given one that has asked to start again, or nil.
func (r *runner) start(again PartitionConsumer) (handler PartitionConsumer, next int64, ok bool) {
	handler = again
	made := again
	if again != nil {
		// What was fetched ahead stays behind in the old queue; the reader feeds the new one from the next seek on.
		fresh := newQueue()
		fresh.sawEnd(r.queue.knownEnd())
		r.consumer.reader.remove(r.tp, r.queue)
		r.mu.Lock()
		r.queue = fresh
		r.said = NoCommit // whatever it was, the handler has taken it back
		r.mu.Unlock()
	}
	for attempt := 0; ; attempt++ {
		var err error
		if made == nil {
			made, err = r.makeHandler()
		}
		if err == nil {
			next, err = made.Start(r.owned)
		}
		if err == nil {
			handler = made
			r.mu.Lock()
			r.safe = next
			r.mu.Unlock()
			next, err = r.seek(next)
		}
		if err == nil {
			return handler, next, true
		}
		r.failed("starting a partition", attempt, err)
		if retryPace.Wait(r.owned, attempt) != nil {
			return handler, 0, false
		}
	}
}

func (r *runner) makeHandler() (PartitionConsumer, error) {
	assignment, err := r.consumer.lookUp(r.owned, r.tp)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.committed = assignment.Committed
	r.safe = max(assignment.Committed, assignment.Start)
	r.mu.Unlock()
	r.queue.sawEnd(assignment.End)
	return r.consumer.newPartition(assignment), nil
}

// seek reads from the offset, or from the oldest record where the log has lost that one. An offset that the log hasn't
// reached is an error: the log has lost its end, or it is another one, and to wait for it to grow would pass over
// records.
func (r *runner) seek(from int64) (int64, error) {
	id, held, err := r.consumer.position(r.owned, r.tp)
	if err != nil {
		return 0, err
	}
	if from > held.End {
		return 0, fmt.Errorf("offset %d is wanted, but the log ends at %d", from, held.End)
	}
	if from < held.Start {
		r.log.Warn("records were deleted from the log before they were read", zap.Int64("wanted", from), zap.Int64("oldest", held.Start))
		from = held.Start
	}
	r.consumer.reader.add(r.tp, id, from, r.queue)
	return from, nil
}

// consume hands over batches until the partition is given up, or the handler asks to start again, which it reports.
// Each is repeated until it is handled.
func (r *runner) consume(handler PartitionConsumer, next int64) (restart bool) {
	var tick <-chan time.Time
	if r.consumer.cfg.Tick > 0 {
		ticker := time.NewTicker(r.consumer.cfg.Tick)
		defer ticker.Stop()
		tick = ticker.C
	}
	for r.owned.Err() == nil {
		var batch []Record
		select {
		case <-r.owned.Done():
			return false
		case <-r.queue.changed:
			var resume bool
			if batch, resume = r.queue.take(); resume {
				r.consumer.reader.resume(r.tp, r.queue)
			}
			if batch = from(batch, next); len(batch) == 0 {
				if r.queue.isLost() {
					next = r.seekAgain(next)
				}
				continue
			}
		case <-tick:
		}
		if handled, restart := r.handle(handler, batch); !handled {
			return restart
		}
		if len(batch) > 0 {
			next = batch[len(batch)-1].Offset + 1
			r.consumer.metrics.records.Add(float64(len(batch)))
		}
	}
	return false
}

// from leaves out records below the offset.
func from(batch []Record, offset int64) []Record {
	for len(batch) > 0 && batch[0].Offset < offset {
		batch = batch[1:]
	}
	return batch
}

// handle gives the handler the batch until it takes it. handled is false when the partition is given up before, or when
// the handler asks to start again.
func (r *runner) handle(handler PartitionConsumer, batch []Record) (handled, restart bool) {
	for attempt := 0; ; attempt++ {
		commit, err := handler.Handle(r.work, batch)
		if err == nil {
			r.commit(commit)
			return true, false
		}
		if r.work.Err() != nil {
			return false, false
		}
		if errors.Is(err, ErrRestart) {
			return false, true
		}
		r.failed("handling records", attempt, err)
		if retryPace.Wait(r.owned, attempt) != nil {
			return false, false
		}
	}
}

// seekAgain finds the place to go on from after retention has overtaken the reader.
func (r *runner) seekAgain(next int64) int64 {
	for attempt := 0; ; attempt++ {
		from, err := r.seek(next)
		if err == nil {
			return from
		}
		r.failed("reading on", attempt, err)
		if retryPace.Wait(r.owned, attempt) != nil {
			return next
		}
	}
}

// finish lets the handler flush, and keeps the offset that it returns.
func (r *runner) finish(handler PartitionConsumer) {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if r.isLost() {
		cancel() // there is nothing to be gained any more; the handler only lets go of what it holds
	}
	commit, err := handler.Stop(ctx)
	switch {
	case err == nil:
		r.commit(commit)
	case !r.isLost():
		r.log.Warn("stopping a partition failed; its next owner takes up from the last commit", zap.Error(err))
		r.consumer.metrics.errors.Inc()
	}
}

func (r *runner) isLost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

func (r *runner) commit(offset int64) {
	if offset == NoCommit {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.safe, r.said = offset, offset
}

// toCommit returns what is to be committed to the group, if anything.
func (r *runner) toCommit() (offset int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said, r.said != NoCommit && r.said != r.committed && !r.lost && !r.topicGone
}

func (r *runner) wasCommitted(offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.committed = offset
}

// sawEnd records the partition's end offset, as another part of the consumer learned it.
func (r *runner) sawEnd(end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue.sawEnd(end)
}

// lag returns the number of records that aren't safely handled yet.
func (r *runner) lag() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, r.queue.knownEnd()-r.safe)
}

// failed counts a failure, and logs the first of a row and then ever fewer. A topic that went is none, nor what comes
// of giving up the partition.
func (r *runner) failed(doing string, attempt int, err error) {
	if errors.Is(err, errNoTopic) || r.owned.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	r.consumer.metrics.errors.Inc()
	if attempt&(attempt-1) == 0 { // 0, 1, 2, 4, 8, …
		r.log.Error(doing+" failed, retrying", zap.Int("attempt", attempt+1), zap.Error(err))
	}
}
