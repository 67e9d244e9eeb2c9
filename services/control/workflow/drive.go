package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/asl"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/blob"
)

const (
	// scanInterval is how often unowned executions are looked for.
	scanInterval = 2 * time.Second
	// pollInterval is how often the owner of an execution checks whether a call to another replica changed it.
	pollInterval = time.Second
	// unbegunAfter is when the mark of an execution that was never written is removed: long after the call that wrote
	// it.
	unbegunAfter = 10 * answerTimeout
)

var errLeaseLost = errors.New("the execution's lease has passed to another replica")

// Run drives executions, and starts those that are scheduled, until the context ends.
func (s *Service) Run(ctx context.Context) error {
	defer s.http.CloseIdleConnections()
	var drivers sync.WaitGroup
	defer drivers.Wait()
	drivers.Go(func() { (&clockwork{Service: s}).run(ctx) })
	drivers.Go(func() { s.sweepRegularly(ctx) })
	unbegun := map[execution]time.Time{}
	ticker := time.NewTicker(min(scanInterval, s.LeaseTTL))
	defer ticker.Stop()
	for {
		marked, err := s.marked(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("looking for executions failed, retrying", zap.Error(err))
		}
		for _, e := range marked {
			s.takeOn(ctx, &drivers, unbegun, e)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// takeOn drives an execution if nobody does.
func (s *Service) takeOn(ctx context.Context, drivers *sync.WaitGroup, unbegun map[execution]time.Time, e execution) {
	s.mu.Lock()
	_, driven := s.driving[e]
	s.mu.Unlock()
	if driven || ctx.Err() != nil {
		return
	}
	d := &driver{Service: s, execution: e, owner: newID(), running: map[int64]*attempt{}, ended: make(chan asl.Event), signals: make(chan struct{}, 1)}
	d.log = s.Log.With(zap.String("machine", e.machine), zap.String("execution", e.name))
	err := d.acquire(ctx)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		if since, known := unbegun[e]; !known {
			unbegun[e] = time.Now()
		} else if time.Since(since) > unbegunAfter {
			delete(unbegun, e)
			s.unmark(ctx, e)
		}
		return
	case errors.Is(err, asl.ErrEnded):
		s.unmark(ctx, e)
		return
	case errors.Is(err, errLeaseLost):
		return // another replica drives it
	case err != nil:
		if ctx.Err() == nil {
			d.log.Warn("taking an execution on failed, retrying", zap.Error(err))
		}
		return
	}
	delete(unbegun, e)
	s.enlist(ctx, e, d.record)
	s.mu.Lock()
	s.driving[e] = d.signals
	s.mu.Unlock()
	drivers.Go(func() {
		defer func() {
			s.mu.Lock()
			delete(s.driving, e)
			s.mu.Unlock()
		}()
		d.run(ctx)
	})
}

// unmark removes the mark of an execution that has ended. If it fails, the next scan does it.
func (s *Service) unmark(ctx context.Context, e execution) {
	if err := s.Bucket.Delete(ctx, runningRoot+e.path()); err != nil && ctx.Err() == nil {
		s.Log.Warn("removing the mark of an execution failed, retrying", zap.String("execution", e.path()), zap.Error(err))
	}
}

// signal wakes the driver of an execution in this process, or else the search for executions without a driver.
func (s *Service) signal(e execution) {
	s.mu.Lock()
	driver := s.driving[e]
	s.mu.Unlock()
	if driver == nil {
		driver = s.wake
	}
	select {
	case driver <- struct{}{}:
	default:
	}
}

// driver runs one execution under its lease.
type driver struct {
	*Service
	execution
	owner   string
	log     *zap.Logger
	record  *record
	program *asl.Machine
	// renewed is when the lease was last written.
	renewed time.Time

	running  map[int64]*attempt
	attempts sync.WaitGroup
	ended    chan asl.Event
	signals  chan struct{}
}

// attempt is a task in progress.
type attempt struct{ cancel context.CancelFunc }

func (d *driver) acquire(ctx context.Context) (err error) {
	now := time.Now()
	d.record, err = d.change(ctx, d.execution, func(r *record) ([]asl.HistoryEvent, error) {
		switch {
		case r.Execution.Status != asl.Running:
			return nil, asl.ErrEnded
		case r.Lease.held(time.Now()):
			return nil, errLeaseLost
		}
		now = time.Now()
		r.Lease = lease{d.owner, now.Add(d.LeaseTTL)}
		return nil, nil
	})
	if err != nil {
		return err
	}
	d.renewed = now
	d.program, err = d.Service.program(ctx, d.record.Definition)
	return err
}

// run drives the execution to its end, or gives it up: when the context ends, or the lease is lost.
func (d *driver) run(ctx context.Context) {
	// Tasks create resources in the machine's region, as they would in AWS.
	tasks, cancel := context.WithCancel(awsapi.InRegion(ctx, d.record.Execution.Info.Region))
	defer func() {
		cancel()
		d.attempts.Wait()
		d.release(ctx)
	}()
	for {
		if d.record.Execution.Status != asl.Running {
			d.unmark(ctx, d.execution)
			return
		}
		d.begin(tasks)
		err := d.await(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errLeaseLost), errors.Is(err, blob.ErrNotFound):
			d.log.Warn("an execution was lost to another replica", zap.Error(err))
			return
		case err != nil:
			d.log.Warn("driving an execution failed, retrying", zap.Error(err))
		}
		if time.Since(d.renewed) > d.LeaseTTL*3/4 {
			// Whoever takes the execution over must not meet tasks of ours.
			d.log.Warn("the lease of an execution could not be renewed, it is given up")
			return
		}
	}
}

// begin begins the tasks that the execution waits for, and cancels those that it no longer does.
func (d *driver) begin(ctx context.Context) {
	tasks := d.record.Execution.Tasks(d.program)
	for id, a := range d.running {
		if !slices.ContainsFunc(tasks, func(t asl.Task) bool { return t.ID == id }) {
			a.cancel()
			delete(d.running, id)
		}
	}
	for _, task := range tasks {
		if d.running[task.ID] != nil {
			continue
		}
		attending, cancel := context.WithCancel(ctx)
		d.running[task.ID] = &attempt{cancel}
		if task.Submitted {
			continue // somebody will report its token
		}
		d.attempts.Go(func() {
			defer cancel()
			event := d.do(attending, d.execution, task)
			if event == nil {
				return
			}
			select {
			case d.ended <- event:
			case <-attending.Done():
			}
		})
	}
}

// await waits for the next thing to happen, and applies it.
func (d *driver) await(ctx context.Context) error {
	next := min(time.Until(d.renewed.Add(d.LeaseTTL/3)), pollInterval)
	due := d.record.Execution.Deadline()
	if !due.IsZero() {
		next = min(next, time.Until(due))
	}
	timer := time.NewTimer(max(next, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case event := <-d.ended:
		return d.insist(ctx, event)
	case <-d.signals:
		return d.look(ctx)
	case <-timer.C:
	}
	if !due.IsZero() && !time.Now().Before(due) {
		return d.apply(ctx, asl.TimePassed{})
	}
	if time.Since(d.renewed) >= d.LeaseTTL/3 {
		return d.apply(ctx, nil)
	}
	return d.look(ctx)
}

// insist applies the end of a task, whose result nobody else has, until the lease is about to end.
func (d *driver) insist(ctx context.Context, event asl.Event) error {
	pace := backoff.Exponential{First: 50 * time.Millisecond, Max: 2 * time.Second}
	for attempt := 0; ; attempt++ {
		err := d.apply(ctx, event)
		if err == nil || errors.Is(err, errLeaseLost) || errors.Is(err, blob.ErrNotFound) || time.Since(d.renewed) > d.LeaseTTL*3/4 {
			return err
		}
		if err := pace.Wait(ctx, attempt); err != nil {
			return err
		}
	}
}

// apply moves the execution on by an event (nil: none), and renews the lease.
func (d *driver) apply(ctx context.Context, event asl.Event) error {
	now := time.Now()
	r, err := d.change(ctx, d.execution, func(r *record) ([]asl.HistoryEvent, error) {
		if r.Execution.Status == asl.Running && r.Lease.Owner != d.owner {
			return nil, errLeaseLost
		}
		now = time.Now()
		r.Lease.Expires = now.Add(d.LeaseTTL)
		if event == nil {
			return nil, nil
		}
		step, err := d.program.Apply(r.Execution, event, now)
		if errors.Is(err, asl.ErrNoTask) {
			return nil, nil // given up meanwhile
		}
		if err != nil {
			return nil, err
		}
		return step.History, nil
	})
	if errors.Is(err, asl.ErrEnded) {
		err = nil // stopped meanwhile; r is as it was read
	}
	if err != nil {
		return err
	}
	d.record, d.renewed = r, now
	return nil
}

// look sees whether somebody else has changed the execution.
func (d *driver) look(ctx context.Context) error {
	r, _, err := d.recordDocument(d.execution).Read(ctx)
	if err != nil {
		return fmt.Errorf("looking at the execution: %w", err)
	}
	if r.Execution.Status == asl.Running && r.Lease.Owner != d.owner {
		return errLeaseLost
	}
	d.record = r
	return nil
}

// release gives the lease back, so that another replica need not wait for its end.
func (d *driver) release(ctx context.Context) {
	if d.record.Execution.Status != asl.Running {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := d.change(ctx, d.execution, func(r *record) ([]asl.HistoryEvent, error) {
		if r.Lease.Owner != d.owner {
			return nil, errLeaseLost
		}
		r.Lease = lease{}
		return nil, nil
	})
	if err != nil && !errors.Is(err, errLeaseLost) {
		d.log.Warn("giving an execution back failed, it is taken over when its lease has ended", zap.Error(err))
	}
}
