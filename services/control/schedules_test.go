package control

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/scheduler"

	"github.com/penchant-io/penchant/services/control/crud"
)

// TestSchedulerAPI goes through EventBridge Scheduler's operations as its client makes them.
func TestSchedulerAPI(t *testing.T) {
	i := install(t, crud.Quotas{})
	config := aws.NewConfig().WithEndpoint(i.Endpoint).WithRegion("eu-west-1").WithMaxRetries(0).WithHTTPClient(i.Config.HTTPClient).
		WithCredentials(credentials.NewStaticCredentials(testKey.AccessKeyID, testKey.SecretKey, ""))
	s := scheduler.New(must(session.NewSession(config))(t))
	machine := "arn:aws:states:us-east-1:000000000000:stateMachine:nightly"
	request := func(name, expression string) *scheduler.CreateScheduleInput {
		return &scheduler.CreateScheduleInput{
			Name: &name, ScheduleExpression: &expression, FlexibleTimeWindow: &scheduler.FlexibleTimeWindow{Mode: aws.String("OFF")},
			Target: &scheduler.Target{Arn: &machine, RoleArn: aws.String(roleARN), Input: aws.String(`{"a":1}`)},
		}
	}
	nightly := request("nightly", "cron(0 2 * * ? *)")
	nightly.ClientToken, nightly.ScheduleExpressionTimezone, nightly.Description = aws.String("t1"), aws.String("Europe/Berlin"), aws.String("every night")
	nightly.StartDate = aws.Time(time.Unix(1_800_000_000, 0))
	arn := must(s.CreateSchedule(nightly))(t).ScheduleArn
	if want := "arn:aws:scheduler:eu-west-1:000000000000:schedule/default/nightly"; *arn != want || *must(s.CreateSchedule(nightly))(t).ScheduleArn != want {
		t.Errorf("got %s, want %s twice", *arn, want)
	}
	_, err := s.CreateSchedule(request("nightly", "rate(1 day)"))
	refused(t, err, "ConflictException", "nightly already exists")

	found := must(s.GetSchedule(&scheduler.GetScheduleInput{Name: aws.String("nightly"), GroupName: aws.String("default")}))(t)
	if *found.Arn != *arn || *found.ScheduleExpression != "cron(0 2 * * ? *)" || *found.ScheduleExpressionTimezone != "Europe/Berlin" || *found.State != "ENABLED" ||
		*found.Target.Arn != machine || *found.Target.Input != `{"a":1}` || *found.Description != "every night" || *found.ActionAfterCompletion != "NONE" ||
		!found.StartDate.Equal(*nightly.StartDate) || time.Since(*found.CreationDate) > time.Minute || *found.FlexibleTimeWindow.Mode != "OFF" {
		t.Errorf("got %v", found)
	}
	must(s.UpdateSchedule(&scheduler.UpdateScheduleInput{
		Name: aws.String("nightly"), ScheduleExpression: aws.String("rate(2 days)"), State: aws.String("DISABLED"),
		FlexibleTimeWindow: &scheduler.FlexibleTimeWindow{Mode: aws.String("FLEXIBLE"), MaximumWindowInMinutes: aws.Int64(15)}, Target: nightly.Target,
	}))(t)
	found = must(s.GetSchedule(&scheduler.GetScheduleInput{Name: aws.String("nightly")}))(t)
	if *found.ScheduleExpression != "rate(2 days)" || *found.State != "DISABLED" || found.Description != nil || *found.ScheduleExpressionTimezone != "UTC" || found.StartDate != nil {
		t.Errorf("after the update: %v", found)
	}
	for _, name := range []string{"b.1", "b_2", "b-3", "c"} {
		must(s.CreateSchedule(request(name, "cron(0 2 1 1 ? *)")))(t)
	}
	list := func(in *scheduler.ListSchedulesInput) string {
		var names []string
		in.MaxResults = aws.Int64(2)
		if err := s.ListSchedulesPages(in, func(page *scheduler.ListSchedulesOutput, _ bool) bool {
			for _, item := range page.Schedules {
				names = append(names, *item.Name)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		in   *scheduler.ListSchedulesInput
		want string
	}{
		{&scheduler.ListSchedulesInput{}, "b-3 b.1 b_2 c nightly"},
		{&scheduler.ListSchedulesInput{NamePrefix: aws.String("b"), GroupName: aws.String("default")}, "b-3 b.1 b_2"},
		{&scheduler.ListSchedulesInput{State: aws.String("DISABLED")}, "nightly"},
	} {
		if got := list(c.in); got != c.want {
			t.Errorf("%v lists %s, want %s", c.in, got, c.want)
		}
	}
	must(s.DeleteSchedule(&scheduler.DeleteScheduleInput{Name: aws.String("b.1")}))(t)
	_, err = s.GetSchedule(&scheduler.GetScheduleInput{Name: aws.String("b.1")})
	refused(t, err, "ResourceNotFoundException", "b.1 does not exist")
	_, err = s.DeleteSchedule(&scheduler.DeleteScheduleInput{Name: aws.String("b.1")})
	refused(t, err, "ResourceNotFoundException", "b.1 does not exist")
	_, err = s.UpdateSchedule(&scheduler.UpdateScheduleInput{
		Name: aws.String("b.1"), ScheduleExpression: aws.String("rate(2 days)"), FlexibleTimeWindow: nightly.FlexibleTimeWindow, Target: nightly.Target})
	refused(t, err, "ResourceNotFoundException", "b.1 does not exist")
	_, err = s.ListScheduleGroups(&scheduler.ListScheduleGroupsInput{})
	refused(t, err, "UnknownOperationException", "")
	for n, c := range []struct {
		change        func(*scheduler.CreateScheduleInput)
		code, message string
	}{
		{func(r *scheduler.CreateScheduleInput) { r.GroupName = aws.String("mine") }, "ResourceNotFoundException", "Schedule group mine does not exist"},
		{func(r *scheduler.CreateScheduleInput) { r.ScheduleExpression = aws.String("cron(0 2 * * *)") }, "ValidationException", "has 5 fields"},
		{func(r *scheduler.CreateScheduleInput) { r.ScheduleExpression = aws.String("at(2020-01-01T00:00:00)") }, "ValidationException", "never due"},
		{func(r *scheduler.CreateScheduleInput) { r.ScheduleExpressionTimezone = aws.String("Mars/Olympus") }, "ValidationException", "no time zone"},
		{func(r *scheduler.CreateScheduleInput) {
			r.Target.Arn = aws.String("arn:aws:sqs:us-east-1:000000000000:queue")
		}, "ValidationException", "is not the ARN of a state machine"},
		{func(r *scheduler.CreateScheduleInput) { r.Target.Input = aws.String("{") }, "ValidationException", "Target.Input is no JSON"},
		{func(r *scheduler.CreateScheduleInput) { r.FlexibleTimeWindow.Mode = aws.String("FLEXIBLE") }, "ValidationException", "MaximumWindowInMinutes"},
		{func(r *scheduler.CreateScheduleInput) { r.State = aws.String("ON") }, "ValidationException", "State"},
		{func(r *scheduler.CreateScheduleInput) { r.Name = aws.String("a b") }, "ValidationException", "Name"},
	} {
		r := request(fmt.Sprint("bad-", n), "rate(1 day)")
		c.change(r)
		_, err := s.CreateSchedule(r)
		refused(t, err, c.code, c.message)
	}
}
