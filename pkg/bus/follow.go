package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/backoff"
)

// caughtUpTimeout is how long a follower that has been sent nothing waits before it believes that the rest of what the
// log held is only offsets: compaction can leave an end without a record before it.
const caughtUpTimeout = 3 * time.Second

// Follow reads all partitions of the topics, without a group, and calls handle with what comes, from one goroutine,
// each partition's records in order. Topics and partitions that come into being later are read from their start, and a
// topic made again under its name as a new one. When handle fails it is given the same records again after a back-off.
// Follow returns nil when ctx ends, and an error only when it can't begin.
func (c *Client) Follow(ctx context.Context, cfg FollowConfig, handle func(ctx context.Context, records []Record) error) error {
	f := &follower{client: c, cfg: cfg, handle: handle, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	reader, err := newReader(c.cfg, readerOptions{minBytes: 1, maxBytes: 16 << 20, maxWait: 500 * time.Millisecond}, f.refreshTopics)
	if err != nil {
		return fmt.Errorf("following topics: %w", err)
	}
	f.reader = reader
	readerCtx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() { reader.run(readerCtx) })
	working.Go(func() { f.watchTopics(ctx) })
	f.run(ctx)
	stop()
	working.Wait()
	return nil
}

type follower struct {
	client *Client
	cfg    FollowConfig
	handle func(ctx context.Context, records []Record) error
	reader *reader

	changed chan struct{} // holds a token when there may be something for run to do
	wake    chan struct{} // holds a token when the topics should be looked at

	mu        sync.Mutex
	parts     []*followed
	started   bool // the first look at the topics is done: the ends to catch up with are known
	caughtUp  bool
	lastHeard time.Time
}

// followed is one partition that is read.
type followed struct {
	*queue
	follower *follower
	tp       TopicPartition
	id       TopicID
	next     int64 // the offset after the last one handled
	end      int64 // where the partition ended when the follower started; 0 for those that came later
}

func (p *followed) deliver(records []Record, end int64) bool {
	full := p.queue.deliver(records, end)
	p.follower.signal()
	return full
}

func (p *followed) outOfRange() {
	p.queue.outOfRange()
	p.follower.refreshTopics()
}

func (f *follower) signal() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *follower) refreshTopics() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run hands over what has come until ctx ends.
func (f *follower) run(ctx context.Context) {
	tick := time.NewTicker(caughtUpTimeout / 3)
	defer tick.Stop()
	for ctx.Err() == nil {
		f.mu.Lock()
		parts := f.parts // replaced, never changed
		f.mu.Unlock()
		for _, p := range parts {
			if !f.drain(ctx, p) {
				return
			}
		}
		f.noteCaughtUp(ctx)
		select {
		case <-ctx.Done():
		case <-f.changed:
		case <-tick.C:
		}
	}
}

// drain hands over what waits of one partition.
func (f *follower) drain(ctx context.Context, p *followed) bool {
	for {
		batch, resume := p.take()
		if resume {
			f.reader.resume(p.tp, p)
		}
		if batch = from(batch, p.next); len(batch) == 0 {
			return true
		}
		for attempt := 0; ; attempt++ {
			err := f.handle(ctx, batch)
			if err == nil {
				break
			}
			if ctx.Err() == nil && attempt&(attempt-1) == 0 {
				f.client.cfg.Log.Error("handling followed records failed, retrying",
					zap.String("topic", p.tp.Topic), zap.Int("attempt", attempt+1), zap.Error(err))
			}
			if retryPace.Wait(ctx, attempt) != nil {
				return false
			}
		}
		f.mu.Lock()
		p.next = batch[len(batch)-1].Offset + 1
		f.lastHeard = time.Now()
		f.mu.Unlock()
	}
}

// noteCaughtUp calls CaughtUp when everything the log held at the start has been handled.
func (f *follower) noteCaughtUp(ctx context.Context) {
	f.mu.Lock()
	if f.caughtUp || !f.started {
		f.mu.Unlock()
		return
	}
	behind := false
	for _, p := range f.parts {
		behind = behind || p.next < p.end
	}
	silent := time.Since(f.lastHeard) > caughtUpTimeout
	f.mu.Unlock()
	if behind && (!silent || f.client.Ping(ctx) != nil) {
		return
	}
	f.caughtUp = true // only this goroutine asks
	if f.cfg.CaughtUp != nil {
		f.cfg.CaughtUp()
	}
}

// watchTopics adds what comes into being, and replaces what was made again.
func (f *follower) watchTopics(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; {
		missing, err := f.updateTopics(ctx)
		wait := topicInterval
		switch {
		case err != nil:
			if ctx.Err() == nil && attempt&(attempt-1) == 0 {
				f.client.cfg.Log.Warn("looking at the followed topics failed, retrying", zap.Error(err))
			}
			wait = retryPace.Delay(attempt)
			attempt++
		case missing:
			wait, attempt = missingInterval, 0
		default:
			attempt = 0
		}
		if backoff.Sleep(ctx, minTopicPause) != nil {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-f.wake:
		}
		timer.Stop()
	}
}

func (f *follower) updateTopics(ctx context.Context) (missing bool, err error) {
	existing := map[string]TopicInfo{}
	held := map[TopicPartition]OffsetRange{}
	if len(f.cfg.Topics) > 0 {
		if existing, err = f.client.Topics(ctx, f.cfg.Topics...); err != nil {
			return true, err
		}
		if held, err = f.client.Offsets(ctx, f.cfg.Topics...); err != nil {
			return true, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	parts, kept := f.keep(existing)
	for _, topic := range f.cfg.Topics {
		info, ok := existing[topic]
		missing = missing || !ok
		for partition := range info.Partitions {
			tp := TopicPartition{topic, partition}
			here, ok := held[tp]
			if !ok || kept[tp] {
				missing = missing || !ok
				continue
			}
			kept[tp] = true
			parts = append(parts, f.add(tp, info.ID, here))
		}
	}
	f.parts = parts
	if !f.started {
		f.started, f.lastHeard = true, time.Now()
	}
	f.signal()
	return missing, nil
}

// keep returns the partitions that are still those of existing topics, and makes the reader forget the others.
func (f *follower) keep(existing map[string]TopicInfo) (parts []*followed, kept map[TopicPartition]bool) {
	kept = map[TopicPartition]bool{}
	forgotten := map[string]bool{}
	for _, p := range f.parts {
		switch {
		case existing[p.tp.Topic].ID != p.id:
			forgotten[p.tp.Topic] = true
		case p.isLost():
			f.reader.remove(p.tp, p) // updateTopics adds it again, at what there is now
		default:
			parts = append(parts, p)
			kept[p.tp] = true
		}
	}
	for topic := range forgotten {
		f.reader.forget(topic)
	}
	return parts, kept
}

// add starts to read a partition that holds a range of offsets.
func (f *follower) add(tp TopicPartition, id TopicID, here OffsetRange) *followed {
	p := &followed{queue: newQueue(), follower: f, tp: tp, id: id, next: here.Start}
	if !f.started {
		if p.end = here.End; !f.cfg.FromStart {
			p.next = here.End
		}
	}
	f.reader.add(tp, id, p.next, p)
	return p
}
