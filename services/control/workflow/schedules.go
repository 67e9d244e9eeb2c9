package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/scheduler"
	sfn "github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/schedule"
)

// Schedules are EventBridge Scheduler's: each starts executions of one state machine. Every replica looks for those
// that are due. The name of the execution follows from the schedule and the time, so that however many replicas start
// it, it is one; then the schedule notes the time, and until it does, it is started again. What came due while no
// replica ran is started once, for the latest time.

const (
	schedulesRoot = root + "schedules/"
	// theGroup is the only group of schedules.
	theGroup = "default"
	// maxEventAge is the default of MaximumEventAgeInSeconds: what is due for longer is left out.
	maxEventAge = 24 * time.Hour

	enabled, disabled = "ENABLED", "DISABLED"
)

// scheduled is a schedule as it is stored.
type scheduled struct {
	ARN string `json:"arn"`
	// ID tells it from an earlier one of its name.
	ID string `json:"id"`
	// Settings are the request that made the schedule.
	Settings   *scheduler.UpdateScheduleInput `json:"settings"`
	CreatedAt  time.Time                      `json:"createdAt"`
	ModifiedAt time.Time                      `json:"modifiedAt"`
	// Anchor is where a rate begins that has no StartDate.
	Anchor time.Time `json:"anchor"`
	// Done is the time up to which every due start was made or dropped.
	Done  time.Time `json:"done"`
	Nonce string    `json:"nonce"`
}

func scheduleKey(name string) string { return schedulesRoot + name + ".json" } // names need no escapes

// scheduleAPI has the operations of schedules.
type scheduleAPI struct{ *Service }

func (s scheduleAPI) register(r *awsapi.Router) {
	group := map[string]string{"groupName": "GroupName"}
	handleScheduler(r, http.MethodPost, "/schedules/{Name}", "CreateSchedule", nil, s.create)
	handleScheduler(r, http.MethodPut, "/schedules/{Name}", "UpdateSchedule", nil, s.update)
	handleScheduler(r, http.MethodGet, "/schedules/{Name}", "GetSchedule", group, s.get)
	handleScheduler(
		r, http.MethodDelete, "/schedules/{Name}", "DeleteSchedule",
		map[string]string{"groupName": "GroupName", "clientToken": "ClientToken"}, s.delete,
	)
	handleScheduler(r, http.MethodGet, "/schedules", "ListSchedules", map[string]string{
		"ScheduleGroup": "GroupName", "NamePrefix": "NamePrefix", "State": "State", "NextToken": "NextToken", "MaxResults": "MaxResults",
	}, s.list)
}

func handleScheduler[Req, Resp any](
	r *awsapi.Router, method, path, operation string, query map[string]string,
	h func(context.Context, *Req) (*Resp, error),
) {
	awsapi.HandleScheduler(r, method, path, operation, query, bounded(h), awsapi.MaxBody(maxBody))
}

// check refuses settings that can never start anything.
func (s *scheduled) check(now time.Time) error {
	settings := s.Settings
	if err := checkGroup(settings.GroupName); err != nil {
		return err
	}
	if _, err := parseARN(*settings.Target.Arn, machineType); err != nil {
		return refuse(
			awsapi.CodeValidation,
			"Target.Arn '%s' is not the ARN of a state machine, and nothing else can be scheduled",
			*settings.Target.Arn,
		)
	}
	if input := settings.Target.Input; input != nil && !json.Valid([]byte(*input)) {
		return refuse(awsapi.CodeValidation, "Target.Input is no JSON, which the input of a state machine must be")
	}
	window := settings.FlexibleTimeWindow
	if (*window.Mode == "FLEXIBLE") != (window.MaximumWindowInMinutes != nil) {
		return refuse(
			awsapi.CodeValidation,
			"FlexibleTimeWindow.MaximumWindowInMinutes must be given for the Mode FLEXIBLE, and only for it",
		)
	}
	if start, end := settings.StartDate, settings.EndDate; start != nil && end != nil &&
		!start.Time().Before(end.Time()) {
		return refuse(awsapi.CodeValidation, "StartDate must be before EndDate")
	}
	if _, err := s.expression(); err != nil {
		return refuse(awsapi.CodeValidation, "Invalid Schedule Expression: %v", err)
	}
	if _, ok := s.next(s.Done); !ok && s.enabled() {
		return refuse(awsapi.CodeValidation, "The schedule is never due after %s", now.UTC().Format(time.RFC3339))
	}
	return nil
}

