package retrainer

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
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

// batchFilter is a batch job's filter with the attributes that it asks for, as they were when the job began.
type batchFilter struct {
	*filter.Filter
	// table is of the items, or of the users, that the filter selects.
	table *attributes.Table
	// users are what CurrentUser asks for; nil: it does not.
	users *attributes.Table
	// personal says that lines with the same values may have different selections.
	personal bool
}

// openFilter reads a job's filter; without one it gives nil.
func (s *Service) openFilter(ctx context.Context, arn string, group *catalog.DatasetGroup, target schema.Type) (*batchFilter, error) {
	if arn == "" {
		return nil, nil
	}
	resource, err := s.config.Store.Filters.Get(ctx, arn)
	if err != nil {
		return nil, jobs.Missing(err, "filter", arn)
	}
	source := attributes.Source{Bucket: s.config.Bucket, Bus: s.config.Bus, View: s.config.View}
	schemas, err := source.Schemas(group.ARN)
	if err != nil {
		return nil, err
	}
	compiled, err := filter.Compile(resource.Expression, schemas)
	if err != nil {
		return nil, jobs.Faultf("Filter %s: %w", arn, err)
	}
	if compiled.Target() != target {
		return nil, jobs.Faultf("Filter %s is for %s, this job needs one for %s", arn, filter.TargetName(compiled.Target()), filter.TargetName(target))
	}
	f := &batchFilter{Filter: compiled}
	uses := func(t schema.Type) bool { return compiled.Uses(t.DatasetType()) }
	selected := schema.Items
	if target == schema.Users {
		selected = schema.Users
	} else {
		f.personal = uses(schema.Users) || uses(schema.Interactions) || compiled.UsesCurrentItem()
	}
	if f.table, err = source.Load(ctx, group, selected); err != nil {
		return nil, err
	}
	if target == schema.Items && uses(schema.Users) {
		if f.users, err = source.Load(ctx, group, schema.Users); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// selections remembers the newest selection, which the next line often asks for again.
type selections struct {
	values string
	last   *filter.Selection
}

// of evaluates the filter with a line's values, or says what is wrong with them.
func (s *selections) of(f *batchFilter, values map[string]string, subject filter.Subject) (_ *filter.Selection, refusal string) {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&key, "%q=%q,", name, values[name])
	}
	if s.last != nil && !f.personal && s.values == key.String() {
		return s.last, ""
	}
	bound, err := f.Bind(values)
	if err != nil {
		return nil, err.Error()
	}
	s.values, s.last = key.String(), bound.Select(f.table.Table, subject)
	return s.last, ""
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
