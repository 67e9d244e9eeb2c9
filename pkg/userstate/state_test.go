package userstate

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// event makes an interaction of user "u" out of "id@time" or "id@time/session".
func event(text string) *reco.Interaction {
	i := &reco.Interaction{UserID: "u", ItemID: "i", EventType: "view"}
	text, i.SessionID, _ = strings.Cut(text, "/")
	id, at, _ := strings.Cut(text, "@")
	i.EventID = id
	fmt.Sscan(at, &i.TimestampMS)
	return i
}

func newState(keep bounds) *State { return &State{ID: "u", keep: keep} }

func describe(recent []reco.RecentInteraction) string {
	var out []string
	for _, r := range recent {
		text := fmt.Sprintf("%s@%d", r.EventID, r.TimestampMS)
		if r.ImportedVersion > 0 {
			text += fmt.Sprintf("v%d", r.ImportedVersion)
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestApplyKeepsTheNewestOfEachEvent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, events, recent, sessions string }{
		{"nothing", "", "", ""},
		{"in order", "a@1 b@2", "a@1 b@2", ""},
		{"out of order", "b@2 a@1", "a@1 b@2", ""},
		{"ties by event id", "b@1 a@1 c@1", "a@1 b@1 c@1", ""},
		{"a repeat", "a@1 a@1", "a@1", ""},
		{"an id with a newer time", "a@1 b@2 a@3", "b@2 a@3", ""},
		{"an id with an older time", "a@3 b@2 a@1", "b@2 a@3", ""},
		{"more than is kept", "a@1 b@2 c@3 d@4", "b@2 c@3 d@4", ""},
		{"older than all that is kept", "b@2 c@3 d@4 a@1", "b@2 c@3 d@4", ""},
		{"a repeat of what is no longer kept", "a@1 b@2 c@3 d@4 a@1", "b@2 c@3 d@4", ""},
		{"a session", "a@1/s b@2/s", "a@1 b@2", "s"},
		{"sessions by when they were seen last", "a@1/s b@2/t c@3/s", "a@1 b@2 c@3", "t s"},
		{"more sessions than are kept", "a@1/s b@2/t c@3/r", "a@1 b@2 c@3", "t r"},
		{"an older session than all that are kept", "b@2/t c@3/r a@1/s", "a@1 b@2 c@3", "t r"},
		{"a session named like the user", "a@1/u", "a@1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newState(bounds{recent: 3, sessions: 2})
			for _, text := range strings.Fields(test.events) {
				s.Apply(schema.Interactions, event(text))
			}
			if got := describe(s.Recent); got != test.recent {
				t.Errorf("recent is %q, not %q", got, test.recent)
			}
			if got := strings.Join(s.Sessions(), " "); got != test.sessions {
				t.Errorf("sessions are %q, not %q", got, test.sessions)
			}
		})
	}
}

func TestApplyTellsWhatIsNews(t *testing.T) {
	t.Parallel()
	s := newState(bounds{recent: 2, sessions: 2})
	first := event("a@1")
	first.Origin = reco.Origin{Offset: 7, Arrival: time.UnixMilli(5)}
	if !s.Apply(schema.Interactions, first) || !s.Changed() {
		t.Error("a first event is no news")
	}
	s.saved("rev")
	if s.Apply(schema.Interactions, first) || s.Changed() {
		t.Error("the same record again is news")
	}
	// A client's repeat is a record of its own: only the offset moves.
	first.Origin.Offset = 8
	if s.Apply(schema.Interactions, first) || !s.Changed() {
		t.Error("a repeat counts as an event, or its offset is forgotten")
	}
	if got := s.Applied(); len(got) != 1 || got[0].Offset != 8 {
		t.Errorf("applied offsets are %v", got)
	}
}

func TestAnonymousEventsLinkNothing(t *testing.T) {
	t.Parallel()
	s := &State{ID: "session", keep: bounds{3, 3, 3}}
	s.Apply(schema.Interactions, &reco.Interaction{EventID: "a", ItemID: "i", SessionID: "session", TimestampMS: 1})
	if len(s.Recent) != 1 || len(s.Sessions()) != 0 {
		t.Errorf("recent %v, sessions %v", s.Recent, s.Sessions())
	}
}

