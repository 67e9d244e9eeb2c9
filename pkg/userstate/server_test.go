package userstate

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/schema"
)

// startRedis runs the machine's redis-server with the arguments until the test ends, and returns its URL.
func startRedis(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("needs redis-server on the PATH (apt-get install redis-server)")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	listener.Close()
	server := exec.Command(path, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, args...)...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	url := "redis://127.0.0.1:" + port
	s := openURL(t, url)
	eventually.Succeeds(t, "redis-server answers", func() error { return s.Ping(t.Context()) })
	return url
}

func openURL(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestAServerThatEvictsIsRefused(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"allkeys-lru", "volatile-ttl", noEviction} {
		s := openURL(t, startRedis(t, "--maxmemory-policy", policy))
		err := s.CheckPolicy(t.Context())
		if policy == noEviction {
			if err != nil {
				t.Errorf("%s is refused: %v", policy, err)
			}
			continue
		}
		if !errors.Is(err, ErrEvicts) {
			t.Errorf("%s: got %v, want ErrEvicts", policy, err)
			continue
		}
		for _, part := range []string{"maxmemory-policy " + policy, "noeviction", "CONFIG SET"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error does not say %q: %v", policy, part, err)
			}
		}
	}
}

// A managed Redis forbids CONFIG; the policy is seen all the same.
func TestThePolicyIsSeenWithoutCONFIG(t *testing.T) {
	t.Parallel()
	s := openURL(t, startRedis(t, "--maxmemory-policy", "allkeys-random", "--rename-command", "CONFIG", ""))
	if err := s.CheckPolicy(t.Context()); !errors.Is(err, ErrEvicts) {
		t.Errorf("got %v, want ErrEvicts", err)
	}
	servers, err := s.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(servers) != 1 || servers[0].Policy != "allkeys-random" || servers[0].AppendFsync != "" {
		t.Errorf("%+v", servers)
	}
}

// A user without the right to ask INFO is let in: what can't be known is not held against the server.
func TestAServerThatDoesNotSayPasses(t *testing.T) {
	t.Parallel()
	url := startRedis(t, "--maxmemory-policy", "allkeys-lru")
	err := openURL(t, url).writer.Do(t.Context(), "ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-info", "-config").Err()
	if err != nil {
		t.Fatal(err)
	}
	if err := openURL(t, strings.Replace(url, "redis://", "redis://app:secret@", 1)).CheckPolicy(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestServersDescribeThemselves(t *testing.T) {
	t.Parallel()
	s := openURL(t, startRedis(t, "--appendonly", "yes", "--maxmemory", "100mb"))
	state := load(t, s, "ada")
	state.MergeImported(schema.Interactions, 1, 1, nil)
	save(t, s, state)
	servers, err := s.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(servers) != 1 {
		t.Fatalf("%d servers, want 1", len(servers))
	}
	server := servers[0]
	if server.Version == "" || server.RunID == "" || server.Policy != noEviction || server.UsedMemory == 0 || server.MaxMemory != 100<<20 ||
		server.Keys != 1 || server.Appends != "1" || server.AppendFsync != "everysec" || server.Skew.Abs() > 5*time.Second {
		t.Errorf("%+v", server)
	}
}

// The embedded server knows few of the fields; that is no error. A cluster has a description for each master.
func TestEachServerDescribesItselfAsFarAsItCan(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	if err := s.CheckPolicy(t.Context()); err != nil {
		t.Errorf("its policy is refused: %v", err)
	}
	servers, err := s.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(servers) == 0 {
		t.Error("no server")
	}
	for _, server := range servers {
		if server.Addr == "" || server.Keys != 0 {
			t.Errorf("%+v", server)
		}
	}
}

func TestAnUnreachableServerIsNoEviction(t *testing.T) {
	t.Parallel()
	s := openURL(t, "redis://127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.CheckPolicy(ctx); err == nil || errors.Is(err, ErrEvicts) {
		t.Errorf("got %v, want an error that may pass", err)
	}
}
