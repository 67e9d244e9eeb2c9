// Package linear is what the linear models of a user's sequence have in common once they are trained: a sparse row of
// weights for each item of the history, added up with weights that fade with the item's age. The packages rules, knn
// and ridge learn such rows, each in its own way; what they count, they count over the Sequences of a training set.
package linear

import (
	"fmt"
	"math"
	"slices"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/codec"
)

// MaxScales is how many rows an item can have.
const MaxScales = 16

// forgotten is the weight below which an event of the history no longer counts.
const forgotten = 1e-3

// Reading says how a history is read.
type Reading struct {
	// Decays holds, for each of an item's rows, the factor by which its weight falls with every event that came after
	// it: above 0, at most 1.
	Decays []float64
	// Events is how many of the newest events count.
	Events int
	// Distinct lets an item count once, where the user met it last: for rows that were learned from sets of items.
	Distinct bool
}

func (r Reading) check() error {
	if len(r.Decays) == 0 || len(r.Decays) > MaxScales {
		return fmt.Errorf("%d decays, want 1 to %d", len(r.Decays), MaxScales)
	}
	for _, d := range r.Decays {
		if !(d > 0 && d <= 1) {
			return fmt.Errorf("decay %g is not above 0 and at most 1", d)
		}
	}
	if r.Events < 0 {
		return fmt.Errorf("%d events are below 0", r.Events)
	}
	return nil
}

// Model holds the rows and says how they are added. It implements model.Model.
type Model struct {
	kind    string
	items   *model.Items
	reading Reading
	// rows has one row for each item and decay: those of item i begin at i*len(Decays).
	rows Rows
}

// New makes a model of len(reading.Decays) rows for each item; the kind names its part.
func New(kind string, items *model.Items, reading Reading, rows Rows) (*Model, error) {
	if err := reading.check(); err != nil {
		return nil, err
	}
	if want := items.Len() * len(reading.Decays); rows.Len() != want {
		return nil, fmt.Errorf("%d rows, want %d", rows.Len(), want)
	}
	return &Model{kind: kind, items: items, reading: reading, rows: rows}, nil
}

// Fading is the model with other decays, as many as it has. Both share their rows.
func (m *Model) Fading(decays ...float64) (*Model, error) {
	if len(decays) != len(m.reading.Decays) {
		return nil, fmt.Errorf("%d decays, want %d", len(decays), len(m.reading.Decays))
	}
	reading := m.reading
	reading.Decays = slices.Clone(decays)
	return New(m.kind, m.items, reading, m.rows)
}

// Items is the catalogue.
func (m *Model) Items() *model.Items { return m.items }

// Rows are the weights, which must not be changed; those of item i begin at row i times the number of decays.
func (m *Model) Rows() Rows { return m.rows }

// Score adds the rows of the history, newest first. Items of which no row speaks score zero, be they in the history or
// not. An event of an item that the model does not know ages those before it, as it did in training.
func (m *Model) Score(q model.Query, scores []float32) error {
	if err := model.CheckScores(m.items, scores); err != nil {
		return err
	}
	clear(scores)
	var weights [MaxScales]float64
	scales := len(m.reading.Decays)
	for k := range scales {
		weights[k] = 1
	}
	var seen map[int]struct{}
	if m.reading.Distinct {
		seen = make(map[int]struct{}, min(len(q.History), m.reading.Events))
	}
	for age := range min(len(q.History), m.reading.Events) {
		item, known := m.items.Index(q.History[len(q.History)-1-age].ItemID)
		if known && seen != nil {
			_, again := seen[item]
			seen[item] = struct{}{}
			known = !again
		}
		alive := false
		for k, decay := range m.reading.Decays {
			if weights[k] < forgotten {
				continue
			}
			if known {
				m.rows.Add(scores, float32(weights[k]), item*scales+k)
			}
			weights[k] *= decay
			alive = true
		}
		if !alive {
			break
		}
	}
	return nil
}

const version = 1

// Parts encodes the model: how a history is read, the length of each row, then the rows.
func (m *Model) Parts() ([]model.Part, error) {
	w := codec.NewWriter(m.kind, version)
	w.Len(len(m.reading.Decays))
	for _, d := range m.reading.Decays {
		w.Float64(d)
	}
	w.Len(m.reading.Events)
	distinct := 0
	if m.reading.Distinct {
		distinct = 1
	}
	w.Len(distinct)
	m.rows.Encode(w)
	return []model.Part{model.EncodeItems(m.items), {Name: m.kind, Data: w.Bytes()}}, nil
}

// Load returns the function that decodes the parts of a model of the kind.
func Load(kind string) func(parts map[string][]byte) (*Model, error) {
	return func(parts map[string][]byte) (*Model, error) {
		items, err := model.DecodeItems(parts)
		if err != nil {
			return nil, err
		}
		r := codec.NewReader(parts[kind], kind, version)
		m := &Model{kind: kind, items: items}
		for range r.Len(MaxScales) {
			m.reading.Decays = append(m.reading.Decays, r.Float64())
		}
		m.reading.Events = r.Len(math.MaxInt32)
		m.reading.Distinct = r.Len(1) == 1
		if err := m.reading.check(); err != nil {
			r.Fail("%v", err)
		}
		m.rows = DecodeRows(r, items.Len()*len(m.reading.Decays), items.Len())
		if err := r.Close(); err != nil {
			return nil, fmt.Errorf("decoding rows of weights: %w", err)
		}
		return m, nil
	}
}
