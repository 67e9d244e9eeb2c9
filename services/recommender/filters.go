package recommender

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
)

// filterUse is a filter as a request asks for it.
type filterUse struct {
	member string // of the request, for messages
	arn    string
	values map[string]string
	target schema.Type // what it must select
}

// boundFilter is a filter of the catalog with the values of one request.
type boundFilter struct {
	use      filterUse
	resource *catalog.Filter
	filter   *filter.Filter
	bound    *filter.Bound
}

// filters holds what the catalog's filters compile to. A change of a filter, dataset or schema empties it.
type filters struct {
	source attributes.Source

	mu       sync.RWMutex
	compiled map[string]compiledFilter // by the resource's ID
	changes  int                       // so that nothing outdated is kept
}

type compiledFilter struct {
	*filter.Filter
	err error
}

// changed is told of every change in the catalog.
func (f *filters) changed(arn string) {
	switch resource.TypeOf(arn) {
	case resource.Filter, resource.Dataset, resource.Schema:
		f.mu.Lock()
		clear(f.compiled)
		f.changes++
		f.mu.Unlock()
	}
}

// compile compiles a filter against the schemas that its dataset group has now.
func (f *filters) compile(resource *catalog.Filter) (*filter.Filter, error) {
	f.mu.RLock()
	known, ok := f.compiled[resource.ID]
	changes := f.changes
	f.mu.RUnlock()
	if ok {
		return known.Filter, known.err
	}
	schemas, err := f.source.Schemas(resource.DatasetGroupARN)
	if err != nil {
		return nil, err
	}
	var made compiledFilter
	made.Filter, made.err = filter.Compile(resource.Expression, schemas)
	f.mu.Lock()
	if f.changes == changes {
		f.compiled[resource.ID] = made
	}
	f.mu.Unlock()
	return made.Filter, made.err
}

// bind finds the filter that a request names and puts its values in.
func (s *Service) bind(ctx context.Context, serving *modelstore.Serving, use filterUse) (*boundFilter, error) {
	view := s.config.View
	stored, ok := catalog.Lookup[*catalog.Filter](view, use.arn)
	if !ok || stored.Status != status.Active {
		// The notice may still be under way.
		err := view.Fetch(ctx, use.arn)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) && !errors.Is(err, resource.ErrBadARN) {
			return nil, awsapi.ServiceUnavailable("filter %s cannot be looked up at the moment", use.arn)
		}
		if stored, ok = catalog.Lookup[*catalog.Filter](view, use.arn); !ok {
			return nil, awsapi.ResourceNotFound("Resource not found: %s", use.arn)
		}
	}
	switch {
	case stored.DatasetGroupARN != serving.DatasetGroupARN():
		return nil, awsapi.InvalidInput("%s: filter %s belongs to another dataset group than %s", use.member, use.arn, serving.ARN())
	case stored.Status != status.Active:
		return nil, awsapi.InvalidInput("%s: filter %s is %s, it must be %s", use.member, use.arn, stored.Status, status.Active)
	}
	compiled, err := s.filters.compile(stored)
	if wrong := new(filter.Error); errors.As(err, &wrong) {
		return nil, awsapi.InvalidInput("%s: the expression of filter %s does not fit the datasets as they are now: %v", use.member, use.arn, wrong)
	}
	if err != nil {
		return nil, awsapi.ServiceUnavailable("the schemas of filter %s are not known yet: %v", use.arn, err)
	}
	if compiled.Target() != use.target {
		return nil, awsapi.InvalidInput("%s: filter %s selects by %s, it must select by %s", use.member, use.arn, filter.TargetName(compiled.Target()), filter.TargetName(use.target))
	}
	bound, err := compiled.Bind(use.values)
	if err != nil {
		return nil, awsapi.InvalidInput("%s: the values for filter %s are wrong: %v", strings.Replace(use.member, "Arn", "Values", 1), use.arn, err)
	}
	return &boundFilter{use: use, resource: stored, filter: compiled, bound: bound}, nil
}

// suits checks that the request says what the filter asks about.
func (f *boundFilter) suits(r *recipe.Recipe, q question) error {
	switch {
	case f.filter.UsesCurrentItem() && r.Type != recipe.RelatedItems:
		return awsapi.InvalidInput("%s: filter %s compares with CurrentItem, which only recipes of type %s have", f.use.member, f.use.arn, recipe.RelatedItems)
	case q.userID == "" && f.usesVisitor():
		return awsapi.InvalidInput("userId is required for filter %s, which looks at the user", f.use.arn)
	}
	return nil
}

// usesVisitor reports whether the filter asks about the visitor's events or attributes.
func (f *boundFilter) usesVisitor() bool {
	return f.filter.Uses(schema.Interactions.DatasetType()) || f.usesUser()
}

func (f *boundFilter) usesUser() bool { return f.filter.Uses(schema.Users.DatasetType()) }

// table returns the attributes of a dataset group's entities, or the refusal of a request that cannot do without.
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

// subject is for whom filters are evaluated.
func (s *Service) subject(ctx context.Context, serving *modelstore.Serving, q question, v visitor, filters ...*boundFilter) (filter.Subject, error) {
	subject := filter.Subject{History: v.history, ActionHistory: v.actions, UserID: q.userID, CurrentItem: q.itemID}
	for _, f := range filters {
		if f == nil || !f.usesUser() {
			continue
		}
		users, err := s.table(ctx, serving.Group, schema.Users)
		if err != nil {
			return subject, err
		}
		if subject.User = users.Record(q.userID); subject.User == nil && v.known {
			subject.User = map[string]any{} // somebody without attributes, not nobody
		}
		break
	}
	return subject, nil
}

// needs are the attributes that requests can ask for at the moment.
func (s *Service) needs() []attributes.Need {
	items, users, actions := map[string]bool{}, map[string]bool{}, map[string]bool{} // by the group's ARN; items: with prose or without
	for _, f := range catalog.All[*catalog.Filter](s.config.View) {
		compiled, err := s.filters.compile(f)
		if f.Status != status.Active || err != nil || compiled.Target() == schema.Users {
			continue
		}
		if compiled.Target() == schema.Actions {
			actions[f.DatasetGroupARN] = true
		} else {
			items[f.DatasetGroupARN] = false
		}
		if compiled.Uses(schema.Users.DatasetType()) {
			users[f.DatasetGroupARN] = true
		}
	}
	for _, serving := range s.config.Models.All() {
		group := serving.DatasetGroupARN()
		if model.AsksUser(serving.Loaded.Model, nil) {
			users[group] = true
		}
		wants := s.explores(serving) || diversityOf(serving).Weight > 0
		if _, asked := items[group]; serving.Metadata() || wants && !asked {
			items[group] = serving.Metadata()
		}
		if serving.Loaded.Recipe.Type == recipe.PersonalizedActions {
			actions[serving.DatasetGroupARN()] = true
		}
	}
	var needs []attributes.Need
	add := func(groupARN string, t schema.Type, text bool) {
		if group, ok := catalog.Lookup[*catalog.DatasetGroup](s.config.View, groupARN); ok {
			needs = append(needs, attributes.Need{Group: group, Type: t, Text: text})
		}
	}
	for group, text := range items {
		add(group, schema.Items, text)
	}
	for group := range users {
		add(group, schema.Users, false)
	}
	for group := range actions {
		add(group, schema.Actions, false)
	}
	return needs
}
