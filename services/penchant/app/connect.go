package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/control"
)

// connect opens the clients that the target needs. A server that can't be reached is waited for: the order in which a
// stack starts is free.
func (a *App) connect(ctx context.Context) error {
	var errs []error
	for _, c := range []struct {
		part  Part
		doing string
		open  func(context.Context) error
	}{
		{Kafka, "connecting to Kafka", a.openKafka},
		{OwnTopics, "creating Penchant's own topics", a.createTopics},
		{Bucket, "opening the bucket", a.openBucket},
		{ReadyBucket, "preparing the bucket", a.prepareBucket},
		{Redis, "connecting to Redis", a.openRedis},
	} {
		if a.target.Needs(c.part) {
			errs = append(errs, a.retry(ctx, c.doing, c.open))
		}
	}
	return errors.Join(errs...)
}

func (a *App) openKafka(ctx context.Context) (err error) {
	a.bus, err = bus.Open(ctx, bus.Config{
		Brokers: a.kafkaBrokers(), ClientID: "penchant-" + string(a.target), Log: a.log.Named("bus"),
		Registerer: a.metrics,
		Topics:     a.settings.Topics(),
	})
	return err
}

func (a *App) createTopics(ctx context.Context) error {
	return a.bus.EnsureTopics(ctx, control.OwnTopics()...)
}

func (a *App) openBucket(context.Context) (err error) {
	if a.objects, err = blob.Open(a.s3); err != nil {
		return err
	}
	a.bucket = a.objects.Bucket(a.settings.Bucket)
	return nil
}

func (a *App) prepareBucket(ctx context.Context) error {
	if err := a.objects.EnsureBucket(ctx, a.settings.Bucket); err != nil {
		return err
	}
	return a.bucket.Probe(ctx)
}

// openRedis refuses a Redis that may evict users: that is a setting, which no waiting changes.
func (a *App) openRedis(ctx context.Context) error {
	users, err := userstate.Open(ctx, a.redisURL(), a.settings.Users)
	if err != nil {
		return err
	}
	if err = users.Ping(ctx); err == nil {
		err = users.CheckPolicy(ctx)
	}
	switch {
	case errors.Is(err, userstate.ErrEvicts):
		return permanentError{errors.Join(err, users.Close())}
	case err != nil && a.target.Needs(ReadyRedis):
		return errors.Join(err, users.Close())
	case err != nil:
		a.log.Warn("Redis does not answer: until it does, "+withoutRedis[a.target], zap.Error(err))
	}
	a.users = users // disconnect closes it
	return nil
}

func (a *App) disconnect() {
	if a.bus != nil {
		a.bus.Close()
	}
	if a.bridge != nil {
		a.bridge.tracker.Close()
	}
	if a.users != nil {
		if err := a.users.Close(); err != nil {
			a.log.Warn("closing Redis", zap.Error(err))
		}
	}
	if a.objects != nil {
		a.objects.Close() // an embedded S3 waits for connections that are kept open
	}
}

// permanentError is an error that no repeat mends.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// retry calls try until it succeeds, fails with a permanentError, or ctx ends. It logs the first failure and then one a
// minute.
func (a *App) retry(ctx context.Context, doing string, try func(context.Context) error) error {
	pace := backoff.Exponential{First: 50 * time.Millisecond, Max: 5 * time.Second}
	nextLog := time.Time{}
	for attempt := 0; ; attempt++ {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", doing, ctx.Err())
		}
		err := try(ctx)
		if err == nil {
			return nil
		}
		if errors.As(err, new(permanentError)) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		if now := time.Now(); now.After(nextLog) {
			a.log.Warn(doing+" failed, retrying", zap.Error(err))
			nextLog = now.Add(time.Minute)
		}
		if err := pace.Wait(ctx, attempt); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
}
