package recommender

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
)

// filterRef is a filter as a request names it.
type filterRef struct {
	member string // of the request, for messages
	arn    string
	values map[string]string
	target schema.Type // what it must select
}

// boundFilter is a filter of the catalog with the values of one request.
type boundFilter struct {
	ref    *filterRef
	stored *catalog.Filter
	filter *filter.Filter
	bound  *filter.Bound
}

// bind finds the filter that a request names, puts the request's values in and checks that the request has what the
// filter asks about. Without a filter it returns nil.
func (s *Service) bind(
	ctx context.Context, serving *modelstore.Serving, req *request, ref *filterRef,
) (*boundFilter, error) {
	if ref == nil {
		return nil, nil
	}
	stored, err := s.findFilter(ctx, ref.arn)
	if err != nil {
		return nil, err
	}
	compiled, err := s.filters.Resolve(stored, serving.DatasetGroupARN(), ref.target)
	if unfit := new(attributes.FilterError); errors.As(err, &unfit) {
		return nil, awsapi.InvalidInput("%s: %v", ref.member, unfit)
	}
	if err != nil {
		return nil, awsapi.ServiceUnavailable("%v", err)
	}
	f := &boundFilter{ref: ref, stored: stored, filter: compiled}
	if f.bound, err = compiled.Bind(ref.values); err != nil {
		member := strings.Replace(ref.member, "Arn", "Values", 1)
		return nil, awsapi.InvalidInput("%s: the values for filter %s are wrong: %v", member, ref.arn, err)
	}
	return f, f.validate(serving.Loaded.Recipe, req)
}

// findFilter finds a filter in the view, and in the catalog itself where the view would refuse it: the notice may still
// be under way.
func (s *Service) findFilter(ctx context.Context, arn string) (*catalog.Filter, error) {
	view := s.config.View
	stored, known := catalog.Lookup[*catalog.Filter](view, arn)
	if known && stored.Status == status.Active {
		return stored, nil
	}
	err := view.Fetch(ctx, arn)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) && !errors.Is(err, resource.ErrBadARN) {
		return nil, awsapi.ServiceUnavailable("filter %s cannot be looked up at the moment", arn)
	}
	if stored, known = catalog.Lookup[*catalog.Filter](view, arn); !known {
		return nil, awsapi.ResourceNotFound("Resource not found: %s", arn)
	}
	return stored, nil
}

// validate checks that the request has what the filter asks about.
func (f *boundFilter) validate(r *recipe.Recipe, req *request) error {
	switch {
	case f.filter.UsesCurrentItem() && r.Type != recipe.RelatedItems:
		return awsapi.InvalidInput("%s: filter %s compares with CurrentItem, which only recipes of type %s have",
			f.ref.member, f.ref.arn, recipe.RelatedItems)
	case req.userID == "" && f.usesVisitor():
		return awsapi.InvalidInput("userId is required for filter %s, which looks at the user", f.ref.arn)
	}
	return nil
}

// usesVisitor reports whether the filter asks about the visitor's events or attributes; nil asks about nothing.
func (f *boundFilter) usesVisitor() bool {
	return f != nil && (f.filter.Uses(schema.Interactions.DatasetType()) || f.usesUser())
}

func (f *boundFilter) usesUser() bool { return f != nil && f.filter.Uses(schema.Users.DatasetType()) }

// ranking returns the filter for one list; nil for no filter.
func (f *boundFilter) ranking() *ranking.Filter {
	if f == nil {
		return nil
	}
	return ranking.NewFilter(f.bound)
}

// table returns the attributes of a dataset group's entities, or refuses a request that cannot do without them.
func (s *Service) table(ctx context.Context, group string, t schema.Type) (*attributes.Table, error) {
	table, err := s.attributes.Table(ctx, group, t)
	if errors.Is(err, attributes.ErrNotLoaded) {
		s.metrics.unfiltered.Inc()
		return nil, awsapi.ServiceUnavailable("%v", err)
	}
	if err != nil {
		return nil, fmt.Errorf("looking up attributes: %w", err)
	}
	return table, nil
}

// subject returns whom the filters of a request are evaluated for.
func (s *Service) subject(ctx context.Context, t *trace) (filter.Subject, error) {
	subject := filter.Subject{
		History: t.visitor.history, ActionHistory: t.visitor.actions, UserID: t.req.userID, CurrentItem: t.req.itemID,
	}
	if !t.filter.usesUser() && !t.promoted.usesUser() {
		return subject, nil
	}
	users, err := s.table(ctx, t.serving.Group, schema.Users)
	if err != nil {
		return subject, err
	}
	subject.User = users.UserRecord(t.req.userID, t.visitor.known)
	return subject, nil
}

// attributeNeeds collects the attributes that requests can ask for, by the dataset group's ARN.
type attributeNeeds struct {
	items          map[string]bool // with prose or without
	users, actions map[string]bool
}

// needs returns the attributes that requests can ask for at the moment.
func (s *Service) needs() []attributes.Need {
	n := attributeNeeds{items: map[string]bool{}, users: map[string]bool{}, actions: map[string]bool{}}
	for _, f := range catalog.All[*catalog.Filter](s.config.View) {
		if f.Status != status.Active {
			continue
		}
		if compiled, err := s.filters.Compile(f); err == nil {
			n.addFilter(f.DatasetGroupARN, compiled)
		}
	}
	for _, serving := range s.config.Models.All() {
		n.addServing(serving, s.explores(serving) || diversitySettings(serving).Weight > 0)
	}
	return n.list(s.config.View)
}

func (n *attributeNeeds) addFilter(group string, f *filter.Filter) {
	switch f.Target() {
	case schema.Users:
		return
	case schema.Actions:
		n.actions[group] = true
	default:
		n.items[group] = false
	}
	if f.Uses(schema.Users.DatasetType()) {
		n.users[group] = true
	}
}

// addServing adds what a deployed model needs; items is set if its lists need the attributes of items.
func (n *attributeNeeds) addServing(serving *modelstore.Serving, items bool) {
	group := serving.DatasetGroupARN()
	if model.AsksUser(serving.Loaded.Model, nil) {
		n.users[group] = true
	}
	if _, known := n.items[group]; serving.Metadata() || items && !known {
		n.items[group] = serving.Metadata()
	}
	if serving.Loaded.Recipe.Type == recipe.PersonalizedActions {
		n.actions[group] = true
	}
}

func (n *attributeNeeds) list(view *catalog.View) []attributes.Need {
	var needs []attributes.Need
	add := func(groupARN string, t schema.Type, text bool) {
		if group, ok := catalog.Lookup[*catalog.DatasetGroup](view, groupARN); ok {
			needs = append(needs, attributes.Need{Group: group, Type: t, Text: text})
		}
	}
	for group, text := range n.items {
		add(group, schema.Items, text)
	}
	for group := range n.users {
		add(group, schema.Users, false)
	}
	for group := range n.actions {
		add(group, schema.Actions, false)
	}
	return needs
}
