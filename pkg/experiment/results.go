package experiment

import (
	"math"
	"time"
)

// Results are the results of an experiment, in the shape in which clients get them.
type Results struct {
	// CountedUntil is the arrival of the newest records that are counted, seconds since the Unix epoch.
	CountedUntil float64     `json:"countedUntil"`
	Arms         []ArmResult `json:"arms"`
	SampleRatio  SampleRatio `json:"sampleRatio"`
	LeftOut      LeftOut     `json:"leftOut"`
}

// ArmResult is what one arm has.
type ArmResult struct {
	Name        string `json:"name"`
	Users       int64  `json:"users"`
	Impressions int64  `json:"impressions"`
	// Metric, and Guard where there is one.
	Metric RateResult  `json:"metric"`
	Guard  *RateResult `json:"guardMetric,omitempty"`
}

// RateResult is a rate, and how it compares with the control's.
type RateResult struct {
	Rewards int64   `json:"rewards"`
	Rate    float64 `json:"rate"`
	// Interval is where the true rate is, at every look, with the experiment's confidence; nil before there is enough
	// data.
	Interval *Interval `json:"interval,omitempty"`
	// Comparison is nil for the control, and before there is enough data.
	Comparison *Comparison `json:"comparison,omitempty"`
}

// Interval is a range of values.
type Interval struct {
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}

// Comparison is how an arm differs from the control.
type Comparison struct {
	// Difference of the rates, and in proportion to the control's.
	Difference float64  `json:"difference"`
	Relative   float64  `json:"relative"`
	Interval   Interval `json:"interval"` // of Difference
	// EValue is the largest evidence against equality there was, PValue its reciprocal: both hold however often one
	// looks. A guard's are against the arm's being no worse.
	EValue float64 `json:"eValue"`
	PValue float64 `json:"pValue"`
	// Significant is set if PValue is at most what the experiment's confidence leaves, shared among the arms.
	Significant bool `json:"significant"`
}

// SampleRatio compares the arms' users with the arms' shares. Where they do not, something is wrong
// with how users are answered or counted, and the results are not to be believed.
type SampleRatio struct {
	EValue   float64 `json:"eValue"`
	PValue   float64 `json:"pValue"`
	Mismatch bool    `json:"mismatch"`
}

// mismatchBelow is the p-value of a mismatch.
const mismatchBelow = 0.01

// LeftOut is what is not counted.
type LeftOut struct {
	// MovedImpressions were shown by an arm that was not their user's first, UsersBeyondBound to users after the first
	// MostUsers.
	MovedImpressions int64 `json:"movedImpressions,omitempty"`
	BeyondUsers      int64 `json:"impressionsBeyondUserBound,omitempty"`
	// ForgottenImpressions count without the rewards of the end of their window.
	ForgottenImpressions int64 `json:"forgottenImpressions,omitempty"`
	// LostRecords were gone from the log before they could be counted.
	LostRecords int64 `json:"lostRecords,omitempty"`
}

// Results are those of the last look.
func (t *Tally) Results() Results {
	r := Results{
		SampleRatio: SampleRatio{EValue: eValue(t.ratioLogEvidence), PValue: math.Exp(-t.ratioLogEvidence)},
		LeftOut: LeftOut{
			MovedImpressions: t.moved, BeyondUsers: t.beyond, ForgottenImpressions: t.forgotten, LostRecords: t.lost,
		},
	}
	if !t.Until.IsZero() {
		r.CountedUntil = float64(t.Until.UnixMilli()) / float64(time.Second/time.Millisecond)
	}
	r.SampleRatio.Mismatch = r.SampleRatio.PValue < mismatchBelow
	for n := range t.arms {
		a := &t.arms[n]
		metric := t.rate(n, t.plan.Metric.Per, rewardsOf, func(a *arm) *test { return &a.test })
		result := ArmResult{Name: a.name, Metric: metric}
		for _, c := range a.clusters {
			result.Users += c.users
			result.Impressions += c.impressions
		}
		if g := t.plan.Guard; g != nil {
			guard := t.rate(n, g.Per, guardRewardsOf, func(a *arm) *test { return &a.guard })
			result.Guard = &guard
		}
		r.Arms = append(r.Arms, result)
	}
	return r
}

func (t *Tally) rate(place int, per Unit, rewards func(*cluster) int64, testOf func(*arm) *test) RateResult {
	own, control := t.arms[place].sums(per, rewards), t.arms[0].sums(per, rewards)
	result := RateResult{Rewards: int64(own.r), Rate: own.rate()}
	if scale := t.scaleOf(place, testOf); scale > 0 && own.variance() > 0 {
		width := halfWidth(own.variance(), scale, t.plan.Alpha)
		result.Interval = &Interval{max(0, result.Rate-width), result.Rate + width}
	}
	d, of := compare(control, own), testOf(&t.arms[place])
	if place == 0 || of.scale == 0 || d.variance <= 0 {
		return result
	}
	width := halfWidth(d.variance, of.scale, t.alpha())
	result.Comparison = &Comparison{
		Difference: d.value, Interval: Interval{d.value - width, d.value + width},
		EValue: eValue(of.logEvidence), PValue: of.p(), Significant: of.p() <= t.alpha(),
	}
	if base := control.rate(); base > 0 {
		result.Comparison.Relative = d.value / base
	}
	return result
}

// scaleOf is the scale of an arm's own interval: its test's, or for the control that of any test that has begun.
func (t *Tally) scaleOf(place int, testOf func(*arm) *test) float64 {
	if place > 0 {
		return testOf(&t.arms[place]).scale
	}
	for n := range t.arms[1:] {
		if scale := testOf(&t.arms[n+1]).scale; scale > 0 {
			return scale
		}
	}
	return 0
}

// eValue bounds what JSON could not hold.
func eValue(log float64) float64 { return math.Exp(min(log, 600)) }
