package embedded

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/zap"
)

// clockStep is how often Redis' clock is moved on. It visits every key, so it isn't moved often; keys live up to a step
// longer than they should.
const clockStep = 10 * time.Second

type redisServer struct {
	redis    *miniredis.Miniredis
	addr     string
	dir      string
	first    func(key string) bool
	log      *zap.Logger
	stop     context.CancelFunc
	stopped  sync.WaitGroup
	saving   sync.Mutex // one snapshot at a time
	commands int        // redis' command count at the last snapshot
}

func startRedis(dir string, cfg Config) (*redisServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the Redis directory: %w", err)
	}
	r := &redisServer{redis: miniredis.NewMiniRedis(), dir: dir, first: cfg.SnapshotFirst, log: cfg.Log, commands: -1}
	if r.first == nil {
		r.first = func(string) bool { return false }
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	if err := r.redis.StartAddr(cfg.RedisAddr); err != nil {
		return nil, err
	}
	r.addr = r.redis.Addr()
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.stopped.Go(func() { r.keep(ctx, cfg.SnapshotInterval) })
	return r, nil
}

// keep moves the clock and saves snapshots.
func (r *redisServer) keep(ctx context.Context, interval time.Duration) {
	clock := time.NewTicker(clockStep)
	defer clock.Stop()
	moved := time.Now()
	// A snapshot of much data takes its time; the pause grows with it, so that it takes a tenth at most.
	next := time.NewTimer(interval)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
			now := time.Now()
			r.redis.FastForward(now.Sub(moved))
			moved = now
		case <-next.C:
			started := time.Now()
			if err := r.snapshot(ctx); err != nil && ctx.Err() == nil {
				r.log.Error("embedded Redis could not be saved", zap.Error(err))
			}
			next.Reset(max(interval, 10*time.Since(started)))
		}
	}
}

func (r *redisServer) close() error {
	r.stop()
	r.stopped.Wait()
	err := r.snapshot(context.Background())
	r.redis.Close()
	return err
}
