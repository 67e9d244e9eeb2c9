package recommender

import (
	"context"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/schema"
)

// trace is how one answer comes about: what prepare finds out about a request, in the order of the fields, and then the
// list. The answer and its explanation are written from it.
type trace struct {
	req     *request
	serving *modelstore.Serving

	filter, promoted *boundFilter // of the request and of its promotion; nil: none

	items       *attributes.Table // nil where nothing asks for them
	columns     []schema.Field    // of items, to be answered as metadata
	catalogue   *ranking.Catalogue
	exploration *ranking.Exploration // nil: cold items are not lifted
	diversity   *ranking.Diversity   // nil: the list is not made diverse

	visitor visitor
	subject filter.Subject
	query   model.Query

	list *ranking.List
}

// prepare finds out what the answer to a request depends on.
func (s *Service) prepare(ctx context.Context, serving *modelstore.Serving, req *request) (*trace, error) {
	t := &trace{req: req, serving: serving}
	if err := validateMetadata(serving, req.metadata); err != nil {
		return nil, err
	}
	if err := s.bindFilters(ctx, t); err != nil {
		return nil, err
	}
	if err := s.lookUpItems(ctx, t); err != nil {
		return nil, err
	}
	t.visitor = s.visitor(ctx, t)
	var err error
	if t.subject, err = s.subject(ctx, t); err != nil {
		return nil, err
	}
	t.query = s.query(ctx, t)
	return t, nil
}

// bindFilters binds the filters of the request and of its promotion.
func (s *Service) bindFilters(ctx context.Context, t *trace) (err error) {
	if t.filter, err = s.bind(ctx, t.serving, t.req, t.req.filter); err != nil {
		return err
	}
	p := t.req.promotion
	if p == nil {
		return nil
	}
	if t.promoted, err = s.bind(ctx, t.serving, t.req, p.filter); err != nil {
		return err
	}
	if p.percent == 0 {
		return awsapi.InvalidInput("A promotion must have percentPromotedItems, from 1 to 100")
	}
	return nil
}

// lookUpItems finds the catalogue that the list is made from. Filters and metadata cannot do without the attributes of
// items. Exploration and diversity use them once they are loaded, and wait for the next request until then.
func (s *Service) lookUpItems(ctx context.Context, t *trace) (err error) {
	serving := t.serving
	filters := t.filter != nil || t.promoted != nil
	if filters || len(t.req.metadata) > 0 {
		if t.items, err = s.table(ctx, serving.Group, schema.Items); err != nil {
			return err
		}
		if t.columns, err = metadataFields(t.items, t.req.metadata); err != nil {
			return err
		}
	}
	explores, diverse := s.explores(serving), diversitySettings(serving)
	if t.items == nil && (explores || diverse.Weight > 0) {
		t.items = s.attributes.Loaded(serving.Group, schema.Items)
	}
	if t.items == nil || !filters && !explores && diverse.Weight <= 0 {
		t.catalogue = ranking.NewCatalogue(serving.Loaded.Recipe, serving.Loaded.Model.Items())
		return nil
	}
	c := s.catalogues.of(serving, t.items, s.config.Models.All)
	t.catalogue = c.Catalogue
	t.diversity = c.Diversity(diverse, t.items.Schema)
	if explores {
		t.exploration = s.exploration(t, c)
	}
	return nil
}

// promotion returns the promotion of the list; nil where the request has none.
func (t *trace) promotion() *ranking.Promotion {
	if t.promoted == nil {
		return nil
	}
	return &ranking.Promotion{
		Filter: t.promoted.ranking(), Percent: t.req.promotion.percent,
		Seed: exploration.Seed(t.req.userID, t.req.itemID, t.serving.Loaded.ModelID),
	}
}

// query returns what the model is asked.
func (s *Service) query(ctx context.Context, t *trace) model.Query {
	query := model.Query{ItemID: t.req.itemID}
	if !t.serving.Loaded.Recipe.Realtime {
		return query
	}
	query.History, query.Vector = t.visitor.history, t.visitor.vector
	if t.req.userID != "" && model.AsksUser(t.serving.Loaded.Model, t.visitor.history) {
		// Without the attributes the visitor is answered as a user who has none.
		if users, err := s.attributes.Table(ctx, t.serving.Group, schema.Users); err == nil {
			query.User = users.Record(t.req.userID)
		}
	}
	return query
}
