package control

import (
	"context"
	"sync"
)

// queue holds the ARNs that are to be looked at, each once, and never gives out one that is being looked at.
type queue struct {
	mu      sync.Mutex
	waiting []string
	state   map[string]queueState
	wake    chan struct{}
}

type queueState int

const (
	waiting queueState = iota + 1
	running
	runningAndWaiting // to be looked at again
)

func newQueue() *queue {
	return &queue{state: map[string]queueState{}, wake: make(chan struct{}, 1)}
}

// add never blocks.
func (q *queue) add(arn string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch q.state[arn] {
	case 0:
		q.state[arn] = waiting
		q.waiting = append(q.waiting, arn)
		q.signal()
	case running:
		q.state[arn] = runningAndWaiting
	}
}

// take waits for the next ARN; done must be called for it afterwards. It returns false when the context ends.
func (q *queue) take(ctx context.Context) (string, bool) {
	for {
		if arn, ok := q.next(); ok {
			return arn, true
		}
		select {
		case <-ctx.Done():
			return "", false
		case <-q.wake:
		}
	}
}

func (q *queue) next() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return "", false
	}
	arn := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.state[arn] = running
	if len(q.waiting) > 0 {
		q.signal() // for the next taker
	}
	return arn, true
}

func (q *queue) done(arn string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	again := q.state[arn] == runningAndWaiting
	delete(q.state, arn)
	if again {
		q.state[arn] = waiting
		q.waiting = append(q.waiting, arn)
		q.signal()
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
