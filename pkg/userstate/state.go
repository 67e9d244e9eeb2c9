package userstate

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// State is one user's, or one anonymous session's, state between Load and Save. It is not safe for concurrent use.
type State struct {
	// ID is the user id, or the session id while anonymous.
	ID string
	// Recent holds the newest interactions, streamed and imported, oldest first: the user's history. It is read-only,
	// and renewed by Apply and MergeImported.
	Recent []reco.RecentInteraction
	// Actions holds the newest interactions with actions in the same way; ItemID is the action's.
	Actions []reco.RecentInteraction
	// Vectors holds a vector per model id. Load leaves it nil; what it holds at Save is what the hash holds afterwards.
	Vectors map[string][]float32

	items, actions history         // interactions with them
	sessions       []linkedSession // oldest first, at most keep.sessions
	applied        []AppliedOffset

	lastArrivalMS int64

	keep    bounds
	changed bool
	rev     string   // the guard as read; "" when there was no hash
	stored  []string // the vector fields of the hash as read
}

// history is the part of a state that holds one type of interactions.
type history struct {
	streamed []reco.RecentInteraction // oldest first, at most what the bounds say
	imported []reco.RecentInteraction // likewise, each with its ImportedVersion
	version  int64                    // the newest dataset version merged into imported
	changed  bool                     // since it was read
}

// bounds limit what is kept of one user.
type bounds struct{ recent, sessions, actions int }

func (b bounds) of(t schema.Type) int {
	if t == schema.ActionInteractions {
		return b.actions
	}
	return b.recent
}

type linkedSession struct {
	id     string
	seenMS int64
}

// AppliedOffset is how far one partition has been folded into a state.
type AppliedOffset struct {
	TopicID   [16]byte
	Partition int32
	Offset    int64
}

// Model is a serving model that keeps a vector for each user.
type Model struct {
	// ID is the model id, a hash of the model's content.
	ID string
	Folder
}

// Folder reduces a history (oldest first) to a vector of length Dim.
type Folder interface {
	Dim() int
	Fold(history []reco.RecentInteraction, vector []float32)
}

// history returns the state's part for a type, Interactions or ActionInteractions.
func (s *State) history(t schema.Type) *history {
	if t == schema.ActionInteractions {
		return &s.actions
	}
	return &s.items
}

// Apply folds a streamed interaction of a type, whose Key is the state's ID. It reports whether the recent interactions
// changed: they do not when the event was folded before, or is older than everything that is kept.
func (s *State) Apply(t schema.Type, i *reco.Interaction) bool {
	h := s.history(t)
	streamed, admitted := admit(h.streamed, i.Recent(), s.keep.of(t))
	h.streamed = streamed
	if admitted {
		h.changed = true
		s.unite(t)
	}
	linked := i.UserID != "" && s.link(i.SessionID, i.TimestampMS)
	reached := s.reach(i.Origin)
	s.changed = s.changed || admitted || linked || reached
	return admitted
}

// link records that the user was seen in a session, and reports whether that is new.
func (s *State) link(sessionID string, seenMS int64) bool {
	if sessionID == "" || sessionID == s.ID {
		return false
	}
	for k, known := range s.sessions {
		if known.id == sessionID {
			if known.seenMS >= seenMS {
				return false
			}
			s.sessions = slices.Delete(s.sessions, k, k+1)
			break
		}
	}
	session := linkedSession{sessionID, seenMS}
	at, _ := slices.BinarySearchFunc(s.sessions, session, func(a, b linkedSession) int {
		return cmp.Or(cmp.Compare(a.seenMS, b.seenMS), cmp.Compare(a.id, b.id))
	})
	if len(s.sessions) < s.keep.sessions {
		s.sessions = slices.Insert(s.sessions, at, session)
		return true
	}
	if at == 0 {
		return false
	}
	copy(s.sessions, s.sessions[1:at])
	s.sessions[at-1] = session
	return true
}

