package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
)

// probeWriters is how many writers race for one key in a probe: enough to catch a store that checks a condition first
// and writes afterwards.
const probeWriters = 8

// Probe checks that the store honours both conditions when several writers race: exactly one may create an object, and
// exactly one may replace the version they all have read. The catalog and the archive are only safe on such a store.
// The probe's object is removed again.
func (b *Bucket) Probe(ctx context.Context) error {
	key := "probe/" + rand.Text()
	defer func() { _ = b.Delete(context.WithoutCancel(ctx), key) }()
	if err := b.race(ctx, key, PutOptions{IfAbsent: true}); err != nil {
		return fmt.Errorf("probing If-None-Match on bucket %s: %w", b.name, err)
	}
	info, err := b.Head(ctx, key)
	if err != nil {
		return fmt.Errorf("probing bucket %s: %w", b.name, err)
	}
	if err := b.race(ctx, key, PutOptions{IfMatch: info.ETag}); err != nil {
		return fmt.Errorf("probing If-Match on bucket %s: %w", b.name, err)
	}
	switch _, err := b.Put(ctx, key, nil, PutOptions{IfMatch: info.ETag}); {
	case err == nil:
		return fmt.Errorf("probing If-Match on bucket %s: a write over an old version was not refused", b.name)
	case !errors.Is(err, ErrPrecondition):
		return fmt.Errorf("probing If-Match on bucket %s: %w", b.name, err)
	}
	return nil
}

// race lets the writers write at once and wants one of them to win.
func (b *Bucket) race(ctx context.Context, key string, options PutOptions) error {
	var errs [probeWriters]error
	var wait sync.WaitGroup
	for writer := range probeWriters {
		wait.Go(func() {
			_, errs[writer] = b.Put(ctx, key, []byte(rand.Text()), options)
		})
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, ErrPrecondition):
			return err
		}
	}
	if won != 1 {
		return fmt.Errorf("the store does not honour the condition: %d of %d writers that raced succeeded, want 1", won, probeWriters)
	}
	return nil
}
