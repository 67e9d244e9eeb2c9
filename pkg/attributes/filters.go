package attributes

import (
	"errors"
	"fmt"
	"sync"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Filters turns filters of the catalog into compiled ones, which parameters can be bound to. It is the one place that
// decides whether a stored filter can be used: control asks it when a batch job is created, the job when it starts, and
// the recommender for each request. What it has compiled it keeps until Changed hears of another filter, dataset or
// schema. It is safe for concurrent use.
type Filters struct {
	source Source

	mu       sync.RWMutex
	compiled map[string]compiledFilter // by the resource's ID
	changes  int                       // so that nothing outdated is kept
}

type compiledFilter struct {
	*filter.Filter
	err error
}

// FilterError means that a filter of the catalog cannot be used for what the client wants.
type FilterError struct {
	ARN     string
	Problem string
}

// Error names the filter and the problem.
func (e *FilterError) Error() string { return "filter " + e.ARN + " " + e.Problem }

// NewFilters returns Filters that compile against the schemas of a source.
func NewFilters(source Source) *Filters {
	return &Filters{source: source, compiled: map[string]compiledFilter{}}
}

// Changed is to be called for every change in the catalog.
func (f *Filters) Changed(arn string) {
	switch resource.TypeOf(arn) {
	case resource.Filter, resource.Dataset, resource.Schema:
		f.mu.Lock()
		clear(f.compiled)
		f.changes++
		f.mu.Unlock()
	}
}

// Resolve returns a filter of the catalog for a caller that wants to select rows of target in a dataset group. The
// error is a *FilterError where the filter is not active, of another group, for another target, or does not fit the
// datasets.
func (f *Filters) Resolve(stored *catalog.Filter, groupARN string, target schema.Type) (*filter.Filter, error) {
	unfit := func(format string, args ...any) (*filter.Filter, error) {
		return nil, &FilterError{stored.ARN, fmt.Sprintf(format, args...)}
	}
	switch {
	case stored.DatasetGroupARN != groupARN:
		return unfit("belongs to the dataset group %s, not to %s", stored.DatasetGroupARN, groupARN)
	case stored.Status != status.Active:
		return unfit("is %s, it must be %s", stored.Status, status.Active)
	}
	compiled, err := f.Compile(stored)
	if err != nil {
		return nil, err
	}
	if compiled.Target() != target {
		return unfit("selects by %s, it must select by %s",
			filter.TargetName(compiled.Target()), filter.TargetName(target))
	}
	return compiled, nil
}

// Compile compiles a filter against the schemas that its dataset group has now. The error is a *FilterError where the
// expression does not fit them.
func (f *Filters) Compile(stored *catalog.Filter) (*filter.Filter, error) {
	f.mu.RLock()
	known, ok := f.compiled[stored.ID]
	changes := f.changes
	f.mu.RUnlock()
	if ok {
		return known.Filter, known.err
	}
	schemas, err := f.source.Schemas(stored.DatasetGroupARN)
	if err != nil {
		return nil, fmt.Errorf("the schemas of filter %s are not known yet: %w", stored.ARN, err)
	}
	var made compiledFilter
	made.Filter, made.err = filter.Compile(stored.Expression, schemas)
	if wrong := new(filter.Error); errors.As(made.err, &wrong) {
		made.err = &FilterError{stored.ARN, fmt.Sprintf("does not fit the datasets as they are now: %v", wrong)}
	}
	f.mu.Lock()
	if f.changes == changes {
		f.compiled[stored.ID] = made
	}
	f.mu.Unlock()
	return made.Filter, made.err
}
