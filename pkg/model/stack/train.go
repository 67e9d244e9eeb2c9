package stack

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Config holds what steers a training.
type Config struct {
	// HoldBack is how many users' last events weights are fitted to; of small data, no more than a tenth of all events.
	HoldBack int
	// Dim is the largest number of factors of the factorisation; Unroll and Recency steer the network, see hrnn.Config.
	Dim, Unroll int
	Recency     bool
	// Users leaves very short and very long histories out of the training of the components that can do so.
	Users   model.Percentiles
	Seed    int64
	Threads int
	// Progress may be nil.
	Progress func(done float64)
}

// DefaultConfig is what the recipes train with.
func DefaultConfig() Config {
	return Config{HoldBack: 1200, Dim: factorsDim, Recency: true, Users: model.All}
}

const (
	// minHistory is how many events a user must have besides the one that is held back.
	minHistory = 2
	// maxHistory is how many of a history's newest events say what the user has had.
	maxHistory = 500
	// fitShare is the share of a training's time that fitting takes.
	fitShare = 0.03
)

// heldBack is an event that no component has seen, with what came before it.
type heldBack struct {
	history []reco.RecentInteraction
	item    int // in the catalogue
	weight  float64
}

// Train trains the components on all events but those that are held back, and fits the weights to these.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (model.Model, error) {
	items, counts := model.Popular(ts)
	rest, held := holdBack(ts, items, c)
	seen := make([]bool, items.Len())
	for _, i := range rest.Item {
		at, _ := items.Index(ts.Items[i])
		seen[at] = true
	}
	components, err := trainAll(ctx, rest, c)
	if err != nil {
		return nil, err
	}
	m := assemble(learned{items: items, counts: counts, seen: seen, components: components})
	f := &fitter{held: held, threads: c.Threads, model: m}
	if err := f.run(ctx); err != nil {
		return nil, fmt.Errorf("fitting weights: %w", err)
	}
	if c.Progress != nil {
		c.Progress(1)
	}
	return m.folded(), ctx.Err()
}

// holdBack takes the last events of some users away, who are chosen by a hash of their ids.
func holdBack(ts *trainingset.Set, items *model.Items, c Config) (*trainingset.Set, []heldBack) {
	type candidate struct {
		user int
		hash uint64
	}
	var candidates []candidate
	for u, id := range ts.Users {
		if start, end := ts.UserEvents(u); end-start > minHistory {
			h := fnv.New64a()
			_ = binary.Write(h, binary.LittleEndian, c.Seed)
			_, _ = h.Write([]byte(id))
			candidates = append(candidates, candidate{u, h.Sum64()})
		}
	}
	slices.SortFunc(
		candidates,
		func(a, b candidate) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.user, b.user)) },
	)
	candidates = candidates[:min(len(candidates), c.HoldBack, ts.Events()/10)]
	without := make([]bool, len(ts.Item))
	held := make([]heldBack, len(candidates))
	for k, chosen := range candidates {
		_, end := ts.UserEvents(chosen.user)
		without[end-1] = true
		history := ts.History(chosen.user)
		item, _ := items.Index(ts.Items[ts.Item[end-1]])
		held[k] = heldBack{history: history[:len(history)-1], item: item, weight: float64(ts.EventWeight(end - 1))}
	}
	return ts.Subset(func(_, event int) bool { return !without[event] }), held
}

func trainAll(ctx context.Context, rest *trainingset.Set, c Config) ([]component, error) {
	var components []component
	total := fitShare
	for _, k := range kinds {
		if k.worth(rest) {
			components = append(components, component{kind: k})
			total += k.share
		}
	}
	done := 0.0
	for k := range components {
		from, share := done, components[k].share/total
		progress := func(part float64) {
			if c.Progress != nil {
				c.Progress(from + part*share)
			}
		}
		var err error
		if components[k].model, err = components[k].train(ctx, rest, c, progress); err != nil {
			return nil, fmt.Errorf("training component %s: %w", components[k].name, err)
		}
		done += share
	}
	return components, nil
}
