package firehose

import "sync"

// budget bounds the memory of all partitions' buffers together. Partitions live in goroutines of their own, so the
// largest one cannot be written by another: it is asked to, and until it has, nobody grows far beyond the bound.
type budget struct {
	limit int64

	mu    sync.Mutex
	total int64
	held  map[*partition]int64
}

func newBudget(limit int64) *budget {
	return &budget{limit: limit, held: map[*partition]int64{}}
}

// set records what a partition's buffer takes now, and reports whether the partition must write it before it takes
// more.
func (b *budget) set(p *partition, bytes int64) (flush bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total += bytes - b.held[p]
	b.held[p] = bytes
	if b.total <= b.limit {
		return false
	}
	largest := p
	for other, held := range b.held {
		if held > b.held[largest] {
			largest = other
		}
	}
	if largest == p {
		return true
	}
	largest.asked.Store(true)
	return b.total > b.limit+b.limit/4
}

// remove forgets a partition that is gone.
func (b *budget) remove(p *partition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total -= b.held[p]
	delete(b.held, p)
}

func (b *budget) used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}
