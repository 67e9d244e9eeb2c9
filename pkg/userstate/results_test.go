package userstate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// loadSet writes a load whose results are "<load>: <id>", and publishes it.
func loadSet(t testing.TB, s *Store, name, load string, created, results int) bool {
	t.Helper()
	set := &ResultSet{Job: "arn:" + load, Created: time.Unix(int64(created), 0), Expires: time.Now().Add(time.Hour), Load: load, Results: results}
	var all []Result
	for n := range results {
		all = append(all, Result{ID: fmt.Sprint("user ", n), Value: fmt.Append(nil, load, ": user ", n)})
	}
	if err := s.PutResults(t.Context(), "shop-1", set, all); err != nil {
		t.Fatal(err)
	}
	current, err := s.PublishResults(t.Context(), "shop-1", name, set)
	if err != nil {
		t.Fatal(err)
	}
	return current
}

func found(t testing.TB, s *Store, name, id string) string {
	t.Helper()
	value, set, err := s.FindResult(t.Context(), "shop-1", name, id)
	switch {
	case errors.Is(err, ErrNoResultSet):
		return "no set"
	case errors.Is(err, ErrNoResult):
		return "none in " + set.Load
	case err != nil:
		t.Fatal(err)
	}
	if want := string(value); set.Job != "arn:"+set.Load || want != set.Load+": "+id {
		t.Fatalf("%s of set %+v", value, set)
	}
	return set.Load
}

// resultKeys counts the hashes of results in Redis.
func resultKeys(t testing.TB, s *Store) (n int) {
	t.Helper()
	err := s.eachServer(t.Context(), func(ctx context.Context, node *redis.Client) error {
		keys, err := node.Keys(ctx, "{shop-1:r:*").Result()
		n += len(keys)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestResultsAreFoundUntilNewerOnesReplaceThem(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	if got := found(t, s, "home", "user 1"); got != "no set" {
		t.Errorf("before any load: %s", got)
	}
	if !loadSet(t, s, "home", "first", 10, 2000) {
		t.Error("the first load is not current")
	}
	keys := resultKeys(t, s)
	for _, id := range []string{"user 0", "user 1", "user 1999"} {
		if got := found(t, s, "home", id); got != "first" {
			t.Errorf("%s: %s", id, got)
		}
	}
	if got := found(t, s, "home", "user 2000"); got != "none in first" {
		t.Errorf("an id without a result: %s", got)
	}
	if got := found(t, s, "other", "user 1"); got != "no set" {
		t.Errorf("another name: %s", got)
	}
	if !loadSet(t, s, "home", "first", 10, 2000) || resultKeys(t, s) != keys {
		t.Error("the same load again is another")
	}
	if !loadSet(t, s, "home", "second", 20, 10) {
		t.Error("the second load is not current")
	}
	if got := found(t, s, "home", "user 1"); got != "second" {
		t.Errorf("after the second load: %s", got)
	}
	if got := found(t, s, "home", "user 1999"); got != "none in second" {
		t.Errorf("only in the first load: %s", got)
	}
	if n := resultKeys(t, s); n != 1 {
		t.Errorf("%d hashes are left", n)
	}
	// A job that was created before the current one and ends later changes nothing.
	if loadSet(t, s, "home", "late", 15, 10) {
		t.Error("an older job's results are current")
	}
	if got := found(t, s, "home", "user 1"); got != "second" || resultKeys(t, s) != 1 {
		t.Errorf("after an older job: %s, %d hashes", got, resultKeys(t, s))
	}

	loadSet(t, s, "mail", "third", 30, 3)
	if err := s.DeleteResults(t.Context(), "shop-1", []string{"user 1", "user 7", "nobody"}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"user 1": "none in second", "user 7": "none in second", "user 2": "second"} {
		if got := found(t, s, "home", id); got != want {
			t.Errorf("after a deletion %s: %s, want %s", id, got, want)
		}
	}
	if got := found(t, s, "mail", "user 1"); got != "none in third" {
		t.Errorf("a deleted user in another set: %s", got)
	}
}

func TestExpiredResultsAreNotFoundAndReplaced(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	set := &ResultSet{Job: "arn:old", Created: time.Unix(50, 0), Expires: time.Now().Add(-time.Second), Load: "old", Results: 1}
	if current, err := s.PublishResults(t.Context(), "shop-1", "home", set); err != nil || !current {
		t.Fatal(current, err)
	}
	if got := found(t, s, "home", "user 0"); got != "no set" {
		t.Errorf("expired: %s", got)
	}
	if !loadSet(t, s, "home", "new", 40, 1) {
		t.Error("an expired set of a newer job stays")
	}
	if got := found(t, s, "home", "user 0"); got != "new" {
		t.Errorf("after the expiry: %s", got)
	}
}

// A reader who comes between two loads finds one of them whole.
func TestReadersSeeOldOrNewResults(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	const ids = 50
	loadSet(t, s, "home", "load 0", 0, ids)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, err := s.FindResult(context.Background(), "shop-1", "home", fmt.Sprint("user ", n%ids)); err != nil {
					t.Errorf("a reader met %v", err)
					return
				}
			}
		})
	}
	for n := range 60 {
		loadSet(t, s, "home", fmt.Sprint("load ", n+1), n+1, ids)
	}
	close(stop)
	readers.Wait()
}