func checkGroup(name *string) error {
	if name != nil && *name != theGroup {
		return refuse(
			awsapi.CodeResourceNotFound, "Schedule group %s does not exist: there is %s only.", *name, theGroup,
		)
	}
	return nil
}

func (s *scheduled) enabled() bool { return awsapi.Text(s.Settings.State) != disabled }

func (s *scheduled) expression() (*schedule.Expression, error) {
	zone := time.UTC
	if name := awsapi.Text(s.Settings.ScheduleExpressionTimezone); name != "" {
		var err error
		if zone, err = time.LoadLocation(name); err != nil || name == "Local" {
			return nil, fmt.Errorf("there is no time zone %q", name)
		}
	}
	return schedule.Parse(*s.Settings.ScheduleExpression, zone)
}

// next returns the first time after another one at which the schedule is due, and whether there is one.
func (s *scheduled) next(after time.Time) (time.Time, bool) {
	expression, err := s.expression()
	if err != nil {
		return time.Time{}, false
	}
	start := s.Anchor
	if s.Settings.StartDate != nil {
		start = s.Settings.StartDate.Time()
	}
	due, ok := expression.Next(start, after)
	if ok && s.Settings.EndDate != nil && due.After(s.Settings.EndDate.Time()) {
		return time.Time{}, false
	}
	return due, ok
}

// due returns the latest time that has passed and is not done, and whether there is one.
func (s *scheduled) due(now time.Time) (latest time.Time, found bool) {
	age := maxEventAge
	if policy := s.Settings.Target.RetryPolicy; policy != nil && policy.MaximumEventAgeInSeconds != nil {
		age = time.Duration(*policy.MaximumEventAgeInSeconds) * time.Second
	}
	after := s.Done
	if oldest := now.Add(-age); after.Before(oldest) {
		after = oldest
	}
	for {
		next, ok := s.next(after)
		if !ok || next.After(now) {
			return latest, found
		}
		latest, found, after = next, true, next
	}
}

func (s scheduleAPI) create(
	ctx context.Context, req *scheduler.CreateScheduleInput,
) (*scheduler.CreateScheduleOutput, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	settings := scheduler.UpdateScheduleInput(*req)
	made := &scheduled{
		ARN: s.scheduleARN(ctx, *req.Name), ID: newID(), Settings: &settings, CreatedAt: now, ModifiedAt: now,
		Anchor: now,
		Done:   now.Add(-time.Millisecond), // a rate begins at once
	}
	if err := made.check(now); err != nil {
		return nil, err
	}
	document := s.scheduleDocument(scheduleKey(*req.Name))
	_, err := document.Create(ctx, made)
	if errors.Is(err, blob.ErrPrecondition) {
		old, _, err := document.Read(ctx)
		if err != nil {
			return nil, err
		}
		if token := awsapi.Text(req.ClientToken); token == "" || token != awsapi.Text(old.Settings.ClientToken) {
			return nil, refuse(awsapi.CodeConflict, "Schedule %s already exists.", *req.Name)
		}
		made = old // asked for once more
	} else if err != nil {
		return nil, err
	}
	return &scheduler.CreateScheduleOutput{ScheduleArn: &made.ARN}, nil
}

func (s scheduleAPI) scheduleARN(ctx context.Context, name string) string {
	return "arn:aws:scheduler:" + s.regionOf(ctx) + ":" + s.AccountID + ":schedule/" + theGroup + "/" + name
}

