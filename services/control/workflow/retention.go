package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/asl"
	"github.com/penchant-io/penchant/pkg/blob"
)

const (
	// usualRetention is Step Functions'.
	usualRetention = 90 * 24 * time.Hour
	// sweepInterval is how often expired executions are looked for.
	sweepInterval = time.Hour
)

// sweepRegularly removes old executions until the context ends.
func (s *Service) sweepRegularly(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		if err := s.sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.Log.Warn("removing old executions failed, retrying", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sweep removes the executions that ended longer ago than they are kept. Any number of replicas may do it at once.
func (s *Service) sweep(ctx context.Context, now time.Time) error {
	before := now.Add(-s.Retention)
	for info, err := range s.Bucket.List(ctx, executionsRoot) {
		if err != nil {
			return fmt.Errorf("listing the executions: %w", err)
		}
		e, ok := executionOf(info.Key, executionsRoot, ".json")
		// The last write of an execution is its end: only those that can be old are read.
		if !ok || info.LastModified.After(before) {
			continue
		}
		r, _, err := blob.Document[*record]{Bucket: s.Bucket, Key: info.Key}.Read(ctx)
		switch {
		case errors.Is(err, blob.ErrNotFound):
			continue // another replica was faster
		case err != nil:
			return err
		case r.Execution.Status == asl.Running || r.Execution.Ended.After(before):
			continue
		}
		if err := s.remove(ctx, e, r); err != nil {
			return fmt.Errorf("removing the execution %s: %w", e.path(), err)
		}
		s.Log.Info(
			"an old execution was removed", zap.String("execution", r.Execution.Info.ID),
			zap.Time("ended", r.Execution.Ended),
		)
	}
	return nil
}

// remove deletes what there is of an execution, and last the object by which the rest is found.
func (s *Service) remove(ctx context.Context, e execution, r *record) error {
	keys := []string{e.listed(r.Execution.Started), runningRoot + e.path()}
	for info, err := range s.Bucket.List(ctx, historyRoot+e.path()+"/") {
		if err != nil {
			return err
		}
		keys = append(keys, info.Key)
	}
	for _, key := range slices.Concat(keys, []string{e.key()}) {
		if err := s.Bucket.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
