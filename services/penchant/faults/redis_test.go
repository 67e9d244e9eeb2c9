package faults

import (
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestUserStatesOutliveTheirRedis (promise 4): Redis crashes with its append-only file synced once a second, is
// emptied, goes back to an old copy of its data, is cut off, and refuses writes because its memory is full, while
// events stream in. Each time the session-updater notices, waits or folds again what is missing, and the states are
// those of a run without faults.
func TestUserStatesOutliveTheirRedis(t *testing.T) {
	server := penchanttest.StartRedis(t)
	proxy, url := penchanttest.ProxyRedis(t, server.URL)
	servers := penchanttest.SharedServers(t)
	servers.RedisURL = url
	p := startPipeline(t, servers, 1, "session-updater", "firehose")
	updater := p.stack.one("session-updater")
	options, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { client.Close() })

	// The old copy is taken of a Redis at rest, and so one that a crash can leave behind.
	stop := p.stream(t)
	p.flow(t, startLimit, 300)
	server.Kill()
	old := t.TempDir()
	copyDir(t, old, server.DataDir())
	server.Start()
	p.flow(t, recoverLimit, 300)
	stop()
	t.Run("a crash", p.check)

	stop = p.stream(t)
	p.flow(t, startLimit, 100)
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	awaitRebuild(t, updater, 0)
	p.flow(t, recoverLimit, 100)
	stop()
	t.Run("emptied", p.check)

	stop = p.stream(t)
	p.flow(t, startLimit, 100)
	server.Kill()
	if err := os.RemoveAll(server.DataDir()); err != nil {
		t.Fatal(err)
	}
	copyDir(t, server.DataDir(), old)
	server.Start()
	p.flow(t, recoverLimit, 100)
	stop()
	t.Run("an old copy", p.check)

	stop = p.stream(t)
	proxy.Cut()
	p.flow(t, recoverLimit, 300) // events need no Redis
	proxy.Mend()
	p.flow(t, recoverLimit, 100)
	stop()
	t.Run("away", p.check)

	if err := client.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	errors := "penchant_bus_handler_errors_total"
	before, err := updater.Metric(errors)
	if err != nil {
		t.Fatal(err)
	}
	stop = p.stream(t)
	eventually.SucceedsWithin(t, recoverLimit, "Redis refuses writes",
		func() error { return exceeds(updater, errors, before) })
	p.flow(t, recoverLimit, 300)
	stop()
	if err := client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	t.Run("full", p.check)
	p.stack.terminate()
}

func awaitRebuild(t *testing.T, updater *penchanttest.Process, before float64) {
	t.Helper()
	eventually.SucceedsWithin(t, recoverLimit, "the updater folds again what was lost", func() error {
		return exceeds(updater, "penchant_session_updater_rebuilds_total", before)
	})
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
