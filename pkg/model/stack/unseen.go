package stack

import (
	"context"
	"fmt"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/model/linear"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/simd"
)

// unseenRanking says how items are ranked that no component has learned from. What is known of them is their metadata:
// by these they are more or less like the user's history, the network places them among their likes, and they can be
// expected to be as popular as their likes are.
type unseenRanking struct {
	// weights are of likeness, of the network's score and of the expected popularity, each in standard deviations.
	weights [3]float64
	// expected is the popularity that each item can be expected to have, by item, where it is unseen.
	expected []float32
}

// likenessAlone ranks where nothing else can be learned.
var likenessAlone = [3]float64{1, 0, 0}

// named are the weights by the names that reports show.
func (r *unseenRanking) named() map[string]float64 {
	return map[string]float64{
		"new items: likeness": r.weights[0], "new items: network": r.weights[1],
		"new items: popularity of their likes": r.weights[2],
	}
}

// likes are those of some items, see content.Model.Likes. Only items that components have learned from are likes.
func (m *Model) likes(ctx context.Context, of []int32, threads int) (linear.Rows, error) {
	return m.likeness.model.(*content.Model).Likes(ctx, m.items, of, func(item int32) int64 {
		if m.seen[item] {
			return m.counts[item]
		}
		return 0
	}, threads)
}

// expect fills in the popularity that some items can be expected to have.
func (m *Model) expect(ctx context.Context, of []int32, threads int) error {
	if m.likeness == nil || len(of) == 0 {
		return nil
	}
	likes, err := m.likes(ctx, of, threads)
	if err != nil {
		return err
	}
	for k, item := range of {
		m.ranking.expected[item] = taken(likes, k, m.popular)
	}
	return nil
}

// taken is the mean of values of an item's likes, by their shares.
func taken(likes linear.Rows, k int, values []float32) (mean float32) {
	columns, shares := likes.Row(k)
	for c, column := range columns {
		mean += shares[c] * values[column]
	}
	return mean
}

// place gives the items without interactions scores that are spread as those of the tail are, in the order of their
// ranking.
func (m *Model) place(mem *memory, q model.Query, scores []float32) error {
	if len(m.unseen) == 0 {
		return nil
	}
	clear(mem.cold)
	if m.likeness != nil {
		if err := m.likeness.score(mem, q, mem.cold); err != nil {
			return err
		}
	}
	sum, values := mem.sum, mem.values
	clear(sum)
	for k, of := range [...][]float32{mem.cold, mem.wanted, m.ranking.expected} {
		for n, i := range m.unseen {
			values[n] = of[i]
		}
		standardised(values)
		simd.Axpy(float32(m.ranking.weights[k]), values, sum)
	}
	standardised(sum)
	mean, deviation := momentsOf(scores, m.tail)
	for n, i := range m.unseen {
		scores[i] = float32(mean) + sum[n]*float32(deviation)
	}
	return nil
}

// standardised makes values distances from their mean in standard deviations, 0 where all are equal.
func standardised(values []float32) {
	sum, square := 0.0, 0.0
	for _, v := range values {
		sum += float64(v)
		square += float64(v) * float64(v)
	}
	mean, deviation := moments(sum, square, len(values))
	for k := range values {
		if deviation == 0 {
			values[k] = 0
		} else {
			values[k] = (values[k] - float32(mean)) / float32(deviation)
		}
	}
}

func momentsOf(values []float32, of []int32) (mean, deviation float64) {
	sum, square := 0.0, 0.0
	for _, i := range of {
		sum += float64(values[i])
		square += float64(values[i]) * float64(values[i])
	}
	return moments(sum, square, len(of))
}

// Of the items with interactions, a tenth are taken for new ones to rank the new ones by, though no more than
// maxPretended: they are taken out of histories, and weights are fitted such that each user's are found.
const (
	pretendedShare = 0.1
	maxPretended   = 1000
)

