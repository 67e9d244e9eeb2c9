package experiment

import (
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/penchant-io/penchant/pkg/reco"
)

const (
	// MostUsers bounds the users of one experiment who are counted: later ones are answered, but add nothing.
	MostUsers = 1 << 20
	// mostOpen bounds the answers whose rewards are waited for. Where more are given within the window, the oldest are
	// no longer waited for, in all arms alike.
	mostOpen = 1 << 20
)

// Tally is what has been counted of one experiment. Its results depend only on the answers and events that it was
// given, not on when or in how many steps.
type Tally struct {
	plan   Plan
	arms   []arm
	places map[string]int // of the arms
	users  map[Hash]uint8 // the arm of each
	open   map[uint64]*openAnswer
	order  []uint64 // the keys of open, in the order in which they came
	phases map[int][]int64

	moved, beyond, forgotten, lost int64
	ratioLogEvidence               float64

	// Until and Progress are how far the log has been counted.
	Until    time.Time
	Progress map[string]Progress
}

// Progress is how far one topic has been counted.
type Progress struct {
	TopicID [16]byte
	// Next is the first offset of each partition that has not been counted.
	Next map[int32]int64
}

// arm is what one arm has, by cluster.
type arm struct {
	name        string
	clusters    [Clusters]cluster
	test, guard test
}

type cluster struct{ users, impressions, rewards, guardRewards int64 }

type openAnswer struct {
	at      int64 // milliseconds
	cluster uint16
	arm     uint8
	rewards []uint32 // hashes of what it was rewarded for
}

// NewTally has counted nothing.
func NewTally(plan Plan) *Tally {
	t := &Tally{
		places: map[string]int{}, users: map[Hash]uint8{}, open: map[uint64]*openAnswer{}, phases: map[int][]int64{},
		Progress: map[string]Progress{},
	}
	t.SetPlan(plan)
	return t
}

// SetPlan has the tally counted by a plan that may have got further arms and phases; arms are never taken away.
func (t *Tally) SetPlan(plan Plan) {
	t.plan = plan
	for _, name := range plan.Arms {
		t.place(name)
	}
}

func (t *Tally) place(name string) int {
	place, known := t.places[name]
	if !known {
		place = len(t.arms)
		t.places[name] = place
		t.arms = append(t.arms, arm{name: name})
	}
	return place
}

// Answer is one answer that an experiment has given.
type Answer struct {
	RecommendationID, UserID string
	Arm                      string
	// Phase is the one by whose shares the user was assigned.
	Phase int
	At    time.Time
}

// Show counts an answer. A user counts for the arm of their first answer; answers of another arm, which they have come
// to by a change of shares, do not count, nor do their rewards.
func (t *Tally) Show(a Answer) {
	place, known := t.places[a.Arm]
	key := xxhash.Sum64String(a.RecommendationID)
	if _, twice := t.open[key]; twice || !known || a.UserID == "" {
		return
	}
	user := HashOf(t.plan.Seed, a.UserID)
	c := &t.arms[place].clusters[user.cluster()]
	switch first, seen := t.users[user]; {
	case seen && int(first) != place:
		t.moved++
		return
	case !seen && len(t.users) >= MostUsers:
		t.beyond++
		return
	case !seen:
		t.users[user] = uint8(place)
		c.users++
		t.countPhase(a.Phase, place)
	}
	c.impressions++
	t.open[key] = &openAnswer{at: a.At.UnixMilli(), cluster: uint16(user.cluster()), arm: uint8(place)}
	t.order = append(t.order, key)
	for len(t.order) > mostOpen {
		t.forgotten++
		delete(t.open, t.order[0])
		t.order = t.order[1:]
	}
}

func (t *Tally) countPhase(phase, place int) {
	counts := t.phases[phase]
	for len(counts) <= place {
		counts = append(counts, 0)
	}
	counts[place]++
	t.phases[phase] = counts
}