// reach records how far the log has been folded, and reports whether that is new.
func (s *State) reach(o reco.Origin) bool {
	if o == (reco.Origin{}) {
		return false
	}
	advanced := false
	if arrival := o.Arrival.UnixMilli(); !o.Arrival.IsZero() && arrival > s.lastArrivalMS {
		s.lastArrivalMS = arrival
		advanced = true
	}
	for k := range s.applied {
		if a := &s.applied[k]; a.TopicID == o.TopicID && a.Partition == o.Partition {
			if o.Offset > a.Offset {
				a.Offset = o.Offset
				advanced = true
			}
			return advanced
		}
	}
	s.applied = append(s.applied, AppliedOffset{o.TopicID, o.Partition, o.Offset})
	slices.SortFunc(s.applied, func(a, b AppliedOffset) int {
		return cmp.Or(bytes.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition))
	})
	return true
}

// MergeImported brings the interactions of a type to a dataset version: imported interactions of versions below base,
// the full import that the data begins with, are dropped, and rows, which carry their ImportedVersion, are added. Rows
// that were merged before count once, so all of the user's rows are as good as the new ones. A version older than the
// one already merged changes nothing. It reports whether the state changed.
func (s *State) MergeImported(t schema.Type, base, version int64, rows []reco.RecentInteraction) bool {
	h := s.history(t)
	if version < h.version {
		return false
	}
	merged := slices.Grow(slices.Clone(rows), len(h.imported))
	for _, r := range h.imported {
		if r.ImportedVersion >= base {
			merged = append(merged, r)
		}
	}
	merged = Newest(merged, s.keep.of(t))
	if version == h.version && slices.EqualFunc(merged, h.imported, func(a, b reco.RecentInteraction) bool {
		return a.ImportedVersion == b.ImportedVersion && compare(a, b) == 0
	}) {
		return false
	}
	h.imported, h.version = merged, version
	s.unite(t)
	h.changed, s.changed = true, true
	return true
}

// unite updates Recent or Actions.
func (s *State) unite(t schema.Type) {
	h := s.history(t)
	united := unite(h.streamed, h.imported, s.keep.of(t))
	if t == schema.ActionInteractions {
		s.Actions = united
	} else {
		s.Recent = united
	}
}

// HoldsImportedBefore reports whether the state holds imported interactions of the type and lacks a dataset version.
func (s *State) HoldsImportedBefore(t schema.Type, version int64) bool {
	h := s.history(t)
	return len(h.imported) > 0 && h.version < version
}

// HasImported reports whether the state holds imported interactions of any type.
func (s *State) HasImported() bool {
	return len(s.items.imported)+len(s.actions.imported) > 0
}

// Sessions returns the sessions in which the user was seen, the one seen last at the end.
func (s *State) Sessions() []string {
	ids := make([]string, len(s.sessions))
	for k, session := range s.sessions {
		ids[k] = session.id
	}
	return ids
}

// Applied returns how far each partition has been folded into the state, by topic and partition.
func (s *State) Applied() []AppliedOffset { return slices.Clone(s.applied) }

// LastArrival is the newest append time of the folded interactions, zero when none was streamed.
func (s *State) LastArrival() time.Time {
	if s.lastArrivalMS == 0 {
		return time.Time{}
	}
	return time.UnixMilli(s.lastArrivalMS)
}

// Changed reports whether the state differs from what Load read.
func (s *State) Changed() bool { return s.changed }

// Fold sets Vectors to the models' vectors of the user's history, and drops every other vector.
func (s *State) Fold(models []Model) {
	s.Vectors = nil
	if len(models) == 0 {
		return
	}
	s.Vectors = make(map[string][]float32, len(models))
	for _, m := range models {
		vector := make([]float32, m.Dim())
		m.Fold(s.Recent, vector)
		s.Vectors[m.ID] = vector
	}
}
