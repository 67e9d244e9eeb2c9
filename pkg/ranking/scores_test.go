package ranking

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/penchant-io/penchant/pkg/model"
)

func TestSharesSumToOneOverTheCatalogue(t *testing.T) {
	t.Parallel()
	for name, scores := range map[string][]float32{
		"plain": {3, 2.5, 2, -1}, "equal": {0, 0, 0}, "never": {1, 0, model.Never}, "huge": {3e38, 1, -3e38}, "one": {7},
	} {
		picks := picksOf(scores)
		addShares(picks, ScoresOf(scores))
		sum := 0.0
		for _, pick := range picks {
			sum += pick.Share
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("%s: shares sum to %v", name, sum)
		}
	}
	none := []Pick{{Item: unknownItem}}
	if addShares(none, ScoresOf([]float32{model.Never})); none[0].Share != 0 {
		t.Errorf("the share of an unknown item is %v", none[0].Share)
	}
}

func picksOf(scores []float32) (picks []Pick) {
	for _, item := range model.TopK(scores, len(scores), nil) {
		picks = append(picks, Pick{Item: item})
	}
	return picks
}

// BenchmarkShares measures the softmax over a catalogue.
func BenchmarkShares(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	scores := make([]float32, 100_000)
	for i := range scores {
		scores[i] = -10 * random.Float32()
	}
	picks := []Pick{{Item: 0}, {Item: 1}, {Item: 2}}
	for b.Loop() {
		addShares(picks, ScoresOf(scores))
	}
}