// update replaces all settings. What came due before is not started any more.
func (s scheduleAPI) update(
	ctx context.Context, req *scheduler.UpdateScheduleInput,
) (*scheduler.UpdateScheduleOutput, error) {
	if err := checkGroup(req.GroupName); err != nil {
		return nil, err
	}
	updated, _, err := s.scheduleDocument(scheduleKey(*req.Name)).Update(ctx, func(old *scheduled) error {
		now := time.Now().UTC().Truncate(time.Millisecond)
		if old.Done.Before(now) {
			old.Done = now
		}
		if *old.Settings.ScheduleExpression != *req.ScheduleExpression {
			old.Anchor = now
		}
		old.Settings, old.ModifiedAt = req, now
		return old.check(now)
	})
	if err != nil {
		return nil, absentSchedule(err, *req.Name)
	}
	return &scheduler.UpdateScheduleOutput{ScheduleArn: &updated.ARN}, nil
}

// absentSchedule returns the refusal for a schedule that does not exist.
func absentSchedule(err error, name string) error {
	if errors.Is(err, blob.ErrNotFound) {
		return refuse(awsapi.CodeResourceNotFound, "Schedule %s does not exist.", name)
	}
	return err
}

func (s scheduleAPI) get(
	ctx context.Context, req *scheduler.GetScheduleInput,
) (*scheduler.GetScheduleOutput, error) {
	if err := checkGroup(req.GroupName); err != nil {
		return nil, err
	}
	found, _, err := s.scheduleDocument(scheduleKey(*req.Name)).Read(ctx)
	if err != nil {
		return nil, absentSchedule(err, *req.Name)
	}
	settings := found.Settings
	return &scheduler.GetScheduleOutput{
		Arn: &found.ARN, GroupName: new(theGroup), Name: settings.Name,
		ScheduleExpression: settings.ScheduleExpression, StartDate: settings.StartDate,
		EndDate: settings.EndDate, Description: settings.Description,
		ScheduleExpressionTimezone: orElse(settings.ScheduleExpressionTimezone, "UTC"),
		State:                      orElse(settings.State, enabled), CreationDate: awsapi.At(found.CreatedAt),
		LastModificationDate: awsapi.At(found.ModifiedAt),
		KmsKeyArn:            settings.KmsKeyArn, Target: settings.Target, FlexibleTimeWindow: settings.FlexibleTimeWindow,
		ActionAfterCompletion: orElse(settings.ActionAfterCompletion, "NONE"),
	}, nil
}

func orElse(member *string, otherwise string) *string {
	if member == nil {
		return &otherwise
	}
	return member
}

func (s scheduleAPI) delete(
	ctx context.Context, req *scheduler.DeleteScheduleInput,
) (*scheduler.DeleteScheduleOutput, error) {
	if _, err := s.get(ctx, &scheduler.GetScheduleInput{Name: req.Name, GroupName: req.GroupName}); err != nil {
		return nil, err
	}
	return &scheduler.DeleteScheduleOutput{}, s.Bucket.Delete(ctx, scheduleKey(*req.Name))
}

func (s scheduleAPI) list(
	ctx context.Context, req *scheduler.ListSchedulesInput,
) (*scheduler.ListSchedulesOutput, error) {
	if err := checkGroup(req.GroupName); err != nil {
		return nil, err
	}
	found, err := list[scheduled](ctx, s.Bucket, schedulesRoot+awsapi.Text(req.NamePrefix))
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(f *scheduled) bool {
		return req.State != nil && *orElse(f.Settings.State, enabled) != *req.State
	})
	slices.SortFunc(found, func(a, b *scheduled) int { return strings.Compare(a.ARN, b.ARN) })
	found, next, err := page(found, func(f *scheduled) string { return f.ARN }, req.NextToken, req.MaxResults)
	if err != nil {
		return nil, refuse(awsapi.CodeValidation, "NextToken is no token of a list")
	}
	items := make([]scheduler.ScheduleSummary, len(found))
	for i, f := range found {
		items[i] = scheduler.ScheduleSummary{
			Arn: &f.ARN, Name: f.Settings.Name, GroupName: new(theGroup), State: orElse(f.Settings.State, enabled),
			CreationDate: awsapi.At(f.CreatedAt), LastModificationDate: awsapi.At(f.ModifiedAt),
			Target: &scheduler.TargetSummary{Arn: f.Settings.Target.Arn},
		}
	}
	return &scheduler.ListSchedulesOutput{Schedules: items, NextToken: next}, nil
}

