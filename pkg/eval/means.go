package eval

import (
	"fmt"
	"math"
	"slices"
)

// cutoffs are the list lengths of the metrics that have one.
var cutoffs = [...]int{5, 10, 25}

// means gathers the values of one test user after the other, and averages over them.
type means struct {
	// values are those of the metrics that are means over the test users: one for each, in their order.
	values map[string][]float64
	// byLength are sums of the values that lists of 1, 2, … recommendations have.
	byLength [listLength]AtLength
	users    int
	// first is for each item of the catalogue the lowest position at which it was recommended to anybody; 0: not at
	// all.
	first   []int
	rewards *rewards // nil without an objective
	// lists are the recommendations.
	lists [][]string
}

func newMeans(items int) *means {
	return &means{values: map[string][]float64{}, first: make([]int, items)}
}

const reciprocalRank = "mean_reciprocal_rank_at_25"

// add takes which positions of a list were hits, and how many items there were to find.
func (m *means) add(hits []bool, relevant int) {
	m.users++
	rank := 0.0
	if first := slices.Index(hits, true); first >= 0 {
		rank = 1 / float64(first+1)
	}
	m.note(reciprocalRank, rank)
	found, gain := 0, 0.0
	for p := range listLength {
		if p < len(hits) && hits[p] {
			found++
			gain += discount(p + 1)
		}
		k := p + 1
		at := AtLength{
			Precision: float64(found) / float64(k), Recall: float64(found) / float64(max(relevant, 1)),
			Gain: gain / idealGain(min(k, relevant)),
		}
		if found > 0 {
			at.HitRate = 1
		}
		m.byLength[p].add(at)
		if slices.Contains(cutoffs[:], k) {
			m.note(fmt.Sprintf("normalized_discounted_cumulative_gain_at_%d", k), at.Gain)
			m.note(fmt.Sprintf("precision_at_%d", k), at.Precision)
			m.note(fmt.Sprintf("hit_rate_at_%d", k), at.HitRate)
		}
	}
}

// surprise takes a user's list beside the one that popularity gives them. A hit within the first k is serendipitous
// when it is not within the first k of that.
func (m *means) surprise(ids []string, hits []bool, popular []string) {
	for p := range listLength {
		k, found := p+1, 0
		expected := popular[:min(k, len(popular))]
		for q := range min(k, len(ids)) {
			if hits[q] && !slices.Contains(expected, ids[q]) {
				found++
			}
		}
		at := AtLength{Serendipity: float64(found) / float64(k)}
		m.byLength[p].add(at)
		if slices.Contains(cutoffs[:], k) {
			m.note(fmt.Sprintf("serendipity_at_%d", k), at.Serendipity)
		}
	}
}

// show notes which items were recommended.
func (m *means) show(list []int32) {
	for p, item := range list {
		if first := &m.first[item]; *first == 0 || p+1 < *first {
			*first = p + 1
		}
	}
}

func (m *means) note(metric string, value float64) {
	m.values[metric] = append(m.values[metric], value)
}

// covered is the share of the catalogue that lists of a length show.
func (m *means) covered(length int) float64 {
	distinct := 0
	for _, p := range m.first {
		if p > 0 && p <= length {
			distinct++
		}
	}
	return float64(distinct) / float64(max(len(m.first), 1))
}

// discount is the gain of a hit at a position, counted from 1.
func discount(position int) float64 { return 1 / math.Log(1+float64(position)) }

// idealGain is the gain of a list that begins with n hits.
func idealGain(n int) float64 {
	gain := 0.0
	for p := 1; p <= n; p++ {
		gain += discount(p)
	}
	return gain
}

// metrics are Personalize's.
func (m *means) metrics() Metrics {
	metrics := Metrics{"coverage": round(m.covered(listLength)), reciprocalRank: m.mean(reciprocalRank)}
	for _, k := range cutoffs {
		for _, name := range []string{"normalized_discounted_cumulative_gain_at_%d", "precision_at_%d"} {
			metrics[fmt.Sprintf(name, k)] = m.mean(fmt.Sprintf(name, k))
		}
	}
	if m.rewards != nil {
		metrics["average_rewards_at_k"] = round(m.rewards.average())
	}
	return metrics
}

func (m *means) mean(metric string) float64 {
	return round(sum(m.values[metric]) / float64(max(m.users, 1)))
}

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }
