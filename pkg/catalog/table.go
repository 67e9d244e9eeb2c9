package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penchant-io/penchant/pkg/blob"
)

// Table reads and changes the resources of one type, by their ARNs. A Store has one for each type.
type Table[R Resource] struct{ store *Store }

// Of returns a store's table of the type R, for generic code. All other code names the table: store.Campaigns.
func Of[R Resource](s *Store) Table[R] { return Table[R]{s} }

// Get reads one resource from the bucket.
func (t Table[R]) Get(ctx context.Context, arn string) (R, error) {
	var none R
	key, err := keyOf(arn)
	if err != nil {
		return none, err
	}
	r, err := t.store.read(ctx, key)
	if err != nil {
		return none, err
	}
	return as[R](r, arn)
}

// as returns a resource as one of the type R. It is ErrNotFound if it has another type or, under the same key, another
// ARN: the key does not hold region and account.
func as[R Resource](r Resource, arn string) (R, error) {
	typed, ok := r.(R)
	if !ok {
		return typed, fmt.Errorf("%w: %s is not a %s", ErrNotFound, arn, typed.kind())
	}
	if r.Meta().ARN != arn {
		var none R
		return none, fmt.Errorf("%w: %s", ErrNotFound, arn)
	}
	return typed, nil
}

// List reads all resources of the type, oldest first; equal ages by ARN.
func (t Table[R]) List(ctx context.Context) ([]R, error) {
	var none R
	resources, err := t.store.load(ctx, root+none.kind()+"/", nil)
	if err != nil {
		return nil, err
	}
	list := make([]R, 0, len(resources))
	for _, r := range resources {
		list = append(list, r.(R))
	}
	slices.SortFunc(list, func(a, b R) int { return compareAge(a.Meta(), b.Meta()) })
	return list, nil
}

// Update applies change to the current state of a resource and stores the result. If another writer was faster, change
// runs again on the newer state; if that happens too often, Update returns blob.ErrContended. An error of change ends
// the update and is returned as it is. UpdatedAt moves with each Update.
func (t Table[R]) Update(ctx context.Context, arn string, change func(R) error) (R, error) {
	return t.update(ctx, arn, func(r R) error {
		if err := change(r); err != nil {
			return err
		}
		r.Meta().UpdatedAt = t.store.now()
		return nil
	})
}

// errUnchanged is returned by a change that has nothing to change.
var errUnchanged = errors.New("nothing to change")

// update is Update without moving UpdatedAt. An errUnchanged of change ends it successfully, without a write.
func (t Table[R]) update(ctx context.Context, arn string, change func(R) error) (R, error) {
	var none, current R
	s := t.store
	key, err := keyOf(arn)
	if err != nil {
		return none, err
	}
	var refused error
	rounds := 0
	r, etag, err := s.document(key).Update(ctx, func(r Resource) error {
		if rounds++; rounds > 1 {
			s.conflicts.Inc()
		}
		if current, refused = as[R](r, arn); refused == nil {
			refused = change(current)
		}
		if refused == nil {
			r.Meta().Revision++
		}
		return refused
	})
	switch {
	case errors.Is(refused, errUnchanged):
		current.Meta().etag = etag
		return current, nil
	case refused != nil:
		return none, refused
	case errors.Is(err, blob.ErrNotFound):
		return none, fmt.Errorf("%w: %s", ErrNotFound, arn)
	case err != nil:
		return none, fmt.Errorf("updating %s: %w", arn, err)
	}
	r.Meta().etag = etag
	s.announce(ctx, key, r)
	return current, nil
}

// update changes a resource of any type without moving UpdatedAt.
func (s *Store) update(ctx context.Context, arn string, change func(Resource) error) (Resource, error) {
	return Of[Resource](s).update(ctx, arn, change)
}

// TypeFor returns the type of the resources of Go type R, which is not Resource itself.
func TypeFor[R Resource]() string {
	var none R
	return none.kind()
}
