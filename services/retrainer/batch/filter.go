package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/ranking"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// batchFilter is a batch job's filter with the attributes that it asks for, as they were when the job began.
type batchFilter struct {
	*filter.Filter
	// table holds the attributes of the items or users that the filter selects.
	table *attributes.Table
	// users are the attributes that CurrentUser asks for; nil: it does not.
	users *attributes.Table
}

// openFilter reads a job's filter; it returns nil for a job without one.
func (s *Clients) openFilter(
	ctx context.Context, arn string, group *catalog.DatasetGroup, target schema.Type,
) (*batchFilter, error) {
	if arn == "" {
		return nil, nil
	}
	resource, err := s.Data.Store.Filters.Get(ctx, arn)
	if err != nil {
		return nil, jobs.Missing(err, "filter", arn)
	}
	source := s.attributes()
	compiled, err := attributes.NewFilters(source).Resolve(resource, group.ARN, target)
	if unfit := new(attributes.FilterError); errors.As(err, &unfit) {
		return nil, jobs.Faultf("The %w", unfit)
	}
	if err != nil {
		return nil, err
	}
	f := &batchFilter{Filter: compiled}
	selected := schema.Items
	if target == schema.Users {
		selected = schema.Users
	}
	if f.table, err = source.Load(ctx, group, selected); err != nil {
		return nil, err
	}
	if target == schema.Items && compiled.Uses(schema.Users.DatasetType()) {
		if f.users, err = source.Load(ctx, group, schema.Users); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// lastFilter remembers the filter with the values of the newest line, since the next line often has the same.
type lastFilter struct {
	values string
	filter *ranking.Filter
}

// bind puts a line's values into the filter. For wrong values it returns the reason why the line is refused.
func (l *lastFilter) bind(f *batchFilter, values map[string]string) (_ *ranking.Filter, refusal string) {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&key, "%q=%q,", name, values[name])
	}
	if l.filter != nil && l.values == key.String() {
		return l.filter, ""
	}
	bound, err := f.Bind(values)
	if err != nil {
		return nil, err.Error()
	}
	l.values, l.filter = key.String(), ranking.NewFilter(bound)
	return l.filter, ""
}

// eventTypes reads which types of events each user has, for filters that select users by them.
func (h *historySource) eventTypes(ctx context.Context, threads int) (func(userID string) []string, error) {
	var (
		mu    sync.Mutex
		types eventTypes
		users = map[string][]uint16{}
	)
	visit := func(i *reco.Interaction) {
		if i.UserID == "" {
			return
		}
		n := types.number(i.EventType)
		mu.Lock()
		defer mu.Unlock()
		if of, known := users[i.UserID]; !known {
			users[strings.Clone(i.UserID)] = []uint16{n}
		} else if !slices.Contains(of, n) {
			users[i.UserID] = append(of, n)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(model.Threads(threads) + 1)
	group.Go(func() error { return h.streamed(ctx, visit) })
	for _, part := range h.parts {
		group.Go(func() error {
			for i, err := range dataset.Interactions(ctx, h.bucket, dataset.Version{Parts: []dataset.Part{part}}) {
				if err != nil {
					return err
				}
				visit(&i)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, errors.Join(errors.New("reading event types"), err)
	}
	return func(userID string) []string {
		names := make([]string, len(users[userID]))
		for k, n := range users[userID] {
			names[k] = types.name(n)
		}
		return names
	}, nil
}
