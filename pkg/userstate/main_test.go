package userstate

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore opens a store over an empty Redis.
func openStore(t testing.TB, opts Options) *Store {
	t.Helper()
	url := embeddedtest.Redis(t)
	s, err := Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func flush(t testing.TB, s *Store) {
	t.Helper()
	var err error
	if cluster, ok := s.writer.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error { return node.FlushAll(ctx).Err() })
	} else {
		err = s.writer.FlushAll(t.Context()).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, s *Store, id string) *State {
	t.Helper()
	states, err := s.Load(t.Context(), "shop-1", []string{id})
	if err != nil {
		t.Fatal(err)
	}
	return states[0]
}

func save(t testing.TB, s *Store, states ...*State) {
	t.Helper()
	conflicts, err := s.Save(t.Context(), "shop-1", states)
	if err != nil {
		t.Fatal(err)
	}
	if len(conflicts) > 0 {
		t.Fatalf("%d conflicts without another writer", len(conflicts))
	}
}

func view(t testing.TB, s *Store, id string) View {
	t.Helper()
	v, err := s.View(context.WithoutCancel(t.Context()), "shop-1", id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
