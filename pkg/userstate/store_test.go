package userstate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// counting is a model whose vector is the number of interactions and the newest time.
type counting struct{}

func (counting) Dim() int { return 2 }

func (counting) Fold(history []reco.RecentInteraction, vector []float32) {
	vector[0] = float32(len(history))
	if len(history) > 0 {
		vector[1] = float32(history[len(history)-1].TimestampMS)
	}
}

func TestWhatIsSavedIsLoaded(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	ids := make([]string, 3*perPipeline/2)
	for k := range ids {
		ids[k] = fmt.Sprint("user {", k, "} \x00ü")
	}
	states, err := s.Load(t.Context(), "shop-1", ids)
	if err != nil {
		t.Fatal(err)
	}
	for k, state := range states {
		if len(state.Recent) > 0 || state.Changed() {
			t.Fatalf("an unknown user has %v", state.Recent)
		}
		e := event(fmt.Sprintf("e%d@%d/session", k, k))
		e.UserID = state.ID
		state.Apply(schema.Interactions, e)
	}
	save(t, s, states...)
	again, err := s.Load(t.Context(), "shop-1", ids)
	if err != nil {
		t.Fatal(err)
	}
	for k, state := range again {
		want := fmt.Sprintf("e%d@%d", k, k)
		if state.ID != ids[k] || describe(state.Recent) != want || !slices.Equal(state.Sessions(), []string{"session"}) {
			t.Fatalf("user %d is %q with %q and %q", k, state.ID, describe(state.Recent), state.Sessions())
		}
	}
}

func TestAWriteBetweenLoadAndSaveIsAConflict(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	for _, known := range []bool{false, true} {
		first, second := load(t, s, "u"), load(t, s, "u")
		first.Apply(schema.Interactions, event(fmt.Sprint("first", known, "@1")))
		second.Apply(schema.Interactions, event(fmt.Sprint("second", known, "@2")))
		save(t, s, first)
		conflicts, err := s.Save(t.Context(), "shop-1", []*State{second})
		if err != nil || len(conflicts) != 1 || conflicts[0] != second {
			t.Errorf("user known %v: conflicts %v, error %v", known, conflicts, err)
		}
		if got := load(t, s, "u"); slices.ContainsFunc(got.Recent, func(r reco.RecentInteraction) bool {
			return strings.HasPrefix(r.EventID, "second")
		}) {
			t.Errorf("the loser was written: %s", describe(got.Recent))
		}
	}
	// What Redis lost meanwhile is a conflict as well: the state was folded from what is gone.
	stale := load(t, s, "u")
	stale.Apply(schema.Interactions, event("stale@3"))
	flush(t, s)
	if conflicts, err := s.Save(t.Context(), "shop-1", []*State{stale}); err != nil || len(conflicts) != 1 {
		t.Errorf("after a loss: conflicts %v, error %v", conflicts, err)
	}
}

func TestTwoWritersRacingLoseNothing(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	const writers, events = 2, 60
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for k := range events {
				for {
					states, err := s.Load(t.Context(), "shop-1", []string{"u"})
					if err != nil {
						t.Error(err)
						return
					}
					states[0].Apply(schema.Interactions, event(fmt.Sprintf("w%de%d@%d", writer, k, k)))
					states[0].Fold([]Model{{"m", counting{}}})
					conflicts, err := s.Save(t.Context(), "shop-1", states)
					if err != nil {
						t.Error(err)
						return
					}
					if len(conflicts) == 0 {
						break
					}
				}
			}
		})
	}
	group.Wait()
	v := view(t, s, "u")
	if len(v.History) != writers*events || v.Vectors["m"] == nil || v.Vectors["m"][0] != writers*events {
		t.Errorf("%d interactions, vectors %v", len(v.History), v.Vectors)
	}
}

func TestVectorsAreThoseOfTheServingModels(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	state := load(t, s, "u")
	state.Apply(schema.Interactions, event("a@7"))
	state.Fold([]Model{{"old", counting{}}, {"kept", counting{}}})
	save(t, s, state)
	if diff := gocmp.Diff(map[string][]float32{"old": {1, 7}, "kept": {1, 7}}, view(t, s, "u").Vectors); diff != "" {
		t.Errorf("first: %s", diff)
	}
	// Saved twice from one Load, then once more from another: fields of models gone are dropped each time.
	state.Apply(schema.Interactions, event("b@8"))
	state.Fold([]Model{{"kept", counting{}}, {"new", counting{}}})
	save(t, s, state)
	if diff := gocmp.Diff(map[string][]float32{"new": {2, 8}, "kept": {2, 8}}, view(t, s, "u").Vectors); diff != "" {
		t.Errorf("second: %s", diff)
	}
	state = load(t, s, "u")
	state.Apply(schema.Interactions, event("c@9"))
	state.Fold(nil)
	save(t, s, state)
	if v := view(t, s, "u"); v.Vectors != nil || !v.Known || v.Revision == 0 {
		t.Errorf("third: %+v", v)
	}
	fields, err := s.writer.HKeys(t.Context(), userKey("shop-1", "u")).Result()
	slices.Sort(fields)
	if err != nil || !slices.Equal(fields, []string{"rev", "state"}) {
		t.Errorf("the hash holds %q, error %v", fields, err)
	}
}

func TestAServerThatForgotTheScriptIsSentItAgain(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	for k := range 3 {
		if err := s.writer.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		state := load(t, s, "u")
		state.Apply(schema.Interactions, event(fmt.Sprintf("e%d@%d", k, k)))
		save(t, s, state)
	}
	if got := len(load(t, s, "u").Recent); got != 3 {
		t.Errorf("%d interactions", got)
	}
}

// A cluster takes one key a call; the answers must be told apart all the same.
func TestOneKeyACall(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	s.perCall = 1
	a, b := load(t, s, "a"), load(t, s, "b")
	other := load(t, s, "a")
	for _, state := range []*State{a, b, other} {
		state.Apply(schema.Interactions, &reco.Interaction{EventID: "e", ItemID: "i", UserID: state.ID, TimestampMS: 1})
	}
	save(t, s, other)
	conflicts, err := s.Save(t.Context(), "shop-1", []*State{a, b})
	if err != nil || len(conflicts) != 1 || conflicts[0] != a {
		t.Errorf("conflicts %v, error %v", conflicts, err)
	}
}

func TestIdleUsersExpire(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{TTL: time.Hour})
	arrival := time.Now().Add(-30 * time.Minute)
	streamed, imported := load(t, s, "u"), load(t, s, "i")
	e := event("a@1")
	e.Origin = reco.Origin{Offset: 1, Arrival: arrival}
	streamed.Apply(schema.Interactions, e)
	imported.MergeImported(schema.Interactions, 1, 1, rows(1, "b@1"))
	save(t, s, streamed, imported)
	ttl := func(id string) time.Duration {
		left, err := s.writer.TTL(t.Context(), userKey("shop-1", id)).Result()
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	if left := ttl("u"); left < 28*time.Minute || left > 31*time.Minute {
		t.Errorf("expires in %v", left)
	}
	if left := ttl("i"); left > 0 {
		t.Errorf("imported interactions expire in %v", left)
	}
	streamed.MergeImported(schema.Interactions, 1, 1, rows(1, "b@1"))
	save(t, s, streamed)
	if left := ttl("u"); left > 0 {
		t.Errorf("the user who got imported interactions expires in %v", left)
	}
}

func TestIDsAreThoseOfTheGroup(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	want := map[string]bool{}
	for _, group := range []string{"shop-1", "shop-12", "s[a-z]op-1"} {
		for k := range 40 {
			id := fmt.Sprint(group, "}", rand.IntN(1000), k)
			states, err := s.Load(t.Context(), group, []string{id})
			if err != nil {
				t.Fatal(err)
			}
			states[0].Apply(schema.Interactions, &reco.Interaction{EventID: "e", ItemID: "i", UserID: id})
			if _, err := s.Save(t.Context(), group, states); err != nil {
				t.Fatal(err)
			}
			want[group+"/"+id] = true
		}
	}
	if err := s.Reset(t.Context(), "shop-1", Log{Type: schema.Interactions}, 5, false); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, group := range []string{"shop-1", "shop-12", "s[a-z]op-1"} {
		err := s.IDs(t.Context(), group, func(ids []string) error {
			for _, id := range ids {
				got[group+"/"+id] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-written +listed):\n%s", diff)
	}
}

func TestOpenReadsURLs(t *testing.T) {
	t.Parallel()
	for url, cluster := range map[string]bool{
		"redis://localhost:6379/2":                             false,
		"rediss://user:word@localhost:6379":                    false,
		"redis://localhost:6379?cluster=true":                  true,
		"redis://a:1?addr=b:2&addr=c:3":                        true,
		"redis://localhost:6379?cluster=false&read_timeout=1s": false,
	} {
		s, err := Open(t.Context(), url, Options{})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := s.perCall == 1; got != cluster {
			t.Errorf("%s: cluster is %v", url, got)
		}
		s.Close()
	}
	for _, url := range []string{"", "localhost:6379", "http://localhost", "redis://localhost?cluster=maybe", "redis://user:secret@%zz"} {
		s, err := Open(t.Context(), url, Options{})
		if err == nil {
			s.Close()
			t.Errorf("%q is taken", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