// clockwork starts what is due. It belongs to one goroutine.
type clockwork struct {
	*Service
	// known are the schedules as they were read, with their ETags, by key.
	known map[string]knownSchedule
}

type knownSchedule struct {
	etag string
	*scheduled
}

// run looks again and again until the context ends.
func (c *clockwork) run(ctx context.Context) {
	ticker := time.NewTicker(scanInterval)
	defer ticker.Stop()
	for {
		if err := c.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			c.Log.Warn("looking for schedules that are due failed, retrying", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look starts everything that is due.
func (c *clockwork) look(ctx context.Context, now time.Time) error {
	present := map[string]knownSchedule{}
	for info, err := range c.Bucket.List(ctx, schedulesRoot) {
		if err != nil {
			return fmt.Errorf("listing the schedules: %w", err)
		}
		known, ok := c.known[info.Key]
		if !ok || known.etag != info.ETag {
			read, etag, err := c.scheduleDocument(info.Key).Read(ctx)
			if errors.Is(err, blob.ErrNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("reading a schedule: %w", err)
			}
			known = knownSchedule{etag, read}
		}
		present[info.Key] = known
	}
	c.known = present
	var firing sync.WaitGroup
	defer firing.Wait()
	for key, known := range present {
		due, ok := known.due(now)
		if !ok || !known.enabled() {
			continue
		}
		firing.Go(func() {
			log := c.Log.With(zap.String("schedule", known.ARN), zap.Time("due", due))
			ctx, cancel := context.WithTimeout(ctx, answerTimeout)
			defer cancel()
			if err := c.fire(ctx, key, known.scheduled, due, log); err != nil {
				log.Warn("a schedule is due and could not start its execution, retrying", zap.Error(err))
			}
		})
	}
	return nil
}

// fire starts an execution for a time, and notes that.
func (c *clockwork) fire(ctx context.Context, key string, s *scheduled, due time.Time, log *zap.Logger) error {
	when := due.UTC().Format(time.RFC3339)
	name := uuid.NewSHA1(uuid.NameSpaceOID, []byte(s.ID+" "+when)).String()
	input := strings.NewReplacer(
		"<aws.scheduler.schedule-arn>", s.ARN, "<aws.scheduler.scheduled-time>", when,
		"<aws.scheduler.execution-id>", name, "<aws.scheduler.attempt-number>", "1",
	).Replace(*orElse(s.Settings.Target.Input, "{}"))
	_, err := executionAPI{c.Service}.start(
		ctx, &sfn.StartExecutionInput{StateMachineArn: s.Settings.Target.Arn, Name: &name, Input: &input},
	)
	var refusal *awsapi.Error
	switch {
	case err == nil:
		log.Info("a schedule started an execution", zap.String("execution", name))
	case errors.As(err, &refusal) && refusal.Code == executionExists:
		// Another replica was faster, or nobody could note it the last time.
	case errors.As(err, &refusal):
		log.Warn("a schedule is due and its execution is refused, it is left out", zap.Error(err))
	default:
		return err
	}
	changed, _, err := c.scheduleDocument(key).Update(ctx, func(now *scheduled) error {
		if now.ID == s.ID && now.Done.Before(due) {
			now.Done = due
		}
		return nil
	})
	if errors.Is(err, blob.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("noting it: %w", err)
	}
	if _, more := changed.next(changed.Done); !more && awsapi.Text(changed.Settings.ActionAfterCompletion) == "DELETE" {
		return c.Bucket.Delete(ctx, key)
	}
	return nil
}