// rows makes imported interactions out of "id@time".
func rows(version int64, text string) []reco.RecentInteraction {
	var list []reco.RecentInteraction
	for _, field := range strings.Fields(text) {
		r := event(field).Recent()
		r.ImportedVersion = version
		list = append(list, r)
	}
	return list
}

func TestImportsAddAndReplace(t *testing.T) {
	t.Parallel()
	s := newState(bounds{recent: 3, sessions: 2})
	s.Apply(schema.Interactions, event("s@2"))
	step := func(name string, base, version int64, list []reco.RecentInteraction, changed bool, want string) {
		t.Helper()
		if s.MergeImported(schema.Interactions, base, version, list) != changed {
			t.Errorf("%s: changed is %v", name, !changed)
		}
		if got := describe(s.Recent); got != want {
			t.Errorf("%s: recent is %q, not %q", name, got, want)
		}
	}
	step("the first import", 1, 1, rows(1, "a@1 b@3"), true, "a@1v1 s@2 b@3v1")
	step("the same again", 1, 1, rows(1, "a@1 b@3"), false, "a@1v1 s@2 b@3v1")
	step("an incremental one", 1, 2, rows(2, "c@4"), true, "s@2 b@3v1 c@4v2")
	step("the older one, late", 1, 1, rows(1, "z@9"), false, "s@2 b@3v1 c@4v2")
	step("a full one, of newer events than any", 3, 3, rows(3, "d@5 e@6 f@7"), true, "d@5v3 e@6v3 f@7v3")
	step("a full one without the user", 4, 4, nil, true, "s@2")
	if v := s.items.version; s.HasImported() || v != 4 {
		t.Errorf("version %d, imported interactions: %v", v, s.HasImported())
	}
}

// naive is the definition of a state: from all events and imports at once, sharing nothing with the code it checks.
type naive struct {
	recent   []reco.RecentInteraction
	actions  []reco.RecentInteraction
	sessions []string
	applied  map[int32]int64
}

func naiveState(events, acted []reco.Interaction, imported, importedActions []reco.RecentInteraction, keep bounds) naive {
	newestOf := func(list []reco.RecentInteraction, limit int) []reco.RecentInteraction {
		byID := map[string]reco.RecentInteraction{}
		for _, r := range list {
			if old, ok := byID[r.EventID]; !ok || reco.CompareRecent(r, old) > 0 {
				byID[r.EventID] = r
			}
		}
		sorted := slices.SortedFunc(maps.Values(byID), reco.CompareRecent)
		return sorted[max(0, len(sorted)-limit):]
	}
	var (
		streamed = map[schema.Type][]reco.RecentInteraction{}
		seen     = map[string]int64{}
		n        = naive{applied: map[int32]int64{}}
	)
	for k, e := range slices.Concat(events, acted) {
		kind := schema.Interactions
		if k >= len(events) {
			kind = schema.ActionInteractions
		}
		streamed[kind] = append(streamed[kind], e.Recent())
		if e.SessionID != "" {
			seen[e.SessionID] = max(seen[e.SessionID], e.TimestampMS)
		}
		n.applied[e.Origin.Partition] = max(n.applied[e.Origin.Partition], e.Origin.Offset)
	}
	n.recent = newestOf(append(streamed[schema.Interactions], imported...), keep.recent)
	n.actions = newestOf(append(streamed[schema.ActionInteractions], importedActions...), keep.actions)
	n.sessions = slices.SortedFunc(maps.Keys(seen), func(a, b string) int {
		return cmp.Or(cmp.Compare(seen[a], seen[b]), cmp.Compare(a, b))
	})
	n.sessions = n.sessions[max(0, len(n.sessions)-keep.sessions):]
	return n
}

