package experiment

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/reco"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func plan() Plan {
	return Plan{
		Seed: "seed", Arms: []string{"control", "new"}, Metric: Metric{"click", PerImpression}, Guard: &Guard{Metric{"buy", PerUser}, Lower},
		Window: time.Hour, Effect: 0.1, Alpha: 0.05, Phases: [][]Share{{{"control", 0.5}, {"new", 0.5}}},
	}
}

func answer(id, user, arm string, after time.Duration) Answer {
	return Answer{RecommendationID: id, UserID: user, Arm: arm, At: noon.Add(after)}
}

func event(kind, answer, item string, after time.Duration) *reco.Interaction {
	i := &reco.Interaction{EventType: kind, RecommendationID: answer, ItemID: item}
	i.Origin.Arrival = noon.Add(after)
	return i
}

func count(r Results, arm int) string {
	a := r.Arms[arm]
	guard := int64(0)
	if a.Guard != nil {
		guard = a.Guard.Rewards
	}
	return fmt.Sprintf("%d users, %d impressions, %d rewards, %d guard", a.Users, a.Impressions, a.Metric.Rewards, guard)
}

func TestWhatCounts(t *testing.T) {
	t.Parallel()
	tally := NewTally(plan())
	tally.Show(answer("1", "ada", "control", 0))
	tally.Show(answer("1", "ada", "control", 0)) // a record that came twice
	tally.Show(answer("2", "ada", "control", time.Minute))
	tally.Show(answer("3", "bob", "new", 0))
	tally.Show(answer("4", "bob", "control", time.Minute)) // moved to another arm
	tally.Show(answer("5", "", "control", 0))
	tally.Show(answer("6", "eve", "unheard of", 0))

	tally.Happen(event("click", "1", "a", time.Minute))
	tally.Happen(event("CLICK", "1", "a", 2*time.Minute)) // reported twice
	tally.Happen(event("click", "1", "b", time.Minute))
	tally.Happen(event("buy", "1", "a", time.Hour))
	tally.Happen(event("buy", "2", "a", time.Minute))
	tally.Happen(event("scroll", "2", "a", time.Minute))
	tally.Happen(event("click", "2", "a", time.Hour+time.Minute+1e6)) // too late
	tally.Happen(event("click", "4", "a", time.Minute))
	tally.Happen(event("click", "unknown", "a", time.Minute))
	tally.Happen(event("click", "", "a", time.Minute))
	tally.Happen(event("click", "3", "a", time.Minute))
	tally.Expire(noon.Add(time.Hour + time.Second))
	tally.Happen(event("click", "1", "c", time.Minute)) // after its window was closed

	r := tally.Results()
	if got, want := count(r, 0), "1 users, 2 impressions, 2 rewards, 2 guard"; got != want {
		t.Errorf("control has %s, want %s", got, want)
	}
	if got, want := count(r, 1), "1 users, 1 impressions, 1 rewards, 0 guard"; got != want {
		t.Errorf("the other has %s, want %s", got, want)
	}
	if r.LeftOut != (LeftOut{MovedImpressions: 1}) || r.Arms[0].Metric.Rate != 1 || r.Arms[0].Guard.Rate != 2 || r.Arms[0].Metric.Interval != nil {
		t.Errorf("got %+v", r)
	}
}

func filled(t *testing.T) *Tally {
	t.Helper()
	tally := NewTally(plan())
	for u := range 3000 {
		arm := []string{"control", "new"}[u%2]
		for n := range 1 + u%3 {
			id := fmt.Sprintf("%d-%d", u, n)
			tally.Show(answer(id, fmt.Sprint("u", u), arm, time.Duration(u)*time.Second))
			if (u+n)%7 == 0 {
				tally.Happen(event("click", id, "a", time.Duration(u+1)*time.Second))
				tally.Happen(event("buy", id, "a", time.Duration(u+1)*time.Second))
			}
		}
	}
	tally.Expire(noon.Add(70 * time.Minute))
	tally.Look()
	tally.Until = noon.Add(time.Hour)
	tally.Progress["penchant.shop.interactions"] = Progress{[16]byte{1, 2}, map[int32]int64{0: 7, 3: 9}}
	return tally
}

// A tally that was written down and read again goes on as the one that was not.
func TestATallyIsWrittenDown(t *testing.T) {
	t.Parallel()
	tally := filled(t)
	data, err := tally.Encode()
	if err != nil {
		t.Fatal(err)
	}
	more := plan()
	more.Arms = append(more.Arms, "third")
	read, err := Decode(data, more)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(data, plan())
	if err != nil {
		t.Fatal(err)
	}
	if second, err := again.Encode(); err != nil || !bytes.Equal(second, data) {
		t.Errorf("%d bytes became %d, %v", len(data), len(second), err)
	}
	if diff := cmp.Diff(tally.Results(), again.Results()); diff != "" {
		t.Error(diff)
	}
	if !again.Until.Equal(tally.Until) || !cmp.Equal(again.Progress, tally.Progress) {
		t.Errorf("got %v %v", again.Until, again.Progress)
	}
	for _, x := range []*Tally{tally, again, read} {
		x.Happen(event("click", "2999-0", "z", 51*time.Minute))
		x.Show(answer("late", "u2999", "control", 72*time.Minute))
		x.Expire(noon.Add(73 * time.Minute))
	}
	if diff := cmp.Diff(tally.Results(), again.Results()); diff != "" {
		t.Error(diff)
	}
	if r := read.Results(); len(r.Arms) != 3 || r.Arms[2].Users != 0 {
		t.Errorf("got %+v", r.Arms)
	}
	t.Logf("%d users take %d bytes", len(tally.users), len(data))
}

func FuzzDecode(f *testing.F) {
	small := NewTally(plan())
	small.Show(answer("1", "ada", "control", 0))
	small.Happen(event("click", "1", "a", 0))
	data, err := small.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, data []byte) {
		tally, err := Decode(data, plan())
		if err != nil {
			return
		}
		tally.Show(answer("2", "bob", "new", 0))
		tally.Expire(noon.Add(48 * time.Hour))
		tally.Look()
		tally.Results()
	})
}

// A share that grows is a new phase: its users are to come by its shares, and none is held against the old ones.
func TestTheSampleRatioFollowsTheShares(t *testing.T) {
	t.Parallel()
	p := plan()
	p.Phases = append(p.Phases, []Share{{"control", 0.2}, {"new", 0.8}})
	var a Allocation
	tally := NewTally(p)
	user := 0
	for phase, shares := range p.Phases {
		a = allocate(t, a, shares...)
		for range 20_000 {
			user++
			id := fmt.Sprint("u", user)
			tally.Show(Answer{RecommendationID: id, UserID: id, Arm: a.Arm(HashOf(p.Seed, id)), Phase: phase, At: noon})
		}
	}
	tally.Look()
	if r := tally.Results().SampleRatio; r.Mismatch {
		t.Errorf("got %+v", r)
	}
	// An arm that loses every tenth user.
	for range 40_000 {
		user++
		id := fmt.Sprint("u", user)
		if arm := a.Arm(HashOf(p.Seed, id)); arm != "new" || user%10 != 0 {
			tally.Show(Answer{RecommendationID: id, UserID: id, Arm: arm, Phase: 1, At: noon})
		}
	}
	tally.Look()
	if r := tally.Results().SampleRatio; !r.Mismatch || r.PValue > 0.01 || math.IsInf(r.EValue, 0) {
		t.Errorf("a loss of ten percent in one arm is not noticed: %+v", r)
	}
}