// rankUnseen finds the weights by which items without interactions are ranked.
func (f *fitter) rankUnseen(ctx context.Context) error {
	m := f.model
	if m.likeness == nil {
		return nil
	}
	if err := m.expect(ctx, m.unseen, f.threads); err != nil {
		return err
	}
	pretended := f.pretended()
	likes, err := m.likes(ctx, pretended, f.threads)
	if err != nil {
		return err
	}
	found, failed := make([][]example, len(f.held)), make([]error, len(f.held))
	err = model.Blocks(ctx, len(f.held), block, f.threads, func(_, from, to int) {
		mem := m.scratch.Get().(*memory)
		defer m.scratch.Put(mem)
		for k := from; k < to; k++ {
			found[k], failed[k] = f.unseenExamples(mem, f.held[k].history, pretended, likes)
		}
	})
	if err != nil {
		return err
	}
	for _, err := range failed {
		if err != nil {
			return fmt.Errorf("ranking items as if they were new: %w", err)
		}
	}
	w, err := f.fitFrom(ctx, slices.Concat(found...), likenessAlone[:], []int{0, 1, 2})
	if err != nil {
		return err
	}
	copy(m.ranking.weights[:], w)
	return nil
}

// pretended are items that are spread evenly over all that components have learned from, from the popular to the rare.
func (f *fitter) pretended() []int32 {
	var seen []int32
	for i, s := range f.model.seen {
		if s {
			seen = append(seen, int32(i))
		}
	}
	chosen := make([]int32, min(int(pretendedShare*float64(len(seen))), maxPretended))
	for k := range chosen {
		chosen[k] = seen[(2*k+1)*len(seen)/(2*len(chosen))]
	}
	return chosen
}

// unseenExamples has the pretended items, whose likes are given, be new to all, and gives an example for each of them
// that the user has had. They count 1 together.
func (f *fitter) unseenExamples(
	mem *memory, history []reco.RecentInteraction, pretended []int32, likes linear.Rows,
) ([]example, error) {
	m := f.model
	targets, rest := m.withoutPretended(history, pretended)
	if len(targets) == 0 || !m.begin(mem, rest) {
		return nil, nil
	}
	defer m.end(mem)
	q := model.Query{History: rest}
	clear(mem.wanted)
	for k := range m.components {
		if m.components[k].name != networkName {
			continue
		}
		if err := m.standardise(mem, &m.components[k], q); err != nil {
			return nil, err
		}
		copy(mem.wanted, mem.raw)
	}
	if err := m.likeness.score(mem, q, mem.cold); err != nil {
		return nil, err
	}
	var values [3][]float32
	for k := range values {
		values[k] = make([]float32, len(pretended))
	}
	for n, item := range pretended {
		values[0][n], values[1][n], values[2][n] = mem.cold[item], taken(likes, n, mem.wanted),
			taken(likes, n, m.popular)
	}
	features := make([]float32, 3*len(pretended))
	for k := range values {
		standardised(values[k])
		for n, v := range values[k] {
			features[3*n+k] = v
		}
	}
	examples := make([]example, len(targets))
	for k, target := range targets {
		examples[k] = example{features: features, target: target, weight: 1 / float64(len(targets))}
	}
	return examples, nil
}

// withoutPretended divides a history into the positions of its pretended items, each once, and the rest.
func (m *Model) withoutPretended(
	history []reco.RecentInteraction, pretended []int32,
) (targets []int, rest []reco.RecentInteraction) {
	for _, h := range history {
		item, known := m.items.Index(h.ItemID)
		at, pretends := slices.BinarySearch(pretended, int32(item))
		if !known || !pretends {
			rest = append(rest, h)
		} else if !slices.Contains(targets, at) {
			targets = append(targets, at)
		}
	}
	return targets, rest
}

// explainUnseen tells the scores of the items without interactions, which follow from those of all items.
func (m *Model) explainUnseen(q model.Query, items []int32, tell func(k int, name string, score float64)) error {
	if !slices.ContainsFunc(items, func(item int32) bool { return !m.seen[item] }) {
		return nil
	}
	scores := make([]float32, m.items.Len())
	if err := m.Score(q, scores); err != nil {
		return err
	}
	for k, item := range items {
		if !m.seen[item] {
			tell(k, Metadata, float64(scores[item]))
		}
	}
	return nil
}
