package trainingset

import (
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/reco"
)

// Objective is what recommendations are to bring in beside being relevant: items with a high value of a numeric
// attribute.
type Objective struct {
	// Attribute is a column of the Items dataset; "" for no objective.
	Attribute string
	// Weight is how much an item of the highest value is favoured over one of the lowest, in logits: its share of the
	// recommendations is multiplied by e^Weight.
	Weight float64
}

// rewards are the items' values of an attribute, from 0 to 1: linear between the 1st and the 99th percentile of all
// values, so that a single item that costs a fortune does not make all others alike. Items without a value bring in
// nothing.
func rewards(attribute string, items int, rows map[int32]reco.Entity) []float32 {
	if attribute == "" {
		return nil
	}
	values := make([]float64, items)
	var known []float64
	for i := range values {
		values[i] = numeric(rows[int32(i)].Properties[attribute])
		if !math.IsNaN(values[i]) {
			known = append(known, values[i])
		}
	}
	rewards := make([]float32, items)
	if len(known) == 0 {
		return rewards
	}
	slices.Sort(known)
	low, high := percentile(known, 0.01), percentile(known, 0.99)
	for i, v := range values {
		if !math.IsNaN(v) && high > low {
			rewards[i] = float32(min(max((v-low)/(high-low), 0), 1))
		}
	}
	return rewards
}

func percentile(sorted []float64, q float64) float64 {
	return sorted[int(math.Round(q*float64(len(sorted)-1)))]
}

func numeric(value any) float64 {
	switch v := value.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return math.NaN()
}
