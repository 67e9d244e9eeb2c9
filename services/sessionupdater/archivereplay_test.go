package sessionupdater

import (
	"errors"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// recreateTopic deletes the interactions topic and makes it again, as after the loss of a Kafka cluster.
func (i *installation) recreateTopic() {
	i.Helper()
	i.must(i.bus.DeleteTopics(i.Context(), i.topic()))
	i.must(i.bus.EnsureTopics(i.Context(), bus.TopicSpec{Name: i.topic()}))
}

func (i *installation) replay(r ArchiveReplay) ArchiveReplayed {
	i.Helper()
	r.Bucket, r.Users, r.Models, r.Group = i.bucket, i.users, i.models, i.key()
	done, err := r.Run(i.Context())
	i.must(err)
	return done
}

// wantPeople compares the states with those of a run without faults, wherever the events came from.
func (i *installation) wantPeople(want map[string]person) {
	i.Helper()
	for id, one := range want {
		states, err := i.users.Load(i.Context(), i.key(), []string{id})
		i.must(err)
		if diff := gocmp.Diff(one, person{states[0].Recent, states[0].Sessions()}, cmpopts.EquateEmpty()); diff != "" {
			i.Errorf("%s (-fault-free +found):\n%s", id, diff)
		}
		view, err := i.users.View(i.Context(), i.key(), id)
		i.must(err)
		if vector := view.Vectors["m"]; vector != nil && vector[0] != float32(len(one.Recent)) {
			i.Errorf("%s has %d interactions and the vector %v", id, len(one.Recent), vector)
		}
	}
}

// Of a topic that is gone, nothing but the archive is left; after the loss of Redis only a replay brings its events
// back.
func TestAReplayBringsBackTheEventsOfATopicThatIsGone(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.put(events(1, 200)...)
	i.archive()
	i.recreateTopic()
	i.flush()
	i.put(events(201, 250)...)
	i.start()
	i.wantFolded(events(201, 250)) // all that the rebuild can see
	before, err := archive.Verify(t.Context(), i.bucket, i.key())
	i.must(err)

	if counted := i.replay(ArchiveReplay{DryRun: true}); counted.Events != 200 || counted.Folded != 0 {
		t.Errorf("a dry run: %+v, want 200 events and none folded", counted)
	}
	i.wantFolded(events(201, 250))
	if done := i.replay(ArchiveReplay{}); done.Events != 200 || done.Folded != 200 {
		t.Errorf("the replay: %+v, want 200 folded events", done)
	}
	i.wantPeople(faultFree(events(1, 250)))
	if again := i.replay(ArchiveReplay{}); again.Events != 200 || again.Folded != 0 {
		t.Errorf("the replay once more: %+v, want nothing to change", again)
	}
	i.wantPeople(faultFree(events(1, 250)))
	i.put(events(251, 260)...) // and the stream goes on, in every partition
	eventually.Succeeds(i, "the stream goes on", func() error {
		for _, event := range events(251, 260) {
			view, err := i.users.View(t.Context(), i.key(), event.Key())
			if err != nil {
				return err
			}
			if !hasEvent(view, event.EventID) {
				return errNotYet
			}
		}
		return nil
	})
	i.wantPeople(faultFree(events(1, 260)))

	after, err := archive.Verify(t.Context(), i.bucket, i.key())
	i.must(err)
	if diff := gocmp.Diff(before, after); diff != "" {
		t.Errorf("the archive changed (-before +after):\n%s", diff)
	}
}

var errNotYet = errors.New("not yet")

func hasEvent(view userstate.View, id string) bool {
	for _, r := range view.History {
		if r.EventID == id {
			return true
		}
	}
	return false
}

func TestAReplayFoldsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.put(events(1, 100)...)
	i.archive()
	first, err := i.bus.Topics(t.Context(), i.topic())
	i.must(err)
	i.recreateTopic()
	between := time.Now().Add(time.Millisecond)
	eventually.True(i, "the clock has moved on", func() bool { return !time.Now().Before(between) })
	i.put(events(101, 160)...)
	i.archive()

	ada := events(1, 1)[0].Key()
	var hers int64
	for _, e := range events(1, 160) {
		if e.Key() == ada {
			hers++
		}
	}
	for name, c := range map[string]struct {
		replay ArchiveReplay
		want   int64
	}{
		"everything":       {ArchiveReplay{}, 160},
		"the topic gone":   {ArchiveReplay{TopicIDs: [][16]byte{first[i.topic()].ID}}, 100},
		"one user":         {ArchiveReplay{IDs: []string{ada}}, hers},
		"what came later":  {ArchiveReplay{From: between}, 60},
		"what came before": {ArchiveReplay{To: between}, 100},
	} {
		c.replay.DryRun = true
		if done := i.replay(c.replay); done.Events != c.want {
			t.Errorf("%s: %d events, want %d", name, done.Events, c.want)
		}
	}

	i.replay(ArchiveReplay{IDs: []string{ada}})
	i.wantPeople(map[string]person{ada: faultFree(events(1, 160))[ada]})
	known := 0
	i.must(i.users.IDs(t.Context(), i.key(), func(ids []string) error {
		known += len(ids)
		return nil
	}))
	if known != 1 {
		t.Errorf("%d users were written, want one", known)
	}
}
