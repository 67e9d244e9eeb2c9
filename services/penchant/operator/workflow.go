package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/services/control/workflow"
)

// ShippedWorkflows are workflows that come with Penchant.
type ShippedWorkflows []workflow.Shipped

// Page returns the list for people.
func (l ShippedWorkflows) Page() string {
	var page strings.Builder
	for _, s := range l {
		fmt.Fprintf(&page, "%-12s  %s\n", s.Name, s.Comment)
	}
	return page.String()
}

// InstalledWorkflow is the state machine of a workflow that comes with Penchant.
type InstalledWorkflow struct {
	StateMachineARN string `json:"stateMachineArn"`
	// Updated reports whether there was one of that name with another definition.
	Updated bool `json:"updated"`
}

// Page returns the result for people.
func (w *InstalledWorkflow) Page() string {
	if w.Updated {
		return "updated   " + w.StateMachineARN + "\n"
	}
	return "installed " + w.StateMachineARN + "\n"
}

// InstallWorkflow creates a state machine, or gives the one of that name the definition. Executions that run keep
// theirs.
func InstallWorkflow(ctx context.Context, client *awsapi.Client, name, definition, role string) (*InstalledWorkflow,
	error) {
	var created stepfunctions.CreateStateMachineOutput
	err := client.CallStates(ctx, "CreateStateMachine",
		&stepfunctions.CreateStateMachineInput{Name: &name, Definition: &definition, RoleArn: &role}, &created)
	if err == nil {
		return &InstalledWorkflow{StateMachineARN: *created.StateMachineArn}, nil
	}
	var refusal *awsapi.Error
	if !errors.As(err, &refusal) || refusal.Code != "StateMachineAlreadyExists" {
		return nil, err
	}
	var listed stepfunctions.ListStateMachinesOutput
	for page := (&stepfunctions.ListStateMachinesInput{}); ; page.NextToken = listed.NextToken {
		listed = stepfunctions.ListStateMachinesOutput{}
		if err := client.CallStates(ctx, "ListStateMachines", page, &listed); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(listed.StateMachines,
			func(m stepfunctions.StateMachineListItem) bool { return *m.Name == name })
		if i >= 0 {
			arn := listed.StateMachines[i].StateMachineArn
			err := client.CallStates(ctx, "UpdateStateMachine",
				&stepfunctions.UpdateStateMachineInput{StateMachineArn: arn, Definition: &definition, RoleArn: &role},
				nil)
			return &InstalledWorkflow{StateMachineARN: *arn, Updated: true}, err
		}
		if listed.NextToken == nil {
			return nil, err
		}
	}
}
