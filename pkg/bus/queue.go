package bus

import "sync"

const (
	// A partition's fetching pauses when this many bytes wait for its handler, and goes on when a quarter is left. What
	// is under way at the pause comes on top: one fetch of a partition, 1 MiB.
	queueBytes = 4 << 20
	// maxBatch bounds the records of one Handle call.
	maxBatch = 4096
)

// queue holds the records of a partition between the reader and the handler.
type queue struct {
	mu      sync.Mutex
	records []Record
	bytes   int64
	full    bool  // the reader has been asked to pause
	end     int64 // the partition's end as of the last fetch
	lost    bool  // the log doesn't hold the next offset

	changed chan struct{} // holds a token when there is something new
}

func newQueue() *queue { return &queue{changed: make(chan struct{}, 1)} }

func (q *queue) signal() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

func (q *queue) deliver(records []Record, end int64) (full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.records = append(q.records, records...)
	q.bytes += sizeOf(records)
	q.end = max(q.end, end)
	q.full = q.full || q.bytes >= queueBytes
	q.signal()
	return q.full
}

func (q *queue) outOfRange() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost = true
	q.signal()
}

// take removes the next batch. resume reports that the reader may go on fetching.
func (q *queue) take() (batch []Record, resume bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.records), maxBatch)
	batch = q.records[:n:n]
	q.bytes -= sizeOf(batch)
	q.records = q.records[n:]
	if len(q.records) == 0 {
		q.records = nil // else the array would live on, and the handled records with it
	}
	if len(q.records) > 0 || q.lost {
		q.signal()
	}
	if q.full && q.bytes <= queueBytes/4 {
		q.full = false
		return batch, true
	}
	return batch, false
}

// isLost reports, once, that the log doesn't hold the next offset, when all that came before has been taken.
func (q *queue) isLost() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.lost || len(q.records) > 0 {
		return false
	}
	q.lost, q.full = false, false
	return true
}

func (q *queue) knownEnd() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.end
}

func (q *queue) sawEnd(end int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end = max(q.end, end)
}
