package eval

import (
	"fmt"
	"math"
)

// Detail is what an operator learns about recommendations beyond Personalize's metrics.
type Detail struct {
	Model      Measured `json:"model"`
	Popularity Measured `json:"popularity"`
	// Lead is how far the model is ahead of popularity, by metric. Both recommend to the same users, so this is known
	// better than either value: an interval above 0 means that the model is better.
	Lead map[string]Interval `json:"lead"`
}

// Measured is one side of the comparison.
type Measured struct {
	// Confidence holds the metrics that are means over the test users, those of Metrics and hit_rate_at_5, _10 and _25,
	// and of the model serendipity_at_5, _10 and _25: the share of a list's places that hold a hit which popularity's
	// list of the same length lacks.
	Confidence map[string]Interval `json:"confidence"`
	// ByLength are the values of lists of 1, 2, … 25 recommendations.
	ByLength []AtLength `json:"byLength"`
}

// Interval is a mean over the test users, and where it lies with a probability of 95 %: 1.96 standard errors to each
// side, cut off where no value can be. With fewer than two test users it is unknown, and Low and High are equal to
// Mean.
type Interval struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// AtLength holds means over the test users for lists of one length.
type AtLength struct {
	Length int `json:"length"`
	// HitRate is the share of the users who find anything, Recall the share of what there is to find that is found.
	HitRate     float64 `json:"hitRate"`
	Precision   float64 `json:"precision"`
	Recall      float64 `json:"recall"`
	Gain        float64 `json:"normalizedDiscountedCumulativeGain"`
	Serendipity float64 `json:"serendipity"`
	// Coverage is the share of the catalogue that is recommended to anybody.
	Coverage float64 `json:"coverage"`
}

func (a *AtLength) add(b AtLength) {
	a.HitRate += b.HitRate
	a.Precision += b.Precision
	a.Recall += b.Recall
	a.Gain += b.Gain
	a.Serendipity += b.Serendipity
}

func newDetail(reached, bar *means) *Detail {
	d := &Detail{Model: reached.measured(), Popularity: bar.measured(), Lead: map[string]Interval{}}
	for metric, values := range bar.values {
		ahead := make([]float64, len(values))
		for k := range values {
			ahead[k] = reached.values[metric][k] - values[k]
		}
		d.Lead[metric] = interval(ahead, -1, 1)
	}
	return d
}

func (m *means) measured() Measured {
	side := Measured{Confidence: map[string]Interval{}}
	for metric, values := range m.values {
		side.Confidence[metric] = interval(values, 0, 1)
	}
	users := float64(max(m.users, 1))
	for p, sums := range m.byLength {
		side.ByLength = append(side.ByLength, AtLength{
			Length: p + 1, HitRate: round(sums.HitRate / users), Precision: round(sums.Precision / users),
			Recall: round(sums.Recall / users),
			Gain:   round(sums.Gain / users), Serendipity: round(sums.Serendipity / users),
			Coverage: round(m.covered(p + 1)),
		})
	}
	return side
}

func interval(values []float64, low, high float64) Interval {
	n := float64(len(values))
	if n == 0 {
		return Interval{}
	}
	mean := sum(values) / n
	i := Interval{Mean: round(mean), Low: round(mean), High: round(mean)}
	if n < 2 {
		return i
	}
	squares := 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	side := 1.96 * math.Sqrt(squares/(n-1)/n)
	i.Low, i.High = round(max(mean-side, low)), round(min(mean+side, high))
	return i
}

// String is 0.1234 (0.1200–0.1268).
func (i Interval) String() string { return fmt.Sprintf("%.4f (%.4f–%.4f)", i.Mean, i.Low, i.High) }
