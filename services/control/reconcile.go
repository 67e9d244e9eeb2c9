package control

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

const (
	// workers bounds the resources that are reconciled at the same time.
	workers = 4
	// scanInterval is how often pending resources are queued again: those that failed, or whose replica died.
	scanInterval = 2 * time.Second
	// catalogRepairInterval is how often the families of the catalog are checked, repairInterval how often Row.Repair
	// is called.
	catalogRepairInterval = 30 * time.Second
	repairInterval        = 10 * time.Second
)

// Run reconciles pending resources until the context ends. Each change in the catalog queues its resource; a scan makes
// up for what failed.
func (s *Service) Run(ctx context.Context) error {
	cancel := s.env.View.Subscribe(s.queue.add)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			s.work(ctx)
			return nil
		})
	}
	group.Go(func() error { return s.scanLoop(ctx) })
	group.Go(func() error { return s.workflows.Run(ctx) })
	return group.Wait()
}

func (s *Service) work(ctx context.Context) {
	for {
		arn, ok := s.queue.take(ctx)
		if !ok {
			return
		}
		err := s.reconcile(ctx, arn)
		s.queue.done(arn)
		result := "done"
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, catalog.ErrNotFound), errors.Is(err, catalog.ErrDeleting),
			errors.Is(err, catalog.ErrLeased), errors.Is(err, catalog.ErrLeaseLost):
			result = "overtaken" // by another replica, or by its own deletion
		case errors.Is(err, crud.ErrWaiting):
			result = "waiting"
		case err != nil:
			result = "failed"
			s.env.Log.Warn("reconciling a resource failed, retrying", zap.String("arn", arn), zap.Error(err))
		}
		s.reconciled.WithLabelValues(resource.TypeOf(arn), result).Inc()
	}
}

func (s *Service) scanLoop(ctx context.Context) error {
	if err := s.env.View.WaitReady(ctx); err != nil {
		return nil // asked to stop
	}
	scan, repair, repairCatalog := time.NewTicker(
		scanInterval,
	), time.NewTicker(
		repairInterval,
	), time.NewTicker(
		catalogRepairInterval,
	)
	defer scan.Stop()
	defer repair.Stop()
	defer repairCatalog.Stop()
	for {
		s.scan()
		select {
		case <-ctx.Done():
			return nil
		case <-scan.C:
		case <-repair.C:
			s.repair(ctx)
		case <-repairCatalog.C:
			s.repairCatalog(ctx)
		}
	}
}

func (s *Service) scan() {
	for _, r := range catalog.All[catalog.Resource](s.env.View) {
		if s.pending(r) {
			s.queue.add(r.Meta().ARN)
		}
	}
}

func (s *Service) repair(ctx context.Context) {
	for _, row := range s.rows {
		if row.Repair != nil {
			row.Repair(ctx)
		}
	}
}

func (s *Service) repairCatalog(ctx context.Context) {
	repaired, err := s.env.Store.Repair(ctx, s.env.View)
	if err != nil && ctx.Err() == nil {
		s.env.Log.Warn("repairing the catalog", zap.Error(err))
	}
	if repaired > 0 {
		s.env.Log.Info("repaired the catalog after interrupted requests", zap.Int("resources", repaired))
	}
}

// pending reports whether there is something to reconcile in a resource.
func (s *Service) pending(r catalog.Resource) bool {
	if m := r.Meta(); m.Deleting() {
		return !m.Leased(time.Now()) // else another replica is deleting it
	}
	row, ok := s.rowOf(r.Meta().ARN)
	return ok && row.Pending(r)
}

// reconcile drives one resource one step. It reads the resource again: the view only shows which may be pending.
func (s *Service) reconcile(ctx context.Context, arn string) error {
	s.queueDependents(arn)
	seen, ok := catalog.Lookup[catalog.Resource](s.env.View, arn)
	if !ok || !s.pending(seen) {
		return nil
	}
	r, err := s.env.Store.Get(ctx, arn)
	if err != nil {
		return err
	}
	row, ok := s.rowOf(arn)
	m := r.Meta()
	if m.Deleting() {
		return crud.Delete(ctx, s.env, r, row.Cleanup)
	}
	if m.Status == status.CreatePending {
		if removed, err := s.env.Store.RemoveOrphan(ctx, arn); removed || err != nil {
			return err
		}
	}
	if !ok || row.Reconcile == nil {
		return nil
	}
	return row.Reconcile(ctx, r)
}

// queueDependents queues the resources that may be pending since another changed.
func (s *Service) queueDependents(arn string) {
	for _, row := range s.rows {
		if row.Dependents == nil {
			continue
		}
		for _, dependent := range row.Dependents(arn) {
			s.queue.add(dependent)
		}
	}
}

func (s *Service) rowOf(arn string) (crud.Row, bool) {
	row, ok := s.byType[resource.TypeOf(arn)]
	return row, ok
}
