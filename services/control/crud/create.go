package crud

import (
	"context"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// Creation describes a request that creates a resource. Create takes its parts in the order of the fields, which is the
// order in which a request that is wrong in two ways is refused.
type Creation[R catalog.Resource] struct {
	Name string
	Tags []personalize.Tag
	// Resolve finds what the request names. nil: it names nothing.
	Resolve func() error
	// ARN returns the new resource's.
	ARN func() string
	// RandomARN is set where ARN draws a random one: it is drawn again while it is taken, whereas an ARN that follows
	// from the request's name is refused.
	RandomARN bool
	// JobLimit bounds the jobs of the type that are pending or in progress in the account. 0: the resource is no job.
	JobLimit int
	// Parents are where the resource is created under, each with its rules. nil: it has none.
	Parents func(arn string) []Parent
	// Build validates the rest of the request, and makes the resource that is stored.
	Build func(catalog.Metadata) (R, error)
}

// idAttempts bounds how often a random id is drawn until a free one is found.
const idAttempts = 10

// Create creates a resource with status CREATE PENDING, unless Build gives it another, and announces it if it is a job.
func Create[R catalog.Resource](ctx context.Context, e *Env, c Creation[R]) (R, error) {
	var none R
	tags, err := ParseTags(c.Tags)
	if err != nil {
		return none, err
	}
	if c.Resolve != nil {
		if err := c.Resolve(); err != nil {
			return none, err
		}
	}
	arn := c.ARN()
	if !c.RandomARN {
		if err := checkNameFree(ctx, e, arn); err != nil {
			return none, err
		}
	}
	if err := e.ValidateTagCount(tags); err != nil {
		return none, err
	}
	places, err := c.places(ctx, e, arn)
	if err != nil {
		return none, err
	}
	for range idAttempts {
		r, err := c.Build(NewMeta(arn, c.Name, tags))
		if err != nil {
			return none, err
		}
		err = e.Store.Create(ctx, r, places...)
		switch {
		case err == nil:
			if c.JobLimit > 0 {
				e.AnnounceJob(ctx, arn)
			}
			return r, nil
		case !errors.Is(err, catalog.ErrExists):
			return none, err
		case !c.RandomARN:
			return none, AlreadyExists(arn)
		}
		arn = c.ARN()
	}
	return none, catalog.ErrExists
}

func (c *Creation[R]) places(ctx context.Context, e *Env, arn string) ([]catalog.Place, error) {
	var parents []Parent
	if c.JobLimit > 0 {
		parents = append(parents, jobsOfAccount(arn, c.JobLimit))
	}
	if c.Parents != nil {
		parents = append(parents, c.Parents(arn)...)
	}
	places := make([]catalog.Place, len(parents))
	for i, parent := range parents {
		var err error
		if places[i], err = parent(ctx, e); err != nil {
			return nil, err
		}
	}
	return places, nil
}

// Parent is where a new resource is created under. It checks the parent's rules now, so that a request is refused in
// the right order, and returns them as a part of the reservation in the parent, so that they hold.
type Parent func(context.Context, *Env) (catalog.Place, error)

// Under returns the parent that was read, with the rules that a new child must satisfy.
func Under[P catalog.Resource](parent P, rules ...func(P) error) Parent {
	return func(ctx context.Context, e *Env) (catalog.Place, error) {
		if err := e.Store.Sweep(ctx, parent); err != nil {
			return catalog.Place{}, err
		}
		rule := all(rules)
		return catalog.Under(parent.Meta().ARN, rule), rule(parent)
	}
}

// Limit returns the rule that a parent has fewer than limit other children of the type of a new child with ARN arn.
func Limit[P catalog.Resource](arn string, limit int) func(P) error {
	return func(parent P) error {
		return CheckQuota(parent.Meta().Children.Count(resource.TypeOf(arn), arn), limit)
	}
}

func all[P catalog.Resource](rules []func(P) error) func(P) error {
	return func(parent P) error {
		for _, rule := range rules {
			if err := rule(parent); err != nil {
				return err
			}
		}
		return nil
	}
}

// jobsOfAccount limits the jobs of a type that are pending or in progress in the account.
func jobsOfAccount(arn string, limit int) Parent {
	kind := resource.TypeOf(arn)
	return func(ctx context.Context, e *Env) (catalog.Place, error) {
		rule := func(a *catalog.Account) error { return checkQuota(a.Children.Count(kind, arn), limit, unfinished) }
		account, err := readAccount(ctx, e)
		if err != nil {
			return catalog.Place{}, err
		}
		if err := e.Store.Sweep(ctx, account); err != nil {
			return catalog.Place{}, err
		}
		return catalog.UnderAccount(e.Account, rule), rule(account)
	}
}

// readAccount reads the account's reservations; an account without any may not exist yet.
func readAccount(ctx context.Context, e *Env) (*catalog.Account, error) {
	account, err := e.Store.Accounts.Get(ctx, resource.AccountARN(e.Account))
	if errors.Is(err, catalog.ErrNotFound) {
		return &catalog.Account{}, nil
	}
	return account, err
}

// NewMeta returns the Meta of a resource that is to be created.
func NewMeta(arn, name string, tags map[string]string) catalog.Metadata {
	return catalog.Metadata{ARN: arn, Name: name, Status: status.CreatePending, Tags: tags}
}
