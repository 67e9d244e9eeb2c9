// Package trending is the model of aws-trending-now: items that are chosen more often now than they were a little while
// ago. It personalises nothing. "Now" is the newest interval of the training data, so the model is as fresh as its
// training; recipe.Recipe.Interval says how often that is wanted.
package trending

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// before is how many intervals before the newest one say what is usual.
const before = 8

// Config steers a training.
type Config struct {
	// Interval is the length of the time in which interactions are counted.
	Interval time.Duration
	// Progress may be nil.
	Progress func(done float64)
}

// Model holds how strongly each item rises. It implements model.Model.
type Model struct {
	items *model.Items
	// rise is zero for items that do not rise.
	rise []float32
}

// Train counts the interactions in the newest interval and in those before it. An item rises by as much as its number
// in the newest interval exceeds what was expected: its share of all interactions before, times all interactions now,
// so that a busy evening does not make everything trend. The excess is measured in standard deviations of a Poisson
// count, with one interaction added: from 1 to 3 is no trend, from 100 to 300 is.
func Train(ctx context.Context, ts *trainingset.Set, c Config) (*Model, error) {
	progress := model.NewProgress(1, c.Progress)
	items, _ := model.Popular(ts)
	now, usual := count(ts, c.Interval)
	total, totalUsual := 0.0, 0.0
	for i := range now {
		total += now[i]
		totalUsual += usual[i]
	}
	m := &Model{items: items, rise: make([]float32, items.Len())}
	for i, id := range ts.Items {
		expected := 0.0
		if usual[i] > 0 {
			expected = usual[i] / totalUsual * total
		}
		to, _ := items.Index(id)
		m.rise[to] = float32(max(0, (now[i]-expected)/math.Sqrt(expected+1)))
	}
	progress(1)
	return m, ctx.Err()
}

// count is how often each item of the set was chosen in the newest interval, and in those before it together.
func count(ts *trainingset.Set, interval time.Duration) (now, usual []float64) {
	now, usual = make([]float64, len(ts.Items)), make([]float64, len(ts.Items))
	if len(ts.Item) == 0 {
		return now, usual
	}
	newest := slices.Max(ts.TimeMS)
	length := max(interval.Milliseconds(), 1)
	for e, i := range ts.Item {
		switch age := (newest - ts.TimeMS[e]) / length; {
		case age == 0:
			now[i] += float64(ts.EventWeight(e))
		case age <= before:
			usual[i] += float64(ts.EventWeight(e))
		}
	}
	return now, usual
}

// Items is the catalogue.
func (m *Model) Items() *model.Items { return m.items }

// Score gives each item its rise, whatever the query. Items that do not rise follow by popularity.
func (m *Model) Score(_ model.Query, scores []float32) error {
	if err := model.CheckScores(m.items, scores); err != nil {
		return err
	}
	copy(scores, m.rise)
	return nil
}

const (
	part    = "trending"
	version = 1
)

// Parts encodes the model.
func (m *Model) Parts() ([]model.Part, error) {
	w := codec.NewWriter(part, version)
	w.Float32s(m.rise)
	return []model.Part{model.EncodeItems(m.items), {Name: part, Data: w.Bytes()}}, nil
}

// Load decodes the parts of a model.
func Load(parts map[string][]byte) (*Model, error) {
	items, err := model.DecodeItems(parts)
	if err != nil {
		return nil, err
	}
	r := codec.NewReader(parts[part], part, version)
	m := &Model{items: items, rise: r.Float32s(items.Len())}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decoding trends: %w", err)
	}
	return m, nil
}
