package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// A handler refuses a request for the first of these reasons that applies: an ARN of the wrong type, an ARN of nothing, a name that
// is taken, too many tags, a quota, a state that does not allow it, and what is wrong in itself (a schema, a hyper-parameter).
// Rules about parents are asked before the last group, so that the order holds, and again in the catalog's reservation, so
// that they hold (place).

// handle registers an operation, whose errors are put in AWS's terms.
func handle[Req, Resp any](r *awsapi.Router, operation string, h func(context.Context, *Req) (*Resp, error)) {
	awsapi.HandleTarget(r, operation, func(ctx context.Context, req *Req) (*Resp, error) {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		resp, err := h(ctx, req)
		return resp, inAWSTerms(err)
	})
}

// answerTimeout bounds a call while the bucket hangs: well before SDKs give up by themselves.
const answerTimeout = 15 * time.Second

// inAWSTerms turns the catalog's refusals into exceptions. Other errors are left to the router.
func inAWSTerms(err error) error {
	var refusal *awsapi.Error
	var held *catalog.HeldError
	switch {
	case err == nil, errors.As(err, &refusal):
		return err
	case errors.As(err, &held):
		return awsapi.ResourceInUse("%s cannot be deleted while these exist or are in progress: %s", held.ARN, joined(shown(held.By)))
	case errors.Is(err, catalog.ErrDeleting), errors.Is(err, catalog.ErrLeased):
		return awsapi.ResourceInUse("A resource named in the request is being deleted")
	case errors.Is(err, catalog.ErrNotFound):
		return awsapi.ResourceNotFound("A resource named in the request does not exist")
	case errors.Is(err, catalog.ErrContended):
		return awsapi.ServiceUnavailable("The resource is being changed by too many at once")
	}
	return err
}

// find reads the resource that a member of the request names.
func find[R catalog.Resource](ctx context.Context, s *Service, member, arn, kind string) (R, error) {
	var none R
	if err := checkType(member, arn, kind); err != nil {
		return none, err
	}
	if isHidden(arn) {
		return none, notFound(arn)
	}
	r, err := catalog.Of[R](s.store).Get(ctx, arn)
	if errors.Is(err, catalog.ErrNotFound) {
		return none, notFound(arn)
	}
	return r, err
}

const (
	// createdWithin bounds the wait for a resource that was created a moment ago, createdPoll is how often it is looked at.
	createdWithin = 2 * time.Second
	createdPoll   = 20 * time.Millisecond
)

// findCreated is find for a resource that requests go on with as soon as they have its ARN, as Amazon's samples do with solutions and
// datasets: it gives the reconciler a moment to make it ACTIVE.
func findCreated[R catalog.Resource](ctx context.Context, s *Service, member, arn, kind string) (R, error) {
	r, err := find[R](ctx, s, member, arn, kind)
	for deadline := time.Now().Add(createdWithin); err == nil && r.Meta().Status == status.CreatePending && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(createdPoll):
			r, err = find[R](ctx, s, member, arn, kind)
		}
	}
	return r, err
}

func checkType(member, arn, kind string) error {
	if resource.TypeOf(arn) != kind {
		return awsapi.InvalidInput("%s is not the ARN of a %s: %s", member, kind, arn)
	}
	return nil
}

func notFound(arn string) error {
	return awsapi.ResourceNotFound("Resource %s does not exist", arn)
}

func alreadyExists(arn string) error {
	return awsapi.ResourceAlreadyExists("Another resource with Arn %s already exists.", arn)
}

// mustBeFree refuses an ARN that a resource has.
func mustBeFree(ctx context.Context, s *Service, arn string) error {
	_, err := s.store.Get(ctx, arn)
	switch {
	case err == nil:
		return alreadyExists(arn)
	case errors.Is(err, catalog.ErrNotFound):
		return nil
	}
	return err
}

// mustBeActive refuses a resource that cannot be built upon yet, or no longer.
func mustBeActive(r catalog.Resource) error {
	m := r.Meta()
	if m.Status != status.Active {
		return awsapi.ResourceInUse("Resource %s is %s, it must be ACTIVE", m.ARN, m.Status)
	}
	return nil
}

// mustBeSettled refuses a resource that is on its way to another state.
func mustBeSettled(m *catalog.Metadata) error {
	switch m.Status {
	case status.CreatePending, status.CreateInProgress, status.CreateStopping,
		status.StopPending, status.StopInProgress, status.StartPending, status.StartInProgress,
		status.DeletePending, status.DeleteInProgress:
		return awsapi.ResourceInUse("Resource %s is %s", m.ARN, m.Status)
	}
	return nil
}

// place asks the rules of a parent now, and makes them part of the reservation in it.
func place[P catalog.Resource](ctx context.Context, s *Service, parent P, rules ...func(P) error) (catalog.Place, error) {
	if err := s.store.Sweep(ctx, parent); err != nil {
		return catalog.Place{}, err
	}
	ask := all(rules)
	return catalog.Under(parent.Meta().ARN, ask), ask(parent)
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

// createUnder creates a resource whose name may have been taken since it was looked at.
func createUnder[R catalog.Resource](ctx context.Context, s *Service, r R, places ...catalog.Place) error {
	err := s.store.Create(ctx, r, places...)
	if errors.Is(err, catalog.ErrExists) {
		return alreadyExists(r.Meta().ARN)
	}
	return err
}

// markDeleting begins the deletion of the resource that a member of the request names; the reconciler completes it.
func markDeleting[R catalog.Resource](ctx context.Context, s *Service, member, arn, kind string, rules ...func(R) error) error {
	if _, err := find[R](ctx, s, member, arn, kind); err != nil {
		return err
	}
	_, err := catalog.Of[R](s.store).MarkDeleting(ctx, arn, func(r R) error {
		if err := mustBeSettled(r.Meta()); err != nil {
			return err
		}
		return all(rules)(r)
	})
	if errors.Is(err, catalog.ErrNotFound) {
		return notFound(arn)
	}
	return err
}

// newARN is the ARN of a new resource that has no parent.
func (s *Service) newARN(ctx context.Context, kind, id string) string {
	region := awsapi.RequestRegion(ctx)
	if region == "" {
		region = s.region
	}
	return resource.ARN{Region: region, Account: s.account, Type: kind, ID: id}.String()
}

// beside is the ARN of a new resource in the region and account of another.
func beside(arn, kind, id string) string {
	a, err := resource.ParseARN(arn)
	if err != nil {
		return "" // the catalog holds no such ARN
	}
	return a.With(kind, id).String()
}

// pending is the beginning of every resource with a status.
func pending(arn, name string, tags map[string]string) catalog.Metadata {
	return catalog.Metadata{ARN: arn, Name: name, Status: status.CreatePending, Tags: tags}
}

// wakeWorkers tells the retrainer of a new job. It finds the job by itself if that fails, only later.
func (s *Service) wakeWorkers(ctx context.Context, arn string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := s.publishJob(ctx, arn); err != nil {
		s.log.Warn("announcing a job failed, workers find it at their next scan", zap.String("arn", arn), zap.Error(err))
	}
}

// shortID is 8 hexadecimal digits.
func shortID() string {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func flag(member *bool) bool { return member != nil && *member }
