package transfer

import (
	"context"

	"github.com/penchant-io/penchant/pkg/reco"
)

// visitors attributes the anonymous events of sessions to users, by the training's rules: to the one user who was seen
// in the session, unless the session's id is a user's.
type visitors struct {
	users map[string]string // by session; "": several
	named map[string]bool   // session ids that are users'
}

func (e *export) visitors(ctx context.Context) (visitors, error) {
	v := visitors{users: map[string]string{}, named: map[string]bool{}}
	err := e.streamedInteractions(ctx, func(i *reco.Interaction) error {
		if i.UserID == "" || i.SessionID == "" || i.UserID == i.SessionID {
			return nil
		}
		if other, known := v.users[i.SessionID]; !known {
			v.users[i.SessionID] = i.UserID
		} else if other != i.UserID {
			v.users[i.SessionID] = ""
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	return v, e.interactions(ctx, func(i *reco.Interaction) error {
		if _, session := v.users[i.UserID]; session {
			v.named[i.UserID] = true
		}
		return nil
	})
}

func (v *visitors) of(i *reco.Interaction) string {
	if i.UserID != "" {
		return i.UserID
	}
	if user := v.users[i.SessionID]; user != "" && !v.named[i.SessionID] {
		return user
	}
	return i.SessionID
}