// Whatever the order of arrival, the repeats, the rewinds and the moments at which states are stored, and whenever the
// import is merged, the state is the one its definition gives.
func TestAnyArrivalGivesTheSameState(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		keep := bounds{recent: 1 + random.IntN(12), sessions: 1 + random.IntN(4), actions: 1 + random.IntN(12)}
		all := make([]reco.Interaction, random.IntN(60))
		events := all[:random.IntN(len(all)+1)]
		acted := all[len(events):] // interactions with actions come from a topic of their own, but may share ids and sessions
		for k := range all {
			e := &all[k]
			*e = reco.Interaction{
				UserID: "u", EventID: fmt.Sprint("e", random.IntN(30)), ItemID: fmt.Sprint("i", random.IntN(5)),
				EventType: "view", TimestampMS: int64(random.IntN(20)),
				Origin: reco.Origin{TopicID: [16]byte{1}, Partition: int32(random.IntN(2)), Offset: int64(k)},
			}
			if k >= len(events) {
				e.Origin.Partition += 2
			}
			if random.IntN(3) > 0 {
				e.SessionID = fmt.Sprint("s", random.IntN(6))
			}
			// One event id at one time is one event: two clients that disagree about it are compare's business.
			e.ItemID = fmt.Sprint(e.EventID, e.TimestampMS)
		}
		imported := map[schema.Type][]reco.RecentInteraction{}
		for _, kind := range schema.InteractionTypes() {
			for k := range random.IntN(20) {
				imported[kind] = append(imported[kind], reco.RecentInteraction{
					EventID: fmt.Sprint("imported", k), ItemID: "i", EventType: "view", TimestampMS: int64(random.IntN(20)), ImportedVersion: 2,
				})
			}
		}

		arrivals := make([]int, 0, 2*len(all)) // indices of all
		for k := range all {
			arrivals = append(arrivals, k)
		}
		arrivals = append(arrivals, arrivals[:random.IntN(len(all)+1)]...)
		random.Shuffle(len(arrivals), func(a, b int) { arrivals[a], arrivals[b] = arrivals[b], arrivals[a] })
		s := newState(keep)
		s.MergeImported(schema.Interactions, 1, 1, rows(1, "old@5 older@4"))
		s.MergeImported(schema.ActionInteractions, 1, 1, rows(1, "old@5"))
		mergeAt, mergeActionsAt := random.IntN(len(arrivals)+1), random.IntN(len(arrivals)+1)
		for k := range len(arrivals) + 1 {
			if k == mergeAt {
				s.MergeImported(schema.Interactions, 2, 2, imported[schema.Interactions])
			}
			if k == mergeActionsAt {
				s.MergeImported(schema.ActionInteractions, 2, 2, imported[schema.ActionInteractions])
			}
			switch {
			case k == len(arrivals):
			case arrivals[k] < len(events):
				s.Apply(schema.Interactions, &all[arrivals[k]])
			default:
				s.Apply(schema.ActionInteractions, &all[arrivals[k]])
			}
			if random.IntN(4) == 0 {
				stored := newState(keep)
				if err := stored.decode(string(s.encode())); err != nil {
					t.Fatal(err)
				}
				if err := stored.decodeActions(string(s.encodeActions())); err != nil {
					t.Fatal(err)
				}
				s = stored
			}
		}

		got := naive{recent: s.Recent, actions: s.Actions, sessions: s.Sessions(), applied: map[int32]int64{}}
		for _, a := range s.Applied() {
			got.applied[a.Partition] = a.Offset
		}
		want := naiveState(events, acted, imported[schema.Interactions], imported[schema.ActionInteractions], keep)
		if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(naive{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d (-definition +state):\n%s", seed, diff)
		}
	}
}

func TestNewestAgreesWithAdmit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		limit := 1 + random.IntN(10)
		var list, admitted []reco.RecentInteraction
		for range random.IntN(30) {
			r := reco.RecentInteraction{TimestampMS: int64(random.IntN(8)), ItemID: fmt.Sprint(random.IntN(3))}
			if random.IntN(3) > 0 {
				r.EventID = fmt.Sprint("e", random.IntN(12))
			}
			list = append(list, r)
			admitted, _ = admit(admitted, r, limit)
		}
		if diff := gocmp.Diff(admitted, Newest(list, limit), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d (-one by one +in bulk):\n%s", seed, diff)
		}
	}
}
