package userstate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrEvicts means that a Redis server may drop users to make room.
var ErrEvicts = errors.New("redis may evict user states")

// noEviction is the only maxmemory-policy under which no user vanishes unnoticed.
const noEviction = "noeviction"

// Server is what one Redis server, a master of a cluster or the only one, reports about itself. What it does not report
// (the embedded one reports little, a managed one may forbid CONFIG) has its zero value.
type Server struct {
	Addr    string `json:"addr"`
	Version string `json:"version,omitempty"`
	// RunID is another one after every start.
	RunID string `json:"-"`
	// Policy is the maxmemory-policy.
	Policy     string `json:"maxmemoryPolicy,omitempty"`
	UsedMemory int64  `json:"usedMemoryBytes,omitempty"`
	MaxMemory  int64  `json:"maxmemoryBytes,omitempty"`
	// Keys counts the keys of the database that is used: users, sessions, watermarks and results.
	Keys int64 `json:"keys"`
	// Appends is whether writes go to an append-only file ("1", "0"); AppendFsync is how often that is synced.
	Appends     string `json:"aofEnabled,omitempty"`
	AppendFsync string `json:"appendfsync,omitempty"`
	// Skew is how far the server's clock is ahead of this process's.
	Skew time.Duration `json:"-"`
}

// Servers asks each Redis server about itself.
func (s *Store) Servers(ctx context.Context) ([]Server, error) {
	var (
		mu      sync.Mutex // the nodes of a cluster are asked at once
		servers []Server
	)
	err := s.eachServer(ctx, func(ctx context.Context, node *redis.Client) error {
		server, err := askServer(ctx, node)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		servers = append(servers, server)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("asking Redis about itself: %w", err)
	}
	return servers, nil
}

// CheckPolicy returns an error that wraps ErrEvicts, and names the setting, the value and the fix, when a server's
// maxmemory-policy lets it drop users: a loss that no watermark reveals. It asks INFO, which managed servers that
// forbid CONFIG answer too; a server that does not report it passes.
func (s *Store) CheckPolicy(ctx context.Context) error {
	err := s.eachServer(ctx, func(ctx context.Context, node *redis.Client) error {
		info, err := readInfo(ctx, node)
		if err != nil {
			return err
		}
		if policy := info["maxmemory_policy"]; policy != "" && policy != noEviction {
			return fmt.Errorf("%w: %s has maxmemory-policy %s, where a single evicted user goes unnoticed; set it to %s "+
				"(redis-cli CONFIG SET maxmemory-policy %s, and in redis.conf or the parameter group of a managed Redis)",
				ErrEvicts, node.Options().Addr, policy, noEviction, noEviction)
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrEvicts) {
		return fmt.Errorf("asking Redis for its maxmemory-policy: %w", err)
	}
	return err
}

// eachServer visits the masters of a cluster, at once, or the only server.
func (s *Store) eachServer(ctx context.Context, visit func(ctx context.Context, node *redis.Client) error) error {
	switch client := s.reader.(type) {
	case *redis.ClusterClient:
		return client.ForEachMaster(ctx, visit)
	case *redis.Client:
		return visit(ctx, client)
	}
	return fmt.Errorf("a client of type %T", s.reader) // newClient makes no other
}

func askServer(ctx context.Context, node *redis.Client) (Server, error) {
	info, err := readInfo(ctx, node)
	if err != nil {
		return Server{}, err
	}
	server := Server{
		Addr: node.Options().Addr, Version: info["redis_version"], RunID: info["run_id"],
		Policy:     info["maxmemory_policy"],
		UsedMemory: number(info["used_memory"]), MaxMemory: number(info["maxmemory"]), Appends: info["aof_enabled"],
	}
	if server.Keys, err = node.DBSize(ctx).Result(); err != nil {
		return Server{}, err
	}
	if config, err := node.ConfigGet(ctx, "appendfsync").Result(); err == nil { // else it is forbidden, or unknown
		server.AppendFsync = config["appendfsync"]
	}
	before := time.Now()
	now, err := node.Time(ctx).Result()
	if err != nil {
		return Server{}, err
	}
	server.Skew = now.Sub(before.Add(time.Since(before) / 2))
	return server, nil
}

// readInfo reads INFO's default sections as a map: the embedded server refuses to be asked for single ones. A user
// without the right to ask has an empty map.
func readInfo(ctx context.Context, node *redis.Client) (map[string]string, error) {
	text, err := node.Info(ctx).Result()
	if err != nil {
		if refused := err.Error(); strings.HasPrefix(refused, "NOPERM") || strings.HasPrefix(refused,
			"ERR unknown command") {
			return nil, nil
		}
		return nil, err
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, nil
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
