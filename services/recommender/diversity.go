package recommender

import (
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking/diversity"
	"github.com/penchant-io/penchant/pkg/schema"
)

// diversified makes the list of one request diverse. nil leaves it as it is.
type diversified struct {
	settings diversity.Settings
	aligned  *aligned
	columns  []string
	// chosen are the items of the list, and places the ones, from 0, where they stood among the best that may be answered.
	chosen []int32
	places []int
}

// diversityOf says how diverse a campaign's or recommender's answers are to be.
func diversityOf(serving *modelstore.Serving) diversity.Settings {
	if !serving.Loaded.Recipe.Explores {
		return diversity.Settings{}
	}
	return diversity.Read(serving.Exploration())
}

// diversify prepares the re-rank of a request; nil where there is none, also while the attributes of items are not loaded yet.
func (s *Service) diversify(serving *modelstore.Serving, plan *plan) *diversified {
	settings := diversityOf(serving)
	if settings.Weight <= 0 {
		return nil
	}
	d := &diversified{settings: settings, aligned: plan.aligned}
	if d.aligned == nil {
		table := s.attributes.Loaded(serving.Group, schema.Items)
		if table == nil {
			return nil
		}
		d.aligned = s.alignments.of(serving, table, s.config.Models.All)
	}
	if d.columns = settings.Columns(d.aligned.table.Schema); len(d.columns) == 0 {
		return nil
	}
	return d
}

// best is the k items that the list is to have, in its order.
func (d *diversified) best(e *eligible, scores []float32, k int) []int32 {
	if d == nil || k <= 0 {
		return e.best(scores, k)
	}
	pool := e.best(scores, diversity.Pool(k))
	categories, table := diversity.NewCategories(d.columns), d.aligned.table
	d.places = d.settings.Choose(pool, scores, func(item int32) []int32 {
		row := d.aligned.rows[item]
		return categories.Of(func(column string) any { return table.Attribute(row, column) })
	}, k)
	d.chosen = make([]int32, len(d.places))
	for i, place := range d.places {
		d.chosen[i] = pool[place]
	}
	return d.chosen
}
