package ranking

import (
	"time"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
)

// Columns of the Actions dataset that decide when an action may be offered.
const (
	expirationColumn = "ACTION_EXPIRATION_TIMESTAMP"
	repeatColumn     = "REPEAT_FREQUENCY"
)

const msPerDay = 24 * 60 * 60 * 1000

// ActionRequest asks for the actions that a user is most likely to take.
type ActionRequest struct {
	// Actions is the model's catalogue, Table the attributes of actions.
	Actions *model.Items
	Table   *filter.Table
	Scorer  Scorer
	Results int
	// Filter is nil where there is none.
	Filter *Filter
	// Subject is the user; its ActionHistory decides which actions are offered again.
	Subject filter.Subject
	Now     time.Time
}

// ListActions lists actions, best first. An action that has expired is never listed, nor is one that the user has had
// to do with within its REPEAT_FREQUENCY.
func ListActions(req *ActionRequest) ([]Pick, error) {
	scores, err := req.Scorer.Score(nil)
	if err != nil {
		return nil, err
	}
	offer := newOffer(req.Actions, req.Table, req.Subject.ActionHistory, req.Now)
	if req.Filter != nil {
		offer.selection = req.Filter.selects(req.Table, &req.Subject)
	}
	best := scores.best(req.Results, offer.withheld)
	picks := make([]Pick, len(best))
	for i, action := range best {
		picks[i] = Pick{Item: action, ID: req.Actions.ID(int(action)), Score: scores.of(action)}
	}
	return picks, nil
}

// offer decides which actions of a model may be offered to a user.
type offer struct {
	actions   *model.Items
	table     *filter.Table
	selection *filter.Selection // nil: there is no filter
	now       time.Time
	// lastMet is when the user last had to do with an action, in milliseconds since the Unix epoch. Any event counts: a
	// view shows that the action was offered.
	lastMet map[string]int64
}

func newOffer(actions *model.Items, table *filter.Table, history []reco.RecentInteraction, now time.Time) *offer {
	o := &offer{actions: actions, table: table, now: now, lastMet: map[string]int64{}}
	for _, h := range history {
		o.lastMet[h.ItemID] = max(o.lastMet[h.ItemID], h.TimestampMS)
	}
	// Filters select rows: actions that nobody has described need one, too.
	var undescribed []string
	for i := range actions.Len() {
		id := actions.ID(i)
		if _, described := table.Row(id); !described {
			undescribed = append(undescribed, id)
		}
	}
	table.Add(undescribed...)
	return o
}

// withheld reports whether an action must not be offered.
func (o *offer) withheld(action int) bool {
	id := o.actions.ID(action)
	row, ok := o.table.Row(id)
	if !ok || o.selection != nil && !o.selection.Has(row) {
		return true
	}
	if expires, ok := o.table.Attribute(row, expirationColumn).(int64); ok && o.now.Unix() >= expires {
		return true
	}
	days, ok := o.table.Attribute(row, repeatColumn).(int64)
	last, met := o.lastMet[id]
	return ok && met && days > 0 && (o.now.UnixMilli()-last)/msPerDay < days
}
