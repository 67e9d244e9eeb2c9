package model

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Threads is the number of goroutines for a setting: 0 means one per CPU.
func Threads(setting int) int {
	if setting > 0 {
		return setting
	}
	return runtime.GOMAXPROCS(0)
}

// Blocks calls work for consecutive blocks [from, to) of 0…n-1, on up to threads goroutines, and returns when all are
// done or the context is. worker (below threads) lets the calls reuse scratch memory; the blocks are the same whatever
// the number of threads, so that what is summed per block has one rounding.
func Blocks(ctx context.Context, n, size, threads int, work func(worker, from, to int)) error {
	blocks := int64((n + size - 1) / size)
	var next atomic.Int64
	var all sync.WaitGroup
	for worker := range min(int64(Threads(threads)), blocks) {
		all.Go(func() {
			for ctx.Err() == nil {
				b := next.Add(1) - 1
				if b >= blocks {
					return
				}
				work(int(worker), int(b)*size, min(int(b+1)*size, n))
			}
		})
	}
	all.Wait()
	return ctx.Err()
}

// NewProgress counts finished units of work from any goroutine and reports their share of the total, rising, one call
// at a time and about a hundred in all. report may be nil.
func NewProgress(total int, report func(done float64)) func(units int) {
	if report == nil || total <= 0 {
		return func(int) {}
	}
	var (
		mu   sync.Mutex
		done int
	)
	return func(units int) {
		mu.Lock()
		defer mu.Unlock()
		before := done * 100 / total
		done += units
		if done*100/total > before {
			report(float64(done) / float64(total))
		}
	}
}
