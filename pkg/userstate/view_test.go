package userstate

import (
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

func anonymous(id string, at int64) *reco.Interaction {
	return &reco.Interaction{EventID: id, SessionID: "session", ItemID: "i", EventType: "view", TimestampMS: at}
}

func apply(t *testing.T, s *Store, i *reco.Interaction) {
	t.Helper()
	state := load(t, s, i.Key())
	state.Apply(schema.Interactions, i)
	state.Fold([]Model{{"m", counting{}}})
	save(t, s, state)
}

func TestAnUnknownUserIsCold(t *testing.T) {
	t.Parallel()
	if v := view(t, openStore(t, Options{}), "nobody"); v.Known || v.History != nil || v.Vectors != nil || v.Revision != 0 {
		t.Errorf("the view of nobody is %+v", v)
	}
}

// A session and its user are written by different consumers: whoever is first, the view is the same.
func TestSessionsAreUnitedWithTheirUser(t *testing.T) {
	t.Parallel()
	before, login, after := anonymous("a", 1), event("b@2/session"), anonymous("c", 3)
	for name, order := range map[string][]*reco.Interaction{
		"session first": {before, after, login},
		"user first":    {login, after, before},
		"as it was":     {before, login, after},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{})
			for _, i := range order {
				apply(t, s, i)
			}
			v := view(t, s, "u")
			if got := describe(v.History); got != "a@1 b@2 c@3" || v.Vectors != nil || !v.Known {
				t.Errorf("the user's history is %q, vectors %v, known %v", got, v.Vectors, v.Known)
			}
			if got := view(t, s, "session"); describe(got.History) != "a@1 c@3" || got.Vectors["m"] == nil {
				t.Errorf("the session's history is %q, vectors %v", describe(got.History), got.Vectors)
			}
		})
	}
}

func TestASessionThatAddsNothingLeavesTheVectors(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{History: 2})
	apply(t, s, event("b@2/session"))
	if v := view(t, s, "u"); v.Vectors["m"] == nil {
		t.Error("no vector though the session is unknown")
	}
	apply(t, s, event("c@3"))
	apply(t, s, anonymous("b", 2)) // sent again without the user
	apply(t, s, anonymous("a", 1)) // older than what is kept
	v := view(t, s, "u")
	if got := describe(v.History); got != "b@2 c@3" || v.Vectors["m"] == nil {
		t.Errorf("history %q, vectors %v", got, v.Vectors)
	}
}

func TestImportedAndStreamedAreOneHistory(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{History: 3})
	state := load(t, s, "u")
	state.MergeImported(schema.Interactions, 1, 1, rows(1, "a@1 c@3"))
	state.Apply(schema.Interactions, event("b@2"))
	state.Apply(schema.Interactions, event("d@4"))
	state.Fold([]Model{{"m", counting{}}})
	save(t, s, state)
	v := view(t, s, "u")
	if got := describe(v.History); got != "b@2 c@3v1 d@4" || v.Vectors["m"][0] != 3 {
		t.Errorf("history %q, vectors %v", got, v.Vectors)
	}
	// Nothing of what a replacement uncovers was lost.
	state.MergeImported(schema.Interactions, 2, 2, nil)
	save(t, s, state)
	if got := describe(view(t, s, "u").History); got != "b@2 d@4" {
		t.Errorf("after the replacement: %q", got)
	}
}

// Interactions with actions stand beside those with items: neither kind touches the other, and linked sessions bring
// both.
func TestActionsAreAHistoryOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := openStore(t, Options{})
	apply(t, s, event("a@1"))
	act := func(i *reco.Interaction) {
		t.Helper()
		state := load(t, s, i.Key())
		if !state.Apply(schema.ActionInteractions, i) {
			t.Errorf("%s is no news", i.EventID)
		}
		state.Fold([]Model{{"m", counting{}}})
		save(t, s, state)
	}
	act(event("a@2")) // an event id of the other kind is another's
	act(event("b@3/session"))
	act(anonymous("c", 4))
	v := view(t, s, "u")
	if history, actions := describe(v.History), describe(v.Actions); history != "a@1" || actions != "a@2 b@3 c@4" || v.Vectors["m"][0] != 1 {
		t.Errorf("history %q, actions %q, vectors %v", history, actions, v.Vectors)
	}
	if v := view(t, s, "session"); describe(v.Actions) != "c@4" || len(v.History) != 0 || !v.Known {
		t.Errorf("the session has %+v", v)
	}
	// What is written without a change of the actions leaves them alone.
	apply(t, s, event("d@5"))
	if got := describe(view(t, s, "u").Actions); got != "a@2 b@3 c@4" {
		t.Errorf("actions %q", got)
	}
	// Imports of either dataset replace their own rows only.
	state := load(t, s, "u")
	state.MergeImported(schema.Interactions, 1, 1, rows(1, "e@6"))
	state.MergeImported(schema.ActionInteractions, 1, 1, rows(1, "f@0"))
	save(t, s, state)
	state = load(t, s, "u")
	if !state.HoldsImportedBefore(schema.ActionInteractions, 2) || state.HoldsImportedBefore(schema.ActionInteractions, 1) {
		t.Error("the version of imported actions is lost")
	}
	state.MergeImported(schema.ActionInteractions, 2, 2, nil)
	save(t, s, state)
	if v := view(t, s, "u"); describe(v.History) != "a@1 d@5 e@6v1" || describe(v.Actions) != "a@2 b@3 c@4" {
		t.Errorf("history %q, actions %q", describe(v.History), describe(v.Actions))
	}
	state = load(t, s, "u")
	if state.MergeImported(schema.ActionInteractions, 1, 1, rows(1, "late@9")) {
		t.Error("a version older than the merged one was merged")
	}
}
