package sessionupdater

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// usersPerRound bounds the states in memory at once, of some 20 kB each.
const usersPerRound = 1024

// fold folds interactions into the states of their users, writes the states, and returns the users' ids. It is
// idempotent.
func (s *Service) fold(ctx context.Context, from stream, interactions []reco.Interaction) (ids []string, err error) {
	ids, folded, err := s.foldCounted(ctx, from, interactions)
	if err != nil {
		return nil, err
	}
	s.metrics.folded.Add(float64(folded))
	s.metrics.repeats.Add(float64(len(interactions) - folded))
	return ids, nil
}

// foldCounted is fold without the metrics: it returns how many interactions changed a state.
func (s *Service) foldCounted(
	ctx context.Context, from stream, interactions []reco.Interaction,
) (ids []string, folded int, err error) {
	byUser := make(map[string][]*reco.Interaction, len(interactions))
	for k := range interactions {
		i := &interactions[k]
		id := i.Key()
		if byUser[id] == nil {
			ids = append(ids, id)
		}
		byUser[id] = append(byUser[id], i)
	}
	err = s.update(ctx, from.group, ids, func(state *userstate.State, retry bool) {
		for _, i := range byUser[state.ID] {
			if state.Apply(from.data, i) && !retry {
				folded++
			}
		}
	})
	return ids, folded, err
}

// update loads users, changes them, folds the vectors of those that changed, and saves. On a write conflict the user is
// reloaded and change runs again with retry = true, so it must be idempotent.
func (s *Service) update(
	ctx context.Context, group string, ids []string, change func(state *userstate.State, retry bool),
) error {
	models := s.models(group)
	for len(ids) > 0 {
		round := ids[:min(len(ids), usersPerRound)]
		ids = ids[len(round):]
		for retry := false; len(round) > 0; retry = true {
			states, err := s.config.Users.Load(ctx, group, round)
			if err != nil {
				return fmt.Errorf("loading user states: %w", err)
			}
			for _, state := range states {
				if change(state, retry); state.Changed() {
					state.Fold(models)
				}
			}
			conflicts, err := s.config.Users.Save(ctx, group, states)
			if err != nil {
				return fmt.Errorf("saving user states: %w", err)
			}
			round = make([]string, len(conflicts))
			for k, state := range conflicts {
				round[k] = state.ID
			}
			s.metrics.conflicts.Add(float64(len(round)))
		}
	}
	return nil
}

// models returns the serving models that keep vectors.
func (s *Service) models(group string) []userstate.Model {
	loaded := s.config.Models.Group(group)
	models := make([]userstate.Model, 0, len(loaded))
	for _, l := range loaded {
		if folder := l.Folder(); folder != nil {
			models = append(models, userstate.Model{ID: l.ModelID, Folder: folder})
		}
	}
	return models
}
