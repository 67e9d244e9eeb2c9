package recommender

import (
	"math"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
)

func TestSharesSumToOneOverTheCatalogue(t *testing.T) {
	for name, scores := range map[string][]float32{
		"plain": {3, 2.5, 2, -1}, "equal": {0, 0, 0}, "never": {1, 0, model.Never}, "huge": {3e38, 1, -3e38}, "one": {7},
	} {
		sum := 0.0
		for _, share := range sharesOf(scores, picksOf(scores)) {
			sum += share
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("%s: shares sum to %v", name, sum)
		}
	}
	if shares := sharesOf([]float32{model.Never}, nil); len(shares) != 0 {
		t.Errorf("shares of nothing: %v", shares)
	}
}

func picksOf(scores []float32) (picks []pick) {
	for _, item := range model.TopK(scores, len(scores), nil) {
		picks = append(picks, pick{item: item})
	}
	return picks
}