// Happen counts an event that names an answer. An answer is rewarded once for each item: a click that is reported twice
// is one.
func (t *Tally) Happen(i *reco.Interaction) {
	if i.RecommendationID == "" {
		return
	}
	a := t.open[xxhash.Sum64String(i.RecommendationID)]
	if a == nil || i.Origin.Arrival.UnixMilli()-a.at > t.plan.Window.Milliseconds() {
		return
	}
	c := &t.arms[a.arm].clusters[a.cluster]
	if strings.EqualFold(i.EventType, t.plan.Metric.EventType) && a.reward("metric", i.ItemID) {
		c.rewards++
	}
	if g := t.plan.Guard; g != nil && strings.EqualFold(i.EventType, g.EventType) && a.reward("guard", i.ItemID) {
		c.guardRewards++
	}
}

func (a *openAnswer) reward(metric, item string) bool {
	key := uint32(HashOf(metric, item))
	for _, had := range a.rewards {
		if had == key {
			return false
		}
	}
	a.rewards = append(a.rewards, key)
	return true
}

// Expire stops waiting for the rewards of answers whose window had ended at a time.
func (t *Tally) Expire(now time.Time) {
	end := now.Add(-t.plan.Window).UnixMilli()
	n := 0
	for ; n < len(t.order); n++ {
		if a := t.open[t.order[n]]; a != nil && a.at >= end {
			break
		}
		delete(t.open, t.order[n])
	}
	t.order = t.order[n:]
}

// Lose notes records that the log no longer held when they were to be counted.
func (t *Tally) Lose(records int64) { t.lost += records }

// Look asks every test about the counts of now. What it finds is kept in the tally.
func (t *Tally) Look() {
	for n := range t.arms[1:] {
		other := &t.arms[n+1]
		control, sums := t.arms[0].sums(t.plan.Metric.Per, rewardsOf), other.sums(t.plan.Metric.Per, rewardsOf)
		other.test.look(compare(control, sums), t.plan.Effect, logEvidence)
		if g := t.plan.Guard; g != nil {
			d := compare(t.arms[0].sums(g.Per, guardRewardsOf), other.sums(g.Per, guardRewardsOf))
			if g.Worse == Lower {
				d.value = -d.value
			}
			other.guard.look(d, t.plan.Effect, logEvidenceAbove)
		}
	}
	evidence := 0.0
	for phase, users := range t.phases {
		if phase >= 0 && phase < len(t.plan.Phases) {
			evidence += logRatioEvidence(users, t.sharesOf(phase, len(users)))
		}
	}
	t.ratioLogEvidence = max(t.ratioLogEvidence, evidence)
}

// sharesOf are the shares of a phase by the place of the arm.
func (t *Tally) sharesOf(phase, arms int) []float64 {
	shares := make([]float64, max(arms, len(t.arms)))
	for _, s := range t.plan.Phases[phase] {
		if place, ok := t.places[s.Arm]; ok {
			shares[place] = s.Share
		}
	}
	return shares
}

func rewardsOf(c *cluster) int64      { return c.rewards }
func guardRewardsOf(c *cluster) int64 { return c.guardRewards }

func (a *arm) sums(per Unit, rewards func(*cluster) int64) *sums {
	s := &sums{}
	for i := range a.clusters {
		c := &a.clusters[i]
		units := c.impressions
		if per == PerUser {
			units = c.users
		}
		s.add(units, rewards(c))
	}
	return s
}

// alpha is the probability of error of one comparison.
func (t *Tally) alpha() float64 { return t.plan.Alpha / float64(max(len(t.arms)-1, 1)) }

// GuardTripped names the arms whose guard metric is worse than the control's.
func (t *Tally) GuardTripped() []string {
	var worse []string
	for n := range t.arms[1:] {
		if a := &t.arms[n+1]; a.guard.p() <= t.alpha() {
			worse = append(worse, a.name)
		}
	}
	return worse
}
