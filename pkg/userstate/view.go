package userstate

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/penchant-io/penchant/pkg/reco"
)

// View is what serving reads of a user.
type View struct {
	// Known is false for a user of whom nothing is kept.
	Known bool
	// History holds the newest interactions, those of linked sessions included, oldest first.
	History []reco.RecentInteraction
	// Actions holds the newest interactions with actions in the same way; ItemID is the action's.
	Actions []reco.RecentInteraction
	// Vectors holds a vector per model id where one is kept that equals what History gives. A model without one folds
	// History itself. It is nil when linked sessions added to the history.
	Vectors map[string][]float32
	// Revision changes with every write of the user's own state; 0 for an unknown user.
	Revision uint64
}

// View reads a user, or a session, in one round trip, and in one more if they have linked sessions.
func (s *Store) View(ctx context.Context, group, id string) (View, error) {
	hash, err := s.reader.HGetAll(ctx, userKey(group, id)).Result()
	if err != nil {
		return View{}, fmt.Errorf("reading a user state: %w", err)
	}
	state, err := s.parse(id, hash)
	if err != nil {
		return View{}, fmt.Errorf("reading a user state: %w", err)
	}
	own := state.Recent
	view := View{Known: state.rev != "", History: own, Actions: state.Actions}
	if len(state.rev) == 8 {
		view.Revision = binary.LittleEndian.Uint64([]byte(state.rev))
	}
	linked, err := s.linked(ctx, group, state)
	if err != nil {
		return View{}, err
	}
	for _, session := range linked {
		view.History = unite(view.History, session.Recent, s.keep.recent)
		view.Actions = unite(view.Actions, session.Actions, s.keep.actions)
	}
	if !sameHistory(view.History, own) {
		return view, nil
	}
	for name, value := range hash {
		model, ok := strings.CutPrefix(name, vectorPrefix)
		if !ok {
			continue
		}
		if vector, ok := decodeVector(state.rev, value); ok {
			if view.Vectors == nil {
				view.Vectors = make(map[string][]float32, len(hash)-2)
			}
			view.Vectors[model] = vector
		}
	}
	return view, nil
}

// linked reads the interactions of the state's sessions; of their states, nothing else is read.
func (s *Store) linked(ctx context.Context, group string, state *State) ([]*State, error) {
	if len(state.sessions) == 0 {
		return nil, nil
	}
	pipe := s.reader.Pipeline()
	cmds := make([]*redis.SliceCmd, len(state.sessions))
	for k, session := range state.sessions {
		cmds[k] = pipe.HMGet(ctx, userKey(group, session.id), stateField, actionsField)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("reading linked sessions: %w", err)
	}
	var linked []*State
	for _, cmd := range cmds {
		fields := cmd.Val()
		encoded, ok := fields[0].(string)
		if !ok {
			continue // most sessions were never anonymous and have no hash
		}
		session := &State{keep: s.keep}
		if err := session.decode(encoded); err != nil {
			return nil, fmt.Errorf("reading linked sessions: %w", err)
		}
		if actions, ok := fields[1].(string); ok {
			if err := session.decodeActions(actions); err != nil {
				return nil, fmt.Errorf("reading linked sessions: %w", err)
			}
		}
		linked = append(linked, session)
	}
	return linked, nil
}

// sameHistory reports whether a united history is still the user's own.
func sameHistory(united, own []reco.RecentInteraction) bool {
	if len(united) != len(own) {
		return false
	}
	for k := range own {
		if compare(united[k], own[k]) != 0 {
			return false
		}
	}
	return true
}
