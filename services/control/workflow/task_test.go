package workflow

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/asl"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	sfn "github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// TestTasksOfTheRuntime: what another service of the process answers can be a task; what none answers is refused.
func TestTasksOfTheRuntime(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 1)
	s := r.clocks[0].Service
	router := awsapi.NewRouter(awsapi.RouterConfig{Log: zap.NewNop()})
	awsapi.HandlePath(router, "/recommendations", "GetRecommendations",
		func(_ context.Context, req *personalizeruntime.GetRecommendationsRequest) (*personalizeruntime.GetRecommendationsResponse, error) {
			if *req.UserId == "nobody" {
				return nil, awsapi.ResourceNotFound("no such campaign")
			}
			return &personalizeruntime.GetRecommendationsResponse{ItemList: []personalizeruntime.PredictedItem{{ItemId: new("for-" + *req.UserId)}}}, nil
		})
	s.Register(router)
	definition := func(resource string) *sfn.CreateStateMachineInput {
		return &sfn.CreateStateMachineInput{Name: new("ask"), RoleArn: new("arn:aws:iam::000000000000:role/any"), Definition: new(
			`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::` + resource + `","End":true,"Parameters":{"CampaignArn":"arn:aws:personalize:us-east-1:000000000000:campaign/c","UserId.$":"$.user"},
				"Catch":[{"ErrorEquals":["PersonalizeRuntime.ResourceNotFoundException"],"Next":"None"}],"OutputPath":"$.ItemList[0].ItemId"},"None":{"Type":"Pass","OutputPath":"$.Cause","End":true}}}`)}
	}
	for resource, want := range map[string]string{
		"aws-sdk:personalizeevents:putEvents":                            "is not served by the process",
		"aws-sdk:personalizeruntime:getPersonalizedRanking":              "is not served by the process",
		"aws-sdk:personalizeruntime:getEverything":                       "there is no operation 'getEverything' of PersonalizeRuntime",
		"aws-sdk:personalizeruntime:getRecommendations.waitForTaskToken": "do not report task tokens",
		"aws-sdk:s3:getObject":                                           "there is no integration",
	} {
		if _, err := (machineAPI{s}).create(t.Context(), definition(resource)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", resource, err, want)
		}
	}
	machine, err := machineAPI{s}.create(t.Context(), definition("aws-sdk:personalizeruntime:getRecommendations"))
	if err != nil {
		t.Fatal(err)
	}
	r.drive()
	for user, want := range map[string]string{"ada": `"for-ada"`, "nobody": "(Service: PersonalizeRuntime, Status Code: 400"} {
		if _, err := (executionAPI{s}).start(t.Context(), &sfn.StartExecutionInput{StateMachineArn: machine.StateMachineArn, Name: &user, Input: new(`{"user":"` + user + `"}`)}); err != nil {
			t.Fatal(err)
		}
		var found *record
		eventually.True(t, "the execution of "+user+" ends", func() bool {
			var err error
			if found, _, err = s.recordDocument(execution{"ask", user}).Read(t.Context()); err != nil {
				t.Fatalf("%s: %v", user, err)
			}
			return found.Execution.Status != asl.Running
		})
		if e := found.Execution; !strings.Contains(string(e.Output), want) {
			t.Errorf("%s: %s %s %s, want %s", user, e.Status, e.Output, e.Cause, want)
		}
	}
}
