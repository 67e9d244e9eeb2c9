package datadoctor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// verdicts judges the recipes of the group's kind as a training would.
func (e *Examiner) verdicts() (all []Verdict) {
	for _, r := range recipe.All() {
		if r.Domain != e.options.Domain {
			continue
		}
		v := Verdict{Recipe: r.Name, Trainable: true}
		if err := e.trainable(r); err != nil {
			v.Trainable, v.Reason = false, err.Error()
		} else {
			v.But = e.reservations(r)
		}
		all = append(all, v)
	}
	return all
}

// trainable is the error with which a training would fail.
func (e *Examiner) trainable(r *recipe.Recipe) error {
	f := &e.interactions
	rows, users, least := f.rows-f.repeats-f.unknown, e.activeUsers(-1), e.options.MinInteractions
	if r.EventType != "" {
		rows = f.byType[r.EventType]
		users = e.activeUsers(e.typeNumber(r.EventType))
	}
	if r.MinEvents > 0 {
		least = r.MinEvents * e.options.MinInteractions / usualMinInteractions
	}
	if e.whole(schema.Interactions) {
		if err := trainingset.CheckMinimum(rows, users, least, e.options.MinUsers, r.EventType); err != nil {
			return err
		}
	}
	params, err := r.ParseParams(nil)
	if err != nil {
		return fmt.Errorf("judging %s: %w", r.Name, err)
	}
	err = r.CheckData(e.judgedSet(), params)
	if r.Name == coldStart && len(e.judged) > 0 {
		return recipe.CheckColdItems(e.coldItems()) // the check counts among the few items that it is shown
	}
	return err
}

// judgedSet shows recipes what the columns of the items hold.
func (e *Examiner) judgedSet() *trainingset.Set {
	set := &trainingset.Set{
		Items: slices.Sorted(maps.Keys(e.judged)), UserStart: []int32{0}, ItemRows: map[int32]reco.Entity{},
		ItemSchema: e.options.Schemas[schema.Items],
	}
	for n, id := range set.Items {
		set.ItemRows[int32(n)] = reco.Entity{ID: id, Properties: e.judged[id]}
	}
	return set
}

func (e *Examiner) typeNumber(eventType string) int {
	for n, t := range e.types {
		if t == eventType {
			return n
		}
	}
	return -1
}

const (
	coldStart = "aws-hrnn-coldstart"
	// By default cold items have at most so many interactions and appeared so long before the newest.
	coldInteractions = 15
	coldAge          = 5 * 24 * time.Hour
)

// coldItems counts as the recipe does with its defaults.
func (e *Examiner) coldItems() int64 {
	appeared := func(i *itemFacts) int64 {
		switch {
		case i.dated:
			return i.created
		case i.events == 0:
			return e.interactions.newest
		}
		return i.first
	}
	latest := int64(0)
	for _, i := range e.items.kept {
		latest = max(latest, appeared(i))
	}
	return e.items.count(func(i *itemFacts) bool {
		return i.events <= coldInteractions && appeared(i) >= latest-coldAge.Milliseconds()
	})
}

// reservations lists what a recipe would not learn though it can be trained.
func (e *Examiner) reservations(r *recipe.Recipe) (but []string) {
	if learnsOrder(r) && e.mostUsersTied() {
		but = append(but, "it learns no order: most users had all their interactions at one time")
	}
	if learnsFromPairs(r) && e.mostUsersSingle() {
		but = append(but, "most users have one item, and teach it nothing")
	}
	if f := e.entities[schema.Items]; f == nil || f.rows == 0 {
		switch r.Name {
		case "aws-hrnn-metadata":
			but = append(but, "without an Items dataset it is aws-hrnn")
		case "aws-similar-items":
			but = append(but, "without an Items dataset items without interactions are similar to none")
		}
	}
	if r.Type == recipe.PersonalizedActions && !e.actionsTaken() {
		but = append(but, fmt.Sprintf("no action was taken %d times: every propensity is 0 until then", actionsTaken))
	}
	day := (24 * time.Hour).Milliseconds()
	if r.Algorithm == "aws-trending-now-custom" && e.interactions.newest-e.interactions.oldest < day {
		but = append(but, "the interactions span less than a day: there is nothing to compare the newest interval with")
	}
	return but
}

// learnsFromPairs reports whether a recipe learns from the several items of one user.
func learnsFromPairs(r *recipe.Recipe) bool {
	return r.Type != recipe.PopularItems && r.Type != recipe.PersonalizedActions
}

// learnsOrder reports whether a recipe learns from the order of a user's interactions.
func learnsOrder(r *recipe.Recipe) bool {
	return learnsFromPairs(r) && r.Type != recipe.UserSegmentation
}

// mostUsersTied reports whether most users with several interactions had all of them at one time.
func (e *Examiner) mostUsersTied() bool {
	tied := e.users.count(func(u *userFacts) bool { return u.events >= 2 && !u.severalTimes })
	return level(tied, e.activeUsers(-1), most, never) == Warning
}

// mostUsersSingle reports whether most users had interactions with one item only.
func (e *Examiner) mostUsersSingle() bool {
	single := e.users.count(func(u *userFacts) bool { return u.events > 0 && !u.severalItems })
	return level(single, e.userCount(), most, never) == Warning
}

// actionsTaken is how often an action must have been taken for a propensity.
const actionsTaken = 50

func (e *Examiner) actionsTaken() bool {
	for _, taken := range e.actions {
		if taken >= actionsTaken {
			return true
		}
	}
	return false
}
