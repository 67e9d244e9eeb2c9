package embedded_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/proto"

	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// redis gives one command and returns the answer's text.
func redis(t *testing.T, address string, command ...string) string {
	t.Helper()
	client, err := proto.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answer, err := client.Do(command...)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := proto.Parse(answer)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(parsed)
}

func redisOnly(dir string) embedded.Config {
	return embedded.Config{DataDir: dir, RedisAddr: "127.0.0.1:0"}
}

func TestSnapshotKeepsHashesStringsAndTTLs(t *testing.T) {
	dir := t.TempDir()
	servers := start(t, redisOnly(dir))
	binary := "\x00\xff\r\n$5\r\n" + strings.Repeat("long", 5000)
	redis(t, servers.RedisAddr(), "HSET", "{g:u:1}", "rev", "7", "state", binary)
	redis(t, servers.RedisAddr(), "PEXPIRE", "{g:u:1}", "86400000")
	redis(t, servers.RedisAddr(), "SET", "text", "value")
	redis(t, servers.RedisAddr(), "SET", "short", "value", "PX", "200")
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(250 * time.Millisecond) // of wall time, in which nothing runs
	servers = start(t, redisOnly(dir))
	for command, want := range map[string]string{
		"HGET {g:u:1} rev":   "7",
		"HGET {g:u:1} state": binary,
		"GET text":           "value",
		"PTTL text":          "-1",
		"EXISTS short":       "0",
		"DBSIZE":             "2",
	} {
		if got := redis(t, servers.RedisAddr(), strings.Fields(command)...); got != want {
			t.Errorf("%s: got %.40q, want %.40q", command, got, want)
		}
	}
	ttl, err := strconv.Atoi(redis(t, servers.RedisAddr(), "PTTL", "{g:u:1}"))
	if err != nil || ttl > 86400000-200 || ttl < 86000000 {
		t.Errorf("TTL %d, %v", ttl, err)
	}
}

func TestSnapshotIsWrittenWhileRunning(t *testing.T) {
	dir := t.TempDir()
	cfg := redisOnly(dir)
	cfg.SnapshotInterval = 20 * time.Millisecond
	servers := start(t, cfg)
	redis(t, servers.RedisAddr(), "SET", "key", "value")
	path := filepath.Join(dir, "redis", "snapshot")
	eventually.True(t, "a snapshot that holds the key", func() bool {
		data, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(data), "key")
	})
}

// TestWatermarksAreNeverNewerThanWhatTheyMark writes data, then the mark that says so, over and over, and looks whether
// any snapshot has a mark without its data.
func TestWatermarksAreNeverNewerThanWhatTheyMark(t *testing.T) {
	dir := t.TempDir()
	cfg := redisOnly(dir)
	cfg.SnapshotFirst = func(key string) bool { return strings.HasPrefix(key, "{w") }
	servers := start(t, cfg)
	var stop atomic.Bool
	var writing sync.WaitGroup
	writing.Go(func() {
		client, err := proto.Dial(servers.RedisAddr())
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		for n := 1; !stop.Load(); n++ {
			for user := range 200 { // names that sort before and after the mark's
				if _, err := client.Do("HSET", fmt.Sprintf("%c-user-%d", "Az"[user%2], user), "state", strconv.Itoa(n)); err != nil {
					t.Error(err)
				}
			}
			if _, err := client.Do("SET", "{w:mark}", strconv.Itoa(n)); err != nil {
				t.Error(err)
			}
		}
	})
	for round := range 8 {
		time.Sleep(10 * time.Millisecond)
		if err := servers.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		copied := t.TempDir()
		data, err := os.ReadFile(filepath.Join(dir, "redis", "snapshot"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(copied, "redis"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, "redis", "snapshot"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		restored := start(t, redisOnly(copied))
		mark, _ := strconv.Atoi(redis(t, restored.RedisAddr(), "GET", "{w:mark}"))
		for user := range 200 {
			state, _ := strconv.Atoi(redis(t, restored.RedisAddr(), "HGET", fmt.Sprintf("%c-user-%d", "Az"[user%2], user), "state"))
			if state < mark {
				t.Fatalf("round %d: the mark says %d, user %d has %d", round, mark, user, state)
			}
		}
	}
	stop.Store(true)
	writing.Wait()
}

func TestDamagedSnapshotIsNotBelieved(t *testing.T) {
	damages := map[string]func([]byte) []byte{
		"cut off":      func(data []byte) []byte { return data[:len(data)/2] },
		"a bit turned": func(data []byte) []byte { data[len(data)/2] ^= 1; return data },
		"empty":        func([]byte) []byte { return nil },
		"no snapshot":  func([]byte) []byte { return []byte(strings.Repeat("something else", 100)) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			servers := start(t, redisOnly(dir))
			redis(t, servers.RedisAddr(), "HSET", "user", "state", strings.Repeat("x", 100))
			if err := servers.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "redis", "snapshot")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			servers = start(t, redisOnly(dir))
			if size := redis(t, servers.RedisAddr(), "DBSIZE"); size != "0" {
				t.Errorf("%s keys were loaded", size)
			}
		})
	}
}
